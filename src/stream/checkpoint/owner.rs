//! Who owns a state: one process at a time, by a lock that the system takes back when it ends, however it ends.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::CheckpointError;

/// The file that is locked.
const LOCK: &str = "lock";

/// The right to read and write a state, as long as this lives.
#[derive(Debug)]
pub struct Owner {
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
            Ok(()) => Ok(Owner { _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(CheckpointError::Owned { folder: folder.to_owned() }),
            Err(TryLockError::Error(source)) => Err(CheckpointError::io("locking", &path)(source)),
        }
    }
}
