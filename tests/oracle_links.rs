//! Components of linked accounts: the whole engine against a search over all links that were made, with hubs counted by hand.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use refguard::engine::EngineOptions;
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
/// 2026-03-20T00:00:00Z.
const START_MS: i64 = 1_773_964_800_000;
const PARTITIONS: usize = 3;
const ACCOUNTS: u64 = 24;

#[derive(Clone, Debug)]
struct Fact {
    partition: usize,
    program: usize,
    login: bool,
    time_ms: i64,
    id: usize,
    account: u8,
    referrer: Option<u8>,
    recipient: u8,
    device: Option<u8>,
    payment: Option<u8>,
    amount: i64,
}

/// Partitions that each are nearly in order, one behind the other by more or less.
fn history(random: &mut Random, events: usize) -> Vec<Fact> {
    let mut now_ms = START_MS + random.below(DAY_MS as u64) as i64;
    let behind = [0, random.below(3) as i64 * HOUR_MS, random.below(60) as i64 * HOUR_MS];
    let mut facts: Vec<Fact> = Vec::new();
    for id in 0..events {
        now_ms += [0, 1, 60_000, HOUR_MS / 4, HOUR_MS / 2, HOUR_MS][random.below(6) as usize];
        if random.chance(1) {
            now_ms += random.below(5 * DAY_MS as u64) as i64;
        }
        if id > 0 && random.chance(4) {
            let repeated = facts[id - 1 - random.below(20.min(id as u64)) as usize].clone();
            facts.push(repeated);
            continue;
        }
        let partition = random.below(PARTITIONS as u64) as usize;
        let mut time_ms = now_ms - behind[partition];
        if random.chance(30) {
            // Around the allowed lateness, and around the starts of generations.
            time_ms -= random.below(7) as i64 * HOUR_MS;
            time_ms -= time_ms % HOUR_MS - [0, 1, -1][random.below(3) as usize];
        }
        let some = |random: &mut Random, percent, bound| random.chance(percent).then(|| random.below(bound) as u8);
        // A few values are shared by many, most by some.
        let bound = [1, 14, 14, 40][random.below(4) as usize];
        facts.push(Fact {
            partition,
            program: random.below(8) as usize / 7,
            login: random.chance(60),
            time_ms,
            id,
            account: random.below(ACCOUNTS) as u8,
            referrer: some(random, 40, ACCOUNTS),
            recipient: random.below(ACCOUNTS) as u8,
            device: some(random, 60, bound),
            payment: some(random, 30, bound),
            amount: random.below(500) as i64,
        });
    }
    facts
}

fn line(fact: &Fact) -> String {
    let time = format!("{:.3}", Timestamp::from_millisecond(fact.time_ms).unwrap());
    let kind = if fact.login { "login.succeeded" } else { "reward.redeemed" };
    let text = |name: &str, prefix: &str, of: Option<u8>| {
        of.map_or(String::new(), |number| format!(",\"{name}\":\"{prefix}{number}\""))
    };
    format!(
        "{{\"specversion\":\"1.0\",\"id\":\"e{}\",\"source\":\"/s\",\"type\":\"{kind}\",\"time\":\"{time}\",\"data\":{{\"program\":\"{}\",\
         \"account_id\":\"a{}\",\"recipient_id\":\"a{}\",\"amount_minor\":{}{}{}{}}}}}",
        fact.id,
        ["default", "other"][fact.program],
        fact.account,
        fact.recipient,
        fact.amount,
        text("referrer_id", "a", fact.referrer),
        text("device_id", "d", fact.device),
        text("payment_fingerprint", "p", fact.payment),
    )
}

/// A value that links, as it is spelt.
type Linking = (char, u8);

/// A feature, written down once more.
struct Component {
    counts: fn(&Fact) -> bool,
    links: fn(&Fact) -> Vec<Linking>,
    window_ms: i64,
    generation_ms: i64,
    hub: u32,
    global: bool,
    events: Vec<Counted>,
}

/// An event that was counted: the accounts that share a value are bits.
struct Counted {
    program: usize,
    time_ms: i64,
    account: u32,
    values: Vec<Linking>,
    made: Vec<Linking>,
}

fn devices(fact: &Fact) -> Vec<Linking> {
    fact.device.map(|device| ('d', device)).into_iter().collect()
}

fn components() -> [Component; 4] {
    let component = |counts, links, window_ms, generation_ms, hub, global| Component {
        counts,
        links,
        window_ms,
        generation_ms,
        hub,
        global,
        events: Vec::new(),
    };
    let both = |fact: &Fact| {
        let mut values = devices(fact);
        values.extend(fact.payment.map(|payment| ('p', payment)));
        values.retain(|value| ![('d', 1), ('p', 1), ('p', 0)].contains(value));
        values
    };
    let accounts = |fact: &Fact| std::iter::once(fact.account).chain(fact.referrer).map(|of| ('a', of)).collect();
    [
        component(|_| true, both, 72 * HOUR_MS, 12 * HOUR_MS, 5, false),
        component(|fact| fact.login && fact.amount < 400, devices, 5 * DAY_MS, DAY_MS, 20, false),
        component(|_| true, accounts, 30 * DAY_MS, 7 * DAY_MS, 4, true),
        component(|fact| !fact.login, devices, 3 * HOUR_MS, HOUR_MS, 3, false),
    ]
}

impl Component {
    /// The events that count for an event of this program and time.
    fn within(&self, program: usize, time_ms: i64) -> impl Iterator<Item = &Counted> {
        let since_ms = time_ms.div_euclid(self.generation_ms) * self.generation_ms - self.window_ms;
        self.events.iter().filter(move |event| (self.global || event.program == program) && event.time_ms >= since_ms)
    }

    fn count(&mut self, fact: &Fact) {
        if !(self.counts)(fact) {
            return;
        }
        let account = 1 << fact.account;
        let values = (self.links)(fact);
        let made = |value: &Linking| {
            let with = self.within(fact.program, fact.time_ms).filter(|event| event.values.contains(value));
            with.fold(account, |accounts: u32, event| accounts | event.account).count_ones() < self.hub
        };
        let made = values.iter().copied().filter(made).collect();
        self.events.push(Counted { program: fact.program, time_ms: fact.time_ms, account, values, made });
    }

    /// The accounts of each component, as bits.
    fn all(&self, program: usize, time_ms: i64) -> Vec<u32> {
        let mut by_value: BTreeMap<Linking, u32> = BTreeMap::new();
        let mut alone = 0;
        for event in self.within(program, time_ms) {
            alone |= event.account;
            event.made.iter().for_each(|value| *by_value.entry(*value).or_default() |= event.account);
        }
        let mut found: Vec<u32> = Vec::new();
        let alone = (0..ACCOUNTS).map(|account| alone & 1 << account).filter(|account| *account != 0);
        for mut accounts in by_value.into_values().chain(alone) {
            found.retain(|other| {
                let apart = accounts & other == 0;
                if !apart {
                    accounts |= other;
                }
                apart
            });
            found.push(accounts);
        }
        found
    }
}

fn size(components: &[u32], account: Option<u8>) -> u32 {
    let has = |accounts: &&u32| account.is_some_and(|account| **accounts & 1 << account != 0);
    components.iter().find(has).map_or(0, |accounts| accounts.count_ones())
}

fn same(components: &[u32], one: Option<u8>, two: Option<u8>) -> bool {
    let both = one.zip(two).map(|(one, two)| 1_u32 << one | 1 << two);
    both.is_some_and(|both| components.iter().any(|accounts| accounts & both == both))
}

/// Searches all that was counted so far.
struct Search {
    components: [Component; 4],
    newest_ms: [Option<i64>; PARTITIONS],
    watermark_ms: i64,
    started_ms: Option<i64>,
    known: Vec<usize>,
}

impl Search {
    fn new() -> Search {
        Search {
            components: components(),
            newest_ms: [None; PARTITIONS],
            watermark_ms: i64::MIN,
            started_ms: None,
            known: Vec::new(),
        }
    }

    /// What every component reads; `None` for a repeat.
    fn expect(&mut self, fact: &Fact) -> Option<Vec<String>> {
        let started_ms = *self.started_ms.get_or_insert(fact.time_ms);
        let newest = &mut self.newest_ms[fact.partition];
        *newest = (*newest).max(Some(fact.time_ms));
        self.watermark_ms = self.watermark_ms.max(*self.newest_ms.iter().flatten().min().unwrap());
        let horizon_ms = self.watermark_ms - LATENESS_MS;
        if self.known.contains(&fact.id) {
            return None;
        }
        self.known.push(fact.id);
        if fact.time_ms >= horizon_ms {
            self.components.iter_mut().for_each(|component| component.count(fact));
        }
        let now_ms = fact.time_ms.max(horizon_ms);
        let [ring, crowd, family, hours] = self.components.each_ref().map(|of| of.all(fact.program, now_ms));
        let (account, referrer) = (Some(fact.account), fact.referrer);
        Some(vec![
            size(&ring, account).to_string(),
            size(&ring, referrer).to_string(),
            same(&ring, account, referrer).to_string(),
            (size(&ring, account) > 0).to_string(),
            (now_ms - 84 * HOUR_MS >= started_ms).to_string(),
            "true".to_owned(),
            size(&crowd, account).to_string(),
            size(&crowd, referrer).to_string(),
            size(&family, account).to_string(),
            same(&family, account, referrer).to_string(),
            size(&hours, account).to_string(),
            size(&hours, referrer).to_string(),
            same(&hours, account, Some(fact.recipient)).to_string(),
        ])
    }
}

fn verdicts(rules: &Arc<RuleSet>, history: &[Fact], size: usize) -> String {
    let options =
        EngineOptions { allowed_lateness_ms: LATENESS_MS, dedup_span_ms: 10_000 * DAY_MS, ..EngineOptions::default() };
    let log: Vec<(u32, String)> = history.iter().map(|fact| (fact.partition as u32, line(fact))).collect();
    partitions::verdicts(rules, options, &log, size)
}

#[test]
fn every_component_is_what_a_search_over_all_links_finds() {
    let rules = pack::rules(include_str!("data/oracle/links.yaml"));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..60 {
        let history = history(&mut Random(seed), 1700);
        let mut search = Search::new();
        for (fact, told) in history.iter().zip(verdicts(&rules, &history, 100).lines()) {
            let told: Value = serde_json::from_str(told).unwrap();
            *counts.entry("events").or_default() += 1;
            let Some(expected) = search.expect(fact) else {
                assert_eq!(told["duplicate"], true, "seed {seed}, {}", line(fact));
                *counts.entry("repeats").or_default() += 1;
                continue;
            };
            let values: Vec<&str> = told["rules"][0]["message"].as_str().unwrap().split('|').collect();
            assert_eq!(values, expected, "seed {seed}, {}", line(fact));
            *counts.entry("late").or_default() += usize::from(told["late"] == true);
            *counts.entry("in rings of 5").or_default() += usize::from(values[0].len() > 1 || values[0] >= "5");
            *counts.entry("with their referrer").or_default() += usize::from(values[2] == "true");
            *counts.entry("with strangers").or_default() += usize::from(values[2] == "false" && values[1] > "1");
        }
        let hubs = search.components.iter().flat_map(|of| &of.events).filter(|event| event.made != event.values);
        *counts.entry("links that a hub did not make").or_default() += hubs.count();
    }
    eprintln!("{counts:?}");
    assert!(counts["events"] >= 100_000, "{counts:?}");
    assert!(counts.len() == 7 && counts.values().all(|count| *count > 500), "{counts:?}");
}

#[test]
fn the_batch_size_changes_no_byte() {
    let rules = pack::rules(include_str!("data/oracle/links.yaml"));
    let history = history(&mut Random(1000), 4000);
    let one = verdicts(&rules, &history, 1);
    for size in [7, 32, 1000] {
        assert!(verdicts(&rules, &history, size) == one, "batches of {size}");
    }
}
