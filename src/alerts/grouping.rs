//! The open alerts: which one a match belongs to, when one is told of, and when it closes.
//!
//! Whether a match belongs to an alert depends on event time alone: it does if it is judged as of an instant less than `quiet`
//! after the last of the alert's. An alert leaves when the horizon has come so far, so that no later event could have
//! belonged to it, and it does not matter when it left. All that is looked at in an order is ordered by instants and
//! by the number in which alerts opened; hash maps are only asked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::alert::{Alert, Sighting};
use super::lines::{AlertCounts, AlertLines};
use super::record::write_record;
use super::words::{AlertChange, AlertClosing, AlertEvent};
use crate::engine::{Judgements, TimePassed, bounded_text};
use crate::event::{EventBatch, Mode};
use crate::ruleset::program::{Rule, RuleSet};

/// What the operator decides about alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertOptions {
    /// After how long without an event an alert closes, in milliseconds of event time.
    pub quiet_ms: i64,
    /// How long growth that no other reason tells of waits to be told, in milliseconds of event time.
    pub interval_ms: i64,
    /// How many are open at once, from 1.
    pub open_max: usize,
    /// How many of one rule in one program, from 1; one more stands for the rest. Programs that are not configured are one.
    pub per_rule_max: usize,
}

impl Default for AlertOptions {
    fn default() -> AlertOptions {
        const HOUR_MS: i64 = 3_600_000;
        AlertOptions { quiet_ms: 24 * HOUR_MS, interval_ms: HOUR_MS, open_max: 10_000, per_rule_max: 1000 }
    }
}

/// An open alert, and where it stands.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) alert: Alert,
    pub(super) key: Box<[u8]>,
    /// How many bytes of the key say whose share of the open alerts it takes.
    pub(super) share_bytes: usize,
    /// Its instant in the queue of those that will have been quiet; the alert's own may be later.
    pub(super) queued_ms: i64,
    /// The instant from which growth that was not told is to be told.
    pub(super) due_ms: Option<i64>,
}

/// All open alerts.
#[derive(Debug)]
pub struct Alerts {
    options: AlertOptions,
    /// The rule set in force.
    pub(super) rules: Arc<RuleSet>,
    /// By the number in which they opened.
    pub(super) open: BTreeMap<u64, Open>,
    pub(super) next_number: u64,
    /// By program, rule and group; those that stand for the rest of a rule's by the share that is used up.
    pub(super) numbers: HashMap<Box<[u8]>, u64>,
    /// By share, which is one for a rule in a program, and one for a rule in all programs that are not configured: how many
    /// are open, without the one that stands for the rest.
    pub(super) of_rule: HashMap<Box<[u8]>, usize>,
    /// By an instant at which something was seen of them, which may no longer be the latest.
    pub(super) queue: BTreeSet<(i64, u64)>,
    /// By the instant from which their growth is to be told.
    pub(super) due: BTreeSet<(i64, u64)>,
    pub(super) counts: AlertCounts,
    /// Reused.
    key: Vec<u8>,
}

impl Alerts {
    /// No alert is open.
    pub fn new(options: AlertOptions, rules: Arc<RuleSet>) -> Alerts {
        Alerts {
            options,
            rules,
            open: BTreeMap::new(),
            next_number: 0,
            numbers: HashMap::new(),
            of_rule: HashMap::new(),
            queue: BTreeSet::new(),
            due: BTreeSet::new(),
            counts: AlertCounts::default(),
            key: Vec::new(),
        }
    }

    /// What was counted since the start.
    pub fn counts(&self) -> AlertCounts {
        self.counts
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Takes in the judgements of a batch, which come in the order of the log, and appends what there is to tell. `rules` is
    /// the rule set that they were judged by.
    pub fn take(&mut self, batch: &EventBatch, judgements: &Judgements, rules: &Arc<RuleSet>, out: &mut AlertLines) {
        if !Arc::ptr_eq(&self.rules, rules) {
            self.renew(rules, out);
        }
        let mut times = judgements.times.iter().peekable();
        for raised in &judgements.raised {
            while let Some(time) = times.next_if(|time| time.events <= raised.event) {
                self.pass_time(*time, out);
            }
            let event = &batch.events[raised.event as usize];
            let rule = &rules.rules[raised.rule as usize];
            self.see(&Sighting { batch, judgements, event, raised, rule }, out);
        }
        times.for_each(|time| self.pass_time(*time, out));
        out.counts = self.counts;
    }

    /// Nothing more comes: what grew and was not told is told. All that are open stay so.
    pub fn end(&mut self, out: &mut AlertLines) {
        let mut untold: Vec<u64> = self.due.iter().map(|(_, number)| *number).collect();
        untold.sort_unstable();
        for number in untold {
            let told_ms = self.open[&number].alert.as_of_ms;
            self.tell(number, AlertChange::Grown, told_ms, out);
        }
        out.counts = self.counts;
    }

    /// Goes over to another rule set: an alert of a rule that is still there, and not off, stays.
    fn renew(&mut self, rules: &Arc<RuleSet>, out: &mut AlertLines) {
        let gone = |open: &Open| rule_of(rules, &open.alert.rule).is_none_or(|rule| rule.mode == Mode::Off);
        let gone: Vec<u64> = self.open.iter().filter(|(_, open)| gone(open)).map(|(number, _)| *number).collect();
        for number in gone {
            self.close(number, AlertClosing::RuleRemoved, out);
        }
        self.rules = Arc::clone(rules);
    }

    /// Event time has come so far: what has been quiet closes, and growth that waited is told.
    fn pass_time(&mut self, time: TimePassed, out: &mut AlertLines) {
        while let Some((as_of_ms, number)) = self.quietest()
            && as_of_ms.saturating_add(self.options.quiet_ms) <= time.horizon_ms
        {
            self.close(number, AlertClosing::Quiet, out);
        }
        while let Some(&(due_ms, number)) = self.due.first()
            && due_ms <= time.watermark_ms
        {
            self.tell(number, AlertChange::Grown, time.watermark_ms, out);
        }
    }

    /// A match that calls for an alert.
    fn see(&mut self, seen: &Sighting<'_>, out: &mut AlertLines) {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        let share_bytes = write_key(&mut key, seen);
        let mut number = self.find(&key, seen, out);
        let mut became = AlertEvent::Joined;
        if number.is_none() {
            let rest = self.of_rule.get(&key[..share_bytes]).is_some_and(|open| *open >= self.options.per_rule_max);
            if rest {
                key.truncate(share_bytes);
                became = AlertEvent::Gathered;
                number = self.find(&key, seen, out);
            }
        }
        match number {
            Some(number) => self.join(number, seen, out),
            None => {
                self.start(&key, share_bytes, seen, out);
                if became == AlertEvent::Joined {
                    became = AlertEvent::Opened;
                }
            }
        }
        self.counts.events[became as usize] += 1;
        self.key = key;
    }

    /// The open alert of this key that a match belongs to. One that has been quiet for too long closes.
    fn find(&mut self, key: &[u8], seen: &Sighting<'_>, out: &mut AlertLines) -> Option<u64> {
        let number = *self.numbers.get(key)?;
        let until_ms = self.open[&number].alert.as_of_ms.saturating_add(self.options.quiet_ms);
        if seen.raised.as_of_ms < until_ms {
            return Some(number);
        }
        self.close(number, AlertClosing::Quiet, out);
        None
    }

    /// Opens an alert; if there are too many, the one that has been quiet for the longest closes.
    fn start(&mut self, key: &[u8], share_bytes: usize, seen: &Sighting<'_>, out: &mut AlertLines) {
        if self.open.len() >= self.options.open_max
            && let Some((_, number)) = self.quietest()
        {
            self.close(number, AlertClosing::Displaced, out);
        }
        let group = if key.len() == share_bytes { &[] } else { seen.group() };
        let alert = Alert::open(seen, group);
        let number = self.next_number;
        self.next_number += 1;
        self.numbers.insert(key.into(), number);
        if key.len() > share_bytes {
            *self.of_rule.entry(key[..share_bytes].into()).or_default() += 1;
        }
        self.queue.insert((alert.as_of_ms, number));
        self.counts.open[alert.severity as usize] += 1;
        let as_of_ms = alert.as_of_ms;
        self.open.insert(number, Open { alert, key: key.into(), share_bytes, queued_ms: as_of_ms, due_ms: None });
        self.tell(number, AlertChange::Opened, as_of_ms, out);
    }

    /// Adds a match to an open alert, and tells of it if that is due.
    fn join(&mut self, number: u64, seen: &Sighting<'_>, out: &mut AlertLines) {
        let open = self.open.get_mut(&number).expect(NUMBERED);
        let severity = open.alert.severity;
        let worse = open.alert.absorb(seen);
        let alert = &open.alert;
        self.counts.open[severity as usize] -= 1;
        self.counts.open[alert.severity as usize] += 1;
        let due_ms = alert.told_ms.saturating_add(self.options.interval_ms);
        if worse {
            self.tell(number, AlertChange::Worse, seen.raised.as_of_ms, out);
        } else if alert.count >= 2 * alert.told_count || seen.raised.as_of_ms >= due_ms {
            self.tell(number, AlertChange::Grown, seen.raised.as_of_ms, out);
        } else if open.due_ms.is_none() {
            open.due_ms = Some(due_ms);
            self.due.insert((due_ms, number));
        }
    }

    /// The open alert that has been quiet for the longest, and since when; of equal ones the older.
    fn quietest(&mut self) -> Option<(i64, u64)> {
        loop {
            let (queued_ms, number) = *self.queue.first()?;
            let open = self.open.get_mut(&number).expect(NUMBERED);
            let as_of_ms = open.alert.as_of_ms;
            if as_of_ms == queued_ms {
                return Some((as_of_ms, number));
            }
            open.queued_ms = as_of_ms;
            self.queue.pop_first();
            self.queue.insert((as_of_ms, number));
        }
    }

    fn close(&mut self, number: u64, closing: AlertClosing, out: &mut AlertLines) {
        let Open { mut alert, key, share_bytes, queued_ms, due_ms } = self.open.remove(&number).expect(NUMBERED);
        self.queue.remove(&(queued_ms, number));
        if let Some(due_ms) = due_ms {
            self.due.remove(&(due_ms, number));
        }
        self.numbers.remove(&key);
        if key.len() > share_bytes
            && let Some(open) = self.of_rule.get_mut(&key[..share_bytes])
        {
            *open -= 1;
            if *open == 0 {
                self.of_rule.remove(&key[..share_bytes]);
            }
        }
        self.counts.open[alert.severity as usize] -= 1;
        self.counts.closed[closing as usize] += 1;
        self.counts.records[AlertChange::Closed as usize] += 1;
        alert.revision += 1;
        let rule = rule_of(&self.rules, &alert.rule).expect(RULED);
        out.add(|out| write_record(out, &alert, AlertChange::Closed, Some(closing), rule, &self.rules.hash));
    }

    /// Writes a record of an open alert, as of this instant of event time.
    fn tell(&mut self, number: u64, change: AlertChange, now_ms: i64, out: &mut AlertLines) {
        let open = self.open.get_mut(&number).expect(NUMBERED);
        if let Some(due_ms) = open.due_ms.take() {
            self.due.remove(&(due_ms, number));
        }
        let alert = &mut open.alert;
        alert.revision += 1;
        alert.told_count = alert.count;
        alert.told_ms = alert.told_ms.max(now_ms);
        self.counts.records[change as usize] += 1;
        let rule = rule_of(&self.rules, &alert.rule).expect(RULED);
        out.add(|out| write_record(out, alert, change, None, rule, &self.rules.hash));
    }
}

/// Writes the key of a match: the share that its alert takes, and what tells it apart there. Answers the length of the share.
fn write_key(key: &mut Vec<u8>, seen: &Sighting<'_>) -> usize {
    let program = bounded_text(seen.program());
    let write_program = |key: &mut Vec<u8>| {
        key.extend_from_slice(&(program.len() as u64).to_le_bytes());
        key.extend_from_slice(program.as_bytes());
    };
    if seen.raised.unnamed {
        // No program is so long.
        key.extend_from_slice(&u64::MAX.to_le_bytes());
    } else {
        write_program(key);
    }
    key.extend_from_slice(seen.rule.id.as_bytes());
    // No id of a rule has this byte.
    key.push(0);
    let share_bytes = key.len();
    if seen.raised.unnamed {
        write_program(key);
    }
    key.extend_from_slice(seen.group());
    share_bytes
}

const NUMBERED: &str = "what has a number in one of the orders is open";
const RULED: &str = "the alerts of a rule close before it leaves";

pub(super) fn rule_of<'r>(rules: &'r RuleSet, id: &str) -> Option<&'r Rule> {
    rules.rules.binary_search_by(|rule| rule.id.as_str().cmp(id)).ok().map(|place| &rules.rules[place])
}
