//! Names: what refguard derives, what packs declare, and the variables of comprehensions.

use std::ops::Range;
use std::sync::Arc;

use super::{Checker, suggest, with_article};
use crate::event::{AttributeType, Field, FieldType, Signal, SignalKind};
use crate::ruleset::cel::compiled::Noticed;
use crate::ruleset::cel::function::{Operator, TIME_TYPE_NAMES, TYPE_NAMES};
use crate::ruleset::cel::node::{Declared, Node, NodeKind, Presence};
use crate::ruleset::cel::scope::{Named, Parsed};
use crate::ruleset::cel::syntax::{Expr, ExprKind};
use crate::ruleset::cel::value::Value;
use crate::ruleset::cel::{
    AccountFact, Compiled, Element, FeatureDecl, GeoFact, Position, ReadKey, ReadSource, Referral, Role, Source, Type,
    Wanted,
};

/// Names whose fields can be read, but that are no values.
const GROUPS: &[&str] =
    &["account", "device", "email", "event", "geo", "ip", "lists", "phone", "recipient", "referrer", "referrer_email"];
/// The field of `event` that is computed: the amount in the program's base currency.
const AMOUNT_BASE: &str = "amount_base";

impl Checker<'_> {
    pub(super) fn name(&mut self, name: &str, span: &Range<usize>) -> Node {
        let plain = name.strip_prefix('.').unwrap_or(name);
        if plain.len() == name.len()
            && let Some((depth, local)) = self.visible_locals().rev().find(|(_, local)| local.name == name)
        {
            return Node::new(NodeKind::Local(depth), local.ty.clone());
        }
        if plain == "program" {
            return Node::new(NodeKind::Program, Type::Text);
        }
        if let Some(name) = TYPE_NAMES.iter().find(|name| **name == plain) {
            return Node::new(NodeKind::Constant(Value::Type(name)), Type::Type);
        }
        if GROUPS.contains(&plain) {
            let message = format!("`{plain}` has no value of its own");
            return self.error_hint("not-a-value", span, message, Some(format!("read a field of it: `{plain}.NAME`")));
        }
        match self.scope.names.get(plain) {
            Some(Named::Feature(feature)) => {
                let feature = feature.clone();
                self.feature(plain, &feature, ReadKey::Own, span)
            }
            Some(Named::Macro(text, parsed)) => {
                let (text, parsed) = (text.clone(), Arc::clone(parsed));
                self.expand(plain, &text, &parsed, span)
            }
            Some(Named::FaultyMacro) => Node::faulty(),
            None => self.unknown_name(plain, span),
        }
    }

    fn visible_locals(&self) -> impl DoubleEndedIterator<Item = (usize, &super::Local)> {
        self.locals.iter().enumerate().skip(self.locals_start)
    }

    fn unknown_name(&mut self, name: &str, span: &Range<usize>) -> Node {
        let locals = self.visible_locals().map(|(_, local)| local.name.as_str());
        let readable = |named: &Named| self.position == Position::Condition || !matches!(named, Named::Feature(_));
        let declared = self.scope.names.iter().filter(|(_, named)| readable(named)).map(|(name, _)| name.as_str());
        let known = locals.chain(declared).chain(GROUPS.iter().copied()).chain(["program"]);
        // YAML takes the quotes away from a text that stands alone.
        let alone = self.source.text.trim() == name;
        let as_text = || alone.then(|| format!("for a text write `'\"{name}\"'`: YAML takes the outer quotes away"));
        let hint = suggest::hint(name, known).or_else(as_text);
        self.error_hint("unknown-name", span, format!("there is no feature, macro or value `{name}`"), hint)
    }

    /// A macro's expression in place of its name. It does not see the variables around it.
    fn expand(&mut self, name: &str, text: &Source, parsed: &Parsed, span: &Range<usize>) -> Node {
        if self.expanding.iter().any(|outer| outer == name) {
            return self.error("macro-cycle", span, format!("the macro `{name}` is part of its own text"));
        }
        let expr = match parsed {
            Ok(expr) => expr,
            Err(diagnostics) => {
                self.diagnostics.extend(diagnostics.iter().cloned());
                return Node::faulty();
            }
        };
        let outer_source = std::mem::replace(&mut self.source, text.clone());
        let outer_start = std::mem::replace(&mut self.locals_start, self.locals.len());
        self.expanding.push(name.to_owned());
        let node = self.node(expr);
        self.expanding.pop();
        self.locals_start = outer_start;
        self.source = outer_source;
        node
    }

    fn feature(&mut self, name: &str, feature: &FeatureDecl, key: ReadKey, span: &Range<usize>) -> Node {
        if self.position == Position::Feature {
            let message = format!("`{name}` is a feature, and features cannot be read here");
            let hint = "`where`, `key`, `value` and the arguments of `.at` read events, signals, accounts and lists";
            return self.error_hint("feature-not-here", span, message, Some(hint.to_owned()));
        }
        let ty = match &feature.result {
            Type::Faulty => return Node::faulty(),
            Type::Component if matches!(key, ReadKey::Same(_)) => Type::Bool,
            Type::Component => Type::Int,
            Type::Text => Type::Hashed(Element::Text),
            ty => ty.clone(),
        };
        let read = self.read(ReadSource::Feature { feature: feature.index, key });
        Node::new(NodeKind::Read(read), ty)
    }

    /// `feature.at(k1, ...)`.
    pub(super) fn feature_at(&mut self, target: &Expr, args: &[Expr], span: &Range<usize>) -> Node {
        let declared = match &target.kind {
            ExprKind::Name(name) => self.scope.feature(name).cloned().map(|feature| (name.clone(), feature)),
            _ => None,
        };
        let Some((name, feature)) = declared else {
            self.node(target);
            return self.error(
                "wrong-type",
                &target.span,
                "`.at` reads a feature at another key, and this is no feature",
            );
        };
        let keys: Vec<Option<Compiled>> = args.iter().map(|arg| self.key(arg)).collect();
        if keys.len() != feature.key.len() {
            let message =
                format!("the key of `{name}` has {}, and here are {}", count(feature.key.len(), "part"), keys.len());
            return self.error("argument-count", span, message);
        }
        let Some(keys) = keys.into_iter().collect::<Option<Vec<Compiled>>>() else { return Node::faulty() };
        self.fit_keys(&name, &keys, feature.key.iter(), args);
        self.feature(&name, &feature, ReadKey::At(keys), span)
    }

    /// `same(component, a, b)`.
    pub(super) fn same(&mut self, args: &[Expr], span: &Range<usize>) -> Node {
        let [target, accounts @ ..] = args else {
            return self.error("argument-count", span, "`same` takes a component and two accounts");
        };
        let declared = match &target.kind {
            ExprKind::Name(name) => self.scope.feature(name).cloned().map(|feature| (name.clone(), feature)),
            _ => None,
        };
        let Some((name, feature)) =
            declared.filter(|(_, feature)| matches!(feature.result, Type::Component | Type::Faulty))
        else {
            return match self.node(target).ty {
                Type::Faulty => Node::faulty(),
                _ => self.error("wrong-type", &target.span, "`same` takes a component, and this is none"),
            };
        };
        if accounts.len() != 2 {
            let message = format!("`same` takes a component and two accounts, and here are {}", accounts.len());
            return self.error("argument-count", span, message);
        }
        let keys: Vec<Option<Compiled>> = accounts.iter().map(|arg| self.key(arg)).collect();
        let Some(keys) = keys.into_iter().collect::<Option<Vec<Compiled>>>() else { return Node::faulty() };
        self.fit_keys(&name, &keys, feature.key.iter().cycle(), accounts);
        self.feature(&name, &feature, ReadKey::Same(keys), span)
    }

    /// `referral_depth(account)`, `referral_cycle(referrer, referee)`.
    pub(super) fn referral(&mut self, name: &str, args: &[Expr], span: &Range<usize>) -> Node {
        let keys: Vec<Option<Compiled>> = args.iter().map(|arg| self.key(arg)).collect();
        let Some(keys) = keys.into_iter().collect::<Option<Vec<Compiled>>>() else { return Node::faulty() };
        let other = keys.iter().zip(args).find(|(key, _)| *key.result() != Type::Text);
        if let Some((key, arg)) = other {
            let message = format!("`{name}` takes ids of accounts, and this is {}", with_article(key.result()));
            return self.error("wrong-type", &arg.span, message);
        }
        let (wanted, given) = (if name == "referral_depth" { 1 } else { 2 }, keys.len());
        let (referral, ty) = match <[Compiled; 2]>::try_from(keys) {
            Ok(accounts) if wanted == 2 => (Referral::Cycle(Box::new(accounts)), Type::Bool),
            Err(mut keys) if wanted == 1 && given == 1 => (Referral::Depth(Box::new(keys.remove(0))), Type::Int),
            _ => {
                let message = format!("`{name}` takes {}, and here are {given}", count(wanted, "argument"));
                return self.error("argument-count", span, message);
            }
        };
        let read = self.read(ReadSource::Referral(referral));
        Node::new(NodeKind::Read(read), ty)
    }

    /// Whether arguments are of the types that the parts of a key have.
    fn fit_keys<'t>(&mut self, name: &str, keys: &[Compiled], types: impl Iterator<Item = &'t Type>, args: &[Expr]) {
        for ((key, wanted), arg) in keys.iter().zip(types).zip(args) {
            let fits =
                key.result() == wanted || Element::of(wanted).is_some_and(|of| *key.result() == Type::Hashed(of));
            if !fits && !wanted.is_open() {
                let message = format!(
                    "this part of the key of `{name}` is {}, and here is {}",
                    with_article(wanted),
                    with_article(key.result())
                );
                self.error("wrong-type", &arg.span, message);
            }
        }
    }

    /// An argument of `.at`, an expression of its own; `None` when it has a diagnostic.
    fn key(&mut self, arg: &Expr) -> Option<Compiled> {
        if let Some(name) = self.local_in(arg) {
            let message =
                format!("the variable `{name}` cannot be part of a key: keys are known before the condition runs");
            self.error("not-here", &arg.span, message);
            return None;
        }
        let (node, uses) = {
            let mut inner = Checker::new(self.scope, self.reads, Position::Feature, &self.source);
            inner.expanding = self.expanding.clone();
            inner.whole = self.whole.clone();
            inner.depth = self.depth;
            inner.parts = self.parts;
            let node = inner.check(arg, Wanted::Key);
            self.parts = inner.parts;
            self.diagnostics.append(&mut inner.diagnostics);
            self.warnings.append(&mut inner.warnings);
            (node, inner.uses)
        };
        (node.ty != Type::Faulty && self.diagnostics.is_empty()).then(|| Compiled::new(node, uses, Noticed::default()))
    }

    /// A variable of a comprehension around this part that the part uses.
    fn local_in(&self, expr: &Expr) -> Option<String> {
        let names: Vec<&str> = self.visible_locals().map(|(_, local)| local.name.as_str()).collect();
        let mut open = vec![expr];
        while let Some(expr) = open.pop() {
            match &expr.kind {
                ExprKind::Name(name) if names.contains(&name.as_str()) => return Some(name.clone()),
                ExprKind::Literal(_) | ExprKind::Name(_) | ExprKind::Message(_) => {}
                ExprKind::Select { of, .. } | ExprKind::Not(of) | ExprKind::Undone(_, of) => open.push(of),
                ExprKind::Call { target, args, .. } => {
                    open.extend(target.as_deref());
                    open.extend(args);
                }
                ExprKind::Operator(_, args) | ExprKind::And(args) | ExprKind::Or(args) | ExprKind::List(args) => {
                    open.extend(args);
                }
                ExprKind::Choice(parts) => open.extend(parts.as_ref()),
                ExprKind::Map(entries) => open.extend(entries.iter().flat_map(|(key, value)| [key, value])),
            }
        }
        None
    }

    /// The group that a name stands for, unless a variable hides it.
    fn group<'e>(&self, expr: &'e Expr) -> Option<&'e str> {
        match &expr.kind {
            ExprKind::Name(name) => {
                let plain = name.strip_prefix('.').unwrap_or(name);
                let hidden = plain.len() == name.len() && self.visible_locals().any(|(_, local)| local.name == *name);
                (!hidden && GROUPS.contains(&plain)).then_some(plain)
            }
            _ => None,
        }
    }

    pub(super) fn select(&mut self, of: &Expr, field: &str, field_span: &Range<usize>, span: &Range<usize>) -> Node {
        if let Some(group) = self.group(of) {
            return match group {
                "event" => self.event_field(field, field_span),
                "lists" => self.declared_list(field, field_span),
                "geo" => self.geo(field, field_span),
                "account" | "referrer" | "recipient" => self.account(group, field, field_span),
                _ => self.signal(group, field, field_span),
            };
        }
        if let Some(map) = self.event_map(of) {
            return self.event_map_value(map, field, field_span);
        }
        if let ExprKind::Select { of: root, field: middle, .. } = &of.kind
            && matches!(&root.kind, ExprKind::Name(name) if name.trim_start_matches('.') == "google")
        {
            let name = format!("google.{middle}.{field}");
            return match TIME_TYPE_NAMES.iter().find(|known| **known == name) {
                Some(name) => Node::new(NodeKind::Constant(Value::Type(name)), Type::Type),
                None => self.error("not-supported", span, format!("the type `{name}` is not supported")),
            };
        }
        let of_node = self.node(of);
        let ty = match &of_node.ty {
            Type::Map(key, value) if super::comparable(key, &Type::Text) => (**value).clone(),
            Type::Dyn => Type::Dyn,
            Type::Faulty => return Node::faulty(),
            ty => {
                let message = format!("{} has no field `{field}`", with_article(ty));
                return self.error("unknown-field", field_span, message);
            }
        };
        let key = Node::new(NodeKind::Constant(Value::text(field)), Type::Text);
        Node::new(NodeKind::Operator(Operator::Index, vec![of_node, key]), ty)
    }

    fn event_field(&mut self, name: &str, span: &Range<usize>) -> Node {
        if name == AMOUNT_BASE {
            return self.number(Presence::AmountBase, NodeKind::AmountBase, Type::Double);
        }
        let Some(field) = Field::from_name(name) else {
            let known = Field::ALL.iter().map(|field| field.name()).chain([AMOUNT_BASE]);
            let hint = suggest::hint(name, known);
            return self.error_hint("unknown-field", span, format!("an event has no field `{name}`"), hint);
        };
        let ty = match field.field_type() {
            FieldType::Text => Type::Text,
            FieldType::Int => Type::Int,
            FieldType::Double => Type::Double,
            FieldType::Timestamp => Type::Timestamp,
            FieldType::Map => {
                let message = format!("`event.{name}` is a map, of which rules read single values");
                return self.error_hint("not-a-value", span, message, Some(format!("write `event.{name}.NAME`")));
            }
        };
        self.uses.fields.insert(field);
        match ty {
            Type::Int | Type::Double => self.number(Presence::Field(field), NodeKind::Field(field), ty),
            // There is no instant that could stand for none.
            Type::Timestamp if field != Field::Time => Node::new(NodeKind::Given(Presence::Field(field)), ty),
            _ => Node::new(NodeKind::Field(field), ty),
        }
    }

    /// A number that reads as 0 where it is absent, but has no value there in what is counted.
    fn number(&self, presence: Presence, kind: NodeKind, ty: Type) -> Node {
        Node::new(if self.unknown_if_absent { NodeKind::Given(presence) } else { kind }, ty)
    }

    /// A declared attribute; `None` after a diagnostic when it is not declared.
    fn declared(&mut self, name: &str, span: &Range<usize>) -> Option<Declared> {
        if let Some(of) = self.scope.attributes.get(name) {
            self.uses.fields.insert(Field::Attributes);
            return Some(Declared { name: Arc::from(name), of });
        }
        let near = suggest::hint(name, self.scope.attributes.names());
        let hint = near.unwrap_or_else(|| {
            format!(
                "declare it in the configuration, such as `programs: {{default: {{attributes: {{{name}: string}}}}}}`"
            )
        });
        self.error_hint("unknown-field", span, format!("the attribute `{name}` is not declared"), Some(hint));
        None
    }

    fn declared_value(&mut self, name: &str, span: &Range<usize>) -> Node {
        let Some(declared) = self.declared(name, span) else { return Node::faulty() };
        let ty = match declared.of {
            AttributeType::Text => Type::Text,
            AttributeType::Int => Type::Int,
            AttributeType::Double => Type::Double,
            AttributeType::Bool => Type::Bool,
            AttributeType::Timestamp => Type::Timestamp,
        };
        let presence = Presence::Declared(declared.clone());
        match declared.of {
            AttributeType::Int | AttributeType::Double => self.number(presence, NodeKind::Declared(declared), ty),
            // There is no instant that could stand for none.
            AttributeType::Timestamp => Node::new(NodeKind::Given(presence), ty),
            AttributeType::Text | AttributeType::Bool => Node::new(NodeKind::Declared(declared), ty),
        }
    }

    /// The map field that an expression stands for, such as `event.device`.
    fn event_map(&self, expr: &Expr) -> Option<Field> {
        match &expr.kind {
            ExprKind::Select { of, field, .. } if self.group(of) == Some("event") => {
                Field::from_name(field).filter(|field| field.field_type() == FieldType::Map)
            }
            _ => None,
        }
    }

    fn event_map_value(&mut self, map: Field, name: &str, span: &Range<usize>) -> Node {
        match map {
            Field::Device => Node::new(NodeKind::Attribute(Arc::from(name)), Type::Text),
            _ => self.declared_value(name, span),
        }
    }

    /// `event.device["x"]`; `None` when the container is no map of an event.
    pub(super) fn event_map_index(&mut self, container: &Expr, at: &Expr, span: &Range<usize>) -> Option<Node> {
        let map = self.event_map(container)?;
        let at = self.node(at);
        Some(match at.constant_text() {
            Some(name) => self.event_map_value(map, name, span),
            None => self.error("not-supported", span, format!("`event.{map}` is read at a name that is written out")),
        })
    }

    fn signal(&mut self, group: &str, name: &str, span: &Range<usize>) -> Node {
        let Some(signal) = Signal::from_name(group, name) else {
            let known = Signal::ALL.iter().filter(|signal| signal.group() == group).map(|signal| signal.name());
            let hint = suggest::hint(name, known);
            return self.error_hint("unknown-field", span, format!("`{group}` has no field `{name}`"), hint);
        };
        self.uses.signals.insert(signal);
        let kind = NodeKind::Signal(signal);
        match signal.kind() {
            SignalKind::Text => Node::new(kind, Type::Text),
            SignalKind::Flag => Node::new(kind, Type::Bool),
            SignalKind::Int => self.number(Presence::Signal(signal), kind, Type::Int),
            SignalKind::Double => self.number(Presence::Signal(signal), kind, Type::Double),
        }
    }

    fn account(&mut self, group: &str, name: &str, span: &Range<usize>) -> Node {
        let role = Role::ALL.iter().copied().find(|role| role.name() == group).unwrap_or(Role::Account);
        if name == "id" {
            return Node::new(NodeKind::Field(role.id_field()), Type::Text);
        }
        let Some(fact) = AccountFact::ALL.iter().copied().find(|fact| fact.name() == name) else {
            let known = AccountFact::ALL.iter().map(|fact| fact.name()).chain(["id"]);
            let hint = suggest::hint(name, known);
            return self.error_hint("unknown-field", span, format!("`{group}` has no field `{name}`"), hint);
        };
        let read = self.read(ReadSource::Account { role, fact });
        Node::new(NodeKind::Read(read), fact.ty())
    }

    fn geo(&mut self, name: &str, span: &Range<usize>) -> Node {
        let Some(fact) = GeoFact::ALL.iter().copied().find(|fact| fact.name() == name) else {
            let hint = suggest::hint(name, GeoFact::ALL.iter().map(|fact| fact.name()));
            return self.error_hint("unknown-field", span, format!("`geo` has no field `{name}`"), hint);
        };
        let read = self.read(ReadSource::Geo(fact));
        Node::new(NodeKind::Read(read), Type::Double)
    }

    fn declared_list(&mut self, name: &str, span: &Range<usize>) -> Node {
        match self.scope.lists.get(name) {
            Some(list) => Node::new(NodeKind::Members(list.index, list.kind), Type::Members(list.kind)),
            None => {
                let hint = suggest::hint(name, self.scope.lists.keys().map(String::as_str));
                self.error_hint("unknown-list", span, format!("there is no list `{name}`"), hint)
            }
        }
    }

    /// `has(...)`.
    pub(super) fn has(&mut self, args: &[Expr], span: &Range<usize>) -> Node {
        let [Expr { kind: ExprKind::Select { of, field, field_span }, .. }] = args else {
            let message = "`has` takes one field, such as `has(event.device_id)`";
            return self.error("wrong-type", span, message);
        };
        let present = |presence| Node::new(NodeKind::Has(presence), Type::Bool);
        match self.group(of) {
            Some("event") if field == AMOUNT_BASE => return present(Presence::AmountBase),
            Some("event") => {
                return match Field::from_name(field) {
                    Some(field) => {
                        self.uses.fields.insert(field);
                        present(Presence::Field(field))
                    }
                    None => self.event_field(field, field_span),
                };
            }
            Some(group) => {
                let message = format!("`has` tells of fields of `event`, and this is one of `{group}`");
                let flag = Signal::from_name(group, field).is_some_and(|signal| signal.kind() == SignalKind::Flag);
                let hint = match group {
                    "lists" => None,
                    _ if flag => Some(format!("a claim such as `{group}.{field}` is false while nothing is known")),
                    _ => Some(format!("write `known({group}.{field})`")),
                };
                return self.error_hint("wrong-type", span, message, hint);
            }
            None => {}
        }
        if let Some(map) = self.event_map(of) {
            return match map {
                Field::Device => present(Presence::Attribute(Arc::from(field.as_str()))),
                _ => match self.declared(field, field_span) {
                    Some(declared) => present(Presence::Declared(declared)),
                    None => Node::faulty(),
                },
            };
        }
        let of_node = self.node(of);
        match &of_node.ty {
            Type::Map(key, _) if super::comparable(key, &Type::Text) => {}
            Type::Dyn => {}
            Type::Faulty => return Node::faulty(),
            ty => {
                let message = format!("{} has no field `{field}`", with_article(ty));
                return self.error("unknown-field", field_span, message);
            }
        }
        Node::new(NodeKind::HasKey(Box::new(of_node), Arc::from(field.as_str())), Type::Bool)
    }
}

/// A number of things, such as `2 parts`.
pub(super) fn count(number: usize, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}
