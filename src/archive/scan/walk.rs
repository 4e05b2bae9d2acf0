//! The walk over a chunk's file, from what is vouched for to what is vouched for.

use std::ops::Range;

use super::contents::{Gap, MemberRef, Newer, Scan, ScanError};
use super::find::{Found, Role, first_of, is_zero, read_manifest, role};
use super::window::{WINDOW, Window};
use crate::archive::frame::{self, Compression, Located};
use crate::archive::fs::File;
use crate::archive::index::{self, FrameRef, MAX_TABLE};
use crate::archive::name::data_member;
use crate::archive::trailer::{MAX_PAYLOAD, Trailer, TrailerError};
use crate::archive::ustar::{self, BLOCK, BLOCK_LEN, Parsed};
use crate::ids::Signal;

/// The most that is held in search of a frame; so at least 30 MiB are passed over per search.
const MAX_WINDOW: usize = 160 << 20;

/// What is read at a time where only a checksum or zeros are looked for.
const PIECE: usize = 1 << 20;

/// A walk under way: everything before `at` is accounted for.
pub(super) struct Walk<'a> {
    window: Window<'a>,
    at: u64,
    scan: Scan,
    index: Index,
    has_end: bool,
    /// A frame that says it is of a later format. One writer writes one format, so beside
    /// an intact frame of ours that is a flipped bit: nothing else guards the digit.
    newer_frame: Option<Newer>,
}

/// What was found of the index.
enum Index {
    /// Nothing: a chunk not sealed, or sealed without one on a full volume.
    Absent,
    Damaged,
    Intact(Vec<FrameRef>),
}

impl<'a> Walk<'a> {
    pub(super) fn from_start(file: &'a dyn File, len: u64) -> Self {
        Self {
            window: Window::new(file, len),
            at: 0,
            scan: Scan::default(),
            index: Index::Absent,
            has_end: false,
            newer_frame: None,
        }
    }

    /// Keeps what lies before the end of the last intact frame.
    pub(super) fn after(previous: Scan, file: &'a dyn File, len: u64) -> Self {
        let Scan { mut frames, mut gaps, mut data_end, mut members, .. } = previous;
        // A plain entry whose padding was still short ends elsewhere by now: it is read again.
        if !data_end.is_multiple_of(BLOCK_LEN) && members.last().is_some_and(|m| m.compression == Compression::None) {
            frames.pop();
            data_end = frames.last().map_or(0, |frame| frame.span.end);
        }
        gaps.retain(|gap| gap.range.start < data_end);
        members.retain(|member| member.header_at < data_end);
        let scan = Scan { frames, gaps, data_end, members, ..Scan::default() };
        Self { at: data_end, scan, ..Self::from_start(file, len) }
    }

    pub(super) fn run(mut self) -> Result<Scan, ScanError> {
        while self.scan.newer.is_none() && self.at < self.window.len() {
            self.step()?;
        }
        let mut scan = self.scan;
        scan.newer = scan.newer.or(self.newer_frame.filter(|_| scan.frames.is_empty()));
        scan.index_ok = matches!(&self.index, Index::Intact(index) if *index == scan.frames);
        scan.complete = (scan.index_ok || matches!(self.index, Index::Absent))
            && scan.newer.is_none()
            && scan.gaps.is_empty()
            && self.has_end
            && scan.manifest.as_ref().is_some_and(|manifest| manifest.frames == scan.frames.len() as u64);
        Ok(scan)
    }

    /// Accounts for at least one more byte.
    fn step(&mut self) -> Result<(), ScanError> {
        let border = self.at.next_multiple_of(BLOCK_LEN);
        let padding = ustar::padding(self.at);
        let bytes = self.window.fill(self.at, 2 * BLOCK)?;
        let (padding, rest) = bytes.split_at_checked(padding).unwrap_or((bytes, &[]));
        // No frame begins with a zero, so zeros up to the grid are padding or were never written.
        if is_zero(padding) {
            match rest.first_chunk::<BLOCK>().map(ustar::parse) {
                Some(Parsed::File { name, size }) => return self.member(border, &name, size),
                Some(Parsed::Other { size, .. }) => {
                    self.unknown(border, size);
                    return Ok(());
                }
                Some(Parsed::Zeros) => return self.zeros(),
                None if is_zero(rest) => return self.zeros(),
                Some(Parsed::Garbage) | None => {}
            }
        }
        self.resync()
    }

    fn member(&mut self, header_at: u64, name: &str, size: u64) -> Result<(), ScanError> {
        let body = header_at + BLOCK_LEN;
        match role(name) {
            Role::Lines { signal, number, compression } => {
                let name = name.to_owned();
                let member = MemberRef { name, number, signal, compression, header_at, body: body..body };
                if compression == Compression::None {
                    return self.plain(member, size);
                }
                self.scan.members.push(member);
                self.at = body;
            }
            Role::Index => {
                self.index = self.table(body, size)?.and_then(index::decode).map_or(Index::Damaged, Index::Intact);
                self.pass(body, size);
            }
            Role::Manifest => {
                match self.table(body, size)?.map(read_manifest) {
                    Some(Ok(manifest)) => self.scan.manifest = manifest,
                    Some(Err(newer)) => self.scan.newer = Some(newer),
                    None => {}
                }
                self.pass(body, size);
            }
            Role::Unknown => self.unknown(header_at, size),
        }
        Ok(())
    }

    /// Goes behind a member that can be made again from the frames, as far as the file reaches.
    fn pass(&mut self, body: u64, size: u64) {
        let end = ustar::padded(size).and_then(|padded| body.checked_add(padded)).unwrap_or(u64::MAX);
        self.at = end.min(self.window.len()).max(body);
    }

    /// Returns the body of an index or manifest; `None` where the file ends before it does.
    fn table(&mut self, body: u64, size: u64) -> Result<Option<&[u8]>, ScanError> {
        if size > MAX_TABLE || body.checked_add(size).is_none_or(|end| end > self.window.len()) {
            return Ok(None);
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        Ok(self.window.fill(body, size)?.get(..size))
    }

    /// Leaves out a member that is none of ours.
    fn unknown(&mut self, header_at: u64, size: u64) {
        let body = header_at + BLOCK_LEN;
        let end = ustar::padded(size).and_then(|padded| body.checked_add(padded));
        // A size past the end may be anything: what follows the header is searched instead.
        self.at = end.filter(|&end| end <= self.window.len()).unwrap_or(body);
        self.gap(Gap { range: header_at..self.at, zeros: false });
    }

    /// Reads two entries, of lines and of their trailer; where they do not match, the first header is left out.
    fn plain(&mut self, mut member: MemberRef, size: u64) -> Result<(), ScanError> {
        let Some((span_end, trailer)) = self.plain_pair(&member, size)? else {
            self.at = member.body.start;
            self.gap(Gap { range: member.header_at..self.at, zeros: false });
            // Remembered without a body, so that a search knows that only headers can follow.
            self.scan.members.push(member);
            return Ok(());
        };
        member.body.end = member.body.start + size;
        let MemberRef { number, signal, header_at, .. } = member;
        let data = member.body.clone();
        self.scan.members.push(member);
        self.scan.frames.push(FrameRef { span: header_at..span_end, data, member: number, signal, trailer });
        (self.at, self.scan.data_end) = (span_end, span_end);
        Ok(())
    }

    fn plain_pair(&mut self, member: &MemberRef, size: u64) -> Result<Option<(u64, Trailer)>, ScanError> {
        let lines = member.body.start;
        let end = lines.checked_add(size).filter(|&end| end <= self.window.len() && size <= frame::MAX_RAW as u64);
        let Some(end) = end else { return Ok(None) };
        let crc = self.checksum(lines..end)?;
        let header_at = end.next_multiple_of(BLOCK_LEN);
        let bytes = self.window.fill(header_at, BLOCK + MAX_PAYLOAD)?;
        let Some((header, rest)) = bytes.split_first_chunk::<BLOCK>() else { return Ok(None) };
        let Parsed::File { name, size: payload_len } = ustar::parse(header) else { return Ok(None) };
        let expected = member.name.strip_suffix(".jsonl").map(|stem| format!("{stem}.frame"));
        let payload = usize::try_from(payload_len).ok().and_then(|len| rest.get(..len));
        let Some(payload) = payload.filter(|_| expected == Some(name)) else { return Ok(None) };
        let span_end = header_at + BLOCK_LEN + payload_len.next_multiple_of(BLOCK_LEN);
        match Trailer::decode(payload) {
            // Short padding (a torn last write) takes nothing from the frame.
            Ok(trailer) if trailer.data_crc == crc && u64::from(trailer.data_len) == size => {
                Ok(Some((span_end.min(self.window.len()), trailer)))
            }
            Err(TrailerError::Newer(version)) => {
                self.newer_frame.get_or_insert(Newer::Frame(version));
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Returns the CRC-32 of a range inside the file.
    fn checksum(&mut self, range: Range<u64>) -> Result<u32, ScanError> {
        let mut hasher = crc32fast::Hasher::new();
        let mut at = range.start;
        while at < range.end {
            let left = usize::try_from(range.end - at).unwrap_or(usize::MAX);
            let bytes = self.window.fill(at, left.min(PIECE))?;
            let piece = bytes.get(..left.min(bytes.len())).unwrap_or_default();
            if piece.is_empty() {
                break;
            }
            hasher.update(piece);
            at += piece.len() as u64;
        }
        Ok(hasher.finalize())
    }

    /// Passes over zeros: padding, the end mark, or what was never written.
    fn zeros(&mut self) -> Result<(), ScanError> {
        let from = self.at.next_multiple_of(BLOCK_LEN).min(self.window.len());
        let mut to = self.at;
        loop {
            let bytes = self.window.fill(to, PIECE)?;
            let n = bytes.iter().take(PIECE).take_while(|&&b| b == 0).count();
            to += n as u64;
            if n < PIECE {
                break;
            }
        }
        let at_end = to >= self.window.len();
        let n_zeros = to.saturating_sub(from);
        self.has_end = at_end && n_zeros >= 2 * BLOCK_LEN;
        // Up to two blocks at the end are an end mark, whole or torn.
        if !at_end || n_zeros > 2 * BLOCK_LEN {
            self.gap(Gap { range: from..to, zeros: true });
        }
        self.at = to;
        Ok(())
    }

    /// Looks for the next frame or header and leaves out what lies before it.
    fn resync(&mut self) -> Result<(), ScanError> {
        match self.search()? {
            Found::Frame(located) => {
                let start = self.at + located.span.start as u64;
                self.gap_before(start);
                self.frame(located);
            }
            Found::Header(at) => {
                self.gap_before(at);
                self.at = at;
            }
            Found::Nothing(n) => {
                let end = self.at + n;
                self.gap_before(end);
                self.at = end;
            }
            Found::Newer(newer, n) => {
                self.newer_frame.get_or_insert(newer);
                let end = self.at + n;
                self.gap_before(end);
                self.at = end;
            }
        }
        Ok(())
    }

    /// Finds what comes first, reading further ahead until it is certain.
    fn search(&mut self) -> Result<Found, ScanError> {
        let known = self.scan.members.last().map(|member| member.compression);
        let mut want = 2 * BLOCK;
        loop {
            let at = self.at;
            let bytes = self.window.fill(at, want)?;
            match first_of(known, bytes, at) {
                Found::Nothing(n) => {
                    let have = bytes.len();
                    if self.window.reaches_end() {
                        return Ok(Found::Nothing(n));
                    }
                    if known == Some(Compression::None) || is_zero(self.window.bytes(at)) {
                        // Up to the grid, so that a header at the window's end is not cut in two.
                        let end = (at + n) / BLOCK_LEN * BLOCK_LEN;
                        return Ok(Found::Nothing(end.saturating_sub(at).max(1)));
                    }
                    if have >= MAX_WINDOW {
                        return Ok(Found::Nothing((have - frame::MAX_FRAME) as u64));
                    }
                    want = (2 * have).clamp(WINDOW, MAX_WINDOW);
                }
                found => return Ok(found),
            }
        }
    }

    /// Takes a frame that lies at or after `at`.
    fn frame(&mut self, located: Located) {
        let at = self.at;
        let absolute = |range: Range<usize>| at + range.start as u64..at + range.end as u64;
        let (span, data) = (absolute(located.span), absolute(located.data));
        let (member, signal) = self.member_at(span.start, span.end);
        (self.at, self.scan.data_end) = (span.end, span.end);
        self.scan.frames.push(FrameRef { span, data, member, signal, trailer: located.trailer });
    }

    /// Extends the current member, or supposes one where its header was lost.
    fn member_at(&mut self, start: u64, end: u64) -> (u32, Signal) {
        if self.scan.members.is_empty() {
            let bytes = self.window.bytes(start);
            let gzip = bytes.starts_with(&[0x1f, 0x8b]);
            let compression = if gzip { Compression::Gzip } else { Compression::Zstd };
            let (number, signal) = (1, Signal::Traces);
            let name = data_member(signal, number, compression.ending());
            let member = MemberRef { name, number, signal, compression, header_at: start, body: start..start };
            self.scan.members.push(member);
        }
        match self.scan.members.last_mut() {
            Some(member) => {
                member.body.end = end;
                (member.number, member.signal)
            }
            None => (1, Signal::Traces),
        }
    }

    /// Leaves out what lies between `at` and `end`, both inside the window.
    fn gap_before(&mut self, end: u64) {
        let len = usize::try_from(end - self.at).unwrap_or(usize::MAX);
        let bytes = self.window.bytes(self.at).get(..len).unwrap_or_default();
        // Zeros up to the grid are the padding of what came before.
        let padding = ustar::padding(self.at);
        let padding = if bytes.get(..padding).is_some_and(is_zero) { padding } else { 0 };
        let (range, zeros) = (self.at + padding as u64..end, is_zero(bytes));
        self.gap(Gap { range, zeros });
    }

    fn gap(&mut self, gap: Gap) {
        if gap.range.is_empty() {
            return;
        }
        match self.scan.gaps.last_mut() {
            Some(last) if last.range.end == gap.range.start && last.zeros == gap.zeros => {
                last.range.end = gap.range.end;
            }
            _ => self.scan.gaps.push(gap),
        }
    }
}
