//! One open alert: what is known of it, and how an event adds to it.

use crate::engine::{Judgements, Raised, beginning, bounded_text, derived_id, program_name};
use crate::event::json::write_string;
use crate::event::{Event, EventBatch, Field, Severity, Verdict};
use crate::ruleset::program::Rule;

/// How many accounts are named.
const NAMED_ACCOUNTS_MAX: usize = 20;
/// Up to how many they are counted.
const COUNTED_ACCOUNTS_MAX: usize = 500;
/// The longest message that is kept whole, in bytes of JSON.
const MESSAGE_BYTES_MAX: usize = 4096;
/// How much of a longer one is kept, in bytes of text.
const MESSAGE_HEAD_BYTES: usize = 1024;

/// A match that calls for an alert, with its event.
#[derive(Clone, Copy)]
pub(super) struct Sighting<'a> {
    pub batch: &'a EventBatch,
    pub judgements: &'a Judgements,
    pub event: &'a Event,
    pub raised: &'a Raised,
    pub rule: &'a Rule,
}

impl<'a> Sighting<'a> {
    pub(super) fn text(&self, field: Field) -> &'a str {
        self.batch.field(self.event, field)
    }

    pub(super) fn program(&self) -> &'a str {
        program_name(self.batch, self.event)
    }

    /// Members of a JSON object.
    pub(super) fn group(&self) -> &'a [u8] {
        self.judgements.piece(self.raised.group)
    }
}

/// The name of an event.
#[derive(Clone, Debug)]
pub(super) struct EventName {
    pub source: Box<str>,
    pub id: Box<str>,
}

impl EventName {
    fn of(seen: &Sighting<'_>) -> EventName {
        let kept = |field| bounded_text(seen.text(field)).into();
        EventName { source: kept(Field::Source), id: kept(Field::Id) }
    }
}

/// The accounts that an alert's events name.
#[derive(Clone, Debug, Default)]
pub(super) struct Accounts {
    /// The first of them, in the order in which they came.
    pub named: Vec<Box<str>>,
    /// Hashes, ascending, up to a bound.
    pub counted: Vec<u64>,
    /// There are more than were counted.
    pub more: bool,
}

impl Accounts {
    /// How many were counted.
    pub(super) fn total(&self) -> usize {
        self.counted.len()
    }

    fn add(&mut self, account: &str) {
        if account.is_empty() {
            return;
        }
        let hash = xxhash_rust::xxh3::xxh3_64(account.as_bytes());
        let Err(place) = self.counted.binary_search(&hash) else { return };
        if self.counted.len() == COUNTED_ACCOUNTS_MAX {
            self.more = true;
            return;
        }
        self.counted.insert(place, hash);
        if self.named.len() < NAMED_ACCOUNTS_MAX {
            self.named.push(bounded_text(account).into());
        }
    }
}

/// An alert.
#[derive(Clone, Debug)]
pub(super) struct Alert {
    pub id: String,
    pub program: Box<str>,
    /// Id of its rule.
    pub rule: Box<str>,
    /// Members of a JSON object; none in the alert that stands for the rest of a rule's.
    pub group: Box<[u8]>,
    pub severity: Severity,
    pub verdict: Verdict,
    /// Its program is only observed: nothing was stopped.
    pub observed: bool,
    pub count: u64,
    pub first_seen_ms: i64,
    pub last_seen_ms: i64,
    /// The latest instant that one of its events was judged as of: it is quiet since then.
    pub as_of_ms: i64,
    pub accounts: Accounts,
    /// Of the last event: a JSON string, or `null`.
    pub message: Vec<u8>,
    /// Of the last event: elements of a JSON array.
    pub evidence: Vec<u8>,
    pub first_event: EventName,
    pub last_event: EventName,
    /// How many records there are of it.
    pub revision: u64,
    /// What the last of them said.
    pub told_count: u64,
    /// The instant of event time of the last of them.
    pub told_ms: i64,
}

impl Alert {
    /// The alert that an event opens. `group` is that of the event, or nothing.
    pub(super) fn open(seen: &Sighting<'_>, group: &[u8]) -> Alert {
        let program = bounded_text(seen.program());
        let words = String::from_utf8_lossy(group);
        let cause = [&*program, &seen.rule.id, &*words, seen.text(Field::Source), seen.text(Field::Id)];
        let name = EventName::of(seen);
        let mut alert = Alert {
            id: derived_id("alert", cause),
            program: program.into(),
            rule: seen.rule.id.as_str().into(),
            group: group.into(),
            severity: seen.rule.severity,
            verdict: Verdict::Allow,
            observed: false,
            count: 0,
            first_seen_ms: i64::MAX,
            last_seen_ms: i64::MIN,
            as_of_ms: i64::MIN,
            accounts: Accounts::default(),
            message: Vec::new(),
            evidence: Vec::new(),
            first_event: name.clone(),
            last_event: name,
            revision: 0,
            told_count: 0,
            told_ms: i64::MIN,
        };
        alert.absorb(seen);
        alert
    }

    /// Adds an event. Answers whether that makes the alert graver.
    pub(super) fn absorb(&mut self, seen: &Sighting<'_>) -> bool {
        let Sighting { judgements, event, raised, rule, .. } = *seen;
        let before = (self.verdict, self.severity);
        self.verdict = self.verdict.max(raised.verdict);
        self.severity = self.severity.max(rule.severity);
        self.count += 1;
        self.first_seen_ms = self.first_seen_ms.min(event.event_time_ms);
        self.last_seen_ms = self.last_seen_ms.max(event.event_time_ms);
        self.as_of_ms = self.as_of_ms.max(raised.as_of_ms);
        for field in [Field::AccountId, Field::ReferrerId, Field::RecipientId] {
            self.accounts.add(seen.text(field));
        }
        let judgement = &judgements.events[raised.event as usize];
        self.observed = judgement.would_be.is_some();
        keep_message(&mut self.message, judgements.piece(raised.message));
        self.evidence.clear();
        self.evidence.extend_from_slice(judgements.piece(judgement.evidence));
        if self.count > 1 {
            self.last_event = EventName::of(seen);
        }
        before != (self.verdict, self.severity)
    }
}

/// Keeps a message, a JSON string, in place of another; of a long one the beginning.
fn keep_message(kept: &mut Vec<u8>, message: &[u8]) {
    kept.clear();
    if message.len() <= MESSAGE_BYTES_MAX {
        kept.extend_from_slice(message);
        return;
    }
    let text: String = serde_json::from_slice(message).expect("the engine writes messages as JSON strings");
    write_string(kept, &format!("{}…", beginning(&text, MESSAGE_HEAD_BYTES)));
}
