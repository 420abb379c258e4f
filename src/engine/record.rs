//! The verdict as its readers see it: one line of JSON, members in the order of docs/verdicts.md.

use super::decide::{Match, program_name};
use super::holds::EventOf;
use super::judgement::{Judgement, Judgements, Outcome};
use crate::event::json::{write_double, write_escaped, write_int, write_string, write_timestamp};
use crate::event::{Cause, Event, EventBatch, Field, Verdict, write_time_ms};
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
    out.extend_from_slice(b"{\"specversion\":\"1\",\"event_id\":\"");
    write_escaped(out, batch.field(event, Field::Id));
    out.extend_from_slice(b"\",\"source\":\"");
    write_escaped(out, batch.field(event, Field::Source));
    out.extend_from_slice(b"\",\"program\":\"");
    write_escaped(out, program);
    out.extend_from_slice(b"\",\"type\":\"");
    write_escaped(out, batch.field(event, Field::Type));
    match batch.field(event, Field::AccountId) {
        "" => out.extend_from_slice(b"\",\"account_id\":null,\"time\":\""),
        account => {
            out.extend_from_slice(b"\",\"account_id\":\"");
            write_escaped(out, account);
            out.extend_from_slice(b"\",\"time\":\"");
        }
    }
    write_time_ms(out, event.event_time_ms);
    if !write_nothing_found(out, judgement) {
        write_findings(out, judgement, judgements);
        out.extend_from_slice(b",\"hold_id\":");
        match judgement.held {
            Some(name) => write_string(out, &name.id(EventOf::read(batch, event))),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"ruleset\":\"");
    }
    out.extend_from_slice(ruleset.as_bytes());
    out.push(b'"');
    write_marks(out, judgement);
    out.push(b'}');
}

/// Appends what is remembered of a verdict on the event of this program, source and id.
pub(super) fn write_recalled(out: &mut Vec<u8>, of: EventOf<'_>, judgement: &Judgement, judgements: &Judgements) {
    let EventOf { program, source, id, .. } = of;
    out.extend_from_slice(b"{\"specversion\":\"1\",\"event_id\":");
    write_string(out, id);
    out.extend_from_slice(b",\"source\":");
    write_string(out, source);
    out.extend_from_slice(b",\"program\":");
    write_string(out, program);
    write_word(out, ",\"verdict\":\"", judgement.verdict);
    write_word(out, ",\"current\":\"", judgement.current.unwrap_or(judgement.verdict));
    out.extend_from_slice(b",\"cause\":\"");
    out.extend_from_slice(judgement.cause.name().as_bytes());
    out.extend_from_slice(b"\",\"score\":");
    write_int(out, judgement.score);
    for (name, piece) in [
        (",\"rules\":[", judgement.rules),
        (",\"decisions\":[", judgement.decisions),
        (",\"created\":[", judgement.created),
    ] {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(judgements.piece(piece));
        out.push(b']');
    }
    out.extend_from_slice(b",\"hold_id\":");
    match judgement.held {
        Some(name) => write_string(out, &name.id(of)),
        None => out.extend_from_slice(b"null"),
    }
    // What a repeat would be told too.
    write_marks(out, &Judgement { outcome: Outcome::Judged, current: None, ..*judgement });
    out.push(b'}');
}

/// Appends, if nothing speaks against the event and none of it was written down, what stands behind its time up to the
/// hash of the rule set; answers whether it did. Most verdicts are such.
fn write_nothing_found(out: &mut Vec<u8>, judgement: &Judgement) -> bool {
    let Judgement { verdict, cause, score, rules, evidence, decisions, created, .. } = judgement;
    let written = [rules, evidence, decisions, created].iter().any(|piece| piece.start != piece.end);
    if written || *score != 0 || (*verdict, *cause) != (Verdict::Allow, Cause::None) {
        return false;
    }
    out.extend_from_slice(match judgement.parties {
        None => {
            b"\",\"verdict\":\"allow\",\"cause\":\"none\",\"score\":0,\"parties\":{},\"rules\":[],\"evidence\":[],\
              \"decisions\":[],\"created\":[],\"hold_id\":null,\"ruleset\":\""
        }
        Some((Verdict::Allow, Verdict::Allow)) => {
            b"\",\"verdict\":\"allow\",\"cause\":\"none\",\"score\":0,\
              \"parties\":{\"referrer\":\"allow\",\"referee\":\"allow\"},\"rules\":[],\"evidence\":[],\
              \"decisions\":[],\"created\":[],\"hold_id\":null,\"ruleset\":\""
        }
        Some(_) => return false,
    });
    true
}

/// Appends what stands behind the time of the event up to `created`.
fn write_findings(out: &mut Vec<u8>, judgement: &Judgement, judgements: &Judgements) {
    out.extend_from_slice(b"\",\"verdict\":\"");
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
}

/// Appends the members that stand only where they apply.
fn write_marks(out: &mut Vec<u8>, judgement: &Judgement) {
    if judgement.outcome == Outcome::Repeat {
        out.extend_from_slice(b",\"duplicate\":true");
    }
    if judgement.outcome == Outcome::Repeat || judgement.current.is_some() {
        write_word(out, ",\"current\":\"", judgement.current.unwrap_or(judgement.verdict));
    }
    if judgement.late {
        out.extend_from_slice(b",\"late\":true");
    }
    if judgement.over_quota {
        out.extend_from_slice(b",\"over_quota\":true");
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

#[cfg(test)]
mod tests {
    use super::super::judgement::Piece;
    use super::*;

    #[test]
    fn what_stands_ready_is_what_would_be_written() {
        let judgements = Judgements::default();
        let allow = Some((Verdict::Allow, Verdict::Allow));
        for parties in [None, allow] {
            let judgement = Judgement { parties, ..Judgement::default() };
            let (mut ready, mut written) = (Vec::new(), Vec::new());
            assert!(write_nothing_found(&mut ready, &judgement));
            write_findings(&mut written, &judgement, &judgements);
            written.extend_from_slice(b",\"hold_id\":null,\"ruleset\":\"");
            assert_eq!(String::from_utf8(ready), String::from_utf8(written));
        }
        let piece = Piece { start: 1, end: 2 };
        for found in [
            Judgement { verdict: Verdict::Flag, ..Judgement::default() },
            Judgement { cause: Cause::Score, ..Judgement::default() },
            Judgement { score: 1, ..Judgement::default() },
            Judgement { parties: Some((Verdict::Allow, Verdict::Flag)), ..Judgement::default() },
            Judgement { parties: Some((Verdict::Flag, Verdict::Allow)), ..Judgement::default() },
            Judgement { rules: piece, ..Judgement::default() },
            Judgement { evidence: piece, ..Judgement::default() },
            Judgement { decisions: piece, ..Judgement::default() },
            Judgement { created: piece, ..Judgement::default() },
        ] {
            let mut out = Vec::new();
            assert!(!write_nothing_found(&mut out, &found) && out.is_empty(), "{found:?}");
        }
    }
}
