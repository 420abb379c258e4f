//! The names that an expression may use, beyond those every rule has: features, lists and macros of the loaded packs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::check::Checker;
use super::syntax::{self, Expr};
use super::{FeatureIndex, ListIndex, ListKind, Position, ReadTable, Source, Type};
use crate::event::Attributes;
use crate::ruleset::diagnostic::Diagnostic;

/// A feature, as conditions see it.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureDecl {
    /// Which feature.
    pub index: FeatureIndex,
    /// The type of its value; [`Type::Faulty`] when its definition has a diagnostic of its own.
    pub result: Type,
    /// The types of its key's parts, for `.at(...)`.
    pub key: Vec<Type>,
}

/// A declared list, as conditions see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListDecl {
    /// Which list.
    pub index: ListIndex,
    /// What it holds.
    pub kind: ListKind,
}

/// A macro's text, parsed.
pub(super) type Parsed = Result<Expr, Vec<Diagnostic>>;

/// What a pack's name stands for.
#[derive(Clone, Debug)]
pub(super) enum Named {
    Feature(FeatureDecl),
    /// Its text, and what parsing it gave.
    Macro(Source, Arc<Parsed>),
    /// A macro whose text has diagnostics of its own.
    FaultyMacro,
}

/// The names of a rule set. The loader fills it before the first expression is compiled.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    pub(super) names: BTreeMap<String, Named>,
    pub(super) lists: BTreeMap<String, ListDecl>,
    pub(super) attributes: Attributes,
}

impl Scope {
    /// A scope with no features, lists or macros.
    pub fn new() -> Scope {
        Scope::default()
    }

    /// Declares a feature; false, and nothing changes, when the name is taken or reserved.
    pub fn add_feature(&mut self, name: &str, feature: FeatureDecl) -> bool {
        self.add(name, Named::Feature(feature))
    }

    /// Declares a macro: a name for an expression's text; false when the name is taken or reserved.
    pub fn add_macro(&mut self, name: &str, text: Source) -> bool {
        let parsed = Arc::new(syntax::parse(&text));
        self.add(name, Named::Macro(text, parsed))
    }

    /// Declares a list, read as `lists.NAME`; false when the name is taken.
    pub fn add_list(&mut self, name: &str, list: ListDecl) -> bool {
        if self.lists.contains_key(name) {
            return false;
        }
        self.lists.insert(name.to_owned(), list);
        true
    }

    /// Declares the attributes that can be read as `event.attributes.NAME`, in place of those declared before.
    pub fn set_attributes(&mut self, attributes: Attributes) {
        self.attributes = attributes;
    }

    /// What is wrong with the text of a macro by itself: that it cannot be read, names what is not there, is part of its own
    /// text, or is too large. Features whose type is not known yet fit everywhere.
    pub fn macro_faults(&self, name: &str) -> Vec<Diagnostic> {
        let Some(Named::Macro(text, parsed)) = self.names.get(name) else { return Vec::new() };
        match parsed.as_ref() {
            Ok(expr) => {
                let mut reads = ReadTable::default();
                let mut checker = Checker::new(self, &mut reads, Position::Condition, text);
                checker.check_macro(name, expr);
                checker.diagnostics
            }
            Err(diagnostics) => diagnostics.clone(),
        }
    }

    /// Notes that a macro has diagnostics, so that its uses tell them no second time.
    pub fn set_faulty(&mut self, name: &str) {
        if let Some(named @ Named::Macro(..)) = self.names.get_mut(name) {
            *named = Named::FaultyMacro;
        }
    }

    /// The feature of this name.
    pub fn feature(&self, name: &str) -> Option<&FeatureDecl> {
        match self.names.get(name) {
            Some(Named::Feature(feature)) => Some(feature),
            _ => None,
        }
    }

    fn add(&mut self, name: &str, named: Named) -> bool {
        if is_reserved(name) || self.names.contains_key(name) {
            return false;
        }
        self.names.insert(name.to_owned(), named);
        true
    }
}

/// Names that mean something else in every expression, so that no feature or macro may have them.
pub(super) const RESERVED: &[&str] = &[
    "account",
    "as",
    "bool",
    "break",
    "bytes",
    "complete",
    "const",
    "continue",
    "days",
    "device",
    "double",
    "duration",
    "dyn",
    "else",
    "email",
    "event",
    "exact",
    "false",
    "for",
    "function",
    "geo",
    "google",
    "has",
    "if",
    "import",
    "in",
    "in_network",
    "int",
    "ip",
    "known",
    "let",
    "list",
    "lists",
    "loop",
    "map",
    "median",
    "namespace",
    "null",
    "null_type",
    "overlap",
    "package",
    "phone",
    "program",
    "ratio",
    "recipient",
    "referral_cycle",
    "referral_depth",
    "referrer",
    "referrer_email",
    "return",
    "same",
    "similarity",
    "size",
    "string",
    "timestamp",
    "true",
    "type",
    "uint",
    "var",
    "void",
    "while",
];

/// Whether a feature or macro may not have this name: it is reserved, or no identifier.
pub fn is_reserved(name: &str) -> bool {
    let mut bytes = name.bytes();
    let starts = bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    let identifier = starts && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    !identifier || RESERVED.binary_search(&name).is_ok()
}
