//! The transcoder against the generated types of `opentelemetry-proto`: decoding by prost, JSON by serde.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

mod otlp_support;

use opentelemetry_proto::tonic::trace::v1::TracesData;
use otlp_support::{canonical, request};
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message as _;
use tracecapture::ids::Signal;
use tracecapture::otlp::{BadData, Encoding, Limits, Report, Segment, Transcoder, json_line_to_protobuf};

fn transcode(encoding: Encoding, body: &[u8], limits: Limits) -> Result<(Vec<Segment>, Report), BadData> {
    let mut segments = Vec::new();
    let report = Transcoder::new(limits).transcode(Signal::Traces, encoding, body, &mut segments)?;
    Ok((segments, report))
}

fn lines(segments: &[Segment]) -> Vec<&[u8]> {
    segments.iter().flat_map(|segment| segment.lines.split_inclusive(|&byte| byte == b'\n')).collect()
}

/// Reads lines back through our JSON reader and prost: unlike serde's, this way loses nothing.
fn read_back(segments: &[Segment]) -> TracesData {
    let mut protobuf = Vec::new();
    for line in lines(segments) {
        json_line_to_protobuf(Signal::Traces, line, &mut protobuf).unwrap();
    }
    TracesData::decode(protobuf.as_slice()).unwrap()
}

// Encodings are compared, for a NaN is not equal to itself.
fn check_same(ours: &TracesData, theirs: TracesData) {
    let theirs = canonical(theirs);
    assert!(ours.encode_to_vec() == theirs.encode_to_vec(), "ours {ours:#?}\ntheirs {theirs:#?}");
}

fn check_consistent(segments: &[Segment], report: &Report) {
    let items: u64 = segments.iter().map(|segment| u64::from(segment.items)).sum();
    assert_eq!(items, report.accepted);
    for segment in segments {
        let lines = lines(std::slice::from_ref(segment));
        assert_eq!(lines.len(), segment.line_count as usize);
        let mut seen = Vec::new();
        for line in lines {
            let value: TracesData = read_line(line);
            assert_eq!(value.resource_spans.len(), 1, "one line holds one group");
            seen.extend(tracecapture::otlp::lines::services(line).unwrap());
        }
        assert!(segment.services.iter().all(|service| seen.contains(service)), "{:?} {seen:?}", segment.services);
        assert!(seen.iter().all(|service| segment.services.contains(service)), "{:?} {seen:?}", segment.services);
    }
}

fn read_line(line: &[u8]) -> TracesData {
    let mut protobuf = Vec::new();
    json_line_to_protobuf(Signal::Traces, line, &mut protobuf).unwrap();
    TracesData::decode(protobuf.as_slice()).unwrap()
}

/// Checks any bytes against prost: the same verdict and the same data, but for text that is no UTF-8.
fn check_against_prost(body: &[u8]) {
    let ours = transcode(Encoding::Protobuf, body, Limits::default());
    match (TracesData::decode(body), ours) {
        (Ok(theirs), Ok((segments, report))) => {
            check_consistent(&segments, &report);
            check_same(&read_back(&segments), theirs);
        }
        (Err(_), Err(_)) => {}
        (Err(error), Ok((segments, report))) => {
            assert!(error.to_string().contains("UTF-8"), "accepted what prost refuses: {error}");
            check_consistent(&segments, &report);
        }
        (Ok(_), Err(error)) => panic!("refused what prost accepts: {error}"),
    }
}

/// Splits a message into its fields, tag included; `None` where the bytes are no message.
fn split(message: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = message;
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let start = rest;
        let (number, wire) = prost::encoding::decode_key(&mut rest).ok()?;
        prost::encoding::skip_field(wire, number, &mut rest, prost::encoding::DecodeContext::default()).ok()?;
        fields.push(start[..start.len() - rest.len()].to_vec());
    }
    Some(fields)
}

/// Rebuilds a message down to `depth` levels with its fields rearranged and some of them twice.
fn scramble(message: &[u8], depth: u32, seed: &mut u64) -> Vec<u8> {
    let mut next = |bound: usize| {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*seed >> 33).unwrap() % bound
    };
    let mut parts = split(message).unwrap();
    for _ in 0..parts.len().div_ceil(2) {
        let (from, to) = (next(parts.len()), next(parts.len()));
        match next(4) {
            0 => parts.push(parts[from].clone()),
            1 => parts.swap(from, to),
            _ => {}
        }
    }
    if depth == 0 {
        return parts.concat();
    }
    parts.into_iter().flat_map(|part| rebuild(&part, depth, seed)).collect()
}

// Only what reads as a message is taken apart; a string that happens to is still a field of its length.
fn rebuild(part: &[u8], depth: u32, seed: &mut u64) -> Vec<u8> {
    let mut rest = part;
    let (number, wire) = prost::encoding::decode_key(&mut rest).unwrap();
    if wire != prost::encoding::WireType::LengthDelimited {
        return part.to_vec();
    }
    prost::encoding::decode_varint(&mut rest).unwrap();
    let Some(_) = split(rest) else { return part.to_vec() };
    let inner = scramble(rest, depth - 1, seed);
    let mut whole = Vec::new();
    prost::encoding::encode_key(number, wire, &mut whole);
    prost::encoding::encode_varint(inner.len() as u64, &mut whole);
    whole.extend(inner);
    whole
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn lines_say_what_the_request_says(request in request()) {
        let body = request.encode_to_vec();
        check_against_prost(&body);
        let (segments, _) = transcode(Encoding::Protobuf, &body, Limits::default()).unwrap();
        for line in lines(&segments) {
            let (again, _) = transcode(Encoding::Json, line, Limits::default()).unwrap();
            prop_assert_eq!(lines(&again), [line], "a canonical line is its own canonical form");
        }
        let mut read = TracesData::default();
        for line in lines(&segments) {
            let line: TracesData = serde_json::from_slice(line).unwrap();
            read.resource_spans.extend(line.resource_spans);
        }
        check_same(&read, request);
    }

    #[test]
    fn json_of_another_encoder_gives_the_same_lines(request in request()) {
        let json = serde_json::to_vec(&request).unwrap();
        let (segments, report) = transcode(Encoding::Json, &json, Limits::default()).unwrap();
        check_consistent(&segments, &report);
        check_same(&read_back(&segments), request.clone());
        let (others, other) = transcode(Encoding::Protobuf, &request.encode_to_vec(), Limits::default()).unwrap();
        prop_assert_eq!(report, other);
        prop_assert_eq!(segments.len(), others.len());
        for (a, b) in segments.iter().zip(&others) {
            prop_assert_eq!((&a.services, &a.trace_ids, a.times), (&b.services, &b.trace_ids, b.times));
        }
    }

    #[test]
    fn our_protobuf_of_any_json_is_what_serde_reads(request in request()) {
        let json = serde_json::to_vec(&request).unwrap();
        let mut protobuf = Vec::new();
        json_line_to_protobuf(Signal::Traces, &json, &mut protobuf).unwrap();
        check_same(&canonical(TracesData::decode(protobuf.as_slice()).unwrap()), request);
    }

    #[test]
    fn r37_fields_in_any_order_and_twice_mean_what_prost_says(request in request(), seed: u64, depth in 1..9_u32) {
        let mut seed = seed;
        check_against_prost(&scramble(&request.encode_to_vec(), depth, &mut seed));
    }

    #[test]
    fn r37_two_encodings_in_a_row_merge(a in request(), b in request()) {
        check_against_prost(&[a.encode_to_vec(), b.encode_to_vec()].concat());
        let merge = |a: &TracesData, b: &TracesData| {
            let groups = a.resource_spans.iter().zip(&b.resource_spans);
            groups.map(|(a, b)| [a.encode_to_vec(), b.encode_to_vec()].concat()).collect::<Vec<_>>()
        };
        let mut body = Vec::new();
        for group in merge(&a, &b) {
            prost::encoding::encode_key(1, prost::encoding::WireType::LengthDelimited, &mut body);
            prost::encoding::encode_varint(group.len() as u64, &mut body);
            body.extend(group);
        }
        check_against_prost(&body);
    }

    #[test]
    fn r18_mutated_protobuf_gets_the_verdict_of_prost(request in request(), edits in prop::collection::vec((any::<Index>(), any::<u8>()), 1..6)) {
        let mut body = request.encode_to_vec();
        if !body.is_empty() {
            for (index, byte) in edits {
                let at = index.index(body.len());
                body[at] = byte;
            }
            check_against_prost(&body);
        }
    }

    #[test]
    fn r18_a_request_cut_short_gets_the_verdict_of_prost(request in request(), cut: Index) {
        let body = request.encode_to_vec();
        if !body.is_empty() {
            check_against_prost(&body[..cut.index(body.len())]);
        }
    }

    #[test]
    fn r18_mutated_json_is_read_only_if_it_is_json(request in request(), edits in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4)) {
        let mut body = serde_json::to_vec(&request).unwrap();
        for (index, byte) in edits {
            let at = index.index(body.len());
            body[at] = byte;
        }
        if let Ok((segments, report)) = transcode(Encoding::Json, &body, Limits::default()) {
            check_consistent(&segments, &report);
            let is_text = std::str::from_utf8(&body).is_ok() && !body.windows(2).any(|pair| pair == b"\\u");
            let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
            prop_assert!(is_json || !is_text);
        }
    }

    #[test]
    fn splitting_lines_and_segments_loses_no_span(request in request(), max_line_bytes in 1..3000_usize, segment_bytes in 1..5000_usize) {
        let limits = Limits { max_line_bytes, segment_bytes, ..Limits::default() };
        let (segments, report) = transcode(Encoding::Protobuf, &request.encode_to_vec(), limits).unwrap();
        check_consistent(&segments, &report);
        let too_long = lines(&segments).into_iter().filter(|line| line.len() > max_line_bytes);
        prop_assert_eq!(too_long.clone().count() as u64, report.oversized_spans);
        for line in too_long {
            let line = read_line(line);
            prop_assert_eq!(line.resource_spans[0].scope_spans.iter().map(|scope| scope.spans.len()).sum::<usize>(), 1);
        }
        let spans = |data: &TracesData| -> Vec<_> {
            data.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans).cloned().collect()
        };
        prop_assert_eq!(spans(&read_back(&segments)), spans(&canonical(request)));
    }
}
