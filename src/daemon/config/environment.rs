//! Variables of the environment over the file: `REFGUARD_STATE__PATH=/var/lib/refguard`.
//!
//! Each is set into the tree before that is read, so that a faulty variable is reported like a faulty line, under its
//! own name.

use std::sync::Arc;

use super::sections::Config;
use super::setting::{Setting, Shape};
use crate::event::nearest;
use crate::ruleset::diagnostic::{Diagnostic, SourceFile};
use crate::ruleset::yaml::{self, Entry, Kind, Node, Reader, Scalar, Style};

/// What the names of refguard's variables begin with.
pub const PREFIX: &str = "REFGUARD_";

/// Sets every variable that begins with [`PREFIX`] into the tree; others are none of ours. In the order of their names,
/// so that the outcome does not depend on the process's environment.
pub(super) fn apply(root: &mut Node, environment: impl Iterator<Item = (String, String)>, reader: &mut Reader) {
    let mut ours: Vec<(String, String)> = environment.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    ours.sort();
    for (name, value) in ours {
        let file = Arc::new(SourceFile { path: name.clone().into(), text: value });
        if let Some((path, shape)) = resolve(&name, &file, reader)
            && let Some(node) = value_node(&file, &shape, reader)
        {
            set(root, &path, node);
        }
    }
}

/// The keys that a name leads through, and what stands there; an unknown name is reported.
fn resolve(name: &str, file: &Arc<SourceFile>, reader: &mut Reader) -> Option<(Vec<String>, Shape)> {
    let mut shape = Config::shape();
    let mut path: Vec<String> = Vec::new();
    for part in name[PREFIX.len()..].split("__") {
        let key = part.to_lowercase();
        shape = match step(&shape, &key) {
            Ok(below) => below,
            Err(known) => {
                let message = format!("the environment variable `{name}` sets nothing that there is");
                let diagnostic = Diagnostic::error("unknown-key", file, 0..0, message);
                let suggestion = nearest(&key, known.iter().copied()).map(|near| {
                    let with: Vec<String> = path.iter().cloned().chain([near.to_owned()]).collect();
                    format!("did you mean `{PREFIX}{}`?", with.join("__").to_uppercase())
                });
                let fallback = format!("names are {PREFIX}SECTION__KEY, such as `REFGUARD_STATE__PATH`");
                reader.push(diagnostic.hint(suggestion.unwrap_or(fallback)));
                return None;
            }
        };
        path.push(key);
    }
    Some((path, shape))
}

/// What stands at a key; where there is none, the keys that there are.
fn step(shape: &Shape, key: &str) -> Result<Shape, Vec<&'static str>> {
    match shape {
        Shape::Section(section) => match section.keys.iter().find(|known| known.name == key) {
            Some(known) => Ok((known.shape)()),
            None => Err(section.keys.iter().map(|known| known.name).collect()),
        },
        Shape::Map(below) if !key.is_empty() => Ok((**below).clone()),
        Shape::Optional(below) => step(below, key),
        Shape::Free if !key.is_empty() => Ok(Shape::Free),
        _ => Err(Vec::new()),
    }
}

/// The variable's value: as it stands for a single value, else as YAML such as `[a, b]`.
fn value_node(file: &Arc<SourceFile>, shape: &Shape, reader: &mut Reader) -> Option<Node> {
    let span = 0..file.text.len();
    match shape {
        Shape::Scalar(_) => {
            let scalar = Scalar { text: file.text.clone(), style: Style::Plain };
            Some(Node { kind: Kind::Scalar(scalar), file: Arc::clone(file), span })
        }
        Shape::Optional(below) => value_node(file, below, reader),
        _ => {
            let before = reader.found.len();
            let node = yaml::parse(file, &mut reader.found);
            if node.is_none() && reader.found.len() == before {
                let message = "the environment variable is set, and empty";
                reader.push(Diagnostic::error("type", file, span, message).hint("write `{}` or `[]`, or unset it"));
            }
            node
        }
    }
}

/// Puts a value at a place of the tree; what is not a map on the way is replaced by one.
fn set(node: &mut Node, path: &[String], value: Node) {
    let Some((key, rest)) = path.split_first() else {
        *node = value;
        return;
    };
    if !matches!(node.kind, Kind::Map(_)) {
        *node = Node { kind: Kind::Map(Vec::new()), file: Arc::clone(&value.file), span: value.span.clone() };
    }
    let Kind::Map(entries) = &mut node.kind else { return };
    let found = entries.iter().position(|entry| entry.key == *key);
    let index = found.unwrap_or_else(|| {
        let empty = Node { kind: Kind::Map(Vec::new()), file: Arc::clone(&value.file), span: value.span.clone() };
        entries.push(Entry { key: key.clone(), key_span: value.span.clone(), value: empty });
        entries.len() - 1
    });
    set(&mut entries[index].value, rest, value);
}
