//! The tree of an expression as it was written, each part with the bytes that it stands at.
//!
//! The `cel` crate parses; this module bounds the text before, turns its tree into ours, and finds the span of every
//! part: the parser knows an operator by its token alone, and offsets are inclusive bytes.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr as ParsedExpr, IdedExpr, LiteralValue, SourceInfo, operators};

use super::lexical::{self, Outline};
use super::value::Value;
use super::{Source, function::Operator};
use crate::ruleset::diagnostic::{Diagnostic, visible};

/// A part of an expression.
#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub kind: ExprKind,
    pub span: Range<usize>,
}

/// What a part of an expression is.
#[derive(Clone, Debug)]
pub(super) enum ExprKind {
    Literal(Value),
    /// A name; one that begins with a dot is never a variable of a comprehension.
    Name(String),
    Select {
        of: Box<Expr>,
        field: String,
        field_span: Range<usize>,
    },
    Call {
        name: String,
        name_span: Range<usize>,
        target: Option<Box<Expr>>,
        args: Vec<Expr>,
    },
    Operator(Operator, Vec<Expr>),
    Not(Box<Expr>),
    /// An even number of `!` or `-`: it changes no value, and only a bool or a number may have it.
    Undone(Sign, Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Choice(Box<[Expr; 3]>),
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    /// A message of protobuf, which we have none of.
    Message(String),
}

/// What stands before an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// `!`
    Not,
    /// `-`
    Minus,
}

/// Parses the text.
///
/// # Errors
///
/// Everything that the parser finds wrong, at least one.
pub(super) fn parse(source: &Source) -> Result<Expr, Vec<Diagnostic>> {
    let text = source.text.as_str();
    if text.trim().is_empty() {
        return Err(vec![source.error("syntax", 0..text.len(), "there is no expression")]);
    }
    let outline = lexical::scan(text).map_err(|fault| {
        let found = source.error(fault.code, fault.span, fault.message);
        vec![Diagnostic { hint: fault.hint, ..found }]
    })?;
    // The macros of CEL stay calls, so that they are checked as written.
    let parser = cel::Env::default().with_optional_support(false).parser().enable_ident_escape_syntax(true);
    let parsed = catch_unwind(AssertUnwindSafe(|| parser.parse_with_source_info(text)));
    match parsed {
        Ok(Ok((tree, info))) => Tree { text, info: &info, outline: &outline }
            .part(tree)
            .map_err(|message| vec![source.error("syntax", 0..text.len(), message)]),
        Ok(Err(errors)) => Err(syntax_errors(source, &errors)),
        Err(_) => Err(vec![source.error("syntax", 0..text.len(), "the parser cannot read this expression")]),
    }
}

/// The parser's errors, each place once.
fn syntax_errors(source: &Source, errors: &cel::ParseErrors) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = Vec::new();
    for error in &errors.errors {
        // What the parser says of its own half-made trees repeats the error before it.
        if ["Incomplete ", "No `"].iter().any(|start| error.msg.starts_with(start)) && errors.errors.len() > 1 {
            continue;
        }
        let span = token_at(&source.text, error.pos);
        let diagnostic = source.error("syntax", span, plain_message(&error.msg));
        if found.iter().all(|other| other.span != diagnostic.span) {
            found.push(diagnostic);
        }
    }
    if found.is_empty() {
        found.push(source.error("syntax", 0..source.text.len(), "not an expression"));
    }
    found
}

/// The parser's words without its lists of token names.
fn plain_message(message: &str) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let quoted = message.split('\'').nth(1).unwrap_or_default();
    if message.contains("'<EOF>' expecting") || message.contains("at '<EOF>'") {
        return "the expression is not finished".to_owned();
    }
    let unexpected = ["mismatched input", "extraneous input", "no viable alternative", "token recognition error"];
    if unexpected.iter().any(|start| message.starts_with(start)) {
        return match quoted {
            "" => "this is not expected here".to_owned(),
            quoted => format!("`{}` is not expected here", visible(quoted)),
        };
    }
    let mut chars = message.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// The token at a line and a column, both counted from 1, the column in characters.
fn token_at(text: &str, (line, column): (isize, isize)) -> Range<usize> {
    let line_start: usize = text.split_inclusive('\n').take(line.max(1) as usize - 1).map(str::len).sum();
    let rest = &text[line_start.min(text.len())..];
    let skipped = rest.char_indices().nth(column.max(1) as usize - 1).map_or(rest.len(), |(at, _)| at);
    let start = (line_start + skipped).min(text.len());
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let token = &text[start..];
    let Some(first) = token.chars().next() else { return start.saturating_sub(1)..text.len() };
    let len = if word(first) { token.find(|c| !word(c)).unwrap_or(token.len()) } else { first.len_utf8() };
    start..start + len
}

/// A parsed tree and what is needed to place its parts.
struct Tree<'a> {
    text: &'a str,
    info: &'a SourceInfo,
    outline: &'a Outline,
}

impl Tree<'_> {
    /// The bytes of a node's own token.
    fn token(&self, id: u64) -> Range<usize> {
        match self.info.offset_for(id) {
            Some((start, last)) => {
                let end = (last as usize + 1).min(self.text.len());
                (start as usize).min(end)..end
            }
            None => 0..self.text.len(),
        }
    }

    fn convert(&self, node: IdedExpr) -> Result<Expr, String> {
        let token = self.token(node.id);
        match node.expr {
            ParsedExpr::Literal(literal) => Ok(self.literal(literal, token)),
            ParsedExpr::Ident(name) => Ok(Expr { kind: ExprKind::Name(name), span: token }),
            ParsedExpr::Select(select) => {
                let of = self.operand(*select.operand)?;
                let field_span = self.word_after(token.end);
                let span = of.span.start..field_span.end;
                Ok(Expr { kind: ExprKind::Select { of: Box::new(of), field: select.field, field_span }, span })
            }
            ParsedExpr::Call(call) => match call.target {
                Some(target) => self.member_call(*target, call.func_name, call.args, token),
                None => self.call(call.func_name, call.args, token),
            },
            ParsedExpr::List(list) => {
                let span = self.bracketed(&token);
                let members = self.parts(list.elements)?;
                Ok(Expr { kind: ExprKind::List(members), span })
            }
            ParsedExpr::Map(map) => {
                let span = self.bracketed(&token);
                let entries = map.entries.into_iter().filter_map(|entry| match entry.expr {
                    EntryExpr::MapEntry(entry) => Some((entry.key, entry.value)),
                    EntryExpr::StructField(_) => None,
                });
                let entries = entries.map(|(key, value)| Ok((self.part(key)?, self.part(value)?)));
                Ok(Expr { kind: ExprKind::Map(entries.collect::<Result<_, String>>()?), span })
            }
            ParsedExpr::Struct(message) => {
                let span = self.bracketed(&token);
                Ok(Expr { kind: ExprKind::Message(message.type_name), span })
            }
            ParsedExpr::Unspecified | ParsedExpr::Comprehension(_) => Err("not an expression".to_owned()),
        }
    }

    fn parts(&self, nodes: Vec<IdedExpr>) -> Result<Vec<Expr>, String> {
        nodes.into_iter().map(|node| self.part(node)).collect()
    }

    /// A part that stands for itself, with the signs before it that the parser dropped.
    fn part(&self, node: IdedExpr) -> Result<Expr, String> {
        let expr = self.convert(node)?;
        let wider = self.widened(expr.span.clone());
        Ok(self.with_signs(expr, wider))
    }

    /// The parser drops pairs of signs, and with them what they say of types: they are put back.
    fn with_signs(&self, mut expr: Expr, mut span: Range<usize>) -> Expr {
        while let Some(signs) = self.outline.signs_before(span.start) {
            span.start = signs.start;
            if signs.count % 2 == 0 {
                let sign = if signs.negates_bool { Sign::Not } else { Sign::Minus };
                expr = Expr { kind: ExprKind::Undone(sign, Box::new(expr)), span: span.clone() };
            }
        }
        expr
    }

    /// A part beside an operator, with the parentheses around it.
    fn operand(&self, node: IdedExpr) -> Result<Expr, String> {
        let mut expr = self.convert(node)?;
        expr.span = self.widened(expr.span);
        Ok(expr)
    }

    /// An operand of an operator that binds less than a sign.
    fn signed(&self, node: IdedExpr) -> Result<Expr, String> {
        let expr = self.operand(node)?;
        let span = expr.span.clone();
        Ok(self.with_signs(expr, span))
    }

    fn widened(&self, mut span: Range<usize>) -> Range<usize> {
        while let Some(wider) = self.parenthesised(&span) {
            span = wider;
        }
        span
    }

    fn parenthesised(&self, span: &Range<usize>) -> Option<Range<usize>> {
        let before = self.text[..span.start].trim_end();
        let open = before.strip_suffix('(')?.len();
        let close = self.outline.close_of(open)?;
        let follows = close >= span.end && self.text[span.end..close].trim().is_empty();
        let called = before[..open].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        (follows && !called).then_some(open..close + 1)
    }

    /// From an opening bracket to the one that closes it.
    fn bracketed(&self, open: &Range<usize>) -> Range<usize> {
        let close = self.outline.close_of(open.start).map_or(open.end, |close| close + 1);
        open.start..close
    }

    /// The name that begins after some white space, backticks included.
    fn word_after(&self, at: usize) -> Range<usize> {
        let rest = &self.text[at..];
        let start = at + (rest.len() - rest.trim_start().len());
        let name = &self.text[start..];
        let len = match name.strip_prefix('`') {
            Some(quoted) => quoted.find('`').map_or(name.len(), |end| end + 2),
            None => name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len()),
        };
        start..start + len
    }

    /// The name that ends before a call's opening parenthesis.
    fn word_before(&self, open: usize, name: &str) -> Range<usize> {
        let end = self.text[..open].trim_end().len();
        let name = name.trim_start_matches('.');
        end.saturating_sub(name.len())..end
    }

    fn literal(&self, literal: LiteralValue, token: Range<usize>) -> Expr {
        let value = match literal {
            LiteralValue::Boolean(value) => Value::Bool(*value.inner()),
            LiteralValue::Bytes(value) => Value::Bytes(Arc::from(value.inner())),
            LiteralValue::Double(value) => Value::Double(*value.inner()),
            LiteralValue::Int(value) => Value::Int(*value.inner()),
            LiteralValue::Null => Value::Null,
            LiteralValue::String(value) => Value::text(value.inner()),
            LiteralValue::UInt(value) => Value::Uint(*value.inner()),
        };
        // The parser leaves the sign out of a number's token.
        let negative = matches!(value, Value::Int(number) if number < 0)
            || matches!(value, Value::Double(number) if number.is_sign_negative());
        let before = self.text[..token.start].trim_end();
        let start = if negative && before.ends_with('-') { before.len() - 1 } else { token.start };
        Expr { kind: ExprKind::Literal(value), span: start..token.end }
    }

    fn member_call(
        &self,
        target: IdedExpr,
        name: String,
        args: Vec<IdedExpr>,
        open: Range<usize>,
    ) -> Result<Expr, String> {
        let target = self.operand(target)?;
        let name_span = self.word_before(open.start, &name);
        let span = target.span.start..self.bracketed(&open).end;
        let args = self.parts(args)?;
        Ok(Expr { kind: ExprKind::Call { name, name_span, target: Some(Box::new(target)), args }, span })
    }

    /// An operator, which the parser has as a call too, or a call of a function.
    fn call(&self, name: String, args: Vec<IdedExpr>, token: Range<usize>) -> Result<Expr, String> {
        let operator = match name.as_str() {
            operators::INDEX => {
                let [of, at] = <[IdedExpr; 2]>::try_from(args).map_err(|_| "not an expression")?;
                let args = vec![self.operand(of)?, self.part(at)?];
                let span = args[0].span.start..self.bracketed(&token).end;
                return Ok(Expr { kind: ExprKind::Operator(Operator::Index, args), span });
            }
            operators::LOGICAL_AND | operators::LOGICAL_OR => return self.logic(&name, args),
            operators::CONDITIONAL => {
                let args = self.operands(args)?;
                let span = union(&args, &token);
                let args: Box<[Expr; 3]> = Box::new(args.try_into().map_err(|_| "not an expression")?);
                return Ok(Expr { kind: ExprKind::Choice(args), span });
            }
            operators::LOGICAL_NOT => {
                let mut args = self.operands(args)?;
                let span = union(&args, &token);
                let of = args.pop().ok_or("not an expression")?;
                return Ok(Expr { kind: ExprKind::Not(Box::new(of)), span });
            }
            name => Operator::from_parsed(name),
        };
        match operator {
            Some(operator) => {
                let args = self.operands(args)?;
                let span = union(&args, &token);
                Ok(Expr { kind: ExprKind::Operator(operator, args), span })
            }
            None => {
                let name_span = self.word_before(token.start, &name);
                let span = name_span.start..self.bracketed(&token).end;
                let args = self.parts(args)?;
                Ok(Expr { kind: ExprKind::Call { name, name_span, target: None, args }, span })
            }
        }
    }

    fn operands(&self, args: Vec<IdedExpr>) -> Result<Vec<Expr>, String> {
        if args.is_empty() {
            return Err("not an expression".to_owned());
        }
        args.into_iter().map(|arg| self.signed(arg)).collect()
    }

    /// A balanced tree of one logical operator as a flat list of terms, in order.
    fn logic(&self, name: &str, args: Vec<IdedExpr>) -> Result<Expr, String> {
        let mut terms = Vec::new();
        let mut open: Vec<IdedExpr> = args.into_iter().rev().collect();
        while let Some(node) = open.pop() {
            match node.expr {
                ParsedExpr::Call(call) if call.func_name == name && call.target.is_none() => {
                    open.extend(call.args.into_iter().rev());
                }
                expr => terms.push(self.signed(IdedExpr { id: node.id, expr })?),
            }
        }
        let (Some(first), Some(last)) = (terms.first(), terms.last()) else {
            return Err("not an expression".to_owned());
        };
        let span = first.span.start..last.span.end;
        let kind = if name == operators::LOGICAL_AND { ExprKind::And(terms) } else { ExprKind::Or(terms) };
        Ok(Expr { kind, span })
    }
}

/// From the first byte of any to the last of any.
fn union(parts: &[Expr], token: &Range<usize>) -> Range<usize> {
    let start = parts.iter().map(|part| part.span.start).min().unwrap_or(token.start).min(token.start);
    let end = parts.iter().map(|part| part.span.end).max().unwrap_or(token.end).max(token.end);
    start..end
}
