//! Any bytes as a JSON request: never a panic; what is read can be written, and reads back as the same lines.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracecapture::ids::Signal;
use tracecapture::otlp::{Encoding, Limits, Segment, Transcoder};

fuzz_target!(|body: &[u8]| {
    let Some(segments) = transcode(body) else { return };
    for line in segments.iter().flat_map(|segment| segment.lines.split_inclusive(|&byte| byte == b'\n')) {
        let again = transcode(line).expect("our own line is read");
        let again: Vec<u8> = again.into_iter().flat_map(|segment| segment.lines).collect();
        assert_eq!(again, line, "a canonical line is its own canonical form");
    }
});

fn transcode(body: &[u8]) -> Option<Vec<Segment>> {
    let mut segments = Vec::new();
    Transcoder::new(Limits::default()).transcode(Signal::Traces, Encoding::Json, body, &mut segments).ok()?;
    Some(segments)
}
