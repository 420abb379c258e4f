//! Rules: conditions, exceptions, messages and decisions compiled against the names of all packs.

use super::absence::{Asked, Early};
use super::{PackRule, TypeNames, expression, place, take};
use crate::event::{Mode, Signal, Verdict, nearest};
use crate::ruleset::cel::{
    Compiled, Position, ReadIndex, ReadTable, Scope, Source, Template, TextOf, Type, Unsaid, Wanted,
};
use crate::ruleset::diagnostic::{Diagnostic, visible};
use crate::ruleset::pack::{DecideDef, Name, RuleDef, SubjectDef};
use crate::ruleset::program::{self, Decide, DecideSubject, Feature, GroupPart, Rule, WhenIncomplete};
use crate::ruleset::yaml::{Reader, suggest};

/// Compiles one rule; `None` when it is faulty.
pub(super) fn rule(
    definition: &PackRule,
    types: &TypeNames,
    scope: &Scope,
    features: &[Feature],
    reads: &mut ReadTable,
    reader: &mut Reader,
) -> Option<Rule> {
    let rule = &definition.rule;
    let mut compile = |source: &Source, wanted, reader: &mut Reader| {
        expression(source, scope, reads, Position::Condition, wanted, reader)
    };
    let on: Vec<&str> = rule.on.iter().map(String::as_str).collect();
    let when = compile(&rule.when, Wanted::Bool, reader);
    let except: Vec<_> = rule.except.iter().map(|source| compile(source, Wanted::Bool, reader)).collect();
    let group_by: Vec<_> = rule.group_by.iter().map(|source| group_part(source, scope, reads, reader)).collect();
    refuse_repeated_parts(&rule.group_by, reader);
    let decide: Vec<_> =
        rule.decide.iter().map(|decide| self::decide(decide, types, scope, features, reads, reader)).collect();
    let message = rule.message.as_ref().map(|source| take(Template::compile(source, scope, reads), reader));
    warn(rule, reader);
    for condition in except.iter().chain([&when]).flatten() {
        warn_of_types("rule", &rule.on, &rule.when, condition, reader);
    }
    if let Some(when) = &when {
        let except: Vec<&Compiled> = except.iter().flatten().collect();
        let waits = rule.when_incomplete == WhenIncomplete::Shadow;
        let types = &types.indexes(&rule.on);
        warn_of_absence(rule, &Asked { when, except: &except, on: &on, types, waits, reads, features }, reader);
    }
    Some(Rule {
        id: rule.id.text.clone(),
        pack: definition.pack.clone(),
        place: place(&rule.id),
        title: rule.title.clone(),
        on: types.indexes(&rule.on),
        when: when?.for_types(&on),
        except: except.into_iter().map(|except| Some(except?.for_types(&on))).collect::<Option<Vec<_>>>()?,
        score: rule.score,
        action: rule.action,
        applies_to: rule.applies_to,
        severity: rule.severity,
        kind: rule.kind,
        decide: decide.into_iter().collect::<Option<Vec<_>>>()?,
        message: match message {
            Some(message) => Some(message?),
            None => None,
        },
        customer: rule.customer.clone(),
        tags: rule.tags.clone(),
        mode: if definition.off { Mode::Off } else { rule.mode },
        rollout_permille: rule.rollout_permille,
        when_incomplete: rule.when_incomplete,
        owner: rule.owner.clone(),
        expires_ms: rule.expires_ms,
        group_by: group_by.into_iter().collect::<Option<Vec<_>>>()?,
        breaker: rule.breaker,
    })
}

fn decide(
    definition: &DecideDef,
    types: &TypeNames,
    scope: &Scope,
    features: &[Feature],
    reads: &mut ReadTable,
    reader: &mut Reader,
) -> Option<Decide> {
    let subject = match &definition.subject {
        SubjectDef::Role(role) => DecideSubject::Role(*role),
        SubjectDef::Thing(kind) => DecideSubject::Thing(*kind),
        SubjectDef::ById(kind, id) => {
            let id = expression(id, scope, reads, Position::Condition, Wanted::Text, reader)?;
            DecideSubject::ById(*kind, id)
        }
        SubjectDef::Each(name) => DecideSubject::Members(members(name, scope, features, reads, reader)?),
    };
    Some(Decide {
        subject,
        verdict: definition.verdict,
        ttl_ms: definition.ttl_ms,
        on_expiry: definition.on_expiry,
        on: definition.on.as_ref().map(|on| types.indexes(on)),
    })
}

/// A part of what alerts are grouped by, named as it was written.
fn group_part(source: &Source, scope: &Scope, reads: &mut ReadTable, reader: &mut Reader) -> Option<GroupPart> {
    let value = expression(source, scope, reads, Position::Condition, Wanted::Group, reader)?;
    Some(GroupPart { name: source.text.trim().to_owned(), value })
}

/// The same part twice would be one member of an alert's group.
fn refuse_repeated_parts(parts: &[Source], reader: &mut Reader) {
    for (at, part) in parts.iter().enumerate() {
        let text = part.text.trim();
        if parts[..at].iter().any(|earlier| earlier.text.trim() == text) {
            let message = format!("alerts are grouped by `{text}` already");
            reader.push(part.error("duplicate-part", 0..part.text.trim_end().len(), message));
        }
    }
}

/// The read of a component's members.
fn members(
    name: &Name,
    scope: &Scope,
    features: &[Feature],
    reads: &mut ReadTable,
    reader: &mut Reader,
) -> Option<ReadIndex> {
    let Some(feature) = scope.feature(&name.text) else {
        let components =
            features.iter().filter(|feature| matches!(feature.aggregate, program::Aggregate::Component(_)));
        let hint = suggest(&name.text, components.map(|feature| feature.name.as_str()));
        reader.push(name.error("unknown-name", format!("there is no feature `{}`", name.text)).hint(hint));
        return None;
    };
    match feature.result {
        Type::Component => {}
        Type::Faulty => return None,
        _ => {
            let message = format!("`each` takes a component, and `{}` is none", name.text);
            reader.push(name.error("wrong-type", message));
            return None;
        }
    }
    if features.get(feature.index.0 as usize).is_some_and(|feature| feature.scope == program::Scope::Global) {
        let message = format!("a decision is made in one program, and `{}` has the accounts of all", name.text);
        reader.push(name.error("wrong-type", message).hint("name a component of `scope: program`"));
        return None;
    }
    Some(reads.members_of(feature.index))
}

/// What loads and is probably not meant.
fn warn(rule: &RuleDef, reader: &mut Reader) {
    if rule.when.text.trim() == "false" {
        let warning = at_condition(&rule.when, "unreachable", "this rule never matches");
        reader.push(warning.hint("write `mode: off` to keep it for later"));
    }
    let idle = rule.action.is_none_or(|action| action == Verdict::Allow) && rule.score == 0 && rule.decide.is_empty();
    if idle && rule.action == Some(Verdict::Allow) {
        let message = "`action: allow` changes nothing: an event's verdict is the highest of all";
        reader.push(rule.id.warning("no-effect", message).hint("to spare events from a rule, write `except` there"));
    }
}

/// Types that a condition asks for, where `what` takes only events of the types `on`.
pub(super) fn warn_of_types(what: &str, on: &[String], source: &Source, condition: &Compiled, reader: &mut Reader) {
    for named in condition.types_named().iter().filter(|named| !on.iter().any(|on| **on == *named.name)) {
        let message = format!("this {what} takes no event of the type `{}`", visible(&named.name));
        let taken = on.iter().map(String::as_str);
        let hint = match nearest(&named.name, taken.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let taken: Vec<&str> = taken.collect();
                format!("its `on` has {}: add the type there, or leave it out here", taken.join(", "))
            }
        };
        reader.push(Diagnostic::warning("never-equal", &source.file, named.span.clone(), message).hint(hint));
    }
}

/// A warning under the whole condition.
fn at_condition(condition: &Source, code: &'static str, message: &str) -> Diagnostic {
    let span = condition.file_span(0..condition.text.trim_end().len());
    Diagnostic::warning(code, &condition.file, span, message)
}

/// New, dormant, first: what looks so while state is young. And what was not said, which is not the same on both sides.
fn warn_of_absence(rule: &RuleDef, asked: &Asked<'_>, reader: &mut Reader) {
    if let Some(early) = asked.too_early() {
        let message = "this rule concludes from absence: while state is young, nothing is known of anybody";
        let hint = match early {
            Early::Feature(name) => format!("add `complete({name}) && ...`, or `when_incomplete: shadow`"),
            Early::Age(name, by_opening) => {
                let told =
                    if by_opening { "; or `has(event.account_created_at) && ...`, if your events tell it" } else { "" };
                format!(
                    "`{name}` is short for everybody at first: add `complete(f) && ...` for a feature `f` that looks at \
                     least as far back{told}"
                )
            }
            Early::Fact(name, role) => {
                format!("`{name}` is true of everybody at first: ask for an age too, such as `{role}.age > days(7)`")
            }
            Early::Chain => {
                "`referral_depth` is 0 for everybody at first: add `complete(f) && ...` for a feature `f` that \
                             looks back far enough"
                    .to_owned()
            }
        };
        reader.push(at_condition(&rule.when, "absence", message).hint(hint));
    }
    if let Some(unsaid) = asked.unsaid() {
        reader.push(both_absent(&rule.when, unsaid));
    }
}

/// The warning that a condition takes two absent texts for equal.
pub(super) fn both_absent(condition: &Source, unsaid: &Unsaid) -> Diagnostic {
    let [one, other] = unsaid.texts.each_ref().map(TextOf::name);
    let equal = if unsaid.alike { "wholly alike" } else { "equal" };
    let message = format!("`{one}` and `{other}` are {equal} where both are absent");
    at_condition(condition, "both-absent", &message).hint(format!("add `known({one}) && ...`"))
}

/// The signal that names a decision's subject, if the event's fields alone do not.
pub(super) fn subject_signal(decide: &Decide) -> Option<Signal> {
    let kind = match &decide.subject {
        DecideSubject::Thing(kind) | DecideSubject::ById(kind, _) => *kind,
        DecideSubject::Role(_) | DecideSubject::Members(_) => return None,
    };
    kind.signal()
}
