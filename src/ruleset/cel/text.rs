//! Values as text: what `string()` gives and what messages show.

use std::fmt::Write;

use super::value::Value;
use super::{Fault, time};

/// What `string()` gives.
///
/// # Errors
///
/// `InvalidConversion` for bytes that are no UTF-8, `NoSuchOverload` for types without text.
pub(super) fn of(value: &Value) -> Result<String, Fault> {
    let mut out = String::new();
    match value {
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => out.push_str(itoa::Buffer::new().format(*value)),
        Value::Uint(value) => out.push_str(itoa::Buffer::new().format(*value)),
        Value::Double(value) => write_double(*value, &mut out),
        Value::Text(text) => out.push_str(text),
        Value::Bytes(bytes) => out.push_str(std::str::from_utf8(bytes).map_err(|_| Fault::InvalidConversion)?),
        Value::Timestamp(ns) => time::write_timestamp(*ns, &mut out),
        Value::Duration(ns) => time::write_duration(*ns, &mut out),
        _ => return Err(Fault::NoSuchOverload),
    }
    Ok(out)
}

/// The shortest decimal form that reads back as the same double; with an exponent where that is shorter to read.
pub(super) fn write_double(value: f64, out: &mut String) {
    let magnitude = value.abs();
    let plain = magnitude == 0.0 || (1e-5..1e21).contains(&magnitude) || !value.is_finite();
    let written = if plain { write!(out, "{value}") } else { write!(out, "{value:e}") };
    written.expect("writing to a string does not fail");
}
