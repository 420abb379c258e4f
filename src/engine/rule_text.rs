//! A rule as verdicts show it: what is the same at every match is written once, when the rule set is loaded.
//!
//! A busy rule stands in one verdict of five; between the two texts goes nothing but the message.

use super::decide::Match;
use super::judgement::Piece;
use super::record::{write_rule_after_message, write_rule_before_message};
use crate::event::json::write_string;
use crate::ruleset::program::Rule;

/// The texts around a rule's message, for matches that are worth what the rule says.
#[derive(Debug)]
pub(super) struct RuleText {
    enforced: Box<[u8]>,
    shadow: Box<[u8]>,
    after: Box<[u8]>,
}

impl RuleText {
    pub(super) fn new(rule: &Rule) -> RuleText {
        let matched = |enforced| Match { rule: 0, enforced, open: false, action: rule.action, score: rule.score };
        let before = |enforced| {
            let mut text = Vec::new();
            write_rule_before_message(&mut text, rule, &matched(enforced));
            text.into_boxed_slice()
        };
        let mut after = Vec::new();
        write_rule_after_message(&mut after, rule, &matched(true));
        RuleText { enforced: before(true), shadow: before(false), after: after.into_boxed_slice() }
    }

    /// Appends the rule as an element of `rules`, and answers where its message stands; a verdict that is remembered goes
    /// without one.
    pub(super) fn write(&self, out: &mut Vec<u8>, rule: &Rule, matched: &Match, message: Option<&str>) -> Piece {
        if matched.open {
            write_rule_before_message(out, rule, matched);
        } else {
            out.extend_from_slice(if matched.enforced { &self.enforced } else { &self.shadow });
        }
        let start = out.len() as u32;
        match message.filter(|_| rule.message.is_some()) {
            Some(message) => write_string(out, message),
            None => out.extend_from_slice(b"null"),
        }
        let written = Piece { start, end: out.len() as u32 };
        if matched.open {
            write_rule_after_message(out, rule, matched);
        } else {
            out.extend_from_slice(&self.after);
        }
        written
    }
}
