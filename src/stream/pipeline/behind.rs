//! Places are committed once their outputs are safe: nothing is lost, and after a crash some outputs come twice.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::keep::Kept;
use super::work::Work;
use super::writer::{Committers, Sinks, write};
use crate::stream::journal::{Entry, Journal};
use crate::stream::{Mark, StreamError, Unsettled};

/// Outputs that are not safe, and the places that wait for them.
pub(super) struct Behind {
    committers: Committers,
    unsettled: Vec<Unsettled>,
    pub(super) journal: Option<Arc<Journal>>,
    kept: Arc<Kept>,
    /// The marks of works that are not safe, and the numbers of the entries behind theirs.
    settling: VecDeque<(Vec<Mark>, u64)>,
    /// Whether lines are among the inputs: what is out of them stands in the journal.
    has_lines: bool,
}

impl Behind {
    pub(super) fn new(committers: Committers, keeping: Option<(Option<Arc<Journal>>, Arc<Kept>)>) -> Behind {
        let (journal, kept) = keeping.unzip();
        let journal = journal.flatten();
        Behind {
            unsettled: committers.iter().map(|_| Unsettled::default()).collect(),
            journal,
            kept: kept.unwrap_or_default(),
            settling: VecDeque::new(),
            has_lines: committers.iter().any(Option::is_none),
            committers,
        }
    }

    /// Writes what came of a work.
    pub(super) fn take(&mut self, sinks: &mut Sinks, work: &mut Work) -> Result<(), StreamError> {
        if let Some(journal) = &self.journal {
            // Nobody else has these lines. One wait is for all works that were judged by then.
            if !work.origin.lines.is_empty() && journal.synced() < work.entry {
                journal.sync()?;
            }
        }
        if !work.is_out() {
            write(sinks, work)?;
        }
        sinks.write_told(work)?;
        let marks = sinks.marks()?;
        if self.journal.is_some() {
            self.settling.push_back((marks.clone(), work.entry));
        }
        if self.committers[work.source].is_some() && !work.is_out() {
            self.unsettled[work.source].push(marks, std::mem::take(&mut work.ends));
        }
        Ok(())
    }

    /// Commits the places whose outputs are safe.
    pub(super) fn commit(&mut self, sinks: &Sinks) -> Result<(), StreamError> {
        if self.unsettled.iter().all(Unsettled::is_empty) && self.settling.is_empty() {
            return Ok(());
        }
        if let Some(journal) = &self.journal {
            journal.sync()?;
        }
        let delivered = sinks.delivered()?;
        for (committer, unsettled) in self.committers.iter().zip(&mut self.unsettled) {
            let ends = unsettled.settle(&delivered);
            if let Some(kafka) = committer
                && !ends.is_empty()
            {
                self.kept.commits.fetch_add(1, Ordering::Relaxed);
                kafka.commit(&ends)?;
            }
        }
        self.settle(&delivered)
    }

    fn settle(&mut self, delivered: &[Mark]) -> Result<(), StreamError> {
        let mut through = None;
        while let Some((marks, entry)) = self.settling.front() {
            if marks.iter().zip(delivered).any(|(mark, delivered)| mark > delivered) {
                break;
            }
            through = Some(*entry);
            self.settling.pop_front();
        }
        if let (Some(journal), Some(through)) = (&self.journal, through) {
            journal.settle(through);
            if self.has_lines {
                journal.add(&Entry::Written(through))?;
            }
        }
        Ok(())
    }
}
