//! What can be wrong with a checkpoint or its folder. All are the operator's to mend.

use std::io;
use std::path::{Path, PathBuf};

use super::SealName;

/// Why state cannot be read, written or taken.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file is torn, or bytes in it are others.
    #[error("{}: is damaged: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// There are checkpoints, and all are damaged.
    #[error("{}: no checkpoint is whole: {newest}", folder.display())]
    NoneWhole {
        /// The folder of the state.
        folder: PathBuf,
        /// What is wrong with the newest.
        newest: Box<CheckpointError>,
    },
    /// A later version of refguard has written it.
    #[error("{}: has format {found}, and this version reads up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that is known.
        known: u32,
    },
    /// Identifiers in it were hashed under another key.
    #[error("{}: was made under another key than state.key_file", path.display())]
    ForeignKey {
        /// The file.
        path: PathBuf,
    },
    /// Its secret is not among those of the key file.
    #[error("{}: is closed under secret {name}, which state.key_file does not have", path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
        /// By what the secret is known.
        name: SealName,
    },
    /// The rules by which something is to be judged again cannot be read.
    #[error("{}: what was judged last cannot be judged again by its rules: {detail}", folder.display())]
    Rules {
        /// The folder of the state.
        folder: PathBuf,
        /// What is wrong with them.
        detail: String,
    },
    /// Another process has the state.
    #[error("{}: another refguard owns this state", folder.display())]
    Owned {
        /// The folder of the state.
        folder: PathBuf,
    },
    /// The system.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl CheckpointError {
    pub(in crate::stream) fn io<'p>(
        doing: &'static str,
        path: &'p Path,
    ) -> impl FnOnce(io::Error) -> CheckpointError + use<'p> {
        move |source| CheckpointError::Io { doing, path: path.to_owned(), source }
    }

    /// Whether this file is damaged.
    pub(super) fn is_damage_of(&self, file: &Path) -> bool {
        matches!(self, CheckpointError::Damaged { path, .. } if path == file)
    }

    /// Whether an outside service failed, such as a full disk; else the operator can mend it.
    pub fn is_outside(&self) -> bool {
        matches!(self, CheckpointError::Io { doing: "writing" | "naming" | "syncing", .. })
    }

    /// The next step.
    pub fn hint(&self) -> &'static str {
        match self {
            CheckpointError::Damaged { .. } | CheckpointError::NoneWhole { .. } => {
                "restore the folder from a copy, or move its checkpoints and journals away to begin with empty windows"
            }
            CheckpointError::Newer { .. } => {
                "start the version of refguard that wrote it, or move the checkpoints and journals away to begin with empty windows"
            }
            CheckpointError::ForeignKey { .. } => {
                "restore the key from its backup, or move the checkpoints and journals away to begin with empty windows"
            }
            CheckpointError::Sealed { .. } => {
                "put the line of that secret back into the file, from its backup: `refguard state inspect` names those of checkpoints"
            }
            CheckpointError::Rules { .. } => "start once with the configuration of before, end it, and change it then",
            CheckpointError::Owned { .. } => "stop it first, or name another folder in `state.path`",
            CheckpointError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "free space on the disk; the checkpoints of before are all there"
            }
            CheckpointError::Io { .. } => "check that the path is right and that refguard's user may use it",
        }
    }
}
