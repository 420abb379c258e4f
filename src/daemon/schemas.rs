//! JSON Schemas of what refguard reads from people and writes to programs, made from the same tables as the code.

mod alert;
mod rules;

pub(super) use rules::{EXPRESSION_BYTES_MAX, SHARE, SPAN, pack};

use serde_json::{Value, json};

use crate::event::{Cause, RuleKind, Severity, Verdict};

/// The schema of a verdict line.
pub fn verdict() -> Value {
    let words = |words: Vec<&str>| json!({"enum": words});
    let verdicts = words(Verdict::ALL.iter().map(|verdict| verdict.name()).collect());
    let text = json!({"type": "string"});
    let maybe_text = json!({"type": ["string", "null"]});
    let rule = json!({
        "type": "object",
        "required": ["id", "action", "score", "severity", "kind", "mode", "customer", "message", "tags"],
        "properties": {
            "id": text,
            "action": {"anyOf": [verdicts, {"type": "null"}]},
            "score": {"type": "integer"},
            "severity": words(Severity::ALL.iter().map(|severity| severity.name()).collect()),
            "kind": words(RuleKind::ALL.iter().map(|kind| kind.name()).collect()),
            "mode": {"enum": ["enforce", "shadow"]},
            "customer": maybe_text,
            "message": maybe_text,
            "tags": {"type": "array", "items": text},
            "breaker": {"const": "open"},
        },
    });
    let evidence = json!({
        "type": "object",
        "required": ["feature", "value", "exact"],
        "properties": {"feature": text, "value": {}, "exact": {"type": "boolean"}},
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "refguard verdict",
        "type": "object",
        "required": [
            "specversion", "event_id", "source", "program", "type", "account_id", "time", "verdict", "cause", "score",
            "parties", "rules", "evidence", "decisions", "created", "hold_id", "ruleset",
        ],
        "properties": {
            "specversion": {"const": "1"},
            "event_id": text,
            "source": text,
            "program": text,
            "type": text,
            "account_id": maybe_text,
            "time": {"type": "string", "format": "date-time"},
            "verdict": verdicts,
            "cause": words(Cause::ALL.iter().map(|cause| cause.name()).collect()),
            "score": {"type": "integer", "minimum": 0},
            "parties": {"type": "object", "properties": {"referrer": verdicts, "referee": verdicts}},
            "rules": {"type": "array", "items": rule},
            "evidence": {"type": "array", "items": evidence},
            "decisions": {"type": "array", "items": text},
            "created": {"type": "array", "items": text},
            "hold_id": maybe_text,
            "ruleset": {"type": "string", "pattern": "^[0-9a-f]{12}$"},
            "duplicate": {"const": true},
            "current": verdicts,
            "late": {"const": true},
            "over_quota": {"const": true},
            "degraded": {"const": true},
            "would_be": verdicts,
            "challenge_id": text,
        },
    })
}

/// The schema of a record of an alert.
pub fn alert() -> Value {
    alert::record()
}

/// The schema of a rule pack, for editors.
pub fn rules() -> Value {
    rules::pack()
}
