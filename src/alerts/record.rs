//! A record of an alert: one line of JSON, members in the order of docs/alerts.md.

use super::alert::{Alert, EventName};
use super::lines::BEFORE_ID;
use super::words::{AlertChange, AlertClosing};
use crate::event::json::{write_int, write_string, write_timestamp};
use crate::ruleset::program::Rule;

/// Appends the record of an alert as it is now, without a line feed. `rule` is its rule, in the rule set of this hash.
pub(super) fn write_record(
    out: &mut Vec<u8>,
    alert: &Alert,
    change: AlertChange,
    closing: Option<AlertClosing>,
    rule: &Rule,
    ruleset: &str,
) {
    out.extend_from_slice(BEFORE_ID);
    out.extend_from_slice(alert.id.as_bytes());
    out.extend_from_slice(b"\",\"revision\":");
    write_int(out, alert.revision as i64);
    word(out, "state", Some(if closing.is_some() { "closed" } else { "open" }));
    word(out, "change", Some(change.name()));
    word(out, "closed_by", closing.map(AlertClosing::name));
    word(out, "program", Some(&alert.program));
    word(out, "rule", Some(&alert.rule));
    word(out, "title", Some(&rule.title));
    word(out, "severity", Some(alert.severity.name()));
    raw(out, "group", &[b"{", &alert.group, b"}"]);
    flag(out, "gathered", alert.group.is_empty());
    member(out, "count");
    write_int(out, alert.count as i64);
    member(out, "first_seen");
    write_timestamp(out, alert.first_seen_ms);
    member(out, "last_seen");
    write_timestamp(out, alert.last_seen_ms);
    write_accounts(out, alert);
    word(out, "verdict", Some(alert.verdict.name()));
    flag(out, "observed", alert.observed);
    raw(out, "message", &[&alert.message]);
    raw(out, "evidence", &[b"[", &alert.evidence, b"]"]);
    event(out, "first_event", &alert.first_event);
    event(out, "last_event", &alert.last_event);
    word(out, "ruleset", Some(ruleset));
    member(out, "tags");
    array(out, rule.tags.iter().map(String::as_str));
    word(out, "owner", rule.owner.as_deref());
    out.push(b'}');
}

/// Those that its events name, with how many there are, as far as they were counted.
fn write_accounts(out: &mut Vec<u8>, alert: &Alert) {
    member(out, "accounts");
    array(out, alert.accounts.named.iter().map(|account| &**account));
    member(out, "accounts_total");
    write_int(out, alert.accounts.total() as i64);
    flag(out, "accounts_more", alert.accounts.more);
}

fn member(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn word(out: &mut Vec<u8>, name: &str, word: Option<&str>) {
    member(out, name);
    match word {
        Some(word) => write_string(out, word),
        None => out.extend_from_slice(b"null"),
    }
}

fn flag(out: &mut Vec<u8>, name: &str, holds: bool) {
    member(out, name);
    out.extend_from_slice(if holds { b"true" } else { b"false" });
}

fn raw(out: &mut Vec<u8>, name: &str, pieces: &[&[u8]]) {
    member(out, name);
    pieces.iter().for_each(|piece| out.extend_from_slice(piece));
}

fn array<'t>(out: &mut Vec<u8>, texts: impl Iterator<Item = &'t str>) {
    out.push(b'[');
    for (at, text) in texts.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string(out, text);
    }
    out.push(b']');
}

fn event(out: &mut Vec<u8>, name: &str, event: &EventName) {
    raw(out, name, &[b"{\"source\":"]);
    write_string(out, &event.source);
    out.extend_from_slice(b",\"id\":");
    write_string(out, &event.id);
    out.push(b'}');
}
