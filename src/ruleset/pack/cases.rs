//! The `tests` of a pack: small histories of events, and what the verdict on the last must be.
//!
//! Each event becomes a structured CloudEvent, so that a test goes the same way as an event from outside.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Name, choice, warn_if_misspelt};
use crate::event::{Field, FieldType, KINDS, Verdict};
use crate::ruleset::diagnostic::{Diagnostic, visible};
use crate::ruleset::yaml::{Entry, Fields, Kind, Node, Reader, Style, suggest};

/// When the tests begin: 2026-01-01T00:00:00Z, in milliseconds since the Unix epoch. `at` counts from here.
pub const TEST_BASE_MS: i64 = 1_767_225_600_000;

/// A test as written.
pub(in crate::ruleset) struct CaseDef {
    pub(in crate::ruleset) name: String,
    /// Where its name stands.
    pub(in crate::ruleset) place: Name,
    /// Structured CloudEvents, one JSON text each.
    pub(in crate::ruleset) events: Vec<String>,
    pub(in crate::ruleset) verdict: Option<Verdict>,
    pub(in crate::ruleset) score: Option<i64>,
    pub(in crate::ruleset) rules: Vec<Name>,
    pub(in crate::ruleset) not_rules: Vec<Name>,
}

/// How many events one test has.
const EVENTS_MAX: usize = 10_000;

pub(super) fn read(reader: &mut Reader, node: &Node) -> Vec<CaseDef> {
    let items = reader.list(node).unwrap_or_default();
    items.iter().filter_map(|item| case(reader, item)).collect()
}

fn case(reader: &mut Reader, node: &Node) -> Option<CaseDef> {
    let fields = reader.fields(node, "a test", &["name", "events", "expect"])?;
    let name_node = fields.required("name", reader);
    let name = name_node.and_then(|node| reader.filled_text(node)).map(str::to_owned);
    let events = fields.required("events", reader).and_then(|node| events(reader, node));
    let expect = fields.required("expect", reader);
    let expect = expect.and_then(|node| reader.fields(node, "`expect`", &["verdict", "score", "rules", "not_rules"]));
    let expect = expect?;
    if ["verdict", "score", "rules", "not_rules"].iter().all(|key| expect.get(key).is_none()) {
        reader.push(expect.error_at_start("missing-key", "a test that expects nothing cannot fail"));
    }
    let verdict = expect.get("verdict").and_then(|node| choice(reader, node, "verdict", Verdict::ALL, Verdict::name));
    let score = expect.get("score").and_then(|node| reader.int(node, 0..=i64::MAX));
    let rules = expect.get("rules").map(|node| names(reader, node)).unwrap_or_default();
    let not_rules = expect.get("not_rules").map(|node| names(reader, node)).unwrap_or_default();
    let place = name_node.map(|node| Name { text: String::new(), file: node.file.clone(), span: node.span.clone() });
    // Without its events a test is faulty, which was reported; what it expects is checked all the same.
    let events = events.unwrap_or_default();
    Some(CaseDef { name: name?, place: place?, events, verdict, score, rules, not_rules })
}

fn names(reader: &mut Reader, node: &Node) -> Vec<Name> {
    let items = reader.list(node).unwrap_or_default();
    let name = |item: &Node| {
        let text = reader.filled_text(item)?.to_owned();
        Some(Name { text, file: item.file.clone(), span: item.span.clone() })
    };
    items.iter().filter_map(name).collect()
}

fn events(reader: &mut Reader, node: &Node) -> Option<Vec<String>> {
    let items = reader.list(node)?;
    if items.is_empty() || items.len() > EVENTS_MAX {
        let message = format!("a test has 1 to {EVENTS_MAX} events, this one {}", items.len());
        reader.push(node.error("type", message));
        return None;
    }
    let events: Vec<String> = items.iter().enumerate().filter_map(|(index, item)| event(reader, index, item)).collect();
    (events.len() == items.len()).then_some(events)
}

fn event(reader: &mut Reader, index: usize, node: &Node) -> Option<String> {
    let mut known = vec!["at"];
    known.extend(Field::ALL.iter().filter(|field| **field != Field::Time).map(|field| field.name()));
    let fields = reader.fields(node, "an event", &known)?;
    let kind = fields.required("type", reader).and_then(|node| reader.filled_text(node));
    if let (Some(kind), Some(node)) = (kind, fields.get("type")) {
        warn_if_misspelt(reader, node, kind);
    }
    let at_ms = fields.required("at", reader).and_then(|node| reader.duration_ms(node));
    let id = match fields.get("id") {
        Some(node) => reader.filled_text(node)?.to_owned(),
        None => format!("test-{}", index + 1),
    };
    let source = fields.get("source").map_or(Some("/test"), |node| reader.filled_text(node));
    let data = data(reader, &fields);
    let (kind, time) = (kind?, jiff::Timestamp::from_millisecond(TEST_BASE_MS.checked_add(at_ms?)?).ok()?);
    check_required(reader, &fields, kind);
    let event = json!({
        "specversion": "1.0",
        "id": id,
        "source": source?,
        "type": kind,
        "time": time.to_string(),
        "data": data?,
    });
    Some(event.to_string())
}

fn check_required(reader: &mut Reader, fields: &Fields<'_>, kind: &str) {
    let Some(spec) = KINDS.iter().find(|spec| spec.name == kind) else { return };
    for field in spec.required.iter().filter(|field| fields.get(field.name()).is_none_or(Node::is_null)) {
        let message = format!("an event of type `{kind}` needs `{field}`");
        reader.push(fields.error_at_start("missing-key", message));
    }
}

/// The fields of `data`; `None` when one of them is faulty.
fn data(reader: &mut Reader, fields: &Fields<'_>) -> Option<Map<String, Value>> {
    let mut data = Map::new();
    let mut whole = true;
    for field in Field::ALL.iter().filter(|field| !field.is_envelope()) {
        let Some(node) = fields.get(field.name()).filter(|node| !node.is_null()) else { continue };
        match value(reader, *field, node) {
            Some(value) => {
                data.insert(field.name().to_owned(), value);
            }
            None => whole = false,
        }
    }
    whole.then_some(data)
}

fn value(reader: &mut Reader, field: Field, node: &Node) -> Option<Value> {
    match field.field_type() {
        FieldType::Text => reader.text(node).map(Value::from),
        FieldType::Int => reader.int(node, i64::MIN..=i64::MAX).map(Value::from),
        FieldType::Double => reader.double(node, f64::MIN..=f64::MAX).map(Value::from),
        FieldType::Timestamp => timestamp(reader, node),
        FieldType::Map => {
            let entries = reader.entries(node)?;
            let pairs: Vec<(String, Value)> =
                entries.iter().filter_map(|entry| attribute(reader, field, entry)).collect();
            (pairs.len() == entries.len()).then(|| pairs.into_iter().collect())
        }
    }
}

fn timestamp(reader: &mut Reader, node: &Node) -> Option<Value> {
    let text = reader.text(node)?;
    if text.parse::<jiff::Timestamp>().is_err() {
        let message = format!("expected an instant, found {}", node.describe());
        reader.push(
            node.error("type", message).hint("write it as `2025-12-24T18:00:00Z`; tests begin at 2026-01-01T00:00:00Z"),
        );
        return None;
    }
    Some(Value::from(text))
}

/// A value of a map: of `attributes` a number or boolean if it is written as one; of `device` a text.
fn attribute(reader: &mut Reader, field: Field, entry: &Entry) -> Option<(String, Value)> {
    let text = reader.text(&entry.value)?;
    let plain = matches!(&entry.value.kind, Kind::Scalar(scalar) if scalar.style == Style::Plain);
    let plain = plain && field == Field::Attributes;
    let typed = plain.then(|| serde_json::from_str::<Value>(text).ok()).flatten();
    let value = typed.filter(|value| value.is_number() || value.is_boolean()).unwrap_or_else(|| Value::from(text));
    Some((entry.key.clone(), value))
}

/// Reports an expected rule that no pack has.
pub(in crate::ruleset) fn unknown_rule(name: &Name, known: &BTreeSet<&str>) -> Diagnostic {
    let diagnostic = name.error("unknown-name", format!("no pack has a rule `{}`", visible(&name.text)));
    diagnostic.hint(suggest(&name.text, known.iter().copied()))
}
