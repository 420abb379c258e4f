//! What the operator decided about verdicts: thresholds by program and type, and programs that are only observed.

use jiff::tz::TimeZone;

use super::quotas::Quota;
use crate::event::{Verdict, currency_exponent};
use crate::signals::DEFAULT_REGION;

/// Scores from which a verdict follows, ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// From this summed score on: `flag`.
    pub flag: i64,
    /// From this summed score on: `challenge`.
    pub challenge: i64,
    /// From this summed score on: `hold`.
    pub hold: i64,
    /// From this summed score on: `block`.
    pub block: i64,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds { flag: 20, challenge: 40, hold: 60, block: 80 }
    }
}

impl Thresholds {
    /// The verdict that a summed score reaches.
    pub fn verdict(&self, score: i64) -> Verdict {
        match score {
            score if score >= self.block => Verdict::Block,
            score if score >= self.hold => Verdict::Hold,
            score if score >= self.challenge => Verdict::Challenge,
            score if score >= self.flag => Verdict::Flag,
            _ => Verdict::Allow,
        }
    }
}

/// What amounts are worth in a program's base currency.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rates {
    /// The base currency, ISO 4217.
    pub base: String,
    /// What one unit of another currency is worth in the base currency.
    pub rates: Vec<(String, f64)>,
}

impl Rates {
    /// An amount in units of the base currency; `None` for a currency without a rate.
    pub fn in_base(&self, amount_minor: i64, currency: &str) -> Option<f64> {
        let rate = match self.rates.iter().find(|(name, _)| name == currency) {
            Some((_, rate)) => *rate,
            None if currency == self.base => 1.0,
            None => return None,
        };
        Some(amount_minor as f64 / f64::from(10u32.pow(currency_exponent(currency))) * rate)
    }
}

/// What holds for one program.
#[derive(Clone, Debug)]
pub struct ProgramPolicy {
    /// Thresholds for every type that has none of its own.
    pub thresholds: Thresholds,
    /// Thresholds for some types of event.
    pub by_type: Vec<(String, Thresholds)>,
    /// Judge and never stop: every verdict is `allow`, the real one stands in `would_be`.
    pub observe_only: bool,
    /// Whether its events may ask for a verdict: see `attributes.refguard_test`.
    pub sandbox: bool,
    /// Whose calendar days are meant.
    pub timezone: TimeZone,
    /// What amounts are worth.
    pub rates: Rates,
    /// Region of telephone numbers without a country code, ISO 3166-1 alpha-2.
    pub region: String,
    /// How much it may take; of programs that are not named, see [`Policy::unnamed_quota`].
    pub quota: Quota,
}

impl Default for ProgramPolicy {
    fn default() -> ProgramPolicy {
        ProgramPolicy {
            thresholds: Thresholds::default(),
            by_type: Vec::new(),
            observe_only: false,
            sandbox: false,
            timezone: TimeZone::UTC,
            rates: Rates::default(),
            region: DEFAULT_REGION.to_owned(),
            quota: Quota::default(),
        }
    }
}

/// What holds for every program.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// For programs that are not named.
    pub default: ProgramPolicy,
    /// The named programs.
    pub programs: Vec<(String, ProgramPolicy)>,
    /// How much all programs that are not named may take together: whoever makes up names gets no more by it.
    pub unnamed_quota: Quota,
}

impl Policy {
    /// The programs that are named.
    pub(super) fn named(&self) -> impl Iterator<Item = &str> {
        self.programs.iter().map(|(name, _)| name.as_str())
    }

    /// What holds for this program.
    pub fn program(&self, name: &str) -> &ProgramPolicy {
        self.programs.iter().find(|(program, _)| program == name).map_or(&self.default, |(_, policy)| policy)
    }
}

impl ProgramPolicy {
    /// The thresholds for this type of event.
    pub fn thresholds(&self, event_type: &str) -> &Thresholds {
        self.by_type.iter().find(|(name, _)| name == event_type).map_or(&self.thresholds, |(_, thresholds)| thresholds)
    }
}
