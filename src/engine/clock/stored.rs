//! Event time in a checkpoint.

use super::Clock;
use crate::state::{Broken, ByteReader, ByteWriter};

/// More partitions than any source has.
const PARTITIONS_MAX: usize = 1 << 20;

impl Clock {
    pub(in crate::engine) fn store(&self, writer: &mut ByteWriter) {
        writer.time(self.watermark_ms);
        writer.time(self.latest_ms);
        writer.count(self.newest_ms.len());
        self.newest_ms.iter().for_each(|newest_ms| writer.maybe_time(*newest_ms));
    }

    pub(in crate::engine) fn restore(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        self.watermark_ms = reader.time()?;
        self.latest_ms = reader.time()?;
        let partitions = reader.count(1)?;
        if partitions > PARTITIONS_MAX {
            return Err(Broken("there are more partitions than can be"));
        }
        for _ in 0..partitions {
            self.newest_ms.push(reader.maybe_time()?);
        }
        Ok(())
    }
}
