//! The visitors that carry JSON into a draft: the envelope, its `data`, and a value of each type.

use super::draft::{Draft, Extra};
use super::map;
use crate::event::{Field, FieldType, Reason};
use base64::Engine as _;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

impl Draft<'_> {
    /// Reads a whole event in structured mode, the general way.
    pub(super) fn read_general_envelope(&mut self, text: &str) -> Result<(), Reason> {
        let mut json = serde_json::Deserializer::from_str(text);
        let read = Envelope(self).deserialize(&mut json).and_then(|()| json.end());
        read.map_err(|error| self.reason_of(text, &error))
    }

    /// Reads `data` that stands alone, the general way.
    pub(super) fn read_general_data(&mut self, text: &str) -> Result<(), Reason> {
        let mut json = serde_json::Deserializer::from_str(text);
        let read = Data(self).deserialize(&mut json).and_then(|()| json.end());
        read.map_err(|error| self.reason_of(text, &error))
    }
}

macro_rules! visited_any {
    ($($seed:ident)*) => {$(
        impl<'de> DeserializeSeed<'de> for $seed<'_, '_> {
            type Value = ();

            #[inline]
            fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
                json.deserialize_any(self)
            }
        }
    )*};
}

visited_any! { Envelope Data Version Base64 Text Int Double Instant }

/// A visitor's method that says what it wants is read by nobody: the draft knows the member and its type.
macro_rules! expecting {
    ($text:literal) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str($text)
        }
    };
}

/// The members of an envelope that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    /// A field of the envelope.
    Field(Field),
    /// `specversion`.
    Specversion,
    /// `data`.
    Data,
    /// `data_base64`.
    DataBase64,
    /// One that is not read.
    Other,
}

impl Attribute {
    /// The member of this name.
    pub(super) fn of(name: &str) -> Attribute {
        match name {
            "id" => Attribute::Field(Field::Id),
            "source" => Attribute::Field(Field::Source),
            "type" => Attribute::Field(Field::Type),
            "time" => Attribute::Field(Field::Time),
            "specversion" => Attribute::Specversion,
            "data" => Attribute::Data,
            "data_base64" => Attribute::DataBase64,
            _ => Attribute::Other,
        }
    }
}

/// A member's name, looked up without a copy.
struct Name<F>(F);

impl<'de, T, F: FnOnce(&str) -> T> DeserializeSeed<'de> for Name<F> {
    type Value = T;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<T, D::Error> {
        json.deserialize_str(self)
    }
}

impl<T, F: FnOnce(&str) -> T> Visitor<'_> for Name<F> {
    type Value = T;
    expecting!("a name");

    #[inline]
    fn visit_str<E>(self, name: &str) -> Result<T, E> {
        Ok(self.0(name))
    }
}

/// A whole event.
struct Envelope<'d, 'a>(&'d mut Draft<'a>);

impl<'de> Visitor<'de> for Envelope<'_, '_> {
    type Value = ();
    expecting!("an event");

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<(), M::Error> {
        let draft = self.0;
        while let Some(attribute) = members.next_key_seed(Name(Attribute::of))? {
            match attribute {
                Attribute::Field(field) => {
                    draft.begin(field).map_err(|reason| draft.stop(reason))?;
                    match field {
                        Field::Time => members.next_value_seed(Instant(draft, field))?,
                        _ => members.next_value_seed(Text(draft, field))?,
                    }
                }
                Attribute::Specversion => {
                    draft.begin_extra(Extra::Specversion).map_err(|reason| draft.stop(reason))?;
                    members.next_value_seed(Version(draft))?;
                }
                Attribute::Data => {
                    draft.begin_extra(Extra::Data).map_err(|reason| draft.stop(reason))?;
                    members.next_value_seed(Data(draft))?;
                }
                Attribute::DataBase64 => {
                    draft.begin_extra(Extra::Data).map_err(|reason| draft.stop(reason))?;
                    draft.expect_base64();
                    members.next_value_seed(Base64(draft))?;
                }
                Attribute::Other => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// The payload: fields, and members that refguard does not know.
struct Data<'d, 'a>(&'d mut Draft<'a>);

impl<'de> Visitor<'de> for Data<'_, '_> {
    type Value = ();
    expecting!("an object");

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<(), M::Error> {
        let draft = self.0;
        while let Some(field) = members.next_key_seed(Name(Field::from_name))? {
            let Some(field) = field.filter(|field| !field.is_envelope()) else {
                members.next_value::<IgnoredAny>()?;
                continue;
            };
            draft.begin(field).map_err(|reason| draft.stop(reason))?;
            match field.field_type() {
                FieldType::Text => members.next_value_seed(Text(draft, field))?,
                FieldType::Int => members.next_value_seed(Int(draft, field))?,
                FieldType::Double => members.next_value_seed(Double(draft, field))?,
                FieldType::Timestamp => members.next_value_seed(Instant(draft, field))?,
                FieldType::Map => {
                    let text = members.next_value::<&RawValue>()?.get();
                    map::read(draft, field, text).map_err(|reason| draft.stop(reason))?;
                }
            }
        }
        Ok(())
    }
}

/// `specversion`.
struct Version<'d, 'a>(&'d mut Draft<'a>);

impl Visitor<'_> for Version<'_, '_> {
    type Value = ();
    expecting!("a string");

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, version: &str) -> Result<(), E> {
        self.0.set_version(version);
        Ok(())
    }
}

/// `data_base64`: the payload once more wrapped.
struct Base64<'d, 'a>(&'d mut Draft<'a>);

impl Visitor<'_> for Base64<'_, '_> {
    type Value = ();
    expecting!("base64");

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, base64: &str) -> Result<(), E> {
        let draft = self.0;
        let decoded = base64::engine::general_purpose::STANDARD.decode(base64).ok();
        let Some(text) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) else {
            return Err(E::custom("not the base64 of a text"));
        };
        let mut json = serde_json::Deserializer::from_str(&text);
        let read = Data(draft).deserialize(&mut json).and_then(|()| json.end());
        read.map_err(|error| {
            let reason = draft.reason_of(&text, &error);
            draft.stop(reason)
        })
    }
}

/// The value of a text field.
struct Text<'d, 'a>(&'d mut Draft<'a>, Field);

impl Visitor<'_> for Text<'_, '_> {
    type Value = ();
    expecting!("a string");

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    #[inline]
    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.set_text(self.1, text);
        Ok(())
    }
}

/// The value of an integer field.
struct Int<'d, 'a>(&'d mut Draft<'a>, Field);

impl Visitor<'_> for Int<'_, '_> {
    type Value = ();
    expecting!("an integer");

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.0.set_int(self.1, value);
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        let value = i64::try_from(value).map_err(E::custom)?;
        self.0.set_int(self.1, value);
        Ok(())
    }
}

/// The value of a number field.
struct Double<'d, 'a>(&'d mut Draft<'a>, Field);

impl Visitor<'_> for Double<'_, '_> {
    type Value = ();
    expecting!("a number");

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.visit_f64(value as f64)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.0.set_double(self.1, value);
        Ok(())
    }
}

/// The value of a timestamp field.
struct Instant<'d, 'a>(&'d mut Draft<'a>, Field);

impl Visitor<'_> for Instant<'_, '_> {
    type Value = ();
    expecting!("a string in RFC 3339");

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    #[inline]
    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let draft = self.0;
        draft.set_time(self.1, text).map_err(|reason| draft.stop(reason))
    }
}
