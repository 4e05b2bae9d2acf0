//! An open file of the volume.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::volume::Volume;
use super::{EIO, Effect, File, Op, Stat};

/// An open file of a [`SimFs`]; stays usable when its name is gone.
pub(super) struct SimFile {
    pub(super) volume: Arc<Mutex<Volume>>,
    pub(super) inode: u64,
}

impl SimFile {
    fn lock(&self) -> MutexGuard<'_, Volume> {
        self.volume.lock().unwrap()
    }
}

impl File for SimFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut volume = self.lock();
        let Some((error, effect)) = volume.begin(Op::Write) else {
            return volume.write(self.inode, bytes, offset);
        };
        let done = match effect {
            Effect::None | Effect::Dead => 0,
            Effect::Half => bytes.len() / 2,
            Effect::Whole => bytes.len(),
        };
        volume.write(self.inode, &bytes[..done], offset).and(Err(error))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.lock().run(Op::Read, |volume| {
            let content = &volume.inodes[&self.inode].visible;
            let rest = usize::try_from(offset).ok().and_then(|at| content.get(at..)).unwrap_or_default();
            let n = rest.len().min(buffer.len());
            buffer[..n].copy_from_slice(&rest[..n]);
            Ok(n)
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut volume = self.lock();
        let fault = volume.begin(Op::Sync);
        let mut dice = volume.dice.take().unwrap();
        let file = volume.inodes.get_mut(&self.inode).unwrap();
        let again = file.failed;
        let outcome = if let Some((error, effect)) = fault {
            file.failed |= error.kind() == EIO && effect != Effect::Dead;
            match effect {
                Effect::Whole => file.sync(),
                Effect::None | Effect::Half => file.fail_sync(&mut dice),
                Effect::Dead => {}
            }
            Err(error)
        } else {
            file.sync();
            Ok(())
        };
        volume.resyncs += u64::from(again);
        volume.dice = Some(dice);
        outcome
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.lock().run(Op::SetLen, |volume| {
            let now = volume.now;
            let file = volume.inodes.get_mut(&self.inode).unwrap();
            file.modified = now;
            file.set_len(usize::try_from(len).unwrap());
            Ok(())
        })
    }

    fn touch(&self) -> io::Result<()> {
        self.lock().run(Op::Touch, |volume| {
            let now = volume.now;
            volume.inodes.get_mut(&self.inode).unwrap().modified = now;
            Ok(())
        })
    }

    fn stat(&self) -> io::Result<Stat> {
        self.lock().run(Op::Stat, |volume| Ok(volume.stat_inode(self.inode)))
    }
}
