//! Made-up traffic for measuring: a seeded population whose size, distinct values and rate are known.
//!
//! It exists so that a benchmark's memory and cache behaviour can be stated: accounts are drawn by Zipf's law (a few
//! are busy, most are seen once), addresses uniformly, and one event in a hundred comes from a ring. The same seed
//! gives the same bytes on every machine.

use std::fmt::Write;

/// Start of the made-up time: 2026-01-01T00:00:00Z, in milliseconds since the Unix epoch.
const EPOCH_MS: i64 = 1_767_225_600_000;
/// Rings share one device and one address among this many accounts.
const RING_ACCOUNTS: u64 = 20;
const RINGS: u64 = 50;
/// Distinct user agents, as many as a large shop sees in common use.
const USER_AGENTS: u64 = 400;

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014): small, seeded, and
/// good enough to draw traffic.
#[derive(Clone, Debug)]
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..bound`.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform in [0, 1).
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A population of accounts and the events they send.
#[derive(Clone, Debug)]
pub struct Population {
    accounts: u64,
    events_per_second: f64,
    draws: Draws,
    sent: u64,
}

impl Population {
    /// A population of this many accounts that together send this many events a second of event time.
    pub fn new(accounts: u64, events_per_second: f64, seed: u64) -> Population {
        Population { accounts, events_per_second, draws: Draws(seed), sent: 0 }
    }

    /// Adds the opening event of one account, so that a warm-up can touch every account once.
    pub fn write_opening(&mut self, account: u64, out: &mut String) {
        let address = self.draws.below(self.addresses());
        self.write(out, "account.created", account, self.home_device(account), address, None, 0);
    }

    /// Adds the next event as one line of JSON.
    pub fn write_next(&mut self, out: &mut String) {
        if self.draws.below(100) == 0 {
            return self.write_ring(out);
        }
        let kind = self.draws.below(100);
        let account = self.busy_account();
        let device = match self.draws.below(100) {
            0 => self.draws.below(self.devices()),
            _ => self.home_device(account),
        };
        let address = self.draws.below(self.addresses());
        match kind {
            0..10 => self.write(out, "account.created", account, device, address, None, 0),
            10..30 => {
                let other = self.busy_account();
                let referrer = if other == account { (account + 1) % self.accounts } else { other };
                self.write(out, "referral.completed", account, device, address, Some(referrer), 0);
            }
            30..50 => {
                let amount = 100 + self.draws.below(900);
                self.write(out, "reward.redeemed", account, device, address, None, amount);
            }
            _ => self.write(out, "login.succeeded", account, device, address, None, 0),
        }
    }

    /// How many different devices the population can show.
    pub fn devices(&self) -> u64 {
        self.accounts * 3 / 4
    }

    /// How many different addresses the population can show.
    pub fn addresses(&self) -> u64 {
        self.accounts / 2
    }

    /// How many different user agents the population can show.
    pub fn user_agents(&self) -> u64 {
        USER_AGENTS
    }

    fn home_device(&self, account: u64) -> u64 {
        account % self.devices()
    }

    /// Zipf with exponent 1: a rank drawn log-uniformly, then spread over the accounts by an odd factor.
    fn busy_account(&mut self) -> u64 {
        let rank = (self.accounts as f64).powf(self.draws.unit()) as u64 - 1;
        (u128::from(rank) * 2_654_435_761 % u128::from(self.accounts)) as u64
    }

    fn write_ring(&mut self, out: &mut String) {
        let ring = self.draws.below(RINGS);
        let member = |draws: &mut Draws| draws.below(RING_ACCOUNTS);
        let (mine, theirs) = (member(&mut self.draws), member(&mut self.draws));
        let first = self.accounts + ring * RING_ACCOUNTS;
        let (device, address) = (self.devices() + ring, self.addresses() + ring);
        match self.draws.below(4) {
            0 | 1 => self.write(out, "account.created", first + mine, device, address, None, 0),
            2 => {
                let other = if mine == theirs { (mine + 1) % RING_ACCOUNTS } else { theirs };
                self.write(out, "referral.completed", first + mine, device, address, Some(first + other), 0);
            }
            _ => {
                let amount = 200_000 + self.draws.below(300_000);
                self.write(out, "reward.redeemed", first + mine, device, address, None, amount);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of one made-up event, each used once")]
    fn write(
        &mut self,
        out: &mut String,
        kind: &str,
        account: u64,
        device: u64,
        address: u64,
        referrer: Option<u64>,
        amount: u64,
    ) {
        let time_ms = EPOCH_MS + (self.sent as f64 * 1000.0 / self.events_per_second) as i64;
        let time = jiff::Timestamp::from_millisecond(time_ms).expect("made-up time lies within the calendar");
        let agent = account % USER_AGENTS;
        let written = write!(
            out,
            "{{\"specversion\":\"1.0\",\"id\":\"{:016x}\",\"source\":\"/shop\",\"type\":\"{kind}\",\"time\":\"{time:.3}\",\
             \"data\":{{\"program\":\"p1\",\"account_id\":\"acc_{account:08}\",",
            self.sent
        )
        .and_then(|()| match referrer {
            Some(referrer) => write!(out, "\"referrer_id\":\"acc_{referrer:08}\","),
            None => Ok(()),
        })
        .and_then(|()| {
            writeln!(
                out,
                "\"device_id\":\"dev_{device:012x}\",\"ip\":\"{}.{}.{}.{}\",\"payment_fingerprint\":\"pf_{:010x}\",\
                 \"email\":\"user.{account}@example{}.com\",\"referral_code\":\"R{:08X}\",\
                 \"user_agent\":\"Mozilla/5.0 (Linux; Android 1{}; Pixel {}) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/{}.0.0.0 Mobile Safari/537.36\",\"amount_minor\":{amount}}}}}",
                11 + (address >> 24),
                address >> 16 & 255,
                address >> 8 & 255,
                address & 255,
                account.wrapping_mul(40_503) & 0xff_ffff_ffff,
                account % 50,
                account.wrapping_mul(48_271) & 0xffff_ffff,
                agent % 5,
                agent / 5 % 8,
                100 + agent / 40,
            )
        });
        written.expect("writing to a string cannot fail");
        self.sent += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(accounts: u64, seed: u64, events: usize) -> String {
        let mut population = Population::new(accounts, 1000.0, seed);
        let mut out = String::new();
        for _ in 0..events {
            population.write_next(&mut out);
        }
        out
    }

    #[test]
    fn the_seed_decides_the_bytes() {
        assert_eq!(lines(1000, 7, 200), lines(1000, 7, 200));
        assert_ne!(lines(1000, 7, 200), lines(1000, 8, 200));
    }

    #[test]
    fn every_line_is_an_event_of_the_population() {
        let text = lines(1000, 7, 2000);
        let mut accounts = std::collections::BTreeSet::new();
        for line in text.lines() {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            accounts.insert(event["data"]["account_id"].as_str().unwrap().to_owned());
        }
        assert_eq!(text.lines().count(), 2000);
        assert!(accounts.len() > 250, "Zipf draws many accounts once: {}", accounts.len());
        assert!(accounts.len() < 1100, "and some of them often: {}", accounts.len());
    }
}
