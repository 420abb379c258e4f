//! Chains of referrers: the whole engine against a walk over all referrals that were counted.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use refguard::engine::EngineOptions;
use refguard::lab::Replay;
use refguard::ruleset::program::RuleSet;
use refguard::signals::SignalConfig;
use serde_json::Value;

#[path = "support/pack.rs"]
mod pack;
#[path = "support/random.rs"]
mod random;

use random::Random;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const LATENESS_MS: i64 = 40 * HOUR_MS;
const RETENTION_MS: i64 = 6 * DAY_MS;
/// 2026-03-20T00:00:00Z.
const START_MS: i64 = 1_773_964_800_000;
const PACK: &str = r#"version: 1
pack: chains
rules:
  - id: everything
    on: [referral.completed, login.succeeded]
    when: referral_depth(event.account_id) >= 0
    score: 1
    message: "{referral_depth(event.account_id)}|{referral_depth(event.referrer_id)}|{referral_depth(account.referrer)}|{referral_cycle(event.referrer_id, event.account_id)}|{referral_cycle(event.account_id, event.referrer_id)}|{account.referrer}"
"#;

#[derive(Clone, Debug)]
struct Fact {
    id: usize,
    time_ms: i64,
    referral: bool,
    account: u64,
    referrer: u64,
}

fn history(random: &mut Random, events: usize) -> Vec<Fact> {
    let mut now_ms = START_MS;
    let accounts = 4 + random.below(40);
    let fact = |id| {
        now_ms += [0, 1, 60_000, HOUR_MS, 3 * HOUR_MS][random.below(5) as usize];
        let back = if random.chance(30) { random.below(44) as i64 * HOUR_MS } else { 0 };
        let (account, referrer) = (random.below(accounts), random.below(accounts));
        Fact { id, time_ms: now_ms - back, referral: random.chance(50), account, referrer }
    };
    (0..events).map(fact).collect()
}

fn line(fact: &Fact) -> String {
    let kind = if fact.referral { "referral.completed" } else { "login.succeeded" };
    let time = format!("{:.3}", Timestamp::from_millisecond(fact.time_ms).unwrap());
    format!(
        "{{\"specversion\":\"1.0\",\"id\":\"e{}\",\"source\":\"/s\",\"type\":\"{kind}\",\"time\":\"{time}\",\"data\":{{\"account_id\":\"a{}\",\"referrer_id\":\"a{}\"}}}}\n",
        fact.id, fact.account, fact.referrer
    )
}

/// All referrals that were counted, by account: time, place in the log, and who invited.
#[derive(Default)]
struct Walk {
    counted: BTreeMap<u64, Vec<(i64, usize, u64)>>,
    watermark_ms: i64,
}

impl Walk {
    /// Who invited whom, as of an instant: by the first of an account's referrals that are less than the retention apart.
    fn referrers(&self, time_ms: i64) -> BTreeMap<u64, u64> {
        let lives = |run: &&[(i64, usize, u64)]| run[0].0 <= time_ms && time_ms < run[run.len() - 1].0 + RETENTION_MS;
        let of = |referrals: &Vec<(i64, usize, u64)>| {
            let mut runs = referrals.chunk_by(|one, next| next.0 - one.0 < RETENTION_MS);
            runs.find(lives).map(|run| run[0].2)
        };
        self.counted.iter().filter_map(|(account, referrals)| Some((*account, of(referrals)?))).collect()
    }

    fn expect(&mut self, fact: &Fact) -> Vec<String> {
        self.watermark_ms = self.watermark_ms.max(fact.time_ms);
        let horizon_ms = self.watermark_ms - LATENESS_MS;
        if fact.referral && fact.time_ms >= horizon_ms {
            let referrals = self.counted.entry(fact.account).or_default();
            referrals.push((fact.time_ms, fact.id, fact.referrer));
            referrals.sort_unstable();
        }
        let referrers = self.referrers(fact.time_ms.max(horizon_ms));
        // A circle goes on for ever.
        let above = |account: Option<u64>| -> Vec<u64> {
            std::iter::successors(account, |account| referrers.get(account).copied()).skip(1).take(64).collect()
        };
        let mine = referrers.get(&fact.account).copied();
        let depth = |account| above(account).len().to_string();
        let cycle = |from: u64, to: u64| from == to || above(Some(from)).contains(&to);
        vec![
            depth(Some(fact.account)),
            depth(Some(fact.referrer)),
            depth(mine),
            cycle(fact.referrer, fact.account).to_string(),
            cycle(fact.account, fact.referrer).to_string(),
            mine.map_or("?".to_owned(), |account| format!("a{account}")),
        ]
    }
}

fn verdicts(rules: &Arc<RuleSet>, history: &[Fact], size: usize) -> String {
    let options =
        EngineOptions { allowed_lateness_ms: LATENESS_MS, retention_ms: RETENTION_MS, ..EngineOptions::default() };
    let mut replay = Replay::new(Arc::clone(rules), &SignalConfig::default(), options).unwrap();
    let mut out = Vec::new();
    for batch in history.chunks(size) {
        assert!(replay.judge(&batch.iter().map(line).collect::<String>()).is_empty());
        replay.write(&mut out);
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn every_chain_is_what_a_walk_over_all_referrals_finds() {
    let rules = pack::rules(PACK);
    let (mut events, mut deep, mut circles) = (0, 0, 0);
    for seed in 0..80 {
        let history = history(&mut Random(seed), 1300);
        let mut walk = Walk::default();
        for (fact, told) in history.iter().zip(verdicts(&rules, &history, 100).lines()) {
            let told: Value = serde_json::from_str(told).unwrap();
            let values: Vec<&str> = told["rules"][0]["message"].as_str().unwrap().split('|').collect();
            assert_eq!(values, walk.expect(fact), "seed {seed}, {}", line(fact));
            events += 1;
            deep += usize::from(values[0] != "64" && values[0] > "2");
            circles += usize::from(values[3] == "true");
        }
    }
    assert!(events >= 100_000 && deep > 500 && circles > 500, "{events} events, {deep} deep, {circles} in circles");
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
