//! Where an expression's text stands in its file, so that a diagnostic underlines what its author wrote.

use std::ops::Range;
use std::sync::Arc;

use crate::ruleset::diagnostic::{Diagnostic, SourceFile};

/// A run of an expression's text that stands in the file as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its first byte in the expression.
    pub text_start: usize,
    /// Its first byte in the file.
    pub file_start: usize,
}

/// The text of an expression, and its place.
#[derive(Clone, Debug)]
pub struct Source {
    /// The expression.
    pub text: String,
    /// The file that it stands in.
    pub file: Arc<SourceFile>,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    /// Ascending by `text_start`, the first at 0.
    Segments(Vec<Segment>),
    /// The text was unescaped: the whole is underlined.
    Whole(Range<usize>),
}

impl Source {
    /// A text that stands at a place of the file as it is.
    pub fn verbatim(file: &Arc<SourceFile>, start: usize, text: impl Into<String>) -> Source {
        Source::segments(file, vec![Segment { text_start: 0, file_start: start }], text)
    }

    /// A text whose lines stand at these places, such as a block in YAML. The segments ascend and start at 0.
    pub fn segments(file: &Arc<SourceFile>, segments: Vec<Segment>, text: impl Into<String>) -> Source {
        Source { text: text.into(), file: Arc::clone(file), place: Place::Segments(segments) }
    }

    /// A text that was escaped in the file: every diagnostic underlines all of it.
    pub fn whole(file: &Arc<SourceFile>, range: Range<usize>, text: impl Into<String>) -> Source {
        Source { text: text.into(), file: Arc::clone(file), place: Place::Whole(range) }
    }

    /// A part of this text as an expression of its own, such as one between the braces of a message.
    pub(super) fn part(&self, range: Range<usize>) -> Source {
        let place = match &self.place {
            Place::Whole(whole) => Place::Whole(whole.clone()),
            Place::Segments(segments) => {
                let first = Segment { text_start: 0, file_start: self.file_offset(segments, range.start) };
                let rest = segments.iter().filter(|segment| range.contains(&segment.text_start));
                let rest = rest.filter(|segment| segment.text_start > range.start).map(|segment| Segment {
                    text_start: segment.text_start - range.start,
                    file_start: segment.file_start,
                });
                Place::Segments(std::iter::once(first).chain(rest).collect())
            }
        };
        Source { text: self.text[range].to_owned(), file: Arc::clone(&self.file), place }
    }

    /// The bytes of the file for these bytes of the expression.
    pub fn file_span(&self, span: Range<usize>) -> Range<usize> {
        match &self.place {
            Place::Whole(range) => range.clone(),
            Place::Segments(segments) => {
                let start = self.file_offset(segments, span.start);
                let last = span.end.max(span.start + 1) - 1;
                let end = if span.is_empty() { start } else { self.file_offset(segments, last) + 1 };
                start..end.max(start)
            }
        }
    }

    fn file_offset(&self, segments: &[Segment], offset: usize) -> usize {
        let after = segments.partition_point(|segment| segment.text_start <= offset);
        match after.checked_sub(1).and_then(|index| segments.get(index)) {
            Some(segment) => segment.file_start + (offset - segment.text_start),
            None => offset,
        }
    }

    /// An error at a place of the expression.
    pub(in crate::ruleset) fn error(
        &self,
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::error(code, &self.file, self.file_span(span), message)
    }
}
