//! Room set aside, so that a chunk can be sealed on a full volume.
//!
//! Deleting needs no room, but the tail of a chunk does, and so may a rename. The
//! reserve is a file that its writer deletes before it seals on a full volume, and
//! makes again once there is room.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};

use super::fs::Fs;
use super::layout::reserve_path;
use crate::ids::WriterId;

/// How many bytes are set aside: a manifest with all its services, and the blocks that a volume needs for itself.
///
/// A longer index is left out of a chunk that is sealed on a full volume.
pub const RESERVE_BYTES: u64 = 1 << 20;

/// What is written at a time.
const PIECE_BYTES: usize = 16 << 10;

/// The reserve of one writer.
pub struct Reserve {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    held: u64,
}

impl Reserve {
    /// Takes over the reserve that an earlier life of this writer left, or none yet: then [`Self::restore`] makes it.
    ///
    /// # Errors
    /// What the volume says, other than that there is no such file.
    pub fn open(fs: Arc<dyn Fs>, data_dir: &Path, writer: &WriterId) -> io::Result<Self> {
        let path = reserve_path(data_dir, writer);
        // A part of one, from a try that a crash ended, is as good as a small one.
        let held = match fs.stat(&path) {
            Ok(stat) => stat.len,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(Self { fs, path, held })
    }

    /// Returns how many bytes are set aside now.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Gives the room back to the volume; does nothing where none is set aside.
    ///
    /// # Errors
    /// What the volume says; a later try may succeed.
    pub fn release(&mut self) -> io::Result<()> {
        self.held = 0;
        match self.fs.remove(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Sets so many bytes aside, at most [`RESERVE_BYTES`]; does nothing where half of that already is.
    ///
    /// # Errors
    /// What the volume says, then nothing is set aside; a later try may succeed.
    pub fn restore(&mut self, len: u64) -> io::Result<()> {
        let len = len.min(RESERVE_BYTES);
        // What is wanted follows the volume; a reserve that follows in small steps would be written again and again.
        if self.held > 0 && self.held >= len / 2 {
            return Ok(());
        }
        self.release()?;
        if let Err(error) = self.write(len) {
            // What was written so far must not be missing elsewhere; if this fails too, the next try removes it.
            let _ = self.release();
            return Err(error);
        }
        self.held = len;
        Ok(())
    }

    /// Writes every byte, at random: a hole would set nothing aside, and neither would zeros on a volume that compresses.
    fn write(&self, len: u64) -> io::Result<()> {
        let file = self.fs.create_new(&self.path)?;
        let random = SystemRandom::new();
        let mut piece = [0; PIECE_BYTES];
        let mut offset = 0;
        while offset < len {
            random.fill(&mut piece).map_err(|_| io::Error::other("the system gives no random bytes"))?;
            let wanted = usize::try_from(len - offset).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            file.write_all_at(piece.get(..wanted).unwrap_or_default(), offset)?;
            offset += wanted as u64;
        }
        file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::fs::SimFs;

    const DATA: &str = "/data";

    fn open(fs: &SimFs) -> Reserve {
        Reserve::open(Arc::new(fs.clone()), Path::new(DATA), &"writer-0".parse().unwrap()).unwrap()
    }

    #[test]
    fn holds_room_until_it_is_released() {
        let fs = SimFs::new(&[DATA]);
        fs.set_capacity(Some(RESERVE_BYTES + 10));
        let mut reserve = open(&fs);
        let free = || fs.space(Path::new(DATA)).unwrap().free;
        reserve.restore(RESERVE_BYTES).unwrap();
        assert_eq!((free(), reserve.held()), (10, RESERVE_BYTES));
        let mut later = open(&fs);
        assert_eq!(later.held(), RESERVE_BYTES);
        later.release().unwrap();
        assert_eq!(fs.paths(), Vec::<PathBuf>::new());
    }

    #[test]
    fn takes_nothing_where_not_all_of_it_fits() {
        let fs = SimFs::new(&[DATA]);
        fs.set_capacity(Some(RESERVE_BYTES - 1));
        let mut reserve = open(&fs);
        assert!(reserve.restore(RESERVE_BYTES).is_err() && reserve.held() == 0);
        assert_eq!(fs.paths(), Vec::<PathBuf>::new());
    }

    #[test]
    fn follows_what_is_wanted_in_large_steps_only() {
        let fs = SimFs::new(&[DATA]);
        let mut reserve = open(&fs);
        for (wanted, held) in [(40_001, 40_001), (80_000, 40_001), (10, 40_001), (90_000, 90_000), (u64::MAX, 1 << 20)]
        {
            reserve.restore(wanted).unwrap();
            assert_eq!((reserve.held(), open(&fs).held()), (held, held), "{wanted}");
        }
    }
}
