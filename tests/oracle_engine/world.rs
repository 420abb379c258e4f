//! Random histories over a small world: few accounts, devices and networks, times on a grid as wide as the windows' unit.

use std::fmt::Write as _;

use crate::random::Random;

/// 2026-05-01T00:00:00Z.
const START_MS: i64 = 1_777_593_600_000;

pub(crate) const TYPES: [&str; 6] =
    ["login.succeeded", "reward.redeemed", "referral.completed", "account.created", "shop.visited", "tier.changed"];

/// One event as its producer knows it; an empty text is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fact {
    /// Of the log; no part of what it says.
    pub(crate) partition: u32,
    pub(crate) program: &'static str,
    pub(crate) source: &'static str,
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    pub(crate) time_ms: i64,
    pub(crate) account: String,
    pub(crate) referrer: String,
    pub(crate) recipient: String,
    pub(crate) device: String,
    pub(crate) ip: String,
    pub(crate) country: &'static str,
    pub(crate) channel: &'static str,
    pub(crate) amount: Option<i64>,
    pub(crate) rating: Option<f64>,
    pub(crate) place: Option<(f64, f64)>,
    pub(crate) opened_ms: Option<i64>,
}

impl Fact {
    /// The program that it counts in.
    pub(crate) fn program(&self) -> &'static str {
        if self.program.is_empty() { "default" } else { self.program }
    }

    /// Whether another event says the same: the id and source apart.
    pub(crate) fn says_the_same(&self, other: &Fact) -> bool {
        let bare =
            |fact: &Fact| Fact { partition: 0, program: fact.program(), source: "", id: String::new(), ..fact.clone() };
        bare(self) == bare(other)
    }

    /// The event as one line of JSON.
    pub(crate) fn line(&self) -> String {
        let mut data = String::new();
        for (name, text) in [
            ("program", self.program),
            ("account_id", &self.account),
            ("referrer_id", &self.referrer),
            ("recipient_id", &self.recipient),
            ("device_id", &self.device),
            ("ip", &self.ip),
            ("country", self.country),
            ("channel", self.channel),
        ] {
            // Absent, null and the empty text read alike; which of them it is follows from the text, so that a repeat
            // has the same bytes.
            match (text.is_empty(), self.time_ms % 3) {
                (false, _) => write!(data, ",\"{name}\":\"{text}\""),
                (true, 0) => write!(data, ",\"{name}\":null"),
                (true, _) => Ok(()),
            }
            .unwrap();
        }
        if let Some(amount) = self.amount {
            write!(data, ",\"amount_minor\":{amount}").unwrap();
        }
        if let Some(rating) = self.rating {
            write!(data, ",\"rating\":{rating:?}").unwrap();
        }
        if let Some((latitude, longitude)) = self.place {
            write!(data, ",\"latitude\":{latitude:?},\"longitude\":{longitude:?}").unwrap();
        }
        if let Some(opened_ms) = self.opened_ms {
            write!(data, ",\"account_created_at\":\"{}\"", instant(opened_ms)).unwrap();
        }
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{}\",\"source\":\"{}\",\"type\":\"{}\",\"time\":\"{}\",\"data\":{{\"x\":1{data}}}}}\n",
            self.id,
            self.source,
            self.kind,
            instant(self.time_ms)
        )
    }
}

/// RFC 3339 with milliseconds.
pub(crate) fn instant(time_ms: i64) -> String {
    format!("{:.3}", jiff::Timestamp::from_millisecond(time_ms).unwrap())
}

/// A history in the order of arrival. Some lines are no events at all: they are `None`.
pub(crate) fn history(random: &mut Random, events: usize) -> Vec<(String, Option<Fact>)> {
    let mut facts: Vec<Fact> = Vec::new();
    let mut lines = Vec::new();
    let mut now_ms = START_MS + random.below(1000) as i64;
    while facts.len() < events {
        if random.chance(1) {
            lines.push(("{\"specversion\":\"1.0\",\"id\":\"broken\"}\n".to_owned(), None));
        }
        now_ms += [0, 0, 0, 100, 500, 1000, 1000, 1][random.below(8) as usize];
        if random.chance(1) {
            now_ms += 1000 * random.below(90) as i64;
        }
        let fact = match random.below(100) {
            0..5 if !facts.is_empty() => recent(random, &facts).clone(),
            5..7 if !facts.is_empty() => reuse(random, &facts),
            _ => fresh(random, now_ms, facts.len()),
        };
        lines.push((fact.line(), Some(fact.clone())));
        facts.push(fact);
    }
    lines
}

fn recent<'a>(random: &mut Random, facts: &'a [Fact]) -> &'a Fact {
    &facts[facts.len() - 1 - random.below(facts.len().min(120) as u64) as usize]
}

/// A history in several partitions. One may be behind another by more than events may be late.
pub(crate) fn history_in_partitions(random: &mut Random, events: usize) -> Vec<(String, Option<Fact>)> {
    let behind_ms = [0, 500 * random.below(8) as i64, 500 * random.below(80) as i64];
    let mut history = history(random, events);
    let partition_of = |id: &str| id.bytes().map(usize::from).sum::<usize>() % behind_ms.len();
    for (line, fact) in &mut history {
        let Some(fact) = fact else { continue };
        let partition = partition_of(&fact.id);
        (fact.partition, fact.time_ms) = (partition as u32, fact.time_ms - behind_ms[partition]);
        *line = fact.line();
    }
    history
}

/// The name of an earlier event with other content, or another time.
fn reuse(random: &mut Random, facts: &[Fact]) -> Fact {
    let mut fact = recent(random, facts).clone();
    if random.chance(50) {
        fact.amount = Some(fact.amount.map_or(1, |amount| amount ^ 1));
    } else {
        fact.time_ms += 1000;
    }
    fact
}

fn fresh(random: &mut Random, now_ms: i64, number: usize) -> Fact {
    let mut time_ms = now_ms;
    if random.chance(25) {
        // Around the allowed lateness of 20 s, to the millisecond.
        time_ms -= 500 * random.below(44) as i64 + [0, 0, 1][random.below(3) as usize];
    }
    let kind = TYPES[[0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 4, 5][random.below(12) as usize]];
    let account = |random: &mut Random| format!("a{}", random.below(7));
    let mut fact = Fact {
        program: ["", "", "default", "p2", "p2", "p3"][random.below(6) as usize],
        source: ["/shop", "/app"][random.below(2) as usize],
        id: format!("{:x}-{number}", random.below(1 << 16)),
        kind,
        time_ms,
        ..Fact::default()
    };
    if kind != "shop.visited" || random.chance(70) {
        fact.account = account(random);
    }
    if kind == "referral.completed" || random.chance(10) {
        fact.referrer = account(random);
    }
    if random.chance(15) {
        fact.recipient = account(random);
    }
    if random.chance(85) {
        fact.device = format!("d{}", random.below(5));
    }
    if random.chance(85) {
        fact.ip = format!("198.51.{}.{}", random.below(3), 1 + random.below(3));
    }
    fact.country = ["", "SA", "AE", "EG"][random.below(4) as usize];
    fact.channel = ["", "", "web", "kiosk"][random.below(4) as usize];
    if random.chance(75) {
        fact.amount = Some(match random.below(30) {
            0 => i64::MAX - random.below(3) as i64,
            1 => i64::MIN + random.below(3) as i64,
            _ => [0, 50, 100, 150, 200, 300][random.below(6) as usize],
        });
    }
    if random.chance(70) {
        fact.rating = Some([0.1, 0.7, 3.3, 4.9, 10.0, -0.0, 3e-17][random.below(7) as usize]);
    }
    if random.chance(40) {
        fact.place = Some((random.below(1700) as f64 / 10.0 - 85.0, random.below(3600) as f64 / 10.0 - 180.0));
    }
    if random.chance(15) {
        fact.opened_ms = Some(START_MS - 1000 * random.below(5000) as i64);
    }
    fact
}
