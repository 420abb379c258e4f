//! `sequence`: how many of its steps happened in their order.
//!
//! An event is kept with the set of steps that it can be. A reading goes through the window once, oldest first, and takes
//! each event for the step that is due if it can be that; a step is done when enough events were taken for it. To take
//! the earliest that fits is never worse than to wait. Events of one time are taken in the order of the first step that
//! they can be, those that can be little else first; so the order of arrival does not matter.

use siphasher::sip128::SipHasher13;

use super::checkpoint::{Broken, ByteReader, ByteWriter};
use super::entries::{Entries, Entry};
use super::spec::Steps;
use super::timed::{Fold, Rule, Timed};
use super::window::{Answer, Lost, feed};
use super::{Op, Value};

/// `sequence`.
pub(super) type Sequence = Timed<Stepping, Stepped, 1>;

/// An event with the steps that it can be, a bit each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stepped {
    time_ms: i64,
    event: u64,
    steps: u32,
}

impl Entry for Stepped {
    type Order = (i64, u32, u32, u64);
    type Weight = ();

    fn time_ms(&self) -> i64 {
        self.time_ms
    }

    fn order(&self) -> (i64, u32, u32, u64) {
        (self.time_ms, self.steps.trailing_zeros(), self.steps, self.event)
    }

    fn weight(&self) {}

    fn digest(&self, hasher: &mut SipHasher13) {
        feed(hasher, self.time_ms as u64);
        feed(hasher, self.event);
        feed(hasher, u64::from(self.steps));
    }

    const STORED_BYTES: usize = 20;

    fn store(&self, writer: &mut ByteWriter) {
        writer.time(self.time_ms);
        writer.word(self.event);
        writer.short(self.steps);
    }

    fn restore(reader: &mut ByteReader<'_>) -> Result<Stepped, Broken> {
        Ok(Stepped { time_ms: reader.time()?, event: reader.word()?, steps: reader.short()? })
    }
}

#[derive(Debug)]
pub(super) struct Stepping;

impl Fold<Stepped, 1> for Stepping {
    type Kind = Steps;
    type Summary = ();

    fn nothing(_steps: Steps) -> Value {
        Value::Int(0)
    }

    #[inline]
    fn entry(op: &Op, _id: &[u8; 16], _steps: &Steps) -> Stepped {
        Stepped { time_ms: op.time_ms, event: op.event, steps: op.value as u32 }
    }

    fn read(entries: &mut Entries<Stepped, 1>, rule: &Rule<Steps>, op: &Op, lost: Lost<'_, ()>) -> Answer {
        let (range, _) = entries.window(op.time_ms, rule.reach_ms);
        let known = !range.is_empty();
        let (mut done, mut taken) = (0, 0);
        for entry in &entries.as_slice()[range] {
            let Some(min) = rule.kind.mins().get(done) else { break };
            if entry.steps >> done & 1 == 1 {
                taken += 1;
                if taken >= *min {
                    (done, taken) = (done + 1, 0);
                }
            }
        }
        Answer::new(Value::Int(done as i64), known, lost.newest_ms, op.time_ms, rule.reach_ms)
    }
}
