//! Referrers in a checkpoint: one record an account; they may come in any order.

use super::{RECORD_BYTES, Record, Referral, Referrers};
use crate::state::{Broken, ByteReader, ByteWriter, KeyHash, OrderedCut, Segments};

/// A cut through the accounts.
#[derive(Debug)]
pub(super) struct ReferrersCut {
    accounts: OrderedCut<KeyHash>,
    segments: Segments,
}

impl ReferrersCut {
    fn new(prefix: &[u8]) -> ReferrersCut {
        ReferrersCut { accounts: OrderedCut::default(), segments: Segments::new(prefix) }
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

    /// Writes all of them, in segments that begin with a prefix.
    pub(in crate::engine) fn store_records(&self, prefix: &[u8], put: &mut dyn FnMut(&[u8])) {
        self.walk(&mut ReferrersCut::new(prefix), &mut usize::MAX.clone(), put);
    }

    /// Begins to write those that there are now, while they change.
    pub(in crate::engine) fn begin_cut(&mut self, prefix: &[u8]) {
        self.cut = Some(Box::new(ReferrersCut::new(prefix)));
    }

    /// Writes accounts of the cut, until the budget is spent; whether that was all: then there is no cut any more.
    pub(in crate::engine) fn store_cut(&mut self, budget_bytes: &mut usize, put: &mut dyn FnMut(&[u8])) -> bool {
        let Some(mut cut) = self.cut.take() else { return true };
        let is_all = self.walk(&mut cut, budget_bytes, put);
        if !is_all {
            self.cut = Some(cut);
        }
        is_all
    }

    /// Gives a cut up.
    pub(in crate::engine) fn cancel_cut(&mut self) {
        self.cut = None;
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
