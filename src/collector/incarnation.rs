//! The number that tells this life of a writer from its others.
//!
//! It has 16 bits, so of a few hundred lives two are likely to draw the same one. Where chunks of both were stored,
//! recovery would take what the other life left for its own, and a snapshot's token could not tell the two apart.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use crate::archive::fs::Fs;
use crate::archive::layout::chunks_dir;
use crate::archive::name::ChunkName;
use crate::ids::{Incarnation, WriterId};

/// Returns the number that was drawn, or the next one of which no chunk of this writer is stored.
///
/// # Errors
/// What the operating system says where the directory of chunks is there and cannot be listed; retrying may help.
pub(super) fn unused(drawn: u16, fs: &dyn Fs, data_dir: &Path, writer: &WriterId) -> io::Result<Incarnation> {
    let names = match fs.list(&chunks_dir(data_dir)) {
        // A full volume had no room for it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        listed => listed?,
    };
    let chunks = names.iter().filter_map(|name| ChunkName::parse_file_name(name.to_str()?).ok());
    let taken: BTreeSet<Incarnation> =
        chunks.filter(|(chunk, _)| chunk.writer() == writer).map(|(chunk, _)| chunk.incarnation()).collect();
    let mut candidates = (0..=u16::MAX).map(|n| Incarnation(drawn.wrapping_add(n)));
    // With all of them taken, which takes as many lives as retention spares, any is as good as another.
    Ok(candidates.find(|candidate| !taken.contains(candidate)).unwrap_or(Incarnation(drawn)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::fs::RealFs;
    use crate::archive::layout::chunk_path;
    use crate::archive::name::ChunkState;
    use crate::clock::Timestamp;

    /// Draws `drawn` beside chunks of these writers and lives.
    fn check(stored: &[(&str, u16, ChunkState)], drawn: u16, expected: u16) {
        let dir = tempfile::tempdir().unwrap();
        RealFs.create_dir_all(&chunks_dir(dir.path())).unwrap();
        for (n, &(writer, life, state)) in (1..).zip(stored) {
            let name = ChunkName::new(Timestamp::default(), writer.parse().unwrap(), Incarnation(life), n);
            RealFs.create_new(&chunk_path(dir.path(), &name, state)).unwrap();
        }
        let found = unused(drawn, &RealFs, dir.path(), &"pod-0".parse().unwrap()).unwrap();
        assert_eq!(found, Incarnation(expected), "{stored:?}");
    }

    #[test]
    fn no_two_stored_lives_of_a_writer_have_the_same_number() {
        let (sealed, open, claimed) = (ChunkState::Sealed, ChunkState::InProgress, ChunkState::Recovering);
        check(&[], 7, 7);
        check(&[("pod-0", 6, sealed), ("pod-0", 8, sealed)], 7, 7);
        for state in [sealed, open, claimed] {
            check(&[("pod-0", 7, state)], 7, 8);
        }
        check(&[("pod-0", 7, sealed), ("pod-0", 7, sealed), ("pod-0", 8, open)], 7, 9);
        check(&[("pod-0", u16::MAX, sealed), ("pod-0", 0, sealed)], u16::MAX, 1);
        check(&[("pod-1", 7, sealed)], 7, 7);
    }

    #[test]
    fn a_directory_without_chunks_has_no_lives() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(unused(7, &RealFs, dir.path(), &"pod-0".parse().unwrap()).unwrap(), Incarnation(7));
    }
}
