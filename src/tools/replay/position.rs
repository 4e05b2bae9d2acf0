//! How far archives are read, and finding those places again.
//!
//! Every chunk and every file has a place of its own. Chunks of several writers grow at a time, a chunk of
//! a writer whose clock is behind sorts before chunks that are done, and a bundle under an old name holds more than
//! its predecessor: whatever is there beyond the places that are known is still to be sent.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::archive::read::Origin;

/// A place in a chunk or file: everything up to it is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// How many intact frames were begun; 0 where it has none.
    pub(super) frame: u64,
    /// How many lines of the frame, or of the file without frames, were begun.
    pub(super) line: u64,
    /// How many spans of that line are done.
    pub(super) span: u64,
}

/// A place in what is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Which of the paths, from 0.
    pub(super) archive: usize,
    /// What tells the chunk or file from the others of the path, see [`Cursor::begin`].
    pub(super) chunk: String,
    /// How far it is done.
    #[serde(flatten)]
    pub(super) place: Place,
}

/// How far each chunk and file is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Done {
    /// The last span whose outcome is known; `None` before the first.
    last: Option<Position>,
    /// By path and chunk. Those that are sealed are kept, too: recovery may add to them, and order tells nothing.
    chunks: BTreeMap<usize, BTreeMap<String, Place>>,
}

impl Done {
    /// Notes that a chunk or file is done up to here.
    pub(super) fn note(&mut self, position: &Position) {
        let Position { archive, chunk, place } = position;
        self.chunks.entry(*archive).or_default().insert(chunk.clone(), *place);
        self.last = Some(position.clone());
    }

    /// Returns the place that was come to last.
    pub(super) fn last(&self) -> Option<&Position> {
        self.last.as_ref()
    }

    fn place(&self, archive: usize, chunk: &str) -> Place {
        self.chunks.get(&archive).and_then(|chunks| chunks.get(chunk)).copied().unwrap_or_default()
    }
}

/// Counts what is read and tells what of it is still to be sent.
#[derive(Debug)]
pub(super) struct Cursor {
    at: Position,
    /// What was done when the replay began.
    known: Done,
    /// How far that was in the chunk or file that is read.
    done: Place,
    /// What has begun in the path that is read, and how often.
    begun: HashMap<String, u32>,
}

impl Cursor {
    pub(super) fn new(known: Done) -> Self {
        Self { at: Position::default(), known, done: Place::default(), begun: HashMap::new() }
    }

    /// Returns the place that was come to.
    pub(super) fn here(&self) -> &Position {
        &self.at
    }

    /// Begins a path.
    pub(super) fn archive(&mut self, index: usize) {
        self.at = Position { archive: index, ..Position::default() };
        self.begun.clear();
    }

    /// Tells whether an earlier replay came beyond the path that is read.
    pub(super) fn is_behind(&self) -> bool {
        self.known.last().is_some_and(|last| last.archive > self.at.archive)
    }

    /// Returns the chunk that was sent of last where the path, now read to its end, does not hold it any more.
    pub(super) fn gone(&self) -> Option<&str> {
        let last = self.known.last().filter(|last| last.archive == self.at.archive)?;
        (!self.begun.contains_key(&last.chunk)).then_some(&last.chunk)
    }

    /// Begins a chunk or file.
    ///
    /// A chunk that is a file or folder of its own goes by its stem, whatever its state has become; any other one by
    /// the file that holds it, too, because bundles of different filters hold different parts of a chunk.
    pub(super) fn begin(&mut self, name: &str, origin: Origin, file: &str) {
        let mut chunk = match origin {
            Origin::File(_) | Origin::Extracted => name.to_owned(),
            Origin::Loose | Origin::Bundle | Origin::Member | Origin::Foreign if name == file => name.to_owned(),
            Origin::Loose | Origin::Bundle | Origin::Member | Origin::Foreign => format!("{file}/{name}"),
        };
        let n_begun = self.begun.entry(chunk.clone()).or_default();
        *n_begun += 1;
        if *n_begun > 1 {
            // Its lines are counted anew, and nothing lies beneath a file that could have this name.
            chunk = format!("{chunk}/#{n_begun}");
            self.begun.insert(chunk.clone(), 1);
        }
        self.done = self.known.place(self.at.archive, &chunk);
        self.at = Position { archive: self.at.archive, chunk, place: Place::default() };
    }

    /// Tells whether the chunk or file, now read to its end, holds less than is done of it.
    pub(super) fn is_short(&self) -> bool {
        let (here, done) = (self.at.place, self.done);
        (here.frame, here.line) < (done.frame, done.line)
    }

    /// Tells whether the frame that comes next has lines to be sent.
    pub(super) fn wants_next_frame(&self) -> bool {
        self.at.place.frame + 1 >= self.done.frame
    }

    /// Begins a frame.
    pub(super) fn frame(&mut self) {
        self.at.place = Place { frame: self.at.place.frame + 1, ..Place::default() };
    }

    /// Begins a line; returns how many of its spans are done, `None` where all are.
    pub(super) fn line(&mut self) -> Option<usize> {
        let Place { frame, line, .. } = self.at.place;
        self.at.place = Place { frame, line: line + 1, span: 0 };
        let (here, done) = ((frame, line + 1), (self.done.frame, self.done.line));
        match here.cmp(&done) {
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Equal => Some(usize::try_from(self.done.span).unwrap_or(usize::MAX)),
            std::cmp::Ordering::Greater => Some(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::name::ChunkState;

    /// Chunks that an earlier replay came to, in the order in which it did.
    fn known(places: &[(&str, u64, u64, u64)]) -> Done {
        let mut done = Done::default();
        for &(chunk, frame, line, span) in places {
            done.note(&Position { archive: 1, chunk: chunk.to_owned(), place: Place { frame, line, span } });
        }
        done
    }

    /// Walks chunks of two frames of two lines; returns which lines are sent, and from which span.
    fn walk(cursor: &mut Cursor, chunks: &[(&str, Origin, &str)]) -> Vec<String> {
        let mut sent = Vec::new();
        for &(name, origin, file) in chunks {
            cursor.begin(name, origin, file);
            for frame in 1..=2 {
                let wanted = cursor.wants_next_frame();
                cursor.frame();
                for line in (1..=2).filter(|_| wanted) {
                    sent.extend(cursor.line().map(|span| format!("{file}:{name} {frame} {line} {span}")));
                }
            }
        }
        sent
    }

    const SEALED: Origin = Origin::File(ChunkState::Sealed);

    #[test]
    fn every_chunk_goes_on_behind_its_last_span_that_was_sent() {
        let check = |places: &[(&str, u64, u64, u64)], first: &str, n| {
            let mut cursor = Cursor::new(known(places));
            cursor.archive(1);
            let sent = walk(&mut cursor, &[("a", SEALED, "d"), ("b", SEALED, "d")]);
            assert_eq!((sent.first().map_or("", String::as_str), sent.len()), (first, n), "{places:?}");
            assert_eq!(cursor.gone(), None);
        };
        check(&[], "d:a 1 1 0", 8);
        check(&[("a", 1, 1, 3)], "d:a 1 1 3", 8);
        check(&[("a", 1, 2, 1)], "d:a 1 2 1", 7);
        check(&[("a", 2, 2, 9)], "d:a 2 2 9", 5);
        check(&[("a", 9, 1, 0)], "d:b 1 1 0", 4);
        check(&[("b", 1, 1, 0)], "d:a 1 1 0", 8);
        check(&[("a", 2, 2, 1), ("b", 2, 2, 1)], "d:a 2 2 1", 2);
        check(&[("a", 1, 2, 1), ("b", 2, 2, 1)], "d:a 1 2 1", 4);
    }

    #[test]
    fn parts_of_a_chunk_in_several_files_are_told_apart() {
        let mut cursor = Cursor::new(known(&[("x.tar/a", 2, 2, 1), ("x.tar/a/#2", 1, 1, 1), ("f", 2, 2, 1)]));
        cursor.archive(1);
        let chunks = [
            ("a", Origin::Bundle, "x.tar"),
            ("a", Origin::Bundle, "x.tar"),
            ("a", Origin::Bundle, "y.tar"),
            ("f", Origin::Foreign, "f"),
        ];
        let sent = walk(&mut cursor, &chunks);
        assert_eq!(sent.len(), 1 + 4 + 4 + 1, "{sent:?}");
        assert_eq!((sent[0].as_str(), sent[1].as_str()), ("x.tar:a 2 2 1", "x.tar:a 1 1 1"));
    }

    #[test]
    fn paths_are_counted_apart_and_a_chunk_that_is_gone_is_told() {
        let mut cursor = Cursor::new(known(&[("a", 2, 2, 1), ("c", 1, 1, 1)]));
        cursor.archive(0);
        assert!(cursor.is_behind());
        assert_eq!((walk(&mut cursor, &[("a", SEALED, "d")]).len(), cursor.gone()), (4, None));
        cursor.archive(1);
        assert!(!cursor.is_behind());
        assert_eq!((walk(&mut cursor, &[("a", SEALED, "d")]).len(), cursor.gone()), (1, Some("c")));
    }
}
