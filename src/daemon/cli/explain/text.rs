//! An explanation for people.

use std::fmt::Write as _;

use super::json::time;
use crate::engine::{RuleEnd, RuleExplained, ShadowCause};
use crate::event::{Cause, Mode};
use crate::lab::explain::{Explained, LogEvent, Traced};
use crate::ruleset::cel::{ReadSource, Term};
use crate::ruleset::program::RuleSet;

/// How many of the events behind a value are shown here; JSON has more.
const EVENTS_SHOWN: usize = 10;
/// Values of terms start in this column where the terms are short.
const VALUE_COLUMN: usize = 72;

/// The words of a terminal's colours; empty where there is none.
struct Page {
    out: String,
    bold: &'static str,
    red: &'static str,
    green: &'static str,
    dim: &'static str,
    reset: &'static str,
}

/// The whole, or one rule of it.
pub(super) fn write(rules: &RuleSet, explained: &Explained, only: Option<&str>, coloured: bool) -> String {
    let [bold, red, green, dim, reset] =
        if coloured { ["\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[2m", "\x1b[0m"] } else { [""; 5] };
    let mut page = Page { out: String::new(), bold, red, green, dim, reset };
    page.head(explained);
    page.score(rules, explained);
    page.decisions(explained);
    page.rules(rules, explained, only);
    // Of rules that did not match, the line that says why has the value; JSON has everything.
    let told = |of: &&RuleExplained| match only {
        Some(only) => rules.rules[of.rule].id == only,
        None => !matches!(of.end, RuleEnd::NotMatched | RuleEnd::Expired),
    };
    let told: Vec<&RuleExplained> = explained.explanation.rules.iter().filter(told).collect();
    let read = |of: &&Traced| told.iter().any(|rule| reads(rules, rule.rule, &of.read.feature));
    let read: Vec<&Traced> = explained.traced.iter().filter(read).collect();
    if !read.is_empty() {
        page.line("");
        page.title("What was read of earlier events");
        read.into_iter().for_each(|traced| page.traced(traced));
    }
    page.out
}

/// Whether a rule reads a feature.
fn reads(rules: &RuleSet, rule: usize, feature: &str) -> bool {
    rules.rules[rule].evidence().any(|read| match &rules.reads.get(read).source {
        ReadSource::Feature { feature: of, .. } => rules.features[of.0 as usize].name == feature,
        _ => false,
    })
}

impl Page {
    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn title(&mut self, text: &str) {
        let (bold, reset) = (self.bold, self.reset);
        self.line(&format!("{bold}{text}{reset}"));
    }

    fn head(&mut self, explained: &Explained) {
        let Explained { event, judgement, explanation, .. } = explained;
        self.line(&format!("{} {}", event.event_type, place(event)));
        let mut verdict = format!("verdict: {}", judgement.verdict.name());
        if let Some(would_be) = judgement.would_be {
            write!(verdict, " (the program is only observed; would be {})", would_be.name())
                .expect("a string takes all");
        }
        if judgement.cause != Cause::None {
            write!(verdict, ", by {}", judgement.cause.name()).expect("a string takes all");
        }
        if let Some((referrer, referee)) = judgement.parties {
            write!(verdict, "; referrer {}, referee {}", referrer.name(), referee.name()).expect("a string takes all");
        }
        if judgement.late {
            verdict.push_str("; late: judged, and counted nowhere");
        }
        if judgement.over_quota {
            verdict.push_str("; over its program's quota of events: judged, and counted nowhere");
        }
        self.title(&verdict);
        self.line(&format!("program: {}", explanation.program));
    }

    fn score(&mut self, rules: &RuleSet, explained: &Explained) {
        let of = &explained.explanation.thresholds;
        self.line(&format!(
            "score: {} (flag from {}, challenge from {}, hold from {}, block from {})",
            explained.judgement.score, of.flag, of.challenge, of.hold, of.block
        ));
        for rule in explained.explanation.rules.iter().filter(|rule| rule.end == RuleEnd::Enforced) {
            let rule = &rules.rules[rule.rule];
            self.line(&format!("  {:>4}  {}", rule.score, rule.id));
        }
    }

    fn decisions(&mut self, explained: &Explained) {
        for of in &explained.explanation.decisions {
            let until =
                of.expires_ms.map_or_else(|| "until a person ends it".to_owned(), |end| format!("until {}", time(end)));
            self.line(&format!(
                "decision {}: {} on {} {}, by {} since {}, {until}",
                of.id,
                of.verdict.name(),
                of.kind.name(),
                of.subject,
                of.rule.as_ref().or(of.by.as_ref()).map_or("", String::as_str),
                time(of.created_ms)
            ));
        }
    }

    fn rules(&mut self, rules: &RuleSet, explained: &Explained, only: Option<&str>) {
        self.line("");
        self.title("Rules");
        let told = &explained.explanation.rules;
        let wanted = |of: &&RuleExplained| only.is_none_or(|only| rules.rules[of.rule].id == only);
        for of in told.iter().filter(wanted) {
            self.rule(rules, of, only.is_some() || of.end != RuleEnd::NotMatched && of.end != RuleEnd::Expired);
        }
        let Some(only) = only else {
            if told.is_empty() {
                self.line(&format!("no rule judges {}", explained.event.event_type));
            }
            return;
        };
        if let Some(rule) = rules.rules.iter().find(|rule| rule.id == only)
            && !told.iter().any(|of| rules.rules[of.rule].id == only)
        {
            let (on, event_type) = (rule.on.iter().map(|of| rules.type_name(*of)), &explained.event.event_type);
            if on.clone().any(|on| on == event_type) {
                self.line(&format!("{only} is off, and judges nothing"));
            } else {
                let off = if rule.mode == Mode::Off { "is off; it would judge" } else { "judges" };
                self.line(&format!("{only} {off} {}, and not {event_type}", on.collect::<Vec<_>>().join(", ")));
            }
        }
    }

    fn rule(&mut self, rules: &RuleSet, of: &RuleExplained, full: bool) {
        let rule = &rules.rules[of.rule];
        let matched = matches!(of.end, RuleEnd::Enforced | RuleEnd::Shadowed(_) | RuleEnd::Eased(_));
        let end = match of.end {
            RuleEnd::Enforced => "matched".to_owned(),
            RuleEnd::Shadowed(cause) => format!("matched in shadow: {}", shadow(cause)),
            RuleEnd::Eased(verdict) => {
                format!("matched while its breaker is open: it gives {} at most", verdict.name())
            }
            RuleEnd::Excepted(place) => {
                format!("excepted: {}", of.except.get(place).map_or("", |term| term.text.as_str()))
            }
            RuleEnd::NotMatched if full => "did not match".to_owned(),
            RuleEnd::NotMatched => format!("did not match: {}", deciding(&of.when)),
            RuleEnd::Expired => "has ended".to_owned(),
        };
        let (colour, dim, reset) = (if matched { self.red } else { self.green }, self.dim, self.reset);
        self.line(&format!("{colour}{}{reset} {end}", rule.id));
        if !full {
            return;
        }
        self.line(&format!("  {dim}{} ({}:{}){reset}", rule.title, rule.place.path.display(), rule.place.line));
        if let Some(message) = &of.message {
            self.line(&format!("  {message}"));
        }
        self.term("when", &of.when, 1);
        for except in &of.except {
            self.term("except", except, 1);
        }
    }

    /// A term with what it is made of, indented below it.
    fn term(&mut self, label: &str, of: &Term, depth: usize) {
        let indent = "  ".repeat(depth);
        let label = if label.is_empty() { String::new() } else { format!("{label} ") };
        let written = format!("{indent}{label}{}", of.text);
        let value = match &of.value {
            Ok(value) => value.clone(),
            Err(fault) => format!("no value: {}", fault.code()),
        };
        let (dim, reset) = (self.dim, self.reset);
        let colour = match value.as_str() {
            "true" => self.red,
            "false" => self.green,
            _ => "",
        };
        let unneeded = if of.evaluated { "" } else { " (not evaluated)" };
        let gap = " ".repeat(VALUE_COLUMN.saturating_sub(written.chars().count()).max(2));
        self.line(&format!("{written}{gap}{colour}{value}{reset}{dim}{unneeded}{reset}"));
        of.terms.iter().for_each(|term| self.term("", term, depth + 1));
    }

    fn traced(&mut self, of: &Traced) {
        let read = &of.read;
        let key = match &read.key {
            Some(parts) => format!("[{}]", parts.join(", ")),
            None => "[a part of the key is empty]".to_owned(),
        };
        let value = String::from_utf8_lossy(&read.value()).into_owned();
        let marks = [
            (!read.reading.known, "nothing known"),
            (!read.reading.exact, "summarised, or refused for want of memory"),
            (!read.reading.complete, "has not seen a whole window yet"),
        ];
        let marks: Vec<&str> = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
        let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
        let (bold, dim, reset) = (self.bold, self.dim, self.reset);
        self.line(&format!("{bold}{}{reset} {key} = {value}{marks}", read.feature));
        let (since_ms, until_ms) = read.window_ms;
        let since = since_ms.map_or_else(String::new, |since_ms| format!("after {}, ", time(since_ms)));
        let events = if of.total == 1 { "event" } else { "events" };
        self.line(&format!("  {dim}{} {events} {since}until {}{reset}", of.total, time(until_ms)));
        for behind in of.events.iter().rev().take(EVENTS_SHOWN) {
            let value = behind.value.as_ref().map_or_else(String::new, |value| format!("  {value}"));
            self.line(&format!("    {} {}{value}", behind.event.event_type, place(&behind.event)));
        }
        if of.total > EVENTS_SHOWN as u64 {
            self.line(&format!("    {dim}and {} earlier ones{reset}", of.total - EVENTS_SHOWN as u64));
        }
    }
}

fn place(of: &LogEvent) -> String {
    let account = if of.account.is_empty() { String::new() } else { format!(", account {}", of.account) };
    format!("{} of {}{account}, {} (line {})", of.id, of.source, time(of.time_ms), of.line)
}

fn shadow(cause: ShadowCause) -> &'static str {
    match cause {
        ShadowCause::Mode => "the rule's mode is `shadow`",
        ShadowCause::Rollout => "the account is outside its rollout",
        ShadowCause::Incomplete => "a feature that it reads has not seen a whole window",
        ShadowCause::Breaker => "its breaker is open",
    }
}

/// The term because of which a condition does not hold, with the values in it.
fn deciding(of: &Term) -> String {
    // Of `a && b` it is the first that does not hold; of `a || b` all of them.
    let failed = of.terms.iter().find(|term| term.evaluated && term.value.as_deref() == Ok("false"));
    if of.text.contains(" && ")
        && let Some(failed) = failed
    {
        return deciding(failed);
    }
    let value = match &of.value {
        Ok(value) => value.clone(),
        Err(fault) => format!("no value ({})", fault.code()),
    };
    let parts: Vec<String> = of
        .terms
        .iter()
        .filter_map(|term| term.value.as_ref().ok().map(|value| format!("{} = {value}", term.text)))
        .collect();
    let parts = if parts.is_empty() { String::new() } else { format!(", {}", parts.join(", ")) };
    format!("{} is {value}{parts}", of.text)
}
