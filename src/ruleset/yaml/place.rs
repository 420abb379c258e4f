//! From the YAML parser's marks, which count characters, to bytes of the file; and from a scalar's text back to the file.

use std::ops::Range;

use super::{Scalar, Style};

/// The byte at which each character begins; nothing is kept for a file of ASCII, where the two are one.
pub(super) struct Places {
    starts: Option<Vec<u32>>,
    len: usize,
}

impl Places {
    pub(super) fn new(text: &str) -> Places {
        let starts = (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at as u32).collect());
        Places { starts, len: text.len() }
    }

    /// The byte of the character at an index; the end of the text for one past it.
    pub(super) fn byte(&self, index: usize) -> usize {
        match &self.starts {
            Some(starts) => starts.get(index).map_or(self.len, |start| *start as usize),
            None => index.min(self.len),
        }
    }

    pub(super) fn bytes(&self, span: &saphyr_parser::Span) -> Range<usize> {
        let start = self.byte(span.start.index());
        start..self.byte(span.end.index()).max(start)
    }
}

/// Where the pieces of the scalar's text stand in `source`, as (byte of the text, byte of the source).
///
/// Both are walked side by side: equal characters belong together, an escape or a doubled quote makes one character, and
/// what else the source has (quotes, indentation, folded lines) made nothing.
pub(super) fn segments(source: &str, span: Range<usize>, scalar: &Scalar) -> Vec<(usize, usize)> {
    let raw = &source[span.clone()];
    let mut at = usize::from(matches!(scalar.style, Style::Single | Style::Double)).min(raw.len());
    let mut segments = vec![(0, span.start + at)];
    let mut run = (0, span.start + at);
    for (index, char) in scalar.text.char_indices() {
        let (from, to) = next(raw, at, scalar.style, char);
        let continued = span.start + from == run.1 + (index - run.0);
        if !continued {
            run = (index, span.start + from);
            match segments.last_mut() {
                Some(last) if last.0 == index => *last = run,
                _ => segments.push(run),
            }
        }
        at = to;
    }
    segments
}

/// Where in `raw` the next character of the text, `wanted`, stands: its first byte and the byte after it.
fn next(raw: &str, mut at: usize, style: Style, wanted: char) -> (usize, usize) {
    while let Some(found) = raw[at..].chars().next() {
        if style == Style::Double && found == '\\' {
            let escape = escape_len(&raw[at..]);
            match raw[at + 1..].chars().next() {
                // An escaped line break makes nothing.
                Some('\n' | '\r') => at += escape,
                _ => return (at, at + escape),
            }
        } else if style == Style::Single && raw[at..].starts_with("''") {
            return (at, at + 2);
        } else if found == wanted {
            return (at, at + found.len_utf8());
        } else if found.is_whitespace() {
            at += found.len_utf8();
        } else {
            // White space of the text that the source does not have, such as a folded line's.
            return (at, at);
        }
    }
    (raw.len(), raw.len())
}

/// How many bytes an escape in double quotes takes, the backslash included.
fn escape_len(raw: &str) -> usize {
    let digits = match raw[1..].chars().next() {
        Some('x') => 2,
        Some('u') => 4,
        Some('U') => 8,
        Some('\r') if raw[2..].starts_with('\n') => return 3,
        Some(other) => return 1 + other.len_utf8(),
        None => return 1,
    };
    let mut end = (2 + digits).min(raw.len());
    while !raw.is_char_boundary(end) {
        end -= 1;
    }
    end
}
