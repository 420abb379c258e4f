//! The table of one feature, whatever its aggregate.

use super::{Op, Reading, Readings, WindowSpec};

/// Everything that one feature remembers.
#[derive(Debug)]
pub struct FeatureTable {
    spec: WindowSpec,
}

impl FeatureTable {
    /// An empty table.
    pub fn new(spec: WindowSpec) -> FeatureTable {
        FeatureTable { spec }
    }

    /// The definition.
    pub fn spec(&self) -> &WindowSpec {
        &self.spec
    }

    /// Executes operations in order and appends one reading each. How they are cut into calls does not matter.
    /// `ids` are the first 16 bytes of the events' ids (zero-padded), by [`Op::id`]; only sums and means of doubles read
    /// them, others take `&[]`.
    pub fn apply(&mut self, _ops: &[Op], _ids: &[[u8; 16]], _out: &mut Readings) {
        unimplemented!()
    }

    /// What a key without events reads: for an event whose key has an empty part.
    pub fn nothing(&self) -> Reading {
        unimplemented!()
    }

    /// Looks at the next `budget_slots` slots, in a cycle, and drops what no reading at or after `horizon_ms` can see:
    /// idle keys, and the memory of windows that shrank. Invisible in readings.
    pub fn sweep(&mut self, _horizon_ms: i64, _budget_slots: usize) {
        unimplemented!()
    }

    /// How many keys are remembered.
    pub fn keys(&self) -> usize {
        unimplemented!()
    }

    /// Memory in bytes, everything counted: a function of the operations and sweeps, cheap to ask.
    pub fn bytes(&self) -> usize {
        unimplemented!()
    }

    /// How many keys lost entries to `max_entries` and are not exact until those would have left anyway.
    pub fn truncated_keys(&self) -> usize {
        unimplemented!()
    }

    /// Whether new keys are refused.
    pub fn is_saturated(&self) -> bool {
        unimplemented!()
    }

    /// Refuses new keys, or accepts them again. An event refused at a key reads as nothing, and not exact.
    pub fn set_saturated(&mut self, _saturated: bool) {
        unimplemented!()
    }

    /// Hash of all keys and windows, whatever their place in memory; reads the whole table.
    pub fn digest(&self) -> u64 {
        unimplemented!()
    }
}
