//! What is remembered of one account, for whoever asks without an event; and its end.

use super::{AccountMemory, Memory, Seen, unpack};
use crate::state::{KeyHash, Op};

/// A fact about an account.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KnownFact {
    /// When something was, in milliseconds since the Unix epoch.
    Time(i64),
    /// Where it was: degrees of latitude and longitude (WGS 84).
    Place(f64, f64),
}

impl AccountMemory {
    /// The facts about the account of a key that are known at an instant, by name, in the order of their tables; and who
    /// invited it. What is kept by account and device or country cannot be found by the account alone.
    pub(in crate::engine) fn known(&mut self, key: KeyHash, op: Op) -> (Vec<(&'static str, KnownFact)>, Option<&str>) {
        let (mut known, mut referred_ms) = (Vec::new(), None);
        for (memory, table) in self.memories.iter().zip(&mut self.tables) {
            if matches!(memory, Memory::Device | Memory::Country) {
                continue;
            }
            self.readings.clear();
            table.apply(&[Op { key, ..op }], &[], &mut self.readings);
            let Some(bits) = self.readings.readings.first().and_then(|reading| Seen::of(reading).bits()) else {
                continue;
            };
            let fact = match memory {
                Memory::Place => {
                    let (latitude, longitude) = unpack(bits);
                    KnownFact::Place(latitude, longitude)
                }
                _ => KnownFact::Time(bits as i64),
            };
            if *memory == Memory::ReferredAt {
                referred_ms = Some(bits as i64);
                known.push(("account.referred_at", fact));
            } else {
                known.push((memory.name(), fact));
            }
        }
        let referrer = referred_ms.zip(self.referrers.as_ref()).and_then(|(at, referrers)| referrers.of(key, at));
        (known, referrer)
    }

    /// Forgets an account. What is kept by account and device or country cannot be found by the account alone.
    pub(in crate::engine) fn forget(&mut self, key: KeyHash) {
        self.tables.iter_mut().for_each(|table| table.forget(key));
        self.referrers.iter_mut().for_each(|referrers| referrers.forget(key));
    }
}
