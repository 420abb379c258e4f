//! The types of expressions: those of CEL, and a few that only refguard has.

use std::fmt;

/// What a set's members, or a hashed value, were before they were hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// Text.
    Text,
    /// A whole number.
    Int,
    /// A float.
    Double,
    /// A claim.
    Bool,
    /// An instant; hashed as its milliseconds.
    Timestamp,
    /// A span of time; hashed as its milliseconds.
    Duration,
}

impl Element {
    /// The element for values of this type; `None` for what state does not keep.
    pub fn of(ty: &Type) -> Option<Element> {
        Some(match ty {
            Type::Text | Type::Hashed(Element::Text) => Element::Text,
            Type::Int | Type::Hashed(Element::Int) => Element::Int,
            Type::Double | Type::Hashed(Element::Double) => Element::Double,
            Type::Bool | Type::Hashed(Element::Bool) => Element::Bool,
            Type::Timestamp | Type::Hashed(Element::Timestamp) => Element::Timestamp,
            Type::Duration | Type::Hashed(Element::Duration) => Element::Duration,
            _ => return None,
        })
    }

    /// The type of such a value in the clear.
    pub fn ty(self) -> Type {
        match self {
            Element::Text => Type::Text,
            Element::Int => Type::Int,
            Element::Double => Type::Double,
            Element::Bool => Type::Bool,
            Element::Timestamp => Type::Timestamp,
            Element::Duration => Type::Duration,
        }
    }
}

/// The kinds of list that a pack can declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// Texts, compared exactly.
    Text,
    /// Networks; an address is in the list when it is in one of them.
    Network,
    /// Domains; a domain is in the list when it or a parent of it is.
    Domain,
    /// Calendar days in the program's time zone; an instant is in the list when its day is.
    Date,
}

impl ListKind {
    /// The word of rule files.
    pub const fn name(self) -> &'static str {
        match self {
            ListKind::Text => "string",
            ListKind::Network => "cidr",
            ListKind::Domain => "domain",
            ListKind::Date => "date",
        }
    }
}

/// The type of an expression.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// `bool`.
    Bool,
    /// `int`: 64 bits, signed.
    Int,
    /// `uint`: 64 bits, unsigned.
    Uint,
    /// `double`: IEEE 754, 64 bits.
    Double,
    /// `string`: Unicode text.
    Text,
    /// `bytes`.
    Bytes,
    /// `google.protobuf.Timestamp`: years 1 to 9999, to the nanosecond.
    Timestamp,
    /// `google.protobuf.Duration`: to the nanosecond.
    Duration,
    /// `null_type`: the type of `null`.
    Null,
    /// `list`.
    List(Box<Type>),
    /// `map`: keys, then values.
    Map(Box<Type>, Box<Type>),
    /// `dyn`: known only when it runs.
    Dyn,
    /// `type`: the type of a type.
    Type,
    /// The different values of a `set` feature, known by their hashes.
    Set(Element),
    /// A value that state knows only by its keyed hash: for `==`, `!=` and `in`.
    Hashed(Element),
    /// A declared list: for the right of `in`, and as an argument.
    Members(ListKind),
    /// A component of linked accounts, for `same`; read by its name it is the int of its size.
    Component,
    /// Of something that already has a diagnostic: it fits everywhere, so that one fault is told once.
    Faulty,
}

impl Type {
    /// A list of this.
    pub fn list(of: Type) -> Type {
        Type::List(Box::new(of))
    }

    /// A map.
    pub fn map(key: Type, value: Type) -> Type {
        Type::Map(Box::new(key), Box::new(value))
    }

    /// Whether it is int, uint or double.
    pub fn is_number(&self) -> bool {
        matches!(self, Type::Int | Type::Uint | Type::Double)
    }

    /// Whether nothing is known of it before it runs.
    pub fn is_open(&self) -> bool {
        matches!(self, Type::Dyn | Type::Faulty)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Uint => "uint",
            Type::Double => "double",
            Type::Text => "string",
            Type::Bytes => "bytes",
            Type::Timestamp => "timestamp",
            Type::Duration => "duration",
            Type::Null => "null",
            Type::List(element) => return write!(f, "list({element})"),
            Type::Map(key, value) => return write!(f, "map({key}, {value})"),
            Type::Dyn => "dyn",
            Type::Type => "type",
            Type::Set(element) => return write!(f, "set({})", element.ty()),
            Type::Hashed(element) => return write!(f, "hashed {}", element.ty()),
            Type::Members(kind) => return write!(f, "{} list", kind.name()),
            Type::Component => "component",
            Type::Faulty => "unknown",
        };
        f.write_str(name)
    }
}
