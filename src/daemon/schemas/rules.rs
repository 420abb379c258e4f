//! The JSON Schema of a rule pack, for editors that complete and underline while people write.
//!
//! It knows keys, words and the forms of values; what needs the whole set, such as names and types in expressions, is
//! `refguard check`'s. What the format has and this version does not act on is left out, so that an editor does not offer
//! it. A test compares every section's keys with those that the loader names.

use serde_json::{Map, Value, json};

use crate::event::{Field, FieldType, KINDS, Mode, RuleKind, Severity, SubjectKind, Verdict};
use crate::ruleset::cel::Role;

/// A span of time such as `90s`, `24h` or `1h30m`.
pub(in crate::daemon) const SPAN: &str = "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";
/// A percentage with at most one decimal.
pub(in crate::daemon) const SHARE: &str = "^(100(\\.0)?|[0-9]{1,2}(\\.[0-9])?) ?%$";
/// How long an expression is at most.
pub(in crate::daemon) const EXPRESSION_BYTES_MAX: u64 = 8192;
/// Names of packs and rules.
const NAME: &str = "^[A-Za-z0-9._-]{1,100}$";
/// Names that conditions read.
const IDENTIFIER: &str = "^[A-Za-z_][A-Za-z0-9_]{0,99}$";

/// The schema of a pack.
pub(in crate::daemon) fn pack() -> Value {
    let mut schema = section(
        &["version", "pack"],
        [
            ("version", json!({"const": 1, "description": "The version of the format."})),
            ("pack", json!({"type": "string", "pattern": NAME, "description": "The name of the pack."})),
            (
                "mode",
                described(
                    json!({"enum": ["enforce", "off"], "default": "enforce"}),
                    "`off` drops the pack's rules; its features stay.",
                ),
            ),
            ("lists", described(named(list()), "Values that conditions look things up in, as `lists.NAME`.")),
            ("macros", described(named(expression()), "Names for expressions that several conditions share.")),
            ("features", described(named(feature()), "What is counted, by which key, over which span.")),
            (
                "rules",
                described(json!({"type": "array", "items": rule()}), "Conditions, and what follows when they hold."),
            ),
            (
                "tests",
                described(
                    json!({"type": "array", "items": case()}),
                    "Small histories, and what is expected of the last event.",
                ),
            ),
        ],
    );
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("refguard rule pack");
    schema
}

fn list() -> Value {
    let mut schema = section(
        &["kind"],
        [
            ("kind", described(json!({"enum": ["string", "cidr", "domain", "date"]}), "What its values are.")),
            ("values", described(json!({"type": "array", "items": scalar()}), "The values in place.")),
            ("file", described(text(), "A file with a value a line, relative to the folder of the rules.")),
            ("managed", described(json!({"type": "boolean"}), "Entries come from people, over the API.")),
        ],
    );
    let managed = json!({"required": ["managed"], "properties": {"managed": {"const": true}}});
    schema["oneOf"] = json!([{"required": ["values"]}, {"required": ["file"]}, managed]);
    schema
}

/// The aggregates over a window, those of a value, and those without one.
const WINDOWED: &[&str] = &["count", "sum", "avg", "min", "max", "distinct", "set", "component"];
const WITH_VALUE: &[&str] = &["sum", "avg", "min", "max", "distinct", "set", "previous"];
const WITHOUT_VALUE: &[&str] = &["count", "first", "last", "rate", "sequence", "component"];

const WITHOUT_BUCKET: &[&str] = &["distinct", "set", "first", "last", "previous", "rate", "sequence", "component"];

fn feature() -> Value {
    let all: Vec<&str> = WITH_VALUE.iter().chain(WITHOUT_VALUE).copied().collect();
    let keys = [
        ("on", types()),
        ("where", described(expression(), "Which of these events are counted; absent: all.")),
        (
            "key",
            described(
                json!({"type": "array", "minItems": 1, "maxItems": 8, "items": expression()}),
                "By what it is counted. An event with an empty part is not.",
            ),
        ),
        ("value", described(expression(), "What is added, compared or collected.")),
        ("aggregate", described(json!({"enum": all}), "What is computed.")),
        (
            "window",
            described(
                json!({"anyOf": [span(), {"enum": ["day", "week", "month", "year"]}]}),
                "How far back it looks: a span, or since the calendar's unit began in the program's time zone.",
            ),
        ),
        (
            "retention",
            described(
                json!({"type": "string", "pattern": SPAN, "default": "400d"}),
                "How long a key without events is kept; for `first`, `last`, `previous` and `rate`.",
            ),
        ),
        ("offset", described(span(), "Shifts both ends of the window back.")),
        ("bucket", described(span(), "Keeps one number for each such part of the window instead of every event.")),
        (
            "max_entries",
            described(
                whole(1, 1 << 20),
                "How many entries a key keeps; past it the oldest are summarised, and the value is marked as not exact.",
            ),
        ),
        (
            "scope",
            described(
                json!({"enum": ["program", "global"], "default": "program"}),
                "Whose events meet at a key: those of one program, or of all.",
            ),
        ),
    ];
    let mut schema = section(&["key", "aggregate"], keys.into_iter().chain(keys_of_aggregates()));
    schema["allOf"] = shapes();
    schema
}

/// The keys that belong to one aggregate.
fn keys_of_aggregates() -> impl Iterator<Item = (&'static str, Value)> {
    let step = section(
        &["on"],
        [
            ("on", types()),
            ("where", described(expression(), "Which of these events; absent: all.")),
            ("min", described(whole(1, 1 << 20), "How many of them it takes; absent: one.")),
        ],
    );
    let of_others = [
        ("limit", described(whole(1, i64::from(u32::MAX)), "How many events a period takes; for `rate`.")),
        ("per", described(span(), "The period of `limit`.")),
        ("burst", described(whole(1, i64::from(u32::MAX)), "How many may come at once; absent: `limit`.")),
        ("within", described(span(), "The span in which the steps happen; for `sequence`.")),
        (
            "steps",
            described(
                json!({"type": "array", "minItems": 1, "maxItems": 16, "items": step}),
                "What happens one after the other; for `sequence`.",
            ),
        ),
    ];
    let of_components = [
        (
            "links",
            described(
                json!({"type": "array", "minItems": 1, "maxItems": 8, "items": expression()}),
                "The values by which accounts are linked; for `component`.",
            ),
        ),
        (
            "hub",
            described(
                json!({"type": "integer", "minimum": 3, "maximum": 1000, "default": 20}),
                "At which of its accounts a value stops linking; for `component`.",
            ),
        ),
        (
            "ignore",
            described(
                json!({"anyOf": [text(), {"type": "array", "maxItems": 1000, "items": text()}]}),
                "Values that link nothing: texts, and declared lists as `lists.NAME`; for `component`.",
            ),
        ),
        (
            "generation",
            described(
                json!({"type": "string", "pattern": SPAN, "default": "1d"}),
                "In which steps links fade, a minute or longer; for `component`.",
            ),
        ),
    ];
    of_others.into_iter().chain(of_components)
}

/// Which keys an aggregate needs, and which mean nothing to it.
fn shapes() -> Value {
    let only = |keys: &[&str]| -> Vec<Value> { keys.iter().map(|key| json!({"required": [key]})).collect() };
    json!([
        when(WINDOWED, json!({"required": ["window"], "not": {"required": ["retention"]}})),
        when(WITH_VALUE, json!({"required": ["value"]})),
        when(WITHOUT_VALUE, json!({"not": {"required": ["value"]}})),
        {
            "if": is(&["rate"]),
            "then": {"required": ["limit", "per"], "not": {"anyOf": only(&["window", "offset"])}},
            "else": {"not": {"anyOf": only(&["limit", "per", "burst"])}},
        },
        {
            "if": is(&["sequence"]),
            "then": {"required": ["within", "steps"], "not": {"anyOf": only(&["on", "window", "retention"])}},
            "else": {"required": ["on"], "not": {"anyOf": only(&["within", "steps"])}},
        },
        {
            "if": is(&["component"]),
            "then": {"required": ["links"], "not": {"required": ["offset"]}, "properties": {"key": {"maxItems": 1}}},
            "else": {"not": {"anyOf": only(&["links", "hub", "ignore", "generation"])}},
        },
        when(WITHOUT_BUCKET, json!({"not": {"required": ["bucket"]}})),
        {"not": {"required": ["window", "retention"]}},
    ])
}

/// Something that holds for these aggregates.
fn when(aggregates: &[&str], then: Value) -> Value {
    json!({"if": is(aggregates), "then": then})
}

fn is(aggregates: &[&str]) -> Value {
    json!({"properties": {"aggregate": {"enum": aggregates}}, "required": ["aggregate"]})
}

fn rule() -> Value {
    let expressions = json!({"type": "array", "items": expression()});
    let keys = [
        ("id", json!({"type": "string", "pattern": NAME, "description": "Its name, on every verdict it moves."})),
        ("title", described(text(), "What it finds, for people; absent: its id.")),
        ("on", types()),
        ("when", described(expression(), "The condition, in CEL.")),
        ("except", described(expressions, "Conditions that spare an event; any of them is enough.")),
        (
            "score",
            described(
                json!({"type": "integer", "minimum": 0, "maximum": 100, "default": 0}),
                "What it adds to the score.",
            ),
        ),
        (
            "action",
            described(
                words(Verdict::ALL, Verdict::name),
                "The least verdict when it matches; absent: the score alone counts.",
            ),
        ),
        (
            "applies_to",
            described(json!({"enum": ["referrer", "referee", "both"], "default": "both"}), "Whose reward it stops."),
        ),
        ("severity", described(words(Severity::ALL, Severity::name), "How bad a match is; absent: medium.")),
        (
            "kind",
            described(words(RuleKind::ALL, RuleKind::name), "Whether it finds fraud or keeps a limit; absent: fraud."),
        ),
        ("decide", described(json!({"type": "array", "items": decision()}), "Who is remembered, beyond this event.")),
        ("message", described(expression(), "What analysts are told; names in braces are filled in.")),
        (
            "customer",
            described(
                json!({"type": "string", "pattern": "^[a-z0-9_]{1,100}$"}),
                "The code of what the customer is told.",
            ),
        ),
        ("tags", described(json!({"type": "array", "items": text()}), "Words to find it by.")),
    ];
    section(&["id", "on", "when"], keys.into_iter().chain(standing()))
}

/// The keys that say when and for whom a rule counts.
fn standing() -> impl Iterator<Item = (&'static str, Value)> {
    let expressions = json!({"type": "array", "items": expression()});
    [
        ("mode", described(words(Mode::ALL, Mode::name), "Whether it counts; absent: enforce.")),
        (
            "rollout",
            described(
                json!({"type": "string", "pattern": SHARE, "default": "100%"}),
                "For how many accounts it counts; for the rest it runs in shadow.",
            ),
        ),
        ("breaker", described(breaker(), "What happens when it suddenly matches much.")),
        (
            "when_incomplete",
            described(
                json!({"enum": ["enforce", "shadow"], "default": "enforce"}),
                "What it does until its features have seen a whole window.",
            ),
        ),
        ("owner", described(text(), "Who answers for it.")),
        (
            "expires",
            described(
                json!({"type": "string", "format": "date"}),
                "The day it ends by itself, at midnight UTC as the day begins.",
            ),
        ),
        (
            "group_by",
            described(
                expressions,
                "Alerts of this rule with the same values are one; by default those of one account.",
            ),
        ),
    ]
    .into_iter()
}

fn breaker() -> Value {
    section(
        &["share", "over", "rearm"],
        [
            ("share", described(json!({"type": "string", "pattern": SHARE}), "Of the events it judged.")),
            ("over", described(span(), "Counted over this span.")),
            (
                "then",
                described(
                    json!({"enum": ["hold", "challenge", "shadow"]}),
                    "What its matches give at most from then on; absent: hold for a rule that holds or blocks, else shadow.",
                ),
            ),
            ("rearm", described(span(), "How long it stays open.")),
            (
                "min_events",
                described(
                    json!({"type": "integer", "minimum": 1, "default": 100}),
                    "It opens only once so many events were judged in the span.",
                ),
            ),
        ],
    )
}

fn decision() -> Value {
    let roles = Role::ALL.iter().map(|role| role.name());
    let things = SubjectKind::ALL.iter().filter(|kind| **kind != SubjectKind::Account).map(|kind| kind.name());
    let subjects: Vec<&str> = roles.chain(things).collect();
    let verdicts: Vec<&str> =
        Verdict::ALL.iter().filter(|verdict| **verdict != Verdict::Allow).map(|verdict| verdict.name()).collect();
    let mut schema = section(
        &["subject", "verdict"],
        [
            ("subject", described(json!({"enum": subjects}), "Who or what it is about.")),
            ("id", described(expression(), "Which one; absent: the event's own.")),
            ("each", described(text(), "The component whose accounts it is about, all of them.")),
            ("verdict", described(json!({"enum": verdicts}), "What further events of the subject get at least.")),
            ("ttl", described(span(), "When it ends by itself; absent: never.")),
            (
                "on_expiry",
                described(
                    json!({"enum": ["keep", "release", "block"], "default": "keep"}),
                    "What follows when it ends by itself.",
                ),
            ),
            ("on", types()),
        ],
    );
    schema["dependentRequired"] = json!({"on_expiry": ["ttl"]});
    schema["dependentSchemas"] = json!({
        "each": {"properties": {"subject": {"const": "account"}}, "not": {"required": ["id"]}},
    });
    schema
}

fn case() -> Value {
    let names = json!({"type": "array", "items": text()});
    let mut expect = section(
        &[],
        [
            ("verdict", described(words(Verdict::ALL, Verdict::name), "The verdict on the last event.")),
            ("score", described(json!({"type": "integer", "minimum": 0}), "Its score.")),
            ("rules", described(names.clone(), "Rules that match.")),
            ("not_rules", described(names, "Rules that do not match.")),
        ],
    );
    expect["minProperties"] = json!(1);
    section(
        &["name", "events", "expect"],
        [
            ("name", described(text(), "What it shows.")),
            (
                "events",
                described(
                    json!({"type": "array", "minItems": 1, "maxItems": 10_000, "items": event()}),
                    "The history, in order.",
                ),
            ),
            ("expect", described(expect, "What must come of the last event.")),
        ],
    )
}

fn event() -> Value {
    let field = |field: &Field| {
        let schema = match field.field_type() {
            FieldType::Text => scalar(),
            FieldType::Int => json!({"type": ["integer", "null"]}),
            FieldType::Double => json!({"type": ["number", "null"]}),
            FieldType::Timestamp => json!({"type": ["string", "null"], "format": "date-time"}),
            FieldType::Map => json!({"type": ["object", "null"], "additionalProperties": scalar()}),
        };
        (field.name(), described(schema, field.doc()))
    };
    let at = described(span(), "When, counted from the start of the test.");
    let fields = Field::ALL.iter().filter(|field| **field != Field::Time).map(field);
    section(&["type", "at"], std::iter::once(("at", at)).chain(fields))
}

/// A map with these keys and no others.
fn section<'k>(required: &[&str], keys: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
    let properties: Map<String, Value> = keys.into_iter().map(|(key, schema)| (key.to_owned(), schema)).collect();
    json!({"type": "object", "additionalProperties": false, "required": required, "properties": properties})
}

/// A map whose keys are names.
fn named(value: Value) -> Value {
    json!({"type": "object", "propertyNames": {"pattern": IDENTIFIER}, "additionalProperties": value})
}

fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = json!(description);
    schema
}

fn types() -> Value {
    let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let one = json!({"anyOf": [{"enum": known}, {"type": "string", "maxLength": 100}]});
    described(json!({"type": "array", "minItems": 1, "maxItems": 200, "items": one}), "Event types; yours too.")
}

fn words<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str) -> Value {
    json!({"enum": all.iter().map(|word| name(*word)).collect::<Vec<_>>()})
}

/// An expression. YAML takes `true` and `1` for something else than texts.
fn expression() -> Value {
    json!({"type": ["string", "boolean", "number"], "maxLength": EXPRESSION_BYTES_MAX})
}

fn scalar() -> Value {
    json!({"type": ["string", "number", "boolean", "null"]})
}

fn text() -> Value {
    json!({"type": ["string", "number", "boolean"]})
}

fn span() -> Value {
    json!({"type": "string", "pattern": SPAN})
}

fn whole(least: i64, most: i64) -> Value {
    json!({"type": "integer", "minimum": least, "maximum": most})
}

#[cfg(test)]
mod tests;
