//! Referrers in a checkpoint: one record an account; they may come in any order.

use super::{RECORD_BYTES, Record, Referral, Referrers};
use crate::state::{Broken, ByteReader, ByteWriter, Cuttable, KeyHash, OrderedCut, Segments};

/// A cut through the accounts.
#[derive(Debug)]
pub(crate) struct ReferrersCut {
    accounts: OrderedCut<KeyHash>,
    segments: Segments,
}

impl Cuttable for Referrers {
    type Cut = ReferrersCut;

    fn new_cut(&self, prefix: &[u8]) -> ReferrersCut {
        ReferrersCut { accounts: OrderedCut::default(), segments: Segments::new(prefix) }
    }

    fn cut_mut(&mut self) -> &mut Option<Box<ReferrersCut>> {
        &mut self.cut
    }

    fn walk(&self, cut: &mut ReferrersCut, budget_bytes: &mut usize, put: &mut dyn FnMut(&[u8])) -> bool {
        let ReferrersCut { accounts, segments } = cut;
        let start = segments.bytes();
        for (account, record) in self.records.range(accounts.rest()) {
            if segments.bytes() - start >= *budget_bytes {
                *budget_bytes = 0;
                segments.hand_over(put);
                return false;
            }
            if accounts.walk(*account) {
                store_record(*account, record, segments.item());
            }
        }
        *budget_bytes = budget_bytes.saturating_sub(segments.bytes() - start);
        segments.finish(put);
        true
    }
}

impl Referrers {
    pub(in crate::engine) fn store_head(&self, writer: &mut ByteWriter) {
        writer.time(self.retention_ms);
    }

    /// Whether what was kept goes by the same retention.
    pub(in crate::engine) fn restore_head(&self, reader: &mut ByteReader<'_>) -> Result<bool, Broken> {
        Ok(reader.time()? == self.retention_ms)
    }

    /// Writes an account as it is before it changes, if the cut has yet to.
    pub(super) fn keep(&mut self, account: KeyHash) {
        if let Some(cut) = &mut self.cut
            && cut.accounts.take(account)
            && let Some(record) = self.records.get(&account)
        {
            store_record(account, record, cut.segments.item());
        }
    }

    pub(in crate::engine) fn restore_records(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        while !reader.is_empty() {
            let account = reader.key()?;
            self.put(account, reader)?;
        }
        Ok(())
    }

    /// Puts in an account that is not there, with what [`Referrers::store_account`] wrote.
    pub(in crate::engine) fn put(&mut self, account: KeyHash, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        let last_ms = reader.time()?;
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
        match self.records.insert(account, Record { last_ms, referrals }) {
            None => Ok(()),
            Some(_) => Err(Broken("the referrals of an account stand there twice")),
        }
    }

    /// Writes what is known of an account, without its key, and answers how long that can be seen; `None`: nothing is.
    pub(in crate::engine) fn store_account(&self, account: KeyHash, writer: &mut ByteWriter) -> Option<i64> {
        let record = self.records.get(&account)?;
        store_referrals(record, writer);
        Some(record.last_ms.saturating_add(self.retention_ms))
    }

    /// Forgets all accounts.
    pub(in crate::engine) fn clear(&mut self) {
        self.records.clear();
        self.ends.clear();
        self.bytes = 0;
    }
}

fn store_record(account: KeyHash, record: &Record, writer: &mut ByteWriter) {
    writer.key(account);
    store_referrals(record, writer);
}

fn store_referrals(record: &Record, writer: &mut ByteWriter) {
    writer.time(record.last_ms);
    writer.count(record.referrals.len());
    for referral in &record.referrals {
        writer.time(referral.time_ms);
        writer.time(referral.last_ms);
        writer.text(&referral.referrer);
    }
}
