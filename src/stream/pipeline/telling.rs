//! What is told of decisions: which changes are still to be written, the heartbeats among them, and what is handed on once it
//! is committed.
//!
//! Changes have numbers, so that it is known what of them a sink has: what is judged again after a crash is written from there
//! on, whatever came of its events.

use std::fmt::Debug;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::work::Work;
use crate::engine::ActiveSet;
use crate::event::json::write_timestamp;
use crate::stream::decision_log::{DecisionHub, Head, Published};
use crate::stream::{Sink, StreamError};

/// The key of heartbeats: no record's, which have slashes.
pub const HEARTBEAT_KEY: &str = "heartbeat";

/// Where the log of decisions goes.
#[derive(Debug)]
pub struct TellingOptions {
    /// A line or record for each change, keyed by subject; an empty one behind the last of a subject.
    pub sink: Option<Sink>,
    /// The number up to which the sink has them; `None`: it cannot be told.
    pub out_through: Option<u64>,
    /// How often it is said what stands; zero: never.
    pub heartbeat: Duration,
    /// The clocks of the process.
    pub clocks: TellingClocks,
    /// What stands before the first work.
    pub head: Head,
    /// Who follows within the process.
    pub hub: Option<Arc<DecisionHub>>,
}

/// The clocks that heartbeats are told by.
#[derive(Clone, Copy, Debug)]
pub struct TellingClocks {
    /// Milliseconds since the Unix epoch.
    pub wall_ms: fn() -> i64,
    /// One that never goes back.
    pub monotonic: fn() -> Instant,
}

/// The log of decisions on its way out.
#[derive(Debug)]
pub struct Telling {
    pub(super) sink: Option<Sink>,
    out_through: Option<u64>,
    heartbeat: Duration,
    clocks: TellingClocks,
    /// As of the last work that was taken.
    head: Head,
    due: Instant,
    hub: Option<Arc<DecisionHub>>,
    /// What is not handed on.
    pending: Vec<Published>,
    line: Vec<u8>,
}

impl Telling {
    /// Tells from here on.
    pub fn new(options: TellingOptions) -> Telling {
        let TellingOptions { sink, out_through, heartbeat, clocks, head, hub } = options;
        let due = (clocks.monotonic)() + heartbeat;
        let (pending, line) = (Vec::new(), Vec::new());
        Telling { sink, out_through, heartbeat, clocks, head, due, hub, pending, line }
    }

    /// Where it goes, if it goes anywhere outside.
    pub fn sink(&self) -> Option<&Sink> {
        self.sink.as_ref()
    }

    /// Takes the changes of a work, and notes in it which of them are to be written.
    pub(super) fn take(&mut self, work: &mut Work) -> Result<(), StreamError> {
        let is_new = work.again.is_none();
        if let Some(through) = self.out_through.filter(|through| is_new && self.head.number < *through) {
            return Err(log_is_ahead(through, self.head.number));
        }
        let changed = &work.judgements.changed;
        work.told_from = match self.out_through {
            _ if self.sink.is_none() => changed.len(),
            Some(through) => changed.partition_point(|change| change.number <= through),
            // What a tick alone has brought is not known to be out: it rather comes twice.
            None if work.is_out() && !work.batch.events.is_empty() => changed.len(),
            None => 0,
        };
        for change in changed {
            self.head.number = change.number;
            self.head.set.change(change.before, change.after);
            if self.hub.is_some() {
                let key = String::from_utf8_lossy(work.judgements.piece(change.key));
                let line = work.judgements.piece(change.line);
                self.pending.push(Published::new(change.number, &key, line, [change.before, change.after]));
            }
        }
        Ok(())
    }

    /// What was taken is committed.
    pub(super) fn publish(&mut self) {
        if let Some(hub) = self.hub.as_ref().filter(|_| !self.pending.is_empty()) {
            hub.publish(self.pending.drain(..));
        }
    }

    /// What stands, if it is time to say so, and the sink is as far.
    pub(super) fn heartbeat(&mut self) -> Option<&[u8]> {
        if self.heartbeat.is_zero() || self.sink.is_none() {
            return None;
        }
        let now = (self.clocks.monotonic)();
        let is_behind = self.out_through.is_some_and(|through| self.head.number < through);
        if now < self.due || is_behind {
            return None;
        }
        self.due = now + self.heartbeat;
        self.line.clear();
        write_heartbeat(&mut self.line, (self.clocks.wall_ms)(), &self.head);
        Some(&self.line)
    }

    /// Writes it, where nothing is committed with it.
    pub(super) fn write_heartbeat(&mut self) -> Result<(), StreamError> {
        if self.heartbeat().is_none() {
            return Ok(());
        }
        let line = std::mem::take(&mut self.line);
        let written = self.sink.as_mut().map_or(Ok(()), |sink| sink.write(HEARTBEAT_KEY, &line));
        self.line = line;
        written
    }
}

/// Writes what stands.
pub fn write_heartbeat(out: &mut Vec<u8>, time_ms: i64, head: &Head) {
    let Head { number, set: ActiveSet { count, checksum } } = head;
    out.extend_from_slice(b"{\"heartbeat\":true,\"time\":");
    write_timestamp(out, time_ms);
    let rest = write!(out, ",\"number\":{number},\"count\":{count},\"checksum\":\"{checksum:016x}\"}}");
    rest.expect("a write into a vector does not fail");
}

/// A log of decisions that goes on where this state has never been.
pub fn log_is_ahead(through: u64, known: u64) -> StreamError {
    StreamError::Recovery {
        detail: format!(
            "sinks.decisions is at change {through}, and the state at {known}: it is the log of another state"
        ),
        hint: "restore the state that it belongs to; or let this one have a log of its own: another topic or file, or the \
               same emptied (for a topic: deleted and made again)",
    }
}

impl Work {
    /// The changes of decisions that are to be written: key, line, and whether it is the last of its subject.
    pub(super) fn told(&self) -> impl Iterator<Item = (&str, &[u8], bool)> {
        let changes = self.judgements.changed.get(self.told_from..).unwrap_or_default();
        changes.iter().map(|change| {
            let key = std::str::from_utf8(self.judgements.piece(change.key)).unwrap_or_default();
            (key, self.judgements.piece(change.line), change.after.is_none())
        })
    }
}

/// Writes changes to a sink: behind the last of a subject nothing, by which a topic that is compacted forgets it.
pub(super) fn write_told(sink: &mut Sink, work: &Work) -> Result<(), StreamError> {
    for (key, line, is_end) in work.told() {
        sink.write(key, line)?;
        if is_end {
            sink.write(key, &[])?;
        }
    }
    Ok(())
}
