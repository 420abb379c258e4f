//! Events a second of one sender, by the algorithm of `rate` (see [`super::rate`]) on event time, in order of arrival.

use super::checkpoint::{Broken, ByteReader, ByteWriter};
use super::rate::{Rate, RateRule};
use super::window::Window as _;

/// The period that events are counted against.
const PER_MS: i64 = 1000;

/// Lets so many events a second pass, and so many at once.
#[derive(Debug)]
pub struct Meter {
    rule: RateRule,
    rate: Rate,
}

impl Meter {
    /// A meter that nothing has passed. Both numbers are at least 1.
    pub fn new(events_per_second: u32, burst: u32) -> Meter {
        Meter { rule: RateRule::new(events_per_second, PER_MS, burst), rate: Rate::default() }
    }

    /// The same as it was at first.
    pub fn begun_anew(&self) -> Meter {
        Meter { rule: self.rule, rate: Rate::default() }
    }

    /// Takes an event in: whether it is one too many, and so takes nothing of what others may.
    #[inline]
    pub fn exceeds(&mut self, time_ms: i64) -> bool {
        self.rate.take(&self.rule, time_ms)
    }

    /// Writes how far it is.
    pub fn store(&self, writer: &mut ByteWriter) {
        self.rate.store(writer);
    }

    /// Goes on from where another was that wrote it; what it lets pass is its own.
    ///
    /// # Errors
    ///
    /// What is impossible.
    pub fn restore(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        self.rate = Rate::restore(reader)?;
        Ok(())
    }

    /// Which share of the burst is used up at an instant, 0 to 1.
    pub fn used(&self, time_ms: i64) -> f64 {
        self.rate.used(&self.rule, time_ms)
    }
}
