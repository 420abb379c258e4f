//! The comparison workload's pack over a made-up stream of its shape: each rule fires exactly as often as a plain recount
//! says, on a dense stream, where windows never end, and on a thin one, where they slide.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use refguard::engine::EngineOptions;
use refguard::lab::Replay;
use refguard::ruleset::diagnostic::render;
use refguard::ruleset::{Premises, load};
use refguard::signals::SignalConfig;

#[path = "support/random.rs"]
mod random;

use random::Random;

const RULES: [&str; 5] = ["w1", "w2", "w3", "w4", "w5"];
/// 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// Rings share one device and one address among this many accounts.
const RINGS: u64 = 2;
const RING_ACCOUNTS: u64 = 20;

struct Event {
    time_ms: i64,
    kind: &'static str,
    account: u64,
    referrer: Option<u64>,
    device: u64,
    address: u64,
    amount: i64,
}

/// One event in five comes from a ring; the others come from accounts of which a few are busy.
fn event(random: &mut Random, time_ms: i64) -> Event {
    const ACCOUNTS: u64 = 2000;
    let kind = |share: u64| match share {
        0..10 => "account.created",
        10..30 => "referral.completed",
        30..50 => "reward.redeemed",
        _ => "login.succeeded",
    };
    if random.chance(20) {
        let ring = random.below(RINGS);
        let member = |random: &mut Random| ACCOUNTS + ring * RING_ACCOUNTS + random.below(RING_ACCOUNTS);
        let kind = kind([0, 0, 10, 30][random.below(4) as usize]);
        let (account, other) = (member(random), member(random));
        let referrer = if other == account { ACCOUNTS + ring * RING_ACCOUNTS } else { other };
        let amount = 500_000 + random.below(500_000) as i64;
        return Event {
            time_ms,
            kind,
            account,
            referrer: Some(referrer),
            device: 1500 + ring,
            address: 1000 + ring,
            amount,
        };
    }
    // The product of two uniform draws is small more often than not.
    let busy = |random: &mut Random| random.below(ACCOUNTS) * random.below(ACCOUNTS) / ACCOUNTS;
    let account = busy(random);
    let device = if random.chance(1) { random.below(1500) } else { account % 1500 };
    let amount = 100 + random.below(900) as i64;
    let (kind, address, referrer) = (kind(random.below(100)), random.below(1000), Some(busy(random)));
    Event { time_ms, kind, account, referrer, device, address, amount }
}

fn line(event: &Event, number: usize, out: &mut String) {
    let time = jiff::Timestamp::from_millisecond(event.time_ms).unwrap();
    let (referrer, referee) = match (event.kind, event.referrer) {
        ("referral.completed", Some(referrer)) => {
            (format!("\"acc_{referrer:08}\""), format!("\"acc_{:08}\"", event.account))
        }
        _ => ("null".to_owned(), "null".to_owned()),
    };
    let amount = if event.kind == "reward.redeemed" { event.amount } else { 0 };
    writeln!(
        out,
        "{{\"specversion\":\"1.0\",\"id\":\"e-{number}\",\"source\":\"/shop\",\"type\":\"{}\",\"time\":\"{time:.3}\",\
         \"data\":{{\"program\":\"p1\",\"account_id\":\"acc_{:08}\",\"referrer_id\":{referrer},\"referee_id\":{referee},\
         \"device_id\":\"dev_{}\",\"ip\":\"10.0.{}.{}\",\"amount_minor\":{amount}}}}}",
        event.kind,
        event.account,
        event.device,
        event.address >> 8,
        event.address & 255
    )
    .unwrap();
}

/// How often each rule is true, counting all earlier events anew at every one: windows are `(t - window, t]`.
fn recount(events: &[Event]) -> [u64; 5] {
    let mut fired = [0; 5];
    let mut by_device: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    let mut by_address: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    let mut by_account: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (at, event) in events.iter().enumerate() {
        by_device.entry(event.device).or_default().push(at);
        by_address.entry(event.address).or_default().push(at);
        by_account.entry(event.account).or_default().push(at);
        let within = |places: &BTreeMap<u64, Vec<usize>>, key: u64, window_ms: i64| -> Vec<&Event> {
            let known = places.get(&key).into_iter().flatten().rev().map(|at| &events[*at]);
            known.take_while(|earlier| earlier.time_ms > event.time_ms - window_ms).collect()
        };
        let devices = |account: u64| -> BTreeSet<u64> {
            by_account.get(&account).into_iter().flatten().map(|at| events[*at].device).collect()
        };
        let on_device = within(&by_device, event.device, DAY_MS);
        let created = within(&by_device, event.device, 60 * MINUTE_MS);
        let created = created.iter().filter(|earlier| earlier.kind == "account.created").count();
        let accounts: BTreeSet<u64> = on_device.iter().map(|earlier| earlier.account).collect();
        let redeemed = within(&by_account, event.account, DAY_MS);
        let redeemed = redeemed.iter().filter(|earlier| earlier.kind == "reward.redeemed");
        let sum: i64 = redeemed.map(|earlier| earlier.amount).sum();
        let shared = event.referrer.is_some_and(|referrer| !devices(referrer).is_disjoint(&devices(event.account)));
        let held = [
            event.kind == "account.created" && created > 5,
            within(&by_address, event.address, 10 * MINUTE_MS).len() > 20,
            accounts.len() > 3,
            event.kind == "reward.redeemed" && sum > 5_000_000,
            event.kind == "referral.completed" && shared,
        ];
        (0..5).for_each(|rule| fired[rule] += u64::from(held[rule]));
    }
    fired
}

fn run(events_count: usize, step_ms: i64, seed: u64) {
    let mut random = Random(seed);
    let events: Vec<Event> = (0..events_count as i64).map(|at| event(&mut random, START_MS + at * step_ms)).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/workload");
    let rules =
        Arc::new(load(&folder, &Premises::default()).unwrap_or_else(|found| panic!("{}", render(&found, false))).set);
    let mut replay = Replay::new(rules, &SignalConfig::default(), EngineOptions::default()).unwrap();
    for (batch, events) in events.chunks(500).enumerate() {
        let mut lines = String::new();
        events.iter().enumerate().for_each(|(at, event)| line(event, batch * 500 + at, &mut lines));
        assert_eq!(replay.judge(&lines), []);
    }
    let engine = replay.engine();
    let ids: Vec<&str> = engine.rules().rules.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids, RULES);
    let fired: Vec<u64> = engine.tally().rule_matches.iter().map(|[enforced, _]| *enforced).collect();
    let expected = recount(&events);
    assert_eq!(fired, expected);
    assert!(expected.iter().all(|count| *count >= 100), "{expected:?}");
}

#[test]
fn on_a_dense_stream_each_rule_fires_as_often_as_a_recount_says() {
    run(40_000, 20, 1);
}

#[test]
fn on_a_sliding_stream_each_rule_fires_as_often_as_a_recount_says() {
    run(30_000, 4_000, 2);
}
