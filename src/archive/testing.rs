//! Makes the bytes of chunks for tests, whole or as a crash leaves them.

#![expect(clippy::cast_possible_truncation, reason = "test chunks are small and well formed")]

use super::frame::{Compression, Encoder};
use super::index::{self, FrameRef};
use super::manifest::{Manifest, SealedBy};
use super::name::{ChunkName, INDEX_MEMBER, MANIFEST_MEMBER, data_member};
use super::trailer::Facts;
use super::ustar::{self, BLOCK};
use crate::clock::Timestamp;
use crate::ids::{Incarnation, Signal, TraceId};
use crate::otlp::Segment;

/// A chunk's name for tests; a later `second` makes a younger chunk.
pub(crate) fn chunk(writer: &str, incarnation: u16, second: u64) -> ChunkName {
    let started = Timestamp::from_unix_nanos((1_795_257_045 + second) * 1_000_000_000);
    ChunkName::new(started, writer.parse().unwrap(), Incarnation(incarnation), 1)
}

/// The lines of frame `n`, different for each.
pub(crate) fn lines(n: u32) -> Vec<u8> {
    (0..20 + n).flat_map(|line| format!("{{\"frame\":{n},\"line\":{line}}}\n").into_bytes()).collect()
}

/// A chunk being made: members of frames, then what a seal adds.
pub(crate) struct Build {
    pub(crate) name: ChunkName,
    pub(crate) compression: Compression,
    pub(crate) bytes: Vec<u8>,
    pub(crate) frames: Vec<FrameRef>,
    members: u32,
    encoder: Encoder,
}

impl Build {
    pub(crate) fn new(name: ChunkName, compression: Compression) -> Self {
        let encoder = Encoder::new(compression).unwrap();
        Self { name, compression, bytes: Vec::new(), frames: Vec::new(), members: 0, encoder }
    }

    /// Appends a member of `n_frames` frames, or as many pairs of entries without compression.
    pub(crate) fn member(mut self, n_frames: u32) -> Self {
        if self.compression == Compression::None {
            (0..n_frames).for_each(|_| self.pair());
            return self;
        }
        let (header_at, first) = (self.bytes.len(), self.frames.len());
        self.members += 1;
        let mut body = Vec::new();
        for _ in 0..n_frames {
            let (start, sequence) = (body.len(), self.frames.len() as u32);
            let trailer = self.encoder.encode(&lines(sequence), facts(sequence), sequence, &mut body).unwrap();
            let base = (header_at + BLOCK) as u64;
            let span = base + start as u64..base + body.len() as u64;
            let data = match self.compression {
                Compression::Gzip => span.end - u64::from(trailer.data_len)..span.end,
                _ => span.start..span.start + u64::from(trailer.data_len),
            };
            let (member, signal) = (self.members, Signal::Traces);
            self.frames.push(FrameRef { span, data, member, signal, trailer });
        }
        let name = data_member(Signal::Traces, self.members, self.compression.ending());
        self.entry(&name, &body);
        assert_eq!(self.frames.len() - first, n_frames as usize);
        self
    }

    fn pair(&mut self) {
        let (start, sequence) = (self.bytes.len() as u64, self.frames.len() as u32);
        self.members += 1;
        let (mut text, mut payload) = (Vec::new(), Vec::new());
        let trailer = self.encoder.encode(&lines(sequence), facts(sequence), sequence, &mut text).unwrap();
        trailer.encode(&mut payload);
        let name = data_member(Signal::Traces, self.members, "");
        self.entry(&name, &text);
        self.entry(&name.replace(".jsonl", ".frame"), &payload);
        let data = start + 512..start + 512 + text.len() as u64;
        let (member, signal) = (self.members, Signal::Traces);
        self.frames.push(FrameRef { span: start..self.bytes.len() as u64, data, member, signal, trailer });
    }

    pub(crate) fn entry(&mut self, name: &str, body: &[u8]) {
        let modified = self.name.started().as_unix_nanos() / 1_000_000_000;
        let header = ustar::header(&self.name.member(name), body.len() as u64, modified).unwrap();
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(body);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
    }

    /// Appends index and manifest; the end mark is left to the caller.
    pub(crate) fn tables(mut self) -> Self {
        let data_bytes = self.bytes.len() as u64;
        let sealed = Timestamp::from_unix_nanos(self.name.started().as_unix_nanos() + 5_000_000_000);
        let manifest = Manifest::of(&self.name, &self.frames, data_bytes, sealed, SealedBy::Writer, Vec::new());
        self.entry(INDEX_MEMBER, &index::encode(&self.frames));
        self.entry(MANIFEST_MEMBER, &manifest.to_json());
        self
    }

    /// Appends all that makes a chunk complete.
    pub(crate) fn sealed(self) -> Self {
        let mut sealed = self.tables();
        sealed.bytes.extend_from_slice(&ustar::END);
        sealed
    }
}

fn facts(sequence: u32) -> Facts {
    let start = Timestamp::from_unix_nanos(u64::from(sequence) * 10 + 1);
    let segment = Segment {
        lines: Vec::new(),
        line_count: 20 + sequence,
        items: 40 + sequence,
        times: Some((start, Timestamp::from_unix_nanos(start.as_unix_nanos() + 5))),
        services: vec![format!("service-{sequence}")],
        has_other_services: false,
        trace_ids: TraceId::from_bytes(&(u128::from(sequence) + 1).to_be_bytes()).into_iter().collect(),
    };
    Facts::of(&[&segment])
}
