//! Keeps a state while it is used: every input into the journal before it is judged, and a checkpoint now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::open_alerts::OpenAlerts;
use super::reader::Intake;
use super::work::{Notice, Work};
use crate::engine::{CheckpointStep, Engine};
use crate::state::planted::{Defect, is_planted};
use crate::stream::StreamError;
use crate::stream::checkpoint::{self, Aside, CheckpointError, Companion, Sealing, Writing, Written};
use crate::stream::copies::Due;
use crate::stream::disk::{Beside, Folder, Job};
use crate::stream::journal::{Entry, Journal, Mark, PlaceName, Run};

/// Of a checkpoint that is under way so many bytes are written between two works: well below a millisecond.
const STEP_BYTES: usize = 256 << 10;
/// While so many segments wait for the disk, no more are made.
const SEGMENTS_WAITING_MAX: usize = 16;

/// What is known of checkpoints outside the engine's thread, for metrics.
#[derive(Debug, Default)]
pub struct Kept {
    /// When a checkpoint had everything, or judging began without one, in milliseconds since the Unix epoch.
    pub at_ms: AtomicI64,
    /// How long writing the newest one took, in microseconds.
    pub took_us: AtomicU64,
    /// How many could not be written.
    pub failed: AtomicU64,
    /// How often outputs and places were committed.
    pub commits: AtomicU64,
    /// How often a transaction was undone and made again.
    pub undone: AtomicU64,
}

/// How a state is kept.
#[derive(Debug)]
pub struct KeepOptions {
    /// The folder of the state.
    pub folder: Folder,
    /// Under what checkpoints are closed.
    pub sealing: Box<dyn Sealing>,
    /// How often a checkpoint is written while something is judged.
    pub interval: Duration,
    /// The clocks of the process.
    pub wall_clock_ms: fn() -> i64,
    /// For when a checkpoint is due, and how long writing takes.
    pub monotonic: fn() -> Instant,
    /// The first entry of the journal that its topic does not have; `None`: entries go to no topic.
    pub ship_from: Option<u64>,
    /// Who is told of checkpoints that have their name, to copy them.
    pub copies: Option<Sender<Due>>,
}

/// A checkpoint that is written a part at a time while events are judged, by a thread that waits for the disk.
#[derive(Debug)]
struct UnderWay {
    segments: Sender<Part>,
    disk: Box<dyn Beside>,
    /// What came of it, once the disk has finished; nothing if it was given up.
    written: Receiver<Result<Aside, CheckpointError>>,
    place: Place,
    begun: Instant,
    /// Everything of the engine is on its way.
    has_engine: bool,
    is_whole: bool,
}

/// The place of the log that a checkpoint is of.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Where its inputs end.
    position: u64,
    /// The number of the entry behind its last work: what comes of that is to be committed first.
    works: u64,
    /// How many events it has.
    events: u64,
}

/// What goes to the disk.
enum Part {
    Segment(Vec<u8>),
    /// The open alerts, and nothing more.
    Alerts(Vec<Vec<u8>>),
}

impl UnderWay {
    /// Gives it up: its file is left to the next one.
    fn give_up(self) {
        drop(self.segments);
        self.disk.join();
    }
}

/// Takes the segments of a checkpoint to the disk.
struct ToDisk {
    /// `None`: it has ended, whichever way.
    writing: Option<Writing>,
    made: Receiver<Part>,
    told: Sender<Result<Aside, CheckpointError>>,
}

impl Job for ToDisk {
    fn step(&mut self) -> bool {
        // Nothing more comes of one that was given up.
        let (Some(mut writing), Ok(part)) = (self.writing.take(), self.made.recv()) else { return false };
        let ended = match part {
            Part::Alerts(alerts) => writing.end(&alerts),
            Part::Segment(segment) => match writing.put(&segment) {
                Ok(()) => {
                    self.writing = Some(writing);
                    return true;
                }
                Err(error) => Err(error),
            },
        };
        // Nobody asks for one that was given up.
        self.told.send(ended).ok();
        false
    }

    fn is_ready(&self) -> bool {
        !self.made.is_empty()
    }
}

/// Keeps one state. It belongs to the thread of the engine.
#[derive(Debug)]
pub struct Keeper {
    options: KeepOptions,
    journal: Arc<Journal>,
    /// Where the inputs end that were judged, and the rules in force.
    companion: Companion,
    due: Instant,
    /// A checkpoint is wanted before it is due.
    soon: bool,
    under_way: Option<UnderWay>,
    /// One that waits until what came of its inputs is committed.
    aside: Option<(Aside, Place)>,
    /// The number of the entry behind the last work: rules and names of places may follow.
    works: u64,
    /// Where the inputs of the newest one end.
    newest: Option<u64>,
    kept: Arc<Kept>,
    alerts: Arc<OpenAlerts>,
}

impl Keeper {
    /// Keeps what a journal and a companion say: inputs end at its position. `alerts` are those that are open there.
    pub fn new(
        options: KeepOptions,
        journal: Arc<Journal>,
        companion: Companion,
        newest: Option<u64>,
        alerts: Vec<Vec<u8>>,
    ) -> Keeper {
        let due = (options.monotonic)() + options.interval;
        let works = companion.position;
        let (kept, alerts) = (Arc::new(Kept::default()), Arc::new(OpenAlerts::new(alerts)));
        kept.at_ms.store((options.wall_clock_ms)(), Ordering::Relaxed);
        Keeper {
            options,
            journal,
            companion,
            due,
            soon: false,
            under_way: None,
            aside: None,
            works,
            newest,
            kept,
            alerts,
        }
    }

    /// The journal.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// What there is to know of it outside.
    pub fn kept(&self) -> &Arc<Kept> {
        &self.kept
    }

    /// The open alerts, on their way into checkpoints.
    pub(super) fn alerts(&self) -> &Arc<OpenAlerts> {
        &self.alerts
    }

    /// The clock by which it is known what is due.
    pub(super) fn monotonic(&self) -> fn() -> Instant {
        self.options.monotonic
    }

    /// The engine's partitions, by number.
    pub(super) fn places(&self) -> impl Iterator<Item = &PlaceName> {
        self.companion.places.iter().map(|(name, _)| name)
    }

    /// The next number of the engine stands for this place.
    pub(super) fn name_place(&mut self, name: PlaceName) -> Result<(), StreamError> {
        let number = self.companion.places.len() as u32;
        self.companion.position = self.journal.add(&Entry::Place(number, &name))?;
        self.companion.places.push((name, None));
        Ok(())
    }

    /// Takes a place that was committed for the end of what is known of it, without knowing what lies before.
    ///
    /// # Errors
    ///
    /// [`StreamError::Write`].
    pub fn adopt(&mut self, name: PlaceName, committed: u64) -> Result<(), StreamError> {
        let known = self.places().position(|known| *known == name);
        let number = match known {
            Some(number) => number,
            None => {
                self.name_place(name)?;
                self.companion.places.len() - 1
            }
        };
        self.companion.places[number].1 = Some(committed);
        Ok(())
    }

    /// The engine's numbers of partitions that are not read any more.
    pub fn gone(&self, is_read: impl Fn(&PlaceName) -> bool) -> Vec<u32> {
        let places = self.places().enumerate().filter(|(_, name)| !is_read(name));
        places.map(|(number, _)| number as u32).collect()
    }

    /// Keeps a work that is about to be judged; `place` says the engine's number of a partition of its source.
    pub(super) fn take_in(
        &mut self,
        work: &mut Work,
        intake: &Intake,
        mut place: impl FnMut(u32) -> u32,
    ) -> Result<(), StreamError> {
        let mark = |notice: &Notice, place: &mut dyn FnMut(u32) -> u32| match *notice {
            Notice::Assigned(of) => Mark::Assigned(place(of)),
            Notice::Revoked(of) => Mark::Revoked(place(of)),
            Notice::Tick(of, clock_ms) => Mark::Tick(place(of), clock_ms),
        };
        let marks: Vec<Mark> = work.notices.iter().map(|notice| mark(notice, &mut place)).collect();
        let origin = &work.origin;
        let run = |run: &crate::stream::kafka::BatchRun| Run {
            place: place(run.partition),
            first: run.first,
            next: run.next,
            records: run.records,
        };
        let runs: Vec<Run> = origin.runs.iter().map(run).collect();
        if work.again.is_none() {
            work.entry = if !origin.lines.is_empty() || intake.is_of_lines() && !marks.is_empty() {
                let (clock_ms, text, lines) = (origin.clock_ms, work.batch.input.as_str(), origin.lines.as_slice());
                self.journal.add(&Entry::Lines { marks: &marks, place: place(0), clock_ms, text, lines })?
            } else if !marks.is_empty() || !runs.is_empty() {
                self.journal.add(&Entry::Records { marks: &marks, runs: &runs, clock_ms: origin.clock_ms })?
            } else {
                self.companion.position
            };
            if !work.acts.is_empty() {
                self.journal.note_act(work.entry);
            }
        }
        for run in &runs {
            self.companion.places[run.place as usize].1 = Some(run.next);
        }
        self.companion.position = work.entry.max(self.companion.position);
        self.works = work.entry.max(self.works);
        Ok(())
    }

    /// Other rules are in force from here on.
    ///
    /// # Errors
    ///
    /// [`StreamError::Write`].
    pub fn take_rules(&mut self, hash: &str, files: Vec<(String, String)>) -> Result<(), StreamError> {
        if self.companion.hash != hash {
            self.companion.position = self.journal.add(&Entry::Rules { hash, files: &files })?;
        }
        self.know_rules(hash, files);
        Ok(())
    }

    /// Rules are in force again that the journal knows.
    pub(super) fn know_rules(&mut self, hash: &str, files: Vec<(String, String)>) {
        (self.companion.hash, self.companion.files) = (hash.to_owned(), files);
    }

    /// Wants a checkpoint as soon as there can be one: something changed that the journal does not have.
    pub(super) fn checkpoint_soon(&mut self) {
        self.soon = true;
    }

    /// Whether a checkpoint is under way that wants to be looked at often.
    pub(super) fn is_writing(&self) -> bool {
        self.under_way.is_some()
    }

    /// Called between two works: begins a checkpoint if one is due, writes a part of it, and names it once what came of its
    /// inputs is committed. That it cannot be written is no reason to end: the journal grows until it can.
    pub(super) fn look(&mut self, engine: &mut Engine) {
        if let Err(error) = self.try_look(engine) {
            self.kept.failed.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%error, hint = error.hint(), "no checkpoint was written: the journal grows until one is");
        }
    }

    fn try_look(&mut self, engine: &mut Engine) -> Result<(), CheckpointError> {
        if let Some((aside, place)) = self.aside.take() {
            if self.journal.settled() < place.works && !is_planted(Defect::CheckpointEarly) {
                self.aside = Some((aside, place));
                return Ok(());
            }
            self.name(aside, place)?;
        }
        let is_due = self.is_due();
        if self.under_way.is_some() {
            return self.step(engine);
        }
        let has_news = self.newest != Some(self.companion.position);
        if is_due && has_news || std::mem::take(&mut self.soon) {
            self.begin(engine)?;
        } else if is_due {
            // The newest has everything.
            self.kept.at_ms.store((self.options.wall_clock_ms)(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether an interval is over; then the next begins.
    fn is_due(&mut self) -> bool {
        let now = (self.options.monotonic)();
        let is_due = now >= self.due;
        if is_due {
            self.due = now + self.options.interval;
        }
        is_due
    }

    fn begin(&mut self, engine: &mut Engine) -> Result<(), CheckpointError> {
        let begun = (self.options.monotonic)();
        let writing = Writing::begin(&self.options.folder, &self.companion, &self.options.sealing.seal())?;
        let (segments, made) = unbounded::<Part>();
        let (told, written) = bounded(1);
        let job = ToDisk { writing: Some(writing), made, told };
        let disk = self.options.folder.disk().beside(Box::new(job));
        engine.begin_checkpoint();
        self.alerts.want(Some(self.works));
        let place = self.place(engine);
        self.under_way = Some(UnderWay { segments, disk, written, place, begun, has_engine: false, is_whole: false });
        Ok(())
    }

    /// Writes a part of the checkpoint that is under way.
    fn step(&mut self, engine: &mut Engine) -> Result<(), CheckpointError> {
        let Some(under_way) = &mut self.under_way else { return Ok(()) };
        let segments = &under_way.segments;
        let has_room = !under_way.disk.is_finished() && segments.len() < SEGMENTS_WAITING_MAX;
        if !under_way.has_engine && has_room {
            // A disk that failed takes no more; it says why in the end.
            let put = &mut |segment: &[u8]| drop(segments.send(Part::Segment(segment.to_vec())));
            match engine.step_checkpoint(STEP_BYTES, put) {
                CheckpointStep::Unfinished => {}
                CheckpointStep::Finished => under_way.has_engine = true,
                // Other rules came meanwhile.
                CheckpointStep::Cancelled => {
                    self.give_up(engine);
                    self.soon = true;
                    return Ok(());
                }
            }
        }
        // The writer comes to the place of the checkpoint later than the engine.
        if under_way.has_engine
            && !under_way.is_whole
            && let Some(alerts) = self.alerts.take()
        {
            drop(segments.send(Part::Alerts(alerts)));
            under_way.is_whole = true;
        }
        if !under_way.disk.is_finished() {
            return Ok(());
        }
        let Some(UnderWay { written, place, begun, has_engine, .. }) = self.under_way.take() else {
            return Ok(());
        };
        self.alerts.want(None);
        if !has_engine {
            engine.cancel_checkpoint();
        }
        if let Ok(aside) = written.try_recv() {
            let aside = aside?;
            let took = (self.options.monotonic)().saturating_duration_since(begun);
            self.kept.took_us.store(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
            self.aside = Some((aside, place));
        }
        Ok(())
    }

    fn place(&self, engine: &Engine) -> Place {
        Place { position: self.companion.position, works: self.works, events: engine.taken_in() }
    }

    fn give_up(&mut self, engine: &mut Engine) {
        if let Some(under_way) = self.under_way.take() {
            engine.cancel_checkpoint();
            self.alerts.want(None);
            under_way.give_up();
        }
    }

    fn write_aside(&mut self, engine: &Engine) -> Result<(), CheckpointError> {
        let begun = (self.options.monotonic)();
        let (seal, alerts) = (self.options.sealing.seal(), self.alerts.at_rest());
        let aside = checkpoint::write_aside(&self.options.folder, engine, &self.companion, &alerts, &seal)?;
        let took = (self.options.monotonic)().saturating_duration_since(begun);
        self.kept.took_us.store(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.aside = Some((aside, self.place(engine)));
        Ok(())
    }

    /// Lets a checkpoint count: whatever it knows of is in the journal on the disk first, also what nothing came of.
    fn name(&mut self, aside: Aside, place: Place) -> Result<Written, CheckpointError> {
        let Place { position, events, .. } = place;
        self.journal.sync().map_err(|error| self.of_journal(error))?;
        let written = aside.name(events)?;
        self.newest = Some(position);
        self.kept.at_ms.store((self.options.wall_clock_ms)(), Ordering::Relaxed);
        let path = written.path.display();
        tracing::info!(%path, events, bytes = written.bytes, "wrote a checkpoint");
        if let Some(copies) = &self.options.copies {
            // Who copies has ended only where the process is about to.
            drop(copies.send(Due { path: written.path.clone(), events, position }));
        }
        // From here on files of the journal can go as a whole.
        self.journal.roll().map_err(|error| self.of_journal(error))?;
        if let Some(oldest) = checkpoint::oldest_position(&self.options.folder)? {
            self.journal.forget(oldest)?;
        }
        Ok(written)
    }

    /// What the journal says of the disk, as checkpoints say it.
    fn of_journal(&self, error: StreamError) -> CheckpointError {
        let source = match error {
            StreamError::Write { source, .. } => source,
            other => std::io::Error::other(other),
        };
        CheckpointError::Io { doing: "writing", path: self.options.folder.path().to_owned(), source }
    }

    /// Everything was judged, written and committed: keeps what is known of it.
    ///
    /// # Errors
    ///
    /// What the disk says: then the checkpoints and the journal of before are all there.
    pub fn finish(&mut self, engine: &mut Engine) -> Result<Written, CheckpointError> {
        self.give_up(engine);
        self.aside = None;
        // What is out is known to be, whatever comes of the checkpoint.
        self.journal.sync().map_err(|error| self.of_journal(error))?;
        self.write_aside(engine)?;
        let (aside, place) = self.aside.take().expect("it was just written aside");
        self.name(aside, place)
    }
}
