//! Seals of checkpoints: who has a folder, or a copy of it, and not the secret reads nothing of it; and the secret can be changed.
//!
//! Windows hold hashes under a key that cannot change while they live, since what was hashed is not kept. So what changes is
//! the secret under which a checkpoint is closed: each file is encrypted under a key of its own, made of that secret and of
//! random bytes at its beginning, and says by name which secret it was. Why so: docs/decisions/0017-seals.md. It knows no file: who reads the
//! secrets hands them in. Invariants: no key and number of a frame ever come twice together; nothing shows a secret.

use std::fmt;
use std::sync::Arc;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};

/// By how much a segment that is closed is longer.
pub(super) const TAG_BYTES: usize = 16;
/// How many random bytes stand at the beginning of a file.
pub(super) const SALT_BYTES: usize = 16;
/// What keys of files are made for.
const PURPOSE: &[u8] = b"refguard checkpoint";

/// By what a secret is known: it tells secrets apart without telling them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SealName(pub [u8; 8]);

impl fmt::Display for SealName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SealName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A secret under which checkpoints are closed.
#[derive(Clone, PartialEq, Eq)]
pub struct Seal {
    name: SealName,
    secret: [u8; 32],
}

/// Shows nothing of the secret.
impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seal({})", self.name)
    }
}

impl Seal {
    /// A secret, and by what it is known.
    pub fn new(secret: [u8; 32], name: SealName) -> Seal {
        Seal { name, secret }
    }

    /// By what it is known.
    pub fn name(&self) -> SealName {
        self.name
    }

    /// What closes and opens the frames of one file.
    pub(super) fn of_file(&self, salt: &[u8; SALT_BYTES]) -> FileSeal {
        let key = Salt::new(HKDF_SHA256, salt).extract(&self.secret);
        let key = key.expand(&[PURPOSE], &AES_256_GCM).expect("a key is shorter than what can be made");
        FileSeal(LessSafeKey::new(UnboundKey::from(key)))
    }
}

/// The secrets that are known: the last one closes, all of them open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seals(Arc<[Seal]>);

impl Seals {
    /// At least one, in the order in which they came.
    ///
    /// # Panics
    ///
    /// There is none.
    pub fn new(seals: Vec<Seal>) -> Seals {
        assert!(!seals.is_empty(), "checkpoints are closed under a secret");
        Seals(seals.into())
    }

    /// The one under which checkpoints are closed.
    pub fn newest(&self) -> &Seal {
        self.0.last().expect("there is one, by construction")
    }

    /// All of them, in the order in which they came.
    pub fn all(&self) -> &[Seal] {
        &self.0
    }

    /// The one of this name.
    pub(super) fn named(&self, name: SealName) -> Option<&Seal> {
        self.0.iter().find(|seal| seal.name == name)
    }
}

/// The key of one file.
pub(super) struct FileSeal(LessSafeKey);

impl FileSeal {
    /// A key for a file that begins with this salt is used for each number once.
    fn nonce(number: u64) -> Nonce {
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&number.to_le_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    /// Closes the segment of a frame.
    pub(super) fn close(&self, number: u64, segment: &mut Vec<u8>) {
        let closed = self.0.seal_in_place_append_tag(Self::nonce(number), Aad::empty(), segment);
        closed.expect("a segment is shorter than what can be closed");
    }

    /// Opens the segment of a frame. `false`: it was not closed under this key, or is not what was closed.
    pub(super) fn open(&self, number: u64, segment: &mut Vec<u8>) -> bool {
        let opened = self.0.open_in_place(Self::nonce(number), Aad::empty(), segment).map(|of| of.len());
        opened.map(|length| segment.truncate(length)).is_ok()
    }
}

/// Says under what is closed next, each time a checkpoint begins: it may have changed.
pub trait Sealing: fmt::Debug + Send {
    /// The newest secret.
    fn seal(&mut self) -> Seal;
}

/// Never changes.
impl Sealing for Seal {
    fn seal(&mut self) -> Seal {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(byte: u8) -> Seal {
        Seal::new([byte; 32], SealName([byte; 8]))
    }

    #[test]
    fn what_is_closed_is_opened_by_its_secret_salt_and_number_alone() {
        let closed = |number| {
            let mut segment = b"an account".to_vec();
            seal(1).of_file(&[5; SALT_BYTES]).close(number, &mut segment);
            segment
        };
        let opened = |secret: u8, salt: u8, number, mut segment: Vec<u8>| {
            seal(secret).of_file(&[salt; SALT_BYTES]).open(number, &mut segment).then_some(segment)
        };
        assert_eq!(opened(1, 5, 7, closed(7)).as_deref(), Some(&b"an account"[..]));
        assert_eq!(closed(7).len(), 10 + TAG_BYTES);
        assert!(closed(7) != closed(8) && !closed(7).windows(10).any(|part| part == b"an account"));
        for (secret, salt, number) in [(2, 5, 7), (1, 6, 7), (1, 5, 8)] {
            assert_eq!(opened(secret, salt, number, closed(7)), None);
        }
        for at in 0..closed(7).len() {
            let mut flipped = closed(7);
            flipped[at] ^= 1;
            assert_eq!(opened(1, 5, 7, flipped), None, "byte {at}");
        }
        assert_eq!(opened(1, 5, 7, vec![0; 3]), None);
    }

    #[test]
    fn the_last_secret_closes_and_none_is_shown() {
        let seals = Seals::new(vec![seal(1), seal(0x41)]);
        assert_eq!(seals.newest().name(), SealName([0x41; 8]));
        assert_eq!(seals.named(SealName([1; 8])), Some(&seal(1)));
        assert_eq!(seals.named(SealName([2; 8])), None);
        assert_eq!(format!("{seals:?}"), "Seals([Seal(0101010101010101), Seal(4141414141414141)])");
    }
}
