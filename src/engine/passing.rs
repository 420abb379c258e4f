//! Event time as it passes: partitions that hold it back, ticks that release them, and what it ends.
//!
//! Time is looked at at fixed places of the log: behind every so many events, after ticks, before acts. So what it ends, and what is
//! said of that, does not depend on batches. May import what the machine is made of.

use super::corrections::Change;
use super::judgement::{Judgements, TimePassed};
use super::machine::Engine;

impl Engine {
    /// A partition comes into use: it holds the watermark back until it shows an event or a tick releases it.
    pub fn assign(&mut self, partition: u32) {
        self.clock.assign(partition);
    }

    /// A partition goes out of use.
    pub fn revoke(&mut self, partition: u32) {
        self.clock.revoke(partition);
    }

    /// All partitions go out of use: they are those of sources that another process read.
    pub fn revoke_all(&mut self) {
        self.clock.revoke_all();
    }

    /// A partition was read to its end at this reading of the clock.
    pub fn tick(&mut self, partition: u32, clock_ms: i64) {
        self.clock.tick(partition, clock_ms);
    }

    /// Notes how far event time has come, after the events that were judged: at fixed places while events come, and for
    /// who calls this where a tick stood in the log.
    pub fn note_time(&self, out: &mut Judgements) {
        if let Some(watermark_ms) = self.clock.watermark_ms() {
            let events = out.events.len() as u32;
            out.times.push(TimePassed { events, watermark_ms, horizon_ms: self.clock.horizon_ms() });
        }
    }

    /// Tells what has become of decisions.
    pub(super) fn tell_decisions(&mut self, at_ms: i64, out: &mut Judgements) {
        if self.decisions.is_touched() {
            self.decisions.tell(at_ms, out);
        }
    }

    /// Ends what ends by the event time that is known: after a tick, before an act, and at fixed places while events come.
    pub fn pass_time(&mut self, out: &mut Judgements) {
        let Some(watermark_ms) = self.clock.watermark_ms() else { return };
        let (before_ms, ending) = self.decisions.overrides_ending(watermark_ms);
        let reached = self.reached(&ending, before_ms);
        self.decisions.pass_time(watermark_ms);
        if !reached.is_empty() {
            let cause = watermark_ms.to_string();
            let change = Change { why: "override.expired", cause: &cause, at_ms: watermark_ms };
            self.say_corrected(&reached, watermark_ms, change, out);
        }
        self.tell_decisions(watermark_ms, out);
    }
}
