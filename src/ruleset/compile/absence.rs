//! The warnings that a rule concludes from absence (new, dormant, first), or takes two absent texts for equal.

use crate::event::{EventKind, Field};
use crate::ruleset::cel::{
    AccountFact, Compiled, Conclusion, FeatureIndex, Guards, ReadIndex, ReadKey, ReadSource, ReadTable, Referral, Role,
    Sign, TextOf, Unsaid,
};
use crate::ruleset::program::{Aggregate, Feature, TypeIndex};

/// A rule, as far as it is asked what it takes for absent.
pub(super) struct Asked<'a> {
    pub when: &'a Compiled,
    pub except: &'a [&'a Compiled],
    /// The types of event that it judges.
    pub on: &'a [&'a str],
    /// The same, as features know them.
    pub types: &'a [TypeIndex],
    /// Whether it runs in shadow until the features it reads are whole.
    pub waits: bool,
    pub reads: &'a ReadTable,
    /// By index, so all of them must be whole.
    pub features: &'a [Feature],
}

/// What a rule takes for absent though it may only be too early to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Early {
    /// A feature, by name.
    Feature(String),
    /// How old an account is, by the name of what is compared; whether `account_created_at` of the event would tell.
    Age(String, bool),
    /// Another fact about an account, by name, and of whom it is.
    Fact(String, &'static str),
    /// How many referrers are above an account.
    Chain,
}

impl Asked<'_> {
    /// What it takes for absent; `None` when it asks, or does not. A feature before an age before other facts, since asking
    /// for the first two answers the rest.
    pub(super) fn too_early(&self) -> Option<Early> {
        let others = self.certain();
        let early = |conclusion| self.judge(conclusion, &others);
        let found = self.when.absence().conclusions.iter().filter_map(early);
        found.min_by_key(|early| match early {
            Early::Feature(_) => 0,
            Early::Age(..) => 1,
            Early::Fact(..) | Early::Chain => 2,
        })
    }

    /// Two texts that are equal where both are absent, and which nothing asks for.
    pub(super) fn unsaid(&self) -> Option<&Unsaid> {
        let others = self.certain();
        let conditions = std::iter::once(self.when).chain(self.except.iter().copied());
        conditions.filter_map(|condition| unsaid(condition, self.on, &others)).next()
    }

    /// What holds beside the condition where the rule matches.
    fn certain(&self) -> Guards {
        let excepted = self.except.iter().map(|except| &except.absence().otherwise);
        let guards = excepted.fold(Guards::default(), Guards::and);
        if !self.waits {
            return guards;
        }
        let reads = std::iter::once(self.when).chain(self.except.iter().copied()).flat_map(|of| of.uses().reads.iter());
        let complete = reads.copied().filter(|read| self.feature(*read).is_some()).collect();
        guards.and(&Guards { complete, ..Guards::default() })
    }

    fn judge(&self, conclusion: &Conclusion, others: &Guards) -> Option<Early> {
        let held = [conclusion.held.as_ref(), others];
        let whole_ms =
            held.iter().flat_map(|held| &held.complete).filter_map(|read| self.feature(*read)).map(seen_ms).max();
        let has_seen = |span_ms: i64| whole_ms.is_some_and(|whole_ms| whole_ms >= span_ms);
        if let Some(feature) = self.feature(conclusion.read) {
            let misleads = match conclusion.sign {
                Sign::Unknown => true,
                Sign::Few => reads_as_nothing(feature),
                Sign::One => counts(feature) && self.counts_itself(conclusion.read, feature),
                Sign::Claim | Sign::Young { .. } => false,
            };
            return (misleads && !has_seen(seen_ms(feature))).then(|| Early::Feature(feature.name.clone()));
        }
        let (role, fact) = match &self.reads.get(conclusion.read).source {
            ReadSource::Account { role, fact } => (*role, *fact),
            ReadSource::Referral(Referral::Depth(_)) => return whole_ms.is_none().then_some(Early::Chain),
            _ => return None,
        };
        let name = format!("{}.{}", role.name(), fact.name());
        match conclusion.sign {
            Sign::Young { span_ms } => {
                let by_opening = fact == AccountFact::Age && role == Role::Account;
                let opened = TextOf::Field(Field::AccountCreatedAt);
                let told = by_opening && held.iter().any(|held| held.present.contains(&opened));
                let first = matches!(fact, AccountFact::Age | AccountFact::FirstSeen);
                (first && !told && !has_seen(span_ms)).then_some(Early::Age(name, by_opening))
            }
            Sign::Unknown | Sign::Claim => {
                let known = held.iter().any(|held| self.was_seen(held, role));
                (!known && whole_ms.is_none()).then(|| Early::Fact(name, role.name()))
            }
            Sign::Few | Sign::One => None,
        }
    }

    fn feature(&self, read: ReadIndex) -> Option<&Feature> {
        match self.reads.get(read).source {
            ReadSource::Feature { feature: FeatureIndex(index), .. } => self.features.get(index as usize),
            _ => None,
        }
    }

    /// Whether the event that is judged is among what is counted.
    fn counts_itself(&self, read: ReadIndex, feature: &Feature) -> bool {
        let own = matches!(self.reads.get(read).source, ReadSource::Feature { key: ReadKey::Own, .. });
        own && feature.offset_ms == 0 && self.types.iter().any(|of| feature.on.contains(of))
    }

    /// Whether the account was certainly seen before this event.
    fn was_seen(&self, held: &Guards, of: Role) -> bool {
        use AccountFact::{Age, FirstSeen, LastActive, LastSeen};
        let has = |read: &ReadIndex, facts: [AccountFact; 2]| matches!(self.reads.get(*read).source, ReadSource::Account { role, fact } if role == of && facts.contains(&fact));
        held.known.iter().any(|read| has(read, [LastActive, LastSeen]))
            || held.long.iter().any(|read| has(read, [Age, FirstSeen]))
    }
}

/// Two texts that a condition on events of these types takes for equal where both are absent, unless something beside
/// it asks for them.
pub(super) fn unsaid<'a>(condition: &'a Compiled, on: &[&str], others: &Guards) -> Option<&'a Unsaid> {
    let given = |text: &TextOf| matches!(text, TextOf::Field(field) if always_given(*field, on));
    let mut found = condition.absence().unsaid.iter();
    found.find(|unsaid| !unsaid.texts.iter().any(given) && !unsaid.is_said(others))
}

/// Whether every event of these types has the field.
fn always_given(field: Field, on: &[&str]) -> bool {
    let required = |on: &&str| EventKind::from_name(on).spec().is_some_and(|spec| spec.required.contains(&field));
    matches!(field, Field::Id | Field::Source | Field::Type) || on.iter().all(required)
}

/// How long the feature must have been fed before what it reads is whole.
fn seen_ms(feature: &Feature) -> i64 {
    let generation_ms = match feature.aggregate {
        Aggregate::Component(component) => component.generation_ms,
        _ => 0,
    };
    feature.reach.longest_ms().saturating_add(feature.offset_ms).saturating_add(generation_ms)
}

/// Whether it is 0 or empty where nothing was counted, and not unknown.
fn reads_as_nothing(feature: &Feature) -> bool {
    matches!(feature.aggregate, Aggregate::Sum(_) | Aggregate::Sequence) || counts(feature)
}

/// Whether it tells how many there are.
fn counts(feature: &Feature) -> bool {
    use Aggregate::{Component, Count, Distinct, Set};
    matches!(feature.aggregate, Count | Distinct | Set | Component(_))
}
