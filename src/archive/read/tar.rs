//! Walks a tar forward, block by block, believing no header before it is checked.

use std::io::Read;
use std::ops::Range;

use super::body::Body;
use super::event::{Event, Origin};
use super::session::{Ending, Flow, Session};
use crate::archive::frame::Compression;
use crate::archive::name::{ChunkName, MANIFEST_MEMBER};
use crate::archive::ustar::{self, BLOCK, BLOCK_LEN, Block, Parsed};

/// The longest body of a pax or GNU extension header: they hold names and times.
const MAX_EXTENSION: u64 = 1 << 20;

/// Bytes read at a time where they are only passed over.
const SKIP: usize = 64 * 1024;

/// How far a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// The end mark, as every tar program does.
    EndMark,
    /// The end of the file, because zeros in the middle of an unsealed chunk end nothing.
    EndOfFile,
}

impl Session<'_> {
    /// Reads a tar and ends the chunk that is open then.
    pub(super) fn tar(&mut self, input: &mut dyn Read, until: Until) -> Flow {
        let (mut at, mut n_zeros) = (0, 0);
        let mut block: Block = [0; BLOCK];
        loop {
            let n = self.fill(input, &mut block)?;
            if n < BLOCK {
                if n > 0 {
                    self.gap(at..at + n as u64, "a tar header is cut short")?;
                }
                break;
            }
            let parsed = ustar::parse(&block);
            if parsed == Parsed::Zeros {
                (at, n_zeros) = (at + BLOCK_LEN, n_zeros + 1);
                if n_zeros == 2 && until == Until::EndMark {
                    self.behind_the_end(at, input)?;
                    break;
                }
                continue;
            }
            if n_zeros > 0 {
                self.gap(at - n_zeros * BLOCK_LEN..at, "zeros where a tar header should be")?;
                n_zeros = 0;
            }
            at = match parsed {
                Parsed::File { name, size } => self.entry(&name, at, size, input)?,
                Parsed::Other { kind, size } => self.pass_over(kind, at, size, input)?,
                Parsed::Zeros | Parsed::Garbage => {
                    self.gap(at..at + BLOCK_LEN, "no tar header where one should be")?;
                    at + BLOCK_LEN
                }
            };
        }
        self.end(if n_zeros >= 2 { Ending::Marked } else { Ending::Unmarked })
    }

    /// Reads what follows the end mark, at `at`: tar programs write zeros there, and nobody anything else.
    ///
    /// A download that was resumed with the bytes of another snapshot may go on behind the mark of the first.
    fn behind_the_end(&mut self, mut at: u64, input: &mut dyn Read) -> Flow {
        let mut buffer = vec![0; SKIP];
        let mut strange: Option<Range<u64>> = None;
        // Read to its end, so that whoever writes into our pipe can write all of it.
        loop {
            let n = self.fill(input, &mut buffer)?;
            let read = buffer.get(..n).unwrap_or_default();
            if let Some((first, last)) = read.iter().position(|&b| b != 0).zip(read.iter().rposition(|&b| b != 0)) {
                let start = strange.map_or(at + first as u64, |known| known.start);
                strange = Some(start..at + last as u64 + 1);
            }
            at += n as u64;
            if n < SKIP {
                break;
            }
        }
        match strange {
            Some(span) => self.damage(span, "data behind the end of the tar"),
            None => Ok(()),
        }
    }

    /// Reads a regular member and returns where the next header is.
    fn entry(&mut self, name: &str, header_at: u64, size: u64, input: &mut dyn Read) -> Flow<u64> {
        self.count_entry()?;
        let mut body = Body::new(input, size);
        let (dir, base) = name.rsplit_once('/').unwrap_or(("", name));
        let stem = dir.rsplit('/').next().and_then(|last| last.parse::<ChunkName>().ok());
        if let Some(stem) = stem {
            self.enter(&stem, header_at)?;
            self.member(base, header_at, &mut body)?;
        } else if base == MANIFEST_MEMBER && self.entries() == 1 {
            self.member_origin = Origin::Bundle;
            if let Some(manifest) = self.small(&mut body, header_at, "the bundle's manifest")? {
                self.check_format(&manifest)?;
                self.tell(Event::BundleManifest(&manifest))?;
            }
        } else if let Some(compression) = Compression::of_name(base) {
            self.enter_foreign()?;
            self.lines_of(name, compression, &mut body)?;
        }
        self.leave(header_at + BLOCK_LEN, size, body)
    }

    /// Passes over a member that is no regular file.
    fn pass_over(&mut self, kind: u8, header_at: u64, size: u64, input: &mut dyn Read) -> Flow<u64> {
        self.count_entry()?;
        // pax (`x`, `g`) and GNU (`L`, `K`) extensions are not believed, so only their length matters.
        if matches!(kind, b'x' | b'g' | b'L' | b'K') && size > MAX_EXTENSION {
            self.gap(header_at..header_at + BLOCK_LEN, format!("a tar extension header claims {size} bytes"))?;
            return Ok(header_at + BLOCK_LEN);
        }
        self.leave(header_at + BLOCK_LEN, size, Body::new(input, size))
    }

    /// Reads what is left of a body, and its padding.
    fn leave(&mut self, body_at: u64, size: u64, mut body: Body<'_>) -> Flow<u64> {
        let mut skipped = vec![0; SKIP.min(usize::try_from(body.left).unwrap_or(SKIP))];
        while body.left > 0 && self.fill(&mut body, &mut skipped)? > 0 {}
        let end = body_at + size;
        if body.left > 0 {
            let cut = end - body.left;
            self.gap(cut..cut, "a tar member is cut short")?;
            return Ok(cut);
        }
        let mut padding = [0; BLOCK];
        let padding = padding.get_mut(..ustar::padding(size)).unwrap_or_default();
        let n = self.fill(body.input, padding)?;
        if padding.iter().any(|&b| b != 0) {
            self.gap(end..end + n as u64, "data behind the end of a tar member")?;
        }
        Ok(end + n as u64)
    }

    /// Makes `stem` the open chunk.
    fn enter(&mut self, stem: &ChunkName, header_at: u64) -> Flow {
        let stem = stem.to_string();
        if self.chunk.as_ref().is_some_and(|chunk| chunk.name == stem) {
            return Ok(());
        }
        self.end(Ending::Marked)?;
        self.begin(&stem, self.member_origin, header_at)
    }

    /// Makes foreign data the open chunk.
    fn enter_foreign(&mut self) -> Flow {
        if self.chunk.as_ref().is_some_and(|chunk| chunk.origin == Origin::Foreign) {
            return Ok(());
        }
        self.end(Ending::Marked)?;
        let name = self.source.clone();
        self.begin(&name, Origin::Foreign, 0)
    }
}
