//! Values of every type, for constants, folding, and what rarely runs: the slow but general half of evaluation.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Fault;

/// A value of CEL, or one of ours that only state knows.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
    /// Nanoseconds since the Unix epoch.
    Timestamp(i128),
    /// Nanoseconds.
    Duration(i128),
    List(Arc<[Value]>),
    Map(Arc<Map>),
    /// A type, by the name that `type()` gives.
    Type(&'static str),
    /// A value known by its keyed hash.
    Hash(u64),
    /// A set's members, ascending, and how many it has.
    Set {
        members: Arc<[u64]>,
        size: u64,
    },
}

/// The entries of a map, in the order of their keys, so that walking it is deterministic.
pub(super) type Map = BTreeMap<MapKey, (Value, Value)>;

/// A map's key by its value: equal numbers are one key, whatever their type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MapKey {
    Bool(bool),
    Number(i128),
    Text(Arc<str>),
}

impl MapKey {
    /// The key for a lookup; `None` for a value that equals no key.
    pub(super) fn lookup(value: &Value) -> Option<MapKey> {
        match value {
            Value::Double(number) if number.fract() == 0.0 && number.abs() < 1e20 => {
                Some(MapKey::Number(*number as i128))
            }
            _ => MapKey::declared(value),
        }
    }

    /// The key of an entry; `None` for a type that keys cannot have.
    pub(super) fn declared(value: &Value) -> Option<MapKey> {
        match value {
            Value::Bool(key) => Some(MapKey::Bool(*key)),
            Value::Int(key) => Some(MapKey::Number(i128::from(*key))),
            Value::Uint(key) => Some(MapKey::Number(i128::from(*key))),
            Value::Text(key) => Some(MapKey::Text(Arc::clone(key))),
            _ => None,
        }
    }
}

impl Value {
    /// A text.
    pub(super) fn text(text: &str) -> Value {
        Value::Text(Arc::from(text))
    }

    /// A list.
    pub(super) fn list(values: Vec<Value>) -> Value {
        Value::List(Arc::from(values))
    }

    /// The bool in it.
    pub(super) fn bool(&self) -> Result<bool, Fault> {
        match self {
            Value::Bool(value) => Ok(*value),
            _ => Err(Fault::NoSuchOverload),
        }
    }

    /// The name that `type()` gives its type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null_type",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::Text(_) | Value::Hash(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Timestamp(_) => "google.protobuf.Timestamp",
            Value::Duration(_) => "google.protobuf.Duration",
            Value::List(_) | Value::Set { .. } => "list",
            Value::Map(_) => "map",
            Value::Type(_) => "type",
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Value::Int(_) | Value::Uint(_) | Value::Double(_))
    }

    /// CEL's `==`: numbers by value across their types, lists and maps member by member, different types unequal.
    pub(super) fn equals(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.equals(b)),
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.0 == b.0 && a.1.1.equals(&b.1.1))
            }
            (a, b) if a.is_number() && b.is_number() => a.compare(b) == Ok(Some(Ordering::Equal)),
            (a, b) => a == b,
        }
    }

    /// CEL's ordering; `None` where a NaN is compared, which has no order.
    ///
    /// Ints and uints meet a double as doubles, as the specification's own cases want.
    ///
    /// # Errors
    ///
    /// `NoSuchOverload` for types that have no order, or not with each other.
    pub(super) fn compare(&self, other: &Value) -> Result<Option<Ordering>, Fault> {
        Ok(Some(match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::Uint(a), Value::Uint(b)) => a.cmp(b),
            (Value::Int(a), Value::Uint(b)) => i128::from(*a).cmp(&i128::from(*b)),
            (Value::Uint(a), Value::Int(b)) => i128::from(*a).cmp(&i128::from(*b)),
            (a, b) if a.is_number() && b.is_number() => return Ok(a.as_double().partial_cmp(&b.as_double())),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            (Value::Timestamp(a), Value::Timestamp(b)) | (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
            _ => return Err(Fault::NoSuchOverload),
        }))
    }

    /// A number as a double.
    fn as_double(&self) -> Option<f64> {
        match self {
            Value::Int(value) => Some(*value as f64),
            Value::Uint(value) => Some(*value as f64),
            Value::Double(value) => Some(*value),
            _ => None,
        }
    }

    /// A number as a double.
    ///
    /// # Errors
    ///
    /// `NoSuchOverload` for anything else.
    pub(super) fn double(&self) -> Result<f64, Fault> {
        self.as_double().ok_or(Fault::NoSuchOverload)
    }
}
