//! Puts items into lines and lines into segments.
//!
//! Whoever writes items brackets each with [`Assembler::begin_item`] and [`Assembler::keep_item`] or
//! [`Assembler::abandon_item`]. What surrounds items is written when the first of them comes, and taken back at the end
//! of a group in which none was kept, so that one leaves no trace; it is not taken back with each item that is abandoned,
//! for it may be long, and they may be many. It is kept at hand, so a line can be ended and begun again between any two.

use std::collections::HashSet;

use super::batch::{Limits, MAX_SERVICES_BYTES, Room, Segment};
use super::output::Output;
use super::wire::Stop;
use crate::clock::Timestamp;
use crate::ids::TraceId;

/// What surrounds items is counted above this many bytes.
pub(crate) const FREE_ENVELOPE_BYTES: usize = 16 << 10;

/// What an item says about itself; zero stands for an absent time.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) trace_id: Option<TraceId>,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// What stands before and behind the children of a group.
#[derive(Debug, Default)]
pub(crate) struct Envelope {
    pub(crate) open: Vec<u8>,
    pub(crate) close: Vec<u8>,
}

/// A line that was begun.
#[derive(Debug, Clone, Copy)]
struct Line {
    start: usize,
    /// The current scope, if it was opened in this line and not closed.
    scope: Option<OpenScope>,
    /// Whether other scopes stand in this line before the current one.
    has_scopes: bool,
}

/// A scope that was opened in a line.
#[derive(Debug, Clone, Copy)]
struct OpenScope {
    start: usize,
    has_items: bool,
}

impl Line {
    fn has_items(&self) -> bool {
        self.has_scopes || self.scope.is_some_and(|scope| scope.has_items)
    }
}

/// Where an item began, and the comma before it.
#[derive(Debug)]
pub(crate) struct Mark {
    len: usize,
    item: usize,
}

/// Lines under construction.
#[derive(Debug)]
pub(crate) struct Assembler<'s> {
    /// The lines of the current segment.
    pub(crate) out: Output,
    limits: Limits,
    segments: &'s mut Vec<Segment>,
    room: &'s mut dyn Room,
    /// How many bytes were taken from the room.
    taken: usize,
    segment: Segment,
    services: HashSet<String>,
    /// How many bytes of names still fit.
    services_room: usize,
    /// The current one; `None` where its name is too long to be kept.
    service: Option<String>,
    resource: Envelope,
    scope: Envelope,
    line: Option<Line>,
    /// How many bytes of lines are still to be expected.
    expected: usize,
    /// How many bytes of lines closed segments have, and how many bytes of memory they take.
    ///
    /// Trace ids of the open one are counted with it once it is closed: looking at them with each span would be felt.
    closed: usize,
    closed_capacity: usize,
    /// How many bytes all lines may have.
    max_bytes: usize,
    /// Items kept.
    pub(crate) items: u64,
    /// Items that alone are longer than a line should be.
    pub(crate) oversized: u64,
}

impl<'s> Assembler<'s> {
    /// Makes an assembler that appends to `segments`; about `expected` bytes of lines are to come of `body_len`.
    ///
    /// # Errors
    /// [`Stop::NoRoom`] where there is none even for the beginning.
    pub(crate) fn new(
        limits: Limits,
        (segments, room): (&'s mut Vec<Segment>, &'s mut dyn Room),
        body_len: usize,
        expected: usize,
    ) -> Result<Self, Stop> {
        let mut assembler = Self {
            out: Output::default(),
            limits,
            segments,
            room,
            taken: 0,
            segment: Segment::default(),
            services: HashSet::new(),
            services_room: MAX_SERVICES_BYTES,
            service: None,
            resource: Envelope::default(),
            scope: Envelope::default(),
            line: None,
            expected,
            closed: 0,
            closed_capacity: 0,
            max_bytes: limits.max_bytes(body_len),
            items: 0,
            oversized: 0,
        };
        assembler.take(assembler.next_capacity())?;
        assembler.reserve();
        Ok(assembler)
    }

    /// Begins a group by resource.
    pub(crate) fn begin_resource(&mut self, envelope: Envelope, service: Option<String>) {
        self.resource = envelope;
        self.service = service;
    }

    /// Ends a group by resource, and the line with it: a line never holds two.
    pub(crate) fn end_resource(&mut self) {
        self.end_line();
    }

    /// Begins a group by scope within the resource.
    pub(crate) fn begin_scope(&mut self, envelope: Envelope) {
        self.scope = envelope;
    }

    /// Ends a group by scope.
    pub(crate) fn end_scope(&mut self) {
        let Some(line) = &mut self.line else { return };
        match line.scope.take() {
            Some(OpenScope { has_items: true, .. }) => {
                self.out.raw(&self.scope.close);
                line.has_scopes = true;
            }
            Some(OpenScope { start, .. }) => self.out.truncate(start),
            None => {}
        }
    }

    /// Writes what must stand before the next item.
    pub(crate) fn begin_item(&mut self) -> Mark {
        let out = &mut self.out;
        let line = self.line.get_or_insert_with(|| {
            let start = out.len();
            out.raw(&self.resource.open);
            Line { start, scope: None, has_scopes: false }
        });
        let scope = line.scope.get_or_insert_with(|| {
            let start = out.len();
            if line.has_scopes {
                out.byte(b',');
            }
            out.raw(&self.scope.open);
            OpenScope { start, has_items: false }
        });
        let len = out.len();
        if scope.has_items {
            out.byte(b',');
        }
        self.bind();
        Mark { len, item: self.out.len() }
    }

    /// Takes room for an item of `body_len` bytes that did not fit, to be written once more from its beginning.
    ///
    /// # Errors
    /// [`Stop::NoRoom`] where it is not to be had.
    pub(crate) fn widen(&mut self, mark: &Mark, body_len: usize) -> Result<(), Stop> {
        self.out.truncate(mark.item);
        let wider = self.out.wider().max(self.out.capacity().saturating_add(body_len));
        self.take(wider.saturating_sub(self.out.capacity()))?;
        self.bind();
        Ok(())
    }

    /// Takes back what was written since `mark`.
    pub(crate) fn abandon_item(&mut self, mark: &Mark) {
        self.out.bound(usize::MAX);
        self.out.truncate(mark.len);
    }

    /// Counts the item written since `mark`, and moves it to a line of its own if this one became too long.
    ///
    /// # Errors
    /// [`Stop::TooLong`] where all lines together are by now; at most one item and its line go beyond the limit.
    /// [`Stop::NoRoom`] where there is none for what surrounds the item.
    pub(crate) fn keep_item(&mut self, mark: &Mark, facts: &Facts) -> Result<(), Stop> {
        self.out.bound(usize::MAX);
        if self.line.is_some_and(|line| line.has_items()) && self.is_line_too_long() {
            let item = self.out.text_from(mark.item).to_vec();
            self.abandon_item(mark);
            self.end_line();
            self.begin_item();
            // It is there already, so it must not be cut now.
            self.out.bound(usize::MAX);
            self.out.raw(&item);
        }
        if let Some(scope) = self.line.as_mut().and_then(|line| line.scope.as_mut()) {
            scope.has_items = true;
        }
        self.oversized += u64::from(self.is_line_too_long());
        self.count(facts);
        self.check(self.closed.saturating_add(self.out.len()))?;
        self.take(0)
    }

    /// Takes room until `more` bytes fit beside what is held.
    ///
    /// # Errors
    /// [`Stop::NoRoom`] where it is not to be had.
    #[inline]
    pub(crate) fn take(&mut self, more: usize) -> Result<(), Stop> {
        let needed = self.held().saturating_add(more);
        if needed <= self.taken { Ok(()) } else { self.take_more(needed - self.taken) }
    }

    #[cold]
    fn take_more(&mut self, more: usize) -> Result<(), Stop> {
        if !self.room.take(more) {
            return Err(Stop::NoRoom);
        }
        self.taken += more;
        Ok(())
    }

    // Buffers of lines, and what surrounds items where that is much.
    #[inline]
    fn held(&self) -> usize {
        self.closed_capacity + self.out.capacity() + self.envelopes()
    }

    #[inline]
    fn envelopes(&self) -> usize {
        let bytes = self.resource.open.len() + self.scope.open.len();
        if bytes > FREE_ENVELOPE_BYTES { bytes } else { 0 }
    }

    // Items are all that grows without measure, so they alone are bound to what was taken.
    #[inline]
    fn bind(&mut self) {
        self.out.bound(self.taken.saturating_sub(self.closed_capacity + self.envelopes()));
    }

    /// Tells whether that many bytes of lines may be made.
    pub(crate) fn check(&self, bytes: usize) -> Result<(), Stop> {
        if bytes > self.max_bytes { Err(Stop::TooLong { limit: self.max_bytes }) } else { Ok(()) }
    }

    /// Closes the last segment.
    pub(crate) fn finish(&mut self) {
        self.close_segment();
    }

    fn is_line_too_long(&self) -> bool {
        let closing = self.scope.close.len() + self.resource.close.len();
        self.line.is_some_and(|line| self.out.len() - line.start + closing > self.limits.max_line_bytes)
    }

    fn count(&mut self, facts: &Facts) {
        self.items += 1;
        self.segment.items += 1;
        if let Some(id) = facts.trace_id.filter(|id| self.segment.trace_ids.last() != Some(id)) {
            self.segment.trace_ids.push(id);
        }
        let set = [facts.start, facts.end].into_iter().filter(|&nanos| nanos != 0).map(Timestamp::from_unix_nanos);
        for time in set {
            let (first, last) = self.segment.times.unwrap_or((time, time));
            self.segment.times = Some((first.min(time), last.max(time)));
        }
    }

    /// Ends the line, if one was begun.
    pub(crate) fn end_line(&mut self) {
        self.end_scope();
        let Some(line) = self.line.take() else { return };
        if !line.has_items() {
            self.out.truncate(line.start);
            return;
        }
        self.out.raw(&self.resource.close);
        self.segment.line_count += 1;
        self.note_service();
        if self.out.len() >= self.limits.segment_bytes {
            self.close_segment();
        }
    }

    // Nobody who takes a segment keeps longer lists, and the names of others count against no memory.
    fn note_service(&mut self) {
        let Some(service) = &self.service else {
            self.segment.has_other_services = true;
            return;
        };
        if self.services.contains(service) {
            return;
        }
        match self.services_room.checked_sub(service.len()) {
            Some(left) => {
                self.services_room = left;
                self.services.insert(service.clone());
                self.segment.services.push(service.clone());
            }
            None => self.segment.has_other_services = true,
        }
    }

    fn close_segment(&mut self) {
        if self.segment.line_count == 0 {
            return;
        }
        self.expected = self.expected.saturating_sub(self.out.len());
        self.closed = self.closed.saturating_add(self.out.len());
        self.segment.lines = self.out.take();
        self.closed_capacity = self.closed_capacity.saturating_add(self.segment.held_bytes());
        self.segments.push(std::mem::take(&mut self.segment));
        self.services.clear();
        self.services_room = MAX_SERVICES_BYTES;
        self.reserve();
    }

    // A segment ends with the line that fills it, so what goes beyond is rarely more than a few spans.
    fn reserve(&mut self) {
        self.out.reserve(self.next_capacity());
    }

    fn next_capacity(&self) -> usize {
        self.expected.min(self.limits.segment_bytes + self.limits.segment_bytes / 8)
    }
}
