//! A whole request: groups by resource, groups by scope, items.

use std::ops::Range;

use super::envelope::{Group, Values, service_name};
use super::{Tally, Walk};
use crate::otlp::assemble::{Assembler, Envelope, FREE_ENVELOPE_BYTES};
use crate::otlp::batch::{Limits, Report, Room, Segment};
use crate::otlp::schema::{Role, SignalSchema};
use crate::otlp::wire::Stop;

/// JSON of a span is about twice its protobuf, often a little more; a buffer too small by one byte is copied whole.
const EXPANSION_PERCENT: usize = 250;

/// Appends the canonical lines of a protobuf request to the segments, with memory from the room.
///
/// # Errors
/// Why the bytes are no request; the segments may then hold lines of it.
pub(crate) fn transcode<'s>(
    schema: &'static SignalSchema,
    bytes: &[u8],
    limits: Limits,
    target: (&'s mut Vec<Segment>, &'s mut dyn Room),
) -> Result<Report, Stop> {
    let expected = bytes.len().saturating_mul(EXPANSION_PERCENT) / 100 + 512;
    let lines = Assembler::new(limits, target, bytes.len(), expected)?;
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
            None => Some(String::new()),
        };
        let inner = self.envelope(&group)?;
        let Envelope { mut open, mut close } = inner;
        // In place: it may be long.
        let before = [b"{\"", list.as_bytes(), b"\":["].concat();
        open.reserve_exact(before.len());
        open.splice(..0, before);
        close.extend_from_slice(b"]}\n");
        self.lines.begin_resource(Envelope { open, close }, service);
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
        if range.len() > self.limits.max_line_bytes {
            // Else it would be written behind others and then copied away from them.
            self.lines.end_line();
        }
        let mark = self.lines.begin_item();
        let (valid, tally, facts) = loop {
            let mut walk = Walk::new(self.bytes, &mut self.lines.out, self.limits.max_depth);
            let valid = walk.message(self.schema.item, std::slice::from_ref(&range))?;
            let written = (valid, walk.tally, walk.facts);
            if !self.lines.out.is_cut() {
                break written;
            }
            self.lines.widen(&mark, range.len())?;
        };
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
        let mut max_len = FREE_ENVELOPE_BYTES;
        loop {
            if let Some((envelope, tally)) = group.envelope(self.bytes, self.limits.max_depth, max_len)? {
                self.lines.check(envelope.open.len())?;
                self.add(tally);
                return Ok(envelope);
            }
            max_len = max_len.saturating_mul(2).max(group.shared_len());
            self.lines.check(max_len)?;
            self.lines.take(max_len)?;
        }
    }

    fn add(&mut self, tally: Tally) {
        let Tally { dropped_links, repaired_strings, references } = tally;
        self.report.dropped_links += dropped_links;
        self.report.repaired_strings += repaired_strings;
        self.report.string_references += references;
    }
}
