//! Event time: what the sources have shown, and the watermark that follows from it.
//!
//! Pure arithmetic over positions in the log; no wall clock. Invariant: the watermark never goes back, so a horizon
//! that was handed to the state stays a promise.

mod stored;

/// The newest event time of each source partition in use, and the lowest of them.
///
/// An event that is older than the watermark by more than the allowed lateness is *late*: it is judged and feeds
/// nothing. A tick says that a partition has been read to its end at a clock reading: it has nothing older to show.
#[derive(Clone, Debug)]
pub struct Clock {
    /// By partition index; `None` for one that is not in use.
    newest_ms: Vec<Option<i64>>,
    watermark_ms: i64,
    /// The newest event time of any partition, in use or not.
    latest_ms: i64,
    allowed_lateness_ms: i64,
    /// The lowest newest event time of the partitions that others read; `None`: there are none.
    elsewhere_ms: Option<i64>,
}

/// What the clock says of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Lowest newest event time over the partitions, this event included.
    pub watermark_ms: i64,
    /// No event with an earlier time will feed or read a window from here on: watermark less allowed lateness.
    pub horizon_ms: i64,
    /// The event is older than the horizon.
    pub late: bool,
}

impl Clock {
    /// A clock that has seen nothing.
    pub fn new(allowed_lateness_ms: i64) -> Clock {
        Clock {
            newest_ms: Vec::new(),
            watermark_ms: i64::MIN,
            latest_ms: i64::MIN,
            allowed_lateness_ms,
            elsewhere_ms: None,
        }
    }

    /// A clock that has seen nothing, with the same allowance.
    pub(super) fn begun_anew(&self) -> Clock {
        Clock::new(self.allowed_lateness_ms)
    }

    /// Takes a partition into use before it has shown an event: it holds the watermark back until it shows one or a
    /// tick releases it.
    pub fn assign(&mut self, partition: u32) {
        self.slot(partition).get_or_insert(i64::MIN);
    }

    /// Takes a partition into use that has shown this event time to who read it before.
    pub fn resume(&mut self, partition: u32, newest_ms: i64) {
        self.latest_ms = self.latest_ms.max(newest_ms);
        let newest = self.slot(partition).get_or_insert(newest_ms);
        *newest = newest_ms.max(*newest);
        self.advance();
    }

    /// Sets the lowest newest event time of the partitions that others read: they hold the watermark back too. What is a
    /// little old holds it back a little longer. The watermark of another is ours too: it never goes back.
    pub fn read_elsewhere(&mut self, newest_ms: Option<i64>, watermark_ms: Option<i64>) {
        self.elsewhere_ms = newest_ms;
        self.watermark_ms = self.watermark_ms.max(watermark_ms.unwrap_or(i64::MIN));
        self.advance();
    }

    /// How far behind the watermark an event still counts.
    pub fn allowed_lateness_ms(&self) -> i64 {
        self.allowed_lateness_ms
    }

    /// The newest event time that a partition in use has shown; `None`: it is not in use, or has shown nothing.
    pub fn newest_ms(&self, partition: u32) -> Option<i64> {
        self.newest_ms.get(partition as usize).copied().flatten().filter(|newest| *newest != i64::MIN)
    }

    /// Takes a partition out of use, such as one that another member of the group reads now.
    pub fn revoke(&mut self, partition: u32) {
        *self.slot(partition) = None;
        self.advance();
    }

    /// Takes every partition out of use: those of sources that another process read.
    pub fn revoke_all(&mut self) {
        self.newest_ms.clear();
    }

    /// An event of a partition arrives.
    #[inline]
    pub fn observe(&mut self, partition: u32, event_time_ms: i64) -> Moment {
        self.latest_ms = self.latest_ms.max(event_time_ms);
        let newest = self.slot(partition);
        if newest.is_none_or(|newest| newest < event_time_ms) {
            *newest = Some(event_time_ms);
            self.advance();
        }
        let horizon_ms = self.horizon_ms();
        Moment { watermark_ms: self.watermark_ms, horizon_ms, late: event_time_ms < horizon_ms }
    }

    /// A partition was read to its end at this clock reading.
    pub fn tick(&mut self, partition: u32, clock_ms: i64) {
        let newest = self.slot(partition);
        if newest.is_some_and(|newest| newest < clock_ms) {
            *newest = Some(clock_ms);
            self.advance();
        }
    }

    /// Lowest newest event time over the partitions in use; `None` before every one has shown an event.
    pub fn watermark_ms(&self) -> Option<i64> {
        (self.watermark_ms != i64::MIN).then_some(self.watermark_ms)
    }

    /// The newest event time that was shown at all; `None` before the first event.
    pub fn latest_ms(&self) -> Option<i64> {
        (self.latest_ms != i64::MIN).then_some(self.latest_ms)
    }

    /// Watermark less allowed lateness.
    pub fn horizon_ms(&self) -> i64 {
        self.watermark_ms.saturating_sub(self.allowed_lateness_ms)
    }

    /// Milliseconds between the newest and the oldest partition in use; 0 with fewer than two.
    pub fn skew_ms(&self) -> i64 {
        let shown = || self.newest_ms.iter().flatten().copied().filter(|newest| *newest != i64::MIN);
        shown().max().unwrap_or(0) - shown().min().unwrap_or(0)
    }

    fn slot(&mut self, partition: u32) -> &mut Option<i64> {
        let index = partition as usize;
        if index >= self.newest_ms.len() {
            self.newest_ms.resize(index + 1, None);
        }
        &mut self.newest_ms[index]
    }

    fn advance(&mut self) {
        if let Some(lowest) = self.newest_ms.iter().flatten().chain(&self.elsewhere_ms).min() {
            self.watermark_ms = self.watermark_ms.max(*lowest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn the_watermark_is_the_lowest_of_the_newest() {
        let mut clock = Clock::new(HOUR_MS);
        clock.assign(0);
        clock.assign(1);
        assert_eq!(clock.observe(0, 10 * HOUR_MS).watermark_ms, i64::MIN, "partition 1 has shown nothing");
        assert_eq!(clock.observe(1, 4 * HOUR_MS).watermark_ms, 4 * HOUR_MS);
        assert_eq!(clock.skew_ms(), 6 * HOUR_MS);
        let moment = clock.observe(0, 3 * HOUR_MS);
        assert!(!moment.late, "exactly the allowed lateness is not late");
        assert!(clock.observe(0, 3 * HOUR_MS - 1).late);
    }

    #[test]
    fn a_tick_releases_a_quiet_partition_and_a_revoked_one_no_longer_counts() {
        let mut clock = Clock::new(0);
        clock.observe(0, 100);
        clock.assign(1);
        clock.observe(0, 200);
        assert_eq!(clock.watermark_ms(), Some(100), "a new partition never takes the watermark back");
        clock.tick(1, 150);
        assert_eq!(clock.watermark_ms(), Some(150));
        clock.revoke(1);
        assert_eq!(clock.watermark_ms(), Some(200));
        clock.tick(2, 500);
        assert_eq!(clock.watermark_ms(), Some(200), "a tick does not take a partition into use");
    }
}
