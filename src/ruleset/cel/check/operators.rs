//! The types that operators take and give.

use std::ops::Range;

use super::{Checker, comparable, with_article};
use crate::ruleset::cel::function::Operator;
use crate::ruleset::cel::node::{Node, NodeKind};
use crate::ruleset::cel::syntax::{Expr, ExprKind};
use crate::ruleset::cel::{ListKind, Type};

impl Checker<'_> {
    pub(super) fn operator(&mut self, operator: Operator, args: &[Expr], span: &Range<usize>) -> Node {
        match (operator, args) {
            (Operator::Negate, [of]) => self.negation(of, span),
            (Operator::In, [value, container]) => self.membership(value, container, span),
            (Operator::Index, [container, at]) => self.index(container, at, span),
            (_, [left, right]) => {
                let (left_node, right_node) = (self.node(left), self.node(right));
                if operator == Operator::Divide
                    && let Some(refused) = self.cut_share((&left_node, &left.span), (&right_node, &right.span), span)
                {
                    return refused;
                }
                if let Some(refused) = self.cut_before_double([&left_node, &right_node], [left, right]) {
                    return refused;
                }
                if let Some(refused) = self.chained(operator, [&left_node, &right_node], [left, right], span) {
                    return refused;
                }
                self.warn_of_zero(operator, &left_node, &right_node, span);
                self.warn_of_equality(operator, (&left_node, left), (&right_node, right), span);
                self.binary(operator, left_node, right_node, span)
            }
            _ => self.error("syntax", span, format!("`{}` is not written like this", operator.sign())),
        }
    }

    /// Refuses `a < b < c`, which would compare a bool with a number.
    fn chained(
        &mut self,
        operator: Operator,
        [left_node, right_node]: [&Node; 2],
        [left, right]: [&Expr; 2],
        span: &Range<usize>,
    ) -> Option<Node> {
        let ExprKind::Operator(inner, sides) = &left.kind else { return None };
        let [first, middle] = sides.as_slice() else { return None };
        let chain = is_order(operator) && is_order(*inner);
        if !chain || left_node.ty != Type::Bool || right_node.ty == Type::Bool || right_node.ty.is_open() {
            return None;
        }
        let text = |expr: &Expr| self.source.text.get(expr.span.clone()).unwrap_or("...").to_owned();
        let [first, middle, last] = [first, middle, right].map(text);
        let (inner, outer) = (inner.sign(), operator.sign());
        let hint = format!("write `{first} {inner} {middle} && {middle} {outer} {last}`");
        Some(self.error_hint("wrong-type", span, "comparisons do not chain", Some(hint)))
    }

    fn negation(&mut self, of: &Expr, span: &Range<usize>) -> Node {
        let of = self.number_of(of, span);
        let ty = of.ty.clone();
        Node::new(NodeKind::Operator(Operator::Negate, vec![of]), ty)
    }

    /// What `-` may stand before.
    pub(super) fn number_of(&mut self, of: &Expr, span: &Range<usize>) -> Node {
        let of = self.node(of);
        if !matches!(of.ty, Type::Int | Type::Double) && !of.ty.is_open() {
            return self.error("wrong-type", span, format!("`-` does not take {}", with_article(&of.ty)));
        }
        of
    }

    pub(super) fn binary(&mut self, operator: Operator, left: Node, right: Node, span: &Range<usize>) -> Node {
        if left.ty == Type::Faulty || right.ty == Type::Faulty {
            let ty = if is_claim(operator) { Type::Bool } else { Type::Faulty };
            return Node::new(Node::faulty().kind, ty);
        }
        let equality = matches!(operator, Operator::Equal | Operator::NotEqual);
        if equality && hashes_meet(&left.ty, &right.ty) {
            return Node::new(NodeKind::Hashed(operator, Box::new(left), Box::new(right)), Type::Bool);
        }
        let result = if equality {
            comparable(&left.ty, &right.ty).then_some(Type::Bool)
        } else if is_claim(operator) {
            ordered(&left.ty, &right.ty).then_some(Type::Bool)
        } else {
            arithmetic(operator, &left.ty, &right.ty)
        };
        match result {
            Some(ty) => Node::new(NodeKind::Operator(operator, vec![left, right]), ty),
            None => self.mismatch(operator, &left.ty, &right.ty, span),
        }
    }

    /// The diagnostic for an operator between types that it does not take.
    fn mismatch(&mut self, operator: Operator, left: &Type, right: &Type, span: &Range<usize>) -> Node {
        let message = format!("`{}` does not take {} and {}", operator.sign(), with_article(left), with_article(right));
        let hint = match (left, right) {
            (Type::Text, _) if operator == Operator::Index => {
                Some("of a string there are `contains`, `startsWith`, `endsWith` and `matches`".to_owned())
            }
            (Type::List(_), _) if operator == Operator::Index => Some("a list is read at an int, from 0".to_owned()),
            _ if operator == Operator::Index => None,
            (Type::Hashed(_), _) | (_, Type::Hashed(_)) => {
                Some("it is known only by its hash: compare it with `==`, `!=` or `in`".to_owned())
            }
            (Type::Set(_), _) | (_, Type::Set(_)) => {
                Some("of a set there are `in`, `size(...)` and `overlap(..., ...)`".to_owned())
            }
            (_, Type::Members(_)) if operator == Operator::In => {
                Some("a date list takes timestamps, the other kinds take strings".to_owned())
            }
            (Type::Text, Type::Text) if operator == Operator::In => Some(
                "what stands on the right of `in` is a list, such as `[\"198.51.100.7\"]`; `x.contains(y)` tells whether one text \
                 has another in it, and `in_network(ip.address, [\"198.51.100.0/24\"])` whether an address is in a network"
                    .to_owned(),
            ),
            (Type::Members(_), _) | (_, Type::Members(_)) => Some("a list stands on the right of `in`".to_owned()),
            (Type::Null, _) | (_, Type::Null) => Some(
                "nothing is null: an absent string is \"\", an absent number 0, and `has(event.x)` tells".to_owned(),
            ),
            (a, b) if a.is_number() && b.is_number() => {
                Some("convert one side: `double(...)` or `int(...)`".to_owned())
            }
            (Type::Timestamp | Type::Duration, b) if b.is_number() => {
                Some("write a span of time as `duration(\"90s\")` or `days(7)`".to_owned())
            }
            (Type::Duration, Type::Text) | (Type::Text, Type::Duration) => {
                Some("write a span of time as `duration(\"90s\")` or `days(7)`".to_owned())
            }
            (Type::Timestamp, Type::Text) | (Type::Text, Type::Timestamp) => {
                Some("write an instant as `timestamp(\"2026-01-31T00:00:00Z\")`".to_owned())
            }
            (Type::Int, Type::Text) | (Type::Text, Type::Int) => Some("convert one side: `string(...)`".to_owned()),
            _ => None,
        };
        self.error_hint("wrong-type", span, message, hint)
    }

    fn membership(&mut self, value: &Expr, container: &Expr, span: &Range<usize>) -> Node {
        let value_node = self.node(value);
        let container_node = self.node(container);
        self.warn_of_members(&value_node, &container_node, container);
        if let NodeKind::Members(list, kind) = container_node.kind {
            let fits = match kind {
                ListKind::Date => value_node.ty == Type::Timestamp,
                ListKind::Text | ListKind::Network | ListKind::Domain => value_node.ty == Type::Text,
            };
            if !fits && value_node.ty != Type::Faulty {
                return self.mismatch(Operator::In, &value_node.ty, &container_node.ty, span);
            }
            return Node::new(NodeKind::Listed(Box::new(value_node), list, kind), Type::Bool);
        }
        let (value_ty, container_ty) = (&value_node.ty, &container_node.ty);
        if value_ty == &Type::Faulty || container_ty == &Type::Faulty {
            return Node::new(Node::faulty().kind, Type::Bool);
        }
        let hashed = match container_ty {
            Type::Set(element) => *value_ty == element.ty() || *value_ty == Type::Hashed(*element),
            Type::List(element) => hashes_meet(value_ty, element),
            _ => false,
        };
        if hashed {
            self.want_contents(&container_node);
            return Node::new(
                NodeKind::Hashed(Operator::In, Box::new(value_node), Box::new(container_node)),
                Type::Bool,
            );
        }
        let fits = match container_ty {
            Type::List(element) => comparable(value_ty, element),
            Type::Map(key, _) => comparable(value_ty, key),
            Type::Dyn => comparable(value_ty, &Type::Dyn),
            _ => false,
        };
        if !fits {
            let (value_ty, container_ty) = (value_ty.clone(), container_ty.clone());
            return self.mismatch(Operator::In, &value_ty, &container_ty, span);
        }
        Node::new(NodeKind::Operator(Operator::In, vec![value_node, container_node]), Type::Bool)
    }

    /// Notes that the members of a set that is read are needed.
    pub(super) fn want_contents(&mut self, node: &Node) {
        if let NodeKind::Read(read) = node.kind {
            self.reads.want_contents(read);
        }
    }

    fn index(&mut self, container: &Expr, at: &Expr, span: &Range<usize>) -> Node {
        if let Some(node) = self.event_map_index(container, at, span) {
            return node;
        }
        let (container, at) = (self.node(container), self.node(at));
        let ty = match (&container.ty, &at.ty) {
            (Type::Faulty, _) | (_, Type::Faulty) => return Node::faulty(),
            (Type::List(element), at) if *at == Type::Int || at.is_open() => (**element).clone(),
            (Type::Map(key, value), at) if comparable(key, at) => (**value).clone(),
            (Type::Dyn, _) => Type::Dyn,
            (container, at) => {
                let (container, at) = (container.clone(), at.clone());
                return self.mismatch(Operator::Index, &container, &at, span);
            }
        };
        Node::new(NodeKind::Operator(Operator::Index, vec![container, at]), ty)
    }
}

/// Whether the operator asks which side is more.
fn is_order(operator: Operator) -> bool {
    matches!(operator, Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual)
}

/// Whether the operator gives a bool.
fn is_claim(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::Equal
            | Operator::NotEqual
            | Operator::Less
            | Operator::LessOrEqual
            | Operator::Greater
            | Operator::GreaterOrEqual
            | Operator::In
    )
}

/// Whether one side is known by its hash, and the other is the same kind of value, hashed or not.
fn hashes_meet(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Hashed(a), Type::Hashed(b)) => a == b,
        (Type::Hashed(element), other) | (other, Type::Hashed(element)) => *other == element.ty(),
        _ => false,
    }
}

/// Whether values of two types have an order.
fn ordered(a: &Type, b: &Type) -> bool {
    let has_order = |ty: &Type| {
        matches!(ty, Type::Bool | Type::Text | Type::Bytes | Type::Timestamp | Type::Duration)
            || ty.is_number()
            || ty.is_open()
    };
    has_order(a) && has_order(b) && comparable(a, b)
}

/// The type that arithmetic gives; `None` where there is none.
fn arithmetic(operator: Operator, a: &Type, b: &Type) -> Option<Type> {
    let add = operator == Operator::Add;
    let shift = add || operator == Operator::Subtract;
    match (a, b) {
        (Type::Set(_) | Type::Hashed(_) | Type::Members(_), _)
        | (_, Type::Set(_) | Type::Hashed(_) | Type::Members(_)) => None,
        (Type::Int, Type::Int) => Some(Type::Int),
        (Type::Uint, Type::Uint) => Some(Type::Uint),
        (Type::Double, Type::Double) if operator != Operator::Remainder => Some(Type::Double),
        (Type::Text, Type::Text) if add => Some(Type::Text),
        (Type::Bytes, Type::Bytes) if add => Some(Type::Bytes),
        (Type::List(a), Type::List(b)) if add => Some(Type::list(super::join((**a).clone(), (**b).clone()))),
        (Type::Duration, Type::Duration) if shift => Some(Type::Duration),
        (Type::Timestamp, Type::Duration) if shift => Some(Type::Timestamp),
        (Type::Duration, Type::Timestamp) if add => Some(Type::Timestamp),
        (Type::Timestamp, Type::Timestamp) if operator == Operator::Subtract => Some(Type::Duration),
        (a, b) if a.is_open() || b.is_open() => Some(Type::Dyn),
        _ => None,
    }
}
