//! The verdict on one event: conditions, scores, thresholds, decisions in force, and what it decides for later ones.

mod hold;
mod raise;

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::breaker::{Breakers, Seen, eased, most};
use super::chunk::Entry;
use super::decisions::{DecidedBy, DecisionCause, DecisionReach, Decisions};
use super::explain::ShadowCause;
use super::facts::Row;
use super::holds::Holds;
use super::judgement::{Elements, Judgement, Judgements, Outcome, Piece};
use super::plan::Plan;
use super::programs::Program;
use super::record;
use super::said::{SAID, SOURCE};
use super::shared::Origin;
use super::subject::{subject_key, subjects};
use super::tally::Tally;
use crate::event::attribute;
use crate::event::json::write_string;
use crate::event::{AttributeType, AttributeValue, Cause, Event, Field, Mode, SubjectKind, Verdict};
use crate::ruleset::cel::{Facts, Fault, ReadIndex, ReadKey, ReadSource, Role, Scalar as CelScalar};
use crate::ruleset::program::{AppliesTo, Decide, DecideSubject, OnExpiry, Rule, RuleSet, WhenIncomplete};
use crate::signals::SubjectReader;
use crate::state::{FeatureTable, KeyHasher};

/// A rule that matched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Match {
    /// Its place in the rule set.
    pub rule: u32,
    /// Whether it counts, or runs in shadow.
    pub enforced: bool,
    /// Whether its breaker is open.
    pub open: bool,
    /// What it gives by itself.
    pub action: Option<Verdict>,
    /// What it adds to the score.
    pub score: u32,
}

/// Reused memory of the decider.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    matches: Vec<Match>,
    /// By match: its message as JSON.
    messages: Vec<Piece>,
    evidence: Vec<ReadIndex>,
    message: String,
    /// The elements of `rules` again without messages, to be remembered.
    bare_rules: Vec<u8>,
}

impl Scratch {
    /// The elements of `rules` for the event decided last, without messages.
    pub(super) fn bare_rules(&self) -> &[u8] {
        &self.bare_rules
    }

    /// The places of the rules that matched the event decided last, those in shadow too.
    pub(super) fn matched(&self) -> impl Iterator<Item = u32> {
        self.matches.iter().map(|matched| matched.rule)
    }
}

/// What deciding changes.
pub(super) struct Decider<'a> {
    pub rules: &'a RuleSet,
    pub plan: &'a Plan,
    pub hasher: &'a KeyHasher,
    /// By feature: they know the members of components by name.
    pub tables: &'a [FeatureTable],
    pub decisions: &'a mut Decisions,
    pub tally: &'a mut Tally,
    pub scratch: &'a mut Scratch,
    pub spelling: &'a mut SubjectReader,
    pub breakers: &'a mut Breakers,
    /// Rollout counts as 100 % and nothing expires.
    pub every_rule_in_force: bool,
    /// Where the event stands in a log that several engines share.
    pub origin: Option<Origin>,
    /// What waits for a review; `None`: nothing is reviewed.
    pub holds: Option<&'a mut Holds>,
    /// How long a hold waits for a review where nothing says otherwise.
    pub review_within_ms: i64,
}

/// A verdict for each side of an event, and the sum behind it.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    verdict: Verdict,
    score: i64,
    /// The word of a person, whatever the rest says.
    overridden: Option<Verdict>,
}

impl Side {
    fn meet(&mut self, cause: &DecisionCause) {
        if cause.is_override() {
            self.overridden = self.overridden.max(Some(cause.verdict));
        } else {
            self.verdict = self.verdict.max(cause.verdict);
        }
    }
}

/// Where and when a decision is made.
#[derive(Clone, Copy)]
struct Made<'a> {
    /// The instant that its event is judged as of.
    as_of_ms: i64,
    sequence: u64,
    /// Region of telephone numbers without a country code.
    region: &'a str,
    /// Nothing graver is decided.
    most: Verdict,
}

impl Decider<'_> {
    /// Judges one event. `sequence` is how many events the engine took in before it.
    pub(super) fn decide(
        &mut self,
        row: &Row<'_>,
        entry: &Entry,
        program: &Program,
        sequence: u64,
        out: &mut Judgements,
    ) -> Judgement {
        self.scratch.bare_rules.clear();
        let (late, over_quota) = (entry.moment.late, entry.over_quota);
        let mut judgement = Judgement { outcome: Outcome::Judged, late, over_quota, ..Judgement::default() };
        if program.sandbox
            && let Some(verdict) = asked_for(row)
        {
            judgement.verdict = verdict;
            return self.as_asked(row, entry, judgement);
        }
        self.match_rules(row, entry, program);
        let (mut referrer, mut referee) = (Side::default(), Side::default());
        let mut by_rule = Verdict::Allow;
        for matched in self.scratch.matches.iter().filter(|matched| matched.enforced) {
            let rule = &self.rules.rules[matched.rule as usize];
            judgement.score += i64::from(matched.score);
            let action = matched.action.unwrap_or(Verdict::Allow);
            by_rule = by_rule.max(action);
            for (side, other) in [(&mut referrer, AppliesTo::Referee), (&mut referee, AppliesTo::Referrer)] {
                if rule.applies_to != other {
                    side.score += i64::from(matched.score);
                    side.verdict = side.verdict.max(action);
                }
            }
        }
        let thresholds = program.thresholds(entry.type_index);
        let by_score = thresholds.verdict(judgement.score);
        for side in [&mut referrer, &mut referee] {
            side.verdict = side.verdict.max(thresholds.verdict(side.score));
        }
        let mut met = Side::default();
        if !self.decisions.is_empty() {
            let as_of_ms = entry.as_of_ms(row.event);
            let sides = [&mut met, &mut referrer, &mut referee];
            judgement.decisions = out.add(|elements| self.in_force(row, as_of_ms, sides, elements));
        }
        judgement.verdict = met.overridden.unwrap_or(by_rule.max(by_score).max(met.verdict));
        judgement.cause = match judgement.verdict {
            _ if met.overridden.is_some() => Cause::Override,
            Verdict::Allow => Cause::None,
            verdict if verdict == by_rule => Cause::Rule,
            verdict if verdict == by_score => Cause::Score,
            _ => Cause::Decision,
        };
        for side in [&mut referrer, &mut referee] {
            side.verdict = side.overridden.unwrap_or(side.verdict);
        }
        if program.observe_only {
            judgement.would_be = Some(judgement.verdict);
            judgement.verdict = Verdict::Allow;
            (referrer.verdict, referee.verdict) = (Verdict::Allow, Verdict::Allow);
        } else if judgement.verdict > Verdict::Allow && is_own(row) {
            (judgement.verdict, judgement.cause) = (Verdict::Allow, Cause::None);
            (referrer.verdict, referee.verdict) = (Verdict::Allow, Verdict::Allow);
        }
        let invited = !row.text(Field::ReferrerId).is_empty();
        judgement.parties = invited.then_some((referrer.verdict, referee.verdict));
        let holds_side = invited && [referrer, referee].iter().any(|side| side.verdict == Verdict::Hold);
        if (judgement.verdict == Verdict::Hold || holds_side) && !late && !over_quota {
            let as_of_ms = entry.as_of_ms(row.event);
            (judgement.held, judgement.current) = self.hold(row, as_of_ms, by_score, &judgement);
        }
        if !self.scratch.matches.is_empty() {
            self.write_matches(row, entry, program, sequence, &mut judgement, out);
            self.raise(row, entry, program, &judgement, out);
        }
        judgement
    }

    /// The verdict that an event asks for, on both of its sides; no rule has a part in it.
    fn as_asked(&mut self, row: &Row<'_>, entry: &Entry, judgement: Judgement) -> Judgement {
        self.scratch.matches.clear();
        let invited = !row.text(Field::ReferrerId).is_empty();
        let parties = invited.then_some((judgement.verdict, judgement.verdict));
        let mut judgement = Judgement { cause: Cause::Test, parties, ..judgement };
        if judgement.verdict == Verdict::Hold && !entry.moment.late {
            (judgement.held, judgement.current) = self.hold(row, entry.as_of_ms(row.event), Verdict::Allow, &judgement);
        }
        judgement
    }

    fn made<'p>(&self, row: &Row<'_>, entry: &Entry, program: &'p Program, sequence: u64, most: Verdict) -> Made<'p> {
        Made { as_of_ms: entry.as_of_ms(row.event), sequence, region: &program.region, most }
    }

    fn match_rules(&mut self, row: &Row<'_>, entry: &Entry, program: &Program) {
        self.scratch.matches.clear();
        self.breakers.begin();
        let Some(plan) = entry.type_index.and_then(|of| self.rules.by_type.get(of.0 as usize)) else { return };
        for index in &plan.rules {
            let rule = &self.rules.rules[*index as usize];
            if is_expired(rule, row) && !self.every_rule_in_force {
                continue;
            }
            let matched = self.is_match(*index, row);
            if !matched && !self.breakers.watches(*index) {
                continue;
            }
            let counts = standing(rule, row, self.every_rule_in_force) == Standing::Enforced;
            // Only events for which a match would count: a rule that is rolled out to few is not measured by all.
            let seen =
                Seen { time_ms: entry.as_of_ms(row.event), counts: !entry.moment.late && !entry.over_quota, matched };
            let open = counts && self.breakers.judge(*index, &rule.id, (program.part, row.program), seen);
            if !matched {
                continue;
            }
            let enforced = counts && !(open && most(rule) == Verdict::Allow);
            let (action, score) = if open && enforced {
                (Some(eased(rule, program.thresholds(entry.type_index))).filter(|of| *of != Verdict::Allow), 0)
            } else {
                (rule.action, rule.score)
            };
            self.tally.rule_matches[*index as usize][usize::from(!enforced)] += 1;
            self.scratch.matches.push(Match { rule: *index, enforced, open, action, score });
        }
    }

    /// Whether a rule's condition holds and none of its exceptions does; what errs does not hold, and is counted.
    fn is_match(&mut self, index: u32, row: &Row<'_>) -> bool {
        let rule = &self.rules.rules[index as usize];
        let errors = &mut self.tally.rule_errors[index as usize];
        let mut holds = |tested: Result<bool, Fault>| {
            tested.unwrap_or_else(|fault| {
                *errors += u64::from(fault.is_error());
                false
            })
        };
        holds(rule.when.test(row)) && !rule.except.iter().any(|except| holds(except.test(row)))
    }

    /// Appends the ids of the decisions that count for this event, and tells the event and its two sides what they say.
    fn in_force(
        &self,
        row: &Row<'_>,
        as_of_ms: i64,
        [event, referrer, referee]: [&mut Side; 3],
        elements: &mut Elements<'_>,
    ) {
        let event_type = row.text(Field::Type);
        for kind in SubjectKind::ALL.iter().filter(|kind| self.decisions.has_kind(**kind)) {
            for (role, subject) in subjects(row, *kind) {
                // One account in two roles is one subject: it stands there once, and both sides meet it.
                let known = subjects(row, *kind).find(|(_, earlier)| *earlier == subject);
                let is_first = known.is_none_or(|(earlier, _)| earlier == role);
                let key = subject_key(self.hasher, row, *kind, subject);
                for standing in self.decisions.in_force(key, row.event.kind, event_type, as_of_ms, self.origin) {
                    if is_first {
                        write_string(elements.next(), &standing.cause.id);
                    }
                    event.meet(standing.cause);
                    if role != Some(Role::Account) {
                        referrer.meet(standing.cause);
                    }
                    if role != Some(Role::Referrer) {
                        referee.meet(standing.cause);
                    }
                }
            }
        }
    }

    fn write_matches(
        &mut self,
        row: &Row<'_>,
        entry: &Entry,
        program: &Program,
        sequence: u64,
        judgement: &mut Judgement,
        out: &mut Judgements,
    ) {
        self.scratch.evidence.clear();
        self.scratch.messages.clear();
        judgement.rules = out.add(|elements| {
            for matched in &self.scratch.matches {
                let rule = &self.rules.rules[matched.rule as usize];
                let text = &self.plan.rule_texts[matched.rule as usize];
                self.scratch.message.clear();
                if let Some(message) = &rule.message {
                    message.render(row, &mut self.scratch.message);
                }
                let message = text.write(elements.next(), rule, matched, Some(&self.scratch.message));
                self.scratch.messages.push(message);
                if !self.scratch.bare_rules.is_empty() {
                    self.scratch.bare_rules.push(b',');
                }
                text.write(&mut self.scratch.bare_rules, rule, matched, None);
                self.scratch.evidence.extend(rule.evidence());
            }
        });
        self.order_evidence();
        judgement.evidence = out.add(|elements| {
            for read in &self.scratch.evidence {
                if let ReadSource::Feature { feature, .. } = &self.rules.reads.get(*read).source {
                    let name = &self.rules.features[feature.0 as usize].name;
                    record::write_evidence(elements.next(), name, &row.reading(*read));
                }
            }
        });
        if entry.moment.late {
            // It leaves no trace: beyond the memory of identities it would decide anew each time that it comes.
            return;
        }
        judgement.created = out.add(|elements| {
            for at in 0..self.scratch.matches.len() {
                let matched = self.scratch.matches[at];
                if matched.enforced {
                    let rule = &self.rules.rules[matched.rule as usize];
                    let most = if matched.open { most(rule) } else { Verdict::Block };
                    let made = self.made(row, entry, program, sequence, most);
                    self.remember(rule, row, made, elements);
                }
            }
        });
    }

    /// One reading a feature, by name: at the event's own key where a rule reads it there.
    fn order_evidence(&mut self) {
        let place = |read: &ReadIndex| evidence_order(self.rules, *read);
        self.scratch.evidence.sort_unstable_by_key(place);
        self.scratch.evidence.dedup_by_key(|read| place(read).0);
    }

    /// Makes the decisions of a rule that matched, and appends the ids of the new ones.
    fn remember(&mut self, rule: &Rule, row: &Row<'_>, made: Made<'_>, elements: &mut Elements<'_>) {
        for decide in &rule.decide {
            let (kind, subject) = match &decide.subject {
                DecideSubject::Members(read) => {
                    for member in self.members(*read, row) {
                        self.put(rule, decide, row, made, (SubjectKind::Account, member), elements);
                    }
                    continue;
                }
                DecideSubject::Role(role) => (SubjectKind::Account, row.text(role.id_field()).to_owned()),
                DecideSubject::Thing(kind) => {
                    (*kind, subjects(row, *kind).next().map_or_else(String::new, |(_, subject)| subject.to_owned()))
                }
                DecideSubject::ById(kind, id) => match id.scalar(row) {
                    Ok(CelScalar::Text(id)) => {
                        let spelt = self.spelling.read(*kind, made.region, &id);
                        (*kind, spelt.map_or_else(String::new, Cow::into_owned))
                    }
                    _ => continue,
                },
            };
            self.put(rule, decide, row, made, (kind, subject), elements);
        }
    }

    /// Puts a decision on one subject, unless it is empty, and appends its id if it is new.
    fn put(
        &mut self,
        rule: &Rule,
        decide: &Decide,
        row: &Row<'_>,
        made: Made<'_>,
        (kind, subject): (SubjectKind, String),
        elements: &mut Elements<'_>,
    ) {
        if subject.is_empty() {
            return;
        }
        let cause = self.cause(rule, decide, row, kind, &subject, made);
        let id = cause.id.clone();
        let key = subject_key(self.hasher, row, kind, &subject);
        if self.decisions.decide(key, made.as_of_ms, || (row.program.into(), kind, subject.into()), cause) {
            write_string(elements.next(), &id);
        }
    }

    /// The ids of the accounts of a component, in their order.
    fn members(&self, read: ReadIndex, row: &Row<'_>) -> Vec<String> {
        let ReadSource::Feature { feature, .. } = &self.rules.reads.get(read).source else { return Vec::new() };
        let table = &self.tables[feature.0 as usize];
        let mut members: Vec<String> =
            row.set_members(read).iter().map(|member| table.member_name(*member).to_owned()).collect();
        members.sort_unstable();
        members
    }

    fn cause(
        &self,
        rule: &Rule,
        decide: &Decide,
        row: &Row<'_>,
        kind: SubjectKind,
        subject: &str,
        made: Made<'_>,
    ) -> DecisionCause {
        let verdict = decide.verdict.min(made.most);
        let of = [row.program, kind.name(), subject, &rule.id, verdict.name()];
        let by = [row.text(Field::Source), row.text(Field::Id)];
        let created_ms = row.event.event_time_ms;
        let on = || decide.on.iter().flatten().map(|of| self.rules.type_name(*of));
        let reach = match &decide.on {
            Some(_) => DecisionReach::Types(on().map(Box::from).collect()),
            None => DecisionReach::default_for(verdict),
        };
        DecisionCause {
            id: derived_id("dec", of.into_iter().chain(by).chain(on())),
            decided_by: DecidedBy::Rule { rule: rule.id.as_str().into(), ruleset: self.rules.hash.as_str().into() },
            verdict,
            reach,
            // Nothing is reviewed over shared state, and its records stay what older versions read.
            on_expiry: if self.origin.is_some() { OnExpiry::Keep } else { decide.on_expiry },
            created_ms,
            expires_ms: decide.ttl_ms.map(|ttl_ms| created_ms.saturating_add(ttl_ms)),
            sequence: made.sequence,
            origin: self.origin,
        }
    }
}

/// An id made of what caused it: 16 hex digits of the SHA-256 over the length-prefixed parts.
pub fn derived_id<'a>(prefix: &str, parts: impl IntoIterator<Item = &'a str>) -> String {
    use std::fmt::Write;
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let mut id = format!("{prefix}-");
    for byte in &hash.finalize()[..8] {
        write!(id, "{byte:02x}").expect("writing to a string cannot fail");
    }
    id
}

/// Whether refguard itself says this of a verdict that was given: to stop it would hold what somebody has just released.
pub(super) fn is_own(row: &Row<'_>) -> bool {
    row.text(Field::Source) == SOURCE && SAID.contains(&row.text(Field::Type))
}

/// The place of a reading among those of a verdict: features by name, each at the event's own key first.
pub(super) fn evidence_order(rules: &RuleSet, read: ReadIndex) -> (u32, bool, u32) {
    match &rules.reads.get(read).source {
        // Features are sorted by name, so their order is that of the names.
        ReadSource::Feature { feature, key } => (feature.0, !matches!(key, ReadKey::Own), read.0),
        _ => (u32::MAX, true, read.0),
    }
}

/// The verdict that an event of a program for tests asks for.
fn asked_for(row: &Row<'_>) -> Option<Verdict> {
    match attribute(row.text(Field::Attributes), "refguard_test", AttributeType::Text)? {
        AttributeValue::Text(word) => Verdict::from_name(&word),
        _ => None,
    }
}

/// What a match of a rule is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It counts.
    Enforced,
    /// It is written down.
    Shadow(ShadowCause),
    /// The rule has ended.
    Expired,
}

/// What a match would be worth for this event. In the tests of rule files (`every_rule_in_force`) nothing expires, and
/// rollout is 100 %.
pub(super) fn standing(rule: &Rule, row: &Row<'_>, every_rule_in_force: bool) -> Standing {
    if !every_rule_in_force && is_expired(rule, row) {
        Standing::Expired
    } else if rule.mode != Mode::Enforce {
        Standing::Shadow(ShadowCause::Mode)
    } else if !every_rule_in_force && !is_rolled_out(rule, row) {
        Standing::Shadow(ShadowCause::Rollout)
    } else if is_incomplete(rule, row) {
        Standing::Shadow(ShadowCause::Incomplete)
    } else {
        Standing::Enforced
    }
}

fn is_expired(rule: &Rule, row: &Row<'_>) -> bool {
    rule.expires_ms.is_some_and(|end| row.event.event_time_ms >= end)
}

/// Whether the rule counts for this account (else event): the first thousandth of a stable hash that it falls into.
fn is_rolled_out(rule: &Rule, row: &Row<'_>) -> bool {
    if rule.rollout_permille >= 1000 {
        return true;
    }
    let account = row.text(Field::AccountId);
    let who = if account.is_empty() { row.text(Field::Id) } else { account };
    // Seeded by the rule, so that the same few accounts are not the first to meet every new rule.
    let seed = xxhash_rust::xxh3::xxh3_64(rule.id.as_bytes());
    let share = xxhash_rust::xxh3::xxh3_64_with_seed(who.as_bytes(), seed);
    ((u128::from(share) * 1000) >> 64) < u128::from(rule.rollout_permille)
}

/// Whether the rule waits for a feature that has not seen a whole window.
fn is_incomplete(rule: &Rule, row: &Row<'_>) -> bool {
    let reads = || rule.when.uses().reads.iter().chain(rule.except.iter().flat_map(|except| &except.uses().reads));
    rule.when_incomplete == WhenIncomplete::Shadow && reads().any(|read| !row.reading(*read).complete)
}

/// The program that an event belongs to; `default` if it names none.
pub fn program_name<'a>(batch: &'a crate::event::EventBatch, event: &Event) -> &'a str {
    match batch.field(event, Field::Program) {
        "" => "default",
        program => program,
    }
}
