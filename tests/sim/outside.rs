//! Everything outside of the processes of one history, drawn from its seed.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};

use refguard::engine::EngineOptions;
use refguard::ruleset::program::RuleSet;

use crate::disk::{Platter, lock};
use crate::log::{Cluster, Faults};
use crate::pack;
use crate::process::{End, Fate, Why, live};
use crate::random::Random;
use crate::record::Record;
use crate::world::{self, Fact};

const ORACLE: &str = include_str!("../data/oracle/oracle.yaml");
const MORE: &str = include_str!("../data/oracle/checkpoints.yaml");

/// A rule set and its files.
type Rules = (Arc<RuleSet>, Vec<(String, String)>);

fn rules(text: &str) -> Rules {
    (pack::rules(text), vec![("pack.yaml".to_owned(), text.to_owned())])
}

/// The rule sets that a history may have; those in one row may take over from each other.
static RULES: LazyLock<[Vec<Rules>; 2]> = LazyLock::new(|| {
    let other = ORACLE.replace("count_device > 3", "count_device > 2").replace("limit: 3", "limit: 2");
    let third = ORACLE.replace("score: 17", "score: 18");
    [
        vec![rules(ORACLE), rules(&other), rules(&third)],
        vec![rules(MORE), rules(&MORE.replace("by_count > 9", "by_count > 8"))],
    ]
});

/// How the processes of a history are configured, and what it is like.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) engine: EngineOptions,
    /// Which row of rule sets.
    pack: usize,
    pub(crate) partitions: usize,
    pub(crate) records_max: u64,
    pub(crate) works: usize,
    pub(crate) commit_ms: u64,
    pub(crate) checkpoint_ms: u64,
    /// How often it is told what stands of decisions.
    pub(crate) heartbeat_ms: u64,
    /// How much time passes between two steps at most.
    pub(crate) pace_ms: u64,
    pub(crate) reloads: bool,
    pub(crate) processes: u64,
    events: usize,
    faults: Faults,
}

impl Settings {
    fn draw(random: &mut Random) -> Settings {
        let one_of = |random: &mut Random, of: &[u64]| of[random.below(of.len() as u64) as usize];
        let engine = EngineOptions {
            allowed_lateness_ms: crate::auditor::LATENESS_MS,
            dedup_span_ms: crate::auditor::DEDUP_SPAN_MS,
            retention_ms: crate::auditor::RETENTION_MS,
            tells_decisions: true,
            ..EngineOptions::default()
        };
        let bad = one_of(random, &[0, 0, 1, 4]);
        Settings {
            engine,
            pack: usize::from(random.chance(30)),
            partitions: one_of(random, &[1, 2, 3, 3]) as usize,
            records_max: one_of(random, &[1, 3, 8, 30]),
            works: one_of(random, &[1, 2, 4]) as usize,
            commit_ms: one_of(random, &[1, 20, 200, 1000]),
            checkpoint_ms: one_of(random, &[5, 50, 300, 3000]),
            heartbeat_ms: 500,
            pace_ms: one_of(random, &[1, 5, 30, 100]),
            reloads: random.chance(30),
            processes: one_of(random, &[1, 2, 3, 5]),
            events: 20 + random.below(80) as usize,
            faults: Faults {
                call_lost: 2 * bad,
                answer_lost: 2 * bad,
                transaction_lost: bad,
                rebalance: bad,
                away: bad / 3,
            },
        }
    }
}

/// An event that a producer is about to send.
#[derive(Clone, Debug)]
struct Event {
    partition: usize,
    time_ms: i64,
    line: String,
    fact: Option<Fact>,
}

/// The outside.
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) settings: Settings,
    pub(crate) platter: Arc<Mutex<Platter>>,
    pub(crate) cluster: Arc<Mutex<Cluster>>,
    pub(crate) record: Record,
    /// How many processes there were.
    pub(crate) processes: u64,
    /// What is to be sent, and by partition and place what was.
    traffic: VecDeque<Event>,
    pub(crate) facts: Vec<Vec<Option<Fact>>>,
    /// Which of the row is in the folder of the rules.
    today: usize,
    /// Bits that were changed at rest: the file, by its number, and the byte.
    flipped: Vec<(u64, usize)>,
}

impl World {
    pub(crate) fn draw(seed: u64) -> World {
        let mut random = Random(seed);
        let settings = Settings::draw(&mut random);
        let mut fork = || Random(random.below(u64::MAX));
        let (disk, cluster, traffic) = (fork(), fork(), fork());
        World {
            platter: Arc::new(Mutex::new(Platter::new(disk))),
            cluster: Arc::new(Mutex::new(Cluster::new(settings.partitions, cluster))),
            record: Record::default(),
            processes: 0,
            traffic: traffic_of(traffic, &settings),
            facts: vec![Vec::new(); settings.partitions],
            today: 0,
            flipped: Vec::new(),
            random,
            settings,
        }
    }

    /// The rules in the folder.
    pub(crate) fn rules_of_today(&self) -> Rules {
        RULES[self.settings.pack][self.today].clone()
    }

    /// Whether the rules are those that the auditor knows, all the time.
    pub(crate) fn is_recounted(&self) -> bool {
        self.settings.pack == 0 && !self.settings.reloads
    }

    /// Somebody writes others.
    pub(crate) fn change_rules(&mut self) -> Rules {
        self.today = self.random.below(RULES[self.settings.pack].len() as u64) as usize;
        self.rules_of_today()
    }

    pub(crate) fn begin_process(&mut self) -> u64 {
        self.processes += 1;
        self.processes
    }

    /// Producers send some events.
    pub(crate) fn produce(&mut self) {
        for _ in 0..=self.random.below(6) {
            let Some(event) = self.traffic.pop_front() else { return };
            let Event { partition, time_ms, line, fact } = event;
            lock(&self.cluster).send(partition, time_ms, line);
            self.facts[partition].push(fact);
        }
    }

    /// Whether everything was sent and is committed.
    pub(crate) fn is_read(&self) -> bool {
        self.traffic.is_empty() && lock(&self.cluster).is_read()
    }

    /// What the next process meets.
    pub(crate) fn draw_fate(&mut self) -> Fate {
        let random = &mut self.random;
        let touches = match random.below(10) {
            0 => 1 + random.below(20),
            1..7 => 1 + random.below(300),
            _ => u64::MAX,
        };
        let steps = 20 + random.below(600);
        let sleeps_at = random.chance(10).then(|| random.below(steps));
        let (room, syncs) = match random.below(20) {
            0 => (Some(random.below(6000) as usize), None),
            1 => (None, Some(random.below(30))),
            _ => (None, None),
        };
        let last_counts = random.chance(50);
        let mut platter = lock(&self.platter);
        (platter.room, platter.syncs, platter.has_failed) = (room, syncs, false);
        lock(&self.cluster).faults = self.settings.faults;
        Fate { touches, last_counts, steps, sleeps_at, is_last: false }
    }

    /// From here on nothing goes wrong.
    pub(crate) fn calm(&mut self) -> Fate {
        let mut platter = lock(&self.platter);
        (platter.room, platter.syncs, platter.has_failed) = (None, None, false);
        lock(&self.cluster).calm();
        Fate { touches: u64::MAX, last_counts: false, steps: u64::MAX, sleeps_at: None, is_last: true }
    }

    /// Something happens to the machine after a process ended so.
    pub(crate) fn after(&mut self, end: &End) {
        let mut platter = lock(&self.platter);
        let has_crashed = *end == End::Killed || platter.has_failed;
        if has_crashed && self.random.chance(50) {
            platter.cut_power();
        }
        drop(platter);
        if self.random.chance(6) {
            self.flip();
        }
    }

    /// A bit of what is on the disk changes.
    fn flip(&mut self) {
        let mut platter = lock(&self.platter);
        let prefix = ["checkpoint-", "journal-"][self.random.below(2) as usize];
        let paths: Vec<PathBuf> = platter.named(prefix);
        let Some(path) = paths.last() else { return };
        let length = platter.length(path) as u64;
        if length > 0 {
            let at = self.random.below(length) as usize;
            self.flipped.extend(platter.flip(path, at).map(|inode| (inode, at)));
        }
    }

    /// The operator brings back what was there; `false`: nothing was changed.
    pub(crate) fn restore(&mut self) -> bool {
        let was = !self.flipped.is_empty();
        let mut platter = lock(&self.platter);
        self.flipped.drain(..).for_each(|(inode, at)| platter.flip_back(inode, at));
        was
    }

    /// Another process takes over from a copy of the folder, while this one sleeps.
    pub(crate) fn copy_and_take_over(&mut self) -> Result<(), Why> {
        let (sleeper, epoch, own) = (self.processes, lock(&self.cluster).epoch(), Arc::clone(&self.platter));
        let copy = lock(&own).clone();
        self.platter = Arc::new(Mutex::new(copy));
        let fate = Fate { sleeps_at: None, ..self.draw_fate() };
        let end = live(self, fate)?;
        if lock(&self.cluster).epoch() == epoch {
            // It did not come so far: the one that slept goes on as if nothing had been.
            (self.platter, self.processes) = (own, sleeper);
        } else {
            self.after(&end);
        }
        Ok(())
    }
}

fn traffic_of(mut random: Random, settings: &Settings) -> VecDeque<Event> {
    let history = if settings.partitions == 1 {
        world::history(&mut random, settings.events)
    } else {
        world::history_in_partitions(&mut random, settings.events)
    };
    let mut traffic: Vec<Event> = Vec::new();
    let mut last_ms = 0;
    for (line, fact) in history {
        let partition = fact.as_ref().map_or(0, |fact| fact.partition as usize % settings.partitions);
        last_ms = fact.as_ref().map_or(last_ms, |fact| fact.time_ms);
        let fact = fact.map(|fact| Fact { partition: partition as u32, ..fact });
        let event = Event { partition, time_ms: last_ms, line: line.trim_end().to_owned(), fact };
        traffic.push(event.clone());
        if random.chance(4) {
            // A producer that heard no answer sends again, at once or much later.
            let again = traffic[random.below(traffic.len() as u64) as usize].clone();
            traffic.push(again);
        }
    }
    traffic.into()
}
