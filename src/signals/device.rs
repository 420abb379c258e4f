//! Devices without a fingerprinting SDK: a keyed hash of their raw attributes, and the marks of emulators.

use std::ops::Range;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use siphasher::sip128::SipHasher24;

use super::cache::{Cache, CacheUse};
use crate::event::{Event, EventBatch, Field, Signal, SignalSet, Signals};

/// Attributes beyond which the rest is not looked at.
const ATTRIBUTES_MAX: usize = 256;

/// Longest raw attributes that are remembered, in bytes of JSON.
const KEY_BYTES_MAX: usize = 512;

/// What raw attributes say.
#[derive(Clone, Copy, Debug, Default)]
struct Device {
    /// The hash; `None` where there are no attributes.
    hash: Option<[u8; 16]>,
    emulator: bool,
}

/// Reads raw attributes, and remembers them.
#[derive(Debug)]
pub(super) struct DeviceReader {
    key: [u8; 16],
    cache: Cache<Device>,
    attributes: Attributes,
    id: String,
}

/// Names and values of a device, trimmed, without empty ones, ascending by name.
#[derive(Debug, Default)]
struct Attributes {
    text: String,
    /// Where each name and value lies in the text.
    pairs: Vec<(Range<usize>, Range<usize>)>,
    /// What is hashed: each name and value with its length before it.
    hashed: Vec<u8>,
}

impl DeviceReader {
    pub(super) fn new(key: [u8; 16], entries: usize) -> DeviceReader {
        let cache = Cache::new(entries, KEY_BYTES_MAX);
        DeviceReader { key, cache, attributes: Attributes::default(), id: String::new() }
    }

    /// Sets the wanted signals of an event's device: its id as the SDK gave it, else the hash of `device`.
    pub(super) fn derive(&mut self, event: &Event, wanted: SignalSet, batch: &mut EventBatch, row: &mut Signals) {
        let given = !batch.field(event, Field::DeviceId).trim().is_empty();
        if given {
            row.set_text(Signal::DeviceId, event.span(Field::DeviceId));
        }
        let needs_hash = !given && wanted.contains(Signal::DeviceId);
        if !(needs_hash || wanted.contains(Signal::DeviceEmulator)) || !event.presence.has(Field::Device) {
            return;
        }
        let DeviceReader { key, cache, attributes, id } = self;
        let json = batch.field(event, Field::Device);
        let device = cache.get_or_make(json.as_bytes(), || {
            attributes.read(json);
            Device {
                hash: attributes.hash(key),
                emulator: attributes.iter().any(|(name, value)| is_emulator(name, value)),
            }
        });
        row.set_flag(Signal::DeviceEmulator, device.emulator);
        if let Some(hash) = device.hash.filter(|_| needs_hash) {
            id.clear();
            push_hex(&hash, id);
            row.set_text(Signal::DeviceId, batch.make(id));
        }
    }

    /// How often it remembered.
    pub(super) fn counts(&self) -> CacheUse {
        self.cache.counts()
    }
}

/// Appends bytes as hexadecimal digits.
fn push_hex(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            out.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
}

impl Attributes {
    /// Reads the JSON text of an object of strings; of anything else what can be read.
    fn read(&mut self, json: &str) {
        self.text.clear();
        self.pairs.clear();
        // A parsed event holds an object of strings, so there is nothing to say about an error.
        let _ = serde_json::Deserializer::from_str(json).deserialize_map(AttributeVisitor(self));
        let Attributes { text, pairs, .. } = self;
        pairs.sort_unstable_by(|a, b| text[a.0.clone()].cmp(&text[b.0.clone()]).then(a.0.start.cmp(&b.0.start)));
    }

    fn push(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text.trim());
        start..self.text.len()
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (&self.text[name.clone()], &self.text[value.clone()]))
    }

    /// SipHash-2-4 with 128 bits over the lengths and bytes of every name and value, so that no two sets of attributes
    /// run together; `None` for no attributes.
    fn hash(&mut self, key: &[u8; 16]) -> Option<[u8; 16]> {
        let Attributes { text, pairs, hashed } = self;
        hashed.clear();
        for part in pairs.iter().flat_map(|(name, value)| [name, value]) {
            hashed.extend((part.len() as u64).to_le_bytes());
            hashed.extend(&text.as_bytes()[part.clone()]);
        }
        (!pairs.is_empty()).then(|| SipHasher24::new_with_key(key).hash(hashed).as_bytes())
    }
}

struct AttributeVisitor<'a>(&'a mut Attributes);

impl<'de> Visitor<'de> for AttributeVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<(), M::Error> {
        let mut count = 0;
        while let Some(name) = members.next_key_seed(TextSeed(self.0))? {
            let value = members.next_value_seed(TextSeed(self.0))?;
            count += 1;
            if !value.is_empty() && count <= ATTRIBUTES_MAX {
                self.0.pairs.push((name, value));
            }
        }
        Ok(())
    }
}

/// Reads a string into the text of attributes.
struct TextSeed<'a>(&'a mut Attributes);

impl<'de> serde::de::DeserializeSeed<'de> for TextSeed<'_> {
    type Value = Range<usize>;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Range<usize>, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for TextSeed<'_> {
    type Value = Range<usize>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<Range<usize>, E> {
        Ok(self.0.push(text))
    }
}

/// What the attributes of emulators say, by attribute name: values that are equal to, or begin with, one of these.
/// The names are those of Android's `Build` and of common SDKs; docs/signals.md lists them.
const EMULATOR_MARKS: &[(&str, &[&str])] = &[
    ("hardware", &["goldfish", "ranchu", "vbox86", "ttvm", "nox", "android_x86", "cutf_cvm"]),
    ("model", &["sdk_gphone", "google_sdk", "android sdk built for", "emulator", "droid4x", "genymotion", "simulator"]),
    ("product", &["sdk_gphone", "google_sdk", "sdk_x86", "vbox86p", "emulator", "simulator", "nox", "full_x86"]),
    ("device", &["generic_x86", "emulator", "emu64", "vbox86p", "nox", "genymotion", "simulator"]),
    ("brand", &["generic_x86", "generic_arm64", "genymotion", "google_sdk"]),
    ("manufacturer", &["genymotion", "bluestacks", "bignox", "microvirt", "ldplayer"]),
    ("fingerprint", &["generic/", "generic_x86", "generic_arm64", "google/sdk_gphone", "unknown/", "vbox"]),
    ("board", &["goldfish", "ranchu", "nox", "vbox86"]),
];

/// Names of attributes that are claims.
const EMULATOR_CLAIMS: &[&str] = &["emulator", "is_emulator", "isemulator", "simulator", "is_simulator", "issimulator"];

/// Whether an attribute says that the device is emulated. Letter case does not count.
fn is_emulator(name: &str, value: &str) -> bool {
    if EMULATOR_CLAIMS.iter().any(|claim| name.eq_ignore_ascii_case(claim)) {
        return value.eq_ignore_ascii_case("true") || value == "1" || value.eq_ignore_ascii_case("yes");
    }
    EMULATOR_MARKS
        .iter()
        .filter(|(attribute, _)| name.eq_ignore_ascii_case(attribute))
        .any(|(_, marks)| marks.iter().any(|mark| starts_with_ignoring_case(value, mark)))
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

#[cfg(test)]
mod tests;
