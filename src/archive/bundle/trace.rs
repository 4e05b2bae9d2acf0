//! Bundles of one trace: lines are rewritten, so the result is made once and kept for a while.

use std::sync::{Arc, PoisonError};

use super::cache::Selection;
use super::compose::{self, Body};
use super::layout::Layout;
use super::{BundleError, Bundles};
use crate::archive::bloom::Bloom;
use crate::archive::frame::{Compression, EncodeError, Encoder};
use crate::archive::name::data_member;
use crate::archive::snapshot::{Counts, Filter, Snapshot};
use crate::archive::trailer::Facts;
use crate::ids::{Signal, TraceId};

/// Lines are gathered up to this length before they become a frame.
const FRAME_LINES: usize = 1 << 20;

/// A member that grows by frames of selected lines.
struct Member {
    encoder: Encoder,
    trace_id: TraceId,
    body: Vec<u8>,
    lines: Vec<u8>,
    n_lines: u32,
    items: u32,
    n_frames: u32,
}

impl Bundles {
    /// Lays out what of a snapshot belongs to the filter's trace.
    pub(super) fn trace_body(&self, snapshot: &Snapshot, filter: &Filter) -> Result<Body, BundleError> {
        let Some(trace_id) = filter.trace_id else { return Ok(compose::chunks(snapshot)?) };
        // Held while the selection is made: one at a time, and nobody makes it twice.
        let mut cache = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        let selection = if let Some(selection) = cache.get(&snapshot.digest) {
            selection
        } else {
            let selection = Arc::new(self.select_trace(snapshot, filter, trace_id)?);
            cache.put(snapshot.digest, Arc::clone(&selection));
            selection
        };
        drop(cache);
        let mut layout = Layout::default();
        let modified = snapshot.chunks.last().map_or(0, |chunk| chunk.name.started_secs());
        if !selection.member.is_empty() {
            let file = data_member(Signal::Traces, 1, Compression::Zstd.ending());
            compose::entry(&format!("trace-{trace_id}/{file}"), modified, Arc::clone(&selection.member), &mut layout)?;
        }
        Ok(Body { layout, shares: selection.counts.iter().map(|counts| (0, *counts)).collect() })
    }

    fn select_trace(&self, snapshot: &Snapshot, filter: &Filter, trace_id: TraceId) -> Result<Selection, BundleError> {
        let mut member = Member::new(trace_id)?;
        let mut counts = vec![Counts::default(); snapshot.chunks.len()];
        self.select(snapshot, filter, |selected| {
            if let Some(counts) = counts.get_mut(selected.chunk) {
                let (lines, items) = (u64::from(selected.n_lines), u64::from(selected.items));
                *counts = counts.and(&Counts { frames: 1, lines, items, times: None });
            }
            member.n_lines += selected.n_lines;
            member.items += selected.items;
            member.lines.extend_from_slice(selected.lines);
            if member.lines.len() >= FRAME_LINES { member.flush() } else { Ok(()) }
        })?;
        member.flush()?;
        Ok(Selection { member: member.body.into(), counts })
    }

    /// Returns the spans of a trace as one OTLP JSON document (`TracesData`); `None` where there are none.
    ///
    /// # Errors
    /// [`BundleError`]; [`BundleError::TraceTooLarge`] where its lines take more than [`super::MAX_LINES`].
    pub fn trace_json(&self, snapshot: &Snapshot, filter: &Filter) -> Result<Option<Vec<u8>>, BundleError> {
        const OPEN: &[u8] = b"{\"resourceSpans\":[";
        const CLOSE: &[u8] = b"]}";
        let mut json = OPEN.to_vec();
        self.select(snapshot, filter, |selected| {
            for line in selected.lines.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
                // A line of the archive is one such document; the list inside is what is joined.
                let list = line.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix(CLOSE));
                let list = list.ok_or_else(|| not_ours(snapshot, selected.chunk))?;
                if json.len() > OPEN.len() {
                    json.push(b',');
                }
                json.extend_from_slice(list);
            }
            Ok(())
        })?;
        let is_empty = json.len() == OPEN.len();
        json.extend_from_slice(CLOSE);
        Ok((!is_empty).then_some(json))
    }
}

fn not_ours(snapshot: &Snapshot, chunk: usize) -> BundleError {
    let reason = "it is no `resourceSpans` document".to_owned();
    snapshot
        .chunks
        .get(chunk)
        .map_or(BundleError::Changed, |chunk| BundleError::Line { chunk: chunk.name.clone(), reason })
}

impl Member {
    fn new(trace_id: TraceId) -> Result<Self, BundleError> {
        let encoder = Encoder::new(Compression::Zstd).map_err(BundleError::Compress)?;
        Ok(Self { encoder, trace_id, body: Vec::new(), lines: Vec::new(), n_lines: 0, items: 0, n_frames: 0 })
    }

    fn flush(&mut self) -> Result<(), BundleError> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let facts = Facts {
            lines: self.n_lines,
            items: self.items,
            times: None,
            services: Vec::new(),
            services_complete: false,
            trace_ids: Bloom::of(&[self.trace_id]),
        };
        let encoded = self.encoder.encode(&self.lines, facts, self.n_frames, &mut self.body);
        encoded.map_err(|error| match error {
            EncodeError::Compress(source) => BundleError::Compress(source),
            EncodeError::TooLong(_) => BundleError::TraceTooLarge { limit: super::MAX_LINES },
        })?;
        self.lines.clear();
        (self.n_lines, self.items, self.n_frames) = (0, 0, self.n_frames + 1);
        Ok(())
    }
}
