//! Lines as export requests: what other programs' JSON may look like, cut at spans, with times moved.
//!
//! A line is read once; its spans keep their bytes and can be put into requests of any size, each with its resource
//! and scope. Besides OTLP JSON, lines are read that hold a single `ResourceSpans` as a stock protobuf library writes
//! it: ids in base64, enums by name. Teleport's files are made of those.
//!
//! Sources: opentelemetry-proto 1.11.0; Teleport, `lib/observability/tracing/client.go`, `RotatingFileClient`.

mod form;

use std::ops::Range;

use super::batch::{BadData, Encoding, HIGHEST_DEPTH};
use super::schema::{self, Kind, Message, Nature, Role};
use super::wire::{Reader, Stop, Wire, put};
use crate::clock::Timestamp;
use crate::ids::Signal;
pub use form::LineError;

use form::to_protobuf;

/// The longest tag and length that stand before a message.
const PREFIX: usize = 12;

/// The spans of one line, as protobuf.
#[derive(Debug, Default)]
pub struct LineSpans {
    protobuf: Vec<u8>,
    groups: Vec<ScopeGroup>,
    spans: Vec<SpanPlace>,
    /// Where times are.
    times: Vec<usize>,
}

/// Spans of one scope, and what they share.
#[derive(Debug)]
struct ScopeGroup {
    /// Which resource it is of.
    resource: usize,
    /// The fields of the resource's group but the scopes.
    resource_fields: Vec<Range<usize>>,
    /// The fields of the scope's group but the spans.
    scope_fields: Vec<Range<usize>>,
}

#[derive(Debug)]
struct SpanPlace {
    group: usize,
    bytes: Range<usize>,
    start: u64,
}

/// How far times are moved, in nanoseconds; a time of 0 is none and stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shift(pub i128);

impl Shift {
    /// Moves a time, as far as it can be told.
    pub fn apply(self, nanos: u64) -> u64 {
        if nanos == 0 {
            return 0;
        }
        let moved = (i128::from(nanos) + self.0).clamp(1, i128::from(u64::MAX));
        u64::try_from(moved).unwrap_or(nanos)
    }
}

impl LineSpans {
    /// Reads a line, and moves its times.
    ///
    /// # Errors
    /// [`LineError`] says what was expected.
    pub fn read(line: &[u8], shift: Shift) -> Result<Self, LineError> {
        let mut protobuf = Vec::with_capacity(line.len());
        to_protobuf(line, &mut protobuf)?;
        let mut spans = Self { protobuf, ..Self::default() };
        spans.index().map_err(|stop| LineError::NotSpans(BadData::new(Encoding::Protobuf, stop, HIGHEST_DEPTH)))?;
        spans.shift(shift);
        Ok(spans)
    }

    /// Returns how many spans there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Returns when a span started; `None` where it does not say.
    pub fn start(&self, span: usize) -> Option<Timestamp> {
        self.spans.get(span).filter(|place| place.start != 0).map(|place| Timestamp::from_unix_nanos(place.start))
    }

    /// Returns at most how many bytes a span adds to a request, with what it shares where that is not there yet.
    pub fn cost(&self, span: usize, after: Option<usize>) -> usize {
        let Some(place) = self.spans.get(span) else { return 0 };
        let group_of = |span: usize| self.spans.get(span).map(|place| place.group);
        let shared = if after.and_then(group_of) == Some(place.group) { 0 } else { self.shared(place.group) };
        place.bytes.len() + PREFIX + shared
    }

    fn shared(&self, group: usize) -> usize {
        let fields = |group: &ScopeGroup| {
            let all = group.resource_fields.iter().chain(&group.scope_fields);
            all.map(ExactSizeIterator::len).sum::<usize>()
        };
        self.groups.get(group).map_or(0, fields) + 2 * PREFIX
    }

    /// Appends some of the spans to the body of an export request.
    pub fn append(&self, spans: Range<usize>, body: &mut Vec<u8>) {
        let schema = schema::of(Signal::Traces);
        let children = |message: &'static Message| message.number_of(Role::Children);
        let mut rest = self.spans.get(spans).unwrap_or_default();
        let (mut scopes, mut resource) = (Vec::new(), Vec::new());
        while let Some(first) = rest.first() {
            let Some(ScopeGroup { resource: index, resource_fields, .. }) = self.groups.get(first.group) else {
                return;
            };
            resource.clear();
            self.copy(resource_fields, &mut resource);
            while let Some(next) = rest.first() {
                let Some(group) = self.groups.get(next.group).filter(|group| group.resource == *index) else { break };
                let n = rest.iter().take_while(|place| place.group == next.group).count();
                let (of_scope, others) = rest.split_at(n);
                scopes.clear();
                self.copy(&group.scope_fields, &mut scopes);
                for place in of_scope {
                    let bytes = self.protobuf.get(place.bytes.clone()).unwrap_or_default();
                    put(children(schema.scope_group), bytes, &mut scopes);
                }
                put(children(schema.resource_group), &scopes, &mut resource);
                rest = others;
            }
            put(children(schema.request), &resource, body);
        }
    }

    fn copy(&self, fields: &[Range<usize>], out: &mut Vec<u8>) {
        for field in fields {
            out.extend_from_slice(self.protobuf.get(field.clone()).unwrap_or_default());
        }
    }

    fn shift(&mut self, shift: Shift) {
        if shift == Shift::default() {
            return;
        }
        for &at in &self.times {
            if let Some(bytes) = self.protobuf.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<8>) {
                *bytes = shift.apply(u64::from_le_bytes(*bytes)).to_le_bytes();
            }
        }
        for span in &mut self.spans {
            span.start = shift.apply(span.start);
        }
    }

    /// Finds groups, spans and times.
    fn index(&mut self) -> Result<(), Stop> {
        let bytes = std::mem::take(&mut self.protobuf);
        let result = self.index_of(&bytes);
        self.protobuf = bytes;
        result
    }

    fn index_of(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let schema = schema::of(Signal::Traces);
        let request = parts(bytes, 0..bytes.len(), schema.request)?;
        for (resource, range) in request.children.into_iter().enumerate() {
            let of_resource = parts(bytes, range, schema.resource_group)?;
            for range in of_resource.children {
                let of_scope = parts(bytes, range, schema.scope_group)?;
                let group = self.groups.len();
                let resource_fields = of_resource.others.clone();
                self.groups.push(ScopeGroup { resource, resource_fields, scope_fields: of_scope.others });
                for bytes_of_span in of_scope.children {
                    let start = self.times_of(bytes, bytes_of_span.clone(), schema.item)?;
                    self.spans.push(SpanPlace { group, bytes: bytes_of_span, start });
                }
            }
        }
        Ok(())
    }

    // Of an item and what it holds but its attributes, every number of eight bytes is a time.
    fn times_of(&mut self, bytes: &[u8], range: Range<usize>, message: &'static Message) -> Result<u64, Stop> {
        let mut reader = Reader::new(bytes, range);
        let mut start = 0;
        while !reader.is_empty() {
            let tag = reader.tag()?;
            let field = message.field(tag.number).map(|field| (field.kind, field.role));
            match (field, tag.wire) {
                (Some((Kind::Fixed64, role)), Wire::Fixed64) => {
                    self.times.push(reader.position());
                    let value = reader.fixed64()?;
                    start = if role == Role::Start { value } else { start };
                }
                (Some((Kind::Message(inner), _)), Wire::Len) if inner.nature != Nature::Attribute => {
                    let range = reader.range()?;
                    self.times_of(bytes, range, inner)?;
                }
                _ => reader.skip(tag)?,
            }
        }
        Ok(start)
    }
}

/// A group's children, and all its other fields.
#[derive(Default)]
struct Parts {
    /// The bodies of the children.
    children: Vec<Range<usize>>,
    /// The other fields, each with its tag.
    others: Vec<Range<usize>>,
}

fn parts(bytes: &[u8], range: Range<usize>, message: &'static Message) -> Result<Parts, Stop> {
    let number = message.number_of(Role::Children);
    let mut parts = Parts::default();
    let mut reader = Reader::new(bytes, range);
    while !reader.is_empty() {
        let begin = reader.position();
        let tag = reader.tag()?;
        if tag.number == number && tag.wire == Wire::Len {
            parts.children.push(reader.range()?);
        } else {
            reader.skip(tag)?;
            parts.others.push(begin..reader.position());
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests;
