//! The archive: chunks in a directory, and everything that is done with them.
//!
//! This page is the format. The directory is the only truth: no database, no ledger
//! beside the data. The module is synchronous and knows neither tokio nor HTTP.
//!
//! # Goals
//! - What was acknowledged is on the disk, whatever happens to the process or the machine.
//! - Every state that a crash can leave is recovered, and recovering twice is recovering once.
//! - At every committed length a chunk is an archive that each tar tool reads without an error.
//! - Anybody's `tar`, `zstd` and JSON reader can open it without this program.
//! - Several writers share one directory, on a network volume too, without locks.
//!
//! # Layout of a data directory
//! ```text
//! chunks/20261121T103045.123Z_checkout-collector-0_7f3a_000042.tar              sealed
//! chunks/20261121T113046.007Z_checkout-collector-0_7f3a_000043.tar.inprogress   its writer appends
//! chunks/20261121T113046.007Z_checkout-collector-1_01c2_000007.tar.recovering   taken by recovery
//! quarantine/…                      bytes that recovery could not vouch for; temporaries of recovery
//! .lock-<writer>  .reserve-<writer> one owner per writer; room for sealing on a full volume
//! ```
//! [`name`] owns the grammar. Any other file is left alone.
//!
//! # A chunk
//! A strict ustar archive ([`ustar`]): headers of 512 bytes, bodies padded with zeros to 512, names of at most
//! 100 ASCII characters, owner 0, mode 0600, the chunk's start as time, no extension headers. Its members, in order:
//!
//! | member | content |
//! | --- | --- |
//! | `<chunk>/traces-000001.jsonl.zst` … | data members, numbered from 1; one grows at a time, about 4 MiB closes it |
//! | `<chunk>/index.bin` | place and trailer of every frame ([`index`]) |
//! | `<chunk>/manifest.json` | totals, time range, services, damage ([`manifest`]) |
//! | two zero blocks | the end |
//!
//! The last three are written by the seal. The body of a data member is a run of *frames* ([`frame`]): each the
//! lines of one group commit, or a part of them, compressed on their own, with a [`trailer`] that holds counts, time
//! range, services, a Bloom filter of trace ids, and CRC-32 checksums of itself and of the data.
//! A tar checksum covers the header alone, so a zero-filled body passes every tar tool: the frames' checksums are
//! what recovery and `verify` go by.
//!
//! Lines are the OTLP file format: one `TracesData` JSON object per line, here with exactly one `ResourceSpans`,
//! below 1 MB unless a single span is longer.
//!
//! With compression `None` a frame is two entries of its own, `traces-000001.jsonl` (the lines) and
//! `traces-000001.frame` (the trailer), because plain lines have no place to hide a trailer in.
//!
//! # A commit
//! 1. Write the frames where the data ends, and zeros up to the next 512 border (the next commit overwrites them).
//! 2. Write the member's header with the new size.
//! 3. Sync the data, once. Before the first commit of a chunk is acknowledged, sync the directory too.
//! 4. Check that the chunk's path still is the open file: recovery takes a chunk by renaming it.
//! 5. Publish the length, make the [`Durable`] receipt.
//!
//! A crash leaves any subset of 1 and 2 on the disk, in blocks. Frames whose checksums hold count, whatever the
//! header says; the header's size is a hint.
//!
//! A write or sync that failed poisons the file: pages may be gone although a later sync succeeds
//! (<https://wiki.postgresql.org/wiki/Fsync_Errors>). It is never synced again; what was not acknowledged goes to a
//! new chunk. A full volume does not poison: the file is cut back to its last commit.
//!
//! # A seal
//! Write index, manifest and end; sync; rename to `.tar`; sync the directory. After a rename that failed the target
//! is looked at: a network filesystem may have lost only the reply. Where the volume is too full for index and
//! manifest they are cut off again, and the chunk grows on until there is room for them.
//!
//! # Recovery
//! A writer's leftovers are taken at its next start, those of others once nobody changed them for
//! `recovery.inactiveSeconds`, as observed on the observer's own monotonic clock (a live writer touches its chunk at
//! least every minute). One that cannot even be looked up for as long counts as unchanged, and what this process itself
//! has given up is taken at once. Taking is an atomic rename to `.recovering`, and only then is the file read. So a
//! writer that was suspended and wakes up either has synced and checked its path before the rename, and then recovery
//! reads what it acknowledged; or it finds its path gone, acknowledges nothing and begins a new chunk. It can corrupt
//! nothing: recovery seals a *copy* of the valid frames under the chunk's own name and then unlinks the original.
//!
//! | # | found | cause | action |
//! | --- | --- | --- | --- |
//! | 1 | nothing | crash before the directory was synced | none: nothing was acknowledged |
//! | 2 | 0 bytes, or no frame and only zeros | crash after create | delete |
//! | 3 | tail below 512 bytes | torn header | valid frames |
//! | 4 | header, body short | torn body, or header ahead of its data | valid frames, header computed anew |
//! | 5 | body whole, padding short | torn padding | all frames |
//! | 6 | checksum bad, zeros | write-back out of order | last frame: cut; inner: the others stay, damage is listed |
//! | 7 | garbage inside | bit rot | search for the next frame; the bytes go to the quarantine |
//! | 8 | frames beyond the header's size | header behind its data | all frames whose checksum holds |
//! | 9 | no end, or half of it | clean stop, crash while sealing | index, manifest, end |
//! | 10 | complete, `.inprogress` | crash before the rename | as the others; on a full volume rename |
//! | 11 | two names of one chunk | lost reply, crash while recovering | compare; drop what the sealed one holds |
//! | 12 | `.recovering`, temporaries | crash while recovering | the same table again |
//! | 13 | the writer still lives | suspended, partitioned | it loses its path, see above |
//! | 14 | sync said `EIO` | pages lost | new chunk; this one is an orphan, or removed where nothing was committed |
//! | 15 | `ENOSPC`, `EDQUOT` | full | cut back, answer "retry", let retention run |
//!
//! # Retention
//! Oldest first, by the time in the name, until size and age are both within limits and the next chunk fits.
//! It only deletes, so it works with no byte free. Deleting twice is deleting once, so two keepers do no harm.
//! What recovery has claimed and could not seal goes in its turn like any other.
//! What a running download holds stays beyond both limits, for a bounded time and while the volume has room.
//!
//! # Bundle
//! `manifest.json`, then the entries of every chunk without their ends, then one end: byte ranges of existing files
//! and computed headers ([`bundle`]). The set of chunks and lengths is a [`snapshot`], and its token is enough to get
//! the same bytes again.
//!
//! # What is assumed of a disk
//! - What a successful sync covered survives; what it did not cover may be lost, kept or kept in part, in any order,
//!   in units of blocks; bytes outside the written range do not change.
//! - Rename within a directory is atomic and, after a sync of the directory, durable.
//! - Exclusive creation is exclusive. On a network volume an open sees what was synced before (close-to-open).
//! - Nothing is assumed of clocks, of `flock`, of append mode, or of hard links.

pub mod bloom;
pub mod bundle;
pub mod catalog;
pub mod committed;
mod durable;
pub mod frame;
pub mod fs;
pub mod index;
pub mod layout;
pub mod manifest;
#[cfg(test)]
mod model_test;
pub mod name;
pub mod read;
pub mod recovery;
pub mod reserve;
pub mod retention;
#[cfg(test)]
pub(crate) mod sample;
pub mod scan;
pub mod snapshot;
#[cfg(test)]
pub(crate) mod testing;
pub mod trailer;
pub mod ustar;
pub mod writer;

pub use durable::Durable;
pub use writer::{ChunkWriter, Durability, SealedChunk, WriterOptions};
