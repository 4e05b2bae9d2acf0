//! Any bytes as a protobuf request: never a panic, prost's verdict, and only lines that are JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use tracecapture::ids::Signal;
use tracecapture::otlp::{BadData, Encoding, Limits, Transcoder};

fuzz_target!(|body: &[u8]| {
    let mut segments = Vec::new();
    let limits = Limits { max_line_bytes: 2_000, segment_bytes: 5_000, ..Limits::default() };
    let ours = Transcoder::new(limits).transcode(Signal::Traces, Encoding::Protobuf, body, &mut segments);
    match (ours, TracesData::decode(body)) {
        (Ok(_), Err(error)) => {
            let text = error.to_string();
            assert!(text.contains("UTF-8") || text.contains("recursion"), "accepted what prost refuses: {text}");
        }
        (Err(BadData::TooDeep { .. }), _) | (Ok(_), Ok(_)) | (Err(_), Err(_)) => {}
        (Err(error), Ok(_)) => panic!("refused what prost accepts: {error}"),
    }
    for line in segments.iter().flat_map(|segment| segment.lines.split_inclusive(|&byte| byte == b'\n')) {
        assert_eq!(line.last(), Some(&b'\n'));
        let _: &serde_json::value::RawValue = serde_json::from_slice(line).expect("a line is JSON");
    }
});
