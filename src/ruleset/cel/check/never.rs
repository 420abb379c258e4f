//! Warnings of what loads and can never be: a word that is none of those that a value can be, a quotient by 0.
//!
//! No type tells `"mobile"` from `"mobil"`, so that a misspelt word is a rule that never matches, in silence. Known are the
//! words of fields and signals, countries and currencies; of a type of event only the rule knows which it can be.

use std::ops::Range;

use super::{Checker, TypeNamed};
use crate::event::{Field, Signal, country, country_text, is_currency, nearest};
use crate::ruleset::cel::function::Operator;
use crate::ruleset::cel::node::{Node, NodeKind};
use crate::ruleset::cel::syntax::{Expr, ExprKind};
use crate::ruleset::cel::value::Value;
use crate::ruleset::cel::{AccountFact, Fault, ReadSource, TextOf};
use crate::ruleset::diagnostic::Diagnostic;

impl Checker<'_> {
    fn warn(&mut self, code: &'static str, span: &Range<usize>, message: String) -> &mut Diagnostic {
        let span = self.source.file_span(span.clone());
        let at = self.warnings.len();
        self.warnings.push(Diagnostic::warning(code, &self.source.file, span, message));
        &mut self.warnings[at]
    }

    /// A whole number divided by a 0 that is written out.
    pub(super) fn warn_of_zero(&mut self, operator: Operator, left: &Node, right: &Node, span: &Range<usize>) {
        let divides = matches!(operator, Operator::Divide | Operator::Remainder);
        let zero = matches!(right.constant(), Some(Value::Int(0) | Value::Uint(0)));
        // What is constant as a whole is told when it is folded.
        if divides && zero && left.constant().is_none() {
            let fault = Fault::DivisionByZero.code().replace('_', " ");
            self.warn("no-value", span, format!("this never has a value: {fault}"));
        }
    }

    /// `==` and `!=` with a text that is written out.
    pub(super) fn warn_of_equality(
        &mut self,
        operator: Operator,
        (left, left_expr): (&Node, &Expr),
        (right, right_expr): (&Node, &Expr),
        span: &Range<usize>,
    ) {
        if !matches!(operator, Operator::Equal | Operator::NotEqual) {
            return;
        }
        for (of, to, expr) in [(left, right, right_expr), (right, left, left_expr)] {
            let Some(word) = to.constant_text() else { continue };
            if word.is_empty() && operator == Operator::Equal {
                self.warn_of_nobody(of, span);
            }
            self.warn_of_word(of, word, &expr.span);
        }
    }

    /// `in` with texts that are written out.
    pub(super) fn warn_of_members(&mut self, of: &Node, members: &Node, written: &Expr) {
        let (Some(Value::List(values)), ExprKind::List(exprs)) = (members.constant(), &written.kind) else { return };
        for (value, expr) in values.iter().zip(exprs) {
            if let Value::Text(word) = value {
                self.warn_of_word(of, word, &expr.span);
            }
        }
    }

    fn warn_of_word(&mut self, of: &Node, word: &str, span: &Range<usize>) {
        if of.kind == NodeKind::Field(Field::Type) {
            if self.expanding.is_empty() {
                self.types.push(TypeNamed { name: word.into(), span: self.source.file_span(span.clone()) });
            }
            return;
        }
        let (Some(text), Some(hint)) = (TextOf::of(of), better(of, word)) else { return };
        let message = format!("`{}` is never \"{}\"", text.name(), word.escape_debug());
        self.warn("never-equal", span, message).hint = Some(hint);
    }

    /// `account.referrer == ""`: what is remembered is not empty where it is not known.
    fn warn_of_nobody(&mut self, of: &Node, span: &Range<usize>) {
        let NodeKind::Read(read) = of.kind else { return };
        let ReadSource::Account { role, fact: AccountFact::Referrer } = self.reads.get(read).source else { return };
        let name = format!("{}.referrer", role.name());
        let message =
            format!("this never holds: where nobody is known to have referred the account, `{name}` has no value");
        self.warn("never-equal", span, message).hint = Some(format!("write `!known({name})`"));
    }
}

/// What to write instead of a word that the value can never be; `None` for one that it can be.
fn better(of: &Node, word: &str) -> Option<String> {
    if word.is_empty() {
        return None;
    }
    if matches!(of.kind, NodeKind::Field(Field::Country) | NodeKind::Signal(Signal::IpCountry | Signal::PhoneCountry)) {
        let code = country(word);
        let known = code.as_ref().map(country_text);
        let hint = match known {
            Some(known) if known == word => return None,
            Some(known) => format!("did you mean `{known}`?"),
            None => "a country is two capital letters of ISO 3166-1, such as `SA`".to_owned(),
        };
        return Some(hint);
    }
    if of.kind == NodeKind::Field(Field::Currency) {
        let upper = word.to_ascii_uppercase();
        let hint = match is_currency(&upper) {
            true if upper == word => return None,
            true => format!("did you mean `{upper}`?"),
            false => "a currency is a code of ISO 4217, such as `SAR`, or `PTS`".to_owned(),
        };
        return Some(hint);
    }
    let words = match of.kind {
        NodeKind::Signal(signal) => signal.words()?,
        NodeKind::Field(field) => field.words()?,
        _ => return None,
    };
    if words.contains(&word) {
        return None;
    }
    Some(match nearest(word, words.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it is one of: {}", words.join(", ")),
    })
}
