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
pub const RESERVE_BYTES: usize = 1 << 20;

/// What is written at a time.
const PIECE_BYTES: usize = 16 << 10;

/// The reserve of one writer.
pub struct Reserve {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    is_held: bool,
}

impl Reserve {
    /// Takes over the reserve that an earlier life of this writer left, or none yet: then [`Self::restore`] makes it.
    ///
    /// # Errors
    /// What the volume says, other than that there is no such file.
    pub fn open(fs: Arc<dyn Fs>, data_dir: &Path, writer: &WriterId) -> io::Result<Self> {
        let path = reserve_path(data_dir, writer);
        let is_held = match fs.stat(&path) {
            Ok(stat) => stat.len >= RESERVE_BYTES as u64,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        Ok(Self { fs, path, is_held })
    }

    /// Tells whether the room is set aside now.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Gives the room back to the volume; does nothing where none is set aside.
    ///
    /// # Errors
    /// What the volume says; a later try may succeed.
    pub fn release(&mut self) -> io::Result<()> {
        self.is_held = false;
        match self.fs.remove(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Sets the room aside; does nothing where it already is.
    ///
    /// # Errors
    /// What the volume says, then nothing is set aside; a later try may succeed.
    pub fn restore(&mut self) -> io::Result<()> {
        if self.is_held {
            return Ok(());
        }
        // A part of a reserve may be there, from a try that a crash ended.
        self.release()?;
        if let Err(error) = self.write() {
            // What was written so far must not be missing elsewhere; if this fails too, the next try removes it.
            let _ = self.release();
            return Err(error);
        }
        self.is_held = true;
        Ok(())
    }

    /// Writes every byte, at random: a hole would set nothing aside, and neither would zeros on a volume that compresses.
    fn write(&self) -> io::Result<()> {
        let file = self.fs.create_new(&self.path)?;
        let random = SystemRandom::new();
        let mut piece = [0; PIECE_BYTES];
        for offset in (0..RESERVE_BYTES).step_by(PIECE_BYTES) {
            random.fill(&mut piece).map_err(|_| io::Error::other("the system gives no random bytes"))?;
            file.write_all_at(&piece, offset as u64)?;
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
        fs.set_capacity(Some(RESERVE_BYTES as u64 + 10));
        let mut reserve = open(&fs);
        reserve.restore().unwrap();
        assert_eq!(fs.free_bytes(Path::new(DATA)).unwrap(), 10);
        let mut later = open(&fs);
        assert!(later.is_held());
        later.release().unwrap();
        assert_eq!(fs.paths(), Vec::<PathBuf>::new());
    }

    #[test]
    fn takes_nothing_where_not_all_of_it_fits() {
        let fs = SimFs::new(&[DATA]);
        fs.set_capacity(Some(RESERVE_BYTES as u64 - 1));
        let mut reserve = open(&fs);
        assert!(reserve.restore().is_err() && !reserve.is_held());
        assert_eq!(fs.paths(), Vec::<PathBuf>::new());
    }
}
