//! The log of decisions for whoever follows it within the process: the newest changes, what stands by program, and who waits.
//!
//! What is published here is committed. Each change is kept once, as it is sent, and every follower reads from the one ring by
//! number: a slow one costs nothing, and one that falls out of it begins again with what stands. It knows neither HTTP nor
//! Redis. Invariants: numbers have no gap; the ring is bounded by bytes and holds the last change at least; the counts and
//! checksums are those of the last number.

mod snapshot;
mod written;

pub use snapshot::{Snapshot, SnapshotLost, Snapshotting};
pub use written::{LogAt, write_lacking};

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::time::Duration;

use tokio::sync::watch;

use crate::engine::ActiveSet;

/// What a change costs beside its bytes, about.
const BESIDE_BYTES: usize = 160;
const UNBROKEN: &str = "no thread panics while it holds the log of decisions";

/// A change that is committed, as it is sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Published {
    /// Its number in the log.
    pub number: u64,
    /// The record's key: `program/kind/id`, each percent-encoded.
    pub key: Box<str>,
    /// Whether nothing stands there any more.
    pub is_end: bool,
    /// As a server-sent event.
    event: Box<[u8]>,
    /// Where the line lies in it.
    line: Range<usize>,
    /// What it makes of the checksum.
    sums: [Option<u64>; 2],
}

impl Published {
    /// A change: what its record added to the checksum before, and what it adds now.
    pub fn new(number: u64, key: &str, line: &[u8], [before, after]: [Option<u64>; 2]) -> Published {
        let name = if after.is_none() { "ended" } else { "decision" };
        let mut event = format!("id: {number}\nevent: {name}\ndata: ").into_bytes();
        let start = event.len();
        event.extend_from_slice(line);
        let line = start..event.len();
        event.extend_from_slice(b"\n\n");
        let (event, is_end) = (event.into_boxed_slice(), after.is_none());
        Published { number, key: key.into(), is_end, event, line, sums: [before, after] }
    }

    /// The program, percent-encoded.
    pub fn program(&self) -> &str {
        program_of(&self.key)
    }

    /// The record as it is now, or the final one.
    pub fn line(&self) -> &[u8] {
        &self.event[self.line.clone()]
    }

    fn bytes(&self) -> usize {
        BESIDE_BYTES + self.key.len() + self.event.len()
    }
}

/// As a server-sent event.
impl AsRef<[u8]> for Published {
    fn as_ref(&self) -> &[u8] {
        &self.event
    }
}

/// The program in a record's key, percent-encoded.
pub fn program_of(key: &str) -> &str {
    key.split_once('/').map_or(key, |(program, _)| program)
}

/// What stands as of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The number of the last change.
    pub number: u64,
    /// What stands: all of it, or of some programs.
    pub set: ActiveSet,
}

/// What a follower is to get next.
#[derive(Debug, PartialEq, Eq)]
pub enum Following {
    /// Changes that it has not seen: the first of these, or none.
    Changes(Vec<Arc<Published>>),
    /// They are not held any more, or never were: it begins again with what stands.
    Lost,
}

#[derive(Debug)]
struct Held {
    ring: VecDeque<Arc<Published>>,
    bytes: usize,
    number: u64,
    /// By program, percent-encoded.
    sets: BTreeMap<Box<str>, ActiveSet>,
}

/// The log, for all who follow it.
#[derive(Debug)]
pub struct DecisionHub {
    held: RwLock<Held>,
    bytes_max: usize,
    told: watch::Sender<u64>,
    /// The same for threads.
    told_threads: (Mutex<u64>, Condvar),
}

impl DecisionHub {
    /// Begins at a number, with what stands by program (percent-encoded); changes of so many bytes are held.
    pub fn new(number: u64, sets: impl IntoIterator<Item = (String, ActiveSet)>, bytes_max: usize) -> DecisionHub {
        let sets = sets.into_iter().map(|(program, set)| (program.into_boxed_str(), set)).collect();
        let held = Held { ring: VecDeque::new(), bytes: 0, number, sets };
        DecisionHub {
            held: RwLock::new(held),
            bytes_max,
            told: watch::Sender::new(number),
            told_threads: (Mutex::new(number), Condvar::new()),
        }
    }

    /// Takes changes that are committed, in order, without a gap.
    pub fn publish(&self, changes: impl IntoIterator<Item = Published>) {
        let mut held = self.held.write().expect(UNBROKEN);
        let held = &mut *held;
        for change in changes {
            debug_assert_eq!(change.number, held.number + 1, "numbers have no gap");
            held.number = change.number;
            let program = change.program();
            let [before, after] = change.sums;
            let set = match held.sets.get_mut(program) {
                Some(set) => set,
                None => held.sets.entry(program.into()).or_default(),
            };
            set.change(before, after);
            if set.count == 0 {
                held.sets.remove(program);
            }
            held.bytes += change.bytes();
            held.ring.push_back(Arc::new(change));
            while held.bytes > self.bytes_max && held.ring.len() > 1 {
                held.bytes -= held.ring.pop_front().map_or(0, |oldest| oldest.bytes());
            }
        }
        self.told.send_if_modified(|number| std::mem::replace(number, held.number) != held.number);
        *self.told_threads.0.lock().expect(UNBROKEN) = held.number;
        self.told_threads.1.notify_all();
    }

    /// Waits until there is something behind a number, or for so long.
    pub fn wait_behind(&self, number: u64, at_most: Duration) {
        let told = self.told_threads.0.lock().expect(UNBROKEN);
        drop(self.told_threads.1.wait_timeout_while(told, at_most, |told| *told <= number).expect(UNBROKEN));
    }

    /// Tells of each new number.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.told.subscribe()
    }

    /// The number of the last change.
    pub fn number(&self) -> u64 {
        self.held.read().expect(UNBROKEN).number
    }

    /// What stands now in these programs (percent-encoded); without them, in all.
    pub fn head(&self, programs: Option<&[String]>) -> Head {
        let held = self.held.read().expect(UNBROKEN);
        let mut set = ActiveSet::default();
        let mut add = |of: &ActiveSet| {
            set.count = set.count.wrapping_add(of.count);
            set.checksum = set.checksum.wrapping_add(of.checksum);
        };
        match programs {
            Some(programs) => programs.iter().filter_map(|program| held.sets.get(&**program)).for_each(&mut add),
            None => held.sets.values().for_each(&mut add),
        }
        Head { number: held.number, set }
    }

    /// The changes behind a number, at most so many.
    pub fn behind(&self, number: u64, count_max: usize) -> Following {
        let held = self.held.read().expect(UNBROKEN);
        if number == held.number {
            return Following::Changes(Vec::new());
        }
        let Some(first) = held.ring.front().map(|change| change.number) else { return Following::Lost };
        if number > held.number || number + 1 < first {
            return Following::Lost;
        }
        let from = usize::try_from(number + 1 - first).unwrap_or(usize::MAX);
        Following::Changes(held.ring.iter().skip(from).take(count_max).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(number: u64, program: &str, sums: [Option<u64>; 2]) -> Published {
        Published::new(number, &format!("{program}/account/a"), b"{}", sums)
    }

    fn numbers(following: Following) -> Option<Vec<u64>> {
        match following {
            Following::Changes(changes) => Some(changes.iter().map(|change| change.number).collect()),
            Following::Lost => None,
        }
    }

    #[test]
    fn who_is_within_the_ring_gets_what_it_lacks_and_nobody_else() {
        let room = change(10, "p", [None, Some(1)]).bytes() * 3;
        let hub = DecisionHub::new(7, [], room);
        assert_eq!(numbers(hub.behind(7, 9)), Some(vec![]), "nothing has changed yet");
        assert_eq!(numbers(hub.behind(6, 9)), None, "what was before nobody holds");
        assert_eq!(numbers(hub.behind(8, 9)), None, "nobody can have seen what has not been");
        hub.publish((8..=10).map(|number| change(number, "p", [None, Some(1)])));
        assert_eq!(numbers(hub.behind(7, 9)), Some(vec![8, 9, 10]));
        assert_eq!(numbers(hub.behind(8, 1)), Some(vec![9]), "at most as many as are wanted");
        hub.publish([change(11, "p", [None, Some(1)])]);
        assert_eq!(numbers(hub.behind(7, 9)), None, "its next change has left the ring");
        assert_eq!(numbers(hub.behind(8, 9)), Some(vec![9, 10, 11]));
        assert_eq!(numbers(hub.behind(u64::MAX, 9)), None);
    }

    #[test]
    fn a_change_that_is_longer_than_the_ring_is_held_alone() {
        let hub = DecisionHub::new(0, [], 1);
        hub.publish((1..=3).map(|number| change(number, "p", [None, Some(1)])));
        assert_eq!(numbers(hub.behind(2, 9)), Some(vec![3]));
        assert_eq!(numbers(hub.behind(1, 9)), None);
    }

    #[test]
    fn sums_are_of_the_programs_that_are_asked_for() {
        let before = ActiveSet { count: 1, checksum: 5 };
        let hub = DecisionHub::new(1, [("a".to_owned(), before)], 1 << 20);
        hub.publish([change(2, "b", [None, Some(u64::MAX)]), change(3, "a", [Some(5), Some(6)])]);
        let set = |count, checksum| Head { number: 3, set: ActiveSet { count, checksum } };
        assert_eq!(hub.head(Some(&["a".to_owned()])), set(1, 6));
        assert_eq!(hub.head(Some(&["b".to_owned(), "c".to_owned()])), set(1, u64::MAX));
        assert_eq!(hub.head(None), set(2, 5), "modulo 2^64");
        hub.publish([change(4, "b", [Some(u64::MAX), None])]);
        assert_eq!(hub.head(None), Head { number: 4, set: ActiveSet { count: 1, checksum: 6 } });
    }

    #[test]
    fn a_change_is_sent_as_an_event_of_its_number() {
        let ended = change(2, "p%2F1", [Some(1), None]);
        assert_eq!(ended.as_ref(), b"id: 2\nevent: ended\ndata: {}\n\n");
        assert_eq!((ended.program(), ended.line()), ("p%2F1", &b"{}"[..]));
    }
}
