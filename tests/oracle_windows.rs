//! Windows of the calendar, windows that all programs share, sequences: the whole engine against a recount that keeps every event
//! and knows days by their names.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use std::collections::BTreeSet;
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

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// So that late events fall into days and months that have passed.
const LATENESS_MS: i64 = 40 * HOUR_MS;
/// 2026-03-20T00:00:00Z: a month before the clocks are set in Cairo.
const START_MS: i64 = 1_773_964_800_000;
/// The programs and their zones; the first is for programs that are not named.
const ZONES: [(&str, &str); 3] =
    [("default", "Asia/Riyadh"), ("cairo", "Africa/Cairo"), ("newfoundland", "America/St_Johns")];

#[derive(Clone, Debug)]
struct Fact {
    program: usize,
    login: bool,
    time_ms: i64,
    arrival: usize,
    account: String,
    referrer: String,
    device: String,
    amount: i64,
}

fn zone(program: usize) -> TimeZone {
    TimeZone::get(ZONES[program].1).unwrap()
}

fn options() -> EngineOptions {
    let policy = |program| ProgramPolicy { timezone: zone(program), ..ProgramPolicy::default() };
    let programs = (1..ZONES.len()).map(|program| (ZONES[program].0.to_owned(), policy(program))).collect();
    EngineOptions {
        allowed_lateness_ms: LATENESS_MS,
        dedup_span_ms: DAY_MS,
        policy: Policy { default: policy(0), programs, ..Policy::default() },
        ..EngineOptions::default()
    }
}

fn history(random: &mut Random, events: usize) -> Vec<Fact> {
    let mut now_ms = START_MS + random.below(DAY_MS as u64) as i64;
    let fact = |arrival| {
        now_ms += [0, 1, 60_000, HOUR_MS / 2, HOUR_MS, 3 * HOUR_MS][random.below(6) as usize];
        if random.chance(1) {
            now_ms += random.below(20 * DAY_MS as u64) as i64;
        }
        let mut time_ms = now_ms;
        if random.chance(30) {
            // Around the allowed lateness, and around midnights.
            time_ms -= random.below(44) as i64 * HOUR_MS;
            time_ms -= time_ms % HOUR_MS - [0, 1, -1][random.below(3) as usize];
        }
        Fact {
            program: random.below(ZONES.len() as u64) as usize,
            login: random.chance(50),
            time_ms,
            arrival,
            account: format!("a{}", random.below(3)),
            referrer: format!("a{}", random.below(3)),
            device: format!("d{}", random.below(4)),
            amount: random.below(500) as i64,
        }
    };
    (0..events).map(fact).collect()
}

fn line(fact: &Fact) -> String {
    let kind = if fact.login { "login.succeeded" } else { "reward.redeemed" };
    format!(
        "{{\"specversion\":\"1.0\",\"id\":\"e{}\",\"source\":\"/s\",\"type\":\"{kind}\",\"time\":\"{}\",\"data\":{{\"program\":\"{}\",\
         \"account_id\":\"{}\",\"referrer_id\":\"{}\",\"device_id\":\"{}\",\"amount_minor\":{}}}}}\n",
        fact.arrival,
        instant(fact.time_ms),
        ZONES[fact.program].0,
        fact.account,
        fact.referrer,
        fact.device,
        fact.amount
    )
}

fn instant(time_ms: i64) -> String {
    format!("{:.3}", Timestamp::from_millisecond(time_ms).unwrap())
}

/// What a day, week, month or year is called where the program is.
fn called(format: &str, program: usize, time_ms: i64) -> String {
    let zoned = Timestamp::from_millisecond(time_ms).unwrap().to_zoned(zone(program));
    zoned.strftime(format).to_string()
}

#[derive(Clone, Copy)]
enum Unit {
    Day,
    Week,
    Month,
    Year,
    /// A day where programs without a name are.
    SharedDay,
}

/// The name of the unit that an event lies in.
fn name(unit: Unit, program: usize, time_ms: i64) -> String {
    match unit {
        Unit::Day => called("%Y-%m-%d", program, time_ms),
        Unit::Week => called("%G-%V", program, time_ms),
        Unit::Month => called("%Y-%m", program, time_ms),
        Unit::Year => called("%Y", program, time_ms),
        Unit::SharedDay => called("%Y-%m-%d", 0, time_ms),
    }
}

/// An event with the names of its day, week, month, year and shared day.
struct Counted {
    fact: Fact,
    names: [String; 5],
}

impl Counted {
    fn new(fact: &Fact) -> Counted {
        let units = [Unit::Day, Unit::Week, Unit::Month, Unit::Year, Unit::SharedDay];
        Counted { fact: fact.clone(), names: units.map(|unit| name(unit, fact.program, fact.time_ms)) }
    }
}

/// Recounts from all that was counted so far.
#[derive(Default)]
struct Recount {
    counted: Vec<Counted>,
    watermark_ms: i64,
    started_ms: Option<i64>,
}

impl Recount {
    fn expect(&mut self, fact: &Fact) -> Vec<String> {
        self.started_ms.get_or_insert(fact.time_ms);
        self.watermark_ms = self.watermark_ms.max(fact.time_ms);
        let horizon_ms = self.watermark_ms - LATENESS_MS;
        if fact.time_ms >= horizon_ms {
            self.counted.push(Counted::new(fact));
        }
        let now_ms = fact.time_ms.max(horizon_ms);
        let within = |unit: Unit, at_ms: i64| {
            let name = name(unit, fact.program, at_ms);
            move |event: &&Counted| event.fact.time_ms <= at_ms && event.names[unit as usize] == name
        };
        let mine = |account: &str| -> Vec<&Counted> {
            let is_mine = |event: &&Counted| event.fact.program == fact.program && event.fact.account == account;
            self.counted.iter().filter(is_mine).collect()
        };
        let own = mine(&fact.account);
        let all = |unit, at_ms| -> Vec<&Fact> {
            own.iter().copied().filter(within(unit, at_ms)).map(|event| &event.fact).collect()
        };
        let today = all(Unit::Day, now_ms);
        let earlier = today.iter().filter(|event| event.arrival != fact.arrival);
        let before = earlier.max_by_key(|event| (event.time_ms, event.arrival));
        let redeemed = |events: Vec<&Fact>| -> Vec<i64> {
            events.iter().filter(|event| !event.login).map(|event| event.amount).collect()
        };
        let month: BTreeSet<_> =
            all(Unit::Month, now_ms).into_iter().filter(|event| event.login).map(|event| &event.device).collect();
        let first = all(Unit::Year, now_ms).into_iter().filter(|event| event.login).map(|event| event.time_ms).min();
        let device = |event: &&Counted| event.fact.device == fact.device && event.fact.time_ms <= now_ms;
        let device = || self.counted.iter().filter(device);
        let accounts: BTreeSet<_> = device()
            .filter(|event| event.fact.login && event.fact.time_ms > now_ms - 10 * DAY_MS)
            .map(|event| &event.fact.account)
            .collect();
        let time = |time_ms: Option<i64>| time_ms.map_or("?".to_owned(), instant);
        let seen_whole = |unit| {
            // The first event of all is not in the unit, or it is its first instant.
            let (started_ms, now) = (self.started_ms.unwrap(), name(unit, fact.program, now_ms));
            let in_it = |time_ms| name(unit, fact.program, time_ms) == now;
            started_ms <= now_ms && (!in_it(started_ms) || !in_it(started_ms - 1))
        };
        vec![
            today.len().to_string(),
            time(before.map(|event| event.time_ms)),
            redeemed(all(Unit::Week, now_ms)).iter().sum::<i64>().to_string(),
            month.len().to_string(),
            redeemed(all(Unit::Month, now_ms - 30 * DAY_MS)).iter().max().map_or("?".to_owned(), i64::to_string),
            time(first),
            accounts.len().to_string(),
            device().filter(within(Unit::SharedDay, now_ms)).count().to_string(),
            mine(&fact.referrer).into_iter().filter(within(Unit::Day, now_ms)).count().to_string(),
            seen_whole(Unit::Day).to_string(),
            seen_whole(Unit::Month).to_string(),
            self.chain(fact, &fact.account, now_ms).to_string(),
            self.chain(fact, &fact.referrer, now_ms).to_string(),
        ]
    }
}

/// How many events each step of the chain takes.
const MINS: [usize; 4] = [2, 1, 1, 3];

/// The steps that an event can be.
fn steps(fact: &Fact) -> [bool; 4] {
    [fact.login && fact.amount < 250, !fact.login, fact.device == "d1", true]
}

impl Recount {
    fn chain(&self, fact: &Fact, account: &str, now_ms: i64) -> usize {
        let in_window = |time_ms| time_ms > now_ms - 60 * HOUR_MS && time_ms <= now_ms;
        let counts = |of: &&Fact| {
            of.program == fact.program && of.account == account && of.device != "d0" && in_window(of.time_ms)
        };
        let mut events: Vec<&Fact> = self.counted.iter().map(|event| &event.fact).filter(counts).collect();
        // At one time, by the first step that it can be, then by how many later ones.
        let can_be =
            |of: &Fact| steps(of).iter().enumerate().map(|(place, can)| usize::from(*can) << place).sum::<usize>();
        events.sort_by_key(|of| (of.time_ms, can_be(of).trailing_zeros(), can_be(of)));
        // The most steps that some choice of events makes: by (step due, taken for it), whether it can be reached.
        let mut reached = BTreeSet::from([(0, 0)]);
        for event in events {
            let can = steps(event);
            let more: Vec<_> = reached
                .iter()
                .filter(|(step, _)| can.get(*step) == Some(&true))
                .map(|(step, taken)| if taken + 1 == MINS[*step] { (step + 1, 0) } else { (*step, taken + 1) })
                .collect();
            reached.extend(more);
        }
        reached.last().map_or(0, |(step, _)| *step)
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
fn every_window_reads_what_a_recount_gives() {
    let rules = pack::rules(include_str!("data/oracle/windows.yaml"));
    let (mut events, mut late) = (0, 0);
    for seed in 0..60 {
        let history = history(&mut Random(seed), 1700);
        let mut recount = Recount::default();
        for (fact, told) in history.iter().zip(verdicts(&rules, &history, 100).lines()) {
            let told: Value = serde_json::from_str(told).unwrap();
            let values: Vec<&str> = told["rules"][0]["message"].as_str().unwrap().split('|').collect();
            assert_eq!(values, recount.expect(fact), "seed {seed}, {}", line(fact));
            events += 1;
            late += usize::from(told["late"] == true);
        }
    }
    assert!(events >= 100_000 && late > 500, "{events} events, {late} of them late");
}

#[test]
fn the_batch_size_changes_no_byte() {
    let rules = pack::rules(include_str!("data/oracle/windows.yaml"));
    let history = history(&mut Random(1000), 4000);
    let one = verdicts(&rules, &history, 1);
    for size in [7, 32, 1000] {
        assert!(verdicts(&rules, &history, size) == one, "batches of {size}");
    }
}
