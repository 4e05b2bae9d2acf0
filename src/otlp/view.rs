//! Spans of a line as a reader needs them: a light view that skips attributes.
//!
//! Also lines of other writers are read: numbers may be strings or numbers, `null` is absent.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::clock::Timestamp;
use crate::ids::TraceId;

/// Why a line could not be read; retrying never helps.
#[derive(Debug, Error)]
#[error("cannot read the line as OTLP JSON")]
pub struct BadLine(#[from] serde_json::Error);

/// One span of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanView<'a> {
    /// The resource attribute `service.name`, `""` where it is absent.
    pub service: &'a str,
    /// The span's name.
    pub name: Cow<'a, str>,
    /// The number of the span's kind.
    pub kind: i32,
    /// The trace; `None` where the id is invalid.
    pub trace_id: Option<TraceId>,
    /// The span id in hexadecimal.
    pub span_id: Cow<'a, str>,
    /// The parent's span id in hexadecimal, `""` for a root.
    pub parent_span_id: Cow<'a, str>,
    /// When the span started; the epoch where it does not say.
    pub start: Timestamp,
    /// When the span ended; the epoch where it does not say.
    pub end: Timestamp,
    /// The number of the status code: 0 unset, 1 ok, 2 error.
    pub status_code: i32,
}

/// Calls `visit` with every span of a line, in order.
///
/// # Errors
/// [`BadLine`] where the line is no OTLP JSON; spans before the fault may not have been visited.
pub fn for_each_span(line: &[u8], mut visit: impl FnMut(&SpanView<'_>)) -> Result<(), BadLine> {
    let parsed: Line<'_> = serde_json::from_slice(line)?;
    for group in parsed.resource_spans {
        let service = service_of(group.resource)?;
        for span in group.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            visit(&SpanView {
                service: &service,
                name: span.name,
                kind: span.kind,
                trace_id: span.trace_id.parse().ok(),
                span_id: span.id,
                parent_span_id: span.parent,
                start: Timestamp::from_unix_nanos(span.start),
                end: Timestamp::from_unix_nanos(span.end),
                status_code: span.status.code,
            });
        }
    }
    Ok(())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(borrow, default, deserialize_with = "nullable")]
    resource_spans: Vec<ResourceSpans<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    scope_spans: Vec<ScopeSpans<'a>>,
}

#[derive(Debug, Deserialize)]
struct ScopeSpans<'a> {
    #[serde(borrow, default, deserialize_with = "nullable")]
    spans: Vec<Span<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    trace_id: Cow<'a, str>,
    #[serde(borrow, default, rename = "spanId", deserialize_with = "text")]
    id: Cow<'a, str>,
    #[serde(borrow, default, rename = "parentSpanId", deserialize_with = "text")]
    parent: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "text")]
    name: Cow<'a, str>,
    #[serde(default, deserialize_with = "number")]
    kind: i32,
    #[serde(default, rename = "startTimeUnixNano", deserialize_with = "number")]
    start: u64,
    #[serde(default, rename = "endTimeUnixNano", deserialize_with = "number")]
    end: u64,
    #[serde(default, deserialize_with = "nullable")]
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
struct Status {
    #[serde(default, deserialize_with = "number")]
    code: i32,
}

/// What decides whether a filter keeps a span.
#[derive(Debug, Deserialize)]
pub(super) struct SpanHead<'a> {
    #[serde(borrow, default, rename = "traceId", deserialize_with = "text")]
    pub(super) trace_id: Cow<'a, str>,
    #[serde(default, rename = "startTimeUnixNano", deserialize_with = "number")]
    pub(super) start: u64,
    #[serde(default, rename = "endTimeUnixNano", deserialize_with = "number")]
    pub(super) end: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Resource<'a> {
    #[serde(borrow, default, deserialize_with = "nullable")]
    attributes: Vec<Attribute<'a>>,
}

#[derive(Debug, Deserialize)]
struct Attribute<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    key: Cow<'a, str>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct StringValue<'a> {
    #[serde(borrow, default, rename = "stringValue", deserialize_with = "text")]
    text: Cow<'a, str>,
}

/// Returns the `service.name` of a resource, `""` where it is absent or no string.
pub(super) fn service_of(resource: Option<&RawValue>) -> Result<String, BadLine> {
    let Some(resource) = resource else { return Ok(String::new()) };
    let resource: Option<Resource<'_>> = serde_json::from_str(resource.get())?;
    let attributes = resource.unwrap_or_default().attributes;
    let value = attributes.into_iter().find(|attribute| attribute.key == "service.name").and_then(|found| found.value);
    let Some(value) = value else { return Ok(String::new()) };
    let value: Option<StringValue<'_>> = serde_json::from_str(value.get())?;
    Ok(value.map(|value| value.text.into_owned()).unwrap_or_default())
}

/// Reads `null` as the default.
pub(super) fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(source: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(source).map(Option::unwrap_or_default)
}

// `Cow` alone would always copy: borrowing has to be asked for.
fn text<'de, D: Deserializer<'de>>(source: D) -> Result<Cow<'de, str>, D::Error> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    Ok(Option::<Text<'de>>::deserialize(source)?.map(|text| text.0).unwrap_or_default())
}

// Reads an integer, or a string of one, or `null` for zero.
fn number<'de, D: Deserializer<'de>, N: TryFrom<i128> + Default>(source: D) -> Result<N, D::Error> {
    struct Lenient;
    impl Visitor<'_> for Lenient {
        type Value = i128;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an integer, or a string of one")
        }

        fn visit_u64<E: Error>(self, value: u64) -> Result<i128, E> {
            Ok(i128::from(value))
        }

        fn visit_i64<E: Error>(self, value: i64) -> Result<i128, E> {
            Ok(i128::from(value))
        }

        fn visit_str<E: Error>(self, value: &str) -> Result<i128, E> {
            value.parse().map_err(E::custom)
        }

        fn visit_unit<E: Error>(self) -> Result<i128, E> {
            Ok(0)
        }
    }
    N::try_from(source.deserialize_any(Lenient)?).map_err(|_| D::Error::custom("an integer out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str) -> Vec<String> {
        let mut seen = Vec::new();
        for_each_span(line.as_bytes(), |span| seen.push(format!("{span:?}"))).unwrap();
        seen
    }

    #[test]
    fn spans_are_seen_with_their_service() {
        let line = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeSpans":[{"spans":[{"traceId":"0000000000000000000000000000000A","spanId":"0b","parentSpanId":"0c","name":"n\n","kind":"2","startTimeUnixNano":"10","endTimeUnixNano":20,"status":{"code":2},"attributes":[{}]}]}]}]}"#;
        let mut spans = 0;
        for_each_span(line.as_bytes(), |span| {
            spans += 1;
            assert_eq!((span.service, &*span.name, span.kind, span.status_code), ("shop", "n\n", 2, 2));
            assert_eq!(span.trace_id.unwrap().to_string(), "0000000000000000000000000000000a");
            assert_eq!((&*span.span_id, &*span.parent_span_id), ("0b", "0c"));
            assert_eq!((span.start.as_unix_nanos(), span.end.as_unix_nanos()), (10, 20));
        })
        .unwrap();
        assert_eq!(spans, 1);
    }

    #[test]
    fn r26_null_is_absent() {
        assert_eq!(check(r#"{"resourceSpans":null}"#), [""; 0]);
        let line = r#"{"resourceSpans":[{"resource":null,"scopeSpans":[{"spans":[{"name":null,"kind":null,"status":null,"startTimeUnixNano":null}]}]}]}"#;
        assert_eq!(check(line).len(), 1);
    }
}
