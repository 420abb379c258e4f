//! Windows kept by buckets: the whole engine against a recount that keeps every event and knows buckets by their numbers.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use refguard::engine::{EngineOptions, Policy, ProgramPolicy};
use refguard::lab::Replay;
use refguard::ruleset::program::RuleSet;
use refguard::signals::SignalConfig;
use serde_json::Value;

#[path = "support/pack.rs"]
mod pack;
#[path = "support/random.rs"]
mod random;

use random::Random;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
const LATENESS_MS: i64 = 5 * HOUR_MS;
/// 2026-03-20T00:00:00Z.
const START_MS: i64 = 1_773_964_800_000;
const ZONE: &str = "Asia/Riyadh";

#[derive(Clone, Debug)]
struct Fact {
    time_ms: i64,
    arrival: usize,
    program: u64,
    account: u64,
    referrer: u64,
    device: u64,
    amount: i64,
    rating: f64,
}

fn options() -> EngineOptions {
    let default = ProgramPolicy { timezone: TimeZone::get(ZONE).unwrap(), ..ProgramPolicy::default() };
    EngineOptions {
        allowed_lateness_ms: LATENESS_MS,
        dedup_span_ms: DAY_MS,
        policy: Policy { default, ..Policy::default() },
        ..EngineOptions::default()
    }
}

fn history(random: &mut Random, events: usize) -> Vec<Fact> {
    let mut now_ms = START_MS + random.below(DAY_MS as u64) as i64;
    let fact = |arrival| {
        now_ms += [0, 1, 1000, 20_000, MINUTE_MS, 5 * MINUTE_MS, 40 * MINUTE_MS][random.below(7) as usize];
        if random.chance(1) {
            now_ms += random.below(30 * HOUR_MS as u64) as i64;
        }
        let mut time_ms = now_ms;
        if random.chance(30) {
            // Around the allowed lateness, and around the edges of buckets.
            time_ms -= random.below(310) as i64 * MINUTE_MS;
            time_ms -= time_ms % MINUTE_MS - [0, 1, -1][random.below(3) as usize];
        }
        Fact {
            time_ms,
            arrival,
            program: random.below(2),
            account: random.below(3),
            referrer: random.below(3),
            device: random.below(3),
            amount: random.below(500) as i64 - 100,
            rating: random.below(1000) as f64 / 100.7,
        }
    };
    (0..events).map(fact).collect()
}

fn line(fact: &Fact) -> String {
    format!(
        "{{\"specversion\":\"1.0\",\"id\":\"e{}\",\"source\":\"/s\",\"type\":\"reward.redeemed\",\"time\":\"{:.3}\",\"data\":{{\
         \"program\":\"p{}\",\"account_id\":\"a{}\",\"referrer_id\":\"a{}\",\"device_id\":\"d{}\",\"amount_minor\":{},\"rating\":{}}}}}\n",
        fact.arrival,
        Timestamp::from_millisecond(fact.time_ms).unwrap(),
        fact.program,
        fact.account,
        fact.referrer,
        fact.device,
        fact.amount,
        fact.rating
    )
}

fn day(time_ms: i64) -> String {
    let zoned = Timestamp::from_millisecond(time_ms).unwrap().to_zoned(TimeZone::get(ZONE).unwrap());
    zoned.strftime("%Y-%m-%d").to_string()
}

/// All that was counted so far.
#[derive(Default)]
struct Recount {
    counted: Vec<Fact>,
    watermark_ms: i64,
}

/// The events in the buckets that have an instant in the window that ends at `t_ms`, in the order of arrival.
fn within<'a>(events: impl Iterator<Item = &'a Fact>, t_ms: i64, window_ms: i64, bucket_ms: i64) -> Vec<&'a Fact> {
    let bucket = |time_ms: i64| time_ms.div_euclid(bucket_ms);
    // The first instant of the window is the one after its open end.
    let (first, last) = (bucket(t_ms - window_ms + 1), bucket(t_ms));
    events.filter(|event| (first..=last).contains(&bucket(event.time_ms))).collect()
}

fn shown<T: ToString>(value: Option<T>) -> String {
    value.map_or("?".to_owned(), |value| value.to_string())
}

/// As CEL writes it.
fn double(value: f64) -> String {
    value.to_string()
}

impl Recount {
    /// What the features read, but for the last two.
    fn expect(&mut self, fact: &Fact) -> (Vec<String>, [usize; 2]) {
        self.watermark_ms = self.watermark_ms.max(fact.time_ms);
        let horizon_ms = self.watermark_ms - LATENESS_MS;
        if fact.time_ms >= horizon_ms {
            self.counted.push(fact.clone());
        }
        let t_ms = fact.time_ms.max(horizon_ms);
        let of = |account: u64| {
            self.counted.iter().filter(move |event| event.program == fact.program && event.account == account)
        };
        let own = |window_ms, bucket_ms| within(of(fact.account), t_ms, window_ms, bucket_ms);
        let mean = own(6 * HOUR_MS, HOUR_MS);
        let mut ratings: BTreeMap<i64, f64> = BTreeMap::new();
        for event in own(6 * HOUR_MS, 10 * MINUTE_MS) {
            // Within a bucket in the order of arrival, then bucket by bucket.
            *ratings.entry(event.time_ms.div_euclid(10 * MINUTE_MS)).or_default() += event.rating;
        }
        let on_day = |at_ms: i64, bucket_ms: i64| {
            let day_name = day(at_ms);
            let events = of(fact.account).filter(|event| day(event.time_ms) == day_name).collect::<Vec<_>>();
            within(events.into_iter(), at_ms, 26 * HOUR_MS, bucket_ms)
        };
        let device = |program: Option<u64>| {
            let is_in = move |event: &&Fact| program.is_none_or(|program| event.program == program);
            self.counted.iter().filter(|event| event.device == fact.device).filter(is_in)
        };
        let amount = |events: Vec<&Fact>| events.iter().map(|event| event.amount).sum::<i64>();
        let values = vec![
            own(6 * HOUR_MS, 5 * MINUTE_MS).len().to_string(),
            amount(own(90 * MINUTE_MS, 7 * MINUTE_MS)).to_string(),
            shown((!mean.is_empty()).then(|| double(amount(mean.clone()) as f64 / mean.len() as f64))),
            double(ratings.values().fold(0.0, |sum, rating| sum + rating)),
            shown(own(2 * HOUR_MS, 50 * MINUTE_MS).iter().map(|event| event.amount).min()),
            shown(own(2 * HOUR_MS, MINUTE_MS).iter().map(|event| event.rating).max_by(f64::total_cmp).map(double)),
            within(of(fact.account), t_ms - 25 * HOUR_MS, 3 * HOUR_MS, 20 * MINUTE_MS).len().to_string(),
            amount(on_day(t_ms, 11 * MINUTE_MS)).to_string(),
            shown(on_day(t_ms - DAY_MS, 2 * HOUR_MS).iter().map(|event| event.amount).max()),
            within(device(None), t_ms, DAY_MS, 30 * MINUTE_MS).len().to_string(),
            within(of(fact.referrer), t_ms, 6 * HOUR_MS, 5 * MINUTE_MS).len().to_string(),
            "true".to_owned(),
        ];
        // Past the bound a 64th of the window more, at either edge.
        let part_ms = 32 * HOUR_MS / 64 + 2 * MINUTE_MS;
        let least = within(device(Some(fact.program)), t_ms, 32 * HOUR_MS, MINUTE_MS).len();
        let most = device(Some(fact.program))
            .filter(|event| (t_ms - 32 * HOUR_MS - part_ms..=t_ms + part_ms).contains(&event.time_ms))
            .count();
        (values, [least, most])
    }
}

fn verdicts(rules: &Arc<RuleSet>, history: &[Fact], size: usize) -> String {
    let mut replay = Replay::new(Arc::clone(rules), &SignalConfig::default(), options()).unwrap();
    let mut out = Vec::new();
    for batch in history.chunks(size) {
        assert!(replay.judge(&batch.iter().map(line).collect::<String>()).is_empty());
        replay.write(&mut out);
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn every_bucket_reads_what_a_recount_of_whole_buckets_gives() {
    let rules = pack::rules(include_str!("data/oracle/buckets.yaml"));
    let (mut events, mut late, mut exact) = (0, 0, 0);
    for seed in 0..50 {
        let history = history(&mut Random(seed), 2100);
        let mut recount = Recount::default();
        for (fact, told) in history.iter().zip(verdicts(&rules, &history, 100).lines()) {
            let told: Value = serde_json::from_str(told).unwrap();
            let values: Vec<&str> = told["rules"][0]["message"].as_str().unwrap().split('|').collect();
            let (expected, [least, most]) = recount.expect(fact);
            assert_eq!(values[..12], expected, "seed {seed}, {}", line(fact));
            let few: usize = values[12].parse().unwrap();
            let is_exact = values[13] == "true";
            assert!((least..=most).contains(&few), "seed {seed}: {few}, not {least} to {most}: {}", line(fact));
            assert!(!is_exact || few == least, "seed {seed}: {few}, not {least}: {}", line(fact));
            exact += usize::from(is_exact);
            events += 1;
            late += usize::from(told["late"] == true);
        }
    }
    assert!(events >= 100_000 && late > 200, "{events} events, {late} of them late");
    assert!(exact > 500 && events - exact > 40_000, "{exact} of {events} within the bound");
}

#[test]
fn the_batch_size_changes_no_byte() {
    let rules = pack::rules(include_str!("data/oracle/buckets.yaml"));
    let history = history(&mut Random(1000), 4000);
    let one = verdicts(&rules, &history, 1);
    for size in [7, 32, 1000] {
        assert!(verdicts(&rules, &history, size) == one, "batches of {size}");
    }
}
