//! What waits, in a checkpoint: one record each, in the order of arrival.

use super::{Late, Waiting};
use crate::engine::plan::FirstPart;
use crate::ruleset::program::KEY_PARTS_MAX;
use crate::state::{Broken, ByteReader, PartHash, Segments};

impl Waiting {
    pub(in crate::engine) fn store(&self, segments: &mut Segments) {
        for record in &self.records {
            let Some(late) = &record.late else { continue };
            let writer = segments.item();
            writer.key(record.account);
            writer.count(late.feature as usize);
            late.first.store(writer);
            writer.count(late.others.len());
            late.others.iter().for_each(|part| writer.wide(part.bits()));
            writer.byte(late.place);
            writer.time(late.time_ms);
            writer.word(late.event);
            writer.word(late.value);
            writer.wide(u128::from_le_bytes(late.id));
        }
    }

    /// `place` is by feature as it was written where it is now; what waits for one that is gone is passed over.
    pub(in crate::engine) fn restore(
        &mut self,
        place: impl Fn(u32) -> Option<u32>,
        reader: &mut ByteReader<'_>,
    ) -> Result<(), Broken> {
        while !reader.is_empty() {
            let account = reader.key()?;
            let feature = reader.count(0)?;
            let first = FirstPart::restore(reader)?;
            let others = (0..reader.count(16)?).map(|_| Ok(PartHash::from_bits(reader.wide()?)));
            let others: Box<[PartHash]> = others.collect::<Result<_, Broken>>()?;
            let place_in_key = reader.byte()?;
            if usize::from(place_in_key) > others.len() || others.len() >= KEY_PARTS_MAX {
                return Err(Broken("what waits lacks a part that its key does not have"));
            }
            let late = Late {
                feature: 0,
                first,
                others,
                place: place_in_key,
                time_ms: reader.time()?,
                event: reader.word()?,
                value: reader.word()?,
                id: reader.wide()?.to_le_bytes(),
            };
            let feature = u32::try_from(feature).ok().and_then(&place);
            if let Some(feature) = feature {
                self.push(account, Late { feature, ..late });
            }
        }
        Ok(())
    }
}
