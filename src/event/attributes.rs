//! The producer's own values: which of them are declared, and how one is read from the JSON text of `attributes`.
//!
//! An event keeps them as text, so an event costs nothing for values that no rule reads. May import the fields of events.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::parse_time_ms;

/// Type of a declared attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttributeType {
    /// A string.
    Text,
    /// A number without a fraction, within 64 bits.
    Int,
    /// A number.
    Double,
    /// `true` or `false`.
    Bool,
    /// A string with an instant in RFC 3339.
    Timestamp,
}

/// The value of an attribute, of the type that it was declared with.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeValue<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// A claim.
    Bool(bool),
    /// Milliseconds since the Unix epoch.
    TimeMs(i64),
}

/// The attributes that the configuration declares, by name. A name has one type in all programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(BTreeMap<String, AttributeType>);

impl FromIterator<(String, AttributeType)> for Attributes {
    fn from_iter<T: IntoIterator<Item = (String, AttributeType)>>(declared: T) -> Attributes {
        Attributes(declared.into_iter().collect())
    }
}

impl Attributes {
    /// The type that a name was declared with.
    pub fn get(&self, name: &str) -> Option<AttributeType> {
        self.0.get(name).copied()
    }

    /// The declared names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether some declared attribute of an event has a value of another type than it was declared with. `json` is the
    /// text of the event's `attributes`. Cost: one walk over it.
    pub fn has_misfit(&self, json: &str) -> bool {
        if self.0.is_empty() || json.is_empty() {
            return false;
        }
        serde_json::Deserializer::from_str(json).deserialize_map(Misfits(self)).unwrap_or(false)
    }
}

/// The value of one attribute in the JSON text of an event's `attributes`; `None` when it is absent, `null`, or of
/// another type. Nothing is allocated unless a text has escapes.
pub fn attribute<'a>(json: &'a str, name: &str, wanted: AttributeType) -> Option<AttributeValue<'a>> {
    if json.is_empty() {
        return None;
    }
    let found = serde_json::Deserializer::from_str(json).deserialize_map(Lookup(name)).ok().flatten()?;
    found.into_type(wanted)
}

/// A JSON value, as far as an attribute can be one.
enum Plain<'a> {
    Null,
    Text(Cow<'a, str>),
    Int(i64),
    Double(f64),
    Bool(bool),
    /// A list or an object.
    Nested,
}

impl<'a> Plain<'a> {
    fn into_type(self, wanted: AttributeType) -> Option<AttributeValue<'a>> {
        match (wanted, self) {
            (AttributeType::Text, Plain::Text(text)) => Some(AttributeValue::Text(text)),
            (AttributeType::Timestamp, Plain::Text(text)) => parse_time_ms(&text).ok().map(AttributeValue::TimeMs),
            (AttributeType::Bool, Plain::Bool(value)) => Some(AttributeValue::Bool(value)),
            (AttributeType::Int, Plain::Int(value)) => Some(AttributeValue::Int(value)),
            (AttributeType::Int, Plain::Double(value)) => whole(value).map(AttributeValue::Int),
            (AttributeType::Double, Plain::Int(value)) => Some(AttributeValue::Double(value as f64)),
            (AttributeType::Double, Plain::Double(value)) => Some(AttributeValue::Double(value + 0.0)),
            _ => None,
        }
    }
}

/// JSON has one kind of number: `3.0` says what `3` says.
fn whole(value: f64) -> Option<i64> {
    // 2^63 is a double, and the first that no longer fits.
    let fits = value.fract() == 0.0 && value >= i64::MIN as f64 && value < -(i64::MIN as f64);
    fits.then_some(value as i64)
}

impl<'de> serde::Deserialize<'de> for Plain<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Plain<'de>, D::Error> {
        deserializer.deserialize_any(PlainVisitor)
    }
}

struct PlainVisitor;

impl<'de> Visitor<'de> for PlainVisitor {
    type Value = Plain<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Plain<'de>, E> {
        Ok(Plain::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Plain<'de>, E> {
        Ok(Plain::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Plain<'de>, E> {
        Ok(Plain::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Plain<'de>, E> {
        Ok(i64::try_from(value).map_or(Plain::Double(value as f64), Plain::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Plain<'de>, E> {
        Ok(Plain::Double(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Plain<'de>, E> {
        Ok(Plain::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Plain<'de>, E> {
        Ok(Plain::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut elements: S) -> Result<Plain<'de>, S::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Plain::Nested)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Plain<'de>, M::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Plain::Nested)
    }
}

struct Lookup<'n>(&'n str);

impl<'de> Visitor<'de> for Lookup<'_> {
    type Value = Option<Plain<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Self::Value, M::Error> {
        let mut found = None;
        while let Some(key) = members.next_key::<Plain<'de>>()? {
            match key {
                Plain::Text(key) if key == self.0 => found = Some(members.next_value()?),
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

struct Misfits<'a>(&'a Attributes);

impl<'de> Visitor<'de> for Misfits<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<bool, M::Error> {
        let mut found = false;
        while let Some(key) = members.next_key::<Plain<'de>>()? {
            let declared = match &key {
                Plain::Text(key) => self.0.get(key),
                _ => None,
            };
            match declared {
                Some(wanted) => {
                    let value: Plain<'de> = members.next_value()?;
                    found |= !matches!(value, Plain::Null) && value.into_type(wanted).is_none();
                }
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"tier": "go\u006cd", "n": 3, "whole": 3.0, "half": 0.5, "big": 18446744073709551615, "yes": true,
        "at": "2026-01-01T00:00:00Z", "none": null, "list": [1, {"n": 9}], "object": {"tier": 1}, "n ": 7}"#;

    #[test]
    fn a_value_reads_as_its_declared_type_or_as_nothing() {
        use AttributeType::{Bool, Double, Int, Text, Timestamp};
        let cases = [
            ("tier", Text, Some(AttributeValue::Text("gold".into()))),
            ("tier", Int, None),
            ("tier", Timestamp, None),
            ("n", Int, Some(AttributeValue::Int(3))),
            ("n", Double, Some(AttributeValue::Double(3.0))),
            ("n", Text, None),
            ("whole", Int, Some(AttributeValue::Int(3))),
            ("half", Int, None),
            ("half", Double, Some(AttributeValue::Double(0.5))),
            ("big", Int, None),
            ("big", Double, Some(AttributeValue::Double(18_446_744_073_709_551_615.0))),
            ("yes", Bool, Some(AttributeValue::Bool(true))),
            ("yes", Text, None),
            ("at", Timestamp, Some(AttributeValue::TimeMs(1_767_225_600_000))),
            ("at", Text, Some(AttributeValue::Text("2026-01-01T00:00:00Z".into()))),
            ("none", Text, None),
            ("list", Text, None),
            ("object", Text, None),
            ("absent", Text, None),
        ];
        for (name, wanted, value) in cases {
            assert_eq!(attribute(JSON, name, wanted), value, "{name} as {wanted:?}");
            let declared: Attributes = [(name.to_owned(), wanted)].into_iter().collect();
            let misfit = value.is_none() && !["none", "absent"].contains(&name);
            assert_eq!(declared.has_misfit(JSON), misfit, "{name} as {wanted:?}");
        }
        assert_eq!(attribute("", "n", Int), None);
    }

    #[test]
    fn whole_numbers_end_where_64_bits_end() {
        assert_eq!(whole(-9_223_372_036_854_775_808.0), Some(i64::MIN));
        assert_eq!(whole(9_223_372_036_854_775_808.0), None);
        assert_eq!((whole(f64::NAN), whole(f64::INFINITY)), (None, None));
    }
}
