//! What the engine knows of each program, looked up once an event.

use std::collections::HashMap;

use jiff::tz::TimeZone;

use super::calendar::Calendar;
use super::policy::{Policy, Rates, Thresholds};
use super::quotas::class_of;
use crate::ruleset::program::{RuleSet, TypeIndex};
use crate::state::{Class, KeyHasher, PartHash, Scalar};

/// Programs beyond this many are not kept: a producer writes the name, and names must not fill the memory.
const PROGRAMS_MAX: usize = 1024;

/// One program.
#[derive(Debug)]
pub(super) struct Program {
    pub name: Box<str>,
    /// First part of every key of the program.
    pub part: PartHash,
    /// For whose quota its events and keys count.
    pub class: Class,
    pub timezone: TimeZone,
    /// Its days, weeks, months and years.
    pub calendar: Calendar,
    /// Those of what all programs share: the calendar of programs without an entry of their own.
    pub shared_calendar: Calendar,
    pub rates: Rates,
    pub observe_only: bool,
    pub sandbox: bool,
    /// Region of telephone numbers without a country code.
    pub region: Box<str>,
    /// By type; the last is for types that nobody names.
    thresholds: Vec<Thresholds>,
}

impl Program {
    fn new(name: &str, policies: &Policy, rules: &RuleSet, hasher: &KeyHasher) -> Program {
        let (policy, shared) = (policies.program(name), &policies.default);
        let named = (0..rules.by_type.len()).map(|of| *policy.thresholds(rules.type_name(TypeIndex(of as u16))));
        Program {
            name: name.into(),
            part: hasher.part(Scalar::Text(name)),
            class: class_of(policies, name),
            timezone: policy.timezone.clone(),
            calendar: Calendar::new(policy.timezone.clone()),
            shared_calendar: Calendar::new(shared.timezone.clone()),
            rates: policy.rates.clone(),
            observe_only: policy.observe_only,
            sandbox: policy.sandbox,
            region: policy.region.as_str().into(),
            thresholds: named.chain([policy.thresholds]).collect(),
        }
    }

    /// The thresholds for events of this type.
    pub(super) fn thresholds(&self, of: Option<TypeIndex>) -> &Thresholds {
        let index = of.map_or(self.thresholds.len() - 1, |of| of.0 as usize);
        &self.thresholds[index]
    }
}

/// The programs seen so far.
#[derive(Debug, Default)]
pub(super) struct Programs {
    known: Vec<Program>,
    /// Where each stands, by name.
    places: HashMap<Box<str>, usize>,
    /// The one asked for last: events of one program come in a row.
    last: usize,
}

impl Programs {
    /// The place of a program, new or not. Places hold until the next [`Programs::trim`].
    pub(super) fn place(&mut self, name: &str, policy: &Policy, rules: &RuleSet, hasher: &KeyHasher) -> usize {
        if self.known.get(self.last).is_some_and(|program| *program.name == *name) {
            return self.last;
        }
        self.last = match self.places.get(name) {
            Some(place) => *place,
            None => {
                let program = Program::new(name, policy, rules, hasher);
                self.places.insert(program.name.clone(), self.known.len());
                self.known.push(program);
                self.known.len() - 1
            }
        };
        self.last
    }

    /// Forgets the programs beyond the bound, between two chunks; one that comes again is made anew.
    pub(super) fn trim(&mut self) {
        if self.known.len() > PROGRAMS_MAX {
            self.known.drain(PROGRAMS_MAX..).for_each(|program| {
                self.places.remove(&program.name);
            });
            self.last = 0;
        }
    }

    /// The program at a place.
    #[inline]
    pub(super) fn get(&self, place: usize) -> &Program {
        &self.known[place]
    }
}
