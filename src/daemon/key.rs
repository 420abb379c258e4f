//! The installation's secrets: made at the first start, kept in a file, never taken for others.
//!
//! The first line is the key under which identifiers are hashed: state that was hashed under one is worthless under another, so the
//! folder of the state remembers a fingerprint of it. Each further line is a secret under which checkpoints are closed, the newest last; where
//! there is none, the first line makes one. `run` makes a key only where no state is; `eval` and the tests in rule files do without.

mod file;

pub use file::KeyFile;
pub(super) use file::{add_seal, forget_seals};

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::signals::PUBLIC_DEVICE_KEY;
use crate::state::HashKey;
use crate::stream::checkpoint::{Seal, SealName, Seals};

/// Name of the fingerprint in the folder of the state.
pub(super) const FINGERPRINT_FILE: &str = "key.id";
/// Bytes of a secret: two keys of 16.
const SECRET_BYTES: usize = 32;

/// Why there is no key. All are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file is not what it should be.
    #[error("state.key_file: {path}: line {line} holds {found}, not 64 hex digits")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What it holds, without saying it.
        found: String,
    },
    /// State exists, and its key does not.
    #[error("state.key_file: {path} is missing, but {state} holds state that was made under it")]
    Missing {
        /// The file.
        path: PathBuf,
        /// The folder of the state.
        state: PathBuf,
    },
    /// State exists under another key.
    #[error("state.key_file: {path} is not the key that the state in {state} was made under")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The folder of the state.
        state: PathBuf,
    },
    /// The system.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl KeyError {
    /// The next step.
    pub fn hint(&self) -> &'static str {
        match self {
            KeyError::Malformed { .. } => "restore the file from its backup",
            KeyError::Missing { .. } | KeyError::Foreign { .. } => {
                "restore the key from its backup, or start with an empty state folder"
            }
            KeyError::Io { .. } => "check that the path is right and that refguard's user may use it",
        }
    }
}

/// The secrets of an installation.
#[derive(Clone)]
pub struct StateKey {
    secret: [u8; SECRET_BYTES],
    seals: Seals,
}

impl std::fmt::Debug for StateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StateKey(..)")
    }
}

/// A key, and whether it was made just now.
#[derive(Debug)]
pub struct Opened {
    /// The key.
    pub key: StateKey,
    /// It did not exist before.
    pub made: bool,
}

impl StateKey {
    /// The documented constant that protects nothing: for runs that keep no state.
    pub fn public() -> StateKey {
        let mut secret = [0; SECRET_BYTES];
        secret[SECRET_BYTES / 2..].copy_from_slice(&PUBLIC_DEVICE_KEY);
        StateKey::of(&[secret])
    }

    /// The secrets of lines, of which there is one at least.
    fn of(lines: &[[u8; SECRET_BYTES]]) -> StateKey {
        let first = digest("refguard seal of checkpoints", &lines[0]);
        let seal = |secret: &[u8; SECRET_BYTES]| Seal::new(*secret, SealName(short(&digest("refguard seal", secret))));
        let seals = std::iter::once(&first).chain(&lines[1..]).map(seal).collect();
        StateKey { secret: lines[0], seals: Seals::new(seals) }
    }

    /// The key of identifiers in windows.
    pub fn windows(&self) -> HashKey {
        HashKey(half(&self.secret, 0))
    }

    /// The key of raw device attributes.
    pub fn devices(&self) -> [u8; 16] {
        half(&self.secret, SECRET_BYTES / 2)
    }

    /// The secrets under which checkpoints are closed.
    pub fn seals(&self) -> &Seals {
        &self.seals
    }

    /// Reads a key from its file.
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`], [`KeyError::Io`].
    pub fn read(path: &Path) -> Result<StateKey, KeyError> {
        Ok(StateKey::of(&file::lines(path)?))
    }

    /// The key of the state in a folder, both of which exist.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn of_state(path: &Path, state: &Path) -> Result<StateKey, KeyError> {
        let key = StateKey::read(path)?;
        let known = std::fs::read_to_string(state.join(FINGERPRINT_FILE)).map_err(io("reading", state))?;
        if known.trim() == key.fingerprint() {
            Ok(key)
        } else {
            Err(KeyError::Foreign { path: path.to_owned(), state: state.to_owned() })
        }
    }

    /// The key of the state in a folder; made if neither exists.
    ///
    /// # Errors
    ///
    /// [`KeyError`]: a key that is missing or foreign to the state, or the system.
    pub fn open(path: &Path, state: &Path) -> Result<Opened, KeyError> {
        std::fs::create_dir_all(state).map_err(io("making the folder", state))?;
        let fingerprint_path = state.join(FINGERPRINT_FILE);
        let known = match std::fs::read_to_string(&fingerprint_path) {
            Ok(known) => Some(known),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(io("reading", &fingerprint_path)(error)),
        };
        let exists = path.try_exists().map_err(io("looking for", path))?;
        let (key, made) = match (exists, &known) {
            (true, _) => (StateKey::read(path)?, false),
            (false, None) => (file::make(path)?, true),
            (false, Some(_)) => return Err(KeyError::Missing { path: path.to_owned(), state: state.to_owned() }),
        };
        match known {
            Some(known) if known.trim() == key.fingerprint() => {}
            Some(_) => return Err(KeyError::Foreign { path: path.to_owned(), state: state.to_owned() }),
            None => {
                let text = format!("{}\n", key.fingerprint());
                std::fs::write(&fingerprint_path, text).map_err(io("writing", &fingerprint_path))?;
            }
        }
        Ok(Opened { key, made })
    }

    /// Tells keys apart without telling them: 16 hex digits of a SHA-256.
    fn fingerprint(&self) -> String {
        SealName(short(&digest("refguard state key", &self.secret))).to_string()
    }
}

fn digest(what: &str, secret: &[u8; SECRET_BYTES]) -> [u8; SECRET_BYTES] {
    Sha256::new().chain_update(what).chain_update(secret).finalize().into()
}

/// So much of a digest tells secrets apart.
fn short(digest: &[u8; SECRET_BYTES]) -> [u8; 8] {
    std::array::from_fn(|at| digest[at])
}

fn half(secret: &[u8; SECRET_BYTES], from: usize) -> [u8; 16] {
    let mut key = [0; 16];
    key.copy_from_slice(&secret[from..from + 16]);
    key
}

fn io<'p>(doing: &'static str, path: &'p Path) -> impl FnOnce(std::io::Error) -> KeyError + use<'p> {
    move |source| KeyError::Io { doing, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_belongs_to_its_state() {
        let folder = tempfile::tempdir().unwrap();
        let (path, state) = (folder.path().join("secrets/state.key"), folder.path().join("state"));
        let made = StateKey::open(&path, &state).unwrap();
        assert!(made.made);
        let again = StateKey::open(&path, &state).unwrap();
        assert!(!again.made);
        assert!(made.key.secret == again.key.secret && made.key.seals() == again.key.seals());

        std::fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        assert!(matches!(StateKey::open(&path, &state), Err(KeyError::Missing { .. })));
        let other = StateKey::open(&path, &folder.path().join("empty")).unwrap();
        assert!(other.made);
        assert!(matches!(StateKey::open(&path, &state), Err(KeyError::Foreign { .. })));
        std::fs::write(&path, "short").unwrap();
        assert!(matches!(StateKey::open(&path, &state), Err(KeyError::Malformed { .. })));
    }
}
