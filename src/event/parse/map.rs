//! Map fields: kept as their JSON text, and hashed by content, whatever the order of keys or the notation.

use super::draft::{self, Draft};
use super::expected;
use crate::event::{Field, Reason};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Reads the JSON text of a map field, or `null`, into the draft.
///
/// # Errors
///
/// [`Reason::WrongType`] if it is no object (for `device`, of strings), [`Reason::DuplicateField`] if a key in it stands
/// twice, and [`Reason::NotJson`] if it nests deeper than 128 levels.
pub(super) fn read(draft: &mut Draft<'_>, field: Field, text: &str) -> Result<(), Reason> {
    let wrong_type = (field.name(), expected(field));
    let content: Content = serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Reason::DuplicateField { member: field.name() },
        _ => match draft::reason_of(text, &error, wrong_type) {
            Reason::NotJson { problem, offset } => {
                Reason::NotJson { problem: format!("in {field}: {problem}"), offset }
            }
            reason => reason,
        },
    })?;
    match content.shape {
        Shape::Null => return Ok(()),
        Shape::Object { of_text } if of_text || field != Field::Device => draft.set_map(field, text, content.hash),
        _ => return Err(Reason::WrongType { member: wrong_type.0, expected: wrong_type.1 }),
    }
    Ok(())
}

/// What a JSON value is, as far as a map field cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Null,
    Text,
    Scalar,
    Array,
    Object { of_text: bool },
}

/// A JSON value by what it says: equal for equal values in any notation and order of keys.
struct Content {
    shape: Shape,
    hash: u64,
}

impl Content {
    /// A scalar: its kind is the seed, so that `1` and `"1"` differ.
    fn scalar(shape: Shape, kind: u64, bytes: &[u8]) -> Content {
        Content { shape, hash: xxh3_64_with_seed(bytes, kind) }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Content, D::Error> {
        json.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::scalar(Shape::Null, 0, &[]))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::scalar(Shape::Scalar, 1, &[value.into()]))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::scalar(Shape::Scalar, 2, &i128::from(value).to_le_bytes()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::scalar(Shape::Scalar, 2, &i128::from(value).to_le_bytes()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        // 1.0 says what 1 says. Beyond the integers of 128 bits the cast stops at their edge, and the guard fails.
        let whole = value as i128;
        if whole as f64 == value && whole != i128::MAX {
            return Ok(Content::scalar(Shape::Scalar, 2, &whole.to_le_bytes()));
        }
        Ok(Content::scalar(Shape::Scalar, 3, &value.to_bits().to_le_bytes()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content::scalar(Shape::Text, 4, text.as_bytes()))
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut elements: S) -> Result<Content, S::Error> {
        let mut hash = 5;
        while let Some(element) = elements.next_element::<Content>()? {
            hash = xxh3_64_with_seed(&element.hash.to_le_bytes(), hash);
        }
        Ok(Content { shape: Shape::Array, hash })
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Content, M::Error> {
        let mut sum: u64 = 0;
        let mut of_text = true;
        let mut keys = Vec::new();
        while let Some(key) = members.next_key::<Content>()? {
            let value = members.next_value::<Content>()?;
            keys.push(key.hash);
            of_text &= value.shape == Shape::Text;
            sum = sum.wrapping_add(xxh3_64_with_seed(&value.hash.to_le_bytes(), key.hash));
        }
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(serde::de::Error::custom("a key stands twice"));
        }
        Ok(Content { shape: Shape::Object { of_text }, hash: xxh3_64(&sum.to_le_bytes()) })
    }
}
