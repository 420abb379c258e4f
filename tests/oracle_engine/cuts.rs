//! A checkpoint that is written a part at a time, while events are judged, is one of the place where it was begun: read
//! and fed what came after that place, it says what was never stopped says, byte for byte.

use std::sync::Arc;

use refguard::engine::{Backfill, CheckpointStep, Engine};
use refguard::lab::Replay;
use refguard::ruleset::program::RuleSet;
use refguard::signals::SignalConfig;

use super::{MORE, RULES, Said, compare, restored, said, say, segments, text};
use crate::random::Random;
use crate::{History, options, pack, reloads, replay, world};

/// A checkpoint of a place.
struct Cut {
    /// How many lines were read before it.
    line: usize,
    /// How many bytes of verdicts were written before it.
    said: usize,
    segments: Vec<Vec<u8>>,
}

/// Judges a history in batches of any size, and takes one checkpoint after the other, in steps of any size.
fn cut(history: &History, rules: &Arc<RuleSet>, random: &mut Random) -> (Said, Vec<u8>, Vec<Cut>) {
    let mut replay = replay(rules);
    let (mut out, mut cuts, mut from) = (Vec::new(), Vec::new(), 0);
    let mut under_way: Option<Cut> = None;
    while from < history.len() {
        let to = history.len().min(from + 1 + random.below(90) as usize);
        replay.judge(&text(&history[from..to]));
        replay.write(&mut out);
        from = to;
        let engine = replay.engine();
        if let Some(mut cut) = under_way.take() {
            let most = [8, 6000, 60_000][random.below(3) as usize];
            let budget_bytes = random.below(most) as usize;
            let put = &mut |segment: &[u8]| cut.segments.push(segment.to_vec());
            match engine.step_checkpoint(budget_bytes, put) {
                CheckpointStep::Unfinished => under_way = Some(cut),
                CheckpointStep::Finished => cuts.push(cut),
                CheckpointStep::Cancelled => panic!("nobody has cancelled it"),
            }
        } else if random.below(4) == 0 {
            engine.begin_checkpoint();
            under_way = Some(Cut { line: from, said: out.len(), segments: Vec::new() });
        }
    }
    (said(&mut replay, out.clone()), out, cuts)
}

#[test]
fn a_checkpoint_that_was_written_while_events_came_is_one_of_where_it_began() {
    let mut lines = Vec::new();
    for (rules, seeds) in [(RULES, 900..906), (MORE, 920..932)] {
        let rules = pack::rules(rules);
        for seed in seeds {
            let random = &mut Random(seed);
            let history = world::history(random, 4000);
            let (never_stopped, out, cuts) = cut(&history, &rules, random);
            for cut in cuts {
                let engine = restored(&cut.segments, &rules, options()).unwrap();
                let mut replay = replay(&rules);
                replay.go_on_with(engine, &SignalConfig::default()).unwrap();
                let mut again = out[..cut.said].to_vec();
                say(&mut replay, &history[cut.line..], &mut again);
                compare(&said(&mut replay, again), &never_stopped, seed);
                lines.push(cut.line);
            }
        }
    }
    assert!(lines.len() > 60 && lines.iter().any(|line| *line > 3000), "{lines:?}");
}

/// Steps of so many bytes to the end, with nothing between them.
fn stepped(engine: &mut Engine, budget_bytes: usize) -> Vec<Vec<u8>> {
    let mut segments = Vec::new();
    engine.begin_checkpoint();
    while engine.step_checkpoint(budget_bytes, &mut |segment| segments.push(segment.to_vec()))
        == CheckpointStep::Unfinished
    {}
    segments
}

#[test]
fn without_events_between_its_parts_it_is_the_one_that_is_written_at_once() {
    for text in [RULES, MORE] {
        let mut replay = replay(&pack::rules(text));
        say(&mut replay, &world::history(&mut Random(940), 2000), &mut Vec::new());
        let whole = segments(replay.engine());
        for budget_bytes in [1, 1000, usize::MAX] {
            assert!(stepped(replay.engine(), budget_bytes) == whole, "{budget_bytes} bytes a step");
        }
        assert!(!replay.engine().has_checkpoint());
    }
}

/// Judges, counts history as well, and judges again.
fn filled(replay: &mut Replay, history: &History, features: &[String], between: &mut dyn FnMut(&mut Engine)) -> Said {
    let mut into = match features {
        [] => Backfill::Whole,
        features => replay.engine().begin_backfill(features),
    };
    for lines in history[1000..1500].chunks(20) {
        replay.backfill(&text(lines), &mut into);
        between(replay.engine());
    }
    let mut out = Vec::new();
    for lines in history[1400..].chunks(20) {
        replay.judge(&text(lines));
        replay.write(&mut out);
        between(replay.engine());
    }
    said(replay, out)
}

#[test]
fn history_may_be_counted_while_it_is_written() {
    let rules = pack::rules(RULES);
    let features: Vec<String> = rules.features.iter().map(|feature| feature.name.clone()).collect();
    for (seed, features) in (950..).zip([&[][..], &features, &features]) {
        let random = &mut Random(seed);
        let history = world::history(random, 3000);
        let mut replay = replay(&rules);
        say(&mut replay, &history[..1000], &mut Vec::new());
        replay.engine().begin_checkpoint();
        let (mut written, mut ended) = (Vec::new(), None);
        let never_stopped = filled(&mut replay, &history, features, &mut |engine| {
            let put = &mut |segment: &[u8]| written.push(segment.to_vec());
            if ended.is_none() && engine.step_checkpoint(1500, put) == CheckpointStep::Finished {
                ended = Some(engine.taken_in());
            }
        });
        assert!(ended.is_some_and(|ended| ended > 1000), "{ended:?}");
        let engine = restored(&written, &rules, options()).unwrap();
        replay.go_on_with(engine, &SignalConfig::default()).unwrap();
        compare(&filled(&mut replay, &history, features, &mut |_| {}), &never_stopped, seed);
    }
}

#[test]
fn a_reload_gives_it_up_and_the_next_one_is_whole() {
    let rules = pack::rules(RULES);
    let mut replay = replay(&rules);
    let history = world::history(&mut Random(960), 2000);
    say(&mut replay, &history[..1500], &mut Vec::new());
    replay.engine().begin_checkpoint();
    assert_eq!(replay.engine().step_checkpoint(100, &mut |_| {}), CheckpointStep::Unfinished);
    replay.reload(reloads::changed(), &SignalConfig::default()).unwrap();
    assert_eq!(replay.engine().step_checkpoint(100, &mut |_| {}), CheckpointStep::Cancelled);
    say(&mut replay, &history[1500..], &mut Vec::new());
    let whole = segments(replay.engine());
    // One that is begun takes the place of one that was.
    replay.engine().begin_checkpoint();
    assert_eq!(replay.engine().step_checkpoint(100, &mut |_| {}), CheckpointStep::Unfinished);
    assert!(stepped(replay.engine(), 700) == whole);
}
