//! What stands, as of one number, for whoever begins to follow the log: made of pages of the engine, which goes on meanwhile.
//!
//! The engine is asked for a page at a time, so that it judges in between. What changes meanwhile is taken from the log
//! afterwards, once it is committed: a change counts if its number is higher than that of what the pages have. So the whole is
//! exact, and says nothing that is not committed.

use std::collections::BTreeMap;

use super::{DecisionHub, Following, Head, Published, program_of};
use crate::engine::{ActiveSet, LogPage};
use crate::state::KeyHash;

/// How many changes are taken from the log together.
const CHANGES: usize = 1024;

/// A record that stands.
#[derive(Debug)]
struct Standing {
    number: u64,
    line: Vec<u8>,
    sum: u64,
}

/// What stands as of a number.
#[derive(Debug, Default)]
pub struct Snapshot {
    number: u64,
    records: BTreeMap<String, Standing>,
}

/// The log does not hold any more what changed meanwhile: it is to be begun again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotLost;

impl Snapshot {
    /// As of which number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The records that stand, with their keys and lines, in the order of their keys; of a program (percent-encoded) or of all.
    pub fn records(&self, program: Option<&str>) -> impl Iterator<Item = (&str, u64, &[u8])> {
        let is_wanted = move |key: &str| program.is_none_or(|program| program_of(key) == program);
        let records = self.records.iter().filter(move |(key, _)| is_wanted(key));
        records.map(|(key, standing)| (key.as_str(), standing.number, standing.line.as_slice()))
    }

    /// The programs in which something stands, percent-encoded, each with how much.
    pub fn sets(&self) -> BTreeMap<&str, ActiveSet> {
        let mut sets: BTreeMap<&str, ActiveSet> = BTreeMap::new();
        for (key, standing) in &self.records {
            sets.entry(program_of(key)).or_default().change(None, Some(standing.sum));
        }
        sets
    }

    /// What stands in all.
    pub fn head(&self) -> Head {
        let mut set = ActiveSet::default();
        self.records.values().for_each(|standing| set.change(None, Some(standing.sum)));
        Head { number: self.number, set }
    }

    fn take(&mut self, change: &Published) {
        self.number = change.number;
        match change.sums[1] {
            _ if self.records.get(&*change.key).is_some_and(|known| known.number >= change.number) => {}
            Some(sum) => {
                let standing = Standing { number: change.number, line: change.line().to_vec(), sum };
                self.records.insert(change.key.to_string(), standing);
            }
            None => drop(self.records.remove(&*change.key)),
        }
    }
}

/// A snapshot on its way.
#[derive(Debug, Default)]
pub struct Snapshotting {
    snapshot: Snapshot,
    has_begun: bool,
    /// The number of the engine at the last page.
    last: u64,
    next: Option<KeyHash>,
}

impl Snapshotting {
    /// Behind which key the next page begins.
    pub fn behind(&self) -> Option<KeyHash> {
        self.next
    }

    /// Takes a page; `false`: it was the last.
    pub fn take(&mut self, page: LogPage) -> bool {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.snapshot.number = page.number;
        }
        self.last = page.number;
        for record in page.records {
            let standing = Standing { number: record.number, line: record.line, sum: record.sum };
            self.snapshot.records.insert(record.key, standing);
        }
        self.next = page.next;
        self.next.is_some()
    }

    /// The number that must be committed before it can be finished.
    pub fn wanted(&self) -> u64 {
        self.last
    }

    /// Takes what has changed meanwhile, once [`Snapshotting::wanted`] is committed.
    ///
    /// # Errors
    ///
    /// [`SnapshotLost`].
    pub fn finish(mut self, hub: &DecisionHub) -> Result<Snapshot, SnapshotLost> {
        while self.snapshot.number < self.last {
            match hub.behind(self.snapshot.number, CHANGES) {
                Following::Changes(changes) if !changes.is_empty() => {
                    changes.iter().for_each(|change| self.snapshot.take(change));
                }
                _ => return Err(SnapshotLost),
            }
        }
        Ok(self.snapshot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::LoggedRecord;

    fn record(number: u64, key: &str) -> LoggedRecord {
        LoggedRecord { number, key: key.to_owned(), line: format!("{number}").into_bytes(), sum: number }
    }

    fn change(number: u64, key: &str, sums: [Option<u64>; 2]) -> Published {
        Published::new(number, key, format!("{number}").as_bytes(), sums)
    }

    #[test]
    fn what_changes_between_two_pages_is_there_once() {
        let hub = DecisionHub::new(5, [], 1 << 20);
        let mut making = Snapshotting::default();
        let more = Some(KeyHash::from_bits(7));
        assert!(making.take(LogPage {
            number: 5,
            records: vec![record(1, "p/account/a"), record(2, "p/account/b")],
            next: more
        }));
        assert_eq!(making.behind(), more);
        // Meanwhile a ends, b changes, and c and d come, of which d goes again, before the second page is read.
        assert!(!making.take(LogPage { number: 10, records: vec![record(8, "q/account/c")], next: None }));
        assert_eq!(making.wanted(), 10);
        hub.publish([
            change(6, "p/account/a", [Some(1), None]),
            change(7, "p/account/b", [Some(2), Some(7)]),
            change(8, "q/account/c", [None, Some(8)]),
            change(9, "p/account/d", [None, Some(9)]),
            change(10, "p/account/d", [Some(9), None]),
            // It is committed too.
            change(11, "p/account/a", [None, Some(11)]),
        ]);
        let made = making.finish(&hub).expect("the log holds what changed");
        let lines: Vec<(&str, u64)> = made.records(None).map(|(key, number, _)| (key, number)).collect();
        assert_eq!(lines, [("p/account/a", 11), ("p/account/b", 7), ("q/account/c", 8)]);
        assert_eq!(made.head(), Head { number: 11, set: ActiveSet { count: 3, checksum: 26 } });
        assert_eq!(made.sets()["q"], ActiveSet { count: 1, checksum: 8 });
        assert_eq!(made.records(Some("q")).count(), 1);
    }

    #[test]
    fn one_that_took_longer_than_the_log_holds_is_lost() {
        let hub = DecisionHub::new(1, [], 1);
        let mut making = Snapshotting::default();
        making.take(LogPage { number: 1, records: Vec::new(), next: Some(KeyHash::from_bits(1)) });
        making.take(LogPage { number: 3, records: Vec::new(), next: None });
        hub.publish((2..=4).map(|number| change(number, "p/account/a", [None, Some(1)])));
        assert_eq!(making.finish(&hub).err(), Some(SnapshotLost));
    }
}
