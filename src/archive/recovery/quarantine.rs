//! Keeps bytes that nothing vouches for, before the file that holds them goes.

use std::io;
use std::ops::Range;

use super::Site;
use super::copy::{Sink, pieces};
use super::temporary::{self, rename};
use crate::archive::fs::File;
use crate::archive::layout;
use crate::archive::manifest::Damage;
use crate::archive::name::ChunkName;
use crate::archive::scan::{Gap, Window};

/// The most files that one chunk may leave: the last then holds everything from its gap to the last gap.
const MAX_FILES: usize = 64;

/// How many different contents at the same offset are told apart.
const MAX_VARIANTS: u32 = 100;

/// Writes every gap that is not zeros to a file of its own and returns the record for the manifest.
///
/// Doing it twice finds the files of the first time.
///
/// # Errors
/// Where a file could not be read or written; what was written stays.
pub(super) fn quarantine(site: Site<'_>, chunk: &ChunkName, file: &dyn File, gaps: &[Gap]) -> io::Result<Vec<Damage>> {
    let gaps = bounded(gaps);
    let mut damage = Vec::with_capacity(gaps.len());
    for Gap { range, zeros } in &gaps {
        let quarantined = if *zeros { None } else { Some(keep(site, chunk, file, range)?) };
        damage.push(Damage { offset: range.start, len: range.end - range.start, quarantined });
    }
    if damage.iter().any(|damage| damage.quarantined.is_some()) {
        site.fs.sync_dir(&layout::quarantine_dir(site.data_dir))?;
    }
    Ok(damage)
}

/// Joins the last gaps where there are too many.
fn bounded(gaps: &[Gap]) -> Vec<Gap> {
    let Some((first, rest)) = gaps.split_at_checked(MAX_FILES - 1) else { return gaps.to_vec() };
    let mut bounded = first.to_vec();
    if let (Some(from), Some(to)) = (rest.first(), rest.last()) {
        let zeros = rest.len() == 1 && from.zeros;
        bounded.push(Gap { range: from.range.start..to.range.end, zeros });
    }
    bounded
}

/// Writes one range to the quarantine, unless it is there already, and returns the file's name.
fn keep(site: Site<'_>, chunk: &ChunkName, file: &dyn File, range: &Range<u64>) -> io::Result<String> {
    let dir = layout::quarantine_dir(site.data_dir);
    for variant in 0..MAX_VARIANTS {
        let name = layout::quarantine_name(chunk, range.start, variant);
        match site.fs.open(&dir.join(&name)) {
            Ok(kept) if is_same(&*kept, file, range)? => return Ok(name),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write(site, chunk, file, range, &name)?;
                return Ok(name);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn write(site: Site<'_>, chunk: &ChunkName, file: &dyn File, range: &Range<u64>, name: &str) -> io::Result<()> {
    let (temporary, target) = temporary::create(site, chunk)?;
    let mut sink = Sink::new(&*target);
    let written = pieces(&mut Window::new(file, range.end), range.clone(), |piece| sink.put(piece))
        .and_then(|()| sink.flush())
        .and_then(|()| target.sync_data())
        .and_then(|()| target.stat())
        .and_then(|stat| rename(site.fs, &temporary, &layout::quarantine_dir(site.data_dir).join(name), stat.id));
    if written.is_err() {
        let _ = layout::remove_if_there(site.fs, &temporary);
    }
    written
}

/// Tells whether `kept` holds exactly what lies in `range` of `file`.
fn is_same(kept: &dyn File, file: &dyn File, range: &Range<u64>) -> io::Result<bool> {
    if kept.stat()?.len != range.end - range.start {
        return Ok(false);
    }
    let mut other = Window::new(kept, range.end - range.start);
    let (mut at, mut same) = (0, true);
    pieces(&mut Window::new(file, range.end), range.clone(), |piece| {
        pieces(&mut other, at..at + piece.len() as u64, |theirs| {
            // A piece of ours is never longer than one of theirs.
            same &= theirs == piece;
            Ok(())
        })?;
        at += piece.len() as u64;
        Ok(())
    })?;
    Ok(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_gaps_there_are_the_files_are_bounded_and_cover_all() {
        let gaps: Vec<_> = (0..1_000).map(|n| Gap { range: n * 10..n * 10 + 3, zeros: n % 2 == 0 }).collect();
        let bounded = bounded(&gaps);
        assert_eq!(bounded.len(), MAX_FILES);
        assert_eq!(bounded.last(), Some(&Gap { range: 630..9_993, zeros: false }));
        assert_eq!(super::bounded(&gaps[..MAX_FILES]), gaps[..MAX_FILES]);
    }
}
