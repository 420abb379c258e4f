use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::super::{DecidedBy, DecisionCause, DecisionReach, Decisions};
use super::{ActiveSet, Observed};
use crate::engine::judgement::Judgements;
use crate::event::{SubjectKind, Verdict};
use crate::ruleset::program::OnExpiry;
use crate::state::{ByteReader, ByteWriter, Cuttable as _, HashKey, KeyHasher, Scalar};

/// Whoever follows the log, as docs/decisions-log.md tells it.
#[derive(Default)]
struct Follower {
    number: u64,
    records: BTreeMap<String, String>,
}

impl Follower {
    fn take(&mut self, told: &Judgements) {
        for change in &told.changed {
            self.number += 1;
            assert_eq!(change.number, self.number, "numbers have no gap");
            let key = String::from_utf8(told.piece(change.key).to_vec()).unwrap();
            let line = String::from_utf8(told.piece(change.line).to_vec()).unwrap();
            let read: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(read["number"], change.number);
            assert_eq!(read["verdict"].is_null(), change.after.is_none());
            assert_eq!(self.records.contains_key(&key), change.before.is_some(), "{line}");
            match change.after {
                Some(_) => drop(self.records.insert(key, line)),
                None => drop(self.records.remove(&key)),
            }
        }
    }

    fn sums(&self) -> BTreeMap<String, ActiveSet> {
        let mut sums: BTreeMap<String, ActiveSet> = BTreeMap::new();
        for (key, line) in &self.records {
            let read: Value = serde_json::from_str(line).unwrap();
            let mut ids: Vec<&str> =
                read["causes"].as_array().unwrap().iter().map(|cause| cause["id"].as_str().unwrap()).collect();
            ids.sort_unstable();
            let text = format!("{key}\n{}\n{}\n{}", read["number"], read["verdict"].as_str().unwrap(), ids.join(","));
            let sum = u64::from_be_bytes(Sha256::digest(text)[..8].try_into().unwrap());
            sums.entry(read["program"].as_str().unwrap().to_owned()).or_default().change(None, Some(sum));
        }
        sums
    }
}

/// A story of decisions, one step after the other.
struct Story {
    hasher: KeyHasher,
    seed: u64,
    now_ms: i64,
}

impl Story {
    fn new(seed: u64) -> Story {
        Story { hasher: KeyHasher::new(HashKey([7; 16])), seed, now_ms: 1_000_000 }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % below
    }

    fn step(&mut self, decisions: &mut Decisions, told: &mut Judgements) {
        self.now_ms += 1 + self.draw(5) as i64;
        let program = ["default", "gold/1"][self.draw(2) as usize];
        let account = format!("a {}", self.draw(30));
        let key = self.hasher.key(
            self.hasher.part(Scalar::Text(program)),
            &[self.hasher.part(Scalar::Text("account")), self.hasher.part(Scalar::Text(&account))],
        );
        for _ in 0..1 + self.draw(3) {
            // Late ones may have ended before they are made.
            let created_ms = self.now_ms - self.draw(60) as i64;
            let (rule, is_override) = (self.draw(3), self.draw(6) == 0);
            let verdict = Verdict::ALL[if is_override { self.draw(5) } else { 1 + self.draw(4) } as usize];
            let ttl_ms = 1 + self.draw(90) as i64;
            let cause = DecisionCause {
                id: format!("dec-{rule}-{created_ms}-{}", verdict.name()),
                decided_by: match is_override {
                    true => DecidedBy::Person { by: "token:a".into(), reason: "seen".into() },
                    false => DecidedBy::Rule { rule: format!("rule-{rule}").into(), ruleset: "".into() },
                },
                verdict,
                reach: DecisionReach::Everywhere,
                on_expiry: OnExpiry::Keep,
                created_ms,
                expires_ms: (self.draw(20) > 0).then_some(created_ms + ttl_ms),
                sequence: 0,
                origin: None,
            };
            let subject = || (program.into(), SubjectKind::Account, account.clone().into());
            if is_override {
                decisions.put_override(key, subject, cause);
            } else {
                decisions.decide(key, created_ms, subject, cause);
            }
        }
        if self.draw(8) == 0 {
            decisions.delete_override(key);
        }
        if self.draw(60) == 0 {
            let rule = format!("rule-{}", self.draw(3));
            let lifted = decisions.to_lift(|_, cause| cause.rule() == Some(&*rule));
            decisions.lift(&lifted);
        }
        decisions.tell(self.now_ms, told);
        if self.draw(4) == 0 {
            // Sometimes time leaps beyond what is still kept.
            self.now_ms += if self.draw(10) == 0 { 200 } else { 0 };
            decisions.pass_time(self.now_ms);
            decisions.expire(self.now_ms - 50);
            decisions.tell(self.now_ms, told);
        }
    }
}

fn kept() -> Decisions {
    let mut decisions = Decisions::default();
    decisions.keep_log(true, Observed::default());
    decisions
}

fn sums(decisions: &Decisions) -> BTreeMap<String, ActiveSet> {
    decisions.active_sets().map(|(program, set)| (program.to_owned(), set)).collect()
}

fn stored_and_read(decisions: &Decisions, is_told: bool) -> Decisions {
    let (mut head, mut log, mut parts) = (ByteWriter::default(), ByteWriter::default(), Vec::new());
    decisions.store_head(&mut head);
    decisions.store_log(&mut log);
    decisions.store(&[0], &mut |part| parts.push(part.to_vec()));
    let mut read = Decisions::default();
    read.keep_log(is_told, Observed::default());
    let limits = read.restore_head(&mut ByteReader::new(head.as_bytes())).unwrap();
    read.restore_log(&mut ByteReader::new(log.as_bytes())).unwrap();
    parts.iter().for_each(|part| read.restore(&mut ByteReader::new(&part[1..])).unwrap());
    read.restored(limits, true).unwrap();
    read
}

#[test]
fn a_follower_has_what_stands_and_its_checksum() {
    for seed in 0..20 {
        let (mut story, mut decisions, mut follower) = (Story::new(seed), kept(), Follower::default());
        for at in 0..400 {
            let mut told = Judgements::default();
            story.step(&mut decisions, &mut told);
            follower.take(&told);
            assert_eq!(follower.sums(), sums(&decisions), "seed {seed}, step {at}");
            if at % 40 == 0 {
                let (mut behind, mut paged) = (None, BTreeMap::new());
                loop {
                    let page = decisions.log_page(behind, 7);
                    assert_eq!(page.number, follower.number);
                    let line = |line| String::from_utf8(line).unwrap();
                    paged.extend(page.records.into_iter().map(|record| (record.key, line(record.line))));
                    behind = page.next;
                    if behind.is_none() {
                        break;
                    }
                }
                assert_eq!(paged, follower.records, "seed {seed}, step {at}: as they were told");
            }
        }
        assert!(follower.number > 300, "the story has changes");
        let mut told = Judgements::default();
        decisions.pass_time(i64::MAX - 1);
        decisions.tell(story.now_ms, &mut told);
        follower.take(&told);
        let stays = |line: &String| line.contains("\"expires\":null");
        assert!(follower.records.values().all(stays), "what ends by time has ended");
    }
}

#[test]
fn a_restart_anywhere_goes_on_with_the_same_lines() {
    for seed in 100..110 {
        let (mut one, mut other) = (Story::new(seed), Story::new(seed));
        let (mut whole, mut cut) = (kept(), kept());
        for at in 0..300 {
            let (mut told, mut told_again) = (Judgements::default(), Judgements::default());
            one.step(&mut whole, &mut told);
            other.step(&mut cut, &mut told_again);
            assert_eq!(told.changed, told_again.changed, "seed {seed}, step {at}");
            assert_eq!(told.text, told_again.text, "seed {seed}, step {at}");
            if other.draw(10) == 0 {
                cut = stored_and_read(&cut, true);
                assert_eq!(sums(&cut), sums(&whole));
            }
            one.seed = other.seed;
        }
    }
}

#[test]
fn what_is_not_told_is_counted_all_the_same() {
    let (mut one, mut other) = (Story::new(7), Story::new(7));
    let (mut told, mut counted) = (kept(), Decisions::default());
    counted.keep_log(false, Observed::default());
    let mut lines = Judgements::default();
    for _ in 0..300 {
        one.step(&mut told, &mut Judgements::default());
        other.step(&mut counted, &mut lines);
    }
    assert_eq!((told.log_number(), sums(&told)), (counted.log_number(), sums(&counted)));
    assert!(lines.changed.is_empty() && lines.text.is_empty());
}

#[test]
fn what_nobody_numbered_is_numbered_when_it_is_read() {
    let (mut story, mut decisions) = (Story::new(3), Decisions::default());
    for _ in 0..50 {
        story.step(&mut decisions, &mut Judgements::default());
    }
    let mut read = Decisions::default();
    read.keep_log(true, Observed::default());
    let mut parts = Vec::new();
    decisions.store(&[0], &mut |part| parts.push(part.to_vec()));
    parts.iter().for_each(|part| read.restore(&mut ByteReader::new(&part[1..])).unwrap());
    read.restored((false, usize::MAX), false).unwrap();
    let page = read.log_page(None, usize::MAX);
    let numbers: Vec<u64> = page.records.iter().map(|record| record.number).collect();
    assert_eq!(numbers, (1..=read.log_number()).collect::<Vec<u64>>());
    assert_eq!(page.records.len(), decisions.len());
}
