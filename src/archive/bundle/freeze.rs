//! Snapshots: of the directory as it is, and again of a token.

use std::collections::BTreeMap;

use tracing::warn;

use super::chunk::{Frames, describe_sealed, piece, rank};
use super::{BundleError, Bundles};
use crate::archive::fs::Kind;
use crate::archive::name::{ChunkName, ChunkState};
use crate::archive::snapshot::{
    Counts, Filter, FrozenChunk, Piece, Run, Scope, Snapshot, Taken, Token, scope_mark, writer_hash,
};
use crate::telemetry::chain;

/// A chunk as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedChunk {
    /// Its name.
    pub name: ChunkName,
    /// Whether it grows, or waits for recovery.
    pub state: ChunkState,
    /// Length of its entries in bytes.
    pub bytes: u64,
    /// What it holds.
    pub counts: Counts,
}

/// How much of a chunk is to be frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// What is there now.
    Now,
    /// A sealed chunk, by a token.
    Sealed,
    /// A chunk that had grown so far, by a token; it may be sealed by now.
    GrownTo(u64),
    /// Nothing of a chunk that could not be read, by a token, whether or not it can be read by now.
    Nothing,
}

impl Bundles {
    /// Freezes what lies in the directory now.
    ///
    /// # Errors
    /// [`BundleError`] where the directory or the one chunk that is asked for cannot be read.
    /// Of several chunks those that are removed meanwhile, or whose files alone cannot be read, are left out;
    /// the latter are logged and named in the manifest, and where it is all of them, that is an error.
    pub fn freeze(&self, scope: &Scope) -> Result<Snapshot, BundleError> {
        let listed = self.list()?;
        let filter = scope.filter();
        let mut chunks = Vec::new();
        match scope {
            Scope::Bundle(_) => {
                chunks = self.freeze_readable(&listed, &filter)?;
                self.known().forget_others(&listed);
            }
            Scope::Chunk(name) => {
                let state = listed.get(name).ok_or(BundleError::NoSuchChunk)?;
                let chunk = self.freeze_chunk(name, *state, Extent::Now, &filter)?;
                chunks.push(chunk.filter(FrozenChunk::is_readable).ok_or(BundleError::NoSuchChunk)?);
            }
        }
        Ok(Snapshot::new(&self.capture, scope.clone(), chunks))
    }

    /// Finds the snapshot of a token again, with exactly the same bytes.
    ///
    /// # Errors
    /// [`BundleError::Gone`], [`BundleError::Changed`] or [`BundleError::OtherScope`], for good;
    /// others where a chunk cannot be read.
    pub fn resolve(&self, token: &Token, scope: &Scope) -> Result<Snapshot, BundleError> {
        if token.mark() != scope_mark(scope, &self.capture) {
            return Err(BundleError::OtherScope);
        }
        let listed = self.list()?;
        let filter = scope.filter();
        let (found, total) = wanted(token, &listed);
        let mut chunks = Vec::new();
        for (name, state, extent) in found {
            chunks.extend(self.freeze_chunk(name, state, extent, &filter)?);
        }
        let missing = total.saturating_sub(chunks.len() as u64);
        if missing > 0 {
            return Err(BundleError::Gone { missing, total });
        }
        chunks.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let snapshot = Snapshot::new(&self.capture, scope.clone(), chunks);
        if snapshot.digest == token.digest() { Ok(snapshot) } else { Err(BundleError::Changed) }
    }

    /// Lists the chunks, oldest first.
    ///
    /// # Errors
    /// As [`Bundles::freeze`].
    pub fn chunks(&self) -> Result<Vec<ListedChunk>, BundleError> {
        let (listed, filter) = (self.list()?, Filter::default());
        let mut chunks = Vec::new();
        for frozen in self.freeze_readable(&listed, &filter)? {
            let Some(&state) = listed.get(&frozen.name) else { continue };
            let bytes = match frozen.taken {
                Taken::Unreadable => continue,
                Taken::Whole { content_len } => content_len,
                Taken::Frames { .. } => frozen.grown_to.unwrap_or(0),
            };
            chunks.push(ListedChunk { name: frozen.name, state, bytes, counts: frozen.counts });
        }
        Ok(chunks)
    }

    /// Freezes what can be read, and notes what cannot: one such file does not keep the others from who asks for all.
    fn freeze_readable(
        &self,
        listed: &BTreeMap<ChunkName, ChunkState>,
        filter: &Filter,
    ) -> Result<Vec<FrozenChunk>, BundleError> {
        let (mut chunks, mut n_unreadable) = (Vec::new(), 0);
        for (name, state) in listed {
            match self.freeze_chunk(name, *state, Extent::Now, filter) {
                Ok(frozen) => chunks.extend(frozen),
                Err(error) if error.is_of_one_file() => {
                    n_unreadable += 1;
                    // An empty archive would say that nothing was captured.
                    if n_unreadable == listed.len() {
                        return Err(error);
                    }
                    chunks.push(FrozenChunk::unreadable(name));
                    warn!(chunk = %name, error = %chain(&error), "a chunk cannot be read and is left out of a snapshot");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(chunks)
    }

    /// Reads the directory; where a chunk lies under several names, the latest state counts.
    ///
    /// What is no regular file is none of ours, whatever its name, as in the catalog.
    fn list(&self) -> Result<BTreeMap<ChunkName, ChunkState>, BundleError> {
        let mut chunks = BTreeMap::new();
        for file_name in self.fs.list(&self.chunks_dir).map_err(BundleError::List)? {
            let Some(Ok((name, state))) = file_name.to_str().map(ChunkName::parse_file_name) else { continue };
            let is_known = state == ChunkState::Sealed && self.known().sealed.contains_key(&name);
            // A name that is gone by now may be that of a renamed chunk; what else fails is told by the open.
            let stat = || self.fs.stat(&self.chunks_dir.join(&file_name));
            if !is_known && stat().is_ok_and(|stat| stat.kind != Kind::File) {
                continue;
            }
            let best = chunks.entry(name).or_insert(state);
            if rank(state) > rank(*best) {
                *best = state;
            }
        }
        Ok(chunks)
    }

    /// Freezes one chunk; `None` where it is gone, or holds nothing of what is asked for.
    fn freeze_chunk(
        &self,
        name: &ChunkName,
        state: ChunkState,
        extent: Extent,
        filter: &Filter,
    ) -> Result<Option<FrozenChunk>, BundleError> {
        let frozen = self.freeze_untried(name, state, extent, filter)?;
        frozen.as_ref().map_or(Ok(()), |chunk| self.check_failing(chunk, state))?;
        Ok(frozen)
    }

    /// Freezes one chunk by what is known of it, whether or not all of that can be read.
    fn freeze_untried(
        &self,
        name: &ChunkName,
        state: ChunkState,
        extent: Extent,
        filter: &Filter,
    ) -> Result<Option<FrozenChunk>, BundleError> {
        if extent == Extent::Nothing {
            return Ok(Some(FrozenChunk::unreadable(name)));
        }
        let fail = |source| BundleError::Scan { chunk: name.clone(), source };
        let may_be_whole = filter.is_all() && !matches!(extent, Extent::GrownTo(_));
        if state == ChunkState::Sealed && may_be_whole {
            let known = self.known().sealed.get(name).copied();
            if let Some((content_len, counts)) = known {
                return Ok(Some(whole(name, content_len, counts)));
            }
        }
        // Asked before the file is looked at, so that every frame up to it is there to be found.
        let committed = self.committed.of(name);
        let Some(opened) = self.open_chunk(name, state)? else { return Ok(None) };
        if opened.state == ChunkState::Sealed && may_be_whole {
            if let Some((content_len, counts)) = describe_sealed(&opened).map_err(fail)? {
                self.known().sealed.insert(name.clone(), (content_len, counts));
                return Ok(Some(whole(name, content_len, counts)));
            }
            self.known().note_damage(name);
        }
        let frames = self.frames(name, &opened, committed).map_err(fail)?;
        let grows = opened.state != ChunkState::Sealed;
        let frozen = frames.and_then(|frames| frames.freeze(name, grows, extent, filter));
        // A sealed file in which nothing is found has lost what it held: that is not to be passed over.
        let lost_all = frozen.is_none() && !grows && may_be_whole && extent == Extent::Now;
        Ok(if lost_all { Some(FrozenChunk::unreadable(name)) } else { frozen })
    }
}

impl Frames {
    /// Freezes those that are asked for; `None` where there are none.
    fn freeze(self, name: &ChunkName, grows: bool, extent: Extent, filter: &Filter) -> Option<FrozenChunk> {
        let Self { compression, mut frames } = self;
        let grown_to = match extent {
            Extent::GrownTo(len) => Some(len),
            Extent::Now if grows => frames.last().map(|frame| frame.span.end),
            Extent::Now | Extent::Sealed | Extent::Nothing => None,
        };
        frames.retain(|frame| grown_to.is_none_or(|len| frame.span.end <= len) && filter.takes(&frame.trailer.facts));
        let counts = Counts::of(frames.iter().map(|frame| &frame.trailer.facts));
        let pieces: Vec<Piece> = frames.iter().map(piece).collect();
        let is_empty = pieces.is_empty();
        let taken = Taken::Frames { compression, pieces };
        (!is_empty).then(|| FrozenChunk { name: name.clone(), grown_to, taken, counts })
    }
}

/// Matches a token's runs with the directory; returns the chunks found and how many there should be.
fn wanted<'a>(
    token: &Token,
    listed: &'a BTreeMap<ChunkName, ChunkState>,
) -> (Vec<(&'a ChunkName, ChunkState, Extent)>, u64) {
    let by_number: BTreeMap<_, _> =
        listed.iter().map(|(name, &state)| ((writer_hash(name), name.sequence()), (name, state))).collect();
    let (mut found, mut total) = (Vec::new(), 0);
    for &Run { writer, first, count, grown_to } in token.runs() {
        total += u64::from(count);
        let last = first.saturating_add(count - 1);
        for (&(_, sequence), &(name, state)) in by_number.range((writer, first)..=(writer, last)) {
            let extent = match grown_to.filter(|_| sequence == last) {
                None => Extent::Sealed,
                Some(0) => Extent::Nothing,
                Some(len) => Extent::GrownTo(len),
            };
            found.push((name, state, extent));
        }
    }
    (found, total)
}

fn whole(name: &ChunkName, content_len: u64, counts: Counts) -> FrozenChunk {
    FrozenChunk { name: name.clone(), grown_to: None, taken: Taken::Whole { content_len }, counts }
}
