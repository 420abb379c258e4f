//! Whoever follows the log of decisions, as docs/decisions-log.md tells it: what stands by key, and its sum. It shares no code with
//! refguard.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Followed {
    /// The number of the last change.
    pub(crate) number: u64,
    /// By key: the record.
    pub(crate) records: BTreeMap<String, Value>,
}

/// A part of a key, percent-encoded.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The key of a record.
pub(crate) fn key_of(record: &Value) -> String {
    let [program, kind, id] = ["program", "kind", "id"].map(|name| record[name].as_str().unwrap_or_default());
    format!("{}/{kind}/{}", encoded(program), encoded(id))
}

impl Followed {
    /// Takes a change; what is older than what is known changes nothing.
    pub(crate) fn take(&mut self, record: &Value) {
        let Some(number) = record["number"].as_u64() else { return };
        let key = key_of(record);
        if self.records.get(&key).is_some_and(|known| known["number"].as_u64() > Some(number)) {
            return;
        }
        self.number = self.number.max(number);
        if record["verdict"].is_null() {
            self.records.remove(&key);
        } else {
            self.records.insert(key, record.clone());
        }
    }

    /// How many stand, and their sum.
    pub(crate) fn sum(&self) -> (u64, String) {
        let mut sum = 0_u64;
        for (key, record) in &self.records {
            let causes = record["causes"].as_array().map_or(&[][..], Vec::as_slice);
            let mut ids: Vec<&str> = causes.iter().filter_map(|cause| cause["id"].as_str()).collect();
            ids.sort_unstable();
            let text = format!(
                "{key}\n{}\n{}\n{}",
                record["number"],
                record["verdict"].as_str().unwrap_or_default(),
                ids.join(",")
            );
            let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
            sum = digest[..8].iter().fold(0_u64, |word, byte| word << 8 | u64::from(*byte)).wrapping_add(sum);
        }
        (self.records.len() as u64, format!("{sum:016x}"))
    }

    /// Whether what stands here is what a heartbeat says.
    pub(crate) fn is_as(&self, told: &Value) -> bool {
        let (count, checksum) = self.sum();
        told["count"].as_u64() == Some(count) && told["checksum"].as_str() == Some(&checksum)
    }
}
