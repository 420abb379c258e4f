//! Packs as written: every key is known and its shape checked, names and expressions are not yet resolved.
//!
//! The written form and the compiled form are two types, so that the language can grow while the engine stays. May import
//! the YAML tree, `event`'s words and `cel`'s sources. Invariant: what could not be read was reported; a definition whose
//! body is faulty keeps its name, so that who uses it is not blamed too.

mod cases;
mod components;
mod decide;
mod features;
mod lists;
mod rules;

use std::ops::Range;
use std::sync::Arc;

use super::cel::{Segment, Source, is_reserved};
use super::diagnostic::{Diagnostic, SourceFile, visible};
use super::yaml::{self, Entry, Node, Reader};
use crate::event::{KINDS, Mode, nearest, nearest_type};

pub use cases::TEST_BASE_MS;
pub(super) use cases::{CaseDef, unknown_rule};
pub(super) use components::ComponentDef;
pub(super) use decide::{DecideDef, SubjectDef};
pub use features::{AggregateDoc, aggregates};
pub(super) use features::{AggregateWord, FeatureBody, FeatureDef};
pub(super) use lists::ListDef;
pub(super) use rules::RuleDef;

/// How long one expression or message is, in bytes.
const EXPRESSION_BYTES_MAX: usize = 8 << 10;
/// How long a name is, in bytes.
const NAME_BYTES_MAX: usize = 100;

/// How many event types one `on` names.
const TYPES_MAX: usize = 200;

/// One file of rules.
pub(super) struct Pack {
    /// Its name: `pack`.
    pub(super) name: Name,
    /// Whether its rules are dropped; its features stay.
    pub(super) off: bool,
    pub(super) lists: Vec<ListDef>,
    pub(super) macros: Vec<MacroDef>,
    pub(super) features: Vec<FeatureDef>,
    pub(super) rules: Vec<RuleDef>,
    pub(super) cases: Vec<CaseDef>,
}

/// A name where it is defined or used.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) file: Arc<SourceFile>,
    pub(super) span: Range<usize>,
}

impl Name {
    fn of_key(entry: &Entry) -> Name {
        Name { text: entry.key.clone(), file: Arc::clone(&entry.value.file), span: entry.key_span.clone() }
    }

    pub(super) fn error(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, &self.file, self.span.clone(), message)
    }

    pub(super) fn warning(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::warning(code, &self.file, self.span.clone(), message)
    }

    /// `path:line`, to name the place in another diagnostic.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.file.path.display(), self.file.line_column(self.span.start).0)
    }
}

/// A name for an expression.
pub(super) struct MacroDef {
    pub(super) name: Name,
    pub(super) text: Source,
}

const PACK_KEYS: &[&str] = &["version", "pack", "mode", "lists", "macros", "features", "rules", "tests"];

/// Reads one file. `None` when it holds nothing that could be read; the reader knows why.
pub(super) fn read(file: &Arc<SourceFile>, reader: &mut Reader) -> Option<Pack> {
    let root = yaml::parse(file, &mut reader.found);
    let Some(root) = root else {
        if !reader.found.iter().any(|one| Arc::ptr_eq(&one.file, file)) {
            reader.push(Diagnostic::error("missing-key", file, 0..0, "the file holds no pack").hint(PACK_HINT));
        }
        return None;
    };
    let fields = reader.fields(&root, "a pack", PACK_KEYS)?;
    if let Some(version) = fields.required("version", reader)
        && reader.int(version, 0..=i64::MAX).is_some_and(|number| number != 1)
    {
        let message = format!("version {} of the format is not known", version.describe());
        reader.push(version.error("not-supported", message).hint("this version of refguard reads version 1"));
    }
    let name = fields.required("pack", reader).and_then(|node| name(reader, node, "a pack"));
    let off = fields.get("mode").and_then(|node| mode(reader, node)) == Some(Mode::Off);
    if let Some(node) = fields.get("mode").filter(|_| !off)
        && mode(&mut Reader::default(), node) == Some(Mode::Shadow)
    {
        let diagnostic = node.error("not-supported", "a pack is on or off as a whole");
        reader.push(diagnostic.hint("write `mode: shadow` at its rules"));
    }
    let lists = fields.get("lists").map(|node| lists::read(reader, node)).unwrap_or_default();
    let macros = fields.get("macros").map(|node| macros(reader, node)).unwrap_or_default();
    let features = fields.get("features").map(|node| features::read(reader, node)).unwrap_or_default();
    let rules = fields.get("rules").map(|node| rules::read(reader, node)).unwrap_or_default();
    let cases = fields.get("tests").map(|node| cases::read(reader, node)).unwrap_or_default();
    Some(Pack { name: name?, off, lists, macros, features, rules, cases })
}

const PACK_HINT: &str = "a pack begins with `version: 1` and `pack: its-name`";

fn macros(reader: &mut Reader, node: &Node) -> Vec<MacroDef> {
    let mut macros = Vec::new();
    for entry in reader.entries(node).unwrap_or_default() {
        let name = identifier(reader, entry, "a macro");
        if let (Some(name), Some(text)) = (name, expression(reader, &entry.value)) {
            macros.push(MacroDef { name, text });
        }
    }
    macros
}

/// `enforce`, `shadow` or `off`. YAML readers of old take `off` for false, so that is understood too.
fn mode(reader: &mut Reader, node: &Node) -> Option<Mode> {
    choice(reader, node, "mode", Mode::ALL, Mode::name)
}

/// One of the values of a closed set of words.
fn choice<T: Copy>(
    reader: &mut Reader,
    node: &Node,
    what: &str,
    all: &[T],
    name_of: impl Fn(T) -> &'static str,
) -> Option<T> {
    let words: Vec<(&str, T)> = all.iter().map(|value| (name_of(*value), *value)).collect();
    reader.choice(node, what, &words)
}

/// A name that stands as a value: of a pack, or of a rule.
fn name(reader: &mut Reader, node: &Node, what: &str) -> Option<Name> {
    let text = reader.filled_text(node)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !text.bytes().all(fits) || text.len() > NAME_BYTES_MAX {
        let message = format!("{} cannot be the name of {what}", node.describe());
        let hint =
            format!("use letters of the Latin alphabet, digits, `-`, `_` and `.`, at most {NAME_BYTES_MAX} of them");
        reader.push(node.error("bad-name", message).hint(hint));
        return None;
    }
    Some(Name { text: text.to_owned(), file: Arc::clone(&node.file), span: node.span.clone() })
}

/// A name that stands as a key and that conditions read.
fn identifier(reader: &mut Reader, entry: &Entry, what: &str) -> Option<Name> {
    let name = Name::of_key(entry);
    if is_reserved(&entry.key) || entry.key.len() > NAME_BYTES_MAX {
        let message = format!("`{}` cannot be the name of {what}", visible(&entry.key));
        let hint = "use letters, digits and `_`, and no word that conditions already have, such as `event` or `ip`";
        reader.push(name.error("bad-name", message).hint(hint));
        return None;
    }
    Some(name)
}

/// A name that stands as a key and that conditions read after `lists.`.
fn identifier_after_dot(reader: &mut Reader, entry: &Entry, what: &str) -> Option<Name> {
    let name = Name::of_key(entry);
    let letters = entry.key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let starts = entry.key.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    if !letters || !starts || entry.key.len() > NAME_BYTES_MAX {
        let message = format!("`{}` cannot be the name of {what}", visible(&entry.key));
        reader.push(name.error("bad-name", message).hint("use letters, digits and `_`"));
        return None;
    }
    Some(name)
}

/// The text of an expression with its place.
fn expression(reader: &mut Reader, node: &Node) -> Option<Source> {
    let text = reader.filled_text(node)?;
    if text.len() > EXPRESSION_BYTES_MAX {
        let message = format!("an expression of {} bytes, more than {EXPRESSION_BYTES_MAX}", text.len());
        reader.push(node.error("too-large", message).hint("name parts of it under `macros`"));
        return None;
    }
    let segments = node.segments().into_iter();
    let segments = segments.map(|(text_start, file_start)| Segment { text_start, file_start }).collect();
    Some(Source::segments(&node.file, segments, text))
}

/// A list of expressions.
fn expressions(reader: &mut Reader, node: &Node) -> Vec<Source> {
    let items = reader.list(node).unwrap_or_default();
    items.iter().filter_map(|item| expression(reader, item)).collect()
}

/// A list of event types, at least one. A type that is nearly a known one is probably misspelt.
fn types(reader: &mut Reader, node: &Node) -> Option<Vec<String>> {
    let items = reader.list(node)?;
    if items.is_empty() {
        reader.push(node.error("type", "expected at least one event type").hint("such as `[referral.completed]`"));
        return None;
    }
    if items.len() > TYPES_MAX {
        reader.push(node.error("too-large", format!("a list of more than {TYPES_MAX} event types")));
        return None;
    }
    let mut types: Vec<String> = Vec::new();
    for item in items {
        let Some(text) = reader.filled_text(item) else { continue };
        if text.len() > NAME_BYTES_MAX {
            reader.push(item.error("bad-name", format!("an event type of more than {NAME_BYTES_MAX} bytes")));
        } else if text.contains('*') {
            let group = group(reader, item, text);
            group.into_iter().for_each(|name| {
                if !types.iter().any(|known| known == name) {
                    types.push(name.to_owned());
                }
            });
        } else if types.iter().any(|known| known == text) {
            reader.push(item.warning("repeated", format!("`{text}` stands in this list twice")));
        } else {
            warn_if_misspelt(reader, item, text);
            types.push(text.to_owned());
        }
    }
    (!types.is_empty()).then_some(types)
}

/// The known types that `reward.*` stands for.
fn group(reader: &mut Reader, node: &Node, text: &str) -> Vec<&'static str> {
    let group = text.strip_suffix('*').filter(|group| group.ends_with('.') && !group.contains('*'));
    let Some(group) = group else {
        let message = format!("`{}` is no event type and no group of them", visible(text));
        reader.push(node.error("bad-name", message).hint("a group is written like `reward.*`"));
        return Vec::new();
    };
    let known = |name: &&'static str| name.starts_with(group);
    let types: Vec<&str> = KINDS.iter().map(|kind| kind.name).filter(known).collect();
    if types.is_empty() {
        let groups = KINDS.iter().filter_map(|kind| kind.name.split_once('.')).map(|(group, _)| group);
        let message = format!("refguard knows no event type that begins with `{}`", visible(group));
        let hint = match nearest(group.trim_end_matches('.'), groups) {
            Some(known) => format!("did you mean `{known}.*`?"),
            None => "types that it does not know are written out".to_owned(),
        };
        reader.push(node.error("unknown-type", message).hint(hint));
    }
    types
}

fn warn_if_misspelt(reader: &mut Reader, node: &Node, text: &str) {
    if let Some(known) = nearest_type(text) {
        let message = format!("`{text}` is no event type that refguard knows");
        reader.push(node.warning("unknown-type", message).hint(format!("did you mean `{known}`?")));
    }
}

/// The value of a key that may be absent; `None` when it is there and faulty.
fn optional<T>(fields: &yaml::Fields<'_>, key: &str, read: impl FnOnce(&Node) -> Option<T>) -> Option<Option<T>> {
    fields.get(key).map_or(Some(None), |node| read(node).map(Some))
}
