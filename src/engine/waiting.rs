//! Events that came before the referral by which they count.
//!
//! A feature whose key is `account.referrer` counts what referees do for who invited them. Partitions deliver in no order: an
//! order of the referee can arrive before the referral, though it happened after it. Such an event waits here until the
//! referral comes, and is counted then; once the horizon has passed it, a referral that would name its referrer would be late
//! itself, and nobody waits any more. So the value is the same whichever came first. May import `state`'s hashes. Invariants:
//! an account's records are linked from the newest to the oldest; no record waits for longer than events may be late; what is
//! refused for want of room is counted.

mod stored;

use std::collections::{BTreeMap, VecDeque};

use super::plan::FirstPart;
use crate::ruleset::cel::Role;
use crate::ruleset::program::KEY_PARTS_MAX;
use crate::state::{KeyHash, KeyHasher, PartHash};

/// How many events of one account wait at most: a referral looks at all of them.
const WAITING_PER_ACCOUNT: u32 = 1024;
/// A sixteenth of the state's memory may be taken by what waits.
const SHARE_OF_STATE: usize = 16;
/// What a record takes with one part of a key beside the referrer, and a share of its account's place.
const RECORD_BYTES: usize =
    size_of::<Record>() + size_of::<PartHash>() + 2 * (size_of::<KeyHash>() + size_of::<Chain>());
/// The number of no record.
const NONE: u64 = u64::MAX;

/// The place in a key where a referrer belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    /// Which of the key's parts.
    pub place: usize,
    /// Whose referrer.
    pub role: Role,
}

/// What waits: an operation on a feature whose key lacks the referrer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Late {
    /// The feature, by its place in the rule set.
    pub feature: u32,
    /// What stands before the parts of its key.
    pub first: FirstPart,
    /// The other parts of its key: mostly none.
    pub others: Box<[PartHash]>,
    /// Where among them the referrer belongs.
    pub place: u8,
    /// As [`Op`](crate::state::Op) has them.
    pub time_ms: i64,
    pub event: u64,
    pub value: u64,
    /// The event's id, as operations are told of it.
    pub id: [u8; 16],
}

impl Late {
    /// The key that it is counted under once the referrer is known.
    pub(super) fn key(&self, hasher: &KeyHasher, referrer: PartHash) -> KeyHash {
        let mut parts = [referrer; KEY_PARTS_MAX];
        let place = usize::from(self.place);
        parts[..place].copy_from_slice(&self.others[..place]);
        parts[place + 1..=self.others.len()].copy_from_slice(&self.others[place..]);
        self.first.key(hasher, &parts[..=self.others.len()])
    }
}

#[derive(Debug)]
struct Record {
    account: KeyHash,
    /// The number of the account's record before this one; that may be gone.
    earlier: u64,
    /// `None`: it was counted, or nothing counts it any more.
    late: Option<Late>,
}

/// The records of one account.
#[derive(Debug)]
struct Chain {
    newest: u64,
    length: u32,
}

/// Everything that waits, in the order of arrival.
#[derive(Debug)]
pub(super) struct Waiting {
    limit: usize,
    /// The number of the oldest record.
    first: u64,
    records: VecDeque<Record>,
    chains: BTreeMap<KeyHash, Chain>,
    /// Those that a referral has found, oldest first.
    found: Vec<Late>,
    refused: u64,
    /// The accounts for which something has come to wait or waits no more, where that is asked for.
    touched: Option<Vec<KeyHash>>,
}

impl Waiting {
    /// Nothing waits yet; all that waits may take a share of so much memory.
    pub(super) fn new(state_max_bytes: usize) -> Waiting {
        Waiting {
            limit: state_max_bytes / SHARE_OF_STATE / RECORD_BYTES,
            first: 0,
            records: VecDeque::new(),
            chains: BTreeMap::new(),
            found: Vec::new(),
            refused: 0,
            touched: None,
        }
    }

    /// Notes from here on for which accounts something changes.
    pub(super) fn note_touched(&mut self) {
        self.touched.get_or_insert_default().clear();
    }

    /// Those of which that was noted since.
    pub(super) fn touched(&self) -> &[KeyHash] {
        self.touched.as_deref().unwrap_or_default()
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Lets an event of this account wait, if there is room.
    pub(super) fn push(&mut self, account: KeyHash, late: Late) {
        let next = self.first + self.records.len() as u64;
        let is_full = self.records.len() >= self.limit;
        let chain = self.chains.get_mut(&account);
        if is_full || chain.as_ref().is_some_and(|chain| chain.length >= WAITING_PER_ACCOUNT) {
            self.refused += 1;
            return;
        }
        let earlier = match chain {
            Some(chain) => {
                chain.length += 1;
                std::mem::replace(&mut chain.newest, next)
            }
            None => {
                self.chains.insert(account, Chain { newest: next, length: 1 });
                NONE
            }
        };
        self.records.push_back(Record { account, earlier, late: Some(late) });
        self.touched.iter_mut().for_each(|touched| touched.push(account));
    }

    /// Ends the wait of those that a referral of this instant names a referrer for: events of this account from then on, within
    /// the retention. In the order of arrival.
    pub(super) fn referred(
        &mut self,
        account: KeyHash,
        time_ms: i64,
        retention_ms: i64,
    ) -> impl Iterator<Item = Late> + use<'_> {
        let mut number = self.chains.get(&account).map_or(NONE, |chain| chain.newest);
        while number != NONE
            && let Some(place) = number.checked_sub(self.first)
        {
            let record = &mut self.records[place as usize];
            let counts =
                |late: &mut Late| late.time_ms >= time_ms && late.time_ms.saturating_sub(time_ms) < retention_ms;
            self.found.extend(record.late.take_if(counts));
            number = record.earlier;
        }
        if !self.found.is_empty() {
            self.touched.iter_mut().for_each(|touched| touched.push(account));
        }
        self.found.drain(..).rev()
    }

    /// Events of this account wait no more: it is forgotten.
    pub(super) fn forget(&mut self, account: KeyHash) {
        let mut number = self.chains.get(&account).map_or(NONE, |chain| chain.newest);
        if number != NONE {
            self.touched.iter_mut().for_each(|touched| touched.push(account));
        }
        while number != NONE
            && let Some(place) = number.checked_sub(self.first)
        {
            let record = &mut self.records[place as usize];
            record.late = None;
            number = record.earlier;
        }
    }

    /// Those that the horizon has passed wait no more.
    pub(super) fn expire(&mut self, horizon_ms: i64) {
        while let Some(record) = self.records.front()
            && record.late.as_ref().is_none_or(|late| late.time_ms < horizon_ms)
        {
            let chain = self.chains.get_mut(&record.account);
            let chain = chain.expect("an account has a chain as long as it has a record");
            chain.length -= 1;
            if chain.length == 0 {
                self.chains.remove(&record.account);
            }
            self.records.pop_front();
            self.first += 1;
        }
    }

    /// Goes over to another rule set: features have other places, or none.
    pub(super) fn reload(&mut self, place: impl Fn(u32) -> Option<u32>) {
        for record in &mut self.records {
            record.late = record.late.take().and_then(|late| Some(Late { feature: place(late.feature)?, ..late }));
        }
    }

    /// How many wait, or did until lately.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.records.len() * RECORD_BYTES
    }

    /// How many were not let in for want of room.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::HashKey;

    fn late(time_ms: i64) -> Late {
        let others = Box::from([]);
        Late { feature: 0, first: FirstPart::GLOBAL, others, place: 0, time_ms, event: 0, value: 0, id: [0; 16] }
    }

    fn account(number: u64) -> KeyHash {
        let hasher = KeyHasher::new(HashKey([3; 16]));
        hasher.key(PartHash::GLOBAL, &[hasher.part(crate::state::Scalar::Int(number as i64))])
    }

    fn times(waiting: &mut Waiting, of: u64, time_ms: i64) -> Vec<i64> {
        waiting.referred(account(of), time_ms, 100).map(|late| late.time_ms).collect()
    }

    #[test]
    fn a_referral_ends_the_wait_of_what_came_after_it() {
        let mut waiting = Waiting::new(1 << 20);
        for (of, time_ms) in [(1, 10), (2, 11), (1, 30), (1, 5), (1, 130)] {
            waiting.push(account(of), late(time_ms));
        }
        assert!(times(&mut waiting, 3, 0).is_empty());
        assert_eq!(times(&mut waiting, 1, 10), [10, 30], "130 is a whole retention later");
        assert!(times(&mut waiting, 1, 10).is_empty(), "none is counted twice");
        assert_eq!(times(&mut waiting, 1, 4), [5]);
        waiting.expire(12);
        assert_eq!((waiting.len(), times(&mut waiting, 2, 0)), (1, vec![]), "what was counted leaves with the rest");
        assert_eq!(times(&mut waiting, 1, 100), [130]);
        waiting.expire(12);
        assert!(waiting.is_empty() && waiting.chains.is_empty());
    }

    #[test]
    fn the_referrer_takes_its_place_among_the_parts() {
        let hasher = KeyHasher::new(HashKey([3; 16]));
        let [a, b, referrer] = ["a", "b", "referrer"].map(|text| hasher.part(crate::state::Scalar::Text(text)));
        for (place, parts) in [(0, [referrer, a, b]), (1, [a, referrer, b]), (2, [a, b, referrer])] {
            let late = Late { others: Box::from([a, b]), place, ..late(0) };
            assert_eq!(late.key(&hasher, referrer), hasher.key(PartHash::GLOBAL, &parts));
        }
        assert_eq!(late(0).key(&hasher, referrer), hasher.key(PartHash::GLOBAL, &[referrer]));
    }

    #[test]
    fn memory_is_bounded() {
        let mut waiting = Waiting::new(SHARE_OF_STATE * RECORD_BYTES * 2000);
        (0..3000).for_each(|time_ms| waiting.push(account(1), late(time_ms)));
        assert_eq!((waiting.len(), waiting.refused()), (1024, 3000 - 1024), "one account cannot fill it");
        (0..3000).for_each(|time_ms| waiting.push(account(time_ms as u64 + 2), late(time_ms)));
        assert_eq!((waiting.len(), waiting.refused()), (2000, 6000 - 2000));
        assert_eq!(waiting.bytes(), 2000 * RECORD_BYTES);
        waiting.expire(1000);
        assert_eq!((waiting.len(), waiting.chains.len()), (1000, 977));
        assert_eq!(times(&mut waiting, 1, 0), (1000..1024).filter(|time| *time < 100).collect::<Vec<_>>());
    }
}
