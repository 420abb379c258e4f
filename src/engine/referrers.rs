//! Who invited an account: the text behind `account.referrer`.
//!
//! Tables keep hashes, and a decision or a message names the referrer in clear, so its id is kept here. When an account
//! was referred is told by the table behind `account.referred_at`; this holds, for each account, the referrers by the
//! instants that the table may answer. So both follow one rule, late events and idle accounts included. May import
//! `state`'s keys. Invariants: an account without referrals does not exist; each account stands in the queue under its
//! latest referral or an earlier instant, once unless it was erased in between.

mod stored;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::state::{KeyHash, PartHash};
use stored::ReferrersCut;

/// How long a chain of referrers is looked at: those of honest people have two or three.
const CHAIN_MAX: usize = 64;
/// What one account's record takes beside its texts: the record, its place in the queue, and a share of the nodes.
const RECORD_BYTES: usize = 2 * (2 * size_of::<KeyHash>() + size_of::<Record>() + size_of::<i64>());

/// The referrers of accounts. Trees, since a table of hashes stops everything while it grows.
#[derive(Debug)]
pub(super) struct Referrers {
    retention_ms: i64,
    records: BTreeMap<KeyHash, Record>,
    ends: BTreeSet<(i64, KeyHash)>,
    bytes: usize,
    /// The accounts that were asked for and are not there, each with its program, where others may hold them.
    missed: Option<RefCell<Vec<(PartHash, KeyHash)>>>,
    /// While they are written as of a place that was passed.
    cut: Option<Box<ReferrersCut>>,
}

#[derive(Debug)]
struct Record {
    /// The newest referral.
    last_ms: i64,
    /// Ascending by time; nearly always one.
    referrals: Vec<Referral>,
}

#[derive(Debug)]
struct Referral {
    time_ms: i64,
    /// The newest referral from this one on, before the next of these.
    last_ms: i64,
    referrer: Box<str>,
}

impl Record {
    fn as_of(&self, time_ms: i64, retention_ms: i64) -> Option<&str> {
        let referrals = &self.referrals;
        let mut place = referrals.partition_point(|known| known.time_ms <= time_ms).checked_sub(1)?;
        if time_ms.saturating_sub(referrals[place].last_ms) >= retention_ms {
            return None;
        }
        // A late referral may have closed the gap before.
        while let Some(earlier) = place.checked_sub(1)
            && referrals[place].time_ms.saturating_sub(referrals[earlier].last_ms) < retention_ms
        {
            place = earlier;
        }
        Some(&*referrals[place].referrer).filter(|referrer| !referrer.is_empty())
    }
}

impl Referral {
    fn bytes(&self) -> usize {
        size_of::<Referral>() + self.referrer.len()
    }
}

impl Referrers {
    /// Nobody yet. An account is forgotten when it had no referral for `retention_ms`.
    pub(super) fn new(retention_ms: i64) -> Referrers {
        Referrers { retention_ms, records: BTreeMap::new(), ends: BTreeSet::new(), bytes: 0, missed: None, cut: None }
    }

    /// Of how many accounts a referrer is known.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The accounts of which a referrer is known as of an instant, with the referrer.
    pub(super) fn known(&self, time_ms: i64) -> impl Iterator<Item = (KeyHash, &str)> {
        let retention_ms = self.retention_ms;
        self.records.iter().filter_map(move |(account, record)| Some((*account, record.as_of(time_ms, retention_ms)?)))
    }

    /// Takes in a referral that is counted; `first_ms` is when the account was first referred, as of this event. Of two
    /// at one instant the earlier arrival stays.
    pub(super) fn refer(&mut self, account: KeyHash, time_ms: i64, first_ms: Option<i64>, referrer: &str) {
        let new = first_ms == Some(time_ms);
        if !new && !self.records.contains_key(&account) {
            return;
        }
        self.keep(account);
        let record = self.records.entry(account).or_insert_with(|| {
            self.ends.insert((time_ms, account));
            self.bytes += RECORD_BYTES;
            Record { last_ms: time_ms, referrals: Vec::with_capacity(1) }
        });
        record.last_ms = record.last_ms.max(time_ms);
        let place = record.referrals.partition_point(|known| known.time_ms < time_ms);
        if !new {
            let before = record.referrals.iter_mut().rfind(|known| known.time_ms <= time_ms);
            before.into_iter().for_each(|known| known.last_ms = known.last_ms.max(time_ms));
            return;
        }
        if record.referrals.get(place).is_some_and(|known| known.time_ms == time_ms) {
            return;
        }
        let referral = Referral { time_ms, last_ms: time_ms, referrer: referrer.into() };
        self.bytes += referral.bytes();
        record.referrals.insert(place, referral);
        // One that follows within the retention is no longer a first one.
        while let Some(next) = record.referrals.get(place + 1)
            && next.time_ms.saturating_sub(time_ms) < self.retention_ms
        {
            let joined = record.referrals.remove(place + 1);
            record.referrals[place].last_ms = record.referrals[place].last_ms.max(joined.last_ms);
            self.bytes -= joined.bytes();
        }
    }

    /// Who invited the account, which was first referred at this instant; `None` where nobody was named.
    pub(super) fn of(&self, account: KeyHash, first_ms: i64) -> Option<&str> {
        let referrals = &self.records.get(&account)?.referrals;
        let place = referrals.binary_search_by_key(&first_ms, |known| known.time_ms).ok()?;
        Some(&*referrals[place].referrer).filter(|referrer| !referrer.is_empty())
    }

    /// Who invited the account of a program, as of an instant: by the first referral since it was last without one for the retention.
    pub(super) fn as_of(&self, program: PartHash, account: KeyHash, time_ms: i64) -> Option<&str> {
        let Some(record) = self.records.get(&account) else {
            self.missed.iter().for_each(|missed| missed.borrow_mut().push((program, account)));
            return None;
        };
        record.as_of(time_ms, self.retention_ms)
    }

    /// Notes from here on which accounts are asked for and not there.
    pub(super) fn note_missed(&mut self) {
        self.missed.get_or_insert_default();
    }

    /// Those that were noted since the last call.
    pub(super) fn take_missed(&mut self) -> Vec<(PartHash, KeyHash)> {
        self.missed.as_mut().map(|missed| std::mem::take(missed.get_mut())).unwrap_or_default()
    }

    /// The accounts above one of a program, the nearest first; at most [`CHAIN_MAX`].
    pub(super) fn above<'a>(
        &'a self,
        program: PartHash,
        account: &str,
        time_ms: i64,
        key: impl Fn(&str) -> KeyHash + 'a,
    ) -> impl Iterator<Item = &'a str> {
        let first = self.as_of(program, key(account), time_ms);
        std::iter::successors(first, move |account| self.as_of(program, key(account), time_ms)).take(CHAIN_MAX)
    }

    /// Forgets the accounts that no event from the horizon on can see as referred.
    pub(super) fn expire(&mut self, horizon_ms: i64) {
        while let Some(&(queued_ms, account)) = self.ends.first() {
            if horizon_ms.saturating_sub(queued_ms) < self.retention_ms {
                break;
            }
            self.ends.pop_first();
            let Some(record) = self.records.get(&account) else { continue };
            if record.last_ms > queued_ms {
                self.ends.insert((record.last_ms, account));
                continue;
            }
            self.bytes -= RECORD_BYTES + record.referrals.iter().map(Referral::bytes).sum::<usize>();
            self.keep(account);
            self.records.remove(&account);
        }
    }

    /// Forgets an account. What stands of it in the queue finds nobody, or one that came again.
    pub(super) fn forget(&mut self, account: KeyHash) {
        self.keep(account);
        if let Some(record) = self.records.remove(&account) {
            self.bytes -= RECORD_BYTES + record.referrals.iter().map(Referral::bytes).sum::<usize>();
        }
    }

    /// Memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{HashKey, KeyHasher, Scalar};

    fn account(name: &str) -> KeyHash {
        let hasher = KeyHasher::new(HashKey([7; 16]));
        hasher.key(hasher.part(Scalar::Text("default")), &[hasher.part(Scalar::Text(name))])
    }

    #[test]
    fn an_earlier_referral_takes_the_place_of_a_later_one() {
        let (mut referrers, a) = (Referrers::new(100), account("a"));
        referrers.refer(a, 50, Some(50), "second");
        referrers.refer(a, 60, Some(50), "third");
        assert_eq!((referrers.of(a, 50), referrers.of(a, 60)), (Some("second"), None));
        referrers.refer(a, 40, Some(40), "first");
        referrers.refer(a, 40, Some(40), "later arrival");
        assert_eq!((referrers.of(a, 40), referrers.of(a, 50)), (Some("first"), None));
        // Idle for the retention: it starts anew, and a late event still sees the time before.
        referrers.refer(a, 160, Some(160), "anew");
        assert_eq!((referrers.of(a, 40), referrers.of(a, 160)), (Some("first"), Some("anew")));
        assert_eq!(referrers.of(account("b"), 40), None);
    }

    #[test]
    fn what_is_forgotten_takes_no_memory() {
        let mut referrers = Referrers::new(100);
        for at in 0..50 {
            let name = format!("account-{}", at % 20);
            referrers.refer(account(&name), at, Some(at % 20), "somebody");
        }
        assert_eq!((referrers.records.len(), referrers.ends.len()), (20, 20));
        let full = referrers.bytes();
        referrers.expire(129);
        assert_eq!(referrers.records.len(), 20, "the newest referrals are from 30 on");
        referrers.expire(139);
        assert_eq!((referrers.records.len(), referrers.bytes()), (10, full / 2));
        referrers.expire(149);
        assert_eq!((referrers.records.len(), referrers.ends.len(), referrers.bytes()), (0, 0, 0));
    }
}
