//! Apache Kafka: records in, records out, places committed.
//!
//! A [`KafkaSource`] reads in a thread of its own and hands over bounded batches; a [`KafkaProducer`] delivers in the
//! background and says what is safe. A broker that is away is waited for; only what cannot heal is an error. It imports
//! `event` and the client library. Invariants: a place is committed only for a partition that has been ours without a
//! break since its records were read, and neither side ever buffers more than its options say.

mod batch;
mod beside;
mod client;
mod ends;
mod history;
mod places;
mod producer;
mod reader;
mod replay;
mod scan;
mod source;
mod status;
mod tail;
mod transaction;

pub use batch::{BatchEnd, BatchRun, Record, RecordBatch};
pub use client::{ClientOptions, record_position};
pub use ends::highest;
pub use history::{HistoryEnd, KafkaHistory};
pub use places::{GroupWatch, committed_places, only_owner};
pub use producer::{KafkaProducer, KafkaSink, ProducerOptions};
pub use replay::KafkaReplay;
pub use scan::TopicScan;
pub use source::{KafkaInput, KafkaSource, Revocation, SourceOptions};
pub use status::{PartitionName, PartitionStatus};
pub use tail::{TailStart, TopicTail};
pub use transaction::Unfinished;
