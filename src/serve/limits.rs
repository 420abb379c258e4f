//! How much one token, and one address, may ask: calls and bytes a second, and wrong tokens a minute.
//!
//! Calls and bytes by the `governor` crate's GCRA. An IPv6 client owns its /64, so that is its address here.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};

use super::Problem;
use axum::http::StatusCode;

/// Addresses whose wrong tokens are counted, at most.
const GUESSERS_MAX: usize = 65_536;
/// What wrong tokens are counted over.
const GUESSES_OVER_MS: i64 = 60_000;

/// What is limited. The word stands in the metric `rate_limited_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// Calls or bytes of a token.
    Token,
    /// Calls or bytes of an address.
    Address,
    /// Wrong tokens of an address.
    Guesses,
}

impl Limited {
    /// Every one.
    pub const ALL: [Limited; 3] = [Limited::Token, Limited::Address, Limited::Guesses];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Limited::Token => "token",
            Limited::Address => "address",
            Limited::Guesses => "guesses",
        }
    }
}

/// Calls and bytes that one may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Calls a second.
    pub calls_per_second: NonZeroU32,
    /// Calls that may come at once.
    pub calls_burst: NonZeroU32,
    /// Bytes a second; twice as many may come at once.
    pub bytes_per_second: NonZeroU32,
}

/// What is to be told of a limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Whose it is.
    pub limited: Limited,
    /// When it is worth another try.
    pub wait: Duration,
}

impl From<Reached> for Problem {
    fn from(reached: Reached) -> Problem {
        let detail = match reached.limited {
            Limited::Token => "this token asks for more than it may",
            Limited::Address => "this address asks for more than it may",
            Limited::Guesses => "too many wrong tokens came from this address",
        };
        let seconds = reached.wait.as_secs() + u64::from(reached.wait.subsec_nanos() > 0);
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).retry_after(seconds)
    }
}

/// One allowance, kept for each of many.
#[derive(Debug)]
struct Meter<K: Hash + Eq + Clone> {
    limited: Limited,
    calls: DefaultKeyedRateLimiter<K>,
    bytes: DefaultKeyedRateLimiter<K>,
    clock: DefaultClock,
}

impl<K: Hash + Eq + Clone> Meter<K> {
    fn new(limited: Limited, of: Allowance) -> Meter<K> {
        let quota = |per_second: NonZeroU32, burst| {
            let period = Duration::from_secs(1) / per_second.get();
            Quota::with_period(period.max(Duration::from_nanos(1))).expect("a period is no zero").allow_burst(burst)
        };
        let calls = quota(of.calls_per_second, of.calls_burst);
        let bytes = quota(of.bytes_per_second, of.bytes_per_second.saturating_mul(TWO));
        let clock = DefaultClock::default();
        Meter { limited, calls: RateLimiter::keyed(calls), bytes: RateLimiter::keyed(bytes), clock }
    }

    fn call(&self, key: &K) -> Result<(), Reached> {
        self.calls.check_key(key).map_err(|until| self.reached(&until))
    }

    fn take_bytes(&self, key: &K, bytes: usize) -> Result<(), Reached> {
        let Some(bytes) = u32::try_from(bytes).ok().and_then(NonZeroU32::new) else { return Ok(()) };
        match self.bytes.check_key_n(key, bytes) {
            Ok(taken) => taken.map_err(|until| self.reached(&until)),
            // More at once than ever fits.
            Err(_) => Err(Reached { limited: self.limited, wait: Duration::from_secs(60) }),
        }
    }

    fn reached(&self, until: &NotUntil<<DefaultClock as governor::clock::Clock>::Instant>) -> Reached {
        Reached { limited: self.limited, wait: until.wait_time_from(self.clock.now()) }
    }

    /// Forgets whoever has all of its allowance again.
    fn forget(&self) {
        self.calls.retain_recent();
        self.bytes.retain_recent();
    }
}

const TWO: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);

/// All limits of the API.
#[derive(Debug)]
pub struct Limits {
    tokens: Meter<String>,
    addresses: Meter<IpAddr>,
    guesses_per_minute: u32,
    /// By address: wrong tokens, and when the first of them came.
    guesses: Mutex<HashMap<IpAddr, (u32, i64)>>,
}

impl Limits {
    /// Limits with these allowances.
    pub fn new(token: Allowance, address: Allowance, guesses_per_minute: u32) -> Limits {
        Limits {
            tokens: Meter::new(Limited::Token, token),
            addresses: Meter::new(Limited::Address, address),
            guesses_per_minute,
            guesses: Mutex::default(),
        }
    }

    /// A call comes from an address.
    ///
    /// # Errors
    ///
    /// [`Reached`], as all of these.
    pub fn call_from(&self, address: IpAddr) -> Result<(), Reached> {
        self.addresses.call(&network(address))
    }

    /// A call comes with a token.
    ///
    /// # Errors
    ///
    /// [`Reached`].
    pub fn call_with(&self, token: &str) -> Result<(), Reached> {
        self.tokens.call(&token.to_owned())
    }

    /// Bytes came with a call.
    ///
    /// # Errors
    ///
    /// [`Reached`].
    pub fn take_bytes(&self, address: IpAddr, token: &str, bytes: usize) -> Result<(), Reached> {
        self.addresses.take_bytes(&network(address), bytes)?;
        self.tokens.take_bytes(&token.to_owned(), bytes)
    }

    /// Whether an address may try another token.
    ///
    /// # Errors
    ///
    /// [`Reached`].
    pub fn may_try(&self, address: IpAddr, now_ms: i64) -> Result<(), Reached> {
        let guesses = self.guesses.lock().expect(UNBROKEN);
        match guesses.get(&network(address)) {
            Some((count, since_ms)) if *count >= self.guesses_per_minute && now_ms < since_ms + GUESSES_OVER_MS => {
                let wait_ms = u64::try_from(since_ms + GUESSES_OVER_MS - now_ms).unwrap_or(1);
                Err(Reached { limited: Limited::Guesses, wait: Duration::from_millis(wait_ms) })
            }
            _ => Ok(()),
        }
    }

    /// An address has tried a wrong token. Answers whether it has just used up what it may.
    pub fn note_wrong(&self, address: IpAddr, now_ms: i64) -> bool {
        let mut guesses = self.guesses.lock().expect(UNBROKEN);
        if guesses.len() >= GUESSERS_MAX {
            guesses.retain(|_, (_, since_ms)| now_ms < *since_ms + GUESSES_OVER_MS);
        }
        if guesses.len() >= GUESSERS_MAX {
            // More than can be told apart in a minute: the oldest minutes begin again.
            guesses.clear();
        }
        let (count, since_ms) = guesses.entry(network(address)).or_insert((0, now_ms));
        if now_ms >= *since_ms + GUESSES_OVER_MS {
            (*count, *since_ms) = (0, now_ms);
        }
        *count = count.saturating_add(1);
        *count == self.guesses_per_minute
    }

    /// Forgets whoever has been quiet. Called every few seconds.
    pub fn forget(&self, now_ms: i64) {
        self.tokens.forget();
        self.addresses.forget();
        let mut guesses = self.guesses.lock().expect(UNBROKEN);
        guesses.retain(|_, (_, since_ms)| now_ms < *since_ms + GUESSES_OVER_MS);
    }
}

const UNBROKEN: &str = "no thread panics while it counts wrong tokens";

/// The part of an address that one client owns.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let one = NonZeroU32::MIN;
        let small =
            Allowance { calls_per_second: one, calls_burst: TWO, bytes_per_second: NonZeroU32::new(10).expect("10") };
        Limits::new(small, small, 3)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("it is an address")
    }

    #[test]
    fn each_address_has_its_own_calls_and_a_network_of_ipv6_is_one() {
        let limits = limits();
        for (from, ok) in [
            ("192.0.2.1", true),
            ("192.0.2.1", true),
            ("192.0.2.1", false),
            ("::ffff:192.0.2.1", false),
            ("192.0.2.2", true),
            ("2001:db8::1", true),
            ("2001:db8::2", true),
            ("2001:db8::3", false),
            ("2001:db8:0:1::3", true),
        ] {
            assert_eq!(limits.call_from(address(from)).is_ok(), ok, "{from}");
        }
        let reached = limits.call_from(address("192.0.2.1")).expect_err("it has none left");
        let problem = Problem::from(reached);
        assert_eq!((problem.status, problem.retry_after_s), (429, Some(1)));
    }

    #[test]
    fn bytes_are_limited_and_what_never_fits_is_refused() {
        let limits = limits();
        let from = address("192.0.2.1");
        assert!(limits.take_bytes(from, "a", 0).is_ok() && limits.take_bytes(from, "a", 20).is_ok());
        assert!(limits.take_bytes(from, "a", 1).is_err());
        assert!(limits.take_bytes(address("192.0.2.9"), "b", 21).is_err());
    }

    #[test]
    fn whoever_guesses_waits_for_the_minute_to_end() {
        let limits = limits();
        let from = address("192.0.2.1");
        assert_eq!([0, 1, 2, 3].map(|now_ms| limits.note_wrong(from, now_ms)), [false, false, true, false]);
        let reached = limits.may_try(from, 10_000).expect_err("it has guessed three times");
        assert_eq!((reached.limited, reached.wait), (Limited::Guesses, Duration::from_secs(50)));
        assert!(limits.may_try(address("192.0.2.2"), 10_000).is_ok());
        assert!(limits.may_try(from, 60_000).is_ok());
        assert!(!limits.note_wrong(from, 60_000), "it begins again");
        limits.forget(120_000);
        assert!(limits.guesses.lock().expect(UNBROKEN).is_empty());
    }
}
