//! The word of a person on a subject: what it changes, and which stand.
//!
//! An override is a cause of a decision (`decisions.rs`) that beats rules, scores and what rules have decided, for every event
//! that has its subject, until an instant of event time. Invariant: what comes of an act depends on the act and the
//! log alone.

use std::borrow::Cow;

use super::acts::ActOutcome;
use super::corrections::Change;
use super::decide::derived_id;
use super::decisions::{DecidedBy, DecisionCause, DecisionReach, DecisionRecord};
use super::judgement::Judgements;
use super::machine::Engine;
use crate::event::{Act, ActSubject, PutOverride, SubjectKind, Verdict};
use crate::ruleset::program::OnExpiry;
use crate::state::KeyHash;

/// Overrides that stand, at most: people write fewer, and a script that runs wild ends here.
const OVERRIDES_MAX: usize = 100_000;

/// Overrides that one question looks at, at most: the engine judges nothing meanwhile.
const LOOKED_AT_MAX: usize = 4096;

/// An override that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Derived from its subject and the act that made it.
    pub id: String,
    /// The program.
    pub program: String,
    /// What the subject is.
    pub kind: SubjectKind,
    /// Its id, as events spell it.
    pub subject: String,
    /// What holds for whatever has the subject.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub by: String,
    /// When, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// Event time at which it ends; `None`: it stays until it is taken away.
    pub expires_ms: Option<i64>,
}

/// Which overrides are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OverridesWanted {
    /// The program.
    pub program: String,
    /// Only those on subjects of this kind.
    pub kind: Option<SubjectKind>,
    /// Only the one on this subject, as an event would write it; with a kind.
    pub id: Option<String>,
    /// Those behind this place.
    pub behind: Option<KeyHash>,
    /// How many at most.
    pub count: usize,
}

impl Override {
    pub(super) fn of(record: &DecisionRecord, cause: &DecisionCause) -> Override {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Override {
            id: cause.id.clone(),
            program: record.program.to_string(),
            kind: record.kind,
            subject: record.subject.to_string(),
            verdict: cause.verdict,
            reason: text(cause.reason()),
            by: text(cause.by()),
            created_ms: cause.created_ms,
            expires_ms: cause.expires_ms,
        }
    }
}

impl Engine {
    /// How events of a program spell the subject that a text names; `None`: it names none of its kind.
    pub fn spelt(&mut self, program: &str, kind: SubjectKind, text: &str) -> Option<String> {
        let region = self.policy.program(program).region.clone();
        self.spelling.read(kind, &region, text).map(Cow::into_owned)
    }

    pub(super) fn put_override(&mut self, act: &Act, put: &PutOverride, out: &mut Judgements) -> ActOutcome {
        let ActSubject { program, kind, subject } = &put.of;
        let key = self.subject(program, *kind, subject);
        let standing = self.decisions.record(key).and_then(|record| Some((record, record.overridden()?)));
        if let Some((record, standing)) = standing
            && (standing.verdict, standing.expires_ms) == (put.verdict, put.expires_ms)
            && (standing.by(), standing.reason()) == (Some(&*act.by), Some(&*put.reason))
        {
            // Said again, such as by a call whose answer was lost.
            return ActOutcome::Overridden(Box::new(Override::of(record, standing)));
        }
        if standing.is_none() && self.decisions.overrides() >= OVERRIDES_MAX {
            return ActOutcome::Full;
        }
        let cause = DecisionCause {
            id: derived_id("ovr", [program, kind.name(), subject, &*act.id]),
            decided_by: DecidedBy::Person { by: act.by.as_str().into(), reason: put.reason.as_str().into() },
            verdict: put.verdict,
            reach: DecisionReach::Everywhere,
            on_expiry: OnExpiry::Keep,
            created_ms: act.at_ms,
            expires_ms: put.expires_ms,
            sequence: self.sequence,
            origin: None,
        };
        let subject = || (program.as_str().into(), *kind, subject.as_str().into());
        let as_of_ms = self.words_as_of_ms();
        let reached = self.reached(&[key], as_of_ms);
        self.decisions.put_override(key, subject, cause);
        let change = Change { why: "override.put", cause: &act.id, at_ms: act.at_ms };
        self.say_corrected(&reached, as_of_ms, change, out);
        // Events are to say whom they are about, whether or not a rule asks.
        kind.signal().into_iter().for_each(|signal| self.plan.signals.insert(signal));
        let record = self.decisions.record(key).expect("the override was just put on it");
        let cause = record.overridden().expect("the override was just put there");
        ActOutcome::Overridden(Box::new(Override::of(record, cause)))
    }

    pub(super) fn delete_override(&mut self, act: &Act, of: &ActSubject, out: &mut Judgements) -> ActOutcome {
        let key = self.subject(&of.program, of.kind, &of.subject);
        if self.decisions.record(key).and_then(DecisionRecord::overridden).is_none() {
            return ActOutcome::NotFound;
        }
        let as_of_ms = self.words_as_of_ms();
        let reached = self.reached(&[key], as_of_ms);
        // Also one whose end has come by the clock: until event time is there it counts.
        self.decisions.delete_override(key);
        let change = Change { why: "override.deleted", cause: &act.id, at_ms: act.at_ms };
        self.say_corrected(&reached, as_of_ms, change, out);
        ActOutcome::Deleted
    }

    /// Overrides of a program that may count for an event to come, in an order that stays; and where to go on, if there may be more.
    pub fn overrides(&mut self, wanted: &OverridesWanted) -> (Vec<Override>, Option<KeyHash>) {
        if let (Some(kind), Some(id)) = (wanted.kind, &wanted.id) {
            let key = self.spelt(&wanted.program, kind, id).map(|id| self.subject(&wanted.program, kind, &id));
            let record = key.and_then(|key| self.decisions.record(key));
            let found = record.and_then(|record| Some((record, record.overridden()?)));
            return (found.map(|(record, cause)| Override::of(record, cause)).into_iter().collect(), None);
        }
        let (mut found, mut last) = (Vec::new(), None);
        for (looked_at, (key, record, cause)) in self.decisions.overrides_behind(wanted.behind).enumerate() {
            if looked_at == LOOKED_AT_MAX || found.len() == wanted.count {
                return (found, last);
            }
            last = Some(key);
            let is_wanted = *record.program == *wanted.program && wanted.kind.is_none_or(|kind| kind == record.kind);
            if is_wanted {
                found.push(Override::of(record, cause));
            }
        }
        (found, None)
    }
}
