//! How far archives are read, and finding that place again.

use serde::{Deserialize, Serialize};

use crate::archive::name::ChunkName;

/// A place in what is read: everything up to it is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Which of the paths, from 0.
    pub(super) archive: usize,
    /// The chunk's stem, or the name of another program's file.
    pub(super) chunk: String,
    /// How many intact frames of it were begun; 0 where it has none.
    pub(super) frame: u64,
    /// How many lines of the frame, or of the file without frames, were begun.
    pub(super) line: u64,
    /// How many spans of that line are done.
    pub(super) span: u64,
}

/// Counts what is read and tells what of it is still to be sent.
#[derive(Debug)]
pub(super) struct Cursor {
    at: Position,
    /// Where to go on; `None` once it was found, or where there is none.
    seeking: Option<Position>,
    is_in_chunk: bool,
    /// The chunk to go on in, where it is gone and the next one was taken.
    pub(super) gone: Option<String>,
}

impl Cursor {
    pub(super) fn new(resume: Option<Position>) -> Self {
        Self { at: Position::default(), seeking: resume, is_in_chunk: false, gone: None }
    }

    /// Returns the place that was come to.
    pub(super) fn here(&self) -> &Position {
        &self.at
    }

    /// Begins a path; `false` where all of it is done.
    pub(super) fn archive(&mut self, index: usize) -> bool {
        self.at = Position { archive: index, ..Position::default() };
        self.seeking.as_ref().is_none_or(|to| index >= to.archive)
    }

    /// Tells whether the place to go on at was not found in the path that ends.
    pub(super) fn is_lost(&self) -> bool {
        self.seeking.as_ref().is_some_and(|to| to.archive <= self.at.archive)
    }

    /// Begins a chunk or file.
    pub(super) fn begin(&mut self, chunk: &str) {
        self.at = Position { archive: self.at.archive, chunk: chunk.to_owned(), ..Position::default() };
        let Some(to) = &self.seeking else { return };
        self.is_in_chunk = to.chunk == chunk;
        // Chunks come oldest first, so a younger one tells that retention took the one that was begun.
        let names = (chunk.parse::<ChunkName>(), to.chunk.parse::<ChunkName>());
        if matches!(names, (Ok(this), Ok(wanted)) if this > wanted) {
            self.gone = self.seeking.take().map(|to| to.chunk);
        }
    }

    /// Ends a chunk or file: what is not found in it by now is behind it.
    pub(super) fn end(&mut self) {
        if std::mem::take(&mut self.is_in_chunk) {
            self.seeking = None;
        }
    }

    /// Tells whether the frame that comes next has lines to be sent.
    pub(super) fn wants_next_frame(&self) -> bool {
        self.seeking.as_ref().is_none_or(|to| self.is_in_chunk && self.at.frame + 1 >= to.frame)
    }

    /// Begins a frame.
    pub(super) fn frame(&mut self) {
        (self.at.frame, self.at.line, self.at.span) = (self.at.frame + 1, 0, 0);
    }

    /// Begins a line; returns how many of its spans are done, `None` where all are.
    pub(super) fn line(&mut self) -> Option<usize> {
        (self.at.line, self.at.span) = (self.at.line + 1, 0);
        let Some(to) = &self.seeking else { return Some(0) };
        if !self.is_in_chunk || (self.at.frame, self.at.line) < (to.frame, to.line) {
            return None;
        }
        let is_there = (self.at.frame, self.at.line) == (to.frame, to.line);
        let done = if is_there { usize::try_from(to.span).unwrap_or(usize::MAX) } else { 0 };
        self.seeking = None;
        Some(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: &str = "20261121T100000.000Z_local_7f3a_000001";

    fn at(chunk: &str, frame: u64, line: u64, span: u64) -> Position {
        Position { archive: 1, chunk: chunk.to_owned(), frame, line, span }
    }

    /// Walks two chunks of two frames of two lines; returns which lines are sent, and from which span.
    fn walk(cursor: &mut Cursor, chunks: [&str; 2]) -> Vec<String> {
        let mut sent = Vec::new();
        for chunk in chunks {
            cursor.begin(chunk);
            for frame in 1..=2 {
                let wanted = cursor.wants_next_frame();
                cursor.frame();
                for line in (1..=2).filter(|_| wanted) {
                    sent.extend(cursor.line().map(|span| format!("{chunk} {frame} {line} {span}")));
                }
            }
            cursor.end();
        }
        sent
    }

    #[test]
    fn it_goes_on_behind_the_last_span_that_was_sent() {
        let check = |resume, first: &str, n| {
            let mut cursor = Cursor::new(resume);
            assert!(cursor.archive(1));
            let sent = walk(&mut cursor, ["a", "b"]);
            assert_eq!((sent.first().map_or("", String::as_str), sent.len()), (first, n));
            assert!(!cursor.is_lost());
        };
        check(None, "a 1 1 0", 8);
        check(Some(at("a", 1, 1, 3)), "a 1 1 3", 8);
        check(Some(at("a", 1, 2, 1)), "a 1 2 1", 7);
        check(Some(at("a", 2, 2, 9)), "a 2 2 9", 5);
        check(Some(at("b", 1, 1, 0)), "b 1 1 0", 4);
        check(Some(at("a", 9, 1, 0)), "b 1 1 0", 4);
    }

    #[test]
    fn earlier_paths_are_not_read_and_a_place_that_is_nowhere_is_told() {
        let mut cursor = Cursor::new(Some(at("c", 1, 1, 1)));
        assert!(!cursor.archive(0) && cursor.archive(1));
        assert_eq!(walk(&mut cursor, ["a", "b"]), [""; 0]);
        assert!(cursor.is_lost());
    }

    #[test]
    fn behind_a_chunk_that_retention_took_it_goes_on_with_the_next() {
        let names: Vec<ChunkName> = ["000001", "000002", "000003"]
            .map(|n| CHUNK.replace("000001", n).parse().expect("the name of a chunk"))
            .into();
        let mut cursor = Cursor::new(Some(at(&names[1].to_string(), 2, 2, 1)));
        cursor.archive(1);
        let sent = walk(&mut cursor, [&names[0].to_string(), &names[2].to_string()]);
        assert_eq!((sent.len(), cursor.gone), (4, Some(names[1].to_string())));
    }
}
