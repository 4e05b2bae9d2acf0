//! Chunks made byte by byte from the format's vocabulary, so that a test can also make wrong ones.

use tracecapture::archive::frame::{Compression, Encoder};
use tracecapture::archive::index::{self, FrameRef};
use tracecapture::archive::manifest::{Manifest, SealedBy};
use tracecapture::archive::name::{ChunkName, ChunkState, INDEX_MEMBER, MANIFEST_MEMBER, data_member};
use tracecapture::archive::trailer::Facts;
use tracecapture::archive::ustar;
use tracecapture::clock::Timestamp;
use tracecapture::ids::{Incarnation, Signal, TraceId};
use tracecapture::otlp::Segment;

/// The instant at which test chunks begin: 2026-11-21T10:00:00Z.
pub(crate) const BEGIN: u64 = 1_795_255_200;

/// One span, told by what the tools look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span<'a> {
    pub(crate) service: &'a str,
    pub(crate) name: &'a str,
    pub(crate) trace: u128,
    /// Seconds after [`BEGIN`].
    pub(crate) start: u64,
    pub(crate) nanos: u64,
    pub(crate) is_error: bool,
}

pub(crate) const SPAN: Span<'static> =
    Span { service: "shop", name: "GET /cart", trace: 1, start: 0, nanos: 1_000_000, is_error: false };

impl Span<'_> {
    pub(crate) fn line(&self) -> String {
        let start = (BEGIN + self.start) * 1_000_000_000;
        let span = serde_json::json!({
            "traceId": format!("{:032x}", self.trace),
            "spanId": "00000000000000aa",
            "name": self.name,
            "kind": 2,
            "startTimeUnixNano": start.to_string(),
            "endTimeUnixNano": (start + self.nanos).to_string(),
            "status": if self.is_error { serde_json::json!({"code": 2}) } else { serde_json::json!({}) },
        });
        let service = serde_json::json!({"key": "service.name", "value": {"stringValue": self.service}});
        let line = serde_json::json!({"resourceSpans": [
            {"resource": {"attributes": [service]}, "scopeSpans": [{"spans": [span]}]}
        ]});
        format!("{line}\n")
    }

    pub(crate) fn segment(&self) -> Segment {
        let start = Timestamp::from_unix_nanos((BEGIN + self.start) * 1_000_000_000);
        let end = Timestamp::from_unix_nanos(start.as_unix_nanos() + self.nanos);
        Segment {
            lines: self.line().into_bytes(),
            line_count: 1,
            items: 1,
            times: Some((start, end)),
            services: vec![self.service.to_owned()],
            has_other_services: false,
            trace_ids: TraceId::from_bytes(&self.trace.to_be_bytes()).into_iter().collect(),
        }
    }
}

/// Returns the name of the `n`th test chunk.
pub(crate) fn chunk_name(n: u32) -> ChunkName {
    let started = Timestamp::from_unix_nanos((BEGIN + u64::from(n) * 60) * 1_000_000_000);
    ChunkName::new(started, "local".parse().unwrap(), Incarnation(0x7f3a), n)
}

/// A chunk and where its parts are.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    pub(crate) name: ChunkName,
    /// The file, without index and what follows it.
    pub(crate) open: Vec<u8>,
    pub(crate) frames: Vec<FrameRef>,
    pub(crate) sealed_by: SealedBy,
}

impl Built {
    /// Makes a chunk with one frame per group of spans, two frames per member.
    pub(crate) fn new(n: u32, compression: Compression, groups: &[&[Span<'_>]]) -> Self {
        let mut built = Self { name: chunk_name(n), open: Vec::new(), frames: Vec::new(), sealed_by: SealedBy::Writer };
        let mut encoder = Encoder::new(compression).unwrap();
        for (at, member) in groups.chunks(if compression == Compression::None { 1 } else { 2 }).enumerate() {
            built.member(&mut encoder, u32::try_from(at + 1).unwrap(), member);
        }
        built
    }

    fn member(&mut self, encoder: &mut Encoder, number: u32, groups: &[&[Span<'_>]]) {
        let compression = encoder.compression();
        let header_at = self.open.len() as u64;
        let body_at = header_at + ustar::BLOCK_LEN;
        let mut body = Vec::new();
        for group in groups {
            let segments: Vec<Segment> = group.iter().map(Span::segment).collect();
            let lines: Vec<u8> = segments.iter().flat_map(|segment| segment.lines.clone()).collect();
            let facts = Facts::of(&segments.iter().collect::<Vec<_>>());
            let sequence = u32::try_from(self.frames.len()).unwrap();
            let from = body.len() as u64;
            let trailer = encoder.encode(&lines, facts, sequence, &mut body).unwrap();
            let end = body_at + body.len() as u64;
            let len = u64::from(trailer.data_len);
            let start = match compression {
                Compression::Zstd | Compression::None => body_at + from,
                Compression::Gzip => end - len,
            };
            let span = body_at + from..end;
            let frame = FrameRef { span, data: start..start + len, member: number, signal: Signal::Traces, trailer };
            self.frames.push(frame);
        }
        append(&mut self.open, &self.name.member(&data_member(Signal::Traces, number, compression.ending())), &body);
        if compression == Compression::None {
            let frame = self.frames.last_mut().unwrap();
            let mut payload = Vec::new();
            frame.trailer.encode(&mut payload);
            append(&mut self.open, &self.name.member(&format!("traces-{number:06}.frame")), &payload);
            frame.span = header_at..self.open.len() as u64;
        }
    }

    /// Returns the file of the sealed chunk.
    pub(crate) fn sealed(&self) -> Vec<u8> {
        let mut tar = self.members();
        tar.extend_from_slice(&ustar::END);
        tar
    }

    /// Returns the sealed chunk without its end mark, as a bundle holds it.
    pub(crate) fn members(&self) -> Vec<u8> {
        let mut tar = self.open.clone();
        let sealed = Timestamp::from_unix_nanos(BEGIN * 1_000_000_000);
        let manifest =
            Manifest::of(&self.name, &self.frames, self.open.len() as u64, sealed, self.sealed_by, Vec::new());
        append(&mut tar, &self.name.member(INDEX_MEMBER), &index::encode(&self.frames));
        append(&mut tar, &self.name.member(MANIFEST_MEMBER), &manifest.to_json());
        tar
    }

    pub(crate) fn file(&self, state: ChunkState) -> String {
        self.name.file_name(state)
    }
}

/// Appends a member to a tar.
pub(crate) fn append(tar: &mut Vec<u8>, name: &str, body: &[u8]) {
    tar.extend_from_slice(&ustar::header(name, body.len() as u64, BEGIN).unwrap());
    tar.extend_from_slice(body);
    tar.resize(tar.len() + ustar::padding(body.len() as u64), 0);
}

/// Makes a bundle of chunks.
pub(crate) fn bundle(chunks: &[Vec<u8>]) -> Vec<u8> {
    bundle_with("{\"format\":1}", chunks)
}

/// Returns a bundle of chunks whose manifest has this text.
pub(crate) fn bundle_with(manifest: &str, chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut tar = Vec::new();
    append(&mut tar, MANIFEST_MEMBER, format!("{manifest}\n").as_bytes());
    for chunk in chunks {
        tar.extend_from_slice(chunk);
    }
    tar.extend_from_slice(&ustar::END);
    tar
}
