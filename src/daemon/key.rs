//! The installation's secret: made at the first start, kept in a file, never taken for another.
//!
//! State that was hashed under one key is worthless under another, so the folder of the state remembers a fingerprint of
//! its key. `run` makes a key only where no state is; `eval` and the tests in rule files do without.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::signals::PUBLIC_DEVICE_KEY;
use crate::state::HashKey;

/// Name of the fingerprint in the folder of the state.
pub(super) const FINGERPRINT_FILE: &str = "key.id";
/// Bytes of a secret: two keys of 16.
const SECRET_BYTES: usize = 32;

/// Why there is no key. All are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file is not what it should be.
    #[error("state.key_file: {path}: holds {found}, not 64 hex digits")]
    Malformed {
        /// The file.
        path: PathBuf,
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

/// The secret of an installation.
#[derive(Clone)]
pub struct StateKey([u8; SECRET_BYTES]);

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
        StateKey(secret)
    }

    /// The key of identifiers in windows.
    pub fn windows(&self) -> HashKey {
        HashKey(half(&self.0, 0))
    }

    /// The key of raw device attributes.
    pub fn devices(&self) -> [u8; 16] {
        half(&self.0, SECRET_BYTES / 2)
    }

    /// Reads a key from its file.
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`], [`KeyError::Io`].
    pub fn read(path: &Path) -> Result<StateKey, KeyError> {
        let text = std::fs::read_to_string(path).map_err(io("reading", path))?;
        let digits = text.trim().as_bytes();
        let malformed = || KeyError::Malformed { path: path.to_owned(), found: format!("{} characters", digits.len()) };
        if digits.len() != 2 * SECRET_BYTES {
            return Err(malformed());
        }
        let mut secret = [0; SECRET_BYTES];
        for (byte, pair) in secret.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16).ok_or_else(malformed);
            *byte = (digit(0)? << 4 | digit(1)?) as u8;
        }
        Ok(StateKey(secret))
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
            (false, None) => (StateKey::make(path)?, true),
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

    fn make(path: &Path) -> Result<StateKey, KeyError> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret)
            .map_err(|error| io("asking the system for random bytes for", path)(std::io::Error::other(error)))?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(io("making the folder", folder))?;
        }
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(io("making", path))?;
        let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(file, "{digits}").and_then(|()| file.sync_all()).map_err(io("writing", path))?;
        Ok(StateKey(secret))
    }

    /// Tells keys apart without telling them: 16 hex digits of a SHA-256.
    fn fingerprint(&self) -> String {
        let digest = Sha256::new().chain_update(b"refguard state key").chain_update(self.0).finalize();
        digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }
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
        assert_eq!(made.key.0, again.key.0);

        std::fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        assert!(matches!(StateKey::open(&path, &state), Err(KeyError::Missing { .. })));
        let other = StateKey::open(&path, &folder.path().join("empty")).unwrap();
        assert!(other.made);
        assert!(matches!(StateKey::open(&path, &state), Err(KeyError::Foreign { .. })));
        std::fs::write(&path, "short").unwrap();
        assert!(matches!(StateKey::open(&path, &state), Err(KeyError::Malformed { .. })));
    }
}
