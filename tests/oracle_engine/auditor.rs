//! What the verdicts must be, recounted by definition: every event counted so far is kept in plain vectors, and each
//! value is computed from them anew. It shares no code with the engine.

use std::collections::{BTreeMap, BTreeSet};

use crate::world::{Fact, instant};

pub(crate) const LATENESS_MS: i64 = 20_000;
pub(crate) const DEDUP_SPAN_MS: i64 = 30_000;
pub(crate) const RETENTION_MS: i64 = 60_000;

/// An event that was counted at some key.
#[derive(Clone)]
struct Counted {
    time_ms: i64,
    id: String,
    arrival: usize,
    int: i64,
    double: f64,
    text: String,
}

type Key = (&'static str, String);

/// What the auditor expects of one event.
pub(crate) enum Expected {
    /// No line: the id was used for something else.
    Refused,
    /// A line that repeats an earlier one, by its number.
    Repeat(usize),
    /// A line.
    Judged(Box<Judged>),
}

/// What a line must say.
#[derive(Default)]
pub(crate) struct Judged {
    pub(crate) late: bool,
    pub(crate) evidence: String,
    pub(crate) facts: Vec<Told>,
    /// Ids of rules and whether they are enforced.
    pub(crate) rules: Vec<(&'static str, bool)>,
    pub(crate) score: i64,
    pub(crate) verdict: &'static str,
    pub(crate) cause: &'static str,
    pub(crate) parties: Option<(&'static str, &'static str)>,
    /// How many decisions it makes.
    pub(crate) creates: usize,
    /// Ids of the decisions that play.
    pub(crate) decisions: Vec<String>,
}

/// One value in the message of `b-facts`.
pub(crate) enum Told {
    Text(String),
    /// A number, and how far off it may be: places are kept to 2 m.
    Number(f64, f64),
}

struct Hold {
    id: String,
    ends_ms: i64,
}

#[derive(Default)]
pub(crate) struct Auditor {
    /// By partition: the newest event time that it has shown.
    pub(crate) newest_ms: BTreeMap<u32, i64>,
    pub(crate) watermark_ms: Option<i64>,
    started_ms: i64,
    arrivals: usize,
    /// By program, source and id: the newest one remembered, and the number of its line.
    names: BTreeMap<(&'static str, &'static str, String), (Fact, usize)>,
    counted: BTreeMap<Key, Vec<Counted>>,
    /// Theoretical arrival time in ms times the limit, and newest time, by account.
    rates: BTreeMap<String, (i64, i64)>,
    holds: BTreeMap<String, Vec<Hold>>,
    pub(crate) errors: u64,
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

impl Auditor {
    /// Takes an event in. `line` is the number of the line that it would get.
    pub(crate) fn expect(&mut self, fact: &Fact, line: usize) -> Expected {
        self.arrivals += 1;
        if self.arrivals == 1 {
            self.started_ms = fact.time_ms;
        }
        let newest = self.newest_ms.entry(fact.partition).or_insert(fact.time_ms);
        *newest = (*newest).max(fact.time_ms);
        self.watermark_ms = self.watermark_ms.max(self.newest_ms.values().min().copied());
        let watermark_ms = self.watermark_ms.unwrap();
        let name = (fact.program(), fact.source, fact.id.clone());
        if let Some((first, at)) = self.names.get(&name)
            && first.time_ms + DEDUP_SPAN_MS > watermark_ms
        {
            return if first.says_the_same(fact) { Expected::Repeat(*at) } else { Expected::Refused };
        }
        self.names.insert(name, (fact.clone(), line));
        let horizon_ms = watermark_ms.saturating_sub(LATENESS_MS);
        let late = fact.time_ms < horizon_ms;
        if !late {
            self.count(fact);
        }
        Expected::Judged(Box::new(self.judge(fact, late, fact.time_ms.max(horizon_ms))))
    }

    /// Learns the ids that a line gave to the decisions that it made.
    pub(crate) fn created(&mut self, fact: &Fact, ids: &[String]) {
        for id in ids {
            let hold = Hold { id: id.clone(), ends_ms: fact.time_ms + 10_000 };
            self.holds.entry(place(fact, &fact.device)).or_default().push(hold);
        }
    }

    fn count(&mut self, fact: &Fact) {
        let at = |parts: &[&str]| (!parts.contains(&"")).then(|| place(fact, &parts.join("|")));
        let (account, device) = (at(&[&fact.account]), at(&[&fact.device]));
        let pair = at(&[&fact.account, prefix(fact)]);
        let on = |types: &[&str]| types.contains(&fact.kind);
        let (login, redeem, refer) = ("login.succeeded", "reward.redeemed", "referral.completed");
        let (create, visit) = ("account.created", "shop.visited");
        let amount = fact.amount.is_some();
        let rating = fact.rating.is_some();
        let open = fact.channel != "kiosk";
        let mut add = |name: &'static str, key: &Option<String>, counts: bool| {
            if let (Some(key), true) = (key, counts) {
                self.counted.entry((name, key.clone())).or_default().push(Counted {
                    time_ms: fact.time_ms,
                    id: fact.id.clone(),
                    arrival: self.arrivals,
                    int: fact.amount.unwrap_or(0),
                    // A negative zero reads as the zero.
                    double: fact.rating.unwrap_or(0.0) + 0.0,
                    text: fact.device.clone(),
                });
            }
        };
        add("amounts", &account, on(&[redeem]) && amount);
        add("amounts_device", &device, on(&[redeem]) && amount);
        add("ratings", &device, on(&[redeem, visit]) && rating);
        add("count_device", &device, on(&[login, create, visit]) && open);
        add("count_pair", &pair, true);
        add("count_shifted", &account, on(&[login, create, visit, redeem]));
        add("first", &account, on(&[login, redeem]));
        add("last_any", &account, on(&[login, redeem, visit]));
        add("previous_device", &account, on(&[login]) && !fact.device.is_empty());
        add("set_at_referrer", &account, on(&[login, create]) && !fact.device.is_empty());
        add("set_devices", &account, on(&[login, create, refer]) && !fact.device.is_empty());
        add("seen", &account, true);
        add("first_seen", &account, true);
        if fact.recipient != fact.account {
            add("first_seen", &at(&[&fact.recipient]), true);
        }
        add("active", &account, on(&[login, redeem, refer, create]));
        add("opened", &account, fact.opened_ms.is_some());
        let acts = fact.kind != "tier.changed";
        add("with_device", &at(&[&fact.account, &fact.device]), acts);
        add("with_country", &at(&[&fact.account, fact.country]), acts);
        add("placed", &account, fact.place.is_some());
        // Those whose value is another field.
        let counted_as = |text: String, int: i64| Counted {
            time_ms: fact.time_ms,
            id: fact.id.clone(),
            arrival: self.arrivals,
            int,
            double: 0.0,
            text,
        };
        if let (Some(key), true) = (&device, on(&[login, create, refer, visit]) && !fact.account.is_empty()) {
            let counted = counted_as(fact.account.clone(), 0);
            self.counted.entry(("distinct_accounts", key.clone())).or_default().push(counted);
        }
        if let (Some(key), true) = (&account, on(&[refer])) {
            let counted = counted_as(fact.referrer.clone(), 0);
            self.counted.entry(("referred", key.clone())).or_default().push(counted);
        }
        if let (Some(key), Some(opened_ms)) = (&account, fact.opened_ms) {
            let counted = counted_as(String::new(), opened_ms);
            self.counted.entry(("opened_at", key.clone())).or_default().push(counted);
        }
        if let (Some(key), Some((latitude, longitude))) = (&account, fact.place) {
            let counted = counted_as(format!("{latitude} {longitude}"), 0);
            self.counted.entry(("places", key.clone())).or_default().push(counted);
        }
    }

    /// Those counted at a key with times in `(t - window, t]`, by time, then arrival.
    fn window(&self, name: &'static str, key: &str, as_of_ms: i64, window_ms: i64) -> Vec<&Counted> {
        let all = self.counted.get(&(name, key.to_owned()));
        let mut found: Vec<&Counted> = all
            .into_iter()
            .flatten()
            .filter(|event| event.time_ms > as_of_ms - window_ms && event.time_ms <= as_of_ms)
            .collect();
        found.sort_by_key(|event| (event.time_ms, event.arrival));
        found
    }

    /// The latest one before this event; `own`: whether this event is counted there itself.
    fn latest(&self, name: &'static str, key: &str, as_of_ms: i64, reach_ms: i64) -> Option<&Counted> {
        self.window(name, key, as_of_ms, reach_ms).into_iter().rfind(|event| event.arrival != self.arrivals)
    }

    /// The first since the key was last idle for the reach.
    fn first(&self, name: &'static str, key: &str, as_of_ms: i64, reach_ms: i64) -> Option<i64> {
        let all = self.window(name, key, as_of_ms, i64::MAX / 2);
        let mut first_ms = None;
        let mut newer_ms = as_of_ms;
        for event in all.iter().rev() {
            if newer_ms - event.time_ms >= reach_ms {
                break;
            }
            first_ms = Some(event.time_ms);
            newer_ms = event.time_ms;
        }
        first_ms
    }

    fn set(&self, name: &'static str, key: &str, as_of_ms: i64) -> BTreeSet<&str> {
        self.window(name, key, as_of_ms, 30_000).iter().map(|event| event.text.as_str()).collect()
    }

    /// The generic cell rate algorithm with 3 in 10 s and 2 at once; times are multiplied by 3.
    fn rate(&mut self, key: &str, as_of_ms: i64, add: bool) -> bool {
        let (arrival, newest_ms) = self.rates.get(key).copied().unwrap_or((i64::MIN, i64::MIN));
        let now_ms = newest_ms.max(as_of_ms);
        let exceeded = arrival > now_ms * 3 + 10_000;
        if add {
            let next = if exceeded { arrival } else { arrival.max(now_ms * 3) + 10_000 };
            self.rates.insert(key.to_owned(), (next, now_ms));
        }
        exceeded
    }

    #[expect(clippy::too_many_lines, reason = "one line a feature and rule: the pack once more, in order")]
    fn judge(&mut self, fact: &Fact, late: bool, now_ms: i64) -> Judged {
        let account = place(fact, &fact.account);
        let device = place(fact, &fact.device);
        // A key with an empty part was never counted at, so it reads as nothing here too.
        let pair = if fact.account.is_empty() || fact.ip.is_empty() {
            place(fact, "|")
        } else {
            place(fact, &format!("{}|{}", fact.account, prefix(fact)))
        };
        let referrer = place(fact, &fact.referrer);
        let recipient = place(fact, &fact.recipient);

        let amounts = self.window("amounts", &account, now_ms, 10_000);
        let (sum_amount, avg_amount) = int_sum(&amounts);
        let sum_at_recipient = int_sum(&self.window("amounts", &recipient, now_ms, 30_000)).0;
        let mut ratings = self.window("ratings", &device, now_ms, 30_000);
        ratings.sort_by(|a, b| (a.time_ms, &a.id).cmp(&(b.time_ms, &b.id)));
        let sum_rating = ratings.iter().fold(0.0, |sum, event| sum + event.double);
        let avg_rating = (!ratings.is_empty()).then(|| sum_rating / ratings.len() as f64);
        let max_rating =
            self.window("ratings", &device, now_ms, 10_000).iter().map(|event| event.double).max_by(f64::total_cmp);
        let min_amount = self.window("amounts_device", &device, now_ms, 30_000).iter().map(|event| event.int).min();
        let count_device = self.window("count_device", &device, now_ms, 10_000).len();
        let count_pair = self.window("count_pair", &pair, now_ms, 5000).len();
        let count_shifted = self.window("count_shifted", &account, now_ms - 10_000, 10_000).len();
        let accounts = self.set("distinct_accounts", &device, now_ms).len();
        let first_kept = self.first("first", &account, now_ms, 15_000);
        let first_window = self.window("first", &account, now_ms, 10_000).first().map(|event| event.time_ms);
        let last_any = self.latest("last_any", &account, now_ms, 20_000).map(|event| event.time_ms);
        let previous_amount = self.latest("amounts", &account, now_ms, 30_000).map(|event| event.int);
        let previous_device = self.latest("previous_device", &account, now_ms, 30_000).map(|event| event.text.clone());
        let devices = self.set("set_devices", &account, now_ms);
        let referrer_devices = self.set("set_devices", &referrer, now_ms);
        let overlap = devices.intersection(&referrer_devices).count();
        let is_member = referrer_devices.contains(fact.device.as_str());
        let size = devices.len();
        let set_at_referrer = self.set("set_at_referrer", &referrer, now_ms).len();
        let logs_in = fact.kind == "login.succeeded" && !late;
        let rate = !fact.account.is_empty() && self.rate(&account, now_ms, logs_in);

        let mut evidence = Vec::new();
        let mut tell = |name: &str, value: String| {
            evidence.push(format!("{{\"feature\":\"{name}\",\"value\":{value},\"exact\":true}}"));
        };
        let or_null = |value: Option<String>| value.unwrap_or_else(|| "null".to_owned());
        let time = |value: Option<i64>| or_null(value.map(|ms| format!("\"{}\"", instant(ms))));
        let int = |value: Option<i64>| or_null(value.map(|value| value.to_string()));
        let double = |value: Option<f64>| or_null(value.map(|value| format!("{value:?}")));
        tell("avg_amount", double(avg_amount));
        tell("avg_rating", double(avg_rating));
        tell("count_device", count_device.to_string());
        tell("count_pair", count_pair.to_string());
        tell("count_shifted", count_shifted.to_string());
        tell("distinct_accounts", accounts.to_string());
        tell("first_kept", time(first_kept));
        tell("first_window", time(first_window));
        tell("last_any", time(last_any));
        tell("max_rating", double(max_rating));
        tell("min_amount", int(min_amount));
        tell("previous_amount", int(previous_amount));
        tell("previous_device", or_null(previous_device.as_ref().map(|_| "{\"known\":true}".to_owned())));
        tell("rate_logins", rate.to_string());
        tell("set_at_referrer", format!("{{\"size\":{set_at_referrer}}}"));
        tell("set_devices", format!("{{\"size\":{size}}}"));
        tell("sum_amount", int(sum_amount));
        tell("sum_at_recipient", int(sum_at_recipient));
        tell("sum_rating", format!("{sum_rating:?}"));

        let is = |types: &[&str]| types.contains(&fact.kind);
        let (login, redeem, refer) = ("login.succeeded", "reward.redeemed", "referral.completed");
        let complete = |reach_ms: i64| now_ms - reach_ms >= self.started_ms;
        let rated = sum_rating > 20.0 && max_rating.is_some_and(|max| max > 4.5);
        if is(&[redeem]) && sum_amount.is_none() {
            self.errors += 1;
        }
        // Rule, whether it matched, score, whether it counts for the referrer and for the referee.
        let matched = [
            ("a-evidence", true, 1, true, true),
            ("b-facts", true, 1, true, true),
            ("c-count-device", is(&[login, "account.created"]) && count_device > 3, 20, true, true),
            ("c-distinct-accounts", is(&[login, "account.created", refer]) && accounts >= 4, 15, true, false),
            (
                "c-known-pair",
                is(&["shop.visited", redeem]) && complete(20_000) && complete(5000) && count_shifted > 0,
                5,
                true,
                true,
            ),
            (
                "c-last-any",
                is(&[login, redeem]) && last_any.is_some_and(|last_ms| fact.time_ms - last_ms < 2000),
                7,
                true,
                true,
            ),
            ("c-member", is(&[login, refer]) && is_member, 11, true, true),
            ("c-overlap", is(&[refer]) && overlap >= 2, 30, true, true),
            (
                "c-previous-amount",
                is(&[redeem]) && previous_amount.is_some_and(|amount| amount == fact.amount.unwrap_or(0)),
                9,
                true,
                true,
            ),
            (
                "c-previous-device",
                is(&[login]) && previous_device.is_some_and(|device| device != fact.device),
                3,
                false,
                true,
            ),
            ("c-rate", is(&[login]) && rate, 13, true, true),
            (
                "c-rating",
                is(&[redeem, "shop.visited"]) && rated && avg_rating.is_none_or(|avg| avg >= 3.0),
                17,
                true,
                true,
            ),
        ];
        let mut judged =
            Judged { late, evidence: evidence.join(","), facts: self.facts(fact, now_ms), ..Judged::default() };
        let (mut referrer_score, mut referee_score) = (0, 0);
        for (rule, _, score, referrer, referee) in matched.into_iter().filter(|(_, matched, ..)| *matched) {
            judged.rules.push((rule, true));
            judged.score += score;
            referrer_score += if referrer { score } else { 0 };
            referee_score += if referee { score } else { 0 };
        }
        if is(&[redeem]) && sum_amount.is_some_and(|sum| sum >= 500) {
            judged.rules.push(("c-sum", false));
        }
        let challenged = judged.rules.contains(&("c-overlap", true));
        let burst = judged.rules.contains(&("c-count-device", true));
        self.conclude(fact, now_ms, &mut judged, [referrer_score, referee_score], challenged);
        if burst && !late && !fact.device.is_empty() {
            judged.creates = self.decide(fact, now_ms);
        }
        for (rule, _) in &judged.rules {
            *self.counts.entry(rule).or_default() += 1;
        }
        judged
    }

    /// The verdict, from score, action and the holds on the device.
    fn conclude(&self, fact: &Fact, now_ms: i64, judged: &mut Judged, sides: [i64; 2], challenged: bool) {
        const NAMES: [&str; 5] = ["allow", "flag", "challenge", "hold", "block"];
        let by_score = |score: i64| [20, 40, 60, 80].iter().filter(|threshold| score >= **threshold).count();
        let by_rule = if challenged { 2 } else { 0 };
        let moves_value = ["reward.redeemed", "referral.completed"].contains(&fact.kind);
        if moves_value && !fact.device.is_empty() {
            let holds = self.holds.get(&place(fact, &fact.device)).into_iter().flatten();
            judged.decisions = holds.filter(|hold| now_ms < hold.ends_ms).map(|hold| hold.id.clone()).collect();
        }
        let by_decision = if judged.decisions.is_empty() { 0 } else { 3 };
        let verdict = by_rule.max(by_score(judged.score)).max(by_decision);
        judged.verdict = NAMES[verdict];
        judged.cause = match verdict {
            0 => "none",
            verdict if verdict == by_rule => "rule",
            verdict if verdict == by_score(judged.score) => "score",
            _ => "decision",
        };
        let [referrer, referee] = sides.map(|score| NAMES[by_score(score).max(by_rule).max(by_decision)]);
        judged.parties = (!fact.referrer.is_empty()).then_some((referrer, referee));
    }

    /// Puts a hold of 10 s on the device, or extends the one that lives.
    fn decide(&mut self, fact: &Fact, now_ms: i64) -> usize {
        let holds = self.holds.entry(place(fact, &fact.device)).or_default();
        match holds.iter_mut().find(|hold| now_ms < hold.ends_ms) {
            Some(hold) => {
                hold.ends_ms = hold.ends_ms.max(fact.time_ms + 10_000);
                0
            }
            None => 1,
        }
    }

    fn facts(&self, fact: &Fact, now_ms: i64) -> Vec<Told> {
        let [account, referrer, recipient] = [&fact.account, &fact.referrer, &fact.recipient].map(|id| place(fact, id));
        let time = |ms: Option<i64>| Told::Text(ms.map_or_else(|| "?".to_owned(), instant));
        let first = |name, key: &str| self.first(name, key, now_ms, RETENTION_MS);
        let latest = |name, key: &str| self.latest(name, key, now_ms, RETENTION_MS);
        let latest_ms = |name, key: &str| latest(name, key).map(|event| event.time_ms);
        let referrer_of = |key: &str| {
            let first_ms = first("referred", key);
            let all = self.window("referred", key, now_ms, i64::MAX / 2);
            let referral = all.iter().find(|event| Some(event.time_ms) == first_ms);
            let named = referral.filter(|event| !event.text.is_empty());
            Told::Text(named.map_or_else(|| "?".to_owned(), |event| event.text.clone()))
        };
        let age = |told: Option<i64>, key: &str| {
            let opened_ms = told.or_else(|| latest("opened_at", key).map(|event| event.int));
            let since_ms = opened_ms.or_else(|| first("first_seen", key));
            Told::Text(since_ms.map_or_else(|| "?".to_owned(), |since_ms| seconds((fact.time_ms - since_ms).max(0))))
        };
        let is_new = |name, with: &str| {
            let unknown = fact.account.is_empty() || with.is_empty();
            let known = latest(name, &place(fact, &format!("{}|{with}", fact.account))).is_some();
            Told::Text((!unknown && !known).to_string())
        };
        let travelled = latest("places", &account).zip(fact.place).map(|(from, to)| {
            let (latitude, longitude) = from.text.split_once(' ').unwrap();
            let km = distance_km((latitude.parse().unwrap(), longitude.parse().unwrap()), to);
            (km, km / ((fact.time_ms - from.time_ms).max(1000) as f64 / 3_600_000.0))
        });
        let number =
            |value: Option<f64>, off: f64| value.map_or(Told::Text("?".to_owned()), |value| Told::Number(value, off));
        vec![
            time(first("first_seen", &account)),
            time(latest_ms("seen", &account)),
            time(latest_ms("active", &account)),
            age(fact.opened_ms, &account),
            is_new("with_device", &fact.device),
            is_new("with_country", fact.country),
            time(first("referred", &account)),
            // Who refers to himself is one account in both roles.
            age(fact.opened_ms.filter(|_| fact.referrer == fact.account && !fact.account.is_empty()), &referrer),
            time(latest_ms("seen", &referrer)),
            time(first("referred", &recipient)),
            age(fact.opened_ms.filter(|_| fact.recipient == fact.account && !fact.account.is_empty()), &recipient),
            time(first("first_seen", &recipient)),
            time(first("first_seen", &referrer)),
            referrer_of(&account),
            referrer_of(&recipient),
            number(travelled.map(|(km, _)| km), 0.01),
            // A journey takes at least a second.
            number(travelled.map(|(_, kmh)| kmh), 0.01 * 3600.0),
        ]
    }
}

/// A key within the event's program.
fn place(fact: &Fact, key: &str) -> String {
    format!("{}/{key}", fact.program())
}

/// The network of 256 addresses that the client is in.
fn prefix(fact: &Fact) -> &str {
    fact.ip.rsplit_once('.').map_or("", |(network, _)| network)
}

/// Sum, unless it leaves 64 bits, and mean.
fn int_sum(events: &[&Counted]) -> (Option<i64>, Option<f64>) {
    let sum: i128 = events.iter().map(|event| i128::from(event.int)).sum();
    (i64::try_from(sum).ok(), (!events.is_empty()).then(|| sum as f64 / events.len() as f64))
}

/// A span as messages show it.
fn seconds(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    let (whole, rest) = (ms.abs() / 1000, ms.abs() % 1000);
    if rest == 0 {
        return format!("{sign}{whole}s");
    }
    format!("{sign}{whole}.{}s", format!("{rest:03}").trim_end_matches('0'))
}

/// By the spherical law of cosines over unit vectors: not the engine's formula.
fn distance_km(from: (f64, f64), to: (f64, f64)) -> f64 {
    let vector = |(latitude, longitude): (f64, f64)| {
        let (latitude, longitude) = (latitude.to_radians(), longitude.to_radians());
        [latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()]
    };
    let (a, b) = (vector(from), vector(to));
    let chord = (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt();
    2.0 * 6371.0088 * (chord / 2.0).min(1.0).asin()
}
