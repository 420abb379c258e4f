//! An engine that is written, read and goes on says what one says that was never stopped, byte for byte; under other
//! rules, what one says that went over to them by a reload at that place.

#[path = "cuts.rs"]
mod cuts;
#[path = "first_format.rs"]
mod first_format;
#[path = "redelivery.rs"]
mod redelivery;

use std::sync::Arc;

use refguard::engine::{Backfill, Engine, EngineOptions, RestoreError, Restoring};
use refguard::lab::Replay;
use refguard::ruleset::program::RuleSet;
use refguard::signals::SignalConfig;
use refguard::state::HashKey;

use crate::random::Random;
use crate::{History, options, pack, reloads, replay, world};

const RULES: &str = include_str!("../data/oracle/oracle.yaml");
const MORE: &str = include_str!("../data/oracle/checkpoints.yaml");

fn segments(engine: &Engine) -> Vec<Vec<u8>> {
    let mut segments = Vec::new();
    engine.checkpoint(&mut |segment| segments.push(segment.to_vec()));
    segments
}

fn restored(segments: &[Vec<u8>], rules: &Arc<RuleSet>, options: EngineOptions) -> Result<Engine, RestoreError> {
    let mut restoring = Restoring::new(Arc::clone(rules), options);
    segments.iter().try_for_each(|segment| restoring.take(segment))?;
    restoring.finish().map(|(engine, _)| engine)
}

fn text(lines: &[(String, Option<world::Fact>)]) -> String {
    lines.iter().map(|(line, _)| line.as_str()).collect()
}

/// What is said of the lines, and at the end of the engine.
#[derive(Debug, PartialEq)]
struct Said {
    verdicts: Vec<String>,
    engine: String,
}

fn say(replay: &mut Replay, lines: &[(String, Option<world::Fact>)], out: &mut Vec<u8>) {
    for lines in lines.chunks(50) {
        replay.judge(&text(lines));
        replay.write(out);
    }
}

fn said(replay: &mut Replay, out: Vec<u8>) -> Said {
    let engine = replay.engine();
    let complete: Vec<bool> = engine.complete_features().collect();
    let open: Vec<_> = engine.open_breakers().collect();
    let size = engine.size();
    let refused: Vec<u64> = size.features.iter().map(|of| of.refused).collect();
    let engine = format!(
        "{complete:?} {open:?} {refused:?} {:?} {} {} {:?} {:?}",
        engine.decisions().active_by_verdict(),
        engine.taken_in(),
        size.dedup_horizon_ms,
        engine.clock(),
        engine.wanted(),
    );
    Said { verdicts: String::from_utf8(out).unwrap().lines().map(str::to_owned).collect(), engine }
}

/// Judges a history; at each of these places the engine goes through a checkpoint, under these rules from there on if
/// there are any.
fn stopped_at(history: &History, rules: &Arc<RuleSet>, places: &[(usize, Option<Arc<RuleSet>>)]) -> Said {
    let (mut replay, mut rules) = (replay(rules), Arc::clone(rules));
    let (mut out, mut from) = (Vec::new(), 0);
    for (to, other) in places {
        say(&mut replay, &history[from..*to], &mut out);
        let written = segments(replay.engine());
        rules = other.clone().unwrap_or(rules);
        let engine = restored(&written, &rules, options()).unwrap();
        if other.is_none() {
            let again = segments(&engine);
            for (at, (one, other)) in again.iter().zip(&written).enumerate() {
                assert_eq!(one, other, "segment {at}: what was read is written as the same bytes");
            }
            assert_eq!(again.len(), written.len());
        }
        replay.go_on_with(engine, &SignalConfig::default()).unwrap();
        from = *to;
    }
    say(&mut replay, &history[from..], &mut out);
    said(&mut replay, out)
}

fn reloaded_at(history: &History, rules: &Arc<RuleSet>, places: &[(usize, Arc<RuleSet>)]) -> Said {
    let mut replay = replay(rules);
    let (mut out, mut from) = (Vec::new(), 0);
    for (to, other) in places {
        say(&mut replay, &history[from..*to], &mut out);
        replay.reload(Arc::clone(other), &SignalConfig::default()).unwrap();
        from = *to;
    }
    say(&mut replay, &history[from..], &mut out);
    said(&mut replay, out)
}

fn compare(one: &Said, other: &Said, seed: u64) {
    for (at, (one, other)) in one.verdicts.iter().zip(&other.verdicts).enumerate() {
        assert_eq!(one, other, "seed {seed}, line {at}");
    }
    assert_eq!(one, other, "seed {seed}");
}

#[test]
fn what_was_stopped_says_what_was_never_stopped_says() {
    for (text, seeds) in [(RULES, 800..808), (MORE, 820..836)] {
        let rules = pack::rules(text);
        for seed in seeds {
            let random = &mut Random(seed);
            let history = world::history(random, 4000);
            let mut places: Vec<_> = (0..6).map(|_| (random.below(4000) as usize, None)).collect();
            places.sort_by_key(|(place, _)| *place);
            compare(&stopped_at(&history, &rules, &places), &stopped_at(&history, &rules, &[]), seed);
        }
    }
}

#[test]
fn the_world_reaches_what_only_a_full_state_has() {
    let rules = pack::rules(MORE);
    let mut replay = replay(&rules);
    let mut out = Vec::new();
    say(&mut replay, &world::history(&mut Random(820), 4000), &mut out);
    let verdicts = String::from_utf8(out).unwrap();
    for wanted in ["\"exact\":false", "\"duplicate\":true", "\"id\":\"c-ring\"", "\"id\":\"d-chain\"", "\"late\":true"]
    {
        assert!(verdicts.matches(wanted).count() > 50, "{wanted}");
    }
    let matches = &replay.engine().tally().rule_matches;
    assert!(matches.iter().all(|matches| matches[0] > 20), "{matches:?}");
    assert!(!replay.engine().take_breaker_openings().is_empty());
    let size = replay.engine().size();
    assert!(size.features.iter().any(|of| of.truncated_keys > 0), "{size:?}");
    assert!(segments(replay.engine()).iter().map(Vec::len).sum::<usize>() < size.bytes());
}

#[test]
fn a_checkpoint_under_other_rules_is_a_reload() {
    let rules = pack::rules(RULES);
    let back = || pack::rules(RULES);
    for seed in 860..868 {
        let random = &mut Random(seed);
        let history = world::history(random, 3000);
        let mut places: Vec<usize> = (0..3).map(|_| random.below(3000) as usize).collect();
        places.sort_unstable();
        let others: Vec<_> = places.into_iter().zip([reloads::changed(), back(), reloads::changed()]).collect();
        let stopped: Vec<_> = others.iter().map(|(place, other)| (*place, Some(Arc::clone(other)))).collect();
        compare(&stopped_at(&history, &rules, &stopped), &reloaded_at(&history, &rules, &others), seed);
    }
}

#[test]
fn other_breakers_and_components_begin_empty_as_over_a_reload() {
    let rules = pack::rules(MORE);
    let changes = [("by_count > 9", "by_count > 8"), ("window: 3m", "window: 4m"), ("rearm: 2m", "rearm: 3m")];
    for (seed, (from, to)) in (880..).zip(changes) {
        let history = world::history(&mut Random(seed), 3000);
        let other = pack::rules(&MORE.replace(from, to));
        let stopped = stopped_at(&history, &rules, &[(1700, Some(Arc::clone(&other)))]);
        compare(&stopped, &reloaded_at(&history, &rules, &[(1700, Arc::clone(&other))]), seed);
        assert!(stopped != stopped_at(&history, &rules, &[]), "the change is felt");
    }
}

#[test]
fn what_begins_empty_is_told() {
    let rules = pack::rules(RULES);
    let mut replay = replay(&rules);
    say(&mut replay, &world::history(&mut Random(870), 500), &mut Vec::new());
    let mut restoring = Restoring::new(reloads::changed(), EngineOptions { retention_ms: 61_000, ..options() });
    segments(replay.engine()).iter().try_for_each(|segment| restoring.take(segment)).unwrap();
    let (_, told) = restoring.finish().unwrap();
    assert_eq!(
        (told.sequence, told.empty),
        (replay.engine().taken_in(), ["count_device", "fresh"].map(String::from).into())
    );
    assert!(
        told.empty_facts.contains(&"account.first_seen") && told.left_out.iter().any(|name| name == "count_device")
    );
    assert_eq!(told.ruleset, rules.hash);
}

#[test]
fn history_that_was_not_judged_is_judged_after_a_restart_and_not_counted_again() {
    for seed in 890..894 {
        let history = world::history(&mut Random(seed), 2000);
        let rules = pack::rules(RULES);
        let run = |stops: bool| {
            let mut replay = replay(&rules);
            replay.backfill(&text(&history[..1000]), &mut Backfill::Whole);
            if stops {
                let engine = restored(&segments(replay.engine()), &rules, options()).unwrap();
                replay.go_on_with(engine, &SignalConfig::default()).unwrap();
            }
            let mut out = Vec::new();
            say(&mut replay, &history[950..], &mut out);
            said(&mut replay, out)
        };
        compare(&run(true), &run(false), seed);
    }
}

#[test]
fn another_key_is_refused() {
    let mut replay = replay(&pack::rules(RULES));
    say(&mut replay, &world::history(&mut Random(871), 100), &mut Vec::new());
    let foreign = EngineOptions { hash_key: HashKey([1; 16]), ..options() };
    let error = restored(&segments(replay.engine()), &pack::rules(RULES), foreign).map(|_| ()).unwrap_err();
    assert_eq!(error, RestoreError::ForeignKey);
}

/// Reads whatever comes: it may be refused, and that is all.
#[test]
fn no_bytes_make_it_panic_or_take_much_memory() {
    let mut refused = 0;
    for text in [RULES, MORE] {
        let rules = pack::rules(text);
        let mut replay = replay(&rules);
        say(&mut replay, &world::history(&mut Random(872), 1500), &mut Vec::new());
        let whole = segments(replay.engine());
        assert!(restored(&whole, &rules, options()).is_ok());
        let random = &mut Random(873);
        for _ in 0..1500 {
            let mut broken = whole.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(broken.len() as u64) as usize;
                let segment = &mut broken[at];
                let place = random.below(segment.len() as u64) as usize;
                match random.below(8) {
                    0 => segment.truncate(place.max(1)),
                    1 => drop(broken.remove(at)),
                    2 => broken.swap(at, 0),
                    3 => segment[place] = 0xff,
                    _ => segment[place] ^= 1 << random.below(8),
                }
            }
            refused += u32::from(restored(&broken, &rules, options()).is_err());
        }
    }
    // Most of what is flipped is a hash or an instant, which may be anything: checksums are what finds these.
    assert!(refused > 600, "{refused}");
}
