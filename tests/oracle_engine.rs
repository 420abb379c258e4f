//! The whole engine, from lines of JSON to verdict lines, against an auditor that recounts everything by definition; and
//! the same bytes whatever the batch size.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use refguard::engine::EngineOptions;
use refguard::lab::Replay;
use refguard::ruleset::program::RuleSet;
use refguard::signals::SignalConfig;

#[path = "oracle_engine/auditor.rs"]
mod auditor;
#[path = "oracle_engine/checkpoints.rs"]
mod checkpoints;
#[path = "oracle_engine/compare.rs"]
mod compare;
#[path = "oracle_engine/histories.rs"]
mod histories;
#[path = "support/pack.rs"]
mod pack;
#[path = "support/random.rs"]
mod random;
#[path = "oracle_engine/reloads.rs"]
mod reloads;
#[path = "oracle_engine/world.rs"]
mod world;

use auditor::{Auditor, Expected};
use compare::{compare, compare_held, compare_repeat, is_repeat};
use random::Random;
use world::Fact;

type History = Vec<(String, Option<Fact>)>;

fn options() -> EngineOptions {
    EngineOptions {
        allowed_lateness_ms: auditor::LATENESS_MS,
        dedup_span_ms: auditor::DEDUP_SPAN_MS,
        retention_ms: auditor::RETENTION_MS,
        ..EngineOptions::default()
    }
}

fn replay(rules: &Arc<RuleSet>) -> Replay {
    Replay::new(Arc::clone(rules), &SignalConfig::default(), options()).unwrap()
}

/// Verdict lines of a history in batches of this size, and the errors of conditions.
fn verdicts(rules: &Arc<RuleSet>, history: &History, size: usize) -> (String, u64) {
    let mut replay = replay(rules);
    let mut out = Vec::new();
    let partition = |(_, fact): &(String, Option<Fact>)| fact.as_ref().map_or(0, |fact| fact.partition);
    for batch in history.chunks(size) {
        for batch in batch.chunk_by(|one, next| partition(one) == partition(next)) {
            replay.go_on_in(partition(&batch[0]));
            let lines: String = batch.iter().map(|(line, _)| line.as_str()).collect();
            let refused = replay.judge(&lines).len();
            assert_eq!(refused, batch.iter().filter(|(_, fact)| fact.is_none()).count());
            replay.write(&mut out);
        }
    }
    let errors = replay.engine().tally().rule_errors.iter().sum();
    (String::from_utf8(out).unwrap(), errors)
}

fn audit(rules: &Arc<RuleSet>, history: &History, auditor: &mut Auditor) {
    let (text, errors) = verdicts(rules, history, 1);
    let lines: Vec<&str> = text.lines().collect();
    let mut next = 0;
    for (input, fact) in history {
        let Some(fact) = fact else { continue };
        let errors_before = auditor.errors;
        let shown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match auditor.expect(fact, next) {
            Expected::Refused => *auditor.counts.entry("refused").or_default() += 1,
            Expected::Repeat(first) => {
                *auditor.counts.entry("repeats").or_default() += 1;
                compare_repeat(lines[next], lines[first]);
                next += 1;
            }
            Expected::Judged(judged) if judged.late && is_repeat(lines[next]) => {
                // Its name was forgotten, and its hold was not: it is answered by that, and nothing is judged.
                *auditor.counts.entry("held before").or_default() += 1;
                compare_held(lines[next], &lines[..next]);
                auditor.errors = errors_before;
                auditor.created(fact, &[]);
                next += 1;
            }
            Expected::Judged(judged) => {
                *auditor.counts.entry(if judged.late { "late" } else { "in time" }).or_default() += 1;
                *auditor.counts.entry("played").or_default() += judged.decisions.len() as u64;
                let created = compare(lines[next], &judged);
                auditor.created(fact, &created);
                next += 1;
            }
        }));
        if let Err(panic) = shown {
            eprintln!("event {input}line {}", lines.get(next).unwrap_or(&"(none)"));
            std::panic::resume_unwind(panic);
        }
    }
    assert_eq!(next, lines.len(), "as many lines as events that were not refused");
    assert_eq!(errors, auditor.errors, "errors of conditions");
}

/// What has happened how often, over histories that were audited.
#[derive(Default)]
struct Audited {
    events: usize,
    counts: BTreeMap<&'static str, u64>,
}

impl Audited {
    fn audit(&mut self, rules: &Arc<RuleSet>, history: &History, seed: u64) {
        let mut auditor = Auditor::default();
        let audited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| audit(rules, history, &mut auditor)));
        if let Err(panic) = audited {
            eprintln!("seed {seed}, {} lines", history.len());
            std::panic::resume_unwind(panic);
        }
        self.events += history.iter().filter(|(_, fact)| fact.is_some()).count();
        for (what, count) in auditor.counts {
            *self.counts.entry(what).or_insert(0) += count;
        }
    }

    /// Each rule and each fate of an event was met often enough to mean something.
    fn is_enough(&self) {
        assert!(self.events >= 100_000, "{}", self.events);
        for what in [
            "refused",
            "repeats",
            "late",
            "played",
            "c-count-device",
            "c-distinct-accounts",
            "c-known-pair",
            "c-last-any",
            "c-member",
            "c-overlap",
            "c-previous-amount",
            "c-previous-device",
            "c-rate",
            "c-rating",
            "c-sum",
        ] {
            assert!(self.counts.get(what).is_some_and(|count| *count >= 200), "{what}: {:?}", self.counts);
        }
    }
}

#[test]
fn every_verdict_is_what_a_recount_gives() {
    let rules = pack::rules(include_str!("data/oracle/oracle.yaml"));
    let mut audited = Audited::default();
    for seed in 0..48 {
        // Long ones meet the sweeps, which come every 1024th event.
        let length = if seed % 4 == 0 { 5000 } else { 1500 };
        audited.audit(&rules, &world::history(&mut Random(seed), length), seed);
    }
    audited.is_enough();
}

/// The same events in another order: that of each partition stays.
fn interleaved(random: &mut Random, history: &History) -> History {
    let mut partitions: BTreeMap<u32, VecDeque<&(String, Option<Fact>)>> = BTreeMap::new();
    for event in history {
        partitions.entry(event.1.as_ref().map_or(0, |fact| fact.partition)).or_default().push_back(event);
    }
    let mut order = Vec::new();
    while !partitions.is_empty() {
        let numbers: Vec<u32> = partitions.keys().copied().collect();
        let number = numbers[random.below(numbers.len() as u64) as usize];
        let partition = partitions.get_mut(&number).unwrap();
        // A few records of a partition come together.
        let fetched = partition.len().min(1 + random.below(30) as usize);
        order.extend(partition.drain(..fetched).cloned());
        partitions.retain(|_, left| !left.is_empty());
    }
    order
}

#[test]
fn so_it_is_in_whatever_order_partitions_come() {
    let rules = pack::rules(include_str!("data/oracle/oracle.yaml"));
    let mut audited = Audited::default();
    for seed in 500..555 {
        let random = &mut Random(seed);
        let history = world::history_in_partitions(random, 1300);
        audited.audit(&rules, &history, seed);
        audited.audit(&rules, &interleaved(random, &history), seed);
    }
    audited.is_enough();
}

#[test]
fn the_batch_size_changes_no_byte_and_no_tally() {
    let rules = pack::rules(include_str!("data/oracle/oracle.yaml"));
    for seed in 100..106 {
        let history = world::history(&mut Random(seed), 4000);
        let one = verdicts(&rules, &history, 1);
        assert!(one.0.len() > 1_000_000, "{}", one.0.len());
        for size in [1, 7, 32, 1000] {
            assert!(verdicts(&rules, &history, size) == one, "seed {seed}, batches of {size}");
        }
    }
}
