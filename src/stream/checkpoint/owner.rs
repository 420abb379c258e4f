//! Who owns a state: one process at a time, by a lock that the system takes back when it ends, however it ends.
//!
//! Beside it a mark says that somebody judges: it is made when judging begins and taken away once a checkpoint has all of it.
//! Whoever finds it knows that events were judged which no checkpoint has.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::{CheckpointError, sync};

/// The file that is locked.
const LOCK: &str = "lock";
/// The mark.
const JUDGING: &str = "judging";

/// The right to read and write a state, as long as this lives.
#[derive(Debug)]
pub struct Owner {
    folder: PathBuf,
    /// Closing it gives the lock back.
    _lock: File,
}

impl Owner {
    /// Takes the state of a folder that exists.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Owned`], or the system.
    pub fn of(folder: &Path) -> Result<Owner, CheckpointError> {
        let path = folder.join(LOCK);
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(CheckpointError::io("opening", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Owner { folder: folder.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(CheckpointError::Owned { folder: folder.to_owned() }),
            Err(TryLockError::Error(source)) => Err(CheckpointError::io("locking", &path)(source)),
        }
    }

    /// Whether somebody judged and did not come to the end.
    ///
    /// # Errors
    ///
    /// The system.
    pub fn was_cut_short(&self) -> Result<bool, CheckpointError> {
        let mark = self.folder.join(JUDGING);
        mark.try_exists().map_err(CheckpointError::io("looking for", &mark))
    }

    /// Judging begins.
    ///
    /// # Errors
    ///
    /// The system.
    pub fn begin(&self) -> Result<(), CheckpointError> {
        let mark = self.folder.join(JUDGING);
        File::create(&mark).and_then(|mark| mark.sync_all()).map_err(CheckpointError::io("writing", &mark))?;
        sync(&self.folder)
    }

    /// Everything that was judged is in a checkpoint.
    ///
    /// # Errors
    ///
    /// The system.
    pub fn end(&self) -> Result<(), CheckpointError> {
        let mark = self.folder.join(JUDGING);
        match fs::remove_file(&mark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(CheckpointError::io("removing", &mark)(error)),
            _ => sync(&self.folder),
        }
    }
}
