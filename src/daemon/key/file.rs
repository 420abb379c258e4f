//! The file of the secrets: read, made, and changed while others read it.
//!
//! It is replaced as a whole, by a rename, so that whoever reads it sees all lines of before or all of after, also after a kill.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::{KeyError, SECRET_BYTES, StateKey, io};
use crate::stream::checkpoint::{Seal, SealName, Sealing};

/// A line, decoded.
type Secret = [u8; SECRET_BYTES];

/// The secrets of a file, in order: one at least.
pub(super) fn lines(path: &Path) -> Result<Vec<Secret>, KeyError> {
    let text = std::fs::read_to_string(path).map_err(io("reading", path))?;
    let lines = text.trim().split('\n').enumerate();
    lines.map(|(at, line)| decoded(path, at + 1, line.trim())).collect()
}

fn decoded(path: &Path, line: usize, text: &str) -> Result<Secret, KeyError> {
    let digits = text.as_bytes();
    let found = || format!("{} characters", digits.len());
    let malformed = || KeyError::Malformed { path: path.to_owned(), line, found: found() };
    if digits.len() != 2 * SECRET_BYTES {
        return Err(malformed());
    }
    let mut secret = [0; SECRET_BYTES];
    for (byte, pair) in secret.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16).ok_or_else(malformed);
        *byte = (digit(0)? << 4 | digit(1)?) as u8;
    }
    Ok(secret)
}

fn random(path: &Path) -> Result<Secret, KeyError> {
    let mut secret = [0; SECRET_BYTES];
    let filled = getrandom::fill(&mut secret);
    filled.map_err(|error| io("asking the system for random bytes for", path)(std::io::Error::other(error)))?;
    Ok(secret)
}

/// A key where none is.
pub(super) fn make(path: &Path) -> Result<StateKey, KeyError> {
    let secret = random(path)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(io("making the folder", folder))?;
    }
    write(path, &[secret])?;
    Ok(StateKey::of(&[secret]))
}

/// Writes a file that was not there, for its owner alone.
fn write(path: &Path, secrets: &[Secret]) -> Result<(), KeyError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(io("making", path))?;
    let digits = |secret: &Secret| secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let text: String = secrets.iter().map(|secret| digits(secret) + "\n").collect();
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io("writing", path))
}

/// Replaces a file as a whole.
fn replace(path: &Path, secrets: &[Secret]) -> Result<(), KeyError> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    match std::fs::remove_file(&aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io("removing", &aside)(error)),
        // What was left there by one that was cut off.
        _ => write(&aside, secrets)?,
    }
    std::fs::rename(&aside, path).map_err(io("replacing", path))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("syncing", folder))
}

/// Adds a secret, under which checkpoints are closed from now on.
///
/// # Errors
///
/// As [`StateKey::read`]; what the disk says: then the file is as it was.
pub(in crate::daemon) fn add_seal(path: &Path) -> Result<SealName, KeyError> {
    let mut secrets = lines(path)?;
    secrets.push(random(path)?);
    replace(path, &secrets)?;
    Ok(StateKey::of(&secrets).seals().newest().name())
}

/// Removes the secrets under which nothing is closed any more, but for the newest and the key itself. Answers the names of those
/// that went.
///
/// # Errors
///
/// As [`add_seal`].
pub(in crate::daemon) fn forget_seals(
    path: &Path,
    is_used: impl Fn(SealName) -> bool,
) -> Result<Vec<SealName>, KeyError> {
    let secrets = lines(path)?;
    let key = StateKey::of(&secrets);
    let (newest, mut kept, mut gone) = (key.seals().newest().name(), vec![secrets[0]], Vec::new());
    // The first seal is made of the first line.
    for (seal, secret) in key.seals().all().iter().zip(&secrets).skip(1) {
        if seal.name() == newest || is_used(seal.name()) {
            kept.push(*secret);
        } else {
            gone.push(seal.name());
        }
    }
    if !gone.is_empty() {
        replace(path, &kept)?;
    }
    Ok(gone)
}

/// The file, read again each time a checkpoint is closed: so a secret that is added counts without a restart.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    fingerprint: String,
    newest: Seal,
}

impl KeyFile {
    /// The file of a key that was read from it.
    pub fn new(path: &Path, key: &StateKey) -> KeyFile {
        KeyFile { path: path.to_owned(), fingerprint: key.fingerprint(), newest: key.seals().newest().clone() }
    }
}

impl Sealing for KeyFile {
    /// A file that cannot be read, or has another key, is told, and the secret of before goes on.
    fn seal(&mut self) -> Seal {
        let hint = "restore the file from its backup: no start can read the state without it";
        match StateKey::read(&self.path) {
            Ok(key) if key.fingerprint() == self.fingerprint => {
                let newest = key.seals().newest();
                if *newest != self.newest {
                    tracing::info!(secret = %newest.name(), "checkpoints are closed under another secret from here on");
                    self.newest = newest.clone();
                }
            }
            Ok(_) => {
                tracing::error!(path = %self.path.display(), hint, "state.key_file is the key of another state by now")
            }
            Err(error) => tracing::error!(%error, hint, "state.key_file cannot be read any more"),
        }
        self.newest.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &Path) -> Vec<SealName> {
        StateKey::read(path).unwrap().seals().all().iter().map(Seal::name).collect()
    }

    #[test]
    fn secrets_are_added_and_those_in_use_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets/state.key");
        let made = make(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        // One that was cut off left this.
        std::fs::write(folder.path().join("secrets/state.key.new"), "half a li").unwrap();
        let (one, two) = (add_seal(&path).unwrap(), add_seal(&path).unwrap());
        assert_eq!(names(&path), [made.seals().newest().name(), one, two]);
        assert!(std::fs::read_to_string(&path).unwrap().starts_with(&text), "the key is what it was");
        assert_eq!(forget_seals(&path, |name| name == one).unwrap(), []);
        assert_eq!(forget_seals(&path, |_| false).unwrap(), [one]);
        assert_eq!(names(&path), [made.seals().newest().name(), two]);
        assert_eq!(std::fs::read_dir(folder.path().join("secrets")).unwrap().count(), 1);
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions()) & 0o777,
            0o600
        );
    }

    #[test]
    fn what_is_closed_next_follows_the_file_as_long_as_it_is_that_of_the_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.key");
        let key = make(&path).unwrap();
        let mut file = KeyFile::new(&path, &key);
        assert_eq!(file.seal(), *key.seals().newest());
        let added = add_seal(&path).unwrap();
        assert_eq!(file.seal().name(), added);
        for text in ["", "torn", &format!("{}\n", "7".repeat(64))] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(file.seal().name(), added, "{text}");
        }
    }

    #[test]
    fn a_line_that_is_no_secret_is_told_by_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.key");
        for (text, at) in [(String::new(), 1), (format!("{}\nshort\n", "7".repeat(64)), 2)] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(StateKey::read(&path), Err(KeyError::Malformed { line, .. }) if line == at));
        }
    }
}
