//! One process: started as the daemon starts, driven a step at a time, and ended in whichever way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Sender, never, unbounded};
use refguard::alerts::Alerts;
use refguard::daemon::recovery::{self, Handing, Known, NoPlan, NotSettled, Topics};
use refguard::engine::{Engine, wanted_after};
use refguard::event::{ParseOptions, Parser};
use refguard::ruleset::Premises;
use refguard::ruleset::program::RuleSet;
use refguard::signals::{Deriver, SignalConfig, Wanted};
use refguard::stream::checkpoint::{CheckpointError, Seal, SealName, Sealing, Seals};
use refguard::stream::disk::Folder;
use refguard::stream::journal::Journal;
use refguard::stream::pipeline::{
    Alerting, Input as Source, KeepOptions, Keeping, Notice, Observer, Pipeline, Probe, Reader, Reload, Sinks, Step,
    Steps, Work,
};
use refguard::stream::{Sink, StreamError};

use crate::clock;
use crate::decisions;
use crate::disk::{SimDisk, lock};
use crate::life::Life;
use crate::log::{Client, Handed, SimLog, SimProducer, SimSubscription};
use crate::outside::World;
use crate::record::{ALERTS, Input, SIGNALS, SOURCE};
use crate::trace;

/// Where its state lies.
pub(crate) const FOLDER: &str = "/state";
/// After so many steps a process that is to come to its end has hung.
const STEPS_MAX: u64 = 200_000;

/// What one process is to meet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    /// Touches of the outside until it is cut off.
    pub(crate) touches: u64,
    pub(crate) last_counts: bool,
    /// Steps until it is asked to end.
    pub(crate) steps: u64,
    /// Steps until it sleeps, and another takes over from a copy of its folder.
    pub(crate) sleeps_at: Option<u64>,
    /// It is the last: it reads everything, and ends.
    pub(crate) is_last: bool,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was cut off.
    Killed,
    /// It was asked to.
    Asked,
    /// Something outside has failed, and it said so.
    Outside(String),
    /// Another has taken over.
    Fenced,
}

/// Why it ended by itself.
#[derive(Debug)]
pub(crate) enum Why {
    Stream(StreamError),
    Checkpoint(CheckpointError),
    Unknown(String),
    Hangs,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Why::Stream(error) => write!(f, "{error}"),
            Why::Checkpoint(error) => write!(f, "{error}"),
            Why::Unknown(what) => f.write_str(what),
            Why::Hangs => f.write_str("it does not come to its end"),
        }
    }
}

impl From<StreamError> for Why {
    fn from(error: StreamError) -> Why {
        Why::Stream(error)
    }
}

impl From<CheckpointError> for Why {
    fn from(error: CheckpointError) -> Why {
        Why::Checkpoint(error)
    }
}

impl From<NoPlan> for Why {
    fn from(error: NoPlan) -> Why {
        match error {
            NoPlan::Stream(error) => error.into(),
            NoPlan::Unknown(unknown) => Why::Unknown(unknown.what),
        }
    }
}

impl From<NotSettled> for Why {
    fn from(error: NotSettled) -> Why {
        match error {
            NotSettled::Stream(error) => error.into(),
            NotSettled::Checkpoint(error) => error.into(),
            NotSettled::Signals(error) => panic!("{error}"),
        }
    }
}

/// Two secrets.
fn seals() -> Seals {
    Seals::new([1, 2].map(|byte| Seal::new([byte; 32], SealName([byte; 8]))).to_vec())
}

/// The secret under which checkpoints are closed becomes another every few of them, while the process lives.
#[derive(Debug)]
struct Rotating(Seals);

impl Sealing for Rotating {
    fn seal(&mut self) -> Seal {
        let turn = clock::passed_ms() as usize / 1000;
        let all = self.0.all();
        all[turn % all.len()].clone()
    }
}

/// Sees which rules are in force, between two works that are new.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Option<Arc<RuleSet>>>>);

impl Probe for Seen {
    fn look(&mut self, engine: &mut Engine) {
        *lock(&self.0) = Some(Arc::clone(engine.rules()));
    }
}

struct Nobody;

impl Observer for Nobody {
    fn written(&mut self, _work: &Work) {}
}

/// Lives once. `Err`: it ended by itself and should not have.
pub(crate) fn live(world: &mut World, fate: Fate) -> Result<End, Why> {
    let life = Life::new(fate.touches, fate.last_counts);
    let number = world.begin_process();
    let platter = Arc::clone(&world.platter);
    let ended = Process::run(world, number, &life, fate);
    match ended {
        _ if life.is_over() => Ok(End::Killed),
        Ok(()) => Ok(End::Asked),
        Err(Why::Stream(StreamError::Fenced { .. })) => Ok(End::Fenced),
        Err(why) if may_fail(&why, lock(&platter).has_failed) => Ok(End::Outside(why.to_string())),
        Err(why) => Err(why),
    }
}

/// Whether a process may end by itself for this reason.
fn may_fail(why: &Why, disk_failed: bool) -> bool {
    match why {
        Why::Stream(StreamError::Unreachable { .. }) => true,
        Why::Stream(StreamError::Kafka { doing, .. }) => doing == "delivering the last outputs before the end",
        Why::Stream(StreamError::Write { .. }) | Why::Checkpoint(CheckpointError::Io { .. }) => disk_failed,
        _ => false,
    }
}

/// One that was started.
struct Process<'w> {
    world: &'w mut World,
    /// Which it is: only the newest keeps the record.
    number: u64,
    life: Arc<Life>,
    disk: Arc<SimDisk>,
    subscription: Arc<SimSubscription>,
    journal: Arc<Journal>,
    seen: Seen,
    hand_over: Sender<Reload>,
    wanted: Wanted,
    fate: Fate,
}

impl Process<'_> {
    fn run(world: &mut World, number: u64, life: &Arc<Life>, fate: Fate) -> Result<(), Why> {
        let settings = world.settings.clone();
        let disk = Arc::new(SimDisk::new(Arc::clone(&world.platter), Arc::clone(life)));
        let folder = Folder::on(disk.clone(), FOLDER);
        let client = Client { cluster: Arc::clone(&world.cluster), life: Arc::clone(life) };
        let (signals, premises) = (&*SIGNALS, Premises::default());
        let (rules, texts) = world.rules_of_today();
        let (found, past) = recovery::read(&folder, &rules, (&settings.engine, &seals()), &premises)?;
        let Known { mut engine, newest, alerts: open } = recovery::known(found.loaded, &rules, &settings.engine);
        let producer = SimProducer::take_over(client.clone())?;
        let topics =
            [Topics { index: 0, name: SOURCE.to_owned(), log: Arc::new(SimLog(client.clone())), has_history: false }];
        let mut plan = recovery::plan(&past, &topics, false, (engine.wanted(), &premises, signals))?;
        let resume = plan.resume.remove(SOURCE).unwrap_or_default();
        let subscription = Arc::new(SimSubscription::join(client, settings.records_max, &resume));
        let reader = reader(Arc::clone(&subscription), plan.wanted, signals);
        let options = KeepOptions {
            folder,
            sealing: Box::new(Rotating(seals())),
            interval: Duration::from_millis(settings.checkpoint_ms),
            wall_clock_ms: clock::wall_clock_ms,
            monotonic: clock::monotonic,
            ship_from: None,
            copies: None,
        };
        let mut alerts = Alerts::new(ALERTS, Arc::clone(engine.rules()));
        alerts.restore(&open).expect("they were whole when they were written");
        // Nothing was refused, and from here on the folder changes.
        world.record.cut(past.scan.next());
        let mut keeper = recovery::keeper(options, past, newest, open)?;
        let (hand_over, reloads) = unbounded();
        let handing = Handing { signals, readers: 1, hand_over: &hand_over };
        let ours = (Arc::clone(&rules), texts);
        let later = recovery::settle_in(&mut keeper, &mut engine, &plan, ours, false, |_| true, &handing)?;
        let wanted = later.unwrap_or(plan.wanted);
        let journal = Arc::clone(keeper.journal());
        let seen = Seen::default();
        if plan.replay.is_none() {
            world.record.note_rules(engine.rules(), journal.next());
        }
        let stop = AtomicBool::new(false);
        let (mut probe, mut observer) = (seen.clone(), Nobody);
        let alerts = Alerting { alerts, sink: Some(Sink::Kafka(producer.topic(2))) };
        let decisions = decisions::telling(world, &engine, producer.topic(3));
        let sinks = Sinks {
            verdicts: Sink::Kafka(producer.topic(0)),
            dead_letters: Sink::Kafka(producer.topic(1)),
            alerts: Some(alerts),
            decisions: Some(decisions),
            events: None,
        };
        let interval = Duration::from_millis(settings.commit_ms);
        let (replay, producer) = (plan.replay, Some(Box::new(producer) as _));
        let keeping = Keeping { keeper: &mut keeper, replay, interval, producer, shipping: None };
        let steps = Pipeline {
            readers: vec![reader],
            engine: &mut engine,
            probe: &mut probe,
            sinks,
            observer: &mut observer,
            works_per_source: settings.works,
            stop: &stop,
        }
        .steps(reloads, never(), Some(keeping))?;
        let life = Arc::clone(life);
        let mut process =
            Process { world: &mut *world, number, life, disk, subscription, journal, seen, hand_over, wanted, fate };
        process.drive(steps, &stop)?;
        keeper.finish(&mut engine)?;
        Ok(())
    }

    /// Does steps until it is asked to end, and those that are left then.
    fn drive(&mut self, mut steps: Steps<'_>, stop: &AtomicBool) -> Result<(), Why> {
        let mut done = 0;
        while !self.is_asked(done) {
            if self.life.is_over() {
                return Ok(());
            }
            if self.fate.sleeps_at == Some(done) {
                self.world.copy_and_take_over()?;
            }
            self.step(&mut steps)?;
            done += 1;
            if done > STEPS_MAX {
                return Err(Why::Hangs);
            }
        }
        stop.store(true, Ordering::Release);
        while !steps.is_drained() && !self.life.is_over() {
            clock::pass(self.world.random.below(20));
            steps.replay()?;
            self.judge(&mut steps)?;
            steps.write()?;
            self.disk.work();
        }
        steps.last()?;
        while steps.write()? == Step::Waits && !self.life.is_over() {
            clock::pass(self.world.random.below(60));
        }
        steps.end()?;
        Ok(())
    }

    fn is_asked(&self, done: u64) -> bool {
        if self.fate.is_last { self.world.is_read() } else { done >= self.fate.steps }
    }

    /// One of the threads has its turn, or somebody outside.
    fn step(&mut self, steps: &mut Steps<'_>) -> Result<(), Why> {
        let world = &mut *self.world;
        let pace = world.settings.pace_ms;
        clock::pass(world.random.below(pace + 1));
        match world.random.below(100) {
            0..15 => world.produce(),
            15..16 if world.settings.reloads => self.reload(),
            15..30 => drop(steps.replay()?),
            30..50 => self.read(steps)?,
            50..70 => self.judge(steps)?,
            70..76 => {
                steps.idle()?;
                self.look();
            }
            76..94 => drop(steps.write()?),
            // A disk has its own pace.
            _ => drop((0..=world.random.below(30)).find(|_| !self.disk.work())),
        }
        Ok(())
    }

    fn is_newest(&self) -> bool {
        self.number == self.world.processes
    }

    fn read(&mut self, steps: &mut Steps<'_>) -> Result<(), Why> {
        let mut read = None;
        steps.read(0, |work| {
            let ticks = work.notices.iter().all(|notice| matches!(notice, Notice::Tick(..)));
            let has_more = !ticks || !work.batch.events.is_empty() || !work.dead_letters.is_empty();
            read = Some((work.notices.clone(), has_more));
        })?;
        let Some((notices, has_more)) = read else { return Ok(()) };
        let handed = if has_more { self.subscription.take_handed() } else { None };
        let records = if let Some(Handed::Records(records)) = handed { records } else { Vec::new() };
        if self.is_newest() {
            self.world.record.read.push_back(Input::Work(notices, records));
        }
        Ok(())
    }

    fn judge(&mut self, steps: &mut Steps<'_>) -> Result<(), Why> {
        let is_new = !steps.is_replaying();
        let mut entry = None;
        steps.judge(|work| entry = Some(work.entry()))?;
        if let Some(entry) = entry {
            trace(|| format!("process {} judged up to entry {entry}, new: {is_new}", self.number));
        }
        if let (Some(entry), true, true) = (entry, is_new, self.is_newest()) {
            let input = self.world.record.read.pop_front().expect("what is judged was read");
            trace(|| format!("{input:?}"));
            self.world.record.inputs.push((entry, input));
        }
        self.look();
        Ok(())
    }

    /// Looks whether other rules are in force.
    fn look(&mut self) {
        let seen = lock(&self.seen.0).take();
        if let Some(rules) = seen.filter(|_| self.is_newest()) {
            self.world.record.note_rules(&rules, self.journal.next());
        }
    }

    /// The operator changes the rules.
    fn reload(&mut self) {
        // One after the other, so that each is seen in force.
        if !self.is_newest() || !self.hand_over.is_empty() {
            return;
        }
        let (rules, texts) = self.world.change_rules();
        self.wanted = wanted_after(self.wanted, &rules);
        let reload = Reload::new(rules, self.wanted, &SIGNALS, 1);
        let (reload, _) = reload.expect("the defaults need no file");
        // The other end lives as long as the steps.
        drop(self.hand_over.send(reload.with_files(texts)));
    }
}

fn reader(subscription: Arc<SimSubscription>, wanted: Wanted, signals: &SignalConfig) -> Reader {
    Reader {
        index: 0,
        name: SOURCE.to_owned(),
        input: Source::Kafka(subscription),
        parser: Parser::new(ParseOptions::default()),
        mapping: None,
        deriver: Deriver::new(wanted, signals).expect("the defaults need no file"),
        wall_clock_ms: clock::wall_clock_ms,
        monotonic: clock::monotonic,
        ticks: true,
    }
}
