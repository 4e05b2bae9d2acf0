//! Selecting spans of lines that are already written: ours, and those of other writers of OTLP JSON.
//!
//! A line that passes whole is copied as it is. Else it is written again with the spans that pass; those, their
//! resource and their scope keep their bytes.

use memchr::memmem;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::view::{self, BadLine, SpanHead};
use crate::clock::Timestamp;
use crate::ids::TraceId;

/// Which spans to keep; an empty filter keeps all.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct LineFilter {
    /// Keeps spans that end at this time or later.
    pub since: Option<Timestamp>,
    /// Keeps spans that start before this time.
    pub until: Option<Timestamp>,
    /// Keeps spans of resources with this `service.name`.
    pub service: Option<String>,
    /// Keeps spans of this trace.
    pub trace_id: Option<TraceId>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Line<'a> {
    #[serde(borrow, default, rename = "resourceSpans", deserialize_with = "view::nullable")]
    resource_spans: Vec<ResourceSpans<'a>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    resource: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "view::nullable")]
    scope_spans: Vec<ScopeSpans<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    schema_url: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct ScopeSpans<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    scope: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "view::nullable")]
    spans: Vec<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    schema_url: Option<&'a RawValue>,
}

impl LineFilter {
    /// Tells whether every span passes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Appends to `out` what of `line` passes, ended by `\n`; returns how many spans that are.
    ///
    /// Nothing is appended where none passes. `line` may end with a line end or not.
    ///
    /// # Errors
    /// [`BadLine`]; `out` is then as it was.
    pub fn apply(&self, line: &[u8], out: &mut Vec<u8>) -> Result<u32, BadLine> {
        let line = line.trim_ascii_end();
        if !self.may_match(line) {
            return Ok(0);
        }
        let mut parsed: Line<'_> = serde_json::from_slice(line)?;
        let before = parsed.count();
        self.select(&mut parsed)?;
        let kept = parsed.count();
        if kept == 0 {
            return Ok(0);
        }
        if kept == before {
            out.extend_from_slice(line);
        } else {
            let text = serde_json::to_vec(&parsed)?;
            out.extend_from_slice(&text);
        }
        out.push(b'\n');
        Ok(u32::try_from(kept).unwrap_or(u32::MAX))
    }

    // Most lines hold other traces: they are told apart without being parsed. In lines of other writers an id may
    // be in upper case, or escaped.
    fn may_match(&self, line: &[u8]) -> bool {
        let Some(id) = self.trace_id else { return true };
        memmem::find(line, id.to_string().as_bytes()).is_some()
            || memmem::find(line, format!("{:X}", u128::from_be_bytes(*id.as_bytes())).as_bytes()).is_some()
            || memmem::find(line, br"\u").is_some()
    }

    fn select(&self, line: &mut Line<'_>) -> Result<(), BadLine> {
        let mut fault = None;
        for group in &mut line.resource_spans {
            if !self.is_service_wanted(group.resource)? {
                group.scope_spans.clear();
            }
            for scope in &mut group.scope_spans {
                scope.spans.retain(|span| match self.is_span_wanted(span) {
                    Ok(wanted) => wanted,
                    Err(error) => {
                        fault.get_or_insert(error);
                        false
                    }
                });
            }
            group.scope_spans.retain(|scope| !scope.spans.is_empty());
        }
        line.resource_spans.retain(|group| !group.scope_spans.is_empty());
        fault.map_or(Ok(()), Err)
    }

    fn is_service_wanted(&self, resource: Option<&RawValue>) -> Result<bool, BadLine> {
        let Some(wanted) = &self.service else { return Ok(true) };
        Ok(view::service_of(resource)? == *wanted)
    }

    fn is_span_wanted(&self, span: &RawValue) -> Result<bool, BadLine> {
        if self.since.is_none() && self.until.is_none() && self.trace_id.is_none() {
            return Ok(true);
        }
        let SpanHead { trace_id, start, end } = serde_json::from_str(span.get())?;
        let is_in_trace = self.trace_id.is_none_or(|wanted| trace_id.parse() == Ok(wanted));
        // A span that lacks its end still took place at its start.
        let (start, end) = (Timestamp::from_unix_nanos(start), Timestamp::from_unix_nanos(end.max(start)));
        let is_in_time = self.since.is_none_or(|since| end >= since) && self.until.is_none_or(|until| start < until);
        Ok(is_in_trace && is_in_time)
    }
}

impl Line<'_> {
    fn count(&self) -> usize {
        self.resource_spans.iter().flat_map(|group| &group.scope_spans).map(|scope| scope.spans.len()).sum()
    }
}

/// Returns the distinct values of `service.name` in a line; `""` stands for a resource without one.
///
/// # Errors
/// [`BadLine`] where the line is no OTLP JSON.
pub fn services(line: &[u8]) -> Result<Vec<String>, BadLine> {
    let parsed: Line<'_> = serde_json::from_slice(line)?;
    let mut services = Vec::new();
    for group in &parsed.resource_spans {
        let service = view::service_of(group.resource)?;
        if !services.contains(&service) {
            services.push(service);
        }
    }
    Ok(services)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeSpans":[{"scope":{"name":"a"},"spans":[{"traceId":"00000000000000000000000000000001","spanId":"0000000000000001","startTimeUnixNano":"10","endTimeUnixNano":"20"},{"traceId":"0000000000000000000000000000000A","spanId":"0000000000000002","startTimeUnixNano":30,"endTimeUnixNano":40}],"schemaUrl":"s"}],"schemaUrl":"r"}]}"#;

    fn check(filter: &LineFilter) -> (u32, String) {
        let mut out = Vec::new();
        let kept = filter.apply(LINE.as_bytes(), &mut out).unwrap();
        (kept, String::from_utf8(out).unwrap())
    }

    fn time(nanos: u64) -> Timestamp {
        Timestamp::from_unix_nanos(nanos)
    }

    fn trace(id: &str) -> LineFilter {
        LineFilter { trace_id: Some(id.parse().unwrap()), ..LineFilter::default() }
    }

    #[test]
    fn a_line_that_passes_whole_keeps_its_bytes() {
        assert_eq!(check(&LineFilter::default()), (2, format!("{LINE}\n")));
        let filter = LineFilter { service: Some("shop".to_owned()), ..LineFilter::default() };
        assert_eq!(check(&filter), (2, format!("{LINE}\n")));
    }

    #[test]
    fn spans_of_one_trace_keep_their_surroundings() {
        let (kept, text) = check(&trace("00000000000000000000000000000001"));
        let second = text.find("0000000A");
        assert_eq!((kept, second), (1, None));
        let around = [r#""stringValue":"shop""#, r#""scope":{"name":"a"}"#, r#""schemaUrl":"s""#, r#""schemaUrl":"r""#];
        assert!(around.iter().all(|part| text.contains(part)), "{text}");
    }

    #[test]
    fn r21_an_id_in_upper_case_is_found() {
        assert_eq!(check(&trace("0000000000000000000000000000000a")).0, 1);
        assert_eq!(check(&trace("000000000000000000000000000000ff")), (0, String::new()));
    }

    #[test]
    fn a_time_range_keeps_spans_that_overlap_it() {
        let count = |since, until| check(&LineFilter { since, until, ..LineFilter::default() }).0;
        assert_eq!(count(Some(time(20)), None), 2, "ends at the beginning of the range");
        assert_eq!(count(Some(time(21)), None), 1);
        assert_eq!(count(None, Some(time(30))), 1, "starts at the end of the range");
        assert_eq!(count(Some(time(21)), Some(time(30))), 0);
    }

    #[test]
    fn another_service_is_left_out() {
        assert_eq!(check(&LineFilter { service: Some("cart".to_owned()), ..LineFilter::default() }).0, 0);
        assert_eq!(services(LINE.as_bytes()).unwrap(), ["shop"]);
    }

    #[test]
    fn what_is_no_line_is_refused_and_leaves_nothing() {
        let mut out = b"before".to_vec();
        for line in ["", "{", "7", r#"{"resourceSpans":[{"scopeSpans":[{"spans":[7]}]}]}"#] {
            let filter = LineFilter { since: Some(time(1)), ..LineFilter::default() };
            assert!(filter.apply(line.as_bytes(), &mut out).is_err(), "{line}");
        }
        assert_eq!(out, b"before");
    }
}
