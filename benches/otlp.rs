//! Transcoding of one request of 512 spans with 8 attributes each: the direct walk, the JSON reader in front of
//! it, and the typed path (prost, then serde) as the yardstick.
//!
//! Throughput is counted in bytes of JSON, written or read. The allocator is the binary's own.
#![expect(clippy::unwrap_used, reason = "a bench may stop")]

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use prost::Message as _;
use tracecapture::ids::Signal;
use tracecapture::otlp::{Encoding, Limits, Transcoder};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SPANS: u64 = 512;

fn main() {
    divan::main();
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn span(n: u64) -> Span {
    let id = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    Span {
        trace_id: [id, id].concat(),
        span_id: id.to_vec(),
        parent_span_id: id.iter().rev().copied().collect(),
        name: "GET /api/v1/orders/{id}".to_owned(),
        kind: 2,
        start_time_unix_nano: 1_795_257_045_123_000_000 + n,
        end_time_unix_nano: 1_795_257_045_456_000_000 + n,
        flags: 257,
        attributes: vec![
            text("http.request.method", "GET"),
            text("url.path", &format!("/api/v1/orders/{n}")),
            text("server.address", "checkout.shop.svc.cluster.local"),
            attribute("http.response.status_code", Value::IntValue(200)),
            text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101"),
            text("client.address", "10.244.13.97"),
            attribute("app.cart.total", Value::DoubleValue(119.95)),
            text("app.order.id", &format!("order-{n:08}")),
        ],
        events: if n.is_multiple_of(4) {
            vec![Event { time_unix_nano: 1_795_257_045_200_000_000, name: "cache miss".to_owned(), ..Event::default() }]
        } else {
            Vec::new()
        },
        status: Some(Status { code: 1, ..Status::default() }),
        ..Span::default()
    }
}

fn request() -> TracesData {
    let resource = Resource {
        attributes: vec![text("service.name", "checkout"), text("k8s.pod.name", "checkout-7d4b9c6f5-x2x9q")],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: "io.opentelemetry.http".to_owned(),
        version: "1.0".to_owned(),
        ..InstrumentationScope::default()
    };
    let spans = (1..=SPANS).map(span).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    TracesData {
        resource_spans: vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }],
    }
}

fn lines(encoding: Encoding, body: &[u8]) -> Vec<u8> {
    let mut segments = Vec::new();
    Transcoder::new(Limits::default()).transcode(Signal::Traces, encoding, body, &mut segments).unwrap();
    segments.into_iter().flat_map(|segment| segment.lines).collect()
}

fn transcode(bencher: Bencher<'_, '_>, encoding: Encoding, body: &[u8], counted: usize) {
    let mut transcoder = Transcoder::new(Limits::default());
    let mut segments = Vec::new();
    bencher.counter(BytesCount::new(counted)).counter(ItemsCount::new(SPANS)).bench_local(|| {
        segments.clear();
        transcoder.transcode(Signal::Traces, encoding, divan::black_box(body), &mut segments).unwrap()
    });
}

#[divan::bench]
fn walk(bencher: Bencher<'_, '_>) {
    let body = request().encode_to_vec();
    let json = lines(Encoding::Protobuf, &body).len();
    transcode(bencher, Encoding::Protobuf, &body, json);
}

// Every span has its kind twice, so all of them go the careful way.
#[divan::bench]
fn walk_carefully(bencher: Bencher<'_, '_>) {
    let request = request();
    let body = request.encode_to_vec();
    let json = lines(Encoding::Protobuf, &body).len();
    let doubled = double_a_field(&request);
    transcode(bencher, Encoding::Protobuf, &doubled, json);
}

fn double_a_field(request: &TracesData) -> Vec<u8> {
    let spans = request.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans);
    let mut scope = Vec::new();
    for span in spans {
        let mut bytes = span.encode_to_vec();
        bytes.extend_from_slice(&[0x30, 0x03]);
        prost::encoding::encode_key(2, prost::encoding::WireType::LengthDelimited, &mut scope);
        prost::encoding::encode_varint(u64::try_from(bytes.len()).unwrap(), &mut scope);
        scope.extend_from_slice(&bytes);
    }
    let mut body = Vec::new();
    for number in [2, 1] {
        let inner = if number == 2 { std::mem::take(&mut scope) } else { std::mem::take(&mut body) };
        prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut body);
        prost::encoding::encode_varint(u64::try_from(inner.len()).unwrap(), &mut body);
        body.extend_from_slice(&inner);
    }
    body
}

#[divan::bench]
fn json_input(bencher: Bencher<'_, '_>) {
    let body = lines(Encoding::Protobuf, &request().encode_to_vec());
    transcode(bencher, Encoding::Json, &body, body.len());
}

#[divan::bench]
fn typed_protobuf_to_json(bencher: Bencher<'_, '_>) {
    let body = request().encode_to_vec();
    let json = lines(Encoding::Protobuf, &body).len();
    bencher.counter(BytesCount::new(json)).counter(ItemsCount::new(SPANS)).bench_local(|| {
        let typed = TracesData::decode(divan::black_box(body.as_slice())).unwrap();
        serde_json::to_vec(&typed).unwrap()
    });
}

#[divan::bench]
fn typed_json_to_json(bencher: Bencher<'_, '_>) {
    let body = lines(Encoding::Protobuf, &request().encode_to_vec());
    bencher.counter(BytesCount::new(body.len())).counter(ItemsCount::new(SPANS)).bench_local(|| {
        let typed: TracesData = serde_json::from_slice(divan::black_box(&body)).unwrap();
        serde_json::to_vec(&typed).unwrap()
    });
}
