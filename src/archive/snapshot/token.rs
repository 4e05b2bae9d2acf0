//! The text that a snapshot is found again with: self-describing, so that no server has to remember it.
//!
//! URL-safe base64 without padding of: version (1 byte), mark of capture and scope (4), digest (16),
//! then per run of chunks with consecutive sequence numbers: hash of writer and incarnation (4),
//! first sequence number, twice the number of chunks plus 1 where the last of them was growing, and
//! in that case the length at which it was frozen, 0 where its file could not be read. The numbers
//! are LEB128.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{Context, SHA256};
use thiserror::Error;

use super::chunk::FrozenChunk;
use super::digest::{DIGEST_LEN, hash_text, head};
use crate::archive::name::ChunkName;

/// The longest token in characters: it travels in response headers and URLs, which servers and proxies limit to 8 KiB.
pub const MAX_TOKEN_LEN: usize = 4096;

/// The version of the encoding.
const VERSION: u8 = 1;

/// The most chunks that a token may name; a text of a few bytes must not make a loop of billions.
const MAX_CHUNKS: u64 = 1 << 20;

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a snapshot token of this program")]
pub struct InvalidToken;

/// Consecutive chunks of one life of a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Run {
    /// [`writer_hash`] of the chunks.
    pub(crate) writer: [u8; 4],
    /// The first one's sequence number.
    pub(crate) first: u32,
    /// How many chunks; at least one.
    pub(crate) count: u32,
    /// The length at which the last one was frozen, where it was growing.
    pub(crate) grown_to: Option<u64>,
}

/// Names a snapshot; holds no secret and gives no access.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Token {
    mark: [u8; 4],
    digest: [u8; DIGEST_LEN],
    runs: Vec<Run>,
}

impl Token {
    /// Makes the token of these chunks; `None` where it would be longer than [`MAX_TOKEN_LEN`].
    pub(super) fn of(mark: [u8; 4], digest: [u8; DIGEST_LEN], chunks: &[FrozenChunk]) -> Option<Self> {
        // Several writers' chunks are interleaved by time, so runs are found in the order of writers.
        let mut sorted: Vec<_> =
            chunks.iter().map(|chunk| (writer_hash(&chunk.name), chunk.name.sequence(), chunk.grown_to)).collect();
        sorted.sort_unstable();
        let mut runs: Vec<Run> = Vec::new();
        for (writer, sequence, grown_to) in sorted {
            let last = runs.last_mut().filter(|run| {
                run.writer == writer && run.grown_to.is_none() && run.first.checked_add(run.count) == Some(sequence)
            });
            match last {
                Some(run) => (run.count, run.grown_to) = (run.count + 1, grown_to),
                None => runs.push(Run { writer, first: sequence, count: 1, grown_to }),
            }
        }
        let token = Self { mark, digest, runs };
        (token.encode().len() <= MAX_TOKEN_LEN && chunks.len() as u64 <= MAX_CHUNKS).then_some(token)
    }

    /// Returns the mark of the capture and scope that the token was made for.
    pub(crate) fn mark(&self) -> [u8; 4] {
        self.mark
    }

    /// Returns the digest that the snapshot found again must have.
    pub(crate) fn digest(&self) -> [u8; DIGEST_LEN] {
        self.digest
    }

    /// Returns which chunks the snapshot consists of.
    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }

    fn encode(&self) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.mark);
        bytes.extend_from_slice(&self.digest);
        for Run { writer, first, count, grown_to } in &self.runs {
            bytes.extend_from_slice(writer);
            put_number(&mut bytes, u64::from(*first));
            put_number(&mut bytes, u64::from(*count) * 2 + u64::from(grown_to.is_some()));
            if let Some(len) = grown_to {
                put_number(&mut bytes, *len);
            }
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn decode(mut rest: &[u8]) -> Option<Self> {
        let cursor = &mut rest;
        if take::<1>(cursor)? != [VERSION] {
            return None;
        }
        let (mark, digest) = (take(cursor)?, take(cursor)?);
        let (mut runs, mut total) = (Vec::new(), 0);
        while !cursor.is_empty() {
            let writer = take(cursor)?;
            let first = u32::try_from(number(cursor)?).ok()?;
            let counted = number(cursor)?;
            let count = u32::try_from(counted / 2).ok().filter(|&count| count > 0)?;
            first.checked_add(count - 1)?;
            total += u64::from(count);
            let grown_to = if counted % 2 == 1 { Some(number(cursor)?) } else { None };
            runs.push(Run { writer, first, count, grown_to });
        }
        (total <= MAX_CHUNKS).then_some(Self { mark, digest, runs })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.encode())
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        if text.len() > MAX_TOKEN_LEN {
            return Err(InvalidToken);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidToken)?;
        let token = Self::decode(&bytes).ok_or(InvalidToken)?;
        // One token has one spelling: entity tags are compared as text.
        if token.encode() == text { Ok(token) } else { Err(InvalidToken) }
    }
}

/// Returns the short form of a chunk's writer and incarnation; the token's digest tells a rare clash.
pub(crate) fn writer_hash(chunk: &ChunkName) -> [u8; 4] {
    let mut context = Context::new(&SHA256);
    hash_text(&mut context, chunk.writer().as_str());
    hash_text(&mut context, &chunk.incarnation().to_string());
    head(&context.finish())
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0);
        number >>= 7;
        out.push(if number == 0 { low } else { low | 0x80 });
        if number == 0 {
            return;
        }
    }
}

fn number(cursor: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = take::<1>(cursor)?;
        let part = u64::from(byte & 0x7f);
        if part << shift >> shift != part {
            return None;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take<const N: usize>(cursor: &mut &[u8]) -> Option<[u8; N]> {
    let (first, tail) = cursor.split_first_chunk::<N>()?;
    *cursor = tail;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::snapshot::{Counts, Filter, Scope, Snapshot, Taken};
    use crate::clock::Timestamp;
    use crate::ids::{CaptureId, Incarnation};
    use proptest::prelude::*;

    fn chunk(writer: u16, sequence: u32, grown_to: Option<u64>) -> FrozenChunk {
        let started = Timestamp::from_unix_nanos(u64::from(sequence) * 1_000_000_000);
        let name = ChunkName::new(started, "local".parse().unwrap(), Incarnation(writer), sequence);
        FrozenChunk { name, grown_to, taken: Taken::Whole { content_len: 512 }, counts: Counts::default() }
    }

    fn snapshot(chunks: Vec<FrozenChunk>) -> Snapshot {
        let capture = CaptureId::new("default", "local").unwrap();
        Snapshot::new(&capture, Scope::Bundle(Filter::default()), chunks)
    }

    #[test]
    fn a_thousand_chunks_of_one_writer_take_a_short_token() {
        let chunks = (1..=1_000).map(|n| chunk(7, n, (n == 1_000).then_some(1 << 30))).collect();
        assert!(snapshot(chunks).token().unwrap().to_string().len() < 60);
    }

    #[test]
    fn more_runs_than_fit_give_no_token() {
        let scattered = (0..5_000).map(|n| chunk(7, n * 2, None)).collect();
        assert_eq!(snapshot(scattered).token(), None);
    }

    #[test]
    fn refuses_what_is_no_token() {
        let good = snapshot(vec![chunk(1, 1, None)]).token().unwrap().to_string();
        let huge_run = URL_SAFE_NO_PAD.encode([&[VERSION; 25][..], &[1, 0xfe, 0xff, 0xff, 0xff, 0x0f]].concat());
        for text in ["", "AA", "*", &format!("{good}="), &good[1..], &huge_run, &"A".repeat(5_000)] {
            assert_eq!(text.parse::<Token>(), Err(InvalidToken), "{text}");
        }
    }

    #[test]
    fn another_length_or_filter_is_another_token() {
        let one = snapshot(vec![chunk(1, 1, Some(100))]);
        assert_ne!(one.token(), snapshot(vec![chunk(1, 1, Some(101))]).token());
        let capture = CaptureId::new("default", "local").unwrap();
        let filter = Filter { service: Some(String::new()), ..Filter::default() };
        let other = Snapshot::new(&capture, Scope::Bundle(filter), one.chunks.clone());
        assert_ne!(one.token(), other.token());
        assert_ne!(one.token().unwrap().mark(), other.token().unwrap().mark());
    }

    proptest! {
        #[test]
        fn every_token_survives_its_text(
            picks in proptest::collection::btree_map((0_u16..3, 0_u32..40), proptest::option::of(0_u64..1 << 40), 0..60),
        ) {
            let chunks: Vec<_> = picks.into_iter().map(|((w, n), grown_to)| chunk(w, n, grown_to)).collect();
            let n_chunks = chunks.len();
            let snapshot = snapshot(chunks);
            let token = snapshot.token().unwrap();
            prop_assert_eq!(&token.to_string().parse::<Token>().unwrap(), token);
            prop_assert_eq!(token.runs().iter().map(|run| run.count as usize).sum::<usize>(), n_chunks);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[A-Za-z0-9_-]{0,80}") {
            let _ = text.parse::<Token>();
        }
    }
}
