//! The schema of a record of an alert: what docs/alerts.md says in words.

use serde_json::{Value, json};

use crate::alerts::{AlertChange, AlertClosing};
use crate::event::{Severity, Verdict};

pub(super) fn record() -> Value {
    let text = json!({"type": "string"});
    let maybe_text = json!({"type": ["string", "null"]});
    let time = json!({"type": "string", "format": "date-time"});
    let flag = json!({"type": "boolean"});
    let words = |words: Vec<&str>| json!({"enum": words});
    let mut closings: Vec<Value> = AlertClosing::ALL.iter().map(|closing| json!(closing.name())).collect();
    closings.push(Value::Null);
    // No match of an enforced rule that calls for an alert leaves a verdict below this.
    let verdicts = Verdict::ALL.iter().filter(|verdict| **verdict >= Verdict::Flag);
    let evidence = json!({
        "type": "object",
        "required": ["feature", "value", "exact"],
        "additionalProperties": false,
        "properties": {"feature": text, "value": {}, "exact": flag},
    });
    let event = json!({
        "type": "object",
        "required": ["source", "id"],
        "additionalProperties": false,
        "properties": {"source": text, "id": text},
    });
    let properties = json!({
        "specversion": {"const": "1"},
        "id": {"type": "string", "pattern": "^alert-[0-9a-f]{16}$"},
        "revision": {"type": "integer", "minimum": 1},
        "state": {"enum": ["open", "closed"]},
        "change": words(AlertChange::ALL.iter().map(|change| change.name()).collect()),
        "closed_by": {"enum": closings},
        "program": text,
        "rule": text,
        "title": text,
        "severity": words(Severity::ALL.iter().map(|severity| severity.name()).collect()),
        "group": {"type": "object", "additionalProperties": text},
        "gathered": flag,
        "count": {"type": "integer", "minimum": 1},
        "first_seen": time,
        "last_seen": time,
        "accounts": {"type": "array", "items": text, "maxItems": 20},
        "accounts_total": {"type": "integer", "minimum": 0, "maximum": 500},
        "accounts_more": flag,
        "verdict": words(verdicts.map(|verdict| verdict.name()).collect()),
        "observed": flag,
        "message": maybe_text,
        "evidence": {"type": "array", "items": evidence},
        "first_event": event,
        "last_event": event,
        "ruleset": {"type": "string", "pattern": "^[0-9a-f]{12}$"},
        "tags": {"type": "array", "items": text},
        "owner": maybe_text,
    });
    let required: Vec<&String> = properties.as_object().into_iter().flat_map(|keys| keys.keys()).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "refguard alert",
        "type": "object",
        "required": required,
        "additionalProperties": false,
        "properties": properties,
    })
}
