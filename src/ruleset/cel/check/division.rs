//! Division of whole numbers by what a feature counted: nearly always a share is meant, and gets cut to 0.
//!
//! CEL cuts quotients of ints, so `refunds / orders >= 0.4` is a clash of types, and what people write next,
//! `refunds / orders >= 1`, never holds below 100 %. A dividend that was scaled before (`100 * refunds / orders`) keeps
//! what matters, and `int(a / b)` says that the whole quotient is meant; both stand, and so do constant divisors.

use std::ops::Range;

use super::Checker;
use crate::ruleset::cel::function::Operator;
use crate::ruleset::cel::node::{Node, NodeKind};
use crate::ruleset::cel::syntax::{Expr, ExprKind};
use crate::ruleset::cel::value::Value;
use crate::ruleset::cel::{ReadSource, Type};

/// The function that says that a cut quotient is meant.
const WHOLE: &str = "int";

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

/// Whether a dividend is written out, or multiplied by a number that is.
fn is_scaled(node: &Node) -> bool {
    let is_factor = |node: &Node| matches!(node.constant(), Some(Value::Int(factor)) if !(-1..=1).contains(factor));
    match &node.kind {
        NodeKind::Constant(_) => true,
        NodeKind::Operator(Operator::Multiply, factors) => factors.iter().any(is_factor),
        _ => false,
    }
}
