//! The whole engine, from lines of JSON to verdict lines, against an auditor that recounts everything by definition; and
//! the same bytes whatever the batch size.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use std::sync::Arc;

use refguard::engine::EngineOptions;
use refguard::lab::Replay;
use refguard::ruleset::program::RuleSet;
use refguard::signals::SignalConfig;
use serde_json::Value;

#[path = "oracle_engine/auditor.rs"]
mod auditor;
#[path = "oracle_engine/checkpoints.rs"]
mod checkpoints;
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

use auditor::{Auditor, Expected, Judged, Told};
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

/// Compares a line with what the auditor says; gives the ids of the decisions it made.
fn compare(line: &str, judged: &Judged) -> Vec<String> {
    let verdict: Value = serde_json::from_str(line).unwrap();
    let evidence = line.split_once("\"evidence\":[").unwrap().1.split_once("],\"decisions\":").unwrap().0;
    assert_eq!(evidence, judged.evidence, "evidence");
    let rules = verdict["rules"].as_array().unwrap();
    let matched: Vec<(&str, bool)> =
        rules.iter().map(|rule| (rule["id"].as_str().unwrap(), rule["mode"] == "enforce")).collect();
    assert_eq!(matched, judged.rules, "rules");
    let facts = rules.iter().find(|rule| rule["id"] == "b-facts").unwrap()["message"].as_str().unwrap();
    for (at, (told, expected)) in facts.split('|').zip(&judged.facts).enumerate() {
        match expected {
            Told::Text(text) => assert_eq!(told, text, "fact {at} of {facts}"),
            Told::Number(number, off) => {
                let told: f64 = told.parse().unwrap();
                assert!((told - number).abs() <= *off, "fact {at}: {told}, not {number}");
            }
        }
    }
    assert_eq!(facts.split('|').count(), judged.facts.len());
    assert_eq!(verdict["late"] == true, judged.late, "late");
    assert_eq!(verdict["score"], judged.score, "score");
    assert_eq!((verdict["verdict"].as_str(), verdict["cause"].as_str()), (Some(judged.verdict), Some(judged.cause)));
    let parties = verdict["parties"].as_object().unwrap();
    let sides = parties.get("referrer").zip(parties.get("referee"));
    let sides = sides.map(|(referrer, referee)| (referrer.as_str().unwrap(), referee.as_str().unwrap()));
    assert_eq!(sides, judged.parties, "parties");
    let ids = |name: &str| -> Vec<String> {
        verdict[name].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("decisions"), judged.decisions, "decisions");
    let created = ids("created");
    assert_eq!(created.len(), judged.creates, "created");
    created
}

/// A repeat says what the first line said, without evidence and messages.
fn compare_repeat(line: &str, first: &str) {
    let (line, mut first): (Value, Value) = (serde_json::from_str(line).unwrap(), serde_json::from_str(first).unwrap());
    first["evidence"] = Value::Array(Vec::new());
    first["rules"].as_array_mut().unwrap().iter_mut().for_each(|rule| rule["message"] = Value::Null);
    first["duplicate"] = Value::Bool(true);
    first["current"] = first["verdict"].clone();
    assert_eq!(line, first, "a repeat");
}

fn audit(rules: &Arc<RuleSet>, history: &History, auditor: &mut Auditor) {
    let (text, errors) = verdicts(rules, history, 1);
    let lines: Vec<&str> = text.lines().collect();
    let mut next = 0;
    for (input, fact) in history {
        let Some(fact) = fact else { continue };
        let shown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match auditor.expect(fact, next) {
            Expected::Refused => *auditor.counts.entry("refused").or_default() += 1,
            Expected::Repeat(first) => {
                *auditor.counts.entry("repeats").or_default() += 1;
                compare_repeat(lines[next], lines[first]);
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
    counts: std::collections::BTreeMap<&'static str, u64>,
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

#[test]
fn so_it_is_in_whatever_order_partitions_come() {
    let rules = pack::rules(include_str!("data/oracle/oracle.yaml"));
    let mut audited = Audited::default();
    for seed in 500..555 {
        let random = &mut Random(seed);
        let history = world::history_in_partitions(random, 1300);
        audited.audit(&rules, &history, seed);
        audited.audit(&rules, &world::interleaved(random, &history), seed);
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
