//! Histories of faults, each from one seed: processes that judge a log and keep a state are cut off at any touch of the disk or the
//! cluster, which lose, tear, repeat and delay what they may; and what a reader of committed records sees at the end is what an
//! engine says that was never disturbed, byte for byte.
//!
//! The code that keeps, replays and commits is the daemon's own; the disk (`sim/disk.rs`) and the log (`sim/log.rs`) are fakes
//! whose fault models stand at their top. One thread, no clock, no waiting: the same seed is the same history.
//! `REFGUARD_SIM_SEED=7 cargo test --test sim` tells one again; `REFGUARD_SIM_HISTORIES` says how many there are, and
//! `REFGUARD_SIM_FROM` from which seed on.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

#[path = "oracle_engine/auditor.rs"]
mod auditor;
#[path = "sim/clock.rs"]
mod clock;
#[path = "oracle_engine/compare.rs"]
mod compare;
#[path = "sim/decisions.rs"]
mod decisions;
#[path = "sim/disk.rs"]
mod disk;
#[path = "support/followed.rs"]
mod followed;
#[path = "sim/life.rs"]
mod life;
#[path = "sim/log.rs"]
mod log;
#[path = "sim/outside.rs"]
mod outside;
#[path = "support/pack.rs"]
mod pack;
#[path = "sim/process.rs"]
mod process;
#[path = "support/random.rs"]
mod random;
#[path = "sim/record.rs"]
mod record;
#[path = "sim/recount.rs"]
mod recount;
#[path = "oracle_engine/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use refguard::state::planted::{self, Defect};

use disk::lock;
use outside::World;
use process::{End, Why, live};
use record::Undisturbed;

/// How many histories `make test` runs.
const HISTORIES: u64 = 10_000;

/// How many failures are told at most, by each thread.
const WRONG_MAX: usize = 10;

/// How often what has happened.
type Counts = BTreeMap<String, u64>;

/// Runs a history. `Err`: what is wrong.
fn history(seed: u64) -> Result<Counts, String> {
    clock::begin();
    let mut world = World::draw(seed);
    let mut counts = Counts::new();
    for _ in 0..world.settings.processes {
        let fate = world.draw_fate();
        trace(|| format!("a process begins: {fate:?}"));
        let ended = live(&mut world, fate);
        trace(|| format!("it ended: {ended:?}"));
        match ended {
            Ok(end) => {
                let what = match &end {
                    End::Outside(_) => "ended by the outside".to_owned(),
                    other => format!("{other:?}"),
                };
                *counts.entry(what).or_default() += 1;
                world.after(&end);
            }
            Err(Why::Checkpoint(_) | Why::Unknown(_)) if world.restore() => {
                *counts.entry("refused".to_owned()).or_default() += 1;
            }
            Err(why) => return Err(format!("a process ended: {why}")),
        }
    }
    world.restore();
    let fate = world.calm();
    match live(&mut world, fate) {
        Ok(End::Asked) => {}
        Ok(other) => return Err(format!("the last process ended: {other:?}")),
        Err(why) => return Err(format!("the last process ended: {why}")),
    }
    audit(&world)?;
    *counts.entry("verdicts".to_owned()).or_default() += lock(&world.cluster).outputs[0].len() as u64;
    *counts.entry("changes of decisions".to_owned()).or_default() += lock(&world.cluster).outputs[3].len() as u64;
    Ok(counts)
}

/// Compares what a reader sees with what was never disturbed.
fn audit(world: &World) -> Result<(), String> {
    let cluster = lock(&world.cluster);
    let mut next = vec![0; cluster.sent.len()];
    for (partition, offset) in world.record.records() {
        let place = &mut next[partition as usize];
        let expected = cluster.sent[partition as usize].get(*place).map(|sent| sent.offset);
        if expected != Some(offset) {
            return Err(format!("of partition {partition} record {offset} was judged where {expected:?} comes next"));
        }
        *place += 1;
    }
    let lost = next.iter().zip(&cluster.sent).position(|(next, sent)| *next < sent.len());
    if let Some(partition) = lost {
        return Err(format!("of partition {partition} only {} records were judged", next[partition]));
    }
    let (first, _) = world.record.inputs.first().map(|(_, input)| (input, ())).unwrap();
    let record::Input::Rules(rules) = first else { return Err("rules come before anything else".to_owned()) };
    let mut undisturbed = Undisturbed::new(rules, world.settings.engine.clone());
    world.record.inputs.iter().for_each(|(_, input)| undisturbed.take(input, &cluster.sent));
    let names = ["verdict", "dead letter", "alert"];
    // What a tick alone tells of alerts has no place that is committed with it: after a crash it may be missing.
    let compared = if world.record.has_ticks_alone() { 2 } else { 3 };
    for (at, name) in names.iter().enumerate().take(compared) {
        same(name, &cluster.outputs[at], &undisturbed.said[at])?;
    }
    same("decision", &decisions::changes(&cluster.outputs[3])?, &undisturbed.said[3])?;
    drop(cluster);
    if world.is_recounted() { recount::recount(world) } else { Ok(()) }
}

fn same(name: &str, seen: &[Vec<u8>], expected: &[Vec<u8>]) -> Result<(), String> {
    let text =
        |line: Option<&Vec<u8>>| line.map_or("nothing".into(), |line| String::from_utf8_lossy(line).into_owned());
    for at in 0..seen.len().max(expected.len()) {
        let (seen, expected) = (seen.get(at), expected.get(at));
        if seen != expected {
            let (seen, expected) = (text(seen), text(expected));
            let same = seen.bytes().zip(expected.bytes()).take_while(|(one, other)| one == other).count();
            let rest = |line: &str| line.chars().skip(same.saturating_sub(40)).take(200).collect::<String>();
            let (id, seen, expected) = (expected.chars().take(50).collect::<String>(), rest(&seen), rest(&expected));
            return Err(format!(
                "{name} {at}, {id}..., differs at byte {same}: it is\n  ...{seen}\nand should be\n  ...{expected}"
            ));
        }
    }
    Ok(())
}

/// Tells what happens, where somebody looks at one seed.
fn trace(what: impl FnOnce() -> String) {
    if *TRACES {
        eprintln!("{} {}", clock::passed_ms(), what());
    }
}

static TRACES: LazyLock<bool> = LazyLock::new(|| asked("REFGUARD_SIM_SEED").is_some());

/// A number from the environment.
#[expect(clippy::disallowed_methods, reason = "who looks for a failure says where")]
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[test]
fn whatever_happens_a_reader_sees_what_an_undisturbed_run_says() {
    let seed = asked("REFGUARD_SIM_SEED");
    let from = asked("REFGUARD_SIM_FROM").unwrap_or(0);
    let all = from..from + asked("REFGUARD_SIM_HISTORIES").unwrap_or(HISTORIES);
    let seeds = seed.map_or(all, |seed| seed..seed + 1);
    let next = AtomicU64::new(seeds.start);
    let run = || {
        let (mut sum, mut wrong) = (Counts::new(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || wrong.len() >= WRONG_MAX {
                return (sum, wrong);
            }
            match history(seed) {
                Ok(told) => told.into_iter().for_each(|(what, count)| *sum.entry(what).or_default() += count),
                Err(what) => wrong.push(format!("REFGUARD_SIM_SEED={seed}: {what}")),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let (sums, wrong): (Vec<Counts>, Vec<Vec<String>>) = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).unzip()
    });
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mut all = Counts::new();
    sums.into_iter().flatten().for_each(|(what, count)| *all.entry(what).or_default() += count);
    eprintln!("{all:?}");
}

/// What a history is good for: it finds what is planted.
#[test]
fn each_planted_defect_is_found_within_some_histories() {
    let defects = [
        (Defect::SyncSkipped, 100),
        (Defect::PlacesEarly, 100),
        (Defect::AddedTwice, 100),
        (Defect::CheckpointEarly, 300),
    ];
    for (defect, histories) in defects {
        planted::plant(Some(defect));
        let found = (0..histories).find_map(|seed| Some((seed, history(seed).err()?)));
        planted::plant(None);
        let (seed, what) = found.unwrap_or_else(|| panic!("{defect:?} was not found in {histories} histories"));
        eprintln!("{defect:?}: history {seed}: {what}");
    }
}
