//! Breakers: a rule that suddenly matches much of what it judges counts for less, until its span of rest is over.
//!
//! Counted by rule and program, in slices of event time, in the order of arrival: what a breaker does depends on the
//! events before, and on nothing else. It knows rules by their place; programs by their hash, since a producer writes the
//! name. Invariants: a breaker changes what matches of its own rule are worth, and nothing of another; a counter that no
//! later event can feel is dropped; there are at most [`COUNTERS_MAX`] of them. Recounted in `tests/engine/breaker.rs`.

mod stored;

use std::collections::{BTreeMap, VecDeque};

use super::policy::Thresholds;
use crate::event::Verdict;
use crate::ruleset::difference::judges_alike;
use crate::ruleset::program::{Breaker, Rule, RuleSet};
use crate::state::PartHash;

/// Into how many slices the span is cut: it is exact to one of them.
const SLICES: usize = 32;
/// How many matches a breaker needs at least to open: less is no flood, whatever the share.
pub const BREAKER_MATCHES_MIN: u64 = 10;
/// How many counters there are at most, of all rules; programs past that share one counter a rule.
const COUNTERS_MAX: usize = 16_384;
/// How many openings are kept for whoever tells them.
const OPENINGS_MAX: usize = 100;

/// What a match is worth while the breaker of its rule is open: what the rule gives by itself, by its action or by its score
/// alone, and at most what the breaker says. Its score is not summed.
pub(super) fn eased(rule: &Rule, thresholds: &Thresholds) -> Verdict {
    let alone = rule.action.unwrap_or_default().max(thresholds.verdict(i64::from(rule.score)));
    alone.min(most(rule))
}

/// What the rule can give or decide at most while its breaker is open; `allow` if it is only written down.
pub(super) fn most(rule: &Rule) -> Verdict {
    rule.breaker.and_then(|breaker| breaker.then.verdict()).unwrap_or_default()
}

/// A breaker has opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerOpening {
    /// Its rule.
    pub rule: String,
    /// In which program.
    pub program: String,
    /// Event time at which it opened, in milliseconds since the Unix epoch.
    pub at_ms: i64,
}

/// What a rule judged in one program, lately.
#[derive(Clone, Debug)]
struct Counter {
    /// By slice of event time, round and round: events that were judged, and matches among them.
    slices: [[u32; 2]; SLICES],
    /// The newest slice.
    newest: i64,
    /// Sums of the slices.
    judged: u64,
    matched: u64,
    /// The latest event time.
    now_ms: i64,
    /// When it opened; `None`: it is closed.
    opened_ms: Option<i64>,
}

impl Counter {
    fn new() -> Counter {
        Counter { slices: [[0; 2]; SLICES], newest: i64::MIN, judged: 0, matched: 0, now_ms: i64::MIN, opened_ms: None }
    }

    /// Takes in an event and says whether the breaker was open for it, then whether it has opened at it.
    fn judge(&mut self, of: &Breaker, seen: Seen) -> (bool, bool) {
        self.now_ms = self.now_ms.max(seen.time_ms);
        if self.opened_ms.is_some_and(|opened_ms| self.now_ms >= opened_ms.saturating_add(of.rearm_ms)) {
            *self = Counter { now_ms: self.now_ms, ..Counter::new() };
        }
        if self.opened_ms.is_some() {
            return (true, false);
        }
        if seen.counts {
            self.count(seen.time_ms.div_euclid(slice_ms(of)), seen.matched);
        }
        let enough = self.judged >= u64::from(of.min_events) && self.matched >= BREAKER_MATCHES_MIN;
        let opens = seen.counts && enough && self.matched * 1000 > self.judged * u64::from(of.share_permille);
        if opens {
            *self = Counter { now_ms: self.now_ms, opened_ms: Some(self.now_ms), ..Counter::new() };
        }
        (false, opens)
    }

    fn count(&mut self, slice: i64, matched: bool) {
        let places = SLICES as i64;
        if slice > self.newest {
            let first_new = self.newest.saturating_add(1).max(slice - places + 1);
            (first_new..=slice).for_each(|passed| self.forget(passed));
            self.newest = slice;
        } else if slice <= self.newest - places {
            return;
        }
        let [judged, matches] = &mut self.slices[slice.rem_euclid(places) as usize];
        if *judged == u32::MAX {
            return;
        }
        *judged += 1;
        self.judged += 1;
        *matches += u32::from(matched);
        self.matched += u64::from(matched);
    }

    /// Empties the place of a slice for the one that comes there.
    fn forget(&mut self, slice: i64) {
        let [judged, matched] = std::mem::take(&mut self.slices[slice.rem_euclid(SLICES as i64) as usize]);
        self.judged -= u64::from(judged);
        self.matched -= u64::from(matched);
    }

    fn is_open(&self, of: &Breaker, time_ms: i64) -> bool {
        self.opened_ms.is_some_and(|opened_ms| time_ms < opened_ms.saturating_add(of.rearm_ms))
    }

    /// Whether no event from the horizon on can tell it from a new one.
    fn is_idle(&self, of: &Breaker, horizon_ms: i64) -> bool {
        let reach_ms = slice_ms(of).saturating_mul(SLICES as i64 + 1);
        !self.is_open(of, horizon_ms) && self.now_ms.saturating_add(reach_ms) <= horizon_ms
    }
}

/// The width of a slice, in milliseconds.
fn slice_ms(of: &Breaker) -> i64 {
    of.over_ms.saturating_add(SLICES as i64 - 1).div_euclid(SLICES as i64).max(1)
}

/// An event that a rule has judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// The instant that it is judged as of.
    pub time_ms: i64,
    /// Whether it is counted: a late event feeds nothing.
    pub counts: bool,
    /// Whether the rule matched.
    pub matched: bool,
}

/// The counters of a rule.
#[derive(Clone, Debug)]
struct Counters {
    breaker: Breaker,
    by_program: BTreeMap<PartHash, Counter>,
    /// For programs that came when there was no room.
    shared: Counter,
}

/// All breakers of a rule set.
#[derive(Clone, Debug, Default)]
pub(super) struct Breakers {
    /// By place of the rule; `None`: it has none. Empty if none has, so that an event costs nothing.
    rules: Vec<Option<Box<Counters>>>,
    /// How many counters there are.
    counters: usize,
    /// The rules whose breaker was open for the event that was judged last.
    open_at_last: Vec<u32>,
    openings: VecDeque<BreakerOpening>,
}

impl Breakers {
    /// Those of a rule set, closed; none where every rule counts in full.
    pub(super) fn new(rules: &RuleSet, every_rule_in_force: bool) -> Breakers {
        let watched = !every_rule_in_force && rules.rules.iter().any(|rule| rule.breaker.is_some());
        if !watched {
            return Breakers::default();
        }
        let counters = |breaker| Box::new(Counters { breaker, by_program: BTreeMap::new(), shared: Counter::new() });
        let breakers = rules.rules.iter().map(|rule| rule.breaker.map(counters));
        Breakers { rules: breakers.collect(), ..Breakers::default() }
    }

    /// Goes over to another rule set: a rule that judges as before, under the same breaker, keeps its counts.
    pub(super) fn reload(&mut self, from: &RuleSet, to: &RuleSet, every_rule_in_force: bool) {
        let mut next = Breakers::new(to, every_rule_in_force);
        for (rule, counters) in to.rules.iter().zip(&mut next.rules) {
            let Some(counters) = counters else { continue };
            let Ok(place) = from.rules.binary_search_by(|known| known.id.cmp(&rule.id)) else { continue };
            let known = &from.rules[place];
            if known.breaker == rule.breaker
                && judges_alike((from, known), (to, rule))
                && let Some(kept) = self.rules.get_mut(place).and_then(Option::take)
            {
                next.counters += kept.by_program.len();
                *counters = kept;
            }
        }
        next.openings = std::mem::take(&mut self.openings);
        *self = next;
    }

    /// Whether a rule has a breaker.
    #[inline]
    pub(super) fn watches(&self, rule: u32) -> bool {
        self.rules.get(rule as usize).is_some_and(Option::is_some)
    }

    /// A new event is judged.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.open_at_last.clear();
    }

    /// Takes in an event that a rule has judged and for which a match counts. Answers whether its breaker is open for it;
    /// one that opens at it is so for the events after.
    pub(super) fn judge(&mut self, rule: u32, id: &str, program: (PartHash, &str), seen: Seen) -> bool {
        let Some(Some(counters)) = self.rules.get_mut(rule as usize) else { return false };
        let Counters { breaker, by_program, shared } = counters.as_mut();
        let counter = match by_program.entry(program.0) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(_) if self.counters >= COUNTERS_MAX => shared,
            std::collections::btree_map::Entry::Vacant(free) => {
                self.counters += 1;
                free.insert(Counter::new())
            }
        };
        let (open, opens) = counter.judge(breaker, seen);
        if open {
            self.open_at_last.push(rule);
        }
        if opens {
            self.openings.truncate(OPENINGS_MAX - 1);
            let program = program.1.chars().take(100).collect();
            self.openings.push_front(BreakerOpening { rule: id.to_owned(), program, at_ms: counter.now_ms });
        }
        open
    }

    /// Whether a rule's breaker was open for the event that was judged last.
    pub(super) fn was_open(&self, rule: u32) -> bool {
        self.open_at_last.contains(&rule)
    }

    /// Drops the counters that no event from the horizon on can feel.
    pub(super) fn expire(&mut self, horizon_ms: i64) {
        for counters in self.rules.iter_mut().flatten() {
            let Counters { breaker, by_program, .. } = counters.as_mut();
            let before = by_program.len();
            by_program.retain(|_, counter| !counter.is_idle(breaker, horizon_ms));
            self.counters -= before - by_program.len();
        }
    }

    /// By place of each rule that has a breaker: in how many programs it is open at this event time.
    pub(super) fn open(&self, time_ms: i64) -> impl Iterator<Item = (usize, usize)> {
        let of = move |counters: &Counters| {
            let all = counters.by_program.values().chain([&counters.shared]);
            all.filter(|counter| counter.is_open(&counters.breaker, time_ms)).count()
        };
        self.rules.iter().enumerate().filter_map(move |(place, counters)| Some((place, of(counters.as_ref()?))))
    }

    /// The latest openings that were not taken yet, in order.
    pub(super) fn take_openings(&mut self) -> Vec<BreakerOpening> {
        std::mem::take(&mut self.openings).into_iter().rev().collect()
    }

    /// Memory in bytes, about.
    pub(super) fn bytes(&self) -> usize {
        let rules = self.rules.iter().flatten().count();
        // An entry takes its pair and a share of the tree's nodes.
        rules * size_of::<Counters>() + self.counters * 2 * size_of::<(PartHash, Counter)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::load::{Files, load_from};
    use crate::state::{HashKey, KeyHasher, Scalar};

    struct One;

    impl Files for One {
        fn packs(&self) -> Result<Vec<String>, String> {
            Ok(vec!["p.yaml".to_owned()])
        }

        fn read(&self, _path: &str, _max_bytes: u64) -> Result<Vec<u8>, String> {
            let rule = "{id: r, on: [order.placed], when: 'true', action: block, breaker: {share: 5%, over: 1m, rearm: 1h, min_events: 10}}";
            Ok(format!("version: 1\npack: p\nrules:\n  - {rule}\n").into_bytes())
        }
    }

    fn breakers() -> Breakers {
        Breakers::new(&load_from(&One).expect("the pack is right").set, false)
    }

    fn judge(breakers: &mut Breakers, program: usize, time_ms: i64, matched: bool) -> bool {
        let name = format!("p{program}");
        let part = KeyHasher::new(HashKey([7; 16])).part(Scalar::Text(&name));
        breakers.begin();
        breakers.judge(0, "r", (part, &name), Seen { time_ms, counts: true, matched })
    }

    #[test]
    fn programs_past_the_bound_share_a_counter_and_idle_ones_make_room() {
        let mut breakers = breakers();
        (0..COUNTERS_MAX).for_each(|program| assert!(!judge(&mut breakers, program, 0, false)));
        let full = breakers.bytes();
        let (a, b) = (COUNTERS_MAX, COUNTERS_MAX + 1);
        (0..10).for_each(|at| assert!(!judge(&mut breakers, if at % 2 == 0 { a } else { b }, 0, true)));
        assert_eq!(breakers.bytes(), full, "no room is made for them");
        assert!(judge(&mut breakers, a, 1, true) && judge(&mut breakers, b, 1, true), "ten matches of both together");
        assert!(!judge(&mut breakers, 5, 1, true), "one that has a counter is told apart");
        assert_eq!(breakers.open(1).collect::<Vec<_>>(), [(0, 1)]);
        breakers.expire(61_875);
        assert_eq!(breakers.counters, 1, "the span and a slice later all are idle but the one that was seen last");
        breakers.expire(61_876);
        assert_eq!(
            (breakers.counters, breakers.open(1).collect::<Vec<_>>()),
            (0, vec![(0, 1)]),
            "what is shared stays"
        );
        assert!(!judge(&mut breakers, a, 70_000, true), "there is room for a counter of its own");
        assert_eq!(breakers.counters, 1);
    }

    #[test]
    fn an_open_breaker_is_not_idle_before_it_closes() {
        let mut breakers = breakers();
        (0..10).for_each(|_| assert!(!judge(&mut breakers, 1, 0, true)));
        breakers.expire(3_599_999);
        assert!(judge(&mut breakers, 1, 3_599_999, false), "still open");
        breakers.expire(3_700_000);
        assert_eq!(breakers.counters, 0);
    }

    #[test]
    fn the_latest_openings_are_told_in_order() {
        let mut breakers = breakers();
        (0..130).for_each(|program| (0..10).for_each(|_| assert!(!judge(&mut breakers, program, 0, true))));
        let told: Vec<String> = breakers.take_openings().into_iter().map(|opening| opening.program).collect();
        let latest: Vec<String> = (30..130).map(|program| format!("p{program}")).collect();
        assert_eq!(told, latest);
        assert_eq!(breakers.take_openings(), []);
    }
}
