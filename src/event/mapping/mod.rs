//! Builds our fields from another producer's JSON, by a mapping that the operator writes.
//!
//! A mapping is compiled once, with every fault listed, and writes each foreign event anew as a CloudEvent, which then
//! takes the same way through the parser as any other: there is one validation. It imports `event` and serde only.
//! Invariant: a compiled mapping builds `id`, `source`, `type` and `time`, and each field by a rule that fits its type.

mod build;
mod compile;
mod pointer;

use super::Field;
use pointer::Pointer;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// `sources.NAME.mapping`: for each field of ours, where its value comes from.
///
/// Example: `{id: {pointer: /uuid}, source: {const: /shop}, type: {pointer: /kind, alias: {signup: account.created}},
/// time: {pointer: /at, format: unix_ms}}`. Default: none, the source sends CloudEvents.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct MappingConfig(pub BTreeMap<String, FieldConfig>);

/// Where one field's value comes from: exactly one of `pointer`, `const` and `concat`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldConfig {
    /// A JSON pointer (RFC 6901) into the foreign event, such as `/customer/id`. Nothing there, or `null`: absent.
    pub pointer: Option<String>,
    /// The same value for every event: a string, a number, or an object for `device` and `attributes`.
    #[serde(rename = "const")]
    pub constant: Option<serde_json::Value>,
    /// Pieces put together to one text; if one of them is absent, so is the whole.
    pub concat: Option<Vec<PartConfig>>,
    /// How the foreign value is written, where it is not as we write it.
    pub format: Option<Format>,
    /// Foreign values and what we call them. A value that is not among them passes as it is, or becomes what `"*"` says.
    #[serde(default)]
    pub alias: BTreeMap<String, String>,
}

/// One piece of a `concat`: a text, or a place in the foreign event.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PartConfig {
    /// This text.
    Text(String),
    /// The value at a JSON pointer.
    Pointer(PointerConfig),
}

/// A place in the foreign event.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PointerConfig {
    /// A JSON pointer (RFC 6901).
    pub pointer: String,
}

/// How a foreign value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// An instant in milliseconds since the Unix epoch; a fraction is cut.
    UnixMs,
    /// An instant in seconds since the Unix epoch, with or without a fraction.
    UnixS,
    /// An amount in whole units with a decimal point, such as `12.34`, made minor units exactly, by the digits of the
    /// mapped `currency` in ISO 4217 (two if there is none).
    Decimal,
}

/// One fault in a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingError {
    /// The keys that lead to it, below `mapping`, such as `["type", "pointer"]`.
    pub path: Vec<String>,
    /// What is wrong, lower case, no full stop.
    pub message: String,
    /// The next step, such as the nearest known name.
    pub hint: Option<String>,
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mapping")?;
        self.path.iter().try_for_each(|key| write!(f, ".{key}"))?;
        write!(f, ": {}", self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " (hint: {hint})"))
    }
}

impl std::error::Error for MappingError {}

/// A checked mapping, ready to be applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// The rules in slot order, so that what is built does not depend on the order in the file.
    rules: BTreeMap<Field, Rule>,
}

/// Where a field's value comes from, and what is done with it.
#[derive(Clone, Debug, PartialEq)]
struct Rule {
    origin: Origin,
    format: Option<Format>,
    alias: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Origin {
    Pointer(Pointer),
    Constant(serde_json::Value),
    Concat(Vec<Part>),
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Pointer(Pointer),
}

/// The key of an alias table that stands for every other value.
const ANY_OTHER: &str = "*";

#[cfg(test)]
mod tests;
