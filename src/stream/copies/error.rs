//! What can be wrong with an object store.

use std::path::PathBuf;

use crate::stream::checkpoint::CheckpointError;

/// Why a copy cannot be written, found or read.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The URL names no store that is known.
    #[error("state.copies.url: `{url}` names no object store: {detail}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong.
        detail: String,
    },
    /// An option that its store does not have.
    #[error("state.copies.options: `{name}` is no option of this store")]
    Option {
        /// Its name.
        name: String,
    },
    /// The store did not do what it was asked for.
    #[error("{doing} {at}: {source}")]
    Store {
        /// What was tried.
        doing: &'static str,
        /// The object or folder.
        at: String,
        /// What the store says.
        source: object_store::Error,
    },
    /// The store has something else than what was sent.
    #[error("{at}: has {found} bytes, and {sent} were sent")]
    Length {
        /// The object.
        at: String,
        /// How long it is.
        found: u64,
        /// How long it should be.
        sent: u64,
    },
    /// No copy is there, or none that can be used.
    #[error("{url}: has no copy of a checkpoint that can be used{detail}")]
    Nothing {
        /// Where was looked.
        url: String,
        /// What is wrong with the newest, after a colon.
        detail: String,
    },
    /// The folder has a state.
    #[error("{}: has checkpoints or a journal", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// The checkpoint, or the folder that it is put into.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl CopyError {
    pub(super) fn store(doing: &'static str, at: impl ToString) -> impl FnOnce(object_store::Error) -> CopyError {
        let at = at.to_string();
        move |source| CopyError::Store { doing, at, source }
    }

    /// Whether the store failed, and may do it later.
    pub fn is_outside(&self) -> bool {
        match self {
            CopyError::Store { .. } | CopyError::Length { .. } => true,
            CopyError::Checkpoint(error) => error.is_outside(),
            _ => false,
        }
    }

    /// The next step.
    pub fn hint(&self) -> &'static str {
        match self {
            CopyError::Url { .. } => {
                "write `s3://BUCKET/PATH`, `gs://BUCKET/PATH`, `az://CONTAINER/PATH` or the path of a folder"
            }
            CopyError::Option { .. } => "docs/recovery.md names the options that are mostly needed",
            CopyError::Store { source: object_store::Error::NotFound { .. }, .. } => {
                "check the bucket or container in `state.copies.url`"
            }
            CopyError::Store {
                source: object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. },
                ..
            } => "check the credentials in `state.copies.options`, and what they allow",
            CopyError::Store { .. } | CopyError::Length { .. } => {
                "check that the store can be reached, and `state.copies`"
            }
            CopyError::Nothing { .. } => {
                "check the URL; `refguard run` copies each checkpoint where `state.copies` is configured"
            }
            CopyError::NotEmpty { .. } => "name an empty folder, or move what is in this one away",
            CopyError::Checkpoint(error) => error.hint(),
        }
    }
}
