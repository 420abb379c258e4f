//! A look at an expression's characters before it is parsed: bounds that keep the parser safe, the pairs of
//! brackets, by which diagnostics underline whole calls, and the signs before operands, of which the parser drops pairs.
//!
//! The parser recurses for brackets and chains of operators alike, so both count towards one depth. What people write by the
//! habits of other languages is refused here too, since the parser's own words would not help them.

mod foreign;

use std::collections::BTreeMap;
use std::ops::Range;

use crate::event::ascii_digit;
use crate::ruleset::diagnostic::visible;

/// The longest expression, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 16 * 1024;
/// The deepest nesting: enclosing brackets, and operators in a chain at each level.
pub(super) const DEPTH_MAX: usize = 64;
/// The most members of one list, entries of one map or terms of one `&&`.
pub(super) const MEMBERS_MAX: usize = 1000;

/// What is wrong with the characters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LexicalFault {
    pub code: &'static str,
    pub span: Range<usize>,
    pub message: String,
    pub hint: Option<String>,
}

/// The pairs of brackets of a text and the signs before its operands, by place.
#[derive(Debug, Default)]
pub(super) struct Outline {
    closes: BTreeMap<usize, usize>,
    signs: BTreeMap<usize, Signs>,
}

/// The signs `!` or `-` that stand in a row before an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signs {
    /// Where the first stands.
    pub start: usize,
    /// Whether they are `!`.
    pub negates_bool: bool,
    pub count: usize,
}

impl Outline {
    /// The signs before the operand that begins here. Those of the other kind before them stand at their start.
    pub(super) fn signs_before(&self, operand: usize) -> Option<Signs> {
        self.signs.get(&operand).copied()
    }

    /// Where the bracket that opens here closes.
    pub(super) fn close_of(&self, open: usize) -> Option<usize> {
        self.closes.get(&open).copied()
    }
}

/// One level of brackets that is open.
struct Level {
    open: usize,
    /// Whether its bracket only groups: a parenthesis that calls nothing.
    groups: bool,
    /// Operators since the level began, or since its last comma, `&&` or `||`.
    chain: usize,
    /// Conditional operators since the level began, or since its last comma.
    choices: usize,
    members: usize,
}

/// What a string literal is by the letters before it.
#[derive(Clone, Copy)]
struct Literal {
    raw: bool,
    bytes: bool,
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    levels: Vec<Level>,
    outline: Outline,
    /// The signs since the last operand or other operator.
    signs: Option<Signs>,
    /// Whether the last token ends an operand, so that `-` after it subtracts.
    after_operand: bool,
    /// Whether the token before the last ended an operand.
    follows_operand: bool,
    /// The word before the last token, if that was one.
    last_word: Option<Range<usize>>,
}

/// Looks through a text.
///
/// # Errors
///
/// The first thing because of which the text cannot be an expression, or is larger than one may be.
pub(super) fn scan(text: &str) -> Result<Outline, LexicalFault> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("an expression is at most {TEXT_BYTES_MAX} bytes long; this one has {}", text.len());
        return Err(LexicalFault { code: "too-long", span: 0..text.len(), message, hint: None });
    }
    let ground = Level { open: 0, groups: true, chain: 0, choices: 0, members: 0 };
    let mut scan = Scan {
        text,
        at: 0,
        levels: vec![ground],
        outline: Outline::default(),
        signs: None,
        after_operand: false,
        follows_operand: false,
        last_word: None,
    };
    while scan.at < text.len() {
        scan.token()?;
    }
    match scan.levels.pop() {
        Some(level) if !scan.levels.is_empty() => {
            let bracket = &text[level.open..level.open + 1];
            Err(syntax(level.open..level.open + 1, format!("this `{bracket}` is never closed")))
        }
        _ => Ok(scan.outline),
    }
}

fn syntax(span: Range<usize>, message: impl Into<String>) -> LexicalFault {
    LexicalFault { code: "syntax", span, message: message.into(), hint: None }
}

impl Scan<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|c| !wanted(c)).unwrap_or(rest.len());
    }

    fn token(&mut self) -> Result<(), LexicalFault> {
        let Some(first) = self.rest().chars().next() else { return Ok(()) };
        let is_sign = first == '-' && !self.after_operand || first == '!' && !self.rest().starts_with("!=");
        match first {
            ' ' | '\t' | '\n' | '\r' | '\u{c}' => {
                self.at += 1;
                return Ok(());
            }
            '/' if self.rest().starts_with("//") => {
                self.skip_while(|c| c != '\n');
                return Ok(());
            }
            _ if is_sign => return self.sign(first == '!'),
            _ => {}
        }
        // A name that begins with a dot stands where its word does.
        if first != '.'
            && let Some(signs) = self.signs.take()
        {
            self.outline.signs.insert(self.at, signs);
        }
        self.follows_operand = self.after_operand;
        self.after_operand = !"([{,&|?+-*/%<>=!:.".contains(first);
        self.significant(first)
    }

    /// A token that is no space, comment or sign.
    fn significant(&mut self, first: char) -> Result<(), LexicalFault> {
        match first {
            '"' | '\'' => self.string(self.at, Literal { raw: false, bytes: false }),
            'a'..='z' | 'A'..='Z' | '_' => self.word(),
            '0'..='9' => self.number(),
            '`' => self.quoted_name(),
            '(' | '[' | '{' => self.open(),
            ')' | ']' | '}' => self.close(first),
            ',' => self.member(),
            '&' | '|' => self.logic(first),
            '.' | '?' | '+' | '-' | '*' | '/' | '%' | '<' | '>' | '=' | '!' | ':' => self.operator(first),
            _ => {
                let digits: String = self.rest().chars().map_while(ascii_digit).collect();
                let foreign: usize = self.rest().chars().take(digits.len()).map(char::len_utf8).sum();
                let span = self.at..self.at + foreign.max(first.len_utf8());
                let found = &self.text[span.clone()];
                let message = format!("an expression cannot have `{}` outside of a string", visible(found));
                let meant = if digits.is_empty() { foreign::sign(first) } else { Some(digits.as_str()) };
                let hint = meant.map(|meant| format!("write `{meant}`"));
                Err(LexicalFault { hint, ..syntax(span, message) })
            }
        }
    }

    /// One more `!` or `-` before an operand.
    fn sign(&mut self, negates_bool: bool) -> Result<(), LexicalFault> {
        let signs = match self.signs.take() {
            Some(signs) if signs.negates_bool == negates_bool => Signs { count: signs.count + 1, ..signs },
            other => {
                if let Some(other) = other {
                    self.outline.signs.insert(self.at, other);
                }
                Signs { start: self.at, negates_bool, count: 1 }
            }
        };
        self.signs = Some(signs);
        self.at += 1;
        self.after_operand = false;
        self.deepen()
    }

    fn word(&mut self) -> Result<(), LexicalFault> {
        let start = self.at;
        self.skip_while(|c| c.is_ascii_alphanumeric() || c == '_');
        let word = &self.text[start..self.at];
        let quoted = self.rest().starts_with(['"', '\'']);
        if quoted {
            return match word {
                "r" | "R" => self.string(start, Literal { raw: true, bytes: false }),
                "br" | "bR" | "Br" | "BR" => self.string(start, Literal { raw: true, bytes: true }),
                "b" | "B" => self.string(start, Literal { raw: false, bytes: true }),
                _ => {
                    let message = format!("`{word}` cannot stand before a string");
                    let hint =
                        "a string that is raw begins with `r`, one of bytes with `b`, and one that is both with `br`";
                    Err(LexicalFault { hint: Some(hint.to_owned()), ..syntax(start..self.at, message) })
                }
            };
        }
        if word == "in" {
            self.after_operand = false;
            self.last_word = None;
            return self.deepen();
        }
        self.no_operand_before(start)?;
        self.last_word = Some(start..self.at);
        Ok(())
    }

    /// Refuses an operand that begins here, right behind another one.
    fn no_operand_before(&mut self, start: usize) -> Result<(), LexicalFault> {
        let last = self.last_word.take();
        if !self.follows_operand {
            return Ok(());
        }
        let word = &self.text[start..self.at];
        let not_in = word.eq_ignore_ascii_case("not") && foreign::word_at(self.rest()) == "in";
        let (span, hint) = match (foreign::operator(word), last) {
            _ if not_in => (start..self.at, Some("CEL writes `!(x in list)`")),
            (Some(meant), _) => (start..self.at, Some(meant)),
            (None, Some(last)) if foreign::prefix(&self.text[last.clone()]).is_some() => {
                (last.clone(), foreign::prefix(&self.text[last]))
            }
            _ => (start..self.at, None),
        };
        let message = format!("`{}` is not expected here", visible(&self.text[span.clone()]));
        Err(LexicalFault { hint: hint.map(str::to_owned), ..syntax(span, message) })
    }

    /// Digits, with their point and exponent, so that neither counts as an operator.
    fn number(&mut self) -> Result<(), LexicalFault> {
        let start = self.at;
        self.skip_while(|c| c.is_ascii_alphanumeric());
        let fraction = self.rest().strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if fraction {
            self.at += 1;
            self.skip_while(|c| c.is_ascii_alphanumeric());
        }
        if self.text[..self.at].ends_with(['e', 'E']) && self.rest().starts_with(['+', '-']) {
            self.at += 1;
            self.skip_while(|c| c.is_ascii_digit());
        }
        let number = &self.text[start..self.at];
        // `1in [1]` is a number and an operator.
        if number.ends_with("in") {
            self.after_operand = false;
            return Ok(());
        }
        if self.rest().starts_with('_') {
            self.skip_while(|c| c.is_ascii_alphanumeric() || c == '_');
            let hint = format!("write `{}`", self.text[start..self.at].replace('_', ""));
            let fault = syntax(start..self.at, "digits are not grouped");
            return Err(LexicalFault { hint: Some(hint), ..fault });
        }
        if let Some(hint) = foreign::span(number) {
            let message = format!("`{number}` is no number");
            return Err(LexicalFault { hint: Some(hint), ..syntax(start..self.at, message) });
        }
        self.no_operand_before(start)
    }

    fn string(&mut self, start: usize, literal: Literal) -> Result<(), LexicalFault> {
        let quote = &self.text[self.at..self.at + 1];
        let triple = quote.repeat(3);
        let (end, multiline) = if self.rest().starts_with(&triple) { (triple.as_str(), true) } else { (quote, false) };
        self.at += end.len();
        loop {
            let rest = self.rest();
            let Some(next) = rest.chars().next() else { break };
            if rest.starts_with(end) {
                self.at += end.len();
                return self.no_operand_before(start);
            }
            if !multiline && (next == '\n' || next == '\r') {
                break;
            }
            self.at += next.len_utf8();
            if next == '\\' && !literal.raw {
                self.escape(literal)?;
            }
        }
        Err(syntax(start..self.at, "this string is never closed"))
    }

    /// What stands behind a backslash.
    fn escape(&mut self, literal: Literal) -> Result<(), LexicalFault> {
        let rest = self.rest();
        let len = match foreign::escape(rest, literal.bytes) {
            Some(len) => len,
            // The string ends here, or its line does: that is told as such.
            None if rest.starts_with(['\n', '\r']) || rest.is_empty() => 0,
            None => {
                let char = rest.chars().next().map_or(0, char::len_utf8);
                let span = self.at - 1..self.at + char;
                let written = &self.text[span.clone()];
                let kind = if literal.bytes { "bytes have" } else { "a string has" };
                let message = format!("{kind} no escape `{}`", visible(written));
                let hint = match foreign::hex_digits(rest, literal.bytes) {
                    Some(count) => format!("`{written}` stands before {count} hexadecimal digits that are a character"),
                    None => format!(
                        "write `\\{written}`, or begin the string with `r`: `r\"...\"` takes backslashes as they are"
                    ),
                };
                return Err(LexicalFault { hint: Some(hint), ..syntax(span, message) });
            }
        };
        self.at += len;
        Ok(())
    }

    fn quoted_name(&mut self) -> Result<(), LexicalFault> {
        let start = self.at;
        self.at += 1;
        self.skip_while(|c| c.is_ascii_alphanumeric() || "_.-/ ".contains(c));
        if !self.rest().starts_with('`') || self.at == start + 1 {
            let message =
                "a name in backticks has letters, digits, `_`, `.`, `-`, `/` and spaces, and ends with a backtick";
            return Err(syntax(start..self.at, message));
        }
        self.at += 1;
        Ok(())
    }

    fn open(&mut self) -> Result<(), LexicalFault> {
        self.deepen()?;
        let groups = self.rest().starts_with('(') && !self.follows_operand;
        self.levels.push(Level { open: self.at, groups, chain: 0, choices: 0, members: 0 });
        self.last_word = None;
        self.at += 1;
        Ok(())
    }

    fn close(&mut self, bracket: char) -> Result<(), LexicalFault> {
        let span = self.at..self.at + 1;
        let opener = match bracket {
            ')' => "(",
            ']' => "[",
            _ => "{",
        };
        let level = if self.levels.len() > 1 { self.levels.pop() } else { None };
        match level {
            Some(level) if self.text[level.open..].starts_with(opener) => {
                self.outline.closes.insert(level.open, self.at);
                self.at += 1;
                Ok(())
            }
            _ => Err(syntax(span, format!("this `{bracket}` closes nothing"))),
        }
    }

    fn member(&mut self) -> Result<(), LexicalFault> {
        let span = self.at..self.at + 1;
        let comma = self.rest().starts_with(',');
        if comma {
            self.no_comma()?;
        }
        self.at += 1;
        let level = self.levels.last_mut().expect("the ground level is never closed");
        level.chain = 0;
        level.choices = if comma { 0 } else { level.choices };
        level.members += 1;
        if level.members > MEMBERS_MAX {
            let message = format!("at most {MEMBERS_MAX} members are written out; use a declared list for more");
            return Err(LexicalFault { code: "too-long", span, message, hint: None });
        }
        Ok(())
    }

    /// Refuses a comma where nothing is listed.
    fn no_comma(&self) -> Result<(), LexicalFault> {
        let level = self.levels.last().expect("the ground level is never closed");
        if !level.groups {
            return Ok(());
        }
        let hint = match foreign::grouped_digits(&self.text[..self.at], &self.rest()[1..]) {
            Some(number) => format!("digits are not grouped: write `{number}`"),
            None if self.levels.len() > 1 => "a list stands in square brackets: `[\"a\", \"b\"]`".to_owned(),
            None => "conditions are joined by `&&` or `||`".to_owned(),
        };
        let fault = syntax(self.at..self.at + 1, "`,` is not expected here");
        Err(LexicalFault { hint: Some(hint), ..fault })
    }

    /// `&&` and `||` make balanced trees, so that they begin a new chain.
    fn logic(&mut self, sign: char) -> Result<(), LexicalFault> {
        let span = self.at..self.at + 1;
        let doubled = self.rest()[1..].starts_with(sign);
        if !doubled {
            return Err(syntax(span, format!("`{sign}` is written twice: `{sign}{sign}`")));
        }
        self.member()?;
        self.at += 1;
        Ok(())
    }

    fn operator(&mut self, sign: char) -> Result<(), LexicalFault> {
        let start = self.at;
        if let Some((written, meant)) = foreign::comparison(self.rest()) {
            let message = format!("`{written}` is no operator");
            let hint = Some(format!("CEL writes `{meant}`"));
            return Err(LexicalFault { hint, ..syntax(start..start + written.len(), message) });
        }
        self.last_word = None;
        self.at += 1;
        let two = matches!(sign, '<' | '>' | '=' | '!') && self.rest().starts_with('=');
        if sign == '=' && !two {
            return Err(syntax(start..start + 1, "equality is written `==`"));
        }
        self.at += usize::from(two);
        match sign {
            ':' => Ok(()),
            '?' => {
                self.levels.last_mut().expect("the ground level is never closed").choices += 1;
                self.bound_depth()
            }
            _ => self.deepen(),
        }
    }

    /// Counts a step down: a bracket, or one more operator in a chain.
    fn deepen(&mut self) -> Result<(), LexicalFault> {
        let level = self.levels.last_mut().expect("the ground level is never closed");
        level.chain += 1;
        self.bound_depth()
    }

    fn bound_depth(&self) -> Result<(), LexicalFault> {
        let depth: usize = self.levels.iter().map(|level| level.chain + level.choices).sum();
        if depth > DEPTH_MAX {
            let message =
                format!("the expression nests deeper than {DEPTH_MAX} brackets and operators; split it with macros");
            return Err(LexicalFault {
                code: "too-deep",
                span: self.at.saturating_sub(1)..self.at,
                message,
                hint: None,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
