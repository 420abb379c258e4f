//! Reads `sources.NAME.mapping` from the tree, so that its faults have places.

use std::collections::BTreeMap;

use crate::event::mapping::{FieldConfig, Format, MappingConfig, MappingError, PartConfig, PointerConfig};
use crate::ruleset::yaml::{Kind, Node, Reader, Style};

const FORMATS: &[(&str, Format)] =
    &[("unix_ms", Format::UnixMs), ("unix_s", Format::UnixS), ("decimal", Format::Decimal)];

/// Reads a mapping as written; `None` when it is no map. A field whose rule could not be read was reported, and stands for
/// any value, so that the checks of the whole do not blame it again.
pub(super) fn read(reader: &mut Reader, node: &Node) -> Option<MappingConfig> {
    let entries = reader.entries(node)?;
    let any = || FieldConfig { pointer: Some(String::new()), ..FieldConfig::default() };
    let fields = entries.iter().map(|entry| (entry.key.clone(), field(reader, &entry.value).unwrap_or_else(any)));
    Some(MappingConfig(fields.collect::<BTreeMap<_, _>>()))
}

fn field(reader: &mut Reader, node: &Node) -> Option<FieldConfig> {
    let before = reader.found.len();
    let fields = reader.fields(node, "a mapped field", &["pointer", "const", "concat", "format", "alias"])?;
    let mut text = |node: &Node| reader.text(node).map(str::to_owned);
    let pointer = fields.get("pointer").and_then(&mut text);
    let constant = fields.get("const").and_then(|node| json(reader, node));
    let concat = fields.get("concat").and_then(|node| parts(reader, node));
    let format = fields.get("format").and_then(|node| reader.choice(node, "format", FORMATS));
    let mut alias = BTreeMap::new();
    for entry in fields.get("alias").and_then(|node| reader.entries(node)).unwrap_or_default() {
        if let Some(ours) = reader.filled_text(&entry.value) {
            alias.insert(entry.key.clone(), ours.to_owned());
        }
    }
    (reader.found.len() == before).then_some(FieldConfig { pointer, constant, concat, format, alias })
}

fn parts(reader: &mut Reader, node: &Node) -> Option<Vec<PartConfig>> {
    let items = reader.list(node)?;
    let mut parts = Vec::new();
    for item in items {
        let part = match &item.kind {
            Kind::Scalar(_) => reader.text(item).map(|text| PartConfig::Text(text.to_owned())),
            _ => reader.fields(item, "a part", &["pointer"]).and_then(|fields| {
                let pointer = fields.required("pointer", reader)?;
                let pointer = reader.text(pointer)?.to_owned();
                Some(PartConfig::Pointer(PointerConfig { pointer }))
            }),
        };
        parts.push(part?);
    }
    Some(parts)
}

/// A value as JSON: unquoted numbers and booleans are what they look like.
fn json(reader: &mut Reader, node: &Node) -> Option<serde_json::Value> {
    match &node.kind {
        Kind::Scalar(scalar) => {
            let text = reader.text(node)?;
            let plain = scalar.style == Style::Plain;
            let typed = plain.then(|| serde_json::from_str::<serde_json::Value>(text).ok()).flatten();
            Some(typed.unwrap_or_else(|| text.into()))
        }
        Kind::List(items) => items.iter().map(|item| json(reader, item)).collect(),
        Kind::Map(entries) => {
            entries.iter().map(|entry| Some((entry.key.clone(), json(reader, &entry.value)?))).collect()
        }
    }
}

/// Reports a fault of a mapping at the place that its path leads to, as far as it leads.
pub(super) fn report(reader: &mut Reader, mapping: &Node, fault: &MappingError) {
    let mut span = mapping.span.start..mapping.span.start;
    let mut node = mapping;
    for key in &fault.path {
        match &node.kind {
            Kind::Map(entries) => {
                let Some(entry) = entries.iter().find(|entry| entry.key == *key) else { break };
                span = entry.key_span.clone();
                node = &entry.value;
            }
            Kind::List(items) => {
                let Some(item) = key.parse().ok().and_then(|index: usize| items.get(index)) else { break };
                span = item.span.clone();
                node = item;
            }
            Kind::Scalar(_) => break,
        }
    }
    let message = format!("mapping: {}", fault.message);
    let diagnostic = crate::ruleset::diagnostic::Diagnostic::error("mapping", &mapping.file, span, message);
    reader.push(match &fault.hint {
        Some(hint) => diagnostic.hint(hint.clone()),
        None => diagnostic,
    });
}
