//! Whom and what the newest events are about that somebody may have paid by: their names, and the keys of all that they name.
//!
//! So who has the name of an event learns what the word of a person makes of its verdict, and who puts a word on a subject finds the
//! verdicts that it changes. Kept of events where value moves and of those whose verdict is more than a plain `allow`, the newest
//! of them in a bounded number of bytes, where that is wanted ([`EngineOptions::named_bytes`](super::EngineOptions)), and as
//! long as the event itself is remembered. No verdict depends on it.

use super::decide::is_own;
use super::decisions::DecisionReach;
use super::facts::Row;
use super::holds::EventOf;
use super::machine::Engine;
use super::subject::subject_keys;
use crate::event::{Event, EventBatch, Field, Signals};
use crate::ruleset::cel::Facts;
use crate::state::{Entry, KeyHash};

/// How long the key of a subject is.
const KEY_BYTES: usize = size_of::<u128>();

/// What is kept of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Named<'a> {
    /// The keys of what it names, one after the other.
    keys: &'a [u8],
    pub program: &'a str,
    pub source: &'a str,
    pub id: &'a str,
    pub kind: &'a str,
    pub account: &'a str,
    pub referrer: &'a str,
    pub reward: &'a str,
    pub referral: &'a str,
}

impl<'a> Named<'a> {
    /// Reads what [`write()`] wrote.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Named<'a>> {
        let (count, rest) = bytes.split_first()?;
        let (keys, mut rest) = rest.split_at_checked(usize::from(*count) * KEY_BYTES)?;
        let mut text = || {
            let (length, behind) = rest.split_first_chunk()?;
            let (text, behind) = behind.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
            rest = behind;
            std::str::from_utf8(text).ok()
        };
        let (program, source, id, kind) = (text()?, text()?, text()?, text()?);
        let (account, referrer, reward, referral) = (text()?, text()?, text()?, text()?);
        Some(Named { keys, program, source, id, kind, account, referrer, reward, referral })
    }

    /// The keys of all that it names.
    pub(super) fn keys(&self) -> impl Iterator<Item = KeyHash> + use<'a> {
        let (keys, _) = self.keys.as_chunks::<KEY_BYTES>();
        keys.iter().map(|key| KeyHash::from_bits(u128::from_le_bytes(*key)))
    }

    /// What tells it from others.
    pub(super) fn of(&self, time_ms: i64) -> EventOf<'a> {
        EventOf { program: self.program, source: self.source, id: self.id, account: self.account, time_ms }
    }
}

/// Writes the keys and names of an event.
fn write(row: &Row<'_>, keys: impl Iterator<Item = KeyHash>, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(0);
    let mut count: u8 = 0;
    for key in keys.take(usize::from(u8::MAX)) {
        out.extend_from_slice(&key.bits().to_le_bytes());
        count += 1;
    }
    out[start] = count;
    let fields = [
        Field::Source,
        Field::Id,
        Field::Type,
        Field::AccountId,
        Field::ReferrerId,
        Field::RewardId,
        Field::ReferralId,
    ];
    for text in std::iter::once(row.program).chain(fields.map(|field| row.text(field))) {
        // An event has 64 KiB with its quotes and braces.
        let length = u16::try_from(text.len()).unwrap_or_default();
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&text.as_bytes()[..usize::from(length)]);
    }
}

impl Engine {
    /// Keeps whom and what an event of the chunk is about that was just judged; whether its verdict `is_more` than a plain `allow`.
    pub(super) fn name(
        &mut self,
        (batch, events, signals): (&EventBatch, &[Event], &[Signals]),
        at: usize,
        entry: Entry,
        is_more: bool,
    ) {
        if !self.named.is_on() {
            return;
        }
        let event = &events[at];
        let moves_value = DecisionReach::WhereValueMoves.covers(event.kind, batch.field(event, Field::Type));
        if !moves_value && !is_more {
            return;
        }
        // Put back below: what is written borrows the rest of the machine.
        let mut named = std::mem::take(&mut self.named);
        let ground = self.ground(batch, events, signals);
        let row = self.chunk.row(&ground, at);
        // What refguard says stands as it is, whatever is said of its subjects.
        if !is_own(&row) {
            named.record(entry, |out| write(&row, subject_keys(&self.hasher, &row), out));
        }
        self.named = named;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_torn_reads_as_nothing() {
        let mut bytes = vec![1];
        bytes.extend_from_slice(&7_u128.to_le_bytes());
        for text in ["default", "/shop", "e1", "reward.requested", "sara", "", "r1", "نورة"] {
            bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        let named = Named::read(&bytes).expect("it is whole");
        assert_eq!((named.id, named.reward, named.referral), ("e1", "r1", "نورة"));
        assert_eq!(named.keys().collect::<Vec<_>>(), [KeyHash::from_bits(7)]);
        assert!((0..bytes.len()).all(|length| Named::read(&bytes[..length]).is_none()));
    }
}
