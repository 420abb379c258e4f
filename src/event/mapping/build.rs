//! Applies a mapping: a foreign event in, the text of a CloudEvent out.

use super::{ANY_OTHER, Format, Mapping, Origin, Part, Rule};
use crate::event::currency::is_currency;
use crate::event::json::{write_double, write_int, write_string, write_timestamp};
use crate::event::money::{currency_exponent, parse_decimal, parse_decimal_floor};
use crate::event::{Field, FieldType, Reason, TIME_MAX_MS, TIME_MIN_MS};
use serde_json::{Number, Value};
use std::borrow::Cow;

/// Why an amount in whole units cannot be read.
const NO_CURRENCY: &str = "its currency is not known: map `currency` to a code of ISO 4217, or to `PTS`";

impl Mapping {
    /// Appends the event that a foreign one stands for, as the JSON text of a CloudEvent in structured mode. What the
    /// text says is not checked here: that is the parser's part.
    ///
    /// # Errors
    ///
    /// [`Reason::Mapping`] if a value does not have the `format` that the mapping says, or is a number whose digits are lost.
    pub fn write_event(&self, foreign: &Value, out: &mut Vec<u8>) -> Result<(), Reason> {
        out.extend_from_slice(b"{\"specversion\":\"1.0\"");
        let (envelope, data): (Vec<_>, Vec<_>) = self.rules.iter().partition(|(field, _)| field.is_envelope());
        for (field, rule) in envelope {
            self.write_member(*field, rule, foreign, out)?;
        }
        // An unknown member first, so that every other is led by a comma.
        out.extend_from_slice(b",\"data\":{\"\":0");
        for (field, rule) in data {
            self.write_member(*field, rule, foreign, out)?;
        }
        out.extend_from_slice(b"}}");
        Ok(())
    }

    /// Appends `,"name":value`, or nothing for an absent value.
    fn write_member(&self, field: Field, rule: &Rule, foreign: &Value, out: &mut Vec<u8>) -> Result<(), Reason> {
        let fault = |problem: &str| Reason::Mapping { field, problem: problem.to_owned() };
        let Some(value) = rule.origin.find(foreign).map_err(fault)? else {
            return Ok(());
        };
        out.push(b',');
        write_string(out, field.name());
        out.push(b':');
        match (rule.format, field.field_type()) {
            (Some(Format::Decimal), _) => {
                let code = self.currency(foreign).map(|code| code.to_ascii_uppercase());
                // Two digits are many currencies', and a hundred times too much of points.
                let code = code.filter(|code| is_currency(code)).ok_or_else(|| fault(NO_CURRENCY))?;
                let exponent = currency_exponent(&code);
                write_int(out, parse_decimal(&digits_of(&value).map_err(&fault)?, exponent).map_err(fault)?);
            }
            (Some(format), _) => {
                let exponent = if format == Format::UnixS { 3 } else { 0 };
                let time_ms = parse_decimal_floor(&digits_of(&value).map_err(&fault)?, exponent).map_err(fault)?;
                if !(TIME_MIN_MS..=TIME_MAX_MS).contains(&time_ms) {
                    return Err(fault("the year is not 0001 to 9999"));
                }
                write_timestamp(out, time_ms);
            }
            (None, FieldType::Text) => match text_of(&value).map_err(fault)? {
                Some(text) => write_string(out, rule.alias_of(&text)),
                None => write_value(&value, out),
            },
            (None, FieldType::Int) => match value.as_str().and_then(|text| text.parse().ok()) {
                Some(number) => write_int(out, number),
                None => write_value(&value, out),
            },
            (None, FieldType::Double) => match value.as_str().and_then(|text| text.parse().ok()) {
                Some(number) if f64::is_finite(number) => write_double(out, number),
                _ => write_value(&value, out),
            },
            (None, FieldType::Map) if field == Field::Device => write_texts(&value, out),
            (None, FieldType::Timestamp | FieldType::Map) => write_value(&value, out),
        }
        Ok(())
    }

    /// The mapped currency.
    fn currency<'a>(&'a self, foreign: &'a Value) -> Option<String> {
        let rule = self.rules.get(&Field::Currency)?;
        let value = rule.origin.find(foreign).ok()??;
        Some(rule.alias_of(&text_of(&value).ok()??).to_owned())
    }
}

impl Rule {
    /// What we call a foreign value.
    fn alias_of<'t>(&'t self, text: &'t str) -> &'t str {
        self.alias.get(text).or_else(|| self.alias.get(ANY_OTHER)).map_or(text, String::as_str)
    }
}

impl Origin {
    /// The value in a foreign event; `None` when absent.
    fn find<'v>(&'v self, foreign: &'v Value) -> Result<Option<Cow<'v, Value>>, &'static str> {
        Ok(match self {
            Origin::Pointer(pointer) => pointer.find(foreign).map(Cow::Borrowed),
            Origin::Constant(value) => Some(Cow::Borrowed(value)),
            Origin::Concat(parts) => {
                let mut whole = String::new();
                for part in parts {
                    match part {
                        Part::Text(text) => whole.push_str(text),
                        Part::Pointer(pointer) => {
                            let Some(value) = pointer.find(foreign) else { return Ok(None) };
                            let Some(text) = text_of(value)? else { return Ok(None) };
                            whole.push_str(&text);
                        }
                    }
                }
                Some(Cow::Owned(Value::String(whole)))
            }
        })
    }
}

/// A scalar as text: a number by its digits. `None` for an array or object.
fn text_of(value: &Value) -> Result<Option<Cow<'_, str>>, &'static str> {
    Ok(match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number_text(number)?)),
        Value::Bool(truth) => Some(Cow::Borrowed(if *truth { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    })
}

/// A number's digits, however it came.
fn digits_of(value: &Value) -> Result<Cow<'_, str>, &'static str> {
    match value {
        Value::String(text) => Ok(Cow::Borrowed(text.trim_ascii())),
        Value::Number(number) => number_text(number).map(Cow::Owned),
        _ => Err("it is neither a number nor a string"),
    }
}

/// A JSON number that is not whole, or too large for 64 bits, was read as a double. Its shortest digits are those that the
/// producer wrote as long as there are at most 15; beyond that nobody can tell, and two ids might become one.
fn number_text(number: &Number) -> Result<String, &'static str> {
    let text = number.to_string();
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let significant = mantissa.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
    let is_beyond = number.as_f64().is_some_and(|number| number.abs() >= 1e15);
    if number.is_f64() && (significant > 15 || is_beyond) {
        return Err("it is a number with more than 15 digits: send it as a string");
    }
    Ok(text)
}

/// Appends an object with its scalars as texts and without its nulls; anything else as it is.
fn write_texts(value: &Value, out: &mut Vec<u8>) {
    let Some(members) = value.as_object() else {
        return write_value(value, out);
    };
    out.push(b'{');
    let mut is_first = true;
    for (name, member) in members.iter().filter(|(_, member)| !member.is_null()) {
        if !is_first {
            out.push(b',');
        }
        is_first = false;
        write_string(out, name);
        out.push(b':');
        match text_of(member) {
            Ok(Some(text)) => write_string(out, &text),
            // What is no text here is refused by who reads the field.
            Ok(None) | Err(_) => write_value(member, out),
        }
    }
    out.push(b'}');
}

fn write_value(value: &Value, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("a write into a vector does not fail");
}
