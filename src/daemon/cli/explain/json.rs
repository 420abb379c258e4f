//! An explanation as JSON.

use serde_json::{Value, json};

use crate::engine::{RuleEnd, RuleExplained, ShadowCause};
use crate::event::write_time_ms;
use crate::lab::explain::{Behind, Explained, LogEvent, Traced};
use crate::ruleset::cel::Term;
use crate::ruleset::program::RuleSet;

/// The whole, or one rule of it.
pub(super) fn write(rules: &RuleSet, explained: &Explained, only: Option<&str>) -> String {
    let Explained { event, judgement, explanation, traced } = explained;
    let wanted = |rule: &&RuleExplained| only.is_none_or(|only| rules.rules[rule.rule].id == only);
    let side = |of: crate::event::Verdict| of.name();
    let thresholds = &explanation.thresholds;
    let document = json!({
        "event": log_event(event),
        "program": explanation.program,
        "ruleset": rules.hash,
        "verdict": judgement.verdict.name(),
        "would_be": judgement.would_be.map(side),
        "cause": judgement.cause.name(),
        "late": judgement.late,
        "over_quota": judgement.over_quota,
        "parties": judgement.parties.map_or_else(|| json!({}), |(referrer, referee)| {
            json!({"referrer": side(referrer), "referee": side(referee)})
        }),
        "score": {
            "sum": judgement.score,
            "thresholds": {
                "flag": thresholds.flag, "challenge": thresholds.challenge, "hold": thresholds.hold, "block": thresholds.block
            },
        },
        "rules": explanation.rules.iter().filter(wanted).map(|rule| rule_json(rules, rule)).collect::<Vec<_>>(),
        "features": traced.iter().map(traced_json).collect::<Vec<_>>(),
        "decisions": explanation.decisions.iter().map(|of| json!({
            "id": of.id, "kind": of.kind.name(), "subject": of.subject, "verdict": of.verdict.name(), "rule": of.rule,
            "by": of.by, "created": time(of.created_ms), "expires": of.expires_ms.map(time),
        })).collect::<Vec<_>>(),
    });
    format!("{document:#}\n")
}

fn rule_json(rules: &RuleSet, of: &RuleExplained) -> Value {
    let rule = &rules.rules[of.rule];
    let (end, because) = match of.end {
        RuleEnd::Enforced => ("matched", None),
        RuleEnd::Shadowed(cause) => ("shadowed", Some(shadow(cause).to_owned())),
        RuleEnd::Eased(verdict) => ("eased", Some(format!("breaker: {}", verdict.name()))),
        RuleEnd::Excepted(place) => ("excepted", of.except.get(place).map(|term| term.text.clone())),
        RuleEnd::NotMatched => ("not_matched", None),
        RuleEnd::Expired => ("expired", None),
    };
    json!({
        "id": rule.id, "title": rule.title, "pack": rule.pack, "place": format!("{}:{}", rule.place.path.display(), rule.place.line),
        "end": end, "because": because, "action": rule.action.map(|action| action.name()), "score": rule.score,
        "when": term(&of.when), "except": of.except.iter().map(term).collect::<Vec<_>>(), "message": of.message,
    })
}

fn term(of: &Term) -> Value {
    let (value, fault) = match &of.value {
        Ok(value) => (Some(value), None),
        Err(fault) => (None, Some(fault.code())),
    };
    json!({
        "text": of.text, "value": value, "fault": fault, "evaluated": of.evaluated,
        "terms": of.terms.iter().map(term).collect::<Vec<_>>(),
    })
}

fn traced_json(of: &Traced) -> Value {
    let (since_ms, until_ms) = of.read.window_ms;
    let reading = &of.read.reading;
    json!({
        "feature": of.read.feature, "aggregate": of.read.aggregate, "key": of.read.key, "own": of.read.own,
        "value": serde_json::from_slice::<Value>(&of.read.value()).unwrap_or_default(),
        "known": reading.known, "exact": reading.exact, "complete": reading.complete,
        "window": {"after": since_ms.map(time), "until": time(until_ms)},
        "events_total": of.total,
        "events": of.events.iter().map(|Behind { event, value }| {
            let mut told = log_event(event);
            told["value"] = json!(value);
            told
        }).collect::<Vec<_>>(),
    })
}

fn log_event(of: &LogEvent) -> Value {
    json!({
        "id": of.id, "source": of.source, "type": of.event_type, "account_id": of.account, "time": time(of.time_ms),
        "line": of.line,
    })
}

/// Why a rule that matched does not count, in one word.
pub(super) fn shadow(cause: ShadowCause) -> &'static str {
    match cause {
        ShadowCause::Mode => "mode",
        ShadowCause::Rollout => "rollout",
        ShadowCause::Incomplete => "incomplete",
        ShadowCause::Breaker => "breaker",
    }
}

/// An instant as RFC 3339 with milliseconds.
pub(super) fn time(time_ms: i64) -> String {
    let mut out = Vec::new();
    write_time_ms(&mut out, time_ms);
    String::from_utf8_lossy(&out).into_owned()
}
