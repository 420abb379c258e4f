//! `rate`: the generic cell rate algorithm (ITU-T I.371, annex A) on event time, in whole numbers.
//!
//! The algorithm's theoretical arrival time is kept as a debt: how far it lies ahead of the key's clock, in
//! milliseconds times `limit`, so that an event's share of the period, `per / limit`, is a whole number: `per`.

use siphasher::sip128::SipHasher13;

use super::checkpoint::{Broken, ByteReader, ByteWriter};
use super::window::{Answer, Lost, Window, feed};
use super::{Op, Value};

#[derive(Clone, Copy, Debug)]
pub(super) struct RateRule {
    limit: i64,
    per_ms: i64,
    tolerance: i64,
}

impl RateRule {
    pub(super) fn new(limit: u32, per_ms: i64, burst: u32) -> RateRule {
        let (limit, per_ms, burst) = (i64::from(limit.max(1)), per_ms.max(1), i64::from(burst.max(1)));
        RateRule { limit, per_ms, tolerance: per_ms.saturating_mul(burst - 1) }
    }

    /// How long an event is felt at most: until the largest debt is paid.
    pub(super) fn reach_ms(&self) -> i64 {
        self.tolerance.saturating_add(self.per_ms) / self.limit + 1
    }
}

/// The rate of one key.
#[derive(Debug)]
pub(super) struct Rate {
    /// The latest time seen; it never goes back.
    clock_ms: i64,
    debt: i64,
    exceeded: bool,
    truncated: bool,
}

impl Default for Rate {
    fn default() -> Rate {
        Rate { clock_ms: i64::MIN, debt: 0, exceeded: false, truncated: false }
    }
}

impl Rate {
    fn debt_at(&self, rule: &RateRule, time_ms: i64) -> i64 {
        let elapsed_ms = time_ms.saturating_sub(self.clock_ms).max(0);
        self.debt.saturating_sub(elapsed_ms.saturating_mul(rule.limit)).max(0)
    }

    /// Takes an event in: whether it exceeds the rate, and so adds no debt.
    #[inline]
    pub(super) fn take(&mut self, rule: &RateRule, time_ms: i64) -> bool {
        self.debt = self.debt_at(rule, time_ms);
        self.clock_ms = self.clock_ms.max(time_ms);
        self.exceeded = self.debt > rule.tolerance;
        if !self.exceeded {
            self.debt = self.debt.saturating_add(rule.per_ms);
        }
        self.exceeded
    }

    /// Which share of the largest debt there is at an instant, 0 to 1.
    pub(super) fn used(&self, rule: &RateRule, time_ms: i64) -> f64 {
        self.debt_at(rule, time_ms) as f64 / rule.tolerance.saturating_add(rule.per_ms) as f64
    }
}

impl Window for Rate {
    type Rule = RateRule;
    type Summary = ();
    const ENTRY_BYTES: usize = 0;
    const KNOWS_EVENTS: bool = false;

    fn nothing(_rule: &RateRule) -> Value {
        Value::Flag(false)
    }

    #[inline]
    fn add(&mut self, rule: &RateRule, op: &Op, _id: &[u8; 16]) {
        self.take(rule, op.time_ms);
    }

    fn has_room(&mut self, _rule: &RateRule, _horizon_ms: i64, _few: usize) -> bool {
        true
    }

    fn overflows(&self, _rule: &RateRule) -> bool {
        false
    }

    fn summarise(&mut self, _rule: &RateRule, _op: &Op, _summary: &mut ()) -> Option<i64> {
        None
    }

    /// At another key: whether an event there would exceed the rate.
    #[inline]
    fn read(&mut self, rule: &RateRule, op: &Op, lost: Lost<'_, ()>, _members: &mut Vec<u64>) -> Answer {
        let debt = self.debt_at(rule, op.time_ms);
        let exceeded = if op.add { self.exceeded } else { debt > rule.tolerance };
        Answer::new(Value::Flag(exceeded), op.add || debt > 0, lost.newest_ms, op.time_ms, rule.reach_ms())
    }

    fn is_settled(&self, _rule: &RateRule, horizon_ms: i64) -> bool {
        self.clock_ms > horizon_ms
    }

    fn expire(&mut self, rule: &RateRule, horizon_ms: i64) -> bool {
        self.clock_ms <= horizon_ms && self.debt_at(rule, horizon_ms) == 0
    }

    fn is_truncated(&self) -> bool {
        self.truncated
    }

    fn set_truncated(&mut self, truncated: bool) {
        self.truncated = truncated;
    }

    fn store(&self, writer: &mut ByteWriter) {
        writer.time(self.clock_ms);
        writer.time(self.debt);
        writer.byte(u8::from(self.exceeded));
    }

    fn restore(reader: &mut ByteReader<'_>) -> Result<Rate, Broken> {
        Ok(Rate { clock_ms: reader.time()?, debt: reader.time()?, exceeded: reader.flag()?, truncated: false })
    }

    fn digest(&self, hasher: &mut SipHasher13) {
        feed(hasher, self.clock_ms as u64);
        feed(hasher, self.debt as u64);
    }
}
