//! What operators and functions do with values whose types are known only when they run, and with constants.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::Arc;

use super::function::{Function, Operator};
use super::text;
use super::time::{self, Zone};
use super::value::{MapKey, Value};
use super::{Fault, sets};
use crate::lists::canonical_network;

/// The longest text or list that an expression makes.
const MADE_MAX: usize = 1 << 20;
/// How many characters of each text `similarity` looks at, since its cost is their product.
const SIMILARITY_CHARS_MAX: usize = 256;

/// Applies an operator.
///
/// # Errors
///
/// The fault of the operator for these operands.
pub(super) fn operator(operator: Operator, args: &[Value]) -> Result<Value, Fault> {
    match (operator, args) {
        (Operator::Negate, [value]) => match value {
            Value::Int(value) => value.checked_neg().map(Value::Int).ok_or(Fault::Overflow),
            Value::Double(value) => Ok(Value::Double(-value)),
            _ => Err(Fault::NoSuchOverload),
        },
        (_, [a, b]) => binary(operator, a, b),
        _ => Err(Fault::NoSuchOverload),
    }
}

fn binary(operator: Operator, a: &Value, b: &Value) -> Result<Value, Fault> {
    let ordered = |wanted: fn(Ordering) -> bool| Ok(Value::Bool(wanted(a.compare(b)?.ok_or(Fault::InvalidArgument)?)));
    match operator {
        Operator::Equal => Ok(Value::Bool(a.equals(b))),
        Operator::NotEqual => Ok(Value::Bool(!a.equals(b))),
        Operator::Less => ordered(Ordering::is_lt),
        Operator::LessOrEqual => ordered(Ordering::is_le),
        Operator::Greater => ordered(Ordering::is_gt),
        Operator::GreaterOrEqual => ordered(Ordering::is_ge),
        Operator::In => contains(b, a).map(Value::Bool),
        Operator::Index => index(a, b),
        _ => arithmetic(operator, a, b),
    }
}

fn contains(container: &Value, value: &Value) -> Result<bool, Fault> {
    match container {
        Value::List(values) => Ok(values.iter().any(|member| member.equals(value))),
        Value::Map(map) => Ok(MapKey::lookup(value).is_some_and(|key| map.contains_key(&key))),
        Value::Set { members, .. } => match value {
            Value::Hash(hash) => Ok(members.binary_search(hash).is_ok()),
            _ => Err(Fault::NoSuchOverload),
        },
        _ => Err(Fault::NoSuchOverload),
    }
}

fn index(container: &Value, at: &Value) -> Result<Value, Fault> {
    match container {
        Value::List(values) => match MapKey::lookup(at) {
            Some(MapKey::Number(at)) => {
                usize::try_from(at).ok().and_then(|at| values.get(at)).cloned().ok_or(Fault::OutOfRange)
            }
            _ => Err(Fault::InvalidArgument),
        },
        Value::Map(map) => {
            let key = MapKey::lookup(at).ok_or(Fault::NoSuchKey)?;
            map.get(&key).map(|entry| entry.1.clone()).ok_or(Fault::NoSuchKey)
        }
        _ => Err(Fault::NoSuchOverload),
    }
}

fn arithmetic(operator: Operator, a: &Value, b: &Value) -> Result<Value, Fault> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => ints(operator, *a, *b).map(Value::Int),
        (Value::Uint(a), Value::Uint(b)) => uints(operator, *a, *b).map(Value::Uint),
        (Value::Double(a), Value::Double(b)) => doubles(operator, *a, *b).map(Value::Double),
        (Value::Timestamp(_) | Value::Duration(_), _) => times(operator, a, b),
        _ if operator == Operator::Add => concatenated(a, b),
        _ => Err(Fault::NoSuchOverload),
    }
}

/// Arithmetic on ints.
///
/// # Errors
///
/// `Overflow`, or `DivisionByZero` of `/` and `%`.
#[inline]
pub(super) fn ints(operator: Operator, a: i64, b: i64) -> Result<i64, Fault> {
    match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide | Operator::Remainder if b == 0 => return Err(Fault::DivisionByZero),
        Operator::Divide => a.checked_div(b),
        Operator::Remainder => a.checked_rem(b),
        _ => return Err(Fault::NoSuchOverload),
    }
    .ok_or(Fault::Overflow)
}

fn uints(operator: Operator, a: u64, b: u64) -> Result<u64, Fault> {
    match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide | Operator::Remainder if b == 0 => return Err(Fault::DivisionByZero),
        Operator::Divide => a.checked_div(b),
        Operator::Remainder => a.checked_rem(b),
        _ => return Err(Fault::NoSuchOverload),
    }
    .ok_or(Fault::Overflow)
}

/// Arithmetic on doubles, by IEEE 754.
///
/// # Errors
///
/// `NoSuchOverload` of `%`.
#[inline]
pub(super) fn doubles(operator: Operator, a: f64, b: f64) -> Result<f64, Fault> {
    match operator {
        Operator::Add => Ok(a + b),
        Operator::Subtract => Ok(a - b),
        Operator::Multiply => Ok(a * b),
        Operator::Divide => Ok(a / b),
        _ => Err(Fault::NoSuchOverload),
    }
}

fn times(operator: Operator, a: &Value, b: &Value) -> Result<Value, Fault> {
    match (operator, a, b) {
        (Operator::Add, Value::Timestamp(a), Value::Duration(b))
        | (Operator::Add, Value::Duration(a), Value::Timestamp(b)) => time::timestamp(a + b).map(Value::Timestamp),
        (Operator::Add, Value::Duration(a), Value::Duration(b)) => time::duration(a + b).map(Value::Duration),
        (Operator::Subtract, Value::Timestamp(a), Value::Timestamp(b))
        | (Operator::Subtract, Value::Duration(a), Value::Duration(b)) => time::duration(a - b).map(Value::Duration),
        (Operator::Subtract, Value::Timestamp(a), Value::Duration(b)) => time::timestamp(a - b).map(Value::Timestamp),
        _ => Err(Fault::NoSuchOverload),
    }
}

fn concatenated(a: &Value, b: &Value) -> Result<Value, Fault> {
    let bounded = |len: usize| if len <= MADE_MAX { Ok(()) } else { Err(Fault::TooCostly) };
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => {
            bounded(a.len() + b.len())?;
            Ok(Value::Text(Arc::from(format!("{a}{b}"))))
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            bounded(a.len() + b.len())?;
            Ok(Value::Bytes(Arc::from([a.as_ref(), b.as_ref()].concat())))
        }
        (Value::List(a), Value::List(b)) => {
            bounded((a.len() + b.len()) * size_of::<Value>())?;
            Ok(Value::list([a.as_ref(), b.as_ref()].concat()))
        }
        _ => Err(Fault::NoSuchOverload),
    }
}

/// Applies a function.
///
/// # Errors
///
/// The fault of the function for these arguments.
pub(super) fn function(function: Function, args: &[Value]) -> Result<Value, Fault> {
    match (function, args) {
        (Function::Contains, [Value::Text(a), Value::Text(b)]) => Ok(Value::Bool(a.contains(b.as_ref()))),
        (Function::StartsWith, [Value::Text(a), Value::Text(b)]) => Ok(Value::Bool(a.starts_with(b.as_ref()))),
        (Function::EndsWith, [Value::Text(a), Value::Text(b)]) => Ok(Value::Bool(a.ends_with(b.as_ref()))),
        (Function::Size, [value]) => size(value).map(Value::Int),
        (Function::Dyn, [value]) => Ok(value.clone()),
        (Function::Type, [value]) => Ok(Value::Type(value.type_name())),
        (Function::Part(part), [Value::Timestamp(ns)]) => Ok(Value::Int(part.of_timestamp(*ns, &Zone::UTC))),
        (Function::Part(part), [Value::Timestamp(ns), Value::Text(zone)]) => {
            Ok(Value::Int(part.of_timestamp(*ns, &Zone::parse(zone)?)))
        }
        (Function::Part(part), [Value::Duration(ns)]) => part.of_duration(*ns).map(Value::Int),
        (Function::Days, [Value::Int(days)]) => {
            time::duration(i128::from(*days) * 86_400_000_000_000).map(Value::Duration)
        }
        (Function::Ratio, [a, b]) => Ok(Value::Double(ratio(a.double()?, b.double()?))),
        (Function::Similarity, [Value::Text(a), Value::Text(b)]) => Ok(Value::Double(similarity(a, b))),
        (Function::Median, [Value::List(values)]) => median(values).map(Value::Double),
        (Function::Overlap, [Value::Set { members: a, .. }, Value::Set { members: b, .. }]) => {
            Ok(Value::Int(sets::overlap(a, b)))
        }
        (Function::InNetwork, [Value::Text(address), Value::List(networks)]) => {
            in_networks(address, networks).map(Value::Bool)
        }
        (_, [value]) => converted(function, value),
        _ => Err(Fault::NoSuchOverload),
    }
}

fn size(value: &Value) -> Result<i64, Fault> {
    let size = match value {
        Value::Text(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(values) => values.len(),
        Value::Map(map) => map.len(),
        Value::Set { size, .. } => return i64::try_from(*size).map_err(|_| Fault::Overflow),
        _ => return Err(Fault::NoSuchOverload),
    };
    i64::try_from(size).map_err(|_| Fault::Overflow)
}

/// A quotient of numbers; 0 where the divisor is 0.
#[inline]
pub(super) fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}

/// Jaro-Winkler similarity, 0 to 1, of the first 256 characters of each.
pub(super) fn similarity(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(first_chars(a), first_chars(b))
}

fn first_chars(text: &str) -> &str {
    text.char_indices().nth(SIMILARITY_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}

fn median(values: &[Value]) -> Result<f64, Fault> {
    let mut numbers = values.iter().map(Value::double).collect::<Result<Vec<f64>, Fault>>()?;
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.get(middle) {
        None => Err(Fault::InvalidArgument),
        Some(upper) if numbers.len() % 2 == 1 => Ok(*upper),
        Some(upper) => Ok(numbers[middle - 1].midpoint(*upper)),
    }
}

/// Reads a network, or an address as the network of it alone.
pub(super) fn network(text: &str) -> Option<ipnet::IpNet> {
    let network = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(ipnet::IpNet::from));
    network.map(canonical_network)
}

/// Reads an address; IPv4 inside IPv6 is IPv4, as in lists.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().map(|address: IpAddr| address.to_canonical())
}

fn in_networks(address: &str, networks: &[Value]) -> Result<bool, Fault> {
    let address = self::address(address);
    let mut found = false;
    for value in networks {
        let Value::Text(text) = value else { return Err(Fault::NoSuchOverload) };
        let network = network(text).ok_or(Fault::InvalidArgument)?;
        found |= address.is_some_and(|address| network.contains(&address));
    }
    Ok(found)
}

/// Conversions, by the name of the type that they give.
fn converted(function: Function, value: &Value) -> Result<Value, Fault> {
    let invalid = Fault::InvalidConversion;
    match (function, value) {
        (Function::Bool, Value::Bool(_))
        | (Function::Bytes, Value::Bytes(_))
        | (Function::Double, Value::Double(_))
        | (Function::Duration, Value::Duration(_))
        | (Function::Int, Value::Int(_))
        | (Function::Text, Value::Text(_))
        | (Function::Timestamp, Value::Timestamp(_))
        | (Function::Uint, Value::Uint(_)) => Ok(value.clone()),
        (Function::Bool, Value::Text(text)) => match text.as_ref() {
            "1" | "t" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(invalid),
        },
        (Function::Bytes, Value::Text(text)) => Ok(Value::Bytes(Arc::from(text.as_bytes()))),
        (Function::Double, Value::Text(text)) => text.parse().map(Value::Double).map_err(|_| invalid),
        (Function::Double, value) => value.double().map(Value::Double),
        (Function::Duration, Value::Text(text)) => time::parse_duration(text).map(Value::Duration),
        (Function::Int, Value::Uint(value)) => i64::try_from(*value).map(Value::Int).map_err(|_| Fault::Overflow),
        (Function::Int, Value::Double(value)) => double_to_int(*value).map(Value::Int),
        (Function::Int, Value::Text(text)) => text.parse().map(Value::Int).map_err(|_| invalid),
        (Function::Int, Value::Timestamp(ns)) => Ok(Value::Int(time::seconds(*ns))),
        (Function::Uint, Value::Int(value)) => u64::try_from(*value).map(Value::Uint).map_err(|_| Fault::Overflow),
        (Function::Uint, Value::Double(value)) => {
            let fits = *value >= 0.0 && *value < 18_446_744_073_709_551_616.0;
            if fits { Ok(Value::Uint(*value as u64)) } else { Err(Fault::Overflow) }
        }
        (Function::Uint, Value::Text(text)) => text.parse().map(Value::Uint).map_err(|_| invalid),
        (Function::Timestamp, Value::Text(text)) => time::parse_timestamp(text).map(Value::Timestamp),
        (Function::Timestamp, Value::Int(seconds)) => time::timestamp_from_s(*seconds).map(Value::Timestamp),
        (Function::Text, value) => text::of(value).map(|text| Value::Text(Arc::from(text))),
        _ => Err(Fault::NoSuchOverload),
    }
}

/// A double towards zero; both ends of the range are out, since a double cannot tell them from what is beyond.
///
/// # Errors
///
/// `Overflow` out of range, and of a NaN.
pub(super) fn double_to_int(value: f64) -> Result<i64, Fault> {
    const END: f64 = 9_223_372_036_854_775_808.0;
    if value > -END && value < END { Ok(value as i64) } else { Err(Fault::Overflow) }
}
