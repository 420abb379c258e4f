//! Which partitions a source has, how far it is in each, and whether a broker can be reached.

use super::BatchEnd;
use rdkafka::Statistics;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionName {
    /// The topic.
    pub topic: String,
    /// The partition's number in it.
    pub partition: i32,
}

/// How far a source is in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionStatus {
    /// Its index in [`Position`](crate::event::Position)s of this process; never given to another partition.
    pub index: u32,
    /// The partition.
    pub name: PartitionName,
    /// Whether it is assigned to this source now.
    pub assigned: bool,
    /// The offset behind the last record handed over; `None` before the first.
    pub next_offset: Option<u64>,
    /// Records in the partition that were not handed over yet, as of the last second; `None` while unknown.
    pub lag_records: Option<u64>,
    /// Whether it has been read to its end, as of the last second: it is quiet, and a tick may stand in for it.
    pub at_end: bool,
}

#[derive(Debug)]
struct Known {
    status: PartitionStatus,
    /// The generation in which it was assigned last.
    since: u64,
    /// Where reading goes on when it is assigned: behind what was read, whatever is committed. `None`: at the committed place.
    resume: Option<u64>,
}

/// What the reading thread, the callbacks of the client and the owner of the source all know.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// In the order of first assignment; small, so that a search is a scan.
    partitions: Mutex<Vec<Known>>,
    /// Whether other members go on with what goes from here, from the committed place on.
    is_shared: bool,
    /// Counts the changes of the assignment.
    generation: AtomicU64,
    /// Whether some broker is connected.
    pub(super) reachable: AtomicBool,
    /// Whether the source is being closed.
    pub(super) closing: AtomicBool,
}

impl Shared {
    /// Of a source whose group has other members, or not.
    pub(super) fn of(is_shared: bool) -> Shared {
        Shared { is_shared, ..Shared::default() }
    }

    /// Whether the group has other members.
    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// The present generation of the assignment.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Notes partitions as ours from now on.
    pub(super) fn assign(&self, names: &[PartitionName]) {
        let mut partitions = self.lock();
        let since = self.generation.fetch_add(1, Ordering::AcqRel) + 1;
        for name in names {
            let index = index_of(&mut partitions, name);
            let known = &mut partitions[index];
            known.since = since;
            known.status = PartitionStatus {
                index: known.status.index,
                name: name.clone(),
                assigned: true,
                next_offset: None,
                lag_records: None,
                at_end: false,
            };
        }
    }

    /// Notes where reading of a partition goes on, once it is ours.
    pub(super) fn set_resume(&self, name: &PartitionName, offset: u64) {
        let mut partitions = self.lock();
        let index = index_of(&mut partitions, name);
        partitions[index].resume = Some(offset);
    }

    /// Notes what was read, and will be handed over.
    pub(super) fn read(&self, ends: &[BatchEnd]) {
        let mut partitions = self.lock();
        for end in ends {
            if let Some(known) = partitions.get_mut(end.partition as usize) {
                known.resume = Some(end.next_offset);
            }
        }
    }

    /// Where reading of a partition goes on.
    pub(super) fn resume(&self, name: &PartitionName) -> Option<u64> {
        self.lock().iter().find(|known| known.status.name == *name).and_then(|known| known.resume)
    }

    /// Whether some partition is ours.
    pub(super) fn is_member(&self) -> bool {
        self.lock().iter().any(|known| known.status.assigned)
    }

    /// Notes partitions as no longer ours: what is in flight from them will not be committed.
    pub(super) fn revoke(&self, names: &[PartitionName]) {
        let mut partitions = self.lock();
        self.generation.fetch_add(1, Ordering::AcqRel);
        for name in names {
            let index = index_of(&mut partitions, name);
            partitions[index].status.assigned = false;
            partitions[index].status.lag_records = None;
            if self.is_shared {
                partitions[index].resume = None;
            }
        }
    }

    /// The index of a partition, given for good when it is first asked for.
    pub(super) fn index(&self, topic: &str, partition: i32) -> u32 {
        let mut partitions = self.lock();
        let known = partitions
            .iter()
            .find(|known| known.status.name.partition == partition && known.status.name.topic == topic)
            .map(|known| known.status.index);
        known.unwrap_or_else(|| {
            let index = index_of(&mut partitions, &PartitionName { topic: topic.to_owned(), partition });
            partitions[index].status.index
        })
    }

    /// Notes what was handed over.
    pub(super) fn handed_over(&self, ends: &[BatchEnd]) {
        self.read(ends);
        let mut partitions = self.lock();
        for end in ends {
            if let Some(known) = partitions.get_mut(end.partition as usize) {
                let status = &mut known.status;
                let passed = end.next_offset.saturating_sub(status.next_offset.unwrap_or(end.next_offset));
                status.next_offset = Some(end.next_offset);
                status.lag_records = status.lag_records.map(|lag| lag.saturating_sub(passed));
                status.at_end = false;
            }
        }
    }

    /// Of some places, those that may be committed: in a partition that has been ours since they were read, or is ours again
    /// and read on from behind them.
    pub(super) fn committable(&self, ends: &[BatchEnd]) -> Vec<(PartitionName, u64)> {
        let partitions = self.lock();
        ends.iter()
            .filter_map(|end| {
                let known = partitions.get(end.partition as usize)?;
                // What was read before it went and came back is not read again: nobody else commits it.
                let goes_on_behind = known.resume.is_some_and(|resume| resume >= end.next_offset);
                let ours = known.status.assigned && (known.since <= end.generation || goes_on_behind);
                ours.then(|| (known.status.name.clone(), end.next_offset))
            })
            .collect()
    }

    /// Takes in the client's statistics.
    pub(super) fn observe(&self, statistics: &Statistics) {
        // Logical brokers (the group's coordinator) have negative ids; so does one whose id is not known yet.
        let up = statistics.brokers.values().any(|broker| broker.state == "UP");
        self.reachable.store(up, Ordering::Relaxed);
        for known in self.lock().iter_mut().filter(|known| known.status.assigned) {
            let status = &mut known.status;
            let seen = statistics
                .topics
                .get(&status.name.topic)
                .and_then(|topic| topic.partitions.get(&status.name.partition));
            let Some(seen) = seen else { continue };
            // The end was signalled at an offset that is not behind what was read: markers of transactions lie between.
            let next = status.next_offset.map_or(seen.next_offset, |next| i64::try_from(next).unwrap_or(i64::MAX));
            status.at_end = seen.eof_offset >= 0 && seen.eof_offset >= next && seen.fetchq_cnt == 0;
            status.lag_records = match u64::try_from(seen.hi_offset) {
                Ok(_) if status.at_end => Some(0),
                Ok(high) => Some(high.saturating_sub(u64::try_from(next).unwrap_or(0))),
                Err(_) => None,
            };
        }
    }

    /// A copy of what is known of every partition that was ever assigned.
    pub(super) fn partitions(&self) -> Vec<PartitionStatus> {
        self.lock().iter().map(|known| known.status.clone()).collect()
    }

    /// The name of a partition by its index.
    pub(super) fn name(&self, index: u32) -> Option<PartitionName> {
        self.lock().get(index as usize).map(|known| known.status.name.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Known>> {
        self.partitions.lock().expect("no thread panics while it holds the table of partitions")
    }
}

/// Finds or adds a partition and answers where it stands in the table.
fn index_of(partitions: &mut Vec<Known>, name: &PartitionName) -> usize {
    if let Some(index) = partitions.iter().position(|known| known.status.name == *name) {
        return index;
    }
    let status = PartitionStatus {
        index: partitions.len() as u32,
        name: name.clone(),
        assigned: false,
        next_offset: None,
        lag_records: None,
        at_end: false,
    };
    partitions.push(Known { status, since: 0, resume: None });
    partitions.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(partition: i32) -> PartitionName {
        PartitionName { topic: "events".to_owned(), partition }
    }

    fn end(partition: u32, next_offset: u64, generation: u64) -> BatchEnd {
        BatchEnd { partition, next_offset, generation }
    }

    #[test]
    fn a_place_is_committable_only_while_its_partition_has_been_ours_since_it_was_read() {
        let shared = Shared::default();
        shared.assign(&[name(0), name(1)]);
        let first = shared.generation();
        let both = [end(0, 10, first), end(1, 7, first)];
        assert_eq!(shared.committable(&both), [(name(0), 10), (name(1), 7)]);

        shared.revoke(&[name(1)]);
        assert_eq!(shared.committable(&both), [(name(0), 10)], "the other is not touched");

        shared.assign(&[name(1)]);
        assert_eq!(shared.committable(&both), [(name(0), 10)], "it came back, but somebody else may have been there");
        let now = shared.generation();
        assert_eq!(shared.committable(&[end(1, 8, now)]), [(name(1), 8)]);
        assert_eq!(shared.committable(&[end(9, 1, now)]), [], "an index that was never given");
        shared.read(&both);
        assert_eq!(
            shared.committable(&both),
            [(name(0), 10), (name(1), 7)],
            "reading went on behind them: they are ours"
        );
        assert_eq!(shared.committable(&[end(1, 8, first)]), [], "what is read again is committed then");
    }

    #[test]
    fn what_others_may_have_read_meanwhile_is_read_from_the_committed_place() {
        let shared = Shared::of(true);
        shared.assign(&[name(0)]);
        let first = [end(0, 10, shared.generation())];
        shared.read(&first);
        assert_eq!(shared.resume(&name(0)), Some(10));
        shared.revoke(&[name(0)]);
        shared.assign(&[name(0)]);
        assert_eq!(shared.resume(&name(0)), None);
        assert_eq!(shared.committable(&first), [], "somebody else may have committed more");
    }

    #[test]
    fn an_index_stays_with_its_partition() {
        let shared = Shared::default();
        shared.assign(&[name(3), name(1)]);
        assert_eq!((shared.index("events", 3), shared.index("events", 1)), (0, 1));
        shared.revoke(&[name(3), name(1)]);
        shared.assign(&[name(1)]);
        assert_eq!(shared.index("events", 1), 1);
        assert_eq!(shared.index("other", 1), 2);
        assert_eq!(shared.name(0), Some(name(3)));
    }
}
