//! What verdicts that were given are now by the word of a person, and what is said when that changes.
//!
//! A verdict is never revised. What it is now follows the gravest override on what its event names, else the end of its hold, else
//! it is what it was. Whenever an override comes, goes or ends by time, the verdicts of which that makes others are said as corrected:
//! of the events that are kept by name ([`named`](super::named)) the newest [`REACHED_MAX`], and of those that wait for a review.

use std::collections::BTreeSet;

use super::holds::Hold;
use super::judgement::Judgements;
use super::machine::Engine;
use super::named::Named;
use super::said::{self, Correction};
use crate::event::Verdict;
use crate::state::{Entry, KeyHash};

/// Verdicts that one change corrects, at most: the newest. Whoever asks is told what all others are now.
const REACHED_MAX: usize = 10_000;

/// Whose verdict it is.
#[derive(Clone, Copy, Debug)]
enum Of {
    /// An event that made this hold.
    Hold(u64),
    /// Another event that is remembered.
    Event(Entry),
}

/// A verdict that a change may reach, and what it was before.
#[derive(Debug)]
pub(super) struct Reached {
    of: Of,
    before: Verdict,
}

/// What changes verdicts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'a> {
    /// In a word, such as `override.put`.
    pub why: &'static str,
    /// What tells it from others of its kind.
    pub cause: &'a str,
    /// When.
    pub at_ms: i64,
}

impl Engine {
    /// The gravest word of a person on one of these subjects at an instant.
    pub(super) fn word_on(&self, keys: impl IntoIterator<Item = KeyHash>, as_of_ms: i64) -> Option<Verdict> {
        if self.decisions.overrides() == 0 {
            return None;
        }
        let words = keys.into_iter().filter_map(|key| self.decisions.record(key)?.overridden());
        words.filter(|word| word.lives(as_of_ms)).map(|word| word.verdict).max()
    }

    /// What the verdict on an event that made a hold is at an instant.
    pub(super) fn current_of_hold(&self, hold: &Hold, as_of_ms: i64) -> Verdict {
        let word = self.word_on(hold.subjects.iter().copied(), as_of_ms.max(hold.created_ms));
        word.unwrap_or_else(|| hold.current())
    }

    fn current_of(&self, of: Of, as_of_ms: i64) -> Option<Verdict> {
        match of {
            Of::Hold(number) => Some(self.current_of_hold(self.holds.get(number)?, as_of_ms)),
            Of::Event(entry) => {
                let named = Named::read(self.named.find(entry)?)?;
                let word = self.word_on(named.keys(), as_of_ms.max(self.dedup.time_ms(entry)));
                Some(word.unwrap_or_else(|| self.remembered.verdict(entry)))
            }
        }
    }

    /// The verdicts that words on these subjects may change, the oldest event first, with what they are at an instant.
    pub(super) fn reached(&self, keys: &[KeyHash], as_of_ms: i64) -> Vec<Reached> {
        let keys: BTreeSet<KeyHash> = keys.iter().copied().collect();
        let (mut found, mut holds) = (Vec::new(), BTreeSet::new());
        if keys.is_empty() {
            return Vec::new();
        }
        for (entry, bytes) in self.named.newest_first() {
            let named = Named::read(bytes).filter(|named| named.keys().any(|key| keys.contains(&key)));
            let Some(of) = named.and_then(|named| self.verdict_of(entry, &named)) else { continue };
            if let Of::Hold(number) = of {
                holds.insert(number);
            }
            found.push(of);
            if found.len() == REACHED_MAX {
                break;
            }
        }
        found.reverse();
        // What waits is reached however old it is.
        let open = self.holds.reviews_behind(None).filter(|(_, hold)| !holds.contains(&hold.number));
        let open = open.filter(|(_, hold)| hold.subjects.iter().any(|key| keys.contains(key)));
        found.extend(open.take(REACHED_MAX).map(|((_, number), _)| Of::Hold(number)));
        let reached = |of: Of| Some(Reached { of, before: self.current_of(of, as_of_ms)? });
        found.into_iter().filter_map(reached).collect()
    }

    /// Whose verdict that of a named event is; `None`: it is forgotten, or nothing is stopped where it is from.
    fn verdict_of(&self, entry: Entry, named: &Named<'_>) -> Option<Of> {
        let time_ms = self.dedup.time_ms(entry);
        if time_ms == i64::MIN || self.only_observes(named.program) {
            return None;
        }
        let held = self.remembered.held(entry).map(|name| name.number(named.of(time_ms)));
        Some(held.filter(|number| self.holds.get(*number).is_some()).map_or(Of::Event(entry), Of::Hold))
    }

    /// Says which of these verdicts are others now than they were.
    pub(super) fn say_corrected(&self, reached: &[Reached], as_of_ms: i64, of: Change<'_>, out: &mut Judgements) {
        let Change { why, cause, at_ms } = of;
        for Reached { of, before: was } in reached {
            let Some(now) = self.current_of(*of, as_of_ms).filter(|now| now != was) else { continue };
            let correction = Correction { was: *was, now, why, at_ms };
            match of {
                Of::Hold(number) => {
                    let hold = self.holds.get(*number);
                    out.said
                        .extend(hold.map(|hold| said::corrected_hold(hold, &[why, cause, &hold.id()], &correction)));
                }
                Of::Event(entry) => {
                    let named = self.named.find(*entry).and_then(Named::read);
                    out.said.extend(named.map(|named| said::corrected(&named, &[why, cause], &correction)));
                }
            }
        }
    }

    /// The instant as of which words count, where nothing else says so.
    pub(super) fn words_as_of_ms(&self) -> i64 {
        self.clock.watermark_ms().unwrap_or(i64::MIN)
    }
}
