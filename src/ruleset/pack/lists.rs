//! The `lists` of a pack: values in place, in a file beside the rules, or managed by people over the API.

use super::{Name, choice, identifier_after_dot};
use crate::ruleset::cel::ListKind;
use crate::ruleset::yaml::{Node, Reader};

/// A list as written.
pub(in crate::ruleset) struct ListDef {
    pub(in crate::ruleset) name: Name,
    pub(in crate::ruleset) kind: ListKind,
    /// The values in place, with their nodes for diagnostics.
    pub(in crate::ruleset) values: Vec<Node>,
    /// Path of a file with a value a line, relative to the rules' folder.
    pub(in crate::ruleset) file: Option<Node>,
    pub(in crate::ruleset) managed: bool,
}

const KEYS: &[&str] = &["kind", "values", "file", "managed"];
const KINDS: &[ListKind] = &[ListKind::Text, ListKind::Network, ListKind::Domain, ListKind::Date];

pub(super) fn read(reader: &mut Reader, node: &Node) -> Vec<ListDef> {
    let mut lists = Vec::new();
    for entry in reader.entries(node).unwrap_or_default() {
        let name = identifier_after_dot(reader, entry, "a list");
        let Some(fields) = reader.fields(&entry.value, "a list", KEYS) else { continue };
        let kind = fields
            .required("kind", reader)
            .and_then(|node| choice(reader, node, "kind of list", KINDS, ListKind::name));
        let values = fields.get("values").and_then(|node| reader.list(node)).unwrap_or_default().to_vec();
        let file = fields.get("file").filter(|node| reader.filled_text(node).is_some()).cloned();
        let managed = fields.get("managed").and_then(|node| reader.boolean(node)).unwrap_or(false);
        let sources = [fields.get("values"), fields.get("file"), fields.get("managed").filter(|_| managed)];
        if sources.iter().flatten().count() != 1 {
            let message = "a list has its values in one place";
            let hint = "write one of `values: [...]`, `file: lists/name.txt` and `managed: true`";
            reader.push(Name::of_key(entry).error("list-source", message).hint(hint));
        }
        if let Some(name) = name {
            lists.push(ListDef { name, kind: kind.unwrap_or(ListKind::Text), values, file, managed });
        }
    }
    lists
}
