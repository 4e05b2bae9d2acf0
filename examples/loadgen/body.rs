//! Request bodies, encoded once; only the ids in them are new for each request.

use std::io::Write as _;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use bytes::Bytes;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;

/// What every id of a prepared body begins with, so that it is found again in the encoded bytes.
const MARKER: [u8; 6] = [0xfe, 0xed, 0xfa, 0xce, 0xca, 0xfe];
/// Bytes of a gRPC message before the message itself: flag and length.
const GRPC_PREFIX: usize = 5;
/// Bodies that cannot be patched are prepared in this number: enough that no window of a compressor sees one twice.
const N_FIXED: usize = 64;

/// The bodies of one workload.
pub(crate) struct Bodies {
    form: Form,
    n_spans: u32,
}

enum Form {
    /// One body whose ids, at these places, are overwritten for each request.
    Patched { template: Vec<u8>, ids: Vec<Range<usize>>, in_hex: bool },
    /// Bodies sent in turn, because a compressed one cannot be patched.
    Fixed { bodies: Vec<Bytes>, next: AtomicUsize },
}

impl Bodies {
    /// gRPC messages with `n_spans` spans.
    pub(crate) fn grpc(n_spans: u32) -> Self {
        let template = grpc_message(&request(n_spans).encode_to_vec(), 0);
        let ids = places(&template, &MARKER, [16, 8]);
        Self { form: Form::Patched { template, ids, in_hex: false }, n_spans }
    }

    /// JSON documents with `n_spans` spans.
    pub(crate) fn json(n_spans: u32) -> anyhow::Result<Self> {
        let template = serde_json::to_vec(&request(n_spans)).context("cannot encode JSON")?;
        let mut marker = Vec::new();
        for byte in MARKER {
            write!(marker, "{byte:02x}")?;
        }
        let ids = places(&template, &marker, [32, 16]);
        Ok(Self { form: Form::Patched { template, ids, in_hex: true }, n_spans })
    }

    /// gRPC messages with `n_spans` spans, compressed.
    pub(crate) fn grpc_gzip(n_spans: u32) -> anyhow::Result<Self> {
        let plain = Self::grpc(n_spans);
        let mut ids = Ids::new(u64::MAX);
        let mut bodies = Vec::new();
        for _ in 0..N_FIXED {
            let message = plain.next(&mut ids).slice(GRPC_PREFIX..);
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(&message)?;
            bodies.push(Bytes::from(grpc_message(&encoder.finish()?, 1)));
        }
        Ok(Self { form: Form::Fixed { bodies, next: AtomicUsize::new(0) }, n_spans })
    }

    /// Spans of each body.
    pub(crate) fn n_spans(&self) -> u32 {
        self.n_spans
    }

    /// Bytes of a body; of the first one, where they differ.
    pub(crate) fn len(&self) -> usize {
        match &self.form {
            Form::Patched { template, .. } => template.len(),
            Form::Fixed { bodies, .. } => bodies.first().map_or(0, Bytes::len),
        }
    }

    /// Returns the next body, its ids taken from `ids`.
    pub(crate) fn next(&self, ids: &mut Ids) -> Bytes {
        match &self.form {
            Form::Patched { template, ids: places, in_hex } => {
                let mut body = template.clone();
                for place in places {
                    if let Some(id) = body.get_mut(place.clone()) {
                        ids.fill(id, *in_hex);
                    }
                }
                Bytes::from(body)
            }
            Form::Fixed { bodies, next } => {
                let turn = next.fetch_add(1, Ordering::Relaxed) % bodies.len();
                bodies.get(turn).cloned().unwrap_or_default()
            }
        }
    }
}

/// A source of ids: splitmix64, whose outputs compress no better than real ids do.
pub(crate) struct Ids(u64);

impl Ids {
    /// A source whose ids differ from those of other seeds.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // An id of only zeros is invalid; this bit is cheap and changes nothing else.
        (mixed ^ (mixed >> 31)) | 1
    }

    /// Overwrites an id, as bytes or as lower-case hexadecimal digits.
    fn fill(&mut self, id: &mut [u8], in_hex: bool) {
        for piece in id.chunks_mut(if in_hex { 16 } else { 8 }) {
            let random = self.next();
            if in_hex {
                for (digit, shift) in piece.iter_mut().zip((0..16).rev()) {
                    *digit = hex_digit(random >> (4 * shift));
                }
            } else {
                piece.copy_from_slice(&random.to_be_bytes());
            }
        }
    }
}

/// Returns the digit for the low four bits.
fn hex_digit(bits: u64) -> u8 {
    match u8::try_from(bits & 15).unwrap_or_default() {
        low @ 0..=9 => b'0' + low,
        high => b'a' + high - 10,
    }
}

/// Prefixes a gRPC message with its flag and length.
fn grpc_message(message: &[u8], flag: u8) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[flag], length.to_be_bytes().as_slice(), message].concat()
}

/// Finds the ids: trace id and span id stand in turn, of these lengths.
fn places(body: &[u8], marker: &[u8], lengths: [usize; 2]) -> Vec<Range<usize>> {
    let starts = memchr::memmem::find_iter(body, marker);
    starts.zip(lengths.into_iter().cycle()).map(|(start, length)| start..start + length).collect()
}

/// A request of about 510 bytes a span: names and values as instrumented services have them.
fn request(n_spans: u32) -> ExportTraceServiceRequest {
    let resource = Resource {
        attributes: vec![text("service.name", "checkout"), text("k8s.pod.name", "checkout-6d4cf56db6-x7k2p")],
        ..Resource::default()
    };
    let scope = InstrumentationScope { name: "io.example.http".into(), version: "1.4.2".into(), ..Default::default() };
    let spans = (0..n_spans).map(span).collect();
    let scope_spans = ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() };
    let resource_spans =
        ResourceSpans { resource: Some(resource), scope_spans: vec![scope_spans], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
}

fn span(number: u32) -> Span {
    let number64 = u64::from(number);
    let begin = 1_800_000_000_000_000_000 + number64 * 1_713_377;
    let marked = |length: usize| MARKER.iter().copied().chain(std::iter::repeat(1)).take(length).collect();
    Span {
        trace_id: marked(16),
        span_id: marked(8),
        name: format!("POST /api/v1/carts/{{id}}/items/{}", number % 23),
        kind: 2,
        start_time_unix_nano: begin,
        end_time_unix_nano: begin + 1_000_003 + number64 * 977,
        attributes: attributes(number),
        status: Some(Status::default()),
        ..Span::default()
    }
}

fn attributes(number: u32) -> Vec<KeyValue> {
    let query = format!("SELECT id, sku, price FROM items WHERE cart = {} ORDER BY added LIMIT 50", number * 7919);
    vec![
        text("http.request.method", "POST"),
        text("url.path", &format!("/api/v1/carts/{}/items", number * 31)),
        text("server.address", "checkout.shop.svc.cluster.local"),
        text(
            "user_agent.original",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0",
        ),
        text("db.query.text", &query),
        attribute("http.response.status_code", Value::IntValue(i64::from(200 + number % 5))),
        attribute("app.cart.total", Value::DoubleValue(f64::from(number) * 0.37)),
        attribute("app.cache.hit", Value::BoolValue(number.is_multiple_of(3))),
    ]
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
