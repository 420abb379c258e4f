//! The verdict as its readers see it: one line of JSON, members in the order of docs/verdicts.md.

use super::decide::{Match, hold_id, program_name};
use super::judgement::{Judgement, Judgements, Outcome};
use crate::event::json::{write_double, write_int, write_string, write_timestamp};
use crate::event::{Event, EventBatch, Field, Verdict};
use crate::ruleset::cel::{Reading, ReadingValue};
use crate::ruleset::program::Rule;

/// Appends the verdict on an event, without a line feed.
pub fn write_verdict(
    out: &mut Vec<u8>,
    batch: &EventBatch,
    event: &Event,
    judgement: &Judgement,
    judgements: &Judgements,
    ruleset: &str,
) {
    let program = program_name(batch, event);
    out.extend_from_slice(b"{\"specversion\":\"1\",\"event_id\":");
    write_string(out, batch.field(event, Field::Id));
    out.extend_from_slice(b",\"source\":");
    write_string(out, batch.field(event, Field::Source));
    out.extend_from_slice(b",\"program\":");
    write_string(out, program);
    out.extend_from_slice(b",\"type\":");
    write_string(out, batch.field(event, Field::Type));
    out.extend_from_slice(b",\"account_id\":");
    match batch.field(event, Field::AccountId) {
        "" => out.extend_from_slice(b"null"),
        account => write_string(out, account),
    }
    out.extend_from_slice(b",\"time\":");
    write_timestamp(out, event.event_time_ms);
    out.extend_from_slice(b",\"verdict\":\"");
    out.extend_from_slice(judgement.verdict.name().as_bytes());
    out.extend_from_slice(b"\",\"cause\":\"");
    out.extend_from_slice(judgement.cause.name().as_bytes());
    out.extend_from_slice(b"\",\"score\":");
    write_int(out, judgement.score);
    out.extend_from_slice(b",\"parties\":{");
    if let Some((referrer, referee)) = judgement.parties {
        write_word(out, "\"referrer\":\"", referrer);
        write_word(out, ",\"referee\":\"", referee);
    }
    out.push(b'}');
    for (name, piece) in [
        (",\"rules\":[", judgement.rules),
        (",\"evidence\":[", judgement.evidence),
        (",\"decisions\":[", judgement.decisions),
        (",\"created\":[", judgement.created),
    ] {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(judgements.piece(piece));
        out.push(b']');
    }
    out.extend_from_slice(b",\"hold_id\":");
    if judgement.verdict == Verdict::Hold {
        write_string(out, &hold_id(program, batch.field(event, Field::Source), batch.field(event, Field::Id)));
    } else {
        out.extend_from_slice(b"null");
    }
    out.extend_from_slice(b",\"ruleset\":\"");
    out.extend_from_slice(ruleset.as_bytes());
    out.push(b'"');
    write_marks(out, judgement);
    out.push(b'}');
}

/// Appends the members that stand only where they apply.
fn write_marks(out: &mut Vec<u8>, judgement: &Judgement) {
    if judgement.outcome == Outcome::Repeat {
        out.extend_from_slice(b",\"duplicate\":true");
        write_word(out, ",\"current\":\"", judgement.verdict);
    }
    if judgement.late {
        out.extend_from_slice(b",\"late\":true");
    }
    if let Some(verdict) = judgement.would_be {
        write_word(out, ",\"would_be\":\"", verdict);
    }
}

fn write_word(out: &mut Vec<u8>, before: &str, verdict: Verdict) {
    out.extend_from_slice(before.as_bytes());
    out.extend_from_slice(verdict.name().as_bytes());
    out.push(b'"');
}

/// Appends an element of `rules` up to the value of its message.
pub(super) fn write_rule_before_message(out: &mut Vec<u8>, rule: &Rule, matched: &Match) {
    out.extend_from_slice(b"{\"id\":");
    write_string(out, &rule.id);
    match matched.action {
        Some(action) => write_word(out, ",\"action\":\"", action),
        None => out.extend_from_slice(b",\"action\":null"),
    }
    out.extend_from_slice(b",\"score\":");
    write_int(out, i64::from(matched.score));
    for (name, word) in [
        (",\"severity\":", Some(rule.severity.name())),
        (",\"kind\":", Some(rule.kind.name())),
        (",\"mode\":", Some(if matched.enforced { "enforce" } else { "shadow" })),
        (",\"customer\":", rule.customer.as_deref()),
    ] {
        out.extend_from_slice(name.as_bytes());
        match word {
            Some(word) => write_string(out, word),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.extend_from_slice(b",\"message\":");
}

/// Appends what stands behind the value of its message.
pub(super) fn write_rule_after_message(out: &mut Vec<u8>, rule: &Rule, matched: &Match) {
    out.extend_from_slice(b",\"tags\":[");
    for (at, tag) in rule.tags.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string(out, tag);
    }
    out.push(b']');
    if matched.open {
        out.extend_from_slice(b",\"breaker\":\"open\"");
    }
    out.push(b'}');
}

/// Appends one element of `evidence`.
pub(super) fn write_evidence(out: &mut Vec<u8>, feature: &str, reading: &Reading) {
    out.extend_from_slice(b"{\"feature\":");
    write_string(out, feature);
    out.extend_from_slice(b",\"value\":");
    write_value(out, reading);
    out.extend_from_slice(b",\"exact\":");
    out.extend_from_slice(if reading.exact { b"true" } else { b"false" });
    out.push(b'}');
}

/// Appends the value of a reading. A text that is known only by its hash is `{"known":true}`.
pub(super) fn write_value(out: &mut Vec<u8>, reading: &Reading) {
    match reading.value {
        ReadingValue::Unknown | ReadingValue::Overflow => out.extend_from_slice(b"null"),
        ReadingValue::Int(value) | ReadingValue::DurationMs(value) => write_int(out, value),
        ReadingValue::Double(value) => write_double(out, value),
        ReadingValue::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        ReadingValue::TimestampMs(ms) => write_timestamp(out, ms),
        ReadingValue::Hash(_) | ReadingValue::Text => out.extend_from_slice(b"{\"known\":true}"),
        ReadingValue::Set { size } => {
            out.extend_from_slice(b"{\"size\":");
            write_int(out, size as i64);
            out.push(b'}');
        }
    }
}
