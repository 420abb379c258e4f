//! The bound of the state's memory: near it, the parts that grew most take nothing new, and say so.
//!
//! A part is the table of a feature, one of those behind facts about accounts, the memory of identities, or the decisions. It
//! looks only at fixed places of the log, so that what is refused depends on the events alone. What grew most since it was
//! last small is limited first: to the keys that it has; if it grows all the same, because its windows do, in those of busy
//! keys, and at last in all of them. Each limit leaves three quarters of the room that is left to the others, so that one
//! after the other can be limited before the bound is met; a part that did not grow is never limited. What may come between
//! two looks is bounded too: tables ask for memory in chunks, for which there is a reserve, and known keys get a share of
//! the room beyond it.
//!
//! Nothing is evicted: a key that is known stays exact as long as its window may grow, and what was refused reads as not
//! exact. Identities are the one thing that leaves early, the oldest first, as when `dedup.max_entries` is met, and the
//! horizon of repeats says so. Tested in `tests/saturation.rs`.

mod stored;

use super::parts::{Part, Parts};
use crate::state::Limit;

/// The share of the bound that is kept from new keys, for the windows of those that are known, in percent.
const KEYS_MARGIN_PERCENT: usize = 15;
/// The share that is kept from the windows of busy keys too.
const WINDOWS_MARGIN_PERCENT: usize = 5;
/// Limits end when so much more is free, in percent.
const RELIEF_PERCENT: usize = 10;
/// Growth is what was added over about so many looks.
const GROWTH_LOOKS: usize = 4096;
/// How many changes are kept for whoever tells them.
const CHANGES_MAX: usize = 100;

/// Watches the memory of the state.
#[derive(Debug)]
pub(super) struct MemoryWatch {
    max_bytes: usize,
    /// The next part is limited to its keys when so many bytes are in use.
    keys_from: usize,
    /// The next part is limited in its windows when so many bytes are in use.
    windows_from: usize,
    /// By part: the bytes that its growth is measured from.
    bases: Vec<usize>,
    changes: Vec<SaturationChange>,
}

/// A part of the state has begun to refuse what would make it grow, or accepts it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaturationChange {
    /// A feature, a fact about accounts such as `account.last_seen`, `state.identities` or `state.decisions`.
    pub part: String,
    /// What it refuses from here on.
    pub limit: Limit,
    /// Bytes of the part.
    pub bytes: usize,
    /// Bytes of the whole state.
    pub state_bytes: usize,
}

impl MemoryWatch {
    pub(super) fn new(max_bytes: usize) -> MemoryWatch {
        MemoryWatch { max_bytes, keys_from: 0, windows_from: 0, bases: Vec::new(), changes: Vec::new() }
    }

    /// Other parts take the place of these: by part now, which one before it is.
    pub(super) fn reload(&mut self, places: impl Iterator<Item = Option<usize>>) {
        let base = |place: Option<usize>| place.and_then(|place| self.bases.get(place).copied()).unwrap_or(0);
        self.bases = places.map(base).collect();
    }

    /// The changes since the last call, the latest hundred, in order.
    pub(super) fn take_changes(&mut self) -> Vec<SaturationChange> {
        std::mem::take(&mut self.changes)
    }

    /// Limits what grew most while the bound is near, and ends limits when it no longer is.
    pub(super) fn look(&mut self, parts: &mut Parts<'_>) {
        let used = parts.claimed_bytes();
        let all_steps: usize = parts.all().map(|part| parts.step_bytes(part)).sum();
        let share = |percent: usize| self.max_bytes / 100 * percent;
        // Memory comes in chunks: each part may ask for one before the next look.
        let keys_margin = share(KEYS_MARGIN_PERCENT).max(all_steps).min(self.max_bytes / 2);
        let near = self.max_bytes - keys_margin;
        let windows_near = self.max_bytes - share(WINDOWS_MARGIN_PERCENT);
        let far = near.saturating_sub(share(RELIEF_PERCENT));
        self.follow(parts);
        self.keys_from = self.keys_from.min(a_quarter_on(used, windows_near)).max(near);
        self.windows_from = self.windows_from.min(a_quarter_on(used, self.max_bytes)).max(windows_near);
        // What a limit lets identities take again does not keep it in force.
        let is_far = parts.bytes() < far;
        self.relieve(parts, used, is_far);
        loop {
            let growing = parts.all().filter(|part| parts.limit(*part) == Limit::None && self.growth(parts, *part) > 0);
            let reserve: usize = growing.map(|part| parts.step_bytes(part)).sum();
            let keys_are_near = used >= self.keys_from || windows_near.saturating_sub(used) < reserve;
            if keys_are_near && let Some(part) = self.grew_most(parts, used, |limit| limit == Limit::None) {
                self.keys_from = a_quarter_on(used, windows_near);
                self.limit_further(parts, part, used);
            } else if used >= self.windows_from
                && let Some(part) = self.grew_most(parts, used, |limit| limit != Limit::None)
            {
                self.windows_from = a_quarter_on(used, self.max_bytes);
                self.limit_further(parts, part, used);
            } else {
                let room = self.max_bytes.saturating_sub(used).saturating_sub(reserve);
                return parts.allow(room / 2 / parts.len());
            }
        }
    }

    /// The part that grew most among those under such a limit that can be limited further. All that grew little together
    /// left the room nearly as it was, and are left alone.
    fn grew_most(&self, parts: &Parts<'_>, used: usize, is_under: impl Fn(Limit) -> bool) -> Option<Part> {
        let little = self.max_bytes.saturating_sub(used) / 4 / parts.len();
        let parts_under = parts.all().filter(|part| is_under(parts.limit(*part)) && parts.next_limit(*part).is_some());
        let grown = parts_under.map(|part| (self.growth(parts, part), part)).filter(|(growth, _)| *growth > little);
        // Of those that grew alike, the first.
        grown.max_by_key(|(growth, part)| (*growth, std::cmp::Reverse(*part))).map(|(_, part)| part)
    }

    fn limit_further(&mut self, parts: &mut Parts<'_>, part: Part, used: usize) {
        let Some(limit) = parts.next_limit(part) else { return };
        self.bases[part.0] = parts.bytes_of(part);
        self.set(parts, part, limit, used);
    }

    /// Moves the bytes that growth is measured from slowly towards those in use, or at once to fewer.
    fn follow(&mut self, parts: &Parts<'_>) {
        self.bases.resize(parts.len(), 0);
        for (base, part) in self.bases.iter_mut().zip(parts.all()) {
            let bytes = parts.bytes_of(part);
            *base = bytes.min(*base + bytes.saturating_sub(*base) / GROWTH_LOOKS);
        }
    }

    fn growth(&self, parts: &Parts<'_>, part: Part) -> usize {
        parts.bytes_of(part).saturating_sub(self.bases[part.0])
    }

    /// Ends the limits of all parts when the bound is far, else of those that have room of their own again.
    fn relieve(&mut self, parts: &mut Parts<'_>, used: usize, is_far: bool) {
        for part in parts.all() {
            parts.keep_to_limit(part);
            let has_room = self.max_bytes.saturating_sub(used) >= parts.step_bytes(part) && parts.has_slack(part);
            if parts.limit(part) != Limit::None && (is_far || has_room) {
                self.set(parts, part, Limit::None, used);
            }
        }
    }

    fn set(&mut self, parts: &mut Parts<'_>, part: Part, limit: Limit, state_bytes: usize) {
        parts.set_limit(part, limit);
        if self.changes.len() == CHANGES_MAX {
            self.changes.remove(0);
        }
        let (part, bytes) = (parts.name(part), parts.bytes_of(part));
        self.changes.push(SaturationChange { part, limit, bytes, state_bytes });
    }
}

/// A quarter of the way from what is in use to a bound.
fn a_quarter_on(used: usize, bound: usize) -> usize {
    used + bound.saturating_sub(used) / 4
}
