//! Calls: which function is meant, and whether its arguments fit.

use std::ops::Range;

use super::names::count;
use super::{Checker, suggest, with_article};
use crate::event::SignalKind;
use crate::ruleset::cel::apply;
use crate::ruleset::cel::function::{Function, OVERLOADS, Overload};
use crate::ruleset::cel::node::{Node, NodeKind, Pattern, Presence, Question};
use crate::ruleset::cel::reference;
use crate::ruleset::cel::syntax::Expr;
use crate::ruleset::cel::time::Zone;
use crate::ruleset::cel::value::Value;
use crate::ruleset::cel::{ListKind, ReadSource, Type};

/// Functions that are no functions of values.
pub(in crate::ruleset::cel) const SPECIAL: &[&str] = &[
    "has",
    "known",
    "complete",
    "exact",
    "same",
    "referral_depth",
    "referral_cycle",
    "at",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
];
/// The most memory of a compiled regular expression, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

impl Checker<'_> {
    pub(super) fn call(
        &mut self,
        name: &str,
        name_span: &Range<usize>,
        target: Option<&Expr>,
        args: &[Expr],
        span: &Range<usize>,
    ) -> Node {
        let name = name.strip_prefix('.').unwrap_or(name);
        match (name, target) {
            ("has", None) => return self.has(args, span),
            ("known", None) => return self.ask(Question::Known, name, args, span),
            ("complete", None) => return self.ask(Question::Complete, name, args, span),
            ("exact", None) => return self.ask(Question::Exact, name, args, span),
            ("same", None) => return self.same(args, span),
            ("referral_depth" | "referral_cycle", None) => return self.referral(name, args, span),
            ("at", Some(target)) => return self.feature_at(target, args, span),
            ("all" | "exists" | "exists_one" | "existsOne" | "map" | "filter", Some(target)) => {
                return self.comprehension(name, target, args, span);
            }
            _ => {}
        }
        let member = target.is_some();
        if !OVERLOADS.iter().any(|overload| overload.name == name && overload.member == member) {
            return self.unknown_function(name, name_span, member);
        }
        let exprs: Vec<&Expr> = target.into_iter().chain(args).collect();
        let nodes = match self.whole_quotient(name, args) {
            Some(nodes) => nodes,
            None => exprs.iter().map(|arg| self.node(arg)).collect(),
        };
        if nodes.iter().any(|node| node.ty == Type::Faulty) {
            return Node::faulty();
        }
        if let Some(refused) = self.cut_before_conversion(name, &nodes, &exprs) {
            return refused;
        }
        self.resolve(name, member, nodes, &exprs, span)
    }

    fn unknown_function(&mut self, name: &str, span: &Range<usize>, member: bool) -> Node {
        let message = format!("there is no function `{name}`");
        let other_style = OVERLOADS.iter().any(|overload| overload.name == name);
        let hint = match (other_style, member) {
            (true, true) => Some(format!("write `{name}(...)`")),
            (true, false) => Some(format!("write `x.{name}(...)`")),
            _ if suggest::instead_of(name).is_some() => suggest::instead_of(name).map(str::to_owned),
            _ => suggest::hint(name, OVERLOADS.iter().map(|overload| overload.name).chain(SPECIAL.iter().copied())),
        };
        self.error_hint("unknown-function", span, message, hint)
    }

    /// The call of the overloads that take these arguments.
    fn resolve(&mut self, name: &str, member: bool, nodes: Vec<Node>, exprs: &[&Expr], span: &Range<usize>) -> Node {
        let named = || OVERLOADS.iter().filter(|overload| overload.name == name && overload.member == member);
        if !named().any(|overload| overload.parameters.len() == nodes.len()) {
            let own = usize::from(member);
            let wanted = named().map(|overload| overload.parameters.len() - own).min().unwrap_or(0);
            let message = format!("`{name}` takes {}, and here are {}", count(wanted, "argument"), nodes.len() - own);
            return self.error("argument-count", span, message);
        }
        let taking: Vec<&Overload> = named().filter(|overload| takes(overload, &nodes)).collect();
        let Some(first) = taking.first() else {
            return self.wrong_arguments(name, &nodes, span);
        };
        let agree = taking.iter().all(|overload| overload.result == first.result);
        let ty = if agree { first.result.ty() } else { Type::Dyn };
        self.special(first.function, nodes, exprs, ty)
    }

    fn wrong_arguments(&mut self, name: &str, nodes: &[Node], span: &Range<usize>) -> Node {
        let types: Vec<String> = nodes.iter().map(|node| with_article(&node.ty)).collect();
        let hashed = nodes.iter().any(|node| matches!(node.ty, Type::Hashed(_)));
        let set = nodes.iter().any(|node| matches!(node.ty, Type::Set(_)));
        let hint = match hashed {
            true => {
                Some("what state remembers is known only by its hash: compare it with `==`, `!=` or `in`".to_owned())
            }
            false => reference::of(name).map(|doc| {
                let of_sets = if set { "; of a set there are `in`, `size(...)` and `overlap(..., ...)`" } else { "" };
                format!("write {}, such as `{}`{of_sets}", doc.signatures.join(" or "), doc.example)
            }),
        };
        self.error_hint("wrong-type", span, format!("`{name}` does not take {}", types.join(" and ")), hint)
    }

    /// Functions with arguments that are looked at when the expression is loaded.
    fn special(&mut self, function: Function, mut nodes: Vec<Node>, exprs: &[&Expr], ty: Type) -> Node {
        match function {
            Function::Matches => {
                let Some(pattern) = nodes[1].constant_text().cloned() else {
                    let message = "the pattern of `matches` is written out, so that it is compiled once";
                    return self.error("not-supported", &exprs[1].span, message);
                };
                match regex::RegexBuilder::new(&pattern).size_limit(PATTERN_BYTES_MAX).build() {
                    Ok(regex) => {
                        let text = Box::new(nodes.swap_remove(0));
                        Node::new(NodeKind::Matches(text, Pattern(regex)), ty)
                    }
                    Err(error) => {
                        let words = error.to_string();
                        let reason = words.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
                        let message = format!("not a regular expression: {reason}");
                        self.error("bad-pattern", &exprs[1].span, message)
                    }
                }
            }
            Function::Part(_) => {
                let zone = nodes.get(1).and_then(Node::constant_text);
                if let Some(zone) = zone.filter(|zone| Zone::parse(zone).is_err()) {
                    let message = format!("there is no time zone `{}`", zone.escape_debug());
                    let hint = "name one of the IANA database, such as `Asia/Riyadh`, or an offset such as `+03:00`";
                    return self.error_hint("unknown-zone", &exprs[1].span, message, Some(hint.to_owned()));
                }
                Node::new(NodeKind::Function(function, nodes), ty)
            }
            Function::InNetwork => self.in_network(nodes, exprs, ty),
            Function::Overlap => {
                for node in &nodes {
                    self.want_contents(node);
                }
                Node::new(NodeKind::Function(function, nodes), ty)
            }
            _ => Node::new(NodeKind::Function(function, nodes), ty),
        }
    }

    fn in_network(&mut self, mut nodes: Vec<Node>, exprs: &[&Expr], ty: Type) -> Node {
        if let NodeKind::Members(list, kind) = nodes[1].kind {
            if kind != ListKind::Network {
                let message = format!("`in_network` takes a cidr list, and this is {}", with_article(&nodes[1].ty));
                return self.error("wrong-type", &exprs[1].span, message);
            }
            return Node::new(NodeKind::Listed(Box::new(nodes.swap_remove(0)), list, kind), ty);
        }
        if !matches!(&nodes[1].ty, Type::List(element) if **element == Type::Text || element.is_open()) {
            let message = format!("`in_network` takes networks as strings, and this is {}", with_article(&nodes[1].ty));
            return self.error("wrong-type", &exprs[1].span, message);
        }
        if let Some(Value::List(networks)) = nodes[1].constant() {
            let bad = networks.iter().find(|network| match network {
                Value::Text(text) => apply::network(text).is_none(),
                _ => true,
            });
            if bad.is_some() {
                let message = "not networks, such as \"198.51.100.0/24\"";
                return self.error("bad-network", &exprs[1].span, message);
            }
        }
        Node::new(NodeKind::Function(Function::InNetwork, nodes), ty)
    }

    /// `known(f)`, `complete(f)`, `exact(f)`.
    fn ask(&mut self, question: Question, name: &str, args: &[Expr], span: &Range<usize>) -> Node {
        let [arg] = args else {
            let message = format!("`{name}` takes 1 argument, and here are {}", args.len());
            return self.error("argument-count", span, message);
        };
        let node = self.node(arg);
        if question == Question::Known
            && let Some(presence) = presence(&node)
        {
            return Node::new(NodeKind::Has(presence), Type::Bool);
        }
        let read = match node.kind {
            NodeKind::Read(read) => read,
            _ if node.ty == Type::Faulty => return Node::new(node.kind, Type::Bool),
            NodeKind::Signal(_) if question == Question::Known => {
                let hint = "it is false while nothing is known".to_owned();
                let message = "`known` cannot tell of a claim whether it has a value";
                return self.error_hint("wrong-type", &arg.span, message, Some(hint));
            }
            _ if question == Question::Known => {
                let message = "`known` takes a feature, a fact about an account, a field or a signal, and this is none";
                return self.error("wrong-type", &arg.span, message);
            }
            _ => return self.error("wrong-type", &arg.span, format!("`{name}` takes a feature, and this is none")),
        };
        let feature = matches!(self.reads.get(read).source, ReadSource::Feature { .. });
        if !feature && question != Question::Known {
            return self.error("wrong-type", &arg.span, format!("`{name}` takes a feature, and this is none"));
        }
        Node::new(NodeKind::Ask(question, read), Type::Bool)
    }
}

/// What may be absent of an event, if the node is that.
fn presence(node: &Node) -> Option<Presence> {
    match &node.kind {
        NodeKind::Field(field) => Some(Presence::Field(*field)),
        NodeKind::AmountBase => Some(Presence::AmountBase),
        NodeKind::Attribute(name) => Some(Presence::Attribute(name.clone())),
        NodeKind::Declared(declared) => Some(Presence::Declared(declared.clone())),
        NodeKind::Signal(signal) if signal.kind() != SignalKind::Flag => Some(Presence::Signal(*signal)),
        NodeKind::Given(presence) => Some(presence.clone()),
        _ => None,
    }
}

fn takes(overload: &Overload, nodes: &[Node]) -> bool {
    overload.parameters.len() == nodes.len()
        && overload.parameters.iter().zip(nodes).all(|(parameter, node)| parameter.takes(&node.ty))
}
