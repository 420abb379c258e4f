//! The entries of a key in a checkpoint: how many, then each, oldest first.

use super::{Entries, Entry, SPILL_MIN, Spill};
use crate::state::checkpoint::{Broken, ByteReader, ByteWriter};

impl<E: Entry, const N: usize> Entries<E, N> {
    pub(in crate::state) fn store(&self, writer: &mut ByteWriter) {
        let entries = self.as_slice();
        writer.count(entries.len());
        entries.iter().for_each(|entry| entry.store(writer));
    }

    pub(in crate::state) fn restore(reader: &mut ByteReader<'_>) -> Result<Entries<E, N>, Broken> {
        let len = reader.count(E::STORED_BYTES)?;
        let mut last_ms = i64::MIN;
        let mut next = || {
            let entry = E::restore(reader)?;
            if entry.time_ms() < last_ms {
                return Err(Broken("the entries of a key are out of order"));
            }
            last_ms = entry.time_ms();
            Ok(entry)
        };
        if len > N {
            let mut spill = Spill::new(&[], false);
            spill.buffer = vec![E::default(); len.max(SPILL_MIN)].into_boxed_slice();
            for place in 0..len {
                spill.insert_at(place, next()?);
            }
            return Ok(Entries::Many(spill));
        }
        let mut entries = [E::default(); N];
        for place in &mut entries[..len] {
            *place = next()?;
        }
        Ok(Entries::Few { entries, len: len as u8, truncated: false })
    }
}
