//! The operators and functions: their names, the types they take and give, and what they do with values.

use super::Type;
use super::time::Part;
use cel::common::ast::operators;

/// An operator whose operands are all evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Negate,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Index,
}

impl Operator {
    /// The comparison that says the same with its sides exchanged; every other operator stays.
    pub(super) fn mirrored(self) -> Operator {
        match self {
            Operator::Less => Operator::Greater,
            Operator::LessOrEqual => Operator::GreaterOrEqual,
            Operator::Greater => Operator::Less,
            Operator::GreaterOrEqual => Operator::LessOrEqual,
            same => same,
        }
    }

    /// The operator that the parser calls this.
    pub(super) fn from_parsed(name: &str) -> Option<Operator> {
        Some(match name {
            operators::ADD => Operator::Add,
            operators::SUBSTRACT => Operator::Subtract,
            operators::MULTIPLY => Operator::Multiply,
            operators::DIVIDE => Operator::Divide,
            operators::MODULO => Operator::Remainder,
            operators::NEGATE => Operator::Negate,
            operators::EQUALS => Operator::Equal,
            operators::NOT_EQUALS => Operator::NotEqual,
            operators::LESS => Operator::Less,
            operators::LESS_EQUALS => Operator::LessOrEqual,
            operators::GREATER => Operator::Greater,
            operators::GREATER_EQUALS => Operator::GreaterOrEqual,
            operators::IN => Operator::In,
            _ => return None,
        })
    }

    /// As it is written.
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract | Operator::Negate => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Remainder => "%",
            Operator::Equal => "==",
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::In => "in",
            Operator::Index => "[]",
        }
    }
}

/// A function of values alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    Part(Part),
    Bool,
    Bytes,
    Double,
    Duration,
    Dyn,
    Int,
    Text,
    Timestamp,
    Type,
    Uint,
    Days,
    InNetwork,
    Median,
    Overlap,
    Ratio,
    Similarity,
}

/// The type of a parameter or result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Any,
    Bool,
    Bytes,
    Double,
    Duration,
    Dyn,
    Int,
    List,
    Map,
    Members,
    Numbers,
    Set,
    Text,
    Timestamp,
    Type,
    Uint,
}

impl Kind {
    /// Whether an argument of this type may be given.
    pub(super) fn takes(self, ty: &Type) -> bool {
        if ty.is_open() {
            return !matches!(self, Kind::Members | Kind::Set);
        }
        match self {
            Kind::Any | Kind::Dyn => !matches!(ty, Type::Set(_) | Type::Members(_) | Type::Component | Type::Hashed(_)),
            Kind::List => matches!(ty, Type::List(_)),
            Kind::Map => matches!(ty, Type::Map(..)),
            Kind::Members => matches!(ty, Type::Members(_)),
            Kind::Numbers => matches!(ty, Type::List(element) if element.is_number() || element.is_open()),
            Kind::Set => matches!(ty, Type::Set(_)),
            scalar => *ty == scalar.ty(),
        }
    }

    /// The type of a result of this kind.
    pub(super) fn ty(self) -> Type {
        match self {
            Kind::Bool => Type::Bool,
            Kind::Bytes => Type::Bytes,
            Kind::Double => Type::Double,
            Kind::Duration => Type::Duration,
            Kind::Int => Type::Int,
            Kind::Text => Type::Text,
            Kind::Timestamp => Type::Timestamp,
            Kind::Type => Type::Type,
            Kind::Uint => Type::Uint,
            Kind::Any | Kind::Dyn | Kind::List | Kind::Map | Kind::Members | Kind::Numbers | Kind::Set => Type::Dyn,
        }
    }
}

/// One way to call a function. A member's first parameter stands before the dot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overload {
    pub name: &'static str,
    pub member: bool,
    pub function: Function,
    pub parameters: &'static [Kind],
    pub result: Kind,
}

macro_rules! overloads {
    ($($style:ident $name:literal ($($parameter:ident),*) $result:ident = $function:expr;)*) => {
        /// Every way to call every function of values.
        pub(super) const OVERLOADS: &[Overload] = &[$(Overload {
            name: $name,
            member: overloads!(@ $style),
            function: $function,
            parameters: &[$(Kind::$parameter),*],
            result: Kind::$result,
        },)*];
    };
    (@ member) => { true };
    (@ global) => { false };
}

overloads! {
    global "size" (Text) Int = Function::Size;
    global "size" (Bytes) Int = Function::Size;
    global "size" (List) Int = Function::Size;
    global "size" (Map) Int = Function::Size;
    global "size" (Set) Int = Function::Size;
    member "size" (Text) Int = Function::Size;
    member "size" (Bytes) Int = Function::Size;
    member "size" (List) Int = Function::Size;
    member "size" (Map) Int = Function::Size;
    member "size" (Set) Int = Function::Size;
    member "contains" (Text, Text) Bool = Function::Contains;
    member "startsWith" (Text, Text) Bool = Function::StartsWith;
    member "endsWith" (Text, Text) Bool = Function::EndsWith;
    member "matches" (Text, Text) Bool = Function::Matches;
    global "matches" (Text, Text) Bool = Function::Matches;
    member "getFullYear" (Timestamp) Int = Function::Part(Part::FullYear);
    member "getFullYear" (Timestamp, Text) Int = Function::Part(Part::FullYear);
    member "getMonth" (Timestamp) Int = Function::Part(Part::Month);
    member "getMonth" (Timestamp, Text) Int = Function::Part(Part::Month);
    member "getDate" (Timestamp) Int = Function::Part(Part::Date);
    member "getDate" (Timestamp, Text) Int = Function::Part(Part::Date);
    member "getDayOfMonth" (Timestamp) Int = Function::Part(Part::DayOfMonth);
    member "getDayOfMonth" (Timestamp, Text) Int = Function::Part(Part::DayOfMonth);
    member "getDayOfWeek" (Timestamp) Int = Function::Part(Part::DayOfWeek);
    member "getDayOfWeek" (Timestamp, Text) Int = Function::Part(Part::DayOfWeek);
    member "getDayOfYear" (Timestamp) Int = Function::Part(Part::DayOfYear);
    member "getDayOfYear" (Timestamp, Text) Int = Function::Part(Part::DayOfYear);
    member "getHours" (Timestamp) Int = Function::Part(Part::Hours);
    member "getHours" (Timestamp, Text) Int = Function::Part(Part::Hours);
    member "getHours" (Duration) Int = Function::Part(Part::Hours);
    member "getMinutes" (Timestamp) Int = Function::Part(Part::Minutes);
    member "getMinutes" (Timestamp, Text) Int = Function::Part(Part::Minutes);
    member "getMinutes" (Duration) Int = Function::Part(Part::Minutes);
    member "getSeconds" (Timestamp) Int = Function::Part(Part::Seconds);
    member "getSeconds" (Timestamp, Text) Int = Function::Part(Part::Seconds);
    member "getSeconds" (Duration) Int = Function::Part(Part::Seconds);
    member "getMilliseconds" (Timestamp) Int = Function::Part(Part::Milliseconds);
    member "getMilliseconds" (Timestamp, Text) Int = Function::Part(Part::Milliseconds);
    member "getMilliseconds" (Duration) Int = Function::Part(Part::Milliseconds);
    global "bool" (Bool) Bool = Function::Bool;
    global "bool" (Text) Bool = Function::Bool;
    global "bytes" (Bytes) Bytes = Function::Bytes;
    global "bytes" (Text) Bytes = Function::Bytes;
    global "double" (Double) Double = Function::Double;
    global "double" (Int) Double = Function::Double;
    global "double" (Uint) Double = Function::Double;
    global "double" (Text) Double = Function::Double;
    global "duration" (Duration) Duration = Function::Duration;
    global "duration" (Text) Duration = Function::Duration;
    global "dyn" (Any) Dyn = Function::Dyn;
    global "int" (Int) Int = Function::Int;
    global "int" (Uint) Int = Function::Int;
    global "int" (Double) Int = Function::Int;
    global "int" (Text) Int = Function::Int;
    global "int" (Timestamp) Int = Function::Int;
    global "string" (Text) Text = Function::Text;
    global "string" (Bool) Text = Function::Text;
    global "string" (Int) Text = Function::Text;
    global "string" (Uint) Text = Function::Text;
    global "string" (Double) Text = Function::Text;
    global "string" (Bytes) Text = Function::Text;
    global "string" (Timestamp) Text = Function::Text;
    global "string" (Duration) Text = Function::Text;
    global "timestamp" (Timestamp) Timestamp = Function::Timestamp;
    global "timestamp" (Text) Timestamp = Function::Timestamp;
    global "timestamp" (Int) Timestamp = Function::Timestamp;
    global "type" (Any) Type = Function::Type;
    global "uint" (Uint) Uint = Function::Uint;
    global "uint" (Int) Uint = Function::Uint;
    global "uint" (Double) Uint = Function::Uint;
    global "uint" (Text) Uint = Function::Uint;
    global "days" (Int) Duration = Function::Days;
    global "in_network" (Text, Members) Bool = Function::InNetwork;
    global "in_network" (Text, List) Bool = Function::InNetwork;
    global "median" (Numbers) Double = Function::Median;
    global "overlap" (Set, Set) Int = Function::Overlap;
    global "ratio" (Int, Int) Double = Function::Ratio;
    global "ratio" (Int, Double) Double = Function::Ratio;
    global "ratio" (Double, Int) Double = Function::Ratio;
    global "ratio" (Double, Double) Double = Function::Ratio;
    global "similarity" (Text, Text) Double = Function::Similarity;
}

/// The types that are values too, by their names.
pub(super) const TYPE_NAMES: &[&str] =
    &["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

/// The types of time, whose names have dots.
pub(super) const TIME_TYPE_NAMES: &[&str] = &["google.protobuf.Duration", "google.protobuf.Timestamp"];
