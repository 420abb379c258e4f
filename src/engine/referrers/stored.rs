//! Referrers in a checkpoint: one record an account, in the order of keys.

use super::{RECORD_BYTES, Record, Referral, Referrers};
use crate::state::{Broken, ByteReader, ByteWriter, Segments};

impl Referrers {
    pub(in crate::engine) fn store_head(&self, writer: &mut ByteWriter) {
        writer.time(self.retention_ms);
    }

    /// Whether what was kept goes by the same retention.
    pub(in crate::engine) fn restore_head(&self, reader: &mut ByteReader<'_>) -> Result<bool, Broken> {
        Ok(reader.time()? == self.retention_ms)
    }

    pub(in crate::engine) fn store_records(&self, segments: &mut Segments<'_>) {
        for (account, record) in &self.records {
            let writer = segments.item();
            writer.key(*account);
            writer.time(record.last_ms);
            writer.count(record.referrals.len());
            for referral in &record.referrals {
                writer.time(referral.time_ms);
                writer.time(referral.last_ms);
                writer.text(&referral.referrer);
            }
        }
    }

    pub(in crate::engine) fn restore_records(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        while !reader.is_empty() {
            let (account, last_ms) = (reader.key()?, reader.time()?);
            let count = reader.count(17)?;
            let mut referrals: Vec<Referral> = Vec::with_capacity(count);
            for _ in 0..count {
                let (time_ms, last_ms, referrer) = (reader.time()?, reader.time()?, reader.text()?.into());
                if referrals.last().is_some_and(|last| last.time_ms >= time_ms) {
                    return Err(Broken("the referrals of an account are out of order"));
                }
                referrals.push(Referral { time_ms, last_ms, referrer });
            }
            self.bytes += RECORD_BYTES + referrals.iter().map(Referral::bytes).sum::<usize>();
            // An earlier place in the queue would be found too early, and put back to here.
            self.ends.insert((last_ms, account));
            if self.records.insert(account, Record { last_ms, referrals }).is_some() {
                return Err(Broken("the referrals of an account stand there twice"));
            }
        }
        Ok(())
    }
}
