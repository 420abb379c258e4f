//! The table of a feature in a checkpoint, whatever its aggregate.

use super::{FeatureTable, Kind};
use crate::state::checkpoint::{Broken, ByteReader, ByteWriter};
use crate::state::cut::Cuttable;
use crate::state::{Aggregate, KeyHash, Number, Reach, Steps, WindowSpec};

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

    /// Reads what [`WindowSpec::store`] wrote. The bound of entries is the default one.
    fn restore(reader: &mut ByteReader<'_>) -> Result<WindowSpec, Broken> {
        let aggregate = restore_aggregate(reader)?;
        let word = reader.time()?;
        let reach = match word {
            0 => Reach::Window(reader.time()?),
            1 => Reach::Retention(reader.time()?),
            _ => return Err(Broken("a window of no known kind")),
        };
        Ok(WindowSpec { bucket_ms: reader.maybe_time()?, ..WindowSpec::new(aggregate, reach) })
    }
}

fn restore_aggregate(reader: &mut ByteReader<'_>) -> Result<Aggregate, Broken> {
    let number =
        |reader: &mut ByteReader<'_>| reader.flag().map(|double| if double { Number::Double } else { Number::Int });
    Ok(match reader.byte()? {
        0 => Aggregate::Count,
        1 => Aggregate::Sum(number(reader)?),
        2 => Aggregate::Avg(number(reader)?),
        3 => Aggregate::Min(number(reader)?),
        4 => Aggregate::Max(number(reader)?),
        5 => Aggregate::Distinct,
        6 => Aggregate::Set,
        7 => Aggregate::First,
        8 => Aggregate::Last,
        9 => Aggregate::Previous,
        10 => Aggregate::Rate { limit: reader.short()?, per_ms: reader.time()?, burst: reader.short()? },
        11 => {
            let mins = (0..reader.count(4)?).map(|_| reader.short()).collect::<Result<Vec<u32>, Broken>>()?;
            if mins.len() > Steps::MAX {
                return Err(Broken("a sequence has more steps than can be"));
            }
            Aggregate::Sequence(Steps::new(mins))
        }
        12 => {
            Aggregate::Component { generation_ms: reader.time()?, hub: reader.short()?, lists_members: reader.flag()? }
        }
        _ => return Err(Broken("an aggregate of no known kind")),
    })
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

    /// The empty table that [`FeatureTable::store_head`] wrote, whatever it was of: to look at its keys without the rules.
    ///
    /// # Errors
    ///
    /// What is impossible.
    pub fn of_head(reader: &mut ByteReader<'_>) -> Result<FeatureTable, Broken> {
        let mut spec = ByteReader::new(reader.bytes()?);
        let mut table = FeatureTable::new(WindowSpec::restore(&mut spec)?);
        if !spec.is_empty() {
            return Err(Broken("something follows the definition of a table"));
        }
        each!(&mut table.kind, of => of.restore_head(reader))?;
        Ok(table)
    }

    /// Reads keys until the end of a segment of theirs, and keeps none of them; a component keeps its nodes, which name each
    /// other. Answers how many they were.
    ///
    /// # Errors
    ///
    /// What is impossible of a key alone.
    pub fn skim_keys(&mut self, reader: &mut ByteReader<'_>) -> Result<usize, Broken> {
        each!(&mut self.kind, table => table.skim_keys(reader))
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

    /// Forgets all keys, as a new table does; what it refuses stays. A component cannot: it is no table of keys.
    pub fn clear(&mut self) {
        each_window!(&mut self.kind, table => table.clear(), ());
    }

    /// Forgets a key, as if it had never come. A component cannot: its nodes are each other's.
    pub fn forget(&mut self, key: KeyHash) {
        each_window!(&mut self.kind, table => table.forget(key), ());
    }

    /// Whether a key is remembered.
    pub fn has(&self, key: KeyHash) -> bool {
        each_window!(&self.kind, table => table.has(key), false)
    }

    /// Puts a key in that is not there, with the window that [`FeatureTable::store_window`] wrote.
    ///
    /// # Errors
    ///
    /// What is impossible; a component has no windows.
    pub fn put_window(&mut self, key: KeyHash, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        each_window!(&mut self.kind, table => table.put_window(key, reader), Err(Broken("a component has no windows")))
    }

    /// Writes the window of a key, without the key; `false`: nothing is remembered of it.
    pub fn store_window(&self, key: KeyHash, writer: &mut ByteWriter) -> bool {
        each_window!(&self.kind, table => table.store_window(key, writer), false)
    }

    /// What a table must be to hold the same windows, as bytes.
    pub fn definition(&self) -> Vec<u8> {
        let mut spec = ByteWriter::default();
        self.spec.store(&mut spec);
        spec.into_bytes()
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
