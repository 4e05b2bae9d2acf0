//! Lines become batches of bounded size; each knows how far the replay is once it is sent.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;

use super::capture_clock::CaptureClock;
use super::position::Position;
use crate::otlp::export::LineSpans;

/// One export request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Batch {
    /// The protobuf body.
    pub(super) body: Bytes,
    /// How many spans it holds.
    pub(super) spans: u64,
    /// How far the archives are read with it: one place for each chunk that it holds spans of.
    pub(super) upto: Vec<Position>,
    /// How much time of the capture has passed before it.
    pub(super) elapsed: Duration,
}

/// When a batch is full.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchLimits {
    /// It holds so many spans.
    pub(super) max_spans: usize,
    /// It would have more bytes; a single span may.
    pub(super) max_bytes: usize,
    /// More time of the capture has passed since its first span.
    pub(super) window: Option<Duration>,
}

/// Fills one batch after the other.
#[derive(Debug)]
pub(super) struct Batcher {
    limits: BatchLimits,
    clock: CaptureClock,
    body: Vec<u8>,
    spans: usize,
    elapsed: Duration,
    upto: Vec<Position>,
}

impl Batcher {
    pub(super) fn new(limits: BatchLimits) -> Self {
        let clock = CaptureClock::default();
        Self { limits, clock, body: Vec::new(), spans: 0, elapsed: Duration::ZERO, upto: Vec::new() }
    }

    /// Adds the spans of a line from `from` on; `here` is the line. Full batches go to `emit`.
    pub(super) fn push(
        &mut self,
        line: &LineSpans,
        (from, here): (usize, &Position),
        emit: &mut dyn FnMut(Batch) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        // What was put off: spans from `begin` to the one that is looked at.
        let (mut begin, mut bytes) = (from, 0);
        for span in from..line.len() {
            let elapsed = self.clock.advance(line.start(span));
            let mut cost = line.cost(span, (span > begin).then(|| span - 1));
            let n_spans = self.spans + (span - begin);
            if n_spans > 0 && self.is_full(n_spans, self.body.len() + bytes + cost, elapsed) {
                if begin < span {
                    self.take(line, begin..span, here);
                }
                emit(self.flush())?;
                (begin, bytes) = (span, 0);
                cost = line.cost(span, None);
            }
            if self.spans == 0 && begin == span {
                self.elapsed = elapsed;
            }
            bytes += cost;
        }
        if begin < line.len() {
            self.take(line, begin..line.len(), here);
        }
        ControlFlow::Continue(())
    }

    /// Returns what is left.
    pub(super) fn finish(&mut self) -> Option<Batch> {
        (self.spans > 0).then(|| self.flush())
    }

    fn is_full(&self, n_spans: usize, bytes: usize, elapsed: Duration) -> bool {
        n_spans >= self.limits.max_spans
            || bytes > self.limits.max_bytes
            || self.limits.window.is_some_and(|window| elapsed.saturating_sub(self.elapsed) > window)
    }

    fn take(&mut self, line: &LineSpans, spans: std::ops::Range<usize>, here: &Position) {
        self.spans += spans.len();
        let mut upto = here.clone();
        upto.place.span = spans.end as u64;
        match self.upto.last_mut() {
            Some(last) if (last.archive, &last.chunk) == (upto.archive, &upto.chunk) => *last = upto,
            _ => self.upto.push(upto),
        }
        line.append(spans, &mut self.body);
    }

    fn flush(&mut self) -> Batch {
        let body = Bytes::from(std::mem::take(&mut self.body));
        let spans = std::mem::take(&mut self.spans) as u64;
        Batch { body, spans, upto: std::mem::take(&mut self.upto), elapsed: self.elapsed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::export::Shift;
    use crate::tools::replay::position::Place;

    /// A line of spans that start at these seconds.
    fn line(starts: &[u64]) -> LineSpans {
        let spans: Vec<String> = starts
            .iter()
            .map(|start| {
                format!(
                    r#"{{"traceId":"{start:032x}","spanId":"{start:016x}","startTimeUnixNano":"{start}000000000"}}"#
                )
            })
            .collect();
        let text = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#, spans.join(","));
        LineSpans::read(text.as_bytes(), Shift::default()).unwrap()
    }

    fn at(chunk: &str, line: u64) -> Position {
        Position { chunk: chunk.to_owned(), place: Place { line, ..Place::default() }, ..Position::default() }
    }

    /// Returns each batch as spans, line and span up to which it goes, and seconds passed.
    fn batches(limits: BatchLimits, lines: &[&[u64]]) -> Vec<(u64, u64, u64, u64)> {
        let (mut batcher, mut found) = (Batcher::new(limits), Vec::new());
        for (number, starts) in (1..).zip(lines) {
            let here = at("a", number);
            let flow = batcher.push(&line(starts), (0, &here), &mut |batch| {
                found.push(batch);
                ControlFlow::Continue(())
            });
            assert!(flow.is_continue());
        }
        found.extend(batcher.finish());
        let last = |batch: &Batch| batch.upto.last().unwrap().place;
        found.iter().map(|b| (b.spans, last(b).line, last(b).span, b.elapsed.as_secs())).collect()
    }

    const LIMITS: BatchLimits = BatchLimits { max_spans: 3, max_bytes: 1 << 20, window: None };

    #[test]
    fn batches_are_filled_across_lines_and_cut_within_them() {
        let found = batches(LIMITS, &[&[1, 2], &[3, 4, 5, 6, 7], &[], &[8]]);
        assert_eq!(found, [(3, 2, 1, 0), (3, 2, 4, 3), (2, 4, 1, 6)]);
        assert_eq!(batches(LIMITS, &[&[]]), []);
    }

    #[test]
    fn a_batch_knows_how_far_each_of_its_chunks_is_done() {
        let mut batcher = Batcher::new(BatchLimits { max_spans: 4, ..LIMITS });
        let mut found = Vec::new();
        for (chunk, number, starts) in [("a", 1, [1]), ("a", 2, [2]), ("b", 1, [3]), ("b", 2, [4]), ("b", 3, [5])] {
            let flow = batcher.push(&line(&starts), (0, &at(chunk, number)), &mut |batch| {
                found.push(batch);
                ControlFlow::Continue(())
            });
            assert!(flow.is_continue());
        }
        found.extend(batcher.finish());
        let upto: Vec<Vec<_>> = found
            .iter()
            .map(|batch| batch.upto.iter().map(|upto| (upto.chunk.as_str(), upto.place.line)).collect())
            .collect();
        assert_eq!(upto, [vec![("a", 2), ("b", 2)], vec![("b", 3)]]);
    }

    #[test]
    fn bytes_bound_a_batch_but_never_a_single_span() {
        let found = batches(BatchLimits { max_bytes: 1, ..LIMITS }, &[&[1, 2], &[3]]);
        assert_eq!(found, [(1, 1, 1, 0), (1, 1, 2, 1), (1, 2, 1, 2)]);
        let found = batches(BatchLimits { max_bytes: 180, max_spans: 100, window: None }, &[&[1, 2, 3, 4]]);
        assert!(found.len() > 1 && found.iter().map(|batch| batch.0).sum::<u64>() == 4, "{found:?}");
    }

    #[test]
    fn a_window_of_time_bounds_a_batch() {
        let limits = BatchLimits { window: Some(Duration::from_secs(2)), max_spans: 100, ..LIMITS };
        assert_eq!(batches(limits, &[&[10, 11, 12, 13], &[14, 20]]), [(3, 1, 3, 0), (2, 2, 1, 3), (1, 2, 2, 10)]);
    }
}
