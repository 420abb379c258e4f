//! What is not the same in two rule sets, name by name: what a reload would change, and what it would not.
//!
//! Indexes mean nothing from one set to the other, so everything is compared as text, macros put in. May import `program`
//! and `cel`. Invariant: equal sets have no difference; what differs is told in the order of names.

use super::cel::{Compiled, Names, ReadSource};
use super::program::{
    Aggregate, AppliesTo, Breaker, BreakerThen, Decide, DecideSubject, Feature, NamedList, OnExpiry, Reach, Rule,
    RuleSet, Scope, TypeIndex, WhenIncomplete,
};
use crate::event::{Verdict, write_time_ms};

/// What differs between two rule sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Rules, those that are off too.
    pub rules: Vec<Change>,
    /// Features. A changed one starts empty, as a new one does.
    pub features: Vec<Change>,
    /// Lists.
    pub lists: Vec<Change>,
}

/// One name that is not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The name.
    pub name: String,
    /// What became of it.
    pub kind: ChangeKind,
}

/// What became of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It says something else.
    Changed(Vec<Detail>),
}

/// One key that says something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// The key, as in a rule file.
    pub key: &'static str,
    /// What it said; empty: nothing.
    pub before: String,
    /// What it says.
    pub after: String,
}

impl Difference {
    /// What changes when the second set takes the place of the first.
    pub fn between(from: &RuleSet, to: &RuleSet) -> Difference {
        let rule_details = |before: &Rule, after: &Rule| details(rule_keys(from, before), rule_keys(to, after));
        let feature_details = |before: &Feature, after: &Feature| {
            let found = details(feature_keys(from, before), feature_keys(to, after));
            (before.definition != after.definition || !found.is_empty()).then_some(found)
        };
        let list_details = |before: &NamedList, after: &NamedList| {
            let found = details(list_keys(before), list_keys(after));
            (before.print != after.print || !found.is_empty()).then_some(found)
        };
        Difference {
            rules: changes(
                &from.rules,
                &to.rules,
                |rule| &rule.id,
                |before, after| Some(rule_details(before, after)).filter(|found| !found.is_empty()),
            ),
            features: changes(&from.features, &to.features, |feature| &feature.name, feature_details),
            lists: changes(&from.lists, &to.lists, |list| &list.name, list_details),
        }
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.features.is_empty() && self.lists.is_empty()
    }
}

/// Whether two rules judge the same types of event by the same condition and exceptions.
pub fn judges_alike((from, before): (&RuleSet, &Rule), (to, after): (&RuleSet, &Rule)) -> bool {
    let judging =
        |set: &RuleSet, rule: &Rule| (types(set, &rule.on), rule.when.written(set), written(set, &rule.except));
    judging(from, before) == judging(to, after)
}

/// What the counts of a rule's breaker rest on, as text: the types of event, condition, exceptions, and the breaker itself.
pub fn breaker_print(set: &RuleSet, rule: &Rule) -> [String; 4] {
    let Some(of) = rule.breaker else { return Default::default() };
    let exactly = format!("{} {} {} {} {}", breaker(of), of.share_permille, of.over_ms, of.rearm_ms, of.min_events);
    [types(set, &rule.on), rule.when.written(set), written(set, &rule.except), exactly]
}

/// The changes between two lists that are sorted by name.
fn changes<T>(
    from: &[T],
    to: &[T],
    name: impl Fn(&T) -> &str,
    changed: impl Fn(&T, &T) -> Option<Vec<Detail>>,
) -> Vec<Change> {
    let found = |all: &[T], one: &T| all.binary_search_by(|known| name(known).cmp(name(one))).ok();
    let change = |one: &T, kind| Change { name: name(one).to_owned(), kind };
    let removed = from.iter().filter(|one| found(to, one).is_none()).map(|one| change(one, ChangeKind::Removed));
    let others = to.iter().filter_map(|one| match found(from, one) {
        Some(place) => changed(&from[place], one).map(|details| change(one, ChangeKind::Changed(details))),
        None => Some(change(one, ChangeKind::Added)),
    });
    let mut all: Vec<Change> = removed.chain(others).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// A key and what it says.
type Said = (&'static str, String);

fn details(before: Vec<Said>, after: Vec<Said>) -> Vec<Detail> {
    let pairs = before.into_iter().zip(after).filter(|(before, after)| before.1 != after.1);
    pairs.map(|((key, before), (_, after))| Detail { key, before, after }).collect()
}

fn rule_keys(set: &RuleSet, rule: &Rule) -> Vec<Said> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        ("title", rule.title.clone()),
        ("on", types(set, &rule.on)),
        ("when", rule.when.written(set)),
        ("except", written(set, &rule.except)),
        ("score", rule.score.to_string()),
        ("action", rule.action.map_or("", Verdict::name).to_owned()),
        ("applies_to", applies_to(rule.applies_to).to_owned()),
        ("severity", rule.severity.name().to_owned()),
        ("kind", rule.kind.name().to_owned()),
        ("decide", rule.decide.iter().map(|decide| self::decide(set, decide)).collect::<Vec<_>>().join(", ")),
        ("message", rule.message.as_ref().map_or_else(String::new, |message| message.written(set))),
        ("customer", text(&rule.customer)),
        ("tags", rule.tags.join(", ")),
        ("mode", rule.mode.name().to_owned()),
        ("rollout", share(rule.rollout_permille)),
        ("breaker", rule.breaker.map_or_else(String::new, breaker)),
        (
            "when_incomplete",
            if rule.when_incomplete == WhenIncomplete::Shadow { "shadow" } else { "enforce" }.to_owned(),
        ),
        ("owner", text(&rule.owner)),
        ("expires", rule.expires_ms.map_or_else(String::new, day)),
        ("group_by", rule.group_by.iter().map(|part| part.value.written(set)).collect::<Vec<_>>().join(", ")),
        ("pack", rule.pack.clone()),
    ]
}

fn feature_keys(set: &RuleSet, feature: &Feature) -> Vec<Said> {
    let one = |of: &Option<Compiled>| of.as_ref().map_or_else(String::new, |compiled| compiled.written(set));
    let steps = feature.steps.iter().map(|step| {
        let filter = step.filter.as_ref().map_or_else(String::new, |filter| format!(" where {}", filter.written(set)));
        format!("{} of {}{filter}", step.min, types(set, &step.on))
    });
    let links = feature.links.iter().map(|link| {
        let ignored = link.ignored.as_ref().map_or_else(String::new, |of| format!(" unless {}", of.written(set)));
        format!("{}{ignored}", link.value.written(set))
    });
    let reach = match feature.reach {
        Reach::Window(ms) | Reach::Retention(ms) => span(ms),
        Reach::Calendar(unit) => format!("{unit:?}").to_lowercase(),
    };
    let (window, retention) = match feature.reach {
        Reach::Retention(_) => (String::new(), reach),
        Reach::Window(_) | Reach::Calendar(_) => (reach, String::new()),
    };
    let aggregate = match feature.aggregate {
        Aggregate::Rate(of) => format!("rate of {} per {} with {} at once", of.limit, span(of.per_ms), of.burst),
        Aggregate::Component(of) => {
            format!("component in generations of {} with hubs from {}", span(of.generation_ms), of.hub)
        }
        other => other.name().to_owned(),
    };
    vec![
        ("on", types(set, &feature.on)),
        ("where", one(&feature.filter)),
        ("key", written(set, &feature.key)),
        ("aggregate", aggregate),
        ("value", one(&feature.value)),
        ("steps", steps.collect::<Vec<_>>().join(", then ")),
        ("links", links.collect::<Vec<_>>().join(", ")),
        ("members", if feature.lists_members { "kept by id" } else { "" }.to_owned()),
        ("window", window),
        ("retention", retention),
        ("offset", span(feature.offset_ms)),
        ("bucket", feature.bucket_ms.map_or_else(String::new, span)),
        ("scope", if feature.scope == Scope::Global { "global" } else { "program" }.to_owned()),
        ("max_entries", feature.max_entries.map_or_else(String::new, |most| most.to_string())),
    ]
}

fn list_keys(list: &NamedList) -> Vec<Said> {
    vec![
        ("kind", list.list.kind().name().to_owned()),
        ("managed", list.managed.to_string()),
        ("file", list.file.clone().unwrap_or_default()),
        ("values", list.list.len().to_string()),
    ]
}

fn types(set: &RuleSet, on: &[TypeIndex]) -> String {
    let mut names: Vec<&str> = on.iter().map(|of| set.type_name(*of)).collect();
    names.sort_unstable();
    names.join(", ")
}

fn written(set: &RuleSet, expressions: &[Compiled]) -> String {
    expressions.iter().map(|compiled| compiled.written(set)).collect::<Vec<_>>().join(", ")
}

fn applies_to(of: AppliesTo) -> &'static str {
    match of {
        AppliesTo::Referrer => "referrer",
        AppliesTo::Referee => "referee",
        AppliesTo::Both => "both",
    }
}

fn decide(set: &RuleSet, of: &Decide) -> String {
    let subject = match &of.subject {
        DecideSubject::Role(role) => role.name().to_owned(),
        DecideSubject::Thing(kind) => kind.name().to_owned(),
        DecideSubject::ById(kind, id) => format!("{} {}", kind.name(), id.written(set)),
        DecideSubject::Members(read) => match set.read(*read) {
            ReadSource::Feature { feature, .. } => format!("each of {}", set.feature(*feature)),
            _ => "each".to_owned(),
        },
    };
    let on_expiry = match of.on_expiry {
        OnExpiry::Keep => "",
        OnExpiry::Release => ", then release",
        OnExpiry::Block => ", then block",
    };
    let ttl = of.ttl_ms.map_or_else(String::new, |ttl| format!(" for {}", span(ttl)));
    let on = of.on.as_ref().map_or_else(String::new, |on| format!(" on {}", types(set, on)));
    format!("{} on {subject}{ttl}{on_expiry}{on}", of.verdict.name())
}

fn breaker(of: Breaker) -> String {
    let then = match of.then {
        BreakerThen::Hold => "hold",
        BreakerThen::Challenge => "challenge",
        BreakerThen::Shadow => "shadow",
    };
    let Breaker { share_permille, over_ms, rearm_ms, min_events, .. } = of;
    let (share, over, rearm) = (share(share_permille), span(over_ms), span(rearm_ms));
    format!("{share} of at least {min_events} over {over}, then {then}, again after {rearm}")
}

fn share(permille: u32) -> String {
    match permille % 10 {
        0 => format!("{}%", permille / 10),
        tenths => format!("{}.{tenths}%", permille / 10),
    }
}

/// A span as rule files write it.
fn span(ms: i64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    let whole = units.into_iter().find(|(_, unit)| ms != 0 && ms % unit == 0);
    whole.map_or_else(|| format!("{ms}ms"), |(name, unit)| format!("{}{name}", ms / unit))
}

fn day(ms: i64) -> String {
    let mut text = Vec::new();
    write_time_ms(&mut text, ms);
    String::from_utf8_lossy(&text).chars().take("2027-01-31".len()).collect()
}
