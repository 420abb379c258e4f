//! Which decisions stand on a subject, for those who ask without an event: nothing is counted, and nothing changes.

use std::borrow::Cow;

use super::decisions::{DecisionCause, DecisionRecord, effective};
use super::machine::Engine;
use crate::event::{EventKind, SubjectKind, Verdict};
use crate::state::{KeyHash, Scalar};

/// Records that one question looks at, at most: the engine judges nothing meanwhile.
const LOOKED_AT_MAX: usize = 4096;

/// A subject, and what stands on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it is.
    pub kind: SubjectKind,
    /// Its id, as decisions spell it.
    pub id: String,
    /// What the causes that count come to: the word of a person if there is one, else the gravest.
    pub verdict: Verdict,
    /// The causes that count, in the order of making.
    pub causes: Vec<DecisionCause>,
}

/// Which subjects are wanted of all that stand under a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StandingWanted {
    /// The program.
    pub program: String,
    /// Only those of this kind.
    pub kind: Option<SubjectKind>,
    /// Only this one, as an event would write it.
    pub id: Option<String>,
    /// Those behind this place.
    pub behind: Option<KeyHash>,
    /// How many at most.
    pub count: usize,
}

impl From<DecisionRecord> for Standing {
    /// With every cause, those that have ended too.
    fn from(of: DecisionRecord) -> Standing {
        let DecisionRecord { kind, subject, causes, .. } = of;
        Standing { kind, id: subject.into(), verdict: effective(&causes).unwrap_or_default(), causes }
    }
}

impl Engine {
    /// What an event of this type and time that names these subjects would meet: each of them that has an id of its kind,
    /// spelt as events spell it, in the order given. Without a type, what an event of any type might meet.
    pub fn check(
        &mut self,
        program: &str,
        subjects: &[(SubjectKind, String)],
        event_type: Option<&str>,
        as_of_ms: i64,
    ) -> Vec<Standing> {
        let region = self.policy.program(program).region.clone();
        let mut standing = Vec::new();
        for (kind, text) in subjects {
            let Some(id) = self.spelling.read(*kind, &region, text).map(Cow::into_owned) else { continue };
            let key = self.subject(program, *kind, &id);
            let causes =
                self.decisions.record(key).map(|record| counting(record, event_type, as_of_ms)).unwrap_or_default();
            standing.push(Standing { kind: *kind, id, verdict: effective(&causes).unwrap_or_default(), causes });
        }
        standing
    }

    /// Subjects of a program under a decision at an instant, in an order that stays; and where to go on, if there may be more.
    pub fn standing(&mut self, wanted: &StandingWanted, as_of_ms: i64) -> (Vec<Standing>, Option<KeyHash>) {
        if let (Some(kind), Some(id)) = (wanted.kind, &wanted.id) {
            let found = self.check(&wanted.program, &[(kind, id.clone())], None, as_of_ms);
            return (found.into_iter().filter(|standing| !standing.causes.is_empty()).collect(), None);
        }
        let (mut found, mut last) = (Vec::new(), None);
        for (looked_at, (key, record)) in self.decisions.records_behind(wanted.behind).enumerate() {
            if looked_at == LOOKED_AT_MAX || found.len() == wanted.count {
                return (found, last);
            }
            last = Some(key);
            let is_wanted = *record.program == *wanted.program
                && wanted.kind.is_none_or(|kind| kind == record.kind)
                && wanted.id.as_deref().is_none_or(|id| *record.subject == *id);
            if !is_wanted {
                continue;
            }
            let causes = counting(record, None, as_of_ms);
            if !causes.is_empty() {
                let (kind, id, verdict) =
                    (record.kind, record.subject.to_string(), effective(&causes).unwrap_or_default());
                found.push(Standing { kind, id, verdict, causes });
            }
        }
        (found, None)
    }

    /// Whether nothing is stopped in a program, whatever stands on its subjects.
    pub fn only_observes(&self, program: &str) -> bool {
        self.policy.program(program).observe_only
    }

    /// The key of a subject's record.
    pub(super) fn subject(&mut self, program: &str, kind: SubjectKind, id: &str) -> KeyHash {
        self.programs.trim();
        let place = self.programs.place(program, &self.policy, &self.rules, &self.hasher);
        let part = |text| self.hasher.part(Scalar::Text(text));
        self.hasher.key(self.programs.get(place).part, &[part(kind.name()), part(id)])
    }
}

/// The causes that count for an event of a type at an instant.
fn counting(record: &DecisionRecord, event_type: Option<&str>, as_of_ms: i64) -> Vec<DecisionCause> {
    let lives = |cause: &&DecisionCause| cause.lives(as_of_ms);
    let reaches =
        |cause: &&DecisionCause| event_type.is_none_or(|name| cause.reach.covers(EventKind::from_name(name), name));
    record.causes.iter().filter(lives).filter(reaches).cloned().collect()
}
