//! What comes again changes nothing, in whatever order it comes, across whatever edge of a window, hours later and after a
//! restart: of everything else the same is said as where nothing came twice, and of what comes again what was said at first.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{MORE, RULES, restored, segments, text};
use crate::random::Random;
use crate::{History, options, pack, world};
use refguard::engine::EngineOptions;
use refguard::lab::Replay;
use refguard::signals::SignalConfig;

/// Identities are remembered for longer than any of these histories is.
fn remembering() -> EngineOptions {
    EngineOptions { dedup_span_ms: 400 * 86_400_000, ..options() }
}

/// The history with earlier lines in between: the last ones in any order, as after a rebalance, and some of long ago.
fn come_again(random: &mut Random, history: &History) -> History {
    let mut lines: History = Vec::new();
    let mut passed: History = Vec::new();
    for line in history {
        lines.push(line.clone());
        passed.push(line.clone());
        match random.below(100) {
            // A, B, A.
            0..15 => lines.push(passed[passed.len().saturating_sub(2)].clone()),
            15..18 => {
                let mut last = passed[passed.len().saturating_sub(20)..].to_vec();
                while !last.is_empty() {
                    lines.push(last.swap_remove(random.below(last.len() as u64) as usize));
                }
            }
            18..25 => lines.push(passed[random.below(passed.len() as u64) as usize].clone()),
            _ => {}
        }
    }
    lines
}

/// Judges in batches of any size; now and then the engine goes through a checkpoint.
fn judged(random: &mut Random, history: &History, pack: &str, restarts: bool) -> Vec<String> {
    let rules = pack::rules(pack);
    let mut replay = Replay::new(rules.clone(), &SignalConfig::default(), remembering()).unwrap();
    let (mut out, mut rest) = (Vec::new(), &history[..]);
    while !rest.is_empty() {
        let (batch, after) = rest.split_at((1 + random.below(80) as usize).min(rest.len()));
        replay.judge(&text(batch));
        replay.write(&mut out);
        if restarts && random.chance(2) {
            let engine = restored(&segments(replay.engine()), &rules, remembering()).unwrap();
            replay.go_on_with(engine, &SignalConfig::default()).unwrap();
        }
        rest = after;
    }
    String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
}

/// The event of a verdict line, and its verdict.
fn named(line: &str) -> (String, Value) {
    let said: Value = serde_json::from_str(line).unwrap();
    (format!("{} {} {}", said["program"], said["source"], said["event_id"]), said["verdict"].clone())
}

/// What was judged, and what was answered again.
fn parted(lines: Vec<String>) -> (Vec<String>, Vec<String>) {
    lines.into_iter().partition(|line| !line.contains("\"duplicate\":true"))
}

#[test]
fn what_comes_again_moves_no_count() {
    for (pack, seeds) in [(RULES, 900..908), (MORE, 910..918)] {
        for seed in seeds {
            let random = &mut Random(seed);
            let history = world::history(random, 3000);
            let again = come_again(random, &history);
            let (once, _) = parted(judged(random, &history, pack, false));
            let (firsts, repeats) = parted(judged(random, &again, pack, true));
            for (at, (first, once)) in firsts.iter().zip(&once).enumerate() {
                assert_eq!(first, once, "seed {seed}, line {at}");
            }
            assert_eq!(firsts.len(), once.len(), "seed {seed}");
            let verdicts: BTreeMap<String, Value> = firsts.iter().map(|line| named(line)).collect();
            for (id, verdict) in repeats.iter().map(|line| named(line)) {
                assert_eq!(verdicts.get(&id), Some(&verdict), "seed {seed}: {id}");
            }
            assert!(repeats.len() > 1000, "seed {seed}: {}", repeats.len());
        }
    }
}
