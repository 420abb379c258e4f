//! YAML as a small tree in which every value knows its file and its bytes.
//!
//! Why not serde: a rule file is written by people, so every fault in it is shown at its place, all of them at once, and
//! a condition inside it is underlined to the character. What the format does not need is refused: anchors, aliases,
//! merge keys, tags and a second document. May import [`Diagnostic`] and the YAML parser only.
//! Invariants: a tree is at most [`DEPTH_MAX`] deep and has at most [`NODES_MAX`] nodes; a map has no key twice.

mod place;
mod read;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

use super::diagnostic::{Diagnostic, SourceFile, visible};
use place::Places;
pub use read::{CalendarUnit, Fields, Reader, Width, parse_bytes, parse_duration_ms, suggest};

/// How deep values nest.
pub const DEPTH_MAX: usize = 32;
/// How many values one file holds.
pub const NODES_MAX: usize = 200_000;
/// How long one file is, in bytes.
pub const TEXT_BYTES_MAX: usize = 4 << 20;

/// One value of a file.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// The file that it stands in.
    pub file: Arc<SourceFile>,
    /// Its bytes in that file.
    pub span: Range<usize>,
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A text, number, boolean or null, not yet told apart.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file.
    Map(Vec<Entry>),
}

/// A scalar as written.
#[derive(Clone, Debug)]
pub struct Scalar {
    /// The text, escapes resolved and lines folded.
    pub text: String,
    /// How it was written.
    pub style: Style,
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes, so that `null` is nothing and `true` a boolean.
    Plain,
    /// In single quotes.
    Single,
    /// In double quotes, with escapes.
    Double,
    /// After `|` or `>`; its span begins with the content.
    Block,
}

impl From<ScalarStyle> for Style {
    fn from(style: ScalarStyle) -> Style {
        match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted => Style::Single,
            ScalarStyle::DoubleQuoted => Style::Double,
            ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
        }
    }
}

/// A key of a map and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The key's bytes in the file.
    pub key_span: Range<usize>,
    /// The value.
    pub value: Node,
}

impl Node {
    /// An error that underlines this value.
    pub fn error(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, &self.file, self.span.clone(), message)
    }

    /// A warning that underlines this value.
    pub fn warning(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::warning(code, &self.file, self.span.clone(), message)
    }

    /// Whether nothing was written, or `null` or `~`.
    pub fn is_null(&self) -> bool {
        match &self.kind {
            Kind::Scalar(scalar) => {
                scalar.style == Style::Plain && matches!(scalar.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// The value in words, for "expected a list, found ...".
    pub fn describe(&self) -> Cow<'static, str> {
        match &self.kind {
            _ if self.is_null() => Cow::Borrowed("nothing"),
            Kind::Scalar(scalar) if scalar.text.chars().count() > 40 => Cow::Borrowed("a long text"),
            Kind::Scalar(scalar) => Cow::Owned(format!("`{}`", visible(&scalar.text))),
            Kind::List(_) => Cow::Borrowed("a list"),
            Kind::Map(_) => Cow::Borrowed("a map"),
        }
    }

    /// Where the pieces of a scalar's text stand in the file: (first byte of the text, first byte in the file), ascending,
    /// the first at 0. A value that is no scalar has one piece, its start.
    ///
    /// For a text in quotes, over several lines or with escapes the two run apart; the answer is exact for every character
    /// but white space. Cost: linear in the scalar.
    pub fn segments(&self) -> Vec<(usize, usize)> {
        match &self.kind {
            Kind::Scalar(scalar) => place::segments(&self.file.text, self.span.clone(), scalar),
            _ => vec![(0, self.span.start)],
        }
    }
}

/// Reads one file into a tree. `None` when it is not YAML that we read, or holds nothing; `found` says why.
pub fn parse(file: &Arc<SourceFile>, found: &mut Vec<Diagnostic>) -> Option<Node> {
    if file.text.len() > TEXT_BYTES_MAX {
        let message = format!("the file has {} bytes, more than {TEXT_BYTES_MAX}", file.text.len());
        found.push(Diagnostic::error("too-large", file, 0..0, message).hint("split it into several files"));
        return None;
    }
    let mut builder = Builder { file, places: Places::new(&file.text), open: Vec::new(), root: None, nodes: 0, found };
    let mut parser = Parser::new_from_str(&file.text);
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        let step = match event {
            Ok((Event::DocumentStart(_), span)) => {
                documents += 1;
                if documents == 1 { Ok(()) } else { Err(builder.second_document(span.start)) }
            }
            Ok((event, span)) => builder.event(event, span),
            Err(error) => Err(builder.not_yaml(&error)),
        };
        if let Err(diagnostic) = step {
            builder.found.push(*diagnostic);
            return None;
        }
    }
    builder.root
}

/// A list or map whose end is not yet read.
enum Open {
    List { start: usize, items: Vec<Node> },
    Map { start: usize, entries: Vec<Entry>, keys: HashMap<String, usize>, key: Option<Key> },
}

/// A key that waits for its value.
struct Key {
    text: String,
    span: Range<usize>,
    /// Whether the map has it already: the first counts, the second was reported.
    repeated: bool,
}

impl Open {
    fn map(start: usize) -> Open {
        Open::Map { start, entries: Vec::new(), keys: HashMap::new(), key: None }
    }
}

struct Builder<'a> {
    file: &'a Arc<SourceFile>,
    places: Places,
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
    found: &'a mut Vec<Diagnostic>,
}

/// Boxed, because an error is rare and a diagnostic large.
type Step = Result<(), Box<Diagnostic>>;

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: saphyr_parser::Span) -> Step {
        let bytes = self.places.bytes(&span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_marks(anchor, tag.is_some(), &bytes)?;
                let end = self.file.text[bytes.clone()].trim_end().len() + bytes.start;
                let scalar = Kind::Scalar(Scalar { text: text.into_owned(), style: style.into() });
                self.place(scalar, bytes.start..end)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_marks(anchor, tag.is_some(), &bytes)?;
                self.begin(Open::List { start: bytes.start, items: Vec::new() }, &bytes)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_marks(anchor, tag.is_some(), &bytes)?;
                self.begin(Open::map(bytes.start), &bytes)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(bytes.end),
            Event::Alias(_) => Err(self.refused(&bytes, "an alias (`*name`)", "write the value out")),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn refuse_marks(&self, anchor: usize, tagged: bool, bytes: &Range<usize>) -> Step {
        if anchor != 0 {
            return Err(self.refused(bytes, "an anchor (`&name`)", "write the value where it is needed"));
        }
        if tagged {
            return Err(self.refused(bytes, "a tag (`!name`)", "leave it out: the key says what type its value has"));
        }
        Ok(())
    }

    fn begin(&mut self, open: Open, bytes: &Range<usize>) -> Step {
        if let Some(Open::Map { key: None, .. }) = self.open.last() {
            return Err(self.error("yaml", bytes.clone(), "a key must be a plain text"));
        }
        if self.open.len() >= DEPTH_MAX {
            let message = format!("values nest deeper than {DEPTH_MAX} levels");
            return Err(self.error("too-deep", bytes.clone(), message));
        }
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self, end: usize) -> Step {
        let (kind, start) = match self.open.pop().expect("an end follows its start") {
            Open::List { start, items } => (Kind::List(items), start),
            Open::Map { start, entries, .. } => (Kind::Map(entries), start),
        };
        // A block ends where the next token begins: leave out the white space and comments between.
        let last = match &kind {
            Kind::List(items) => items.last().map(|item| item.span.end),
            Kind::Map(entries) => entries.last().map(|entry| entry.value.span.end.max(entry.key_span.end)),
            Kind::Scalar(_) => None,
        };
        let flow = matches!(self.file.text.as_bytes().get(start), Some(b'[' | b'{'));
        let end = if flow { end } else { last.unwrap_or(end) };
        self.place(kind, start..end.max(start))
    }

    /// Puts a finished value where it belongs.
    fn place(&mut self, kind: Kind, span: Range<usize>) -> Step {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(self.error("too-large", span, format!("the file holds more than {NODES_MAX} values")));
        }
        if matches!(self.open.last(), Some(Open::Map { key: None, .. })) {
            return self.place_key(kind, span);
        }
        let node = Node { kind, file: Arc::clone(self.file), span };
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, .. }) => {
                let key = key.take().expect("a value follows its key");
                if !key.repeated {
                    entries.push(Entry { key: key.text, key_span: key.span, value: node });
                }
            }
        }
        Ok(())
    }

    fn place_key(&mut self, kind: Kind, span: Range<usize>) -> Step {
        let Kind::Scalar(scalar) = kind else {
            return Err(self.error("yaml", span, "a key must be a plain text"));
        };
        if scalar.text == "<<" && scalar.style == Style::Plain {
            return Err(self.refused(&span, "a merge key (`<<`)", "write the values out"));
        }
        let Some(Open::Map { keys, key, .. }) = self.open.last_mut() else { return Ok(()) };
        let first = keys.get(&scalar.text).copied();
        match first {
            None => {
                keys.insert(scalar.text.clone(), span.start);
            }
            Some(_) if self.found.len() >= Reader::FOUND_MAX => {}
            Some(first) => {
                let line = self.file.line_column(first).0;
                let message = format!("the key `{}` stands here a second time", visible(&scalar.text));
                let hint = format!("the first is on line {line}");
                self.found.push(Diagnostic::error("duplicate-key", self.file, span.clone(), message).hint(hint));
            }
        }
        *key = Some(Key { text: scalar.text, span, repeated: first.is_some() });
        Ok(())
    }

    fn error(&self, code: &'static str, span: Range<usize>, message: impl Into<String>) -> Box<Diagnostic> {
        Box::new(Diagnostic::error(code, self.file, span, message))
    }

    fn refused(&self, bytes: &Range<usize>, what: &str, hint: &str) -> Box<Diagnostic> {
        let diagnostic = Diagnostic::error("yaml", self.file, bytes.clone(), format!("{what} is not read here"));
        Box::new(diagnostic.hint(hint))
    }

    fn second_document(&self, at: Marker) -> Box<Diagnostic> {
        let start = self.places.byte(at.index());
        let diagnostic = Diagnostic::error("yaml", self.file, start..start, "a second document begins here");
        Box::new(diagnostic.hint("write it into a file of its own"))
    }

    fn not_yaml(&self, error: &ScanError) -> Box<Diagnostic> {
        let at = self.places.byte(error.marker().index());
        let line_start = self.file.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.file.text[line_start..].lines().next().unwrap_or("").trim_start();
        let value = line.split_once(": ").map_or("", |(_, value)| value.trim_start());
        let hint = if line.starts_with('\t') || self.file.text[line_start..].starts_with('\t') {
            Some("indent with spaces: YAML does not allow tabs")
        } else if value.starts_with(['"', '\'', '[', '{', '!', '&', '*', '|', '>', '%', '@', '`'])
            || value.contains(": ")
        {
            Some(
                "a condition that begins with a quote or bracket, or contains `: ` or ` #`, goes on the next line after `|`",
            )
        } else {
            None
        };
        let diagnostic = Diagnostic::error("yaml", self.file, at..at, format!("not valid YAML: {}", error.info()));
        Box::new(match hint {
            Some(hint) => diagnostic.hint(hint),
            None => diagnostic,
        })
    }
}
