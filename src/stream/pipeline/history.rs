//! History on its way into the engine: read by threads of its own, counted and never judged, and nothing of it is written.
//!
//! Before anything is judged it comes as a whole, by [`count_history`]. While events are judged it comes as a [`Fill`] into
//! the features that a reload brought: the engine's thread takes a work of it between two works of the sources, so what is
//! judged waits for one batch at most.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, never};

use super::engine_thread::Places;
use super::reload::Reloads;
use super::work::{Notice, Work};
use super::{Message, Reader, pool};
use crate::engine::{Backfill, Engine};
use crate::stream::StreamError;

/// Works of a reader of history: one is read while another is counted.
const WORKS: usize = 3;

/// What came of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryCount {
    /// Valid events, repeats included.
    pub events: u64,
    /// Inputs that are no valid events: they were told when they first came.
    pub refused: u64,
}

/// Works of history, as they come. Dropping it ends the readers.
struct Flow {
    works: Receiver<Message>,
    /// By source.
    returns: BTreeMap<usize, Sender<Box<Work>>>,
    stop: Arc<AtomicBool>,
}

impl Flow {
    /// Starts the readers, whose indexes are those of the sources they belong to.
    fn start(readers: Vec<Reader>) -> Result<Flow, StreamError> {
        let stop = Arc::new(AtomicBool::new(false));
        let (out, works) = bounded(readers.len().max(1) * WORKS);
        let mut flow = Flow { works, returns: BTreeMap::new(), stop };
        for reader in readers {
            let (back, supply) = pool(WORKS);
            flow.returns.insert(reader.index, back);
            let (out, stop) = (out.clone(), Arc::clone(&flow.stop));
            let thread = std::thread::Builder::new().name("history".to_owned());
            let started = thread.spawn(move || reader.run(&supply, &out, &never(), &stop));
            started.map_err(|error| StreamError::Read { name: "history".to_owned(), source: error })?;
        }
        Ok(flow)
    }

    fn give_back(&self, work: Box<Work>) {
        if let Some(back) = self.returns.get(&work.source) {
            // Its reader may have ended.
            drop(back.send(work));
        }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // A reader that waits for room would not look.
        self.returns.clear();
        self.works = never();
    }
}

/// Counts history as a whole into an engine that has judged nothing, up to where the readers end. Their indexes are their
/// places in the pipeline that comes afterwards.
///
/// # Errors
///
/// The first fault of a reader: then the history is counted in part. `None` if `stop` was set before the end.
pub fn count_history(
    engine: &mut Engine,
    readers: Vec<Reader>,
    stop: &AtomicBool,
) -> Result<Option<HistoryCount>, StreamError> {
    let mut places = Places::new(readers.iter().map(|reader| reader.index + 1).max().unwrap_or(0));
    let flow = Flow::start(readers)?;
    let (mut into, mut count) = (Backfill::Whole, HistoryCount::default());
    while let Ok(message) = flow.works.recv() {
        if stop.load(Ordering::Acquire) {
            return Ok(None);
        }
        let mut work = message?;
        feed(engine, &mut places, &mut work, &mut into, &mut count);
        flow.give_back(work);
    }
    Ok(Some(count))
}

/// History for features that began empty, handed to the engine's thread.
pub struct Fill {
    flow: Flow,
    features: Vec<String>,
    since: Vec<Arc<AtomicI64>>,
    told: Sender<Result<HistoryCount, StreamError>>,
}

impl Fill {
    /// Starts the readers, whose indexes are those of the sources they belong to. Once they have ended, the features are
    /// whole from the latest of `since` on (milliseconds since the Unix epoch), and the other value tells what was counted.
    /// It is disconnected if another fill takes the place of this one.
    ///
    /// # Errors
    ///
    /// [`StreamError::Read`] if the system has no thread to give.
    pub fn start(
        readers: Vec<Reader>,
        features: Vec<String>,
        since: Vec<Arc<AtomicI64>>,
    ) -> Result<(Fill, Receiver<Result<HistoryCount, StreamError>>), StreamError> {
        let (told, hears) = bounded(1);
        Ok((Fill { flow: Flow::start(readers)?, features, since, told }, hears))
    }
}

/// What the engine's thread did with history at a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filling {
    /// There is none.
    No,
    /// Some is to come, and nothing is here.
    Waits,
    /// Some was counted.
    Counted,
}

/// The engine thread's end of fills.
pub(super) struct Fills {
    waiting: Receiver<Fill>,
    current: Option<(Fill, Backfill, HistoryCount)>,
    has_ended: bool,
}

impl Fills {
    pub(super) fn new(waiting: Receiver<Fill>) -> Fills {
        Fills { waiting, current: None, has_ended: false }
    }

    /// Whether one came to its end since this was asked for last.
    pub(super) fn take_ended(&mut self) -> bool {
        std::mem::take(&mut self.has_ended)
    }

    /// Counts the next work of history, if there is one. The latest fill takes the place of one that is under way.
    pub(super) fn step(&mut self, engine: &mut Engine, places: &mut Places, reloads: &mut Reloads) -> Filling {
        if let Some(fill) = self.waiting.try_iter().last() {
            let into = engine.begin_backfill(&fill.features);
            self.current = Some((fill, into, HistoryCount::default()));
        }
        let Some((fill, into, count)) = &mut self.current else { return Filling::No };
        match fill.flow.works.try_recv() {
            Ok(Ok(mut work)) => {
                reloads.derive_again(engine, &mut work);
                feed(engine, places, &mut work, into, count);
                fill.flow.give_back(work);
                return Filling::Counted;
            }
            Err(TryRecvError::Empty) => return Filling::Waits,
            Ok(Err(error)) => {
                // Who started it may have stopped listening.
                fill.told.send(Err(error)).ok();
            }
            Err(TryRecvError::Disconnected) => {
                if let Some(since_ms) = fill.since.iter().map(|since| since.load(Ordering::Relaxed)).max() {
                    engine.backfilled(into, since_ms);
                }
                self.has_ended = true;
                fill.told.send(Ok(*count)).ok();
            }
        }
        self.current = None;
        Filling::No
    }
}

fn feed(engine: &mut Engine, places: &mut Places, work: &mut Work, into: &mut Backfill, count: &mut HistoryCount) {
    for notice in &work.notices {
        match *notice {
            Notice::Assigned(partition) => engine.assign_history(places.of(work.source, partition), into),
            Notice::Revoked(_) | Notice::Tick(..) => {}
        }
    }
    for event in &mut work.batch.events {
        event.position.partition = places.of(work.source, event.position.partition);
    }
    engine.backfill(&work.batch, &work.signals, into);
    for notice in &work.notices {
        if let Notice::Revoked(partition) = *notice {
            engine.revoke_history(places.of(work.source, partition), into);
        }
    }
    count.events += work.batch.events.len() as u64;
    count.refused += work.dead_letters.len() as u64;
}
