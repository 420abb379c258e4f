//! Messages with expressions in braces: `"{event.account_id} was invited by {event.referrer_id}"`.

use std::ops::Range;

use super::{Compiled, Facts, Names, Position, ReadTable, Scope, Source, Uses, Wanted, compile};
use crate::ruleset::diagnostic::Diagnostic;

/// The most expressions of one message.
const EXPRESSIONS_MAX: usize = 64;

/// A checked and compiled message.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    parts: Vec<Part>,
    uses: Uses,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Value(Compiled),
}

/// A piece of a message as written.
enum Piece {
    Char(char),
    /// The bytes between a pair of braces.
    Expression(Range<usize>),
}

impl Template {
    /// Checks a message's text. `{{` and `}}` are braces; an expression of any printable type stands between single
    /// ones.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, at least one.
    pub fn compile(source: &Source, scope: &Scope, reads: &mut ReadTable) -> Result<Template, Vec<Diagnostic>> {
        let mut template = Template { parts: Vec::new(), uses: Uses::default() };
        let mut diagnostics = Vec::new();
        for piece in pieces(source).map_err(|diagnostic| vec![diagnostic])? {
            match piece {
                Piece::Char(char) => template.push_char(char),
                Piece::Expression(range) => {
                    match compile(&source.part(range), scope, reads, Position::Condition, Wanted::Printable) {
                        Ok(compiled) => {
                            template.uses.add(compiled.uses());
                            template.parts.push(Part::Value(compiled));
                        }
                        Err(mut found) => diagnostics.append(&mut found),
                    }
                }
            }
        }
        if diagnostics.is_empty() { Ok(template) } else { Err(diagnostics) }
    }

    /// What its expressions need.
    pub fn uses(&self) -> &Uses {
        &self.uses
    }

    /// Its expressions, in their order.
    pub fn expressions(&self) -> impl Iterator<Item = &Compiled> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Value(compiled) => Some(compiled),
        })
    }

    /// It as it can be written, macros put in.
    pub fn written(&self, names: &dyn Names) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.replace('{', "{{").replace('}', "}}"),
            Part::Value(compiled) => format!("{{{}}}", compiled.written(names)),
        };
        self.parts.iter().map(part).collect()
    }

    /// Appends the message. A part without a value is `?`.
    pub fn render<F: Facts>(&self, facts: &F, out: &mut String) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Value(compiled) => {
                    if compiled.render(facts, out).is_err() {
                        out.push('?');
                    }
                }
            }
        }
    }

    fn push_char(&mut self, char: char) {
        match self.parts.last_mut() {
            Some(Part::Text(text)) => text.push(char),
            _ => self.parts.push(Part::Text(char.to_string())),
        }
    }
}

/// A message cut into characters and expressions.
fn pieces(source: &Source) -> Result<Vec<Piece>, Diagnostic> {
    let text = source.text.as_str();
    let mut pieces = Vec::new();
    let mut expressions = 0;
    let mut at = 0;
    while let Some(char) = text[at..].chars().next() {
        let doubled = text[at + char.len_utf8()..].starts_with(char);
        match char {
            '{' | '}' if doubled => {
                pieces.push(Piece::Char(char));
                at += 2;
            }
            '{' => {
                let end = expression_end(text, at + 1).ok_or_else(|| {
                    let hint = "a brace of its own is written twice: `{{`";
                    source.error("syntax", at..at + 1, "this `{` is never closed").hint(hint)
                })?;
                expressions += 1;
                if expressions > EXPRESSIONS_MAX {
                    let message = format!("a message has at most {EXPRESSIONS_MAX} expressions");
                    return Err(source.error("too-long", at..end + 1, message));
                }
                pieces.push(Piece::Expression(at + 1..end));
                at = end + 1;
            }
            '}' => {
                let hint = "a brace of its own is written twice: `}}`";
                return Err(source.error("syntax", at..at + 1, "this `}` closes nothing").hint(hint));
            }
            char => {
                pieces.push(Piece::Char(char));
                at += char.len_utf8();
            }
        }
    }
    Ok(pieces)
}

/// Where the expression that begins here is closed by its brace; strings and maps in it may have braces of their own.
fn expression_end(text: &str, start: usize) -> Option<usize> {
    let mut depth = 0;
    let mut quote = None;
    let mut escaped = false;
    for (at, char) in text[start..].char_indices() {
        match (quote, char) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), char) if char == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(char),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(start + at),
            (None, '}') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}
