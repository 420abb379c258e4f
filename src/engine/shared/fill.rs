//! Records into tables before operations are executed, and out of them again.

use super::records::{HEAD_BYTES, REFERRERS, RecordKind, Records, TOKEN_BYTES, WAITING, order_bytes};
use super::{Applied, Origin, Sharing};
use crate::engine::Engine;
use crate::engine::programs::Programs;
use crate::state::{Broken, ByteReader, ByteWriter, FeatureTable, Op};

/// What brings the windows of keys into tables, and notes which may change.
pub(super) struct Bringer<'a> {
    pub(super) records: &'a mut Records,
    pub(super) changed: &'a mut Vec<(u32, u32)>,
    pub(super) programs: &'a Programs,
    /// By table.
    pub(super) sections: &'a [u32],
    /// The first of the tables that it is told the place of.
    pub(super) first: usize,
    /// By number of an event's id: where the event stands.
    pub(super) origins: &'a [Origin],
    /// What every engine has passed: nothing older is forgotten by a window.
    pub(super) forgotten_ms: i64,
    pub(super) applied: Applied<'a>,
    /// What is wrong with a record.
    pub(super) fault: Option<Broken>,
}

impl Bringer<'_> {
    /// Sees the operations of a table. `offset_ms` is how far its windows are shifted back.
    pub(super) fn bring(&mut self, place: usize, offset_ms: i64, ops: &mut [Op], table: &mut FeatureTable) {
        let reach_ms = table.spec().reach_ms().saturating_add(table.spec().bucket_ms.unwrap_or(0));
        let place = self.first + place;
        for op in ops {
            // Whoever is behind may still see what is older than our own horizon, so it is the lowest that windows go by.
            if op.time_ms < op.horizon_ms {
                (op.time_ms, op.add) = (op.horizon_ms, false);
            }
            op.horizon_ms = op.horizon_ms.min(self.forgotten_ms.saturating_sub(offset_ms));
            if let Err(broken) = self.bring_one(place, reach_ms.saturating_add(offset_ms), op, table) {
                self.fault = Some(broken);
                return;
            }
        }
    }

    fn bring_one(&mut self, place: usize, reach_ms: i64, op: &mut Op, table: &mut FeatureTable) -> Result<(), Broken> {
        let record = self.records.find(RecordKind::Windows, op.key);
        let record = record.ok_or(Broken("the record of a key was not asked for"))?;
        if !table.has(op.key)
            && let Some(window) = self.records.section(record, self.sections[place])?
        {
            let mut reader = ByteReader::new(window);
            table.put_window(op.key, &mut reader)?;
            if !reader.is_empty() {
                return Err(Broken("a window is longer than what is in it"));
            }
        }
        if op.add {
            self.changed.push((record as u32, place as u32));
            self.records.keep_until(record, op.time_ms.saturating_add(reach_ms));
            let origin = self.origins.get(op.id as usize).copied().unwrap_or_default();
            op.again = (self.applied)(self.records.name(record, |of| &self.programs.get(of).name), origin);
        }
        Ok(())
    }
}

impl Engine {
    /// Brings in who invited the accounts of the chunk, and what waits for their referrals. `is_planned` tells of an event by
    /// its hash whether it is planned now: then it comes to wait by that.
    pub(super) fn bring_accounts(&mut self, sharing: &Sharing, is_planned: impl Fn(u64) -> bool) -> Result<(), Broken> {
        let Some(referrers) = self.accounts.referrers_mut() else { return Ok(()) };
        let features = &sharing.terms.sections[..self.tables.len()];
        let place = |number: u32| features.iter().position(|section| *section == number).map(|place| place as u32);
        for record in sharing.records.of_kind(RecordKind::Windows) {
            let account = sharing.records.key(record);
            if let Some(bytes) = sharing.records.section(record, REFERRERS)? {
                referrers.put(account, &mut ByteReader::new(bytes))?;
            }
            if let Some(bytes) = sharing.records.section(record, WAITING)? {
                self.waiting.put(account, place, &mut ByteReader::new(bytes))?;
            }
        }
        self.waiting.drop_events(is_planned);
        Ok(())
    }

    /// Appends what a record of windows is now, under a new token; `None`: it is as it was. `changed` are the tables whose
    /// windows may be others.
    pub(super) fn write_windows(
        &self,
        sharing: &mut Sharing,
        record: usize,
        changed: &[u32],
        token: u64,
        out: &mut Vec<u8>,
    ) -> Result<Option<i64>, Broken> {
        let key = sharing.records.key(record);
        let start = out.len();
        out.extend_from_slice(&[0; HEAD_BYTES]);
        let mut sections = ByteWriter::default();
        let mut window = ByteWriter::default();
        let mut put = |number: u32, bytes: &[u8]| {
            if !bytes.is_empty() {
                sections.count(number as usize);
                sections.bytes(bytes);
            }
        };
        let mut until_ms = i64::MIN;
        let referrers = self.accounts.referrers().filter(|_| record < sharing.accounts_end);
        let knows_accounts = referrers.is_some();
        if let Some(referrers) = referrers {
            until_ms = until_ms.max(referrers.store_account(key, &mut window).unwrap_or(i64::MIN));
            put(REFERRERS, window.as_bytes());
            window.clear();
            let features = &sharing.terms.sections;
            let horizon_ms = sharing.forgotten_ms(self.clock.horizon_ms());
            let waits = self.waiting.store_account(key, horizon_ms, |of| features[of as usize], &mut window);
            until_ms = until_ms.max(waits.unwrap_or(i64::MIN));
            put(WAITING, window.as_bytes());
            window.clear();
        }
        let number = |place: &u32| sharing.terms.sections[*place as usize];
        for section in sharing.records.sections(record) {
            let (found, bytes) = section?;
            let is_written = found <= WAITING && knows_accounts || changed.iter().any(|place| number(place) == found);
            if !is_written {
                put(found, bytes);
            }
        }
        for place in changed {
            let features = self.tables.len();
            let table = match (*place as usize).checked_sub(features) {
                None => &self.tables[*place as usize],
                Some(account) => &self.accounts.tables()[account],
            };
            if table.store_window(key, &mut window) {
                put(number(place), window.as_bytes());
            }
            window.clear();
        }
        sharing.records.keep_until(record, until_ms);
        let held = sharing.records.value(record);
        if held.get(HEAD_BYTES..).unwrap_or_default() == sections.as_bytes() {
            out.truncate(start);
            return Ok(None);
        }
        let until_ms = sharing.records.until_ms(record);
        out[start..start + TOKEN_BYTES].copy_from_slice(&token.to_le_bytes());
        out[start + TOKEN_BYTES..].copy_from_slice(&order_bytes(until_ms));
        out.extend_from_slice(sections.as_bytes());
        Ok(Some(until_ms))
    }
}
