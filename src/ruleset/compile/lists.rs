//! Lists: values in place or from a file, each checked for what the list's kind wants.

use std::ops::Range;
use std::sync::Arc;

use super::ListFile;
use super::features::Hash;
use crate::lists::{List, ListKind};
use crate::ruleset::cel;
use crate::ruleset::diagnostic::{Diagnostic, SourceFile};
use crate::ruleset::pack::ListDef;
use crate::ruleset::program::NamedList;
use crate::ruleset::yaml::{Node, Reader};

/// Makes one list; what is wrong with its values is reported, and the list is empty then.
pub(super) fn list(definition: &ListDef, file_of: &mut ListFile<'_>, reader: &mut Reader) -> NamedList {
    let kind = kind(definition.kind);
    let mut print = Hash::new();
    print.part(kind.name());
    let list = match &definition.file {
        Some(node) => from_file(kind, node, file_of, &mut print, reader),
        None => from_values(kind, &definition.values, &mut print, reader),
    };
    let empty = || List::from_values(kind, []).expect("no values, no fault");
    NamedList {
        name: definition.name.text.clone(),
        managed: definition.managed,
        file: definition.file.as_ref().and_then(|node| reader.filled_text(node)).map(str::to_owned),
        print: print.hex(),
        list: list.unwrap_or_else(empty),
    }
}

fn from_values(kind: ListKind, nodes: &[Node], print: &mut Hash, reader: &mut Reader) -> Option<List> {
    let values: Vec<&str> = nodes.iter().filter_map(|node| reader.filled_text(node)).collect();
    values.iter().for_each(|value| print.part(value));
    if values.len() < nodes.len() {
        return None;
    }
    match List::from_values(kind, values) {
        Ok(list) => Some(list),
        Err(faults) => {
            for fault in faults {
                if let Some(node) = fault.line.checked_sub(1).and_then(|index| nodes.get(index)) {
                    reader.push(node.error("list-value", fault.reason));
                }
            }
            None
        }
    }
}

fn from_file(
    kind: ListKind,
    node: &Node,
    file_of: &mut ListFile<'_>,
    print: &mut Hash,
    reader: &mut Reader,
) -> Option<List> {
    let path = reader.filled_text(node)?;
    let file = match file_of(path) {
        Ok(file) => file,
        Err(why) => {
            reader.push(node.error("list-file", why).hint("the path is relative to the folder of the rules"));
            return None;
        }
    };
    print.part(&file.text);
    match List::parse(kind, &file.text) {
        Ok(list) => Some(list),
        Err(faults) => {
            for fault in faults {
                let span = line_span(&file, fault.line);
                reader.push(Diagnostic::error("list-value", &file, span, fault.reason));
            }
            None
        }
    }
}

/// The bytes of a line, counted from 1, without what ends it.
fn line_span(file: &Arc<SourceFile>, line: usize) -> Range<usize> {
    let text = file.text.split_inclusive('\n').nth(line.saturating_sub(1)).unwrap_or("");
    let start: usize = file.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    start..start + text.trim_end().len()
}

fn kind(kind: cel::ListKind) -> ListKind {
    match kind {
        cel::ListKind::Text => ListKind::Text,
        cel::ListKind::Network => ListKind::Network,
        cel::ListKind::Domain => ListKind::Domain,
        cel::ListKind::Date => ListKind::Date,
    }
}
