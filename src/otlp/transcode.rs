//! Turns whole requests, in either encoding, into segments.

use super::batch::{BadData, Encoding, HIGHEST_DEPTH, Limits, Report, Room, Segment, Unbounded};
use super::wire::Stop;
use super::{json, schema, walk};
use crate::ids::Signal;

/// A buffer that grew beyond this for one huge request is given back after it.
const KEPT_BUFFER_BYTES: usize = 4 << 20;

/// Turns request bodies into segments, reusing its buffers from call to call.
#[derive(Debug, Default)]
pub struct Transcoder {
    limits: Limits,
    /// A JSON request as protobuf.
    protobuf: Vec<u8>,
}

impl Transcoder {
    /// Makes a transcoder with these limits; `max_depth` is cut to 128.
    pub fn new(limits: Limits) -> Self {
        let max_depth = limits.max_depth.min(HIGHEST_DEPTH);
        Self { limits: Limits { max_depth, ..limits }, protobuf: Vec::new() }
    }

    /// Appends the canonical lines of a request's body to `segments`.
    ///
    /// # Errors
    /// [`BadData`]; `segments` is then as it was.
    pub fn transcode(
        &mut self,
        signal: Signal,
        encoding: Encoding,
        body: &[u8],
        segments: &mut Vec<Segment>,
    ) -> Result<Report, BadData> {
        self.transcode_within(&mut Unbounded, (signal, encoding, body), segments)
    }

    /// Does the same with memory from `room`, asked for in steps as the lines grow.
    ///
    /// What was taken is not given back here: [`Segment::held_bytes`] is what of it is still in use.
    ///
    /// # Errors
    /// [`BadData`], [`NoRoom`](BadData::NoRoom) among them; `segments` is then as it was.
    pub fn transcode_within(
        &mut self,
        room: &mut dyn Room,
        (signal, encoding, body): (Signal, Encoding, &[u8]),
        segments: &mut Vec<Segment>,
    ) -> Result<Report, BadData> {
        let before = segments.len();
        let result = match encoding {
            Encoding::Protobuf => walk::transcode(schema::of(signal), body, self.limits, (segments, room)),
            Encoding::Json => self.transcode_json(signal, body, (segments, room)),
        };
        if self.protobuf.capacity() > KEPT_BUFFER_BYTES {
            self.protobuf = Vec::new();
        }
        result.map_err(|stop| {
            segments.truncate(before);
            BadData::new(encoding, stop, self.limits.max_depth)
        })
    }

    fn transcode_json(
        &mut self,
        signal: Signal,
        body: &[u8],
        (segments, room): (&mut Vec<Segment>, &mut dyn Room),
    ) -> Result<Report, Stop> {
        self.protobuf.clear();
        let schema = schema::of(signal);
        // Nearly always shorter than the JSON; what is more is taken once it is known.
        let mut take = |more: usize| if more == 0 || room.take(more) { Ok(()) } else { Err(Stop::NoRoom) };
        take(body.len())?;
        let read = json::read(schema.request, body, self.limits.max_depth, &mut self.protobuf)?;
        take(self.protobuf.capacity().saturating_sub(body.len().max(KEPT_BUFFER_BYTES)))?;
        let mut report = walk::transcode(schema, &self.protobuf, self.limits, (segments, room))?;
        report.repaired_strings += read.repaired_strings;
        report.snake_case_keys = read.snake_case_keys && report.accepted == 0 && report.rejected == 0;
        Ok(report)
    }
}

/// Appends a line of OTLP JSON to `protobuf`, as a message of the signal's request.
///
/// Some lengths are padded to a fixed size, which every protobuf reader accepts. Span rules are not applied.
///
/// # Errors
/// [`BadData`] where the line is no OTLP JSON; `protobuf` is then as it was.
pub fn json_line_to_protobuf(signal: Signal, line: &[u8], protobuf: &mut Vec<u8>) -> Result<(), BadData> {
    let before = protobuf.len();
    json::read(schema::of(signal).request, line, HIGHEST_DEPTH, protobuf).map(drop).map_err(|stop| {
        protobuf.truncate(before);
        BadData::new(Encoding::Json, stop, HIGHEST_DEPTH)
    })
}
