//! One transaction after the other: outputs and the places of their inputs become visible together, or not at all.

use std::time::Duration;

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer as _;
use rdkafka::{Offset, TopicPartitionList};

use super::client::detail;
use super::{BatchEnd, KafkaProducer};
use crate::stream::StreamError;
use crate::stream::log::{Membership, Subscription};

/// How long one call waits for the cluster before it is made again.
const CALL_WAIT: Duration = Duration::from_secs(2);

/// Why a step of a transaction did not come to its end.
#[derive(Debug)]
pub enum Unfinished {
    /// No answer yet: the same step again.
    Again(String),
    /// The transaction is lost, and can be made again from its beginning.
    Lost(String),
    /// Nothing more can be done with this producer.
    Ended(StreamError),
}

impl KafkaProducer {
    /// Takes over from whoever used the same name for transactions before: what that one left open is undone.
    ///
    /// # Errors
    ///
    /// [`StreamError::KafkaSettings`] for what the cluster does not take, [`StreamError::Unreachable`] if it does not answer in
    /// half a minute, [`StreamError::Denied`], [`StreamError::Kafka`].
    pub fn take_over(&self) -> Result<(), StreamError> {
        let take_over = || self.client().init_transactions(CALL_WAIT);
        self.patiently(|| take_over().map_err(|error| unfinished(&error, "taking over")))
    }

    /// Makes a transaction of what is written, where nothing else is under way.
    ///
    /// # Errors
    ///
    /// As [`KafkaProducer::take_over`], and what the writing says.
    pub fn transact(&self, write: impl FnOnce() -> Result<(), StreamError>) -> Result<(), StreamError> {
        self.patiently(|| self.begin())?;
        write()?;
        self.flush()?;
        self.patiently(|| self.end())
    }

    /// Tries a step for half a minute.
    fn patiently(&self, step: impl Fn() -> Result<(), Unfinished>) -> Result<(), StreamError> {
        let mut last = String::new();
        for _ in 0..15 {
            match step() {
                Ok(()) => return Ok(()),
                Err(Unfinished::Ended(error)) => return Err(error),
                Err(Unfinished::Again(detail) | Unfinished::Lost(detail)) => last = detail,
            }
        }
        Err(StreamError::Unreachable { brokers: self.brokers(), detail: last })
    }

    /// Begins a transaction.
    ///
    /// # Errors
    ///
    /// [`Unfinished`].
    pub fn begin(&self) -> Result<(), Unfinished> {
        self.client().begin_transaction().map_err(|error| unfinished(&error, "beginning a transaction"))
    }

    /// Adds the places of a source.
    ///
    /// # Errors
    ///
    /// [`Unfinished`].
    pub fn add_places(&self, source: &dyn Subscription, ends: &[BatchEnd]) -> Result<(), Unfinished> {
        let Some(Membership(membership)) = source.membership() else {
            return Err(Unfinished::Again("the source is not in its group".to_owned()));
        };
        let group: &ConsumerGroupMetadata = membership.downcast_ref().expect("the source is one of Kafka too");
        let doing = "committing places";
        let mut list = TopicPartitionList::with_capacity(ends.len());
        for end in ends {
            let Some(name) = source.partition(end.partition) else { continue };
            let offset = Offset::Offset(i64::try_from(end.next_offset).unwrap_or(i64::MAX));
            let added = list.add_partition_offset(&name.topic, name.partition, offset);
            added.map_err(|error| unfinished(&error, doing))?;
        }
        let sent = self.client().send_offsets_to_transaction(&list, group, CALL_WAIT);
        sent.map_err(|error| unfinished(&error, doing))
    }

    /// Ends it: from now on others see it.
    ///
    /// # Errors
    ///
    /// [`Unfinished`].
    pub fn end(&self) -> Result<(), Unfinished> {
        self.client().commit_transaction(CALL_WAIT).map_err(|error| unfinished(&error, "committing"))
    }

    /// Undoes it: nobody will see it. Records that could not be delivered are forgotten with it.
    ///
    /// # Errors
    ///
    /// [`Unfinished`].
    pub fn undo(&self) -> Result<(), Unfinished> {
        let undone = self.client().abort_transaction(CALL_WAIT);
        undone.map_err(|error| unfinished(&error, "undoing a transaction"))?;
        self.forgive();
        Ok(())
    }
}

fn unfinished(error: &KafkaError, doing: &str) -> Unfinished {
    use RDKafkaErrorCode::{
        ClusterAuthorizationFailed, Fenced, FencedInstanceId, GroupAuthorizationFailed, InvalidProducerEpoch,
        InvalidTransactionTimeout, ProducerFenced, TopicAuthorizationFailed, TransactionalIdAuthorizationFailed,
    };
    let code = error.rdkafka_error_code();
    let said = match error {
        KafkaError::Transaction(error) => format!("{}: {}", error.name(), error.string()),
        other => detail(other),
    };
    let ended = |error| Unfinished::Ended(error);
    match code {
        Some(Fenced | ProducerFenced | FencedInstanceId) => return ended(StreamError::Fenced { detail: said }),
        Some(InvalidTransactionTimeout) => {
            let detail = format!("transaction.timeout.ms: {said}: the brokers' transaction.max.timeout.ms is lower");
            return ended(StreamError::KafkaSettings { detail });
        }
        Some(
            TransactionalIdAuthorizationFailed
            | ClusterAuthorizationFailed
            | GroupAuthorizationFailed
            | TopicAuthorizationFailed,
        ) => return ended(StreamError::Denied { doing: format!("{doing} in a transaction"), detail: said }),
        _ => {}
    }
    match error {
        KafkaError::Transaction(of) if of.is_fatal() && code == Some(InvalidProducerEpoch) => {
            ended(StreamError::Fenced { detail: said })
        }
        KafkaError::Transaction(of) if of.is_fatal() => {
            ended(StreamError::Kafka { doing: doing.to_owned(), detail: said })
        }
        KafkaError::Transaction(of) if of.txn_requires_abort() => Unfinished::Lost(said),
        KafkaError::Transaction(of) if of.is_retriable() => Unfinished::Again(said),
        // What was sent is not delivered yet: a commit waits for that first.
        KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut) => Unfinished::Again(said),
        _ => ended(StreamError::Kafka { doing: doing.to_owned(), detail: said }),
    }
}
