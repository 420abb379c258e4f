//! What the pipeline needs of a log such as Kafka: read as a member of a group, read again, written to in transactions.
//!
//! The clients of Kafka are behind these, so that the machine that keeps places and outputs together can be driven in a test
//! by a log that loses, delays and repeats what it likes: `tests/sim/log.rs`. Invariant: what a reader of committed records
//! sees is decided by [`Transactions::end`] alone.

use std::any::Any;
use std::fmt::Debug;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::kafka::{
    BatchEnd, BatchRun, KafkaInput, KafkaProducer, KafkaReplay, KafkaSink, KafkaSource, PartitionName, PartitionStatus,
    RecordBatch, SourceOptions, Unfinished, committed_places,
};
use super::{Mark, StreamError};

/// Who a subscription is in its group now, as the transactions of the same log understand it.
pub struct Membership(pub Box<dyn Any>);

/// Topics that are read as a member of a group.
pub trait Subscription: Debug + Send + Sync {
    /// The next input; `None` if none came in time.
    ///
    /// # Errors
    ///
    /// When reading cannot go on.
    fn next(&self, wait: Duration) -> Result<Option<KafkaInput>, StreamError>;

    /// Gives a batch back, so that its memory is used again. Optional.
    fn recycle(&self, batch: RecordBatch);

    /// Commits places, up to which every output is safe. Does not block.
    ///
    /// # Errors
    ///
    /// If that is refused for good.
    fn commit(&self, ends: &[BatchEnd]) -> Result<(), StreamError>;

    /// Commits the last places and leaves the group.
    ///
    /// # Errors
    ///
    /// If the last commit failed.
    fn close(&self) -> Result<(), StreamError>;

    /// Who this is in the group; `None`: no partition is ours, so that no places are taken.
    fn membership(&self) -> Option<Membership>;

    /// Whether all these places are of partitions that have been ours ever since they were read.
    fn are_ours(&self, ends: &[BatchEnd]) -> bool;

    /// What is known of every partition that has been ours, by index.
    fn partitions(&self) -> Vec<PartitionStatus>;

    /// The name of a partition by its index.
    fn partition(&self, index: u32) -> Option<PartitionName>;

    /// The index of a partition, which may be one that is not ours yet.
    fn index(&self, name: &PartitionName) -> u32;

    /// Whether the log can be reached, as of the last second.
    fn is_reachable(&self) -> bool;
}

/// The topics of a source, beside its group: how far that has come, and what it has read.
pub trait Log: Send + Sync {
    /// The group's name.
    fn group(&self) -> &str;

    /// The partitions, each with the offset that the group has committed.
    ///
    /// # Errors
    ///
    /// If it is not told.
    fn committed(&self) -> Result<Vec<(PartitionName, Option<u64>)>, StreamError>;

    /// Opens partitions, each with its index, to be read again from an offset on.
    ///
    /// # Errors
    ///
    /// If records are gone, or the log cannot be read.
    fn read_again(&self, starts: &[(u32, PartitionName, u64)]) -> Result<Box<dyn Rereader>, StreamError>;
}

/// Records that are read again, run by run.
pub trait Rereader: Send {
    /// Adds the records of a run, which is whole or a part of one, to a batch. `false`: `stop` was set meanwhile.
    ///
    /// # Errors
    ///
    /// If they are not those that were there, or cannot be read.
    fn read(
        &mut self,
        run: &BatchRun,
        is_whole: bool,
        batch: &mut RecordBatch,
        stop: &AtomicBool,
    ) -> Result<bool, StreamError>;
}

/// Outputs and the places of their inputs, visible together or not at all.
pub trait Transactions: Send {
    /// Begins one.
    ///
    /// # Errors
    ///
    /// [`Unfinished`], as all of these.
    fn begin(&self) -> Result<(), Unfinished>;

    /// Adds the places of a source.
    ///
    /// # Errors
    ///
    /// [`Unfinished`].
    fn add_places(&self, source: &dyn Subscription, ends: &[BatchEnd]) -> Result<(), Unfinished>;

    /// Ends it: from now on others see it.
    ///
    /// # Errors
    ///
    /// [`Unfinished`].
    fn end(&self) -> Result<(), Unfinished>;

    /// Undoes it: nobody will see it. Records that could not be delivered are forgotten with it.
    ///
    /// # Errors
    ///
    /// [`Unfinished`].
    fn undo(&self) -> Result<(), Unfinished>;

    /// Whether everything that was sent can be delivered.
    ///
    /// # Errors
    ///
    /// Why a record could not be.
    fn delivered(&self) -> Result<Mark, StreamError>;
}

/// A topic that is written to.
pub trait Topic: Debug + Send {
    /// Sends records with their keys (an empty one: without) and values (an empty one: without). Blocks while the queue is full.
    ///
    /// # Errors
    ///
    /// Why one of these, or an earlier one, cannot be delivered.
    fn write_all<'r>(&self, records: &mut dyn ExactSizeIterator<Item = (&'r str, &'r [u8])>)
    -> Result<(), StreamError>;

    /// Marks what was sent up to now.
    fn mark(&self) -> Mark;

    /// The newest mark before which everything is safe. Does not block.
    ///
    /// # Errors
    ///
    /// Why a record could not be delivered.
    fn delivered(&self) -> Result<Mark, StreamError>;

    /// Waits until everything sent is safe.
    ///
    /// # Errors
    ///
    /// As [`Topic::delivered`].
    fn flush(&self) -> Result<(), StreamError>;

    /// What tells whether the log can be reached, as of the last second.
    fn reachable(&self) -> Box<dyn Fn() -> bool + Send + Sync>;
}

impl Subscription for KafkaSource {
    fn next(&self, wait: Duration) -> Result<Option<KafkaInput>, StreamError> {
        KafkaSource::next(self, wait)
    }

    fn recycle(&self, batch: RecordBatch) {
        KafkaSource::recycle(self, batch);
    }

    fn commit(&self, ends: &[BatchEnd]) -> Result<(), StreamError> {
        KafkaSource::commit(self, ends)
    }

    fn close(&self) -> Result<(), StreamError> {
        KafkaSource::close(self)
    }

    fn membership(&self) -> Option<Membership> {
        let metadata = self.group_metadata().filter(|_| self.is_member())?;
        Some(Membership(Box::new(metadata)))
    }

    fn are_ours(&self, ends: &[BatchEnd]) -> bool {
        KafkaSource::are_ours(self, ends)
    }

    fn partitions(&self) -> Vec<PartitionStatus> {
        KafkaSource::partitions(self)
    }

    fn partition(&self, index: u32) -> Option<PartitionName> {
        KafkaSource::partition(self, index)
    }

    fn index(&self, name: &PartitionName) -> u32 {
        KafkaSource::index(self, name)
    }

    fn is_reachable(&self) -> bool {
        KafkaSource::is_reachable(self)
    }
}

impl Log for SourceOptions {
    fn group(&self) -> &str {
        &self.group
    }

    fn committed(&self) -> Result<Vec<(PartitionName, Option<u64>)>, StreamError> {
        committed_places(self)
    }

    fn read_again(&self, starts: &[(u32, PartitionName, u64)]) -> Result<Box<dyn Rereader>, StreamError> {
        Ok(Box::new(KafkaReplay::open(self, starts)?))
    }
}

impl Rereader for KafkaReplay {
    fn read(
        &mut self,
        run: &BatchRun,
        is_whole: bool,
        batch: &mut RecordBatch,
        stop: &AtomicBool,
    ) -> Result<bool, StreamError> {
        KafkaReplay::read(self, run, is_whole, batch, stop)
    }
}

impl Transactions for KafkaProducer {
    fn begin(&self) -> Result<(), Unfinished> {
        KafkaProducer::begin(self)
    }

    fn add_places(&self, source: &dyn Subscription, ends: &[BatchEnd]) -> Result<(), Unfinished> {
        KafkaProducer::add_places(self, source, ends)
    }

    fn end(&self) -> Result<(), Unfinished> {
        KafkaProducer::end(self)
    }

    fn undo(&self) -> Result<(), Unfinished> {
        KafkaProducer::undo(self)
    }

    fn delivered(&self) -> Result<Mark, StreamError> {
        KafkaProducer::delivered(self)
    }
}

impl Topic for KafkaSink {
    fn write_all<'r>(
        &self,
        records: &mut dyn ExactSizeIterator<Item = (&'r str, &'r [u8])>,
    ) -> Result<(), StreamError> {
        KafkaSink::write_all(self, records)
    }

    fn mark(&self) -> Mark {
        self.producer().mark()
    }

    fn delivered(&self) -> Result<Mark, StreamError> {
        self.producer().delivered()
    }

    fn flush(&self) -> Result<(), StreamError> {
        self.producer().flush()
    }

    fn reachable(&self) -> Box<dyn Fn() -> bool + Send + Sync> {
        let producer = self.producer().clone();
        Box::new(move || producer.is_reachable())
    }
}
