//! Records as they are handed over: text and headers in shared buffers, places beside them.

use crate::event::{EVENT_BYTES_MAX, Position, Reason};
use crate::stream::Refused;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers as _, Message as _};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How far a batch goes in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchEnd {
    /// The partition's index, as in [`Position`].
    pub partition: u32,
    /// The offset of the first record that is not in it.
    pub next_offset: u64,
    /// The state of the assignment under which it was read: a commit for an older one is ignored.
    pub generation: u64,
}

/// Records of one partition in a batch, as they followed each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchRun {
    /// The partition's index, as in [`Position`].
    pub partition: u32,
    /// The offset of the first.
    pub first: u64,
    /// The offset behind the last.
    pub next: u64,
    /// How many they are, refused ones too: offsets have gaps.
    pub records: u32,
}

/// One record. Its text and headers are in its [`RecordBatch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    start: u32,
    len: u32,
    first_header: u32,
    headers: u32,
    /// Where it stands.
    pub position: Position,
    /// The record's time in milliseconds since the Unix epoch; `None` for a record of a format too old to have one.
    pub ingest_time_ms: Option<i64>,
}

impl Record {
    /// Its value in the batch's text; empty for a record without one.
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

#[derive(Clone, Copy, Debug)]
struct HeaderSpan {
    name_len: u32,
    value_len: u32,
    start: u32,
}

/// Some records, of any partitions, in the order in which they came. Use one again and again: its buffers stay.
#[derive(Debug, Default)]
pub struct RecordBatch {
    /// Text that the values lie in; may be swapped for another string.
    pub text: String,
    /// The records. None is longer than [`EVENT_BYTES_MAX`], and all of them are UTF-8.
    pub records: Vec<Record>,
    /// Records that are no candidates for an event.
    pub refused: Vec<Refused>,
    header_bytes: Vec<u8>,
    header_spans: Vec<HeaderSpan>,
    ends: Vec<BatchEnd>,
    runs: Vec<BatchRun>,
    generation: u64,
}

impl RecordBatch {
    /// The headers of one of its records. A header without a value has an empty one.
    pub fn headers(&self, record: &Record) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        let first = record.first_header as usize;
        self.header_spans[first..first + record.headers as usize].iter().map(|span| {
            let name_end = span.start as usize + span.name_len as usize;
            let name = std::str::from_utf8(&self.header_bytes[span.start as usize..name_end])
                .expect("a header's name was a str when it was copied");
            (name, &self.header_bytes[name_end..name_end + span.value_len as usize])
        })
    }

    /// How far it goes: one place for each partition in it. Commit them once its outputs are safe.
    pub fn ends(&self) -> &[BatchEnd] {
        &self.ends
    }

    /// The order in which records of its partitions came.
    pub fn runs(&self) -> &[BatchRun] {
        &self.runs
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forgets everything but the memory, and begins anew under an assignment.
    pub fn begin(&mut self, generation: u64) {
        self.text.clear();
        self.records.clear();
        self.refused.clear();
        self.header_bytes.clear();
        self.header_spans.clear();
        self.ends.clear();
        self.runs.clear();
        self.generation = generation;
    }

    /// Forgets everything but the memory: records that are read again are added.
    pub fn restart(&mut self) {
        self.begin(0);
    }

    /// What it holds in memory, in bytes, without its fixed parts.
    pub(super) fn size_bytes(&self) -> usize {
        let refused: usize = self.refused.iter().map(|refused| refused.kept.len()).sum();
        self.text.len() + self.header_bytes.len() + refused
    }

    /// How many records were read into it, refused ones too.
    pub(super) fn len(&self) -> usize {
        self.records.len() + self.refused.len()
    }

    /// Adds a record of the partition with this index.
    pub(super) fn add(&mut self, message: &BorrowedMessage<'_>, partition: u32) {
        let offset = u64::try_from(message.offset()).expect("a fetched record has an offset of at least 0");
        let (value, headers) = (message.payload().unwrap_or_default(), message.headers());
        self.put(partition, offset, message.timestamp().to_millis(), value, headers);
    }

    /// Adds a record without headers of the partition with this index. It came at this time, in milliseconds since the Unix
    /// epoch.
    pub fn push(&mut self, partition: u32, offset: u64, ingest_time_ms: i64, value: &[u8]) {
        self.put(partition, offset, Some(ingest_time_ms), value, None);
    }

    fn put(
        &mut self,
        partition: u32,
        offset: u64,
        ingest_time_ms: Option<i64>,
        value: &[u8],
        headers: Option<&BorrowedHeaders>,
    ) {
        let position = Position { partition, offset, item: 0 };
        self.note_end(partition, offset + 1);
        match self.runs.last_mut() {
            Some(run) if run.partition == partition => (run.next, run.records) = (offset + 1, run.records + 1),
            _ => self.runs.push(BatchRun { partition, first: offset, next: offset + 1, records: 1 }),
        }
        let value_in_utf8 = if value.len() > EVENT_BYTES_MAX {
            Err(Reason::TooLarge { length_bytes: value.len() })
        } else {
            simdutf8::compat::from_utf8(value).map_err(|error| Reason::NotUtf8 { offset: error.valid_up_to() })
        };
        let first_header = self.header_spans.len();
        let accepted = value_in_utf8.and_then(|text| self.add_headers(headers).map(|()| text));
        match accepted {
            Ok(text) => {
                self.records.push(Record {
                    start: self.text.len() as u32,
                    len: text.len() as u32,
                    first_header: first_header as u32,
                    headers: (self.header_spans.len() - first_header) as u32,
                    position,
                    ingest_time_ms,
                });
                self.text.push_str(text);
            }
            Err(reason) => {
                self.header_spans.truncate(first_header);
                self.refused.push(Refused::whole(position, ingest_time_ms, reason, value));
            }
        }
    }

    fn note_end(&mut self, partition: u32, next_offset: u64) {
        match self.ends.iter_mut().find(|end| end.partition == partition) {
            Some(end) => end.next_offset = next_offset,
            None => self.ends.push(BatchEnd { partition, next_offset, generation: self.generation }),
        }
    }

    /// Copies the headers of a record.
    ///
    /// # Errors
    ///
    /// A reason, if they are longer than an event may be, or a name is not UTF-8.
    fn add_headers(&mut self, headers: Option<&BorrowedHeaders>) -> Result<(), Reason> {
        let Some(headers) = headers else { return Ok(()) };
        let mut length_bytes = 0;
        for index in 0..headers.count() {
            // The client library panics on a name that is not UTF-8, and a sender chooses the names.
            let header = catch_unwind(AssertUnwindSafe(|| headers.try_get(index)))
                .map_err(|_| Reason::WrongType { member: "headers", expected: "named in UTF-8" })?;
            let Some(header) = header else { break };
            let value = header.value.unwrap_or_default();
            length_bytes += header.key.len() + value.len();
            if length_bytes > EVENT_BYTES_MAX {
                return Err(Reason::TooLarge { length_bytes });
            }
            let start = self.header_bytes.len() as u32;
            self.header_bytes.extend_from_slice(header.key.as_bytes());
            self.header_bytes.extend_from_slice(value);
            let (name_len, value_len) = (header.key.len() as u32, value.len() as u32);
            self.header_spans.push(HeaderSpan { name_len, value_len, start });
        }
        Ok(())
    }
}
