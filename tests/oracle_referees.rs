//! What referees do counts for their referrer, whatever the order in which partitions deliver: the whole engine against a recount
//! that looks for each event's referrer among all referrals that were counted, those that came after it too.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use refguard::engine::{Engine, EngineOptions, Restoring};
use refguard::ruleset::program::RuleSet;
use serde_json::Value;

#[path = "support/pack.rs"]
mod pack;
#[path = "support/partitions.rs"]
mod partitions;
#[path = "support/random.rs"]
mod random;

use random::Random;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const LATENESS_MS: i64 = 5 * HOUR_MS;
/// Shorter than some pauses between the referrals of an account, after which it has none.
const RETENTION_MS: i64 = 40 * HOUR_MS;
/// 2026-03-20T00:00:00Z.
const START_MS: i64 = 1_773_964_800_000;
const PARTITIONS: usize = 3;
const ACCOUNTS: u64 = 30;
const WINDOW_MS: i64 = 72 * HOUR_MS;
const OFFSET_MS: i64 = 3 * HOUR_MS;

const PACK: &str = r#"
version: 1
pack: referees
features:
  orders: {on: [order.placed], key: [account.referrer], aggregate: count, window: 72h}
  spent: {on: [order.placed], key: [event.currency, account.referrer], aggregate: sum, value: event.amount_minor, window: 72h, where: 'event.amount_minor < 400'}
  devices: {on: [order.placed], key: [account.referrer], aggregate: distinct, value: event.device_id, window: 72h, offset: 3h}
  given: {on: [reward.transferred], key: [recipient.referrer], aggregate: count, window: 72h}
  today: {on: [order.placed], key: [account.referrer], aggregate: count, window: day}
  since: {on: [order.placed], key: [account.referrer], aggregate: last, window: 72h}
rules:
  - id: asks
    on: [login.succeeded]
    when: orders.at(event.account_id) >= 0
    score: 1
    message: "{orders.at(event.account_id)}|{spent.at(\"SAR\", event.account_id)}|{spent.at(\"USD\", event.account_id)}|{devices.at(event.account_id)}|{given.at(event.account_id)}|{today.at(event.account_id)}|{since.at(event.account_id)}"
"#;

#[derive(Clone, Debug)]
struct Fact {
    partition: usize,
    kind: &'static str,
    time_ms: i64,
    id: usize,
    account: u64,
    recipient: u64,
    device: u64,
    currency: &'static str,
    amount: i64,
}

/// Everybody is invited by one account, whenever it is; those below ten invite, and 0 by itself.
fn referrer_of(account: u64) -> u64 {
    account / 3
}

fn history(random: &mut Random, events: usize) -> Vec<Fact> {
    let mut now_ms = START_MS;
    // The partition of referrals may be behind the others.
    let behind = [random.below(8) as i64 * HOUR_MS, 0, random.below(30) as i64 * HOUR_MS];
    let mut facts: Vec<Fact> = Vec::new();
    for id in 0..events {
        now_ms += [0, 60_000, HOUR_MS / 8, HOUR_MS / 4, HOUR_MS / 2][random.below(5) as usize];
        if random.chance(1) {
            now_ms += random.below(3 * DAY_MS as u64) as i64;
        }
        if id > 0 && random.chance(4) {
            let repeated = facts[id - 1 - random.below(20.min(id as u64)) as usize].clone();
            facts.push(repeated);
            continue;
        }
        let kinds = ["referral.completed", "order.placed", "order.placed", "reward.transferred", "login.succeeded"];
        let kind = kinds[random.below(5) as usize];
        let partition = if kind == "referral.completed" { 0 } else { 1 + random.below(2) as usize };
        let back_ms = if random.chance(30) { random.below(7) as i64 * HOUR_MS } else { 0 };
        facts.push(Fact {
            partition,
            kind,
            time_ms: now_ms - behind[partition] - back_ms,
            id,
            account: if kind == "login.succeeded" { random.below(ACCOUNTS / 3) } else { random.below(ACCOUNTS) },
            recipient: random.below(ACCOUNTS),
            device: random.below(12),
            currency: ["SAR", "USD"][random.below(2) as usize],
            amount: random.below(500) as i64,
        });
    }
    facts
}

fn line(fact: &Fact) -> String {
    let time = format!("{:.3}", Timestamp::from_millisecond(fact.time_ms).unwrap());
    let Fact { kind, id, account, recipient, device, currency, amount, .. } = fact;
    let referrer = match *kind {
        "referral.completed" => format!(",\"referrer_id\":\"a{}\"", referrer_of(*account)),
        _ => String::new(),
    };
    format!(
        "{{\"specversion\":\"1.0\",\"id\":\"e{id}\",\"source\":\"/s\",\"type\":\"{kind}\",\"time\":\"{time}\",\"data\":{{\"account_id\":\"a{account}\",\
         \"recipient_id\":\"a{recipient}\",\"device_id\":\"d{device}\",\"currency\":\"{currency}\",\"amount_minor\":{amount}{referrer}}}}}"
    )
}

#[derive(Default)]
struct Recount {
    newest_ms: [Option<i64>; PARTITIONS],
    watermark_ms: Option<i64>,
    known: Vec<usize>,
    counted: Vec<Fact>,
    /// Of orders that were counted: whether their referral came after them.
    waited: usize,
}

impl Recount {
    fn is_referred(&self, account: u64, time_ms: i64) -> bool {
        let mut referrals = self.counted.iter().filter(|of| of.kind == "referral.completed" && of.account == account);
        referrals.any(|of| of.time_ms <= time_ms && time_ms - of.time_ms < RETENTION_MS)
    }

    /// The events of a kind that count for an account in the window up to an instant.
    fn of_referees(&self, referrer: u64, kind: &'static str, to_ms: i64) -> impl Iterator<Item = &Fact> {
        let within = move |of: &&Fact| of.kind == kind && to_ms - WINDOW_MS < of.time_ms && of.time_ms <= to_ms;
        self.counted.iter().filter(within).filter(move |of| {
            let account = if kind == "order.placed" { of.account } else { of.recipient };
            referrer_of(account) == referrer && self.is_referred(account, of.time_ms)
        })
    }

    /// What the rule says; `None` for a repeat.
    fn expect(&mut self, fact: &Fact) -> Option<String> {
        let newest = &mut self.newest_ms[fact.partition];
        *newest = (*newest).max(Some(fact.time_ms));
        self.watermark_ms = self.watermark_ms.max(self.newest_ms.iter().flatten().min().copied());
        let horizon_ms = self.watermark_ms.unwrap() - LATENESS_MS;
        if self.known.contains(&fact.id) {
            return None;
        }
        self.known.push(fact.id);
        if fact.time_ms >= horizon_ms {
            self.waited += usize::from(fact.kind == "order.placed" && !self.is_referred(fact.account, fact.time_ms));
            self.counted.push(fact.clone());
        }
        let now_ms = fact.time_ms.max(horizon_ms);
        let of = |kind, to_ms| self.of_referees(fact.account, kind, to_ms);
        let spent = |currency: &str| {
            let counts = |of: &&Fact| of.currency == currency && of.amount < 400;
            of("order.placed", now_ms).filter(counts).map(|of| of.amount).sum::<i64>()
        };
        let mut devices: Vec<u64> = of("order.placed", now_ms - OFFSET_MS).map(|of| of.device).collect();
        devices.sort_unstable();
        devices.dedup();
        let (today, last) = (now_ms - now_ms.rem_euclid(DAY_MS), of("order.placed", now_ms).map(|of| of.time_ms).max());
        let last = last.map_or("?".to_owned(), |ms| format!("{:.3}", Timestamp::from_millisecond(ms).unwrap()));
        Some(format!(
            "{}|{}|{}|{}|{}|{}|{last}",
            of("order.placed", now_ms).count(),
            spent("SAR"),
            spent("USD"),
            devices.len(),
            of("reward.transferred", now_ms).count(),
            of("order.placed", now_ms).filter(|of| of.time_ms >= today).count(),
        ))
    }
}

fn options() -> EngineOptions {
    EngineOptions {
        allowed_lateness_ms: LATENESS_MS,
        retention_ms: RETENTION_MS,
        dedup_span_ms: 10_000 * DAY_MS,
        ..EngineOptions::default()
    }
}

fn log(history: &[Fact]) -> Vec<(u32, String)> {
    history.iter().map(|fact| (fact.partition as u32, line(fact))).collect()
}

fn verdicts(rules: &Arc<RuleSet>, history: &[Fact], size: usize) -> String {
    partitions::verdicts(rules, options(), &log(history), size)
}

#[test]
fn every_event_counts_for_who_invited_its_account() {
    let rules = pack::rules(PACK);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..80 {
        let history = history(&mut Random(seed), 1300);
        let mut recount = Recount::default();
        for (fact, told) in history.iter().zip(verdicts(&rules, &history, 100).lines()) {
            let told: Value = serde_json::from_str(told).unwrap();
            *counts.entry("events").or_default() += 1;
            let expected = recount.expect(fact);
            if fact.kind == "login.succeeded" {
                let expected = expected.map(Value::from);
                *counts.entry("asked").or_default() += 1;
                assert_eq!(
                    told["rules"][0].get("message"),
                    expected.as_ref().or(told["rules"][0].get("message")),
                    "seed {seed}, {}",
                    line(fact)
                );
            }
        }
        let orders = |of: &&Fact| of.kind == "order.placed" && recount.is_referred(of.account, of.time_ms);
        let counted = recount.counted.iter().filter(orders).count();
        let orders = recount.counted.iter().filter(|of| of.kind == "order.placed").count();
        *counts.entry("waited in vain").or_default() += orders - counted;
        *counts.entry("waited, and were counted").or_default() += recount.waited - (orders - counted);
    }
    eprintln!("{counts:?}");
    assert!(counts["events"] >= 100_000, "{counts:?}");
    assert!(counts.values().all(|count| *count > 500), "{counts:?}");
}

#[test]
fn the_batch_size_changes_no_byte() {
    let rules = pack::rules(PACK);
    let history = history(&mut Random(1000), 4000);
    let one = verdicts(&rules, &history, 1);
    for size in [7, 32, 1000] {
        assert!(verdicts(&rules, &history, size) == one, "batches of {size}");
    }
}

#[test]
fn who_waits_goes_on_waiting_over_restarts_and_reloads() {
    let rules = pack::rules(PACK);
    // Every other feature gets another place.
    let more = "features:\n  first: {on: [order.placed], key: [account.referrer], aggregate: count, window: 1h}\n";
    let more = pack::rules(&PACK.replace("features:\n", more));
    let restarted = |engine: &Engine, rules: &Arc<RuleSet>| {
        let mut restoring = Restoring::new(Arc::clone(rules), options());
        engine.checkpoint(&mut |segment| restoring.take(segment).unwrap());
        restoring.finish().unwrap().0
    };
    let history = history(&mut Random(1001), 4000);
    let undisturbed = verdicts(&rules, &history, 40);
    let disturbed = partitions::verdicts_with(&rules, options(), &log(&history), 40, |number, mut engine| {
        let rules = [&rules, &more][number / 3 % 2];
        if number % 6 == 0 || number % 6 == 5 {
            engine = restarted(&engine, rules);
        }
        if number % 3 == 0 {
            engine.reload(Arc::clone(rules));
        }
        engine
    });
    for (undisturbed, disturbed) in undisturbed.lines().zip(disturbed.lines()) {
        assert_eq!(undisturbed, disturbed);
    }
}
