//! A whole request: groups by resource, groups by scope, items.

use std::ops::Range;

use super::envelope::{Group, Values, service_name};
use super::{Tally, Walk};
use crate::otlp::assemble::{Assembler, Envelope};
use crate::otlp::batch::{Limits, Report, Segment};
use crate::otlp::schema::{Role, SignalSchema};
use crate::otlp::wire::Stop;

/// JSON of a span is about twice its protobuf, often a little more; a buffer too small by one byte is copied whole.
const EXPANSION_PERCENT: usize = 250;

/// Appends the canonical lines of a protobuf request to `segments`.
///
/// # Errors
/// Why the bytes are no request; `segments` may then hold lines of it.
pub(crate) fn transcode(
    schema: &'static SignalSchema,
    bytes: &[u8],
    limits: Limits,
    segments: &mut Vec<Segment>,
) -> Result<Report, Stop> {
    let expected = bytes.len().saturating_mul(EXPANSION_PERCENT) / 100 + 512;
    let lines = Assembler::new(limits, segments, bytes.len(), expected);
    let mut request = Request { schema, bytes, limits, lines, report: Report::default() };
    let mut resources = Values::new(schema.request, Role::Children, bytes, 0..bytes.len());
    while let Some((field, range)) = resources.next()? {
        request.resource(field.name, range)?;
    }
    request.lines.finish();
    let mut report = request.report;
    report.accepted = request.lines.items;
    report.oversized_spans = request.lines.oversized;
    Ok(report)
}

struct Request<'a, 's> {
    schema: &'static SignalSchema,
    bytes: &'a [u8],
    limits: Limits,
    lines: Assembler<'s>,
    report: Report,
}

impl Request<'_, '_> {
    fn resource(&mut self, list: &str, range: Range<usize>) -> Result<(), Stop> {
        let message = self.schema.resource_group;
        let group = Group::scan(message, self.bytes, range.clone())?;
        let service = match group.shared_message() {
            Some(resource) => service_name(resource, self.bytes, &group.shared)?,
            None => String::new(),
        };
        let inner = self.envelope(&group)?;
        let mut envelope = Envelope::default();
        for part in [b"{\"", list.as_bytes(), b"\":[", &inner.open] {
            envelope.open.extend_from_slice(part);
        }
        envelope.close.extend_from_slice(&inner.close);
        envelope.close.extend_from_slice(b"]}\n");
        self.lines.begin_resource(envelope, service);
        let mut scopes = Values::new(message, Role::Children, self.bytes, range);
        while let Some((_, range)) = scopes.next()? {
            self.scope(range)?;
        }
        self.lines.end_resource();
        Ok(())
    }

    fn scope(&mut self, range: Range<usize>) -> Result<(), Stop> {
        let message = self.schema.scope_group;
        let group = Group::scan(message, self.bytes, range.clone())?;
        let envelope = self.envelope(&group)?;
        self.lines.begin_scope(envelope);
        let mut items = Values::new(message, Role::Children, self.bytes, range);
        while let Some((_, range)) = items.next()? {
            self.item(range)?;
        }
        self.lines.end_scope();
        Ok(())
    }

    fn item(&mut self, range: Range<usize>) -> Result<(), Stop> {
        let mark = self.lines.begin_item();
        let mut walk = Walk::new(self.bytes, &mut self.lines.out, self.limits.max_depth);
        let valid = walk.message(self.schema.item, &[range])?;
        let (tally, facts) = (walk.tally, walk.facts);
        if valid {
            self.lines.keep_item(&mark, &facts)?;
            self.add(tally);
        } else {
            self.lines.abandon_item(&mark);
            self.report.rejected += 1;
        }
        Ok(())
    }

    fn envelope(&mut self, group: &Group) -> Result<Envelope, Stop> {
        let (envelope, tally) = group.envelope(self.bytes, self.limits.max_depth)?;
        self.lines.check(envelope.open.len())?;
        self.add(tally);
        Ok(envelope)
    }

    fn add(&mut self, tally: Tally) {
        let Tally { dropped_links, repaired_strings, references } = tally;
        self.report.dropped_links += dropped_links;
        self.report.repaired_strings += repaired_strings;
        self.report.string_references += references;
    }
}
