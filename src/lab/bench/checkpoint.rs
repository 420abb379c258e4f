//! Checkpoints of many keys: how long they are, what an event waits while one is written, and how fast they are read.
//!
//! Five tables are filled with keys of one entry. Then events of random accounts that are known come at half the rate that
//! the engine can take, evenly, and are judged in batches of what has come: first with no checkpoint, then while one is
//! written a part at a time, then with none again, as often as it took. What judging and writing take is measured; when
//! events come and how long nobody has anything to do is reckoned, so that the source of events costs nothing and a run
//! waits for nothing. A file is written by a thread of its own, as in the daemon.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::packs::made;
use super::{BenchError, Plan};
use crate::engine::{CheckpointStep, Engine, EngineOptions, Judgements};
use crate::event::write_time_ms;
use crate::lab::Replay;
use crate::ruleset::program::RuleSet;
use crate::signals::SignalConfig;
use crate::stream::checkpoint::{self, CheckpointError, Companion, Seal, SealName, Seals, Writing};
use crate::stream::disk::Folder;

/// 2026-01-01T00:00:00Z, in milliseconds since the Unix epoch.
const START_MS: i64 = 1_767_225_600_000;
/// Events judged together: as many as come while as many are judged.
const BATCH_EVENTS: u64 = 64;
/// Batches whose events are made up and derived ahead.
const BATCHES_AHEAD: usize = 256;
/// Bytes of a checkpoint that are written between two batches.
const STEP_BYTES: usize = 32 << 10;
/// Events that have come go before a step, but for one in so many batches.
const PASSED_OVER_MAX: u32 = 7;
/// No step is taken while so many segments wait for the disk.
const WAITING_MAX: usize = 32;
/// Accounts are taken in steps of this prime.
const STRIDE: u64 = 7_368_787;
/// What an identity takes in a file.
const IDENTITY_BYTES: usize = 32;
/// The tables that have a key for each account.
const TABLES: u64 = 5;

const PACK: &str = "version: 1
pack: p
features:
  c: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 30d}
  d: {on: [login.succeeded], key: [event.account_id], aggregate: distinct, value: event.device_id, window: 30d}
  l: {on: [login.succeeded], key: [event.account_id], aggregate: last, retention: 90d}
  m: {on: [login.succeeded], key: [event.account_id], aggregate: max, value: event.amount_minor, window: 30d}
  s: {on: [login.succeeded], key: [event.account_id], aggregate: sum, value: event.amount_minor, window: 30d}
rules:
  - {id: r, on: [login.succeeded], when: 'c < 0 || d < 0 || m < 0 || s < 0 || event.time - l < duration(\"-1h\")', score: 1}
";

/// What events wait, from coming to being judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waits {
    /// The middle one.
    pub median: Duration,
    /// One in a hundred waits longer.
    pub p99: Duration,
    /// One in a thousand waits longer.
    pub p999: Duration,
    /// The longest.
    pub longest: Duration,
    /// Nanoseconds of judging an event.
    pub judged_ns: f64,
    /// Nanoseconds of writing, an event.
    pub written_ns: f64,
}

/// What checkpoints cost.
#[derive(Clone, Debug)]
pub struct CheckpointCosts {
    /// Keys of all tables, with one entry each.
    pub keys: u64,
    /// Identities beside them.
    pub identities: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// How long it takes to write it at once, to the disk.
    pub written: Duration,
    /// How long it takes to read and check its bytes, and nothing else; the middle one of the rounds.
    pub checked: Duration,
    /// How long it takes to read an engine; the middle one of the rounds.
    pub recovered: Duration,
    /// Rounds.
    pub rounds: usize,
    /// Events a second: half of what the engine takes.
    pub events_per_second: f64,
    /// What events wait without a checkpoint.
    pub without: Waits,
    /// And while one is written.
    pub with: Waits,
    /// How long beginning it took.
    pub begun: Duration,
    /// The longest step.
    pub longest_step: Duration,
    /// In how many steps it was written.
    pub steps: usize,
}

impl CheckpointCosts {
    /// Bytes of a key in the file, identities left out.
    pub fn key_bytes(&self) -> f64 {
        (self.file_bytes as f64 - (self.identities as usize * IDENTITY_BYTES) as f64) / self.keys as f64
    }

    /// Keys a second when an engine is read.
    pub fn keys_per_second(&self) -> f64 {
        self.keys as f64 / self.recovered.as_secs_f64()
    }
}

/// Closing costs the same under whatever secret.
fn seal() -> Seal {
    Seal::new([7; 32], SealName([7; 8]))
}

fn options() -> EngineOptions {
    EngineOptions { state_max_bytes: usize::MAX, ..EngineOptions::default() }
}

/// Measures checkpoints of so many keys.
pub(super) fn measure(
    keys: u64,
    folder: &Folder,
    plan: &Plan,
    say: &mut dyn FnMut(&str),
) -> Result<CheckpointCosts, BenchError> {
    let rules = made(PACK.to_owned());
    let accounts = keys.div_ceil(TABLES);
    say(&format!("five tables are filled with {accounts} keys each"));
    let mut load = Load::new(&rules, accounts)?;
    load.fill();
    let identities = load.events;
    say("a checkpoint at once");
    let start = (plan.monotonic)();
    let at_once =
        checkpoint::write(folder, &load.engine, &Companion::default(), &[], &seal()).map_err(of_checkpoint)?;
    let written = (plan.monotonic)().duration_since(start);
    say("events at half load, with a checkpoint and without");
    let lane = load.run(folder, plan)?;
    // The memory of one engine is given back before another is read.
    drop(load);
    say("recovery");
    fs::remove_file(&lane.path).map_err(|source| BenchError::Folder { path: lane.path.clone(), source })?;
    let (mut checked, mut recovered) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let start = (plan.monotonic)();
        checkpoint::check(folder, &at_once.path).map_err(of_checkpoint)?;
        checked.push((plan.monotonic)().duration_since(start));
        let start = (plan.monotonic)();
        let found = checkpoint::load(folder, &mut |_| Ok(Arc::clone(&rules)), &options(), &Seals::new(vec![seal()]))
            .map_err(of_checkpoint)?;
        recovered.push((plan.monotonic)().duration_since(start));
        drop(found);
    }
    let middle = |of: &mut Vec<Duration>| {
        of.sort_unstable();
        of.get(of.len() / 2).copied().unwrap_or_default()
    };
    Ok(CheckpointCosts {
        keys: accounts * TABLES,
        identities,
        file_bytes: at_once.bytes,
        written,
        checked: middle(&mut checked),
        recovered: middle(&mut recovered),
        rounds: plan.rounds,
        events_per_second: lane.events_per_second,
        without: lane.without,
        with: lane.with,
        begun: lane.begun,
        longest_step: lane.longest_step,
        steps: lane.steps,
    })
}

fn of_checkpoint(error: CheckpointError) -> BenchError {
    BenchError::Checkpoint(Box::new(error))
}

/// An engine, and where its events come from.
struct Load {
    engine: Engine,
    source: Replay,
    accounts: u64,
    events: u64,
    text: String,
    judgements: Judgements,
}

/// What one run saw.
struct Lane {
    events_per_second: f64,
    without: Waits,
    with: Waits,
    begun: Duration,
    longest_step: Duration,
    steps: usize,
    path: std::path::PathBuf,
}

/// When events come and are judged: in nanoseconds since the first.
struct Queue {
    /// Between two events.
    gap_ns: f64,
    came: u64,
    free_at_ns: f64,
    waits_ns: Vec<u64>,
    judged: Duration,
    written: Duration,
}

impl Queue {
    fn new(gap_ns: f64) -> Queue {
        Queue {
            gap_ns,
            came: 0,
            free_at_ns: 0.0,
            waits_ns: Vec::new(),
            judged: Duration::ZERO,
            written: Duration::ZERO,
        }
    }

    /// The next batch is judged once its last event has come, and takes so long.
    fn judged(&mut self, took: Duration) {
        self.judged += took;
        let last = self.came + BATCH_EVENTS - 1;
        let done_ns = self.free_at_ns.max(last as f64 * self.gap_ns) + took.as_nanos() as f64;
        self.waits_ns.extend((self.came..=last).map(|event| (done_ns - event as f64 * self.gap_ns) as u64));
        (self.came, self.free_at_ns) = (last + 1, done_ns);
    }

    /// Whether the next batch has come.
    fn has_next(&self) -> bool {
        (self.came + BATCH_EVENTS - 1) as f64 * self.gap_ns <= self.free_at_ns
    }

    /// Writing took so long.
    fn wrote(&mut self, took: Duration) {
        self.written += took;
        self.free_at_ns += took.as_nanos() as f64;
    }

    fn waits(mut self) -> Waits {
        self.waits_ns.sort_unstable();
        let place = |permille: usize| {
            let place = (self.waits_ns.len() * permille / 1000).min(self.waits_ns.len().saturating_sub(1));
            Duration::from_nanos(self.waits_ns.get(place).copied().unwrap_or_default())
        };
        let each_ns = |of: Duration| of.as_nanos() as f64 / self.came.max(1) as f64;
        let (judged_ns, written_ns) = (each_ns(self.judged), each_ns(self.written));
        let (median, p99, p999, longest) = (place(500), place(990), place(999), place(1000));
        Waits { median, p99, p999, longest, judged_ns, written_ns }
    }
}

impl Load {
    fn new(rules: &Arc<RuleSet>, accounts: u64) -> Result<Load, BenchError> {
        Ok(Load {
            engine: Engine::new(Arc::clone(rules), options()),
            source: Replay::new(Arc::clone(rules), &SignalConfig::default(), EngineOptions::default())?,
            accounts,
            events: 0,
            text: String::new(),
            judgements: Judgements::default(),
        })
    }

    /// Every account comes once.
    fn fill(&mut self) {
        while self.events < self.accounts {
            self.prepare(256.min(self.accounts - self.events));
            self.judgements.clear();
            self.engine.judge(self.source.batch(), self.source.signals(), &mut self.judgements);
        }
    }

    /// Makes up the next events: accounts in steps of a prime, so that each is as cold as the caches leave it.
    fn prepare(&mut self, events: u64) {
        self.text.clear();
        for _ in 0..events {
            write_event(&mut self.text, self.events, self.accounts);
            self.events += 1;
        }
        self.source.parse(&self.text);
        self.source.derive();
    }

    /// Judges so many batches, one after the other; how long each took. `between` is called after each.
    fn judge(&mut self, plan: &Plan, batches: usize, mut each: impl FnMut(&mut Engine, Duration) -> bool) {
        let batch = BATCH_EVENTS as usize;
        let mut left = batches;
        while left > 0 {
            let ahead = left.min(BATCHES_AHEAD);
            left -= ahead;
            self.prepare((ahead * batch) as u64);
            for from in (0..ahead).map(|at| at * batch) {
                self.judgements.clear();
                let (events, signals) = (self.source.batch(), self.source.signals());
                let start = (plan.monotonic)();
                self.engine.judge_part(events, signals, from..from + batch, &mut self.judgements);
                let took = (plan.monotonic)().duration_since(start);
                if !each(&mut self.engine, took) {
                    return;
                }
            }
        }
    }

    fn run(&mut self, folder: &Folder, plan: &Plan) -> Result<Lane, BenchError> {
        let mut sum = Duration::ZERO;
        let batches = 32 * BATCHES_AHEAD;
        self.judge(plan, batches, |_, took| {
            sum += took;
            true
        });
        // Twice as long as the engine takes: half load.
        let gap_ns = 2.0 * sum.as_nanos() as f64 / (batches as u64 * BATCH_EVENTS) as f64;
        let mut with = Queue::new(gap_ns);
        let mut lane = Lane {
            events_per_second: 1e9 / gap_ns,
            without: Waits::default(),
            with: Waits::default(),
            begun: Duration::ZERO,
            longest_step: Duration::ZERO,
            steps: 0,
            path: folder.path().to_owned(),
        };
        let mut without = Queue::new(gap_ns);
        self.judge(plan, batches, |_, took| {
            without.judged(took);
            true
        });
        self.with_checkpoint(folder, plan, &mut with, &mut lane)?;
        let batches = (with.waits_ns.len() / BATCH_EVENTS as usize).saturating_sub(batches).max(BATCHES_AHEAD);
        self.judge(plan, batches, |_, took| {
            without.judged(took);
            true
        });
        (lane.without, lane.with) = (without.waits(), with.waits());
        Ok(lane)
    }

    fn with_checkpoint(
        &mut self,
        folder: &Folder,
        plan: &Plan,
        queue: &mut Queue,
        lane: &mut Lane,
    ) -> Result<(), BenchError> {
        let events = self.engine.taken_in();
        let mut writing = Writing::begin(folder, &Companion::default(), &seal()).map_err(of_checkpoint)?;
        let start = (plan.monotonic)();
        self.engine.begin_checkpoint();
        lane.begun = (plan.monotonic)().duration_since(start);
        queue.wrote(lane.begun);
        let (waiting, mut passed_over) = (AtomicUsize::new(0), 0);
        let (segments, written) = mpsc::channel::<Vec<u8>>();
        std::thread::scope(|scope| {
            let disk = scope.spawn(|| {
                for segment in written {
                    writing.put(&segment)?;
                    waiting.fetch_sub(1, Ordering::Relaxed);
                }
                writing.end(&[])?.name(events)
            });
            let put = &mut |segment: &[u8]| {
                waiting.fetch_add(1, Ordering::Relaxed);
                // Who no longer takes any says why in the end.
                drop(segments.send(segment.to_vec()));
            };
            self.judge(plan, usize::MAX, |engine, took| {
                queue.judged(took);
                passed_over += 1;
                let disk_is_behind = waiting.load(Ordering::Relaxed) >= WAITING_MAX && !disk.is_finished();
                if disk_is_behind || queue.has_next() && passed_over <= PASSED_OVER_MAX {
                    return true;
                }
                passed_over = 0;
                let start = (plan.monotonic)();
                let step = engine.step_checkpoint(STEP_BYTES, put);
                let took = (plan.monotonic)().duration_since(start);
                queue.wrote(took);
                lane.longest_step = lane.longest_step.max(took);
                lane.steps += 1;
                step == CheckpointStep::Unfinished
            });
            drop(segments);
            lane.path = disk.join().expect("writing does not panic").map_err(of_checkpoint)?.path;
            Ok(())
        })
    }
}

/// The login that has this place among all: of the next account in steps of a prime.
fn write_event(out: &mut String, place: u64, accounts: u64) {
    let account = (u128::from(place) * u128::from(STRIDE) % u128::from(accounts)) as u64;
    let mut time = Vec::new();
    // A hundred thousand events a second, so that nothing leaves.
    write_time_ms(&mut time, START_MS + (place / 100) as i64);
    out.push_str("{\"specversion\":\"1.0\",\"source\":\"/bench\",\"type\":\"login.succeeded\",\"time\":\"");
    out.push_str(&String::from_utf8_lossy(&time));
    out.push_str(&format!(
        "\",\"id\":\"{place}\",\"data\":{{\"account_id\":\"a{account}\",\"device_id\":\"d{account}\",\"amount_minor\":{}}}}}\n",
        account % 1000
    ));
}
