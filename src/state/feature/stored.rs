//! The table of a feature in a checkpoint, whatever its aggregate.

use super::{FeatureTable, Kind};
use crate::state::checkpoint::{Broken, ByteReader, ByteWriter};
use crate::state::cut::Cuttable;
use crate::state::{Aggregate, Number, Reach, WindowSpec};

impl WindowSpec {
    /// Writes what a table's memory depends on: everything but the bound of entries, which may change.
    fn store(&self, writer: &mut ByteWriter) {
        let number = |number: Number| u8::from(number == Number::Double);
        match self.aggregate {
            Aggregate::Count => writer.byte(0),
            Aggregate::Sum(of) => [1, number(of)].iter().for_each(|byte| writer.byte(*byte)),
            Aggregate::Avg(of) => [2, number(of)].iter().for_each(|byte| writer.byte(*byte)),
            Aggregate::Min(of) => [3, number(of)].iter().for_each(|byte| writer.byte(*byte)),
            Aggregate::Max(of) => [4, number(of)].iter().for_each(|byte| writer.byte(*byte)),
            Aggregate::Distinct => writer.byte(5),
            Aggregate::Set => writer.byte(6),
            Aggregate::First => writer.byte(7),
            Aggregate::Last => writer.byte(8),
            Aggregate::Previous => writer.byte(9),
            Aggregate::Rate { limit, per_ms, burst } => {
                writer.byte(10);
                writer.short(limit);
                writer.time(per_ms);
                writer.short(burst);
            }
            Aggregate::Sequence(steps) => {
                writer.byte(11);
                writer.count(steps.mins().len());
                steps.mins().iter().for_each(|min| writer.short(*min));
            }
            Aggregate::Component { generation_ms, hub, lists_members } => {
                writer.byte(12);
                writer.time(generation_ms);
                writer.short(hub);
                writer.byte(u8::from(lists_members));
            }
        }
        match self.reach {
            Reach::Window(ms) => [0, ms].iter().for_each(|word| writer.time(*word)),
            Reach::Retention(ms) => [1, ms].iter().for_each(|word| writer.time(*word)),
        }
        writer.maybe_time(self.bucket_ms);
    }
}

impl FeatureTable {
    /// Writes what the table is and what it refuses; its keys are apart.
    pub fn store_head(&self, writer: &mut ByteWriter) {
        let mut spec = ByteWriter::default();
        self.spec.store(&mut spec);
        writer.bytes(spec.as_bytes());
        each!(&self.kind, table => table.store_head(writer));
    }

    /// Reads what [`FeatureTable::store_head`] wrote into an empty table. `false`: that was a table of something else, and
    /// its keys are not for this one.
    ///
    /// # Errors
    ///
    /// What is impossible.
    pub fn restore_head(&mut self, reader: &mut ByteReader<'_>) -> Result<bool, Broken> {
        let mut spec = ByteWriter::default();
        self.spec.store(&mut spec);
        if reader.bytes()? != spec.as_bytes() {
            return Ok(false);
        }
        each!(&mut self.kind, table => table.restore_head(reader))?;
        Ok(true)
    }

    /// Writes all keys, in segments that begin with a prefix.
    pub fn store_keys(&self, prefix: &[u8], put: &mut dyn FnMut(&[u8])) {
        each!(&self.kind, table => table.store(prefix, put));
    }

    /// Begins to write the keys as they are now, while operations go on; see [`FeatureTable::store_cut`]. A bit a slot is
    /// copied.
    pub fn begin_cut(&mut self, prefix: &[u8]) {
        each!(&mut self.kind, table => table.begin_cut(prefix));
    }

    /// Writes keys as they were when the cut was begun, until the budget is spent, and hands over the segments that are
    /// full. Answers whether that was all: then there is no cut any more.
    pub fn store_cut(&mut self, budget_bytes: &mut usize, put: &mut dyn FnMut(&[u8])) -> bool {
        each!(&mut self.kind, table => table.store_cut(budget_bytes, put))
    }

    /// Gives a cut up.
    pub fn cancel_cut(&mut self) {
        each!(&mut self.kind, table => table.cancel_cut());
    }

    /// Reads keys until the end of a segment of theirs.
    ///
    /// # Errors
    ///
    /// What is impossible.
    pub fn restore_keys(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        each!(&mut self.kind, table => table.restore_keys(reader))
    }

    /// Called once all keys were read: before, the table answers nothing.
    ///
    /// # Errors
    ///
    /// What is impossible.
    pub fn restored(&mut self) -> Result<(), Broken> {
        each!(&mut self.kind, table => table.restored())
    }
}

#[cfg(test)]
#[path = "stored/tests.rs"]
mod tests;
