//! Keyed hashes of identifiers: what the tables store instead of accounts, devices, addresses and numbers.
//!
//! SipHash-1-3 with 128 bits: keyed, so that whoever sends events cannot aim at collisions or at one segment of an index,
//! and whoever reads a checkpoint cannot test guesses of an e-mail address without the installation's secret; short
//! inputs take tens of nanoseconds; the 120 bits that name a key make an accidental collision among 10^9 keys a matter of 10^-19.
//! The 1-3 variant is the one that Rust's and Python's hash maps rely on for the same threat; no attack better than guessing is known.
//!
//! An identifier is hashed once an event ([`KeyHasher::part`]) and serves every feature: keys are combined from part hashes
//! by arithmetic alone ([`KeyHasher::key`]).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use siphasher::sip128::SipHasher13;

/// The secret of an installation under which identifiers are hashed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HashKey(pub [u8; 16]);

/// Shows nothing of the secret.
impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(..)")
    }
}

/// A value that can be a part of a key, a member of a set, or what `previous` remembers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// Text, by its bytes.
    Text(&'a str),
    /// A whole number.
    Int(i64),
    /// A float: -0.0 is 0.0, and every NaN is one value.
    Double(f64),
    /// A truth value.
    Bool(bool),
    /// An instant, milliseconds since the Unix epoch.
    Time(i64),
}

/// The 128-bit keyed hash of one [`Scalar`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartHash(u128);

impl PartHash {
    /// The part that stands for every program, in features of `scope: global`.
    pub const GLOBAL: PartHash = PartHash(0);

    /// All 128 bits.
    pub fn bits(self) -> u128 {
        self.0
    }

    /// A part made of the bits of one, such as those of a checkpoint.
    pub fn from_bits(bits: u128) -> PartHash {
        PartHash(bits)
    }

    /// Its 64-bit form, for members of sets and texts remembered by `previous`. Two of the 4096 members of a full set
    /// are mistaken for one another with a probability of 5 * 10^-13.
    #[inline]
    pub fn value(self) -> u64 {
        self.0 as u64
    }
}

/// The name of a key in a table, of an identity or of an event: 128 bits, of which the last 120 tell keys apart. The first
/// 8 are free for a [`Class`], so that a key carries it along in no more memory, and stays the key that it is whichever
/// class it counts for.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyHash {
    // Two fields and no array: so they travel in registers.
    pub(super) low: u64,
    pub(super) high: u64,
}

/// For whose quota a key counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class(pub u8);

impl Class {
    /// Counts for no quota.
    pub const NONE: Class = Class(0);
}

/// Where the class of a key stands.
const CLASS_SHIFT: u32 = 56;
/// The bits beside it.
const NAME: u64 = u64::MAX >> 8;

impl PartialEq for KeyHash {
    #[inline]
    fn eq(&self, other: &KeyHash) -> bool {
        self.low == other.low && (self.high ^ other.high) & NAME == 0
    }
}

impl Eq for KeyHash {}

impl PartialOrd for KeyHash {
    fn partial_cmp(&self, other: &KeyHash) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for KeyHash {
    fn cmp(&self, other: &KeyHash) -> Ordering {
        (self.low, self.high & NAME).cmp(&(other.low, other.high & NAME))
    }
}

impl Hash for KeyHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.low, self.high & NAME).hash(state);
    }
}

impl KeyHash {
    /// The same key, counting for this class.
    #[inline]
    pub fn of_class(self, class: Class) -> KeyHash {
        KeyHash { high: self.high & NAME | u64::from(class.0) << CLASS_SHIFT, ..self }
    }

    /// For whose quota it counts; of a key that was given no class, anything.
    #[inline]
    pub(super) fn class(self) -> Class {
        Class((self.high >> CLASS_SHIFT) as u8)
    }

    /// A key made of 128 bits that are already uniform, such as those of a checkpoint.
    pub fn from_bits(bits: u128) -> KeyHash {
        KeyHash { low: bits as u64, high: (bits >> 64) as u64 }
    }

    /// All 128 bits.
    pub fn bits(self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }

    /// Its 64-bit form: the hash of an event, from the key of its identity.
    #[inline]
    pub fn event(self) -> u64 {
        self.high
    }
}

/// Hashes scalars under one secret and combines them into keys.
///
/// Each type of scalar has a key of its own, made of the secret, so that neither the text `1` and the number 1, nor a
/// number and an instant, are the same part, and a text is hashed where it stands.
#[derive(Clone, Debug)]
pub struct KeyHasher {
    text: SipHasher13,
    int: SipHasher13,
    double: SipHasher13,
    bool: SipHasher13,
    time: SipHasher13,
    multiplier: u128,
}

impl KeyHasher {
    /// A hasher for one installation.
    pub fn new(key: HashKey) -> KeyHasher {
        let secret = SipHasher13::new_with_key(&key.0);
        let of = |label: &str| SipHasher13::new_with_key(&secret.hash(label.as_bytes()).as_bytes());
        KeyHasher {
            text: of("text"),
            int: of("int"),
            double: of("double"),
            bool: of("bool"),
            time: of("time"),
            // Odd, so that multiplying loses nothing.
            multiplier: secret.hash(b"multiplier of key parts").as_u128() | 1,
        }
    }

    /// The hash of one scalar.
    #[inline]
    pub fn part(&self, scalar: Scalar<'_>) -> PartHash {
        let hash = match scalar {
            Scalar::Text(text) => self.text.hash(text.as_bytes()),
            Scalar::Int(value) => self.int.hash(&value.to_le_bytes()),
            Scalar::Double(value) => {
                let canonical = if value.is_nan() { f64::NAN } else { value + 0.0 };
                self.double.hash(&canonical.to_bits().to_le_bytes())
            }
            Scalar::Bool(value) => self.bool.hash(&[u8::from(value)]),
            Scalar::Time(value) => self.time.hash(&value.to_le_bytes()),
        };
        PartHash(hash.as_u128())
    }

    /// A program (or [`PartHash::GLOBAL`]) within a span of the calendar, by the instant at which it began: the first part
    /// of keys whose events all lie in that span.
    #[inline]
    pub fn within(&self, program: PartHash, start_ms: i64) -> PartHash {
        PartHash(self.key(program, &[self.part(Scalar::Int(start_ms))]).bits())
    }

    /// The key of a program (or [`PartHash::GLOBAL`]) and the parts of a feature's `key`, in order.
    ///
    /// A polynomial in a secret odd multiplier modulo 2^128. The parts are outputs of a keyed hash, hence unpredictable
    /// and uniform: the sums of keys that differ in one part are never equal, others with a probability of 2^-128; the 120 bits
    /// that name a key are with 2^-120. The number of parts
    /// is the first term, so that no list of parts is a prefix of another.
    #[inline]
    pub fn key(&self, program: PartHash, parts: &[PartHash]) -> KeyHash {
        let mut sum = (parts.len() as u128 + 1).wrapping_mul(self.multiplier).wrapping_add(program.0);
        for part in parts {
            sum = sum.wrapping_mul(self.multiplier).wrapping_add(part.0);
        }
        KeyHash::from_bits(sum)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn hasher(byte: u8) -> KeyHasher {
        KeyHasher::new(HashKey([byte; 16]))
    }

    #[test]
    fn types_and_values_have_parts_of_their_own() {
        let scalars = [
            Scalar::Text(""),
            Scalar::Text("1"),
            Scalar::Text("1\0"),
            Scalar::Int(1),
            Scalar::Int(0),
            Scalar::Double(1.0),
            Scalar::Double(f64::NAN),
            Scalar::Bool(true),
            Scalar::Bool(false),
            Scalar::Time(1),
        ];
        let parts: BTreeSet<PartHash> = scalars.iter().map(|scalar| hasher(7).part(*scalar)).collect();
        assert_eq!(parts.len(), scalars.len());
    }

    #[test]
    fn equal_doubles_are_one_part() {
        let hasher = hasher(7);
        assert_eq!(hasher.part(Scalar::Double(0.0)), hasher.part(Scalar::Double(-0.0)));
        assert_eq!(hasher.part(Scalar::Double(f64::NAN)), hasher.part(Scalar::Double(-f64::NAN)));
    }

    #[test]
    fn keys_tell_order_number_program_and_secret_apart() {
        let one = hasher(1);
        let [p, a, b] = ["p", "a", "b"].map(|text| one.part(Scalar::Text(text)));
        let keys = [
            one.key(p, &[]),
            one.key(p, &[a]),
            one.key(p, &[b]),
            one.key(p, &[a, b]),
            one.key(p, &[b, a]),
            one.key(a, &[p]),
            one.key(PartHash::GLOBAL, &[a]),
            one.key(PartHash::GLOBAL, &[p, a]),
            hasher(2).key(p, &[a]),
        ];
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
        assert_ne!(one.part(Scalar::Text("p")), hasher(2).part(Scalar::Text("p")));
        assert_eq!(KeyHash::from_bits(keys[0].bits()), keys[0]);
    }

    #[test]
    fn a_class_travels_with_a_key_and_is_no_part_of_its_name() {
        let hasher = hasher(1);
        let [p, a, b] = ["p", "a", "b"].map(|text| hasher.part(Scalar::Text(text)));
        let (one, other) = (hasher.key(p, &[a]), hasher.key(p, &[b]));
        let classes = [Class::NONE, Class(1), Class(255)];
        for class in classes {
            let key = one.of_class(class);
            assert_eq!((key.class(), key, key.cmp(&one)), (class, one, Ordering::Equal));
            assert_eq!(KeyHash::from_bits(key.bits()).class(), class);
            assert_ne!(key, other.of_class(class));
        }
        let keys: BTreeSet<KeyHash> = classes.iter().map(|class| one.of_class(*class)).collect();
        let hashed: std::collections::HashSet<KeyHash> = keys.iter().copied().collect();
        assert_eq!((keys.len(), hashed.contains(&one.of_class(Class(9)))), (1, true));
    }

    #[test]
    fn the_secret_is_not_shown() {
        assert_eq!(format!("{:?}", HashKey([0x41; 16])), "HashKey(..)");
    }
}
