//! The forms in which programs write spans as JSON, told apart by their keys.

use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use crate::ids::Signal;
use crate::otlp::batch::{BadData, Encoding, HIGHEST_DEPTH};
use crate::otlp::json::{self, IdText};
use crate::otlp::schema::{self, Role};
use crate::otlp::wire::put;

/// Why a line cannot be exported; retrying never helps.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LineError {
    /// It is no JSON, or not that of spans.
    #[error("expected OTLP JSON (`{{\"resourceSpans\":[…]}}`) or one ResourceSpans as protojson writes it")]
    NotSpans(#[source] BadData),
    /// It is JSON of something else.
    #[error(
        "expected a JSON object with `resourceSpans`, or one ResourceSpans with `scopeSpans` as protojson writes it; {0}"
    )]
    Other(&'static str),
}

/// Reads a line of either form as an export request.
pub(super) fn to_protobuf(line: &[u8], protobuf: &mut Vec<u8>) -> Result<(), LineError> {
    let schema = schema::of(Signal::Traces);
    let read = |message, out: &mut Vec<u8>| {
        json::read_with(message, IdText::HexOrBase64, (line, HIGHEST_DEPTH), out)
            .map(drop)
            .map_err(|stop| LineError::NotSpans(BadData::new(Encoding::Json, stop, HIGHEST_DEPTH)))
    };
    match form(line)? {
        Form::Request => read(schema.request, protobuf),
        Form::ResourceSpans => {
            let mut group = Vec::with_capacity(line.len());
            read(schema.resource_group, &mut group)?;
            put(schema.request.number_of(Role::Children), &group, protobuf);
            Ok(())
        }
    }
}

enum Form {
    Request,
    ResourceSpans,
}

/// Tells what a line is by its keys: one with none that is known would lose its spans in silence.
fn form(line: &[u8]) -> Result<Form, LineError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Keys {
        resource_spans: Option<IgnoredAny>,
        scope_spans: Option<IgnoredAny>,
        resource: Option<IgnoredAny>,
        resource_metrics: Option<IgnoredAny>,
        resource_logs: Option<IgnoredAny>,
        resource_profiles: Option<IgnoredAny>,
        #[serde(rename = "resource_spans")]
        snake_request: Option<IgnoredAny>,
        #[serde(rename = "scope_spans")]
        snake_group: Option<IgnoredAny>,
        instrumentation_library_spans: Option<IgnoredAny>,
    }
    // Nearly every line begins so; the others are looked at twice.
    if line.trim_ascii_start().starts_with(b"{\"resourceSpans\"") || line.trim_ascii() == b"{}" {
        return Ok(Form::Request);
    }
    let keys: Keys = match serde_json::from_slice(line) {
        Ok(keys) => keys,
        // Leniency about numbers, keys given twice and the like is the reader's own.
        Err(error) if error.is_data() => return Ok(Form::Request),
        Err(error) => {
            let offset = if error.line() == 1 { error.column() } else { 0 };
            let bad = BadData::Json { offset, what: "the line is no JSON object" };
            return Err(LineError::NotSpans(bad));
        }
    };
    match keys {
        Keys { resource_spans: Some(_), .. } => Ok(Form::Request),
        Keys { scope_spans: Some(_), .. } => Ok(Form::ResourceSpans),
        Keys { instrumentation_library_spans: Some(_), .. } => {
            Err(LineError::Other("it has `instrumentationLibrarySpans`, the form before OTLP 0.19"))
        }
        Keys { snake_request: Some(_), .. } | Keys { snake_group: Some(_), .. } => {
            Err(LineError::Other("its keys are in snake_case, which OTLP JSON does not know"))
        }
        Keys { resource_metrics: Some(_), .. } => Err(LineError::Other("it holds metrics")),
        Keys { resource_logs: Some(_), .. } => Err(LineError::Other("it holds log records")),
        Keys { resource_profiles: Some(_), .. } => Err(LineError::Other("it holds profiles")),
        Keys { resource: Some(_), .. } => Ok(Form::ResourceSpans),
        _ => Err(LineError::Other("it has none of the two")),
    }
}
