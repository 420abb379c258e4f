//! What waits, in a checkpoint: one record each, in the order of arrival.

use super::{Late, Waiting};
use crate::engine::plan::FirstPart;
use crate::ruleset::program::KEY_PARTS_MAX;
use crate::state::{Broken, ByteReader, ByteWriter, KeyHash, PartHash, Segments};

impl Waiting {
    pub(in crate::engine) fn store(&self, segments: &mut Segments) {
        for record in &self.records {
            let Some(late) = &record.late else { continue };
            let writer = segments.item();
            writer.key(record.account);
            store_late(late, late.feature, writer);
        }
    }

    /// Writes those of an account that the horizon has not passed, without its key, and answers how long the last can wait;
    /// `None`: there are none. `number` is by feature what it is called.
    pub(in crate::engine) fn store_account(
        &self,
        account: KeyHash,
        horizon_ms: i64,
        number: impl Fn(u32) -> u32,
        writer: &mut ByteWriter,
    ) -> Option<i64> {
        if !self.chains.contains_key(&account) {
            return None;
        }
        let of_account = self.records.iter().filter(|record| record.account == account);
        let waits = of_account.filter_map(|record| record.late.as_ref()).filter(|late| late.time_ms >= horizon_ms);
        waits.fold(None, |last_ms, late| {
            store_late(late, number(late.feature), writer);
            last_ms.max(Some(late.time_ms))
        })
    }

    /// Lets those of an account wait that [`Waiting::store_account`] wrote.
    pub(in crate::engine) fn put(
        &mut self,
        account: KeyHash,
        place: impl Fn(u32) -> Option<u32>,
        reader: &mut ByteReader<'_>,
    ) -> Result<(), Broken> {
        while !reader.is_empty() {
            self.restore_late(account, &place, reader)?;
        }
        Ok(())
    }

    /// Events do not wait by what was read, where this is so of their hash.
    pub(in crate::engine) fn drop_events(&mut self, is_dropped: impl Fn(u64) -> bool) {
        let waits = |late: &mut Late| is_dropped(late.event);
        self.records.iter_mut().for_each(|record| drop(record.late.take_if(waits)));
    }

    /// Nobody waits any more.
    pub(in crate::engine) fn clear(&mut self) {
        self.records.clear();
        self.chains.clear();
    }

    /// `place` is by feature as it was written where it is now; what waits for one that is gone is passed over.
    pub(in crate::engine) fn restore(
        &mut self,
        place: impl Fn(u32) -> Option<u32>,
        reader: &mut ByteReader<'_>,
    ) -> Result<(), Broken> {
        while !reader.is_empty() {
            let account = reader.key()?;
            self.restore_late(account, &place, reader)?;
        }
        Ok(())
    }

    fn restore_late(
        &mut self,
        account: KeyHash,
        place: &impl Fn(u32) -> Option<u32>,
        reader: &mut ByteReader<'_>,
    ) -> Result<(), Broken> {
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
        let feature = u32::try_from(feature).ok().and_then(place);
        if let Some(feature) = feature {
            self.push(account, Late { feature, ..late });
        }
        Ok(())
    }
}

fn store_late(late: &Late, feature: u32, writer: &mut ByteWriter) {
    writer.count(feature as usize);
    late.first.store(writer);
    writer.count(late.others.len());
    late.others.iter().for_each(|part| writer.wide(part.bits()));
    writer.byte(late.place);
    writer.time(late.time_ms);
    writer.word(late.event);
    writer.word(late.value);
    writer.wide(u128::from_le_bytes(late.id));
}
