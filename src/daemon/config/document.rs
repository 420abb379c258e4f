//! What the declared sections say of themselves: docs/configuration.md, config/refguard.yaml and the JSON Schema.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::sections::Config;
use super::setting::{Key, Scalar, Section, Setting, Shape};

/// Width of a generated comment line, in characters.
const COMMENT_WIDTH: usize = 110;

/// The shipped configuration: every key with its meaning and default.
pub fn yaml_file() -> String {
    let mut out = String::from(
        "# refguard's configuration: every key, what it says, and its default.\n\
         # Each can be overridden in the environment, such as REFGUARD_STATE__PATH for state.path.\n\
         # Relative paths count from the working directory. This file is generated; docs/configuration.md has the same.\n",
    );
    if let Shape::Section(section) = Config::shape() {
        for key in section.keys {
            out.push('\n');
            yaml_key(key, 0, &mut out);
        }
    }
    out
}

fn yaml_key(key: &Key, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    for line in wrap(key.doc, COMMENT_WIDTH - indent) {
        let _ = writeln!(out, "{pad}# {line}");
    }
    let Key { name, default, example, .. } = key;
    if !default.is_empty() && !example.is_empty() {
        let _ = writeln!(out, "{pad}# Such as: {example}");
    }
    match (key.shape)() {
        Shape::Section(section) if *default == "{}" && !section.keys.iter().all(is_absent) => {
            let _ = writeln!(out, "{pad}{name}:");
            section.keys.iter().for_each(|key| yaml_key(key, indent + 2, out));
        }
        _ if default.is_empty() => {
            let _ = writeln!(out, "{pad}# {name}: {example}");
        }
        _ => {
            let _ = writeln!(out, "{pad}{name}: {default}");
        }
    }
}

fn is_absent(key: &Key) -> bool {
    key.default.is_empty()
}

/// docs/configuration.md: a table a section.
pub fn markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    let Shape::Section(root) = Config::shape() else { return out };
    for key in root.keys {
        let _ = write!(out, "\n## `{}`\n\n{}\n", key.name, key.doc);
        let mut rows = Vec::new();
        match (key.shape)() {
            Shape::Section(section) => section.keys.iter().for_each(|below| table(below, key.name, &mut rows)),
            Shape::Map(below) => {
                let _ = writeln!(out, "\nDefault: `{}`. A map by name:", key.default);
                map_rows(&below, &format!("{}.NAME", key.name), &mut rows);
            }
            _ => {}
        }
        if !key.example.is_empty() {
            let _ = write!(out, "\n```yaml\n{}: {}\n```\n", key.name, key.example);
        }
        if !rows.is_empty() {
            out.push_str("\n| key | type | default | |\n| --- | --- | --- | --- |\n");
            rows.iter().for_each(|row| out.push_str(row));
        }
    }
    out
}

fn table(key: &Key, prefix: &str, rows: &mut Vec<String>) {
    let path = format!("{prefix}.{}", key.name);
    let shape = (key.shape)();
    let default = match key.default {
        "" => "absent".to_owned(),
        "{}" if matches!(shape, Shape::Section(_)) => String::new(),
        default => format!("`{default}`"),
    };
    let example = if key.example.is_empty() { String::new() } else { format!(" Such as `{}`.", key.example) };
    rows.push(format!("| `{path}` | {} | {default} | {}{example} |\n", describe(&shape), key.doc));
    match inner(shape) {
        Shape::Section(section) => section.keys.iter().for_each(|below| table(below, &path, rows)),
        Shape::Map(below) => map_rows(&below, &format!("{path}.NAME"), rows),
        _ => {}
    }
}

fn map_rows(below: &Shape, path: &str, rows: &mut Vec<String>) {
    if let Shape::Section(section) = inner(below.clone()) {
        section.keys.iter().for_each(|key| table(key, path, rows));
    }
}

fn inner(shape: Shape) -> Shape {
    match shape {
        Shape::Optional(below) => inner(*below),
        other => other,
    }
}

fn describe(shape: &Shape) -> String {
    match shape {
        Shape::Scalar(scalar) => scalar.describe(),
        Shape::List(below) => format!("list of {}", describe(below)),
        Shape::Map(below) => format!("map of {}", describe(below)),
        Shape::Section(_) => "section".to_owned(),
        Shape::Optional(below) => describe(below),
        Shape::Free => "map".to_owned(),
    }
}

/// The JSON Schema (2020-12) of the configuration, for editors.
pub fn json_schema() -> Value {
    let mut schema = match Config::shape() {
        Shape::Section(section) => section_schema(&section),
        _ => Map::new(),
    };
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("refguard configuration"));
    Value::Object(schema)
}

fn section_schema(section: &Section) -> Map<String, Value> {
    let mut properties = Map::new();
    for key in section.keys {
        let mut schema = schema(&(key.shape)());
        schema.insert("description".to_owned(), json!(key.doc));
        // A section's default is in its keys.
        let written = (!matches!((key.shape)(), Shape::Section(_))).then(|| default_json(key.default)).flatten();
        if let Some(default) = written {
            schema.insert("default".to_owned(), default);
        }
        properties.insert(key.name.to_owned(), Value::Object(schema));
    }
    let schema = json!({"type": "object", "additionalProperties": false, "properties": properties});
    schema.as_object().cloned().unwrap_or_default()
}

fn schema(shape: &Shape) -> Map<String, Value> {
    let value = match shape {
        Shape::Scalar(scalar) => scalar_schema(*scalar),
        Shape::List(below) => json!({"type": "array", "items": schema(below)}),
        Shape::Map(below) => json!({"type": "object", "additionalProperties": schema(below)}),
        Shape::Section(section) => return section_schema(section),
        Shape::Optional(below) => json!({"anyOf": [schema(below), {"type": "null"}]}),
        Shape::Free => json!({"type": "object"}),
    };
    value.as_object().cloned().unwrap_or_default()
}

fn scalar_schema(scalar: Scalar) -> Value {
    match scalar {
        Scalar::Text | Scalar::Path => json!({"type": ["string", "number", "boolean"]}),
        Scalar::Address => json!({"type": "string", "pattern": "^.+:[0-9]{1,5}$"}),
        Scalar::Flag => json!({"type": "boolean"}),
        Scalar::Int(min, i64::MAX) => json!({"type": "integer", "minimum": min}),
        Scalar::Int(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
        Scalar::Number => json!({"type": "number"}),
        Scalar::Span => json!({"type": "string", "pattern": "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"}),
        Scalar::Size => json!({"type": ["string", "integer"], "pattern": "^[0-9.]+ ?(B|KiB|MiB|GiB|TiB)?$"}),
        Scalar::Word(words) => json!({"enum": words}),
    }
}

/// A default's YAML as JSON: scalars by what they look like; maps and lists are left to the docs.
fn default_json(text: &str) -> Option<Value> {
    match text {
        "" => None,
        "{}" => Some(json!({})),
        "[]" => Some(json!([])),
        _ if text.starts_with(['{', '[']) => None,
        _ => Some(serde_json::from_str(text).unwrap_or_else(|_| json!(text))),
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Generated from the sections' declarations; a test compares. -->

One YAML file, by default `config/refguard.yaml`, which shows every key with its default. What is left out has its default.

- **Unknown keys are errors**, with the nearest known one. Every fault is told at once, as `file:line:column`.
- **Environment.** Each key can be overridden: `REFGUARD_` and the keys in capitals, two underscores between, such as
  `REFGUARD_STATE__PATH=/var/lib/refguard` or `REFGUARD_SOURCES__ORDERS__KAFKA__BROKERS='[kafka-1:9092, kafka-2:9092]'`. A
  single value is taken as it stands; lists and maps are YAML. Names are read in lower case, so a source or program whose
  name has capitals is set in the file alone. A variable that begins with `REFGUARD_` and names no key is an error.
- **Paths** that are relative count from the working directory of the process, not from the file.
- **Spans of time** are a number with `ms`, `s`, `m`, `h` or `d`, or several in falling order: `1h30m`. **Sizes** are a number
  with `B`, `KiB`, `MiB`, `GiB` or `TiB`.
- Anchors, aliases, merge keys and tags of YAML are refused, and so is a key that stands twice.
";
