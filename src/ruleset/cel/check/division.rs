//! Division of whole numbers where a share is meant, which gets cut to 0.
//!
//! CEL cuts quotients of ints, so `refunds / orders >= 0.4` is a clash of types, and what people write next,
//! `refunds / orders >= 1`, never holds below 100 %. A dividend that was scaled before (`100 * refunds / orders`) keeps
//! what matters, and `int(a / b)` says that the whole quotient is meant; both stand. By a number that is written out one may
//! divide (`event.amount_minor / 100`), unless the quotient meets a double: `orders / 3 > 0.5` asks for what was cut off.

use std::ops::Range;

use super::Checker;
use crate::ruleset::cel::function::Operator;
use crate::ruleset::cel::node::{Node, NodeKind};
use crate::ruleset::cel::syntax::{Expr, ExprKind};
use crate::ruleset::cel::value::Value;
use crate::ruleset::cel::{ReadSource, Type};

/// The function that says that a cut quotient is meant.
const WHOLE: &str = "int";
/// Those that make doubles of whole numbers.
const DOUBLES: [&str; 2] = ["double", "ratio"];

impl Checker<'_> {
    /// Refuses a quotient that was probably meant to be a share; `None` where it stands.
    pub(super) fn cut_share(
        &mut self,
        (left, left_span): (&Node, &Range<usize>),
        (right, right_span): (&Node, &Range<usize>),
        span: &Range<usize>,
    ) -> Option<Node> {
        let whole = left.ty == Type::Int && right.ty == Type::Int;
        if !whole || is_scaled(left) || !self.is_counted(right) {
            return None;
        }
        let text = |span: &Range<usize>| self.source.text.get(span.clone()).unwrap_or("...");
        let (left, right) = (text(left_span), text(right_span));
        let hint = format!(
            "write `ratio({left}, {right})` for a share, `100 * {left} / {right}` for whole percents, or \
             `int({left} / {right})` if the whole quotient is meant"
        );
        let message = "`/` cuts the quotient of whole numbers: every share below 1 is 0";
        Some(self.error_hint("cut-share", span, message, Some(hint)))
    }

    /// Refuses a cut quotient that is compared or reckoned with a double; `None` where there is none.
    pub(super) fn cut_before_double(&mut self, nodes: [&Node; 2], exprs: [&Expr; 2]) -> Option<Node> {
        let [left, right] = nodes;
        let (cut, expr) = match (&left.ty, &right.ty) {
            (Type::Int, Type::Double) => (left, exprs[0]),
            (Type::Double, Type::Int) => (right, exprs[1]),
            _ => return None,
        };
        self.cut_quotient(cut, expr)
    }

    /// Refuses a cut quotient that is made a double afterwards: by `double`, or as a part of a `ratio`.
    pub(super) fn cut_before_conversion(&mut self, name: &str, nodes: &[Node], exprs: &[&Expr]) -> Option<Node> {
        if !DOUBLES.contains(&name) {
            return None;
        }
        nodes.iter().zip(exprs).find_map(|(node, expr)| self.cut_quotient(node, expr))
    }

    fn cut_quotient(&mut self, node: &Node, expr: &Expr) -> Option<Node> {
        if !is_cut(node) {
            return None;
        }
        let hint = match &expr.kind {
            ExprKind::Operator(Operator::Divide, sides) => {
                let text = |side: &Expr| self.source.text.get(side.span.clone()).unwrap_or("...").to_owned();
                let [left, right] = [&sides[0], &sides[1]].map(text);
                format!("write `ratio({left}, {right})`, or `int({left} / {right})` if the whole quotient is meant")
            }
            _ => "write `ratio(a, b)` instead of `a / b`, or `int(a / b)` if the whole quotient is meant".to_owned(),
        };
        let message = "`/` cuts the quotient of whole numbers before a double is made of it";
        Some(self.error_hint("cut-share", &expr.span, message, Some(hint)))
    }

    /// Checks the argument of `int`, in which a quotient may be cut; `None` for what is no such call.
    pub(super) fn whole_quotient(&mut self, name: &str, args: &[Expr]) -> Option<Vec<Node>> {
        let [Expr { kind: ExprKind::Operator(Operator::Divide, sides), span }] = args else { return None };
        let [left, right] = sides.as_slice() else { return None };
        if name != WHOLE {
            return None;
        }
        let (left, right) = (self.node(left), self.node(right));
        let quotient = self.binary(Operator::Divide, left, right, span);
        Some(vec![self.folded(quotient, span)])
    }

    /// Whether a value depends on what a feature counted.
    fn is_counted(&self, node: &Node) -> bool {
        match &node.kind {
            NodeKind::Read(read) => matches!(self.reads.get(*read).source, ReadSource::Feature { .. }),
            _ => node.children().into_iter().any(|part| self.is_counted(part)),
        }
    }
}

/// Whether a whole number has a quotient in it that was cut, and not by `int`.
fn is_cut(node: &Node) -> bool {
    if node.ty != Type::Int {
        return false;
    }
    match &node.kind {
        NodeKind::Operator(Operator::Divide, sides) => !is_scaled(&sides[0]),
        NodeKind::Operator(Operator::Add | Operator::Subtract | Operator::Multiply | Operator::Negate, parts) => {
            parts.iter().any(is_cut)
        }
        NodeKind::Choice(parts) => parts[1..].iter().any(is_cut),
        _ => false,
    }
}

/// Whether a dividend is written out, or multiplied by a number that is.
fn is_scaled(node: &Node) -> bool {
    let is_factor = |node: &Node| matches!(node.constant(), Some(Value::Int(factor)) if !(-1..=1).contains(factor));
    match &node.kind {
        NodeKind::Constant(_) => true,
        NodeKind::Operator(Operator::Multiply, factors) => factors.iter().any(is_factor),
        _ => false,
    }
}
