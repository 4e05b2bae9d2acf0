//! What other programs write: the Collector's file exporter, Teleport.

use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use tempfile::TempDir;

use crate::chunks::{SPAN, Span};
use crate::endpoint::Endpoint;
use crate::support::output;

/// Replays a file; checks exit code, the names of the spans that arrive, and a part of stderr.
fn check(name: &str, bytes: &[u8], code: i32, names: &[&str], stderr: &str) {
    let files = TempDir::new().unwrap();
    let path = files.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let endpoint = Endpoint::start(&[]);
    let done = output(&["replay", path.to_str().unwrap(), "--to", endpoint.url()]);
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(
        (done.status.code(), endpoint.taken().as_slice()),
        (Some(code), names.map_to_strings().as_slice()),
        "{name}: {said}"
    );
    assert!(said.contains(stderr) && said.is_empty() == stderr.is_empty(), "{name}: {said}");
}

trait Strings {
    fn map_to_strings(&self) -> Vec<String>;
}

impl Strings for [&str] {
    fn map_to_strings(&self) -> Vec<String> {
        self.iter().map(|text| (*text).to_owned()).collect()
    }
}

fn line(name: &str) -> String {
    Span { name, ..SPAN }.line()
}

/// A line as protobuf, as the Collector writes it.
fn proto(name: &str) -> Vec<u8> {
    serde_json::from_str::<TracesData>(&line(name)).unwrap().encode_to_vec()
}

fn zstd_of(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

/// Messages behind their lengths.
fn prefixed(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for message in messages {
        out.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
        out.extend_from_slice(message);
    }
    out
}

#[test]
fn every_form_of_the_collectors_file_exporter_is_read() {
    let lines = line("a") + &line("b");
    check("plain.json", lines.as_bytes(), 0, &["a", "b"], "");
    let json = |name| zstd_of(line(name).trim_end().as_bytes());
    check("zstd", &prefixed(&[json("a"), json("b")]), 0, &["a", "b"], "");
    check("proto", &prefixed(&[proto("a"), proto("b")]), 0, &["a", "b"], "");
    check("proto-zstd", &prefixed(&[zstd_of(&proto("a")), zstd_of(&proto("b"))]), 0, &["a", "b"], "");
    // With the feature gate `exporter.file.nativeCompression`.
    check(
        "native.json.zst",
        &[zstd_of(line("a").as_bytes()), zstd_of(line("b").as_bytes())].concat(),
        0,
        &["a", "b"],
        "",
    );
    check("native.proto.zst", &zstd_of(&prefixed(&[proto("a"), proto("b")])), 0, &["a", "b"], "");
}

#[test]
fn a_message_that_is_damaged_or_cut_is_told_and_the_others_are_sent() {
    let good = |name| zstd_of(line(name).trim_end().as_bytes());
    let mut bad = good("x");
    let middle = bad.len() / 2;
    bad[middle..].fill(0xff);
    check("damaged", &prefixed(&[good("a"), bad, good("b")]), 5, &["a", "b"], "cannot decompress a message");
    let whole = prefixed(&[good("a"), good("b")]);
    check("cut", &whole[..whole.len() - 3], 5, &["a"], "ends within a message");
    let no_ids = Span { trace: 0, ..SPAN }.line();
    let no_ids = serde_json::from_str::<TracesData>(&no_ids).unwrap().encode_to_vec();
    check("no-ids", &prefixed(&[proto("a"), no_ids]), 5, &["a"], "1 spans without valid ids");
}

#[test]
fn lines_of_teleport_are_read() {
    let group = |name: &str| {
        format!(
            r#"{{"resource":{{}}, "scopeSpans":[{{"spans":[{{"traceId":"AAAAAAAAAAAAAAAAAAAACg==","spanId":"AAAAAAAAAAE=", "name":"{name}","kind":"SPAN_KIND_CLIENT"}}]}}]}}"#
        ) + "\n"
    };
    check("1700000000000000000-123.trace", (group("a") + &group("b")).as_bytes(), 0, &["a", "b"], "");
    let files = TempDir::new().unwrap();
    for (file, name) in [("1700-1.trace", "a"), ("1701-2.trace", "b")] {
        std::fs::write(files.path().join(file), group(name)).unwrap();
    }
    let endpoint = Endpoint::start(&[]);
    let done = output(&["replay", files.path().to_str().unwrap(), "--to", endpoint.url()]);
    let seen = endpoint.next();
    assert_eq!((done.status.code(), seen.names()), (Some(0), vec!["a".to_owned(), "b".to_owned()]));
    let span = &seen.request.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!((span.trace_id[15], span.span_id[7], span.kind), (10, 1, 3));
}

#[test]
fn a_line_of_something_else_is_named_with_what_was_expected() {
    let lines = format!("{}\n{{\"resourceMetrics\":[]}}\n{}{{\"traceID\":1}}\n", line("a"), line("b"));
    check(
        "mixed.jsonl",
        lines.as_bytes(),
        5,
        &["a", "b"],
        "line 3 is left out: expected a JSON object with `resourceSpans`",
    );
    check("mixed.jsonl", lines.as_bytes(), 5, &["a", "b"], "line 5 is left out");
    check("text", b"hello\n", 1, &[], "is neither a tar nor JSON lines");
}
