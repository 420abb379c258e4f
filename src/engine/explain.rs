//! Why an event was judged as it was: every rule that judges it with its terms, every feature it read with its key, the
//! decisions that it met.
//!
//! Made after the judgement, from what the chunk still holds: the conditions see the same facts again. The events behind a
//! reading are found by feeding the same log once more to an engine that is told which keys to watch for.

use std::collections::BTreeSet;

use super::Engine;
use super::breaker::{eased, most};
use super::chunk::{Chunk, Ground};
use super::decide::{Standing, evidence_order, standing};
use super::decisions::Decisions;
use super::facts::Row;
use super::policy::Thresholds;
use super::record;
use super::subject::{subject_key, subjects};
use crate::event::{Event, EventBatch, Field, Signals, SubjectKind, Verdict};
use crate::ruleset::cel::{Compiled, Facts, FeatureIndex, ReadIndex, ReadKey, ReadSource, Reading, Term};
use crate::ruleset::program::{Aggregate, Reach};
use crate::state::{KeyHash, KeyHasher};

/// Why an event was judged as it was.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The program that it belongs to.
    pub program: String,
    /// The scores from which a verdict follows.
    pub thresholds: Thresholds,
    /// The rules that judge such an event, by id.
    pub rules: Vec<RuleExplained>,
    /// The features that those rules read, in the order of the rule set.
    pub features: Vec<FeatureExplained>,
    /// The decisions that it met.
    pub decisions: Vec<DecisionExplained>,
}

/// What became of a rule.
#[derive(Clone, Debug)]
pub struct RuleExplained {
    /// Its place in the rule set.
    pub rule: usize,
    /// How it ended.
    pub end: RuleEnd,
    /// Its condition.
    pub when: Term,
    /// Its exceptions.
    pub except: Vec<Term>,
    /// Its message, if it matched.
    pub message: Option<String>,
}

/// How a rule ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleEnd {
    /// It matched, and counts.
    Enforced,
    /// It matched, and is only written down, for this reason.
    Shadowed(ShadowCause),
    /// It matched, and its breaker is open: it counts for no more than this, and its score for nothing.
    Eased(Verdict),
    /// An exception holds: its place.
    Excepted(usize),
    /// Its condition does not hold, or has no value.
    NotMatched,
    /// It ended before the event.
    Expired,
}

/// Why a rule that matched does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShadowCause {
    /// Its mode.
    Mode,
    /// The account is outside its rollout.
    Rollout,
    /// A feature has not seen a whole window, and the rule waits for that.
    Incomplete,
    /// Its breaker is open, and says so.
    Breaker,
}

/// A feature as the event read it.
#[derive(Clone, Debug)]
pub struct FeatureExplained {
    /// Its name.
    pub feature: String,
    /// What is computed, in one word.
    pub aggregate: &'static str,
    /// The parts of the key that it was read at; `None` where a part is empty, so that nothing is counted.
    pub key: Option<Vec<String>>,
    /// Whether it is the event's own key, so that the event itself may be counted.
    pub own: bool,
    /// What was read.
    pub reading: Reading,
    /// The times whose events count, in milliseconds since the Unix epoch: after the first, up to the second. Without a
    /// first: all since the key was last idle.
    pub window_ms: (Option<i64>, i64),
    /// What to watch for, to see the events behind it.
    pub watched: Option<Watched>,
}

impl FeatureExplained {
    /// The value as JSON.
    pub fn value(&self) -> Vec<u8> {
        let mut out = Vec::new();
        record::write_value(&mut out, &self.reading);
        out
    }
}

/// A decision that the event met.
#[derive(Clone, Debug)]
pub struct DecisionExplained {
    /// Its id.
    pub id: String,
    /// What it stands on.
    pub kind: SubjectKind,
    /// Whom it stands on.
    pub subject: String,
    /// What was decided.
    pub verdict: Verdict,
    /// By which rule; `None`: a person did.
    pub rule: Option<String>,
    /// By which person.
    pub by: Option<String>,
    /// When, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// Until when; `None`: until a person ends it.
    pub expires_ms: Option<i64>,
}

/// Keys of a feature: the one that was read, and of a component those of all accounts that are linked with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    feature: FeatureIndex,
    keys: Vec<KeyHash>,
}

/// An event that was counted under a key that is watched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witnessed {
    /// Which key: its place among those watched for.
    pub watched: usize,
    /// The event's place in its batch.
    pub event: usize,
    /// The value that it brought, if the feature has one.
    pub value: Option<String>,
}

/// The keys that an engine watches for, and what it saw.
#[derive(Debug, Default)]
pub(super) struct Watch {
    keys: Vec<Watched>,
    seen: Vec<Witnessed>,
}

impl Watch {
    /// Notes which of a chunk's operations count an event under a watched key; `from` is the chunk's place in its batch.
    pub(super) fn look(&mut self, chunk: &Chunk, ground: &Ground<'_>, from: usize) {
        for (watched, Watched { feature, keys }) in self.keys.iter().enumerate() {
            let counted = keys.iter().flat_map(|key| chunk.counted(feature.0 as usize, *key));
            for at in counted.collect::<BTreeSet<usize>>() {
                let counted = &ground.rules.features[feature.0 as usize];
                let shown = |value| rendered(value, &chunk.row(ground, at));
                let links = counted.links.iter().map(|link| shown(&link.value)).filter(|text| !text.is_empty());
                let value = match counted.aggregate {
                    Aggregate::Component(_) => Some(links.collect::<Vec<_>>().join(", ")),
                    _ => counted.value.as_ref().map(shown),
                };
                self.seen.push(Witnessed { watched, event: from + at, value });
            }
        }
    }
}

/// Each reading once: one at a key that is written out can be at the event's own, or at that of another.
fn once(read: impl Iterator<Item = FeatureExplained>) -> Vec<FeatureExplained> {
    let mut told: Vec<FeatureExplained> = Vec::new();
    for read in read {
        // A key with an empty part reads as nothing; `same` reads two keys, and tells both.
        let same = |other: &&mut FeatureExplained| {
            read.watched.is_some() && other.watched == read.watched && other.key == read.key
        };
        match told.iter_mut().find(same) {
            Some(other) => other.own |= read.own,
            None => told.push(read),
        }
    }
    told
}

impl Engine {
    /// Watches for these keys from now on; see [`Engine::witnessed`].
    pub fn watch(&mut self, keys: Vec<Watched>) {
        self.watching = Some(Box::new(Watch { keys, seen: Vec::new() }));
    }

    /// What was counted under the watched keys by the batches judged since the last call, in order.
    pub fn witnessed(&mut self) -> Vec<Witnessed> {
        self.watching.as_mut().map(|watch| std::mem::take(&mut watch.seen)).unwrap_or_default()
    }

    /// Why the event at this place of the batch was judged as it was. It must be the event that was judged last, by
    /// [`Engine::judge_part`]. `None` for one that was not judged: a repeat, or a reused id.
    pub fn explain(&self, batch: &EventBatch, signals: &[Signals], at: usize) -> Option<Explanation> {
        let chunk = self.chunk.entries.len();
        let range = at + 1 - chunk..at + 1;
        let ground = self.ground(batch, &batch.events[range.clone()], &signals[range]);
        let entry = self.chunk.entries.last().filter(|entry| entry.is_new())?;
        let row = self.chunk.row(&ground, chunk - 1);
        let program = self.programs.get(entry.program);
        let thresholds = *program.thresholds(entry.type_index);
        let judged_by = entry.type_index.map_or(&[] as &[u32], |of| &self.rules.by_type[of.0 as usize].rules);
        let rules: Vec<RuleExplained> =
            judged_by.iter().map(|rule| self.explain_rule(*rule, &row, &thresholds)).collect();
        let mut reads: Vec<ReadIndex> =
            judged_by.iter().flat_map(|rule| self.rules.rules[*rule as usize].evidence()).collect();
        reads.sort_unstable_by_key(|read| evidence_order(&self.rules, *read));
        reads.dedup();
        let features = once(reads.iter().filter_map(|read| self.explain_read(*read, &ground, &row)));
        // Those that this event made count for later ones.
        let before = self.sequence.saturating_sub(1);
        let decisions = explain_decisions(&self.decisions, &self.hasher, &row, entry.as_of_ms(row.event), before);
        Some(Explanation { program: program.name.to_string(), thresholds, rules, features, decisions })
    }

    /// The parts of the machine that reading a chunk again needs.
    pub(super) fn ground<'a>(
        &'a self,
        batch: &'a EventBatch,
        events: &'a [Event],
        signals: &'a [Signals],
    ) -> Ground<'a> {
        Ground {
            plan: &self.plan,
            rules: &self.rules,
            managed: &self.managed,
            hasher: &self.hasher,
            programs: &self.programs,
            batch,
            events,
            signals,
            started_ms: self.started_ms.unwrap_or(i64::MAX),
        }
    }

    fn explain_rule(&self, place: u32, row: &Row<'_>, thresholds: &Thresholds) -> RuleExplained {
        let rule = place as usize;
        let of = &self.rules.rules[rule];
        let names = self.rules.as_ref();
        let when = of.when.explain(row, names);
        let except: Vec<Term> = of.except.iter().map(|except| except.explain(row, names)).collect();
        let end = match standing(of, row, self.every_rule_in_force) {
            Standing::Expired => RuleEnd::Expired,
            _ if of.when.test(row) != Ok(true) => RuleEnd::NotMatched,
            standing => match (of.except.iter().position(|except| except.test(row) == Ok(true)), standing) {
                (Some(place), _) => RuleEnd::Excepted(place),
                (None, Standing::Shadow(cause)) => RuleEnd::Shadowed(cause),
                (None, _) if !self.breakers.was_open(place) => RuleEnd::Enforced,
                (None, _) if most(of) == Verdict::Allow => RuleEnd::Shadowed(ShadowCause::Breaker),
                (None, _) => RuleEnd::Eased(eased(of, thresholds)),
            },
        };
        let matched = matches!(end, RuleEnd::Enforced | RuleEnd::Shadowed(_) | RuleEnd::Eased(_));
        let message = of.message.as_ref().filter(|_| matched).map(|message| {
            let mut text = String::new();
            message.render(row, &mut text);
            text
        });
        RuleExplained { rule, end, when, except, message }
    }

    fn explain_read(&self, read: ReadIndex, ground: &Ground<'_>, row: &Row<'_>) -> Option<FeatureExplained> {
        let ReadSource::Feature { feature, key } = &self.rules.reads.get(read).source else { return None };
        let of = &self.rules.features[feature.0 as usize];
        let own = *key == ReadKey::Own;
        let parts: &[Compiled] = match key {
            ReadKey::Own => &of.key,
            ReadKey::At(parts) | ReadKey::Same(parts) => parts,
        };
        let hash = self.chunk.key_of_last(ground, feature.0, read);
        let until_ms = row.event.event_time_ms - of.offset_ms;
        let whole = |time_ms: i64| match of.bucket_ms {
            // Buckets count whole: the one that the window begins in from its first instant, the one it ends in to its last.
            Some(bucket_ms) => time_ms.div_euclid(bucket_ms) * bucket_ms,
            None => time_ms,
        };
        let since_ms = match of.reach {
            Reach::Window(reach_ms) => match of.aggregate {
                Aggregate::Component(component) => {
                    let generation_ms = component.generation_ms;
                    let as_of_ms = self.chunk.entries.last()?.as_of_ms(row.event);
                    // The first instant counts.
                    Some(as_of_ms.div_euclid(generation_ms) * generation_ms - reach_ms - 1)
                }
                _ if of.bucket_ms.is_some() => Some(whole(until_ms - reach_ms + 1) - 1),
                _ => Some(until_ms - reach_ms),
            },
            Reach::Calendar(_) => {
                let entry = self.chunk.entries.last()?;
                let space = self.plan.features[feature.0 as usize].space;
                let as_of_ms = entry.as_of_ms(row.event).saturating_sub(of.offset_ms);
                // The first instant of the unit counts.
                space.start_ms(|| self.programs.get(entry.program), as_of_ms).map(|start_ms| start_ms - 1)
            }
            Reach::Retention(_) => None,
        };
        Some(FeatureExplained {
            feature: of.name.clone(),
            aggregate: of.aggregate.name(),
            key: hash.map(|_| parts.iter().map(|part| rendered(part, row)).collect()),
            own,
            reading: row.reading(read),
            window_ms: (since_ms, of.bucket_ms.map_or(until_ms, |bucket_ms| whole(until_ms) + bucket_ms - 1)),
            watched: hash.map(|key| self.watched(*feature, key, row)),
        })
    }

    fn watched(&self, feature: FeatureIndex, key: KeyHash, row: &Row<'_>) -> Watched {
        let as_of_ms = self.chunk.entries.last().map_or(i64::MAX, |entry| entry.as_of_ms(row.event));
        Watched { feature, keys: self.tables[feature.0 as usize].linked_with(key, as_of_ms) }
    }
}

/// The decisions in force on an event's subjects that were made before so many events had been taken in.
pub(super) fn explain_decisions(
    decisions: &Decisions,
    hasher: &KeyHasher,
    row: &Row<'_>,
    as_of_ms: i64,
    before: u64,
) -> Vec<DecisionExplained> {
    let mut found: Vec<DecisionExplained> = Vec::new();
    let event_type = row.text(Field::Type);
    for kind in SubjectKind::ALL.iter().filter(|kind| decisions.has_kind(**kind)) {
        for (_, subject) in subjects(row, *kind) {
            let key = subject_key(hasher, row, *kind, subject);
            for met in decisions.in_force(key, row.event.kind, event_type, as_of_ms, None) {
                if met.cause.sequence < before && found.iter().all(|known| known.id != met.cause.id) {
                    found.push(DecisionExplained {
                        id: met.cause.id.clone(),
                        kind: met.kind,
                        subject: subject.to_owned(),
                        verdict: met.cause.verdict,
                        rule: met.cause.rule().map(str::to_owned),
                        by: met.cause.by().map(str::to_owned),
                        created_ms: met.cause.created_ms,
                        expires_ms: met.cause.expires_ms,
                    });
                }
            }
        }
    }
    found
}

/// A value as messages show it.
pub(super) fn rendered(of: &Compiled, row: &Row<'_>) -> String {
    let mut text = String::new();
    match of.render(row, &mut text) {
        Ok(()) => text,
        Err(fault) => format!("({})", fault.code()),
    }
}
