//! The `features` of a pack: what is counted, by which key, over which span.

use super::components::{self, ComponentDef};
use super::{Name, expression, expressions, identifier, optional, types};
use crate::ruleset::cel::Source;
use crate::ruleset::program::{KEY_PARTS_MAX, Rate, Reach, STEPS_MAX, Scope};
use crate::ruleset::yaml::{Fields, Node, Reader, Width};

/// A feature as written. Without a body its definition is faulty, and only its name is known.
pub(in crate::ruleset) struct FeatureDef {
    pub(in crate::ruleset) name: Name,
    pub(in crate::ruleset) body: Option<FeatureBody>,
}

/// What a feature says.
pub(in crate::ruleset) struct FeatureBody {
    pub(in crate::ruleset) on: Vec<String>,
    pub(in crate::ruleset) filter: Option<Source>,
    pub(in crate::ruleset) key: Vec<Source>,
    pub(in crate::ruleset) value: Option<Source>,
    pub(in crate::ruleset) aggregate: AggregateWord,
    pub(in crate::ruleset) rate: Option<Rate>,
    pub(in crate::ruleset) steps: Vec<StepDef>,
    pub(in crate::ruleset) component: Option<ComponentDef>,
    pub(in crate::ruleset) reach: Reach,
    pub(in crate::ruleset) scope: Scope,
    pub(in crate::ruleset) offset_ms: i64,
    pub(in crate::ruleset) bucket_ms: Option<i64>,
    pub(in crate::ruleset) max_entries: Option<u32>,
}

/// One step of a sequence.
pub(in crate::ruleset) struct StepDef {
    pub(in crate::ruleset) on: Vec<String>,
    pub(in crate::ruleset) filter: Option<Source>,
    pub(in crate::ruleset) min: u32,
}

impl FeatureBody {
    /// Every expression of it.
    pub(in crate::ruleset) fn sources(&self) -> impl Iterator<Item = &Source> {
        let steps = self.steps.iter().filter_map(|step| step.filter.as_ref());
        let links = self.component.iter().flat_map(|component| component.links.iter().chain(&component.ignore));
        self.filter.iter().chain(&self.key).chain(&self.value).chain(steps).chain(links)
    }
}

/// The word after `aggregate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::ruleset) enum AggregateWord {
    Count,
    Sum,
    Avg,
    Min,
    Max,
    Distinct,
    Set,
    First,
    Last,
    Previous,
    Rate,
    Sequence,
    Component,
}

impl AggregateWord {
    const WORDS: &[(&str, AggregateWord)] = &[
        ("count", AggregateWord::Count),
        ("sum", AggregateWord::Sum),
        ("avg", AggregateWord::Avg),
        ("min", AggregateWord::Min),
        ("max", AggregateWord::Max),
        ("distinct", AggregateWord::Distinct),
        ("set", AggregateWord::Set),
        ("first", AggregateWord::First),
        ("last", AggregateWord::Last),
        ("previous", AggregateWord::Previous),
        ("rate", AggregateWord::Rate),
        ("sequence", AggregateWord::Sequence),
        ("component", AggregateWord::Component),
    ];

    /// What it is of, and what a condition reads it as.
    fn doc(self) -> (&'static str, &'static str) {
        match self {
            AggregateWord::Count => ("how many events", "int"),
            AggregateWord::Sum => ("the values added up", "int or double, as its value"),
            AggregateWord::Avg => ("their mean", "double"),
            AggregateWord::Min => ("the least of them", "int or double, as its value"),
            AggregateWord::Max => ("the greatest of them", "int or double, as its value"),
            AggregateWord::Distinct => ("how many different values", "int"),
            AggregateWord::Set => ("the different values", "set: for `in`, `size()`, `overlap(a, b)`"),
            AggregateWord::First => ("when the first event was", "timestamp"),
            AggregateWord::Last => ("when the latest event before this one was", "timestamp"),
            AggregateWord::Previous => ("the value at that event", "as its value; a string by its hash"),
            AggregateWord::Rate => ("whether this event exceeds `limit` per `per` with `burst`", "bool"),
            AggregateWord::Sequence => ("how many of its `steps` happened in this order `within` a span", "int"),
            AggregateWord::Component => ("how many accounts are linked with the key's", "int, and for `same`"),
        }
    }

    /// The keys that belong to it alone.
    fn own_keys(self) -> &'static [&'static str] {
        match self {
            AggregateWord::Rate => KEYS_OF_RATE,
            AggregateWord::Sequence => KEYS_OF_SEQUENCE,
            AggregateWord::Component => KEYS_OF_COMPONENT,
            _ => &[],
        }
    }

    pub(in crate::ruleset) fn name(self) -> &'static str {
        Self::WORDS.iter().find(|(_, word)| *word == self).map_or("", |(name, _)| name)
    }

    /// Whether it is computed of values, and not only of how many events and when.
    fn has_value(self) -> bool {
        use AggregateWord::{Avg, Distinct, Max, Min, Previous, Set, Sum};
        matches!(self, Sum | Avg | Min | Max | Distinct | Set | Previous)
    }

    /// Why one number a bucket would not be enough; `None` where it is.
    fn no_bucket(self) -> Option<&'static str> {
        use AggregateWord::{
            Avg, Component, Count, Distinct, First, Last, Max, Min, Previous, Rate, Sequence, Set, Sum,
        };
        match self {
            Count | Sum | Avg | Min | Max => None,
            Distinct | Set => Some("it keeps one record a value, however many events bring it"),
            First | Last | Previous => Some("it asks for single events"),
            Rate => Some("it keeps one number a key anyway"),
            Sequence => Some("the order of events within a bucket would be lost"),
            Component => Some("its links fade by `generation`"),
        }
    }

    /// Whether it is computed over a window, and not over what is retained.
    fn needs_window(self) -> bool {
        use AggregateWord::{Avg, Component, Count, Distinct, Max, Min, Set, Sum};
        matches!(self, Count | Sum | Avg | Min | Max | Distinct | Set | Component)
    }
}

const KEYS: &[&str] = &[
    "on",
    "where",
    "key",
    "value",
    "aggregate",
    "window",
    "retention",
    "offset",
    "max_entries",
    "limit",
    "per",
    "burst",
    "bucket",
    "scope",
    "within",
    "steps",
    "links",
    "hub",
    "ignore",
    "generation",
];

/// Keys that belong to one aggregate alone.
const KEYS_OF_RATE: &[&str] = &["limit", "per", "burst"];
const KEYS_OF_SEQUENCE: &[&str] = &["within", "steps"];
const KEYS_OF_COMPONENT: &[&str] = &["links", "hub", "ignore", "generation"];

/// An aggregate in words: what the loader asks of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AggregateDoc {
    /// The word after `aggregate`.
    pub name: &'static str,
    /// What it computes, in a line.
    pub meaning: &'static str,
    /// What a condition reads it as.
    pub result: &'static str,
    /// Whether it needs a `value`.
    pub has_value: bool,
    /// Whether it needs a `window`, and takes no `retention`.
    pub needs_window: bool,
    /// Whether it can be kept by a `bucket`.
    pub by_bucket: bool,
    /// The keys that belong to it alone.
    pub own_keys: &'static [&'static str],
}

/// All aggregates.
pub fn aggregates() -> Vec<AggregateDoc> {
    AggregateWord::WORDS
        .iter()
        .map(|(name, word)| {
            let (meaning, result) = word.doc();
            AggregateDoc {
                name,
                meaning,
                result,
                has_value: word.has_value(),
                needs_window: word.needs_window(),
                by_bucket: word.no_bucket().is_none(),
                own_keys: word.own_keys(),
            }
        })
        .collect()
}

/// The words after `scope`.
const SCOPES: &[(&str, Scope)] = &[("program", Scope::Program), ("global", Scope::Global)];
/// How long a key without events is kept, in milliseconds: the contract's 400 days.
const RETENTION_MS: i64 = 400 * 86_400_000;
/// The most that `max_entries` can be.
const MAX_ENTRIES_LIMIT: i64 = 1 << 20;

pub(super) fn read(reader: &mut Reader, node: &Node) -> Vec<FeatureDef> {
    let mut features = Vec::new();
    for entry in reader.entries(node).unwrap_or_default() {
        let name = identifier(reader, entry, "a feature");
        let body = reader.fields(&entry.value, "a feature", KEYS).and_then(|fields| body(reader, &fields));
        if let Some(name) = name {
            features.push(FeatureDef { name, body });
        }
    }
    features
}

fn body(reader: &mut Reader, fields: &Fields<'_>) -> Option<FeatureBody> {
    let aggregate =
        fields.required("aggregate", reader).and_then(|node| reader.choice(node, "aggregate", AggregateWord::WORDS));
    let on = match aggregate {
        Some(AggregateWord::Sequence) => Some(None),
        _ => fields.required("on", reader).and_then(|node| types(reader, node)).map(Some),
    };
    let filter = optional(fields, "where", |node| expression(reader, node));
    let key = fields.required("key", reader).map(|node| key(reader, node));
    let offset_ms = fields.get("offset").map_or(Some(0), |node| reader.duration_ms(node));
    let max_entries = optional(fields, "max_entries", |node| reader.int(node, 1..=MAX_ENTRIES_LIMIT));
    let scope = fields.get("scope").map_or(Some(Scope::Program), |node| reader.choice(node, "scope", SCOPES));
    let aggregate = aggregate?;
    refuse_foreign_keys(reader, fields, aggregate);
    let value = value(reader, fields, aggregate);
    let rate = if aggregate == AggregateWord::Rate { rate(reader, fields).map(Some) } else { Some(None) };
    let steps = if aggregate == AggregateWord::Sequence { steps(reader, fields) } else { Some(Vec::new()) };
    let reach =
        if aggregate == AggregateWord::Sequence { within(reader, fields) } else { reach(reader, fields, aggregate) };
    let bucket_ms = bucket(reader, fields, aggregate, reach);
    let component = match aggregate {
        AggregateWord::Component => components::read(reader, fields, reach).map(Some),
        _ => Some(None),
    };
    let steps = steps?;
    Some(FeatureBody {
        on: on?.unwrap_or_else(|| steps.iter().flat_map(|step| step.on.clone()).collect()),
        filter: filter?,
        key: key.filter(|key| !key.is_empty())?,
        value: value?,
        aggregate,
        rate: rate?,
        steps,
        component: component?,
        reach: reach?,
        scope: scope?,
        offset_ms: offset_ms?,
        bucket_ms: bucket_ms?,
        max_entries: max_entries?.map(|entries| entries as u32),
    })
}

fn key(reader: &mut Reader, node: &Node) -> Vec<Source> {
    let parts = reader.list(node).map_or(0, <[Node]>::len);
    if parts == 0 || parts > KEY_PARTS_MAX {
        if reader.list(node).is_some() {
            reader.push(node.error("type", format!("a key has 1 to {KEY_PARTS_MAX} parts, this one {parts}")));
        }
        return Vec::new();
    }
    let key = expressions(reader, node);
    if key.len() == parts { key } else { Vec::new() }
}

/// `None` when it is there and should not be, or the other way round.
fn value(reader: &mut Reader, fields: &Fields<'_>, aggregate: AggregateWord) -> Option<Option<Source>> {
    let name = aggregate.name();
    match (fields.get("value"), aggregate.has_value()) {
        (Some(node), true) => expression(reader, node).map(Some),
        (None, false) => Some(None),
        (Some(_), false) => {
            let message = format!("`{name}` looks at events, not at a `value`");
            let hint = "`distinct` tells how many different values there are, `sum` adds them";
            reader.push(fields.error_at_key("value", "unused-key", message).hint(hint));
            None
        }
        (None, true) => {
            let message = format!("`{name}` needs the key `value`");
            let numbers = {
                use AggregateWord::{Avg, Max, Min, Sum};
                matches!(aggregate, Sum | Avg | Min | Max)
            };
            let hint = if numbers { "such as `value: event.amount_minor`" } else { "such as `value: device.id`" };
            reader.push(fields.error_at_start("missing-key", message).hint(hint));
            None
        }
    }
}

fn rate(reader: &mut Reader, fields: &Fields<'_>) -> Option<Rate> {
    let count = 1..=i64::from(u32::MAX);
    let limit = fields.required("limit", reader).and_then(|node| reader.int(node, count.clone()));
    let per_ms = fields.required("per", reader).and_then(|node| reader.positive_duration_ms(node));
    // As with a bucket of tokens: unless said otherwise, a whole period's worth may come at once.
    let burst = fields.get("burst").map_or(limit, |node| reader.int(node, count));
    Some(Rate { limit: limit? as u32, per_ms: per_ms?, burst: burst? as u32 })
}

const KEYS_OF_STEP: &[&str] = &["on", "where", "min"];

fn steps(reader: &mut Reader, fields: &Fields<'_>) -> Option<Vec<StepDef>> {
    if fields.get("on").is_some() {
        let message = "each step of a `sequence` says its own `on`";
        reader.push(fields.error_at_key("on", "unused-key", message).hint("leave it out here"));
    }
    let node = fields.required("steps", reader)?;
    let items = reader.list(node)?;
    if items.is_empty() || items.len() > STEPS_MAX {
        let message = format!("a sequence has 1 to {STEPS_MAX} steps, this one {}", items.len());
        let hint = "such as `steps: [{on: [login.failed], min: 5}, {on: [login.succeeded]}]`";
        reader.push(node.error("type", message).hint(hint));
        return None;
    }
    let read: Vec<StepDef> = items.iter().filter_map(|item| step(reader, item)).collect();
    (read.len() == items.len()).then_some(read)
}

fn step(reader: &mut Reader, item: &Node) -> Option<StepDef> {
    let fields = reader.fields(item, "a step", KEYS_OF_STEP)?;
    let on = fields.required("on", reader).and_then(|node| types(reader, node));
    let filter = optional(&fields, "where", |node| expression(reader, node));
    let min = fields.get("min").map_or(Some(1), |node| reader.int(node, 1..=MAX_ENTRIES_LIMIT));
    Some(StepDef { on: on?, filter: filter?, min: min? as u32 })
}

/// The span of a sequence, which is its window.
fn within(reader: &mut Reader, fields: &Fields<'_>) -> Option<Reach> {
    for key in ["window", "retention"].into_iter().filter(|key| fields.get(key).is_some()) {
        let message = format!("a `sequence` happens `within` a span; it has no `{key}`");
        reader.push(fields.error_at_key(key, "unused-key", message).hint("such as `within: 30m`"));
    }
    let node = fields.required("within", reader)?;
    reader.positive_duration_ms(node).map(Reach::Window)
}

fn reach(reader: &mut Reader, fields: &Fields<'_>, aggregate: AggregateWord) -> Option<Reach> {
    let name = aggregate.name();
    match (fields.get("window"), fields.get("retention")) {
        (Some(_), Some(_)) => {
            let message = "a feature has a `window` or a `retention`, not both";
            reader.push(fields.error_at_key("retention", "unused-key", message));
            None
        }
        (Some(_), None) if aggregate == AggregateWord::Rate => {
            let message = "`rate` has no window: `limit` and `per` say how much is too much";
            reader.push(fields.error_at_key("window", "unused-key", message).hint("leave it out"));
            None
        }
        (Some(node), None) => match reader.width(node)? {
            Width::Fixed(window_ms) => Some(Reach::Window(window_ms)),
            Width::Calendar(unit) => Some(Reach::Calendar(unit)),
        },
        (None, None) if aggregate.needs_window() => {
            let message = format!("`{name}` needs the key `window`");
            reader.push(fields.error_at_start("missing-key", message).hint("such as `window: 24h`"));
            None
        }
        (None, Some(_)) if aggregate.needs_window() => {
            let message = format!("`{name}` needs a `window`, not a `retention`");
            let hint = "`retention` is for `first`, `last`, `previous` and `rate`";
            reader.push(fields.error_at_key("retention", "unused-key", message).hint(hint));
            None
        }
        (None, Some(node)) => reader.positive_duration_ms(node).map(Reach::Retention),
        (None, None) => Some(Reach::Retention(RETENTION_MS)),
    }
}

/// The width of the buckets of which one number each is kept; `None` when it is faulty.
fn bucket(
    reader: &mut Reader,
    fields: &Fields<'_>,
    aggregate: AggregateWord,
    reach: Option<Reach>,
) -> Option<Option<i64>> {
    let Some(node) = fields.get("bucket") else { return Some(None) };
    let bucket_ms = reader.positive_duration_ms(node);
    if let Some(reason) = aggregate.no_bucket() {
        let message = format!("`{}` cannot be kept by a `bucket`: {reason}", aggregate.name());
        let hint = "leave it out; `bucket` is for `count`, `sum`, `avg`, `min` and `max`";
        reader.push(fields.error_at_key("bucket", "unused-key", message).hint(hint));
        return None;
    }
    if bucket_ms? >= reach?.longest_ms() {
        let message = "a `bucket` is shorter than its window, which is counted in whole buckets";
        reader.push(node.error("type", message).hint("such as `bucket: 5m` in `window: 24h`"));
        return None;
    }
    Some(bucket_ms)
}

/// A key that belongs to another aggregate is a mistake, and silence would hide it.
fn refuse_foreign_keys(reader: &mut Reader, fields: &Fields<'_>, aggregate: AggregateWord) {
    for (_, owner) in AggregateWord::WORDS.iter().filter(|(_, owner)| *owner != aggregate) {
        for key in owner.own_keys().iter().filter(|key| fields.get(key).is_some()) {
            let message = format!("`{key}` belongs to the aggregate `{}`, not to `{}`", owner.name(), aggregate.name());
            reader.push(fields.error_at_key(key, "unused-key", message));
        }
    }
    if aggregate == AggregateWord::Rate && fields.get("offset").is_some() {
        reader.push(fields.error_at_key("offset", "unused-key", "`rate` has no window that `offset` could shift"));
    }
    if aggregate == AggregateWord::Component && fields.get("offset").is_some() {
        let message = "a `component` has all links up to now: `offset` cannot shift it";
        reader.push(fields.error_at_key("offset", "unused-key", message));
    }
}
