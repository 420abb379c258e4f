//! What a setting is: how it is read from YAML, and how it describes itself for docs and schema.
//!
//! A section is declared once, by [`settings!`]: its fields with type, default, meaning and example. Reader, defaults,
//! documentation, schema and the shipped file all come from that one place.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::ruleset::yaml::{Node, Reader};

/// A value of the configuration.
pub trait Setting: Sized {
    /// Reads it; `None` when it is faulty, and the reader knows why.
    fn read(reader: &mut Reader, node: &Node) -> Option<Self>;

    /// What it looks like.
    fn shape() -> Shape;
}

/// What a value looks like.
#[derive(Clone, Debug)]
pub enum Shape {
    /// One value, written without structure.
    Scalar(Scalar),
    /// A list of such values.
    List(Box<Shape>),
    /// A map with names that the user chooses.
    Map(Box<Shape>),
    /// A map with known keys.
    Section(Section),
    /// A value that may be absent.
    Optional(Box<Shape>),
    /// Anything: a later part of refguard reads it.
    Free,
}

/// A value without structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// Text.
    Text,
    /// The path of a file or folder.
    Path,
    /// `host:port`.
    Address,
    /// True or false.
    Flag,
    /// A whole number within bounds, both included.
    Int(i64, i64),
    /// A number.
    Number,
    /// A span of time.
    Span,
    /// A size in bytes.
    Size,
    /// One of a few words.
    Word(&'static [&'static str]),
}

impl Scalar {
    /// Its type in words, for the docs.
    pub fn describe(self) -> String {
        match self {
            Scalar::Text => "text".to_owned(),
            Scalar::Path => "path".to_owned(),
            Scalar::Address => "address (`host:port`)".to_owned(),
            Scalar::Flag => "`true` or `false`".to_owned(),
            Scalar::Int(min, i64::MAX) => format!("whole number from {min}"),
            Scalar::Int(min, max) => format!("whole number, {min} to {max}"),
            Scalar::Number => "number".to_owned(),
            Scalar::Span => "span of time (`ms`, `s`, `m`, `h`, `d`)".to_owned(),
            Scalar::Size => "size (`B`, `KiB`, `MiB`, `GiB`, `TiB`)".to_owned(),
            Scalar::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "),
        }
    }
}

/// A map with known keys.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// What it is about.
    pub doc: &'static str,
    /// Its keys, in the order of the docs.
    pub keys: &'static [Key],
}

/// A key of a section.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub doc: &'static str,
    /// Its default as YAML; empty for a section, whose keys have theirs, and for what is absent by default.
    pub default: &'static str,
    /// A value as YAML that shows how it is written, where the default does not.
    pub example: &'static str,
    /// What its value looks like.
    pub shape: fn() -> Shape,
}

/// Declares sections: `Name "name in messages" { key: Type = "default as YAML" eg "example as YAML", "what it says"; }`.
macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident $what:literal { $($key:ident : $type:ty = $default:literal $(eg $example:literal)?, $text:literal;)* })*) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $(#[doc = $text] pub $key: $type,)*
        }

        impl $crate::daemon::config::setting::Setting for $name {
            fn read(
                reader: &mut $crate::ruleset::yaml::Reader,
                node: &$crate::ruleset::yaml::Node,
            ) -> Option<$name> {
                let fields = reader.fields(node, $what, &[$(stringify!($key)),*])?;
                Some($name {
                    $($key: match fields.get(stringify!($key)) {
                        Some(node) => <$type>::read(reader, node),
                        None => None,
                    }
                    .unwrap_or_else(|| $crate::daemon::config::setting::default_of($default)),)*
                })
            }

            fn shape() -> $crate::daemon::config::setting::Shape {
                $crate::daemon::config::setting::Shape::Section($crate::daemon::config::setting::Section {
                    doc: concat!($($doc, "\n"),+),
                    keys: &[$($crate::daemon::config::setting::Key {
                        name: stringify!($key),
                        doc: $text,
                        default: $default,
                        example: concat!($($example)?),
                        shape: <$type>::shape,
                    }),*],
                })
            }
        }

        impl Default for $name {
            fn default() -> $name {
                $name { $($key: $crate::daemon::config::setting::default_of($default),)* }
            }
        }
    )*};
}
pub(super) use settings;

/// Reads the default of a setting from its YAML. A section's default is written as `{}`.
pub(super) fn default_of<T: Setting>(text: &str) -> T {
    let file = std::sync::Arc::new(crate::ruleset::diagnostic::SourceFile {
        path: "the defaults".into(),
        text: if text.is_empty() { "~".to_owned() } else { text.to_owned() },
    });
    let mut reader = Reader::default();
    let node = crate::ruleset::yaml::parse(&file, &mut reader.found);
    let value = node.and_then(|node| T::read(&mut reader, &node));
    value.expect("a default is a value that its own setting reads; a test reads them all")
}

impl Setting for String {
    fn read(reader: &mut Reader, node: &Node) -> Option<String> {
        reader.filled_text(node).map(str::to_owned)
    }
    fn shape() -> Shape {
        Shape::Scalar(Scalar::Text)
    }
}

impl Setting for PathBuf {
    fn read(reader: &mut Reader, node: &Node) -> Option<PathBuf> {
        reader.filled_text(node).map(PathBuf::from)
    }
    fn shape() -> Shape {
        Shape::Scalar(Scalar::Path)
    }
}

impl Setting for bool {
    fn read(reader: &mut Reader, node: &Node) -> Option<bool> {
        reader.boolean(node)
    }
    fn shape() -> Shape {
        Shape::Scalar(Scalar::Flag)
    }
}

impl Setting for f64 {
    fn read(reader: &mut Reader, node: &Node) -> Option<f64> {
        reader.double(node, f64::MIN..=f64::MAX)
    }
    fn shape() -> Shape {
        Shape::Scalar(Scalar::Number)
    }
}

impl<T: Setting> Setting for Option<T> {
    fn read(reader: &mut Reader, node: &Node) -> Option<Option<T>> {
        if node.is_null() {
            return Some(None);
        }
        T::read(reader, node).map(Some)
    }
    fn shape() -> Shape {
        Shape::Optional(Box::new(T::shape()))
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn read(reader: &mut Reader, node: &Node) -> Option<Vec<T>> {
        let items = reader.list(node)?;
        Some(items.iter().filter_map(|item| T::read(reader, item)).collect())
    }
    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    fn read(reader: &mut Reader, node: &Node) -> Option<BTreeMap<String, T>> {
        let entries = reader.entries(node)?;
        let read = |entry: &crate::ruleset::yaml::Entry| Some((entry.key.clone(), T::read(reader, &entry.value)?));
        Some(entries.iter().filter_map(read).collect())
    }
    fn shape() -> Shape {
        Shape::Map(Box::new(T::shape()))
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Whole<const MIN: i64, const MAX: i64>(pub i64);

impl<const MIN: i64, const MAX: i64> Setting for Whole<MIN, MAX> {
    fn read(reader: &mut Reader, node: &Node) -> Option<Self> {
        reader.int(node, MIN..=MAX).map(Whole)
    }
    fn shape() -> Shape {
        Shape::Scalar(Scalar::Int(MIN, MAX))
    }
}

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub i64);

impl Setting for Millis {
    fn read(reader: &mut Reader, node: &Node) -> Option<Millis> {
        reader.duration_ms(node).map(Millis)
    }
    fn shape() -> Shape {
        Shape::Scalar(Scalar::Span)
    }
}

/// A size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Setting for Bytes {
    fn read(reader: &mut Reader, node: &Node) -> Option<Bytes> {
        reader.bytes(node).map(Bytes)
    }
    fn shape() -> Shape {
        Shape::Scalar(Scalar::Size)
    }
}

/// Where something listens or is reached: `host:port`, kept as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(pub String);

impl Setting for Address {
    fn read(reader: &mut Reader, node: &Node) -> Option<Address> {
        let text = reader.filled_text(node)?;
        let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        if port.and_then(|(_, port)| port.parse::<u16>().ok()).is_none() {
            let message = format!("expected an address, found {}", node.describe());
            reader.push(node.error("type", message).hint("write `host:port`, such as `127.0.0.1:9464`"));
            return None;
        }
        Some(Address(text.to_owned()))
    }
    fn shape() -> Shape {
        Shape::Scalar(Scalar::Address)
    }
}

/// Something that a later part of refguard reads: its keys are its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Later;

impl Setting for Later {
    fn read(reader: &mut Reader, node: &Node) -> Option<Later> {
        reader.entries(node).map(|_| Later)
    }
    fn shape() -> Shape {
        Shape::Free
    }
}

/// Declares an enum of words.
macro_rules! words {
    ($($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $word_doc:literal])+ $variant:ident = $word:literal,)* })*) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[doc = $word_doc])+ $variant,)* }

        impl $crate::daemon::config::setting::Setting for $name {
            fn read(
                reader: &mut $crate::ruleset::yaml::Reader,
                node: &$crate::ruleset::yaml::Node,
            ) -> Option<$name> {
                reader.choice(node, "value of this key", &[$(($word, $name::$variant)),*])
            }

            fn shape() -> $crate::daemon::config::setting::Shape {
                $crate::daemon::config::setting::Shape::Scalar(
                    $crate::daemon::config::setting::Scalar::Word(&[$($word),*]),
                )
            }
        }
    )*};
}
pub(super) use words;
