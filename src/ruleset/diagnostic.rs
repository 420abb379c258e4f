//! What is wrong with a file that people wrote: where, why, and what to do.
//!
//! Rule packs, lists and the configuration report through this one type, so that they read alike. May import the
//! renderer of snippets only. Invariant: what is rendered depends on the findings alone, not on the order they were made in.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// A file as it was read: what spans count in.
#[derive(Debug)]
pub struct SourceFile {
    /// The path as the user would type it.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
}

impl SourceFile {
    /// The line and column of a byte of the text, both from 1; columns count characters, in any script.
    ///
    /// Cost: linear in the text before it. A byte past the end, or inside a character, counts as the nearest before it.
    pub fn line_column(&self, byte: usize) -> (usize, usize) {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        let before = &self.text[..byte];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file loads; `check` says so.
    Warning,
    /// The file does not load.
    Error,
}

/// One finding in one file.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// A stable code, such as `unknown-field`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, lower case, no full stop.
    pub message: String,
    /// The file.
    pub file: Arc<SourceFile>,
    /// The bytes of the file to underline.
    pub span: Range<usize>,
    /// The next step, such as the nearest known name.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(
        code: &'static str,
        file: &Arc<SourceFile>,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            file: Arc::clone(file),
            span,
            hint: None,
        }
    }

    /// A warning at a place.
    pub fn warning(
        code: &'static str,
        file: &Arc<SourceFile>,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, file, span, message) }
    }

    /// `path:line:column`, as editors jump to it.
    pub fn place(&self) -> String {
        let (line, column) = self.file.line_column(self.span.start);
        format!("{}:{line}:{column}", self.file.path.display())
    }

    /// Adds the next step.
    pub fn hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(hint.into());
        self
    }
}

/// Puts findings into the order in which people read them: by file, place, then message. Repeats are left out.
pub fn sort(found: &mut Vec<Diagnostic>) {
    fn key(of: &Diagnostic) -> (&PathBuf, usize, usize, &str) {
        (&of.file.path, of.span.start, of.span.end, &of.message)
    }
    found.sort_by(|a, b| key(a).cmp(&key(b)));
    found.dedup_by(|a, b| key(a) == key(b));
}

/// Whether any of the findings is an error.
pub fn has_errors(found: &[Diagnostic]) -> bool {
    found.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

/// A text as a message quotes it, in one line: what cannot be seen is escaped, quotes and backslashes stand as they are.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '"' | '\'' | '\\' => out.push(char),
            char => out.extend(char.escape_debug()),
        }
    }
    out
}

/// The findings as people read them, sorted, each with its line underlined; `coloured` for a terminal.
///
/// The first line of each is `path:line:column: error[code]: message`, as compilers write it, so that editors can jump.
pub fn render(found: &[Diagnostic], coloured: bool) -> String {
    let mut sorted = found.to_vec();
    sort(&mut sorted);
    let mut text = String::new();
    for diagnostic in &sorted {
        render_one(diagnostic, coloured, &mut text);
    }
    text
}

fn render_one(diagnostic: &Diagnostic, coloured: bool, out: &mut String) {
    let (line, column) = diagnostic.file.line_column(diagnostic.span.start);
    let (word, level, colour) = match diagnostic.severity {
        Severity::Error => ("error", Level::ERROR, "\x1b[1;31m"),
        Severity::Warning => ("warning", Level::WARNING, "\x1b[1;33m"),
    };
    let (colour, bold, reset) = if coloured { (colour, "\x1b[1m", "\x1b[0m") } else { ("", "", "") };
    let path = diagnostic.file.path.display();
    let Diagnostic { code, message, .. } = diagnostic;
    let head = format!("{bold}{path}:{line}:{column}:{reset} {colour}{word}[{code}]{reset}: {bold}{message}{reset}\n");
    out.push_str(&head);
    let (source, span) = one_line(&diagnostic.file.text, diagnostic.span.clone());
    if !source.trim().is_empty() {
        let annotation = AnnotationKind::Primary.span(span);
        let snippet = Snippet::source(source).line_start(line).annotation(annotation);
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        out.push_str(&renderer.render(&[Group::with_level(level).element(snippet)]));
        out.push('\n');
    }
    if let Some(hint) = &diagnostic.hint {
        let _ = writeln!(out, "{bold}hint:{reset} {hint}");
    }
    out.push('\n');
}

/// The line in which a span begins, and the part of the span that is on it; at least one character where there is one.
fn one_line(text: &str, span: Range<usize>) -> (&str, Range<usize>) {
    let floor = |mut byte: usize| {
        byte = byte.min(text.len());
        while !text.is_char_boundary(byte) {
            byte -= 1;
        }
        byte
    };
    let (start, end) = (floor(span.start), floor(span.end));
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
    let line = text[line_start..line_end].trim_end_matches('\r');
    let start = (start - line_start).min(line.len());
    let next = line[start..].chars().next().map_or(start, |char| start + char.len_utf8());
    (line, start..end.saturating_sub(line_start).min(line.len()).max(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> Arc<SourceFile> {
        Arc::new(SourceFile { path: path.into(), text: text.to_owned() })
    }

    #[test]
    fn columns_count_characters() {
        let file = file("a", "ab\nاسم: x\r\n");
        let x = file.text.find('x').expect("it is there");
        assert_eq!(file.line_column(0), (1, 1));
        assert_eq!(file.line_column(3), (2, 1));
        assert_eq!(file.line_column(4), (2, 1), "inside a character is its start");
        assert_eq!(file.line_column(x), (2, 6));
        assert_eq!(file.line_column(usize::MAX), (3, 1));
    }

    #[test]
    fn findings_stand_in_the_order_of_files_and_places_and_once() {
        let (a, b) = (file("a", "one two"), file("b", "three"));
        let at = |file, start: usize, message: &str| Diagnostic::error("code", file, start..start + 1, message);
        let found = [at(&b, 0, "x"), at(&a, 4, "y"), at(&a, 0, "z"), at(&b, 0, "x")];
        let text = render(&found, false);
        let heads: Vec<&str> = text.lines().filter(|line| line.contains("error[")).collect();
        assert_eq!(heads, ["a:1:1: error[code]: z", "a:1:5: error[code]: y", "b:1:1: error[code]: x"]);
    }

    #[test]
    fn colours_only_decorate() {
        let a = file("a", "when: evnt\n");
        let found = [Diagnostic::warning("code", &a, 6..10, "no such name").hint("did you mean `event`?")];
        let (plain, coloured) = (render(&found, false), render(&found, true));
        assert!(!plain.contains('\u{1b}') && coloured.contains("\u{1b}["));
        let mut stripped = String::new();
        let mut rest = coloured.as_str();
        while let Some(at) = rest.find('\u{1b}') {
            stripped.push_str(&rest[..at]);
            rest = rest[at..].split_once('m').map_or("", |(_, after)| after);
        }
        stripped.push_str(rest);
        assert_eq!(stripped, plain);
    }

    #[test]
    fn a_span_over_several_lines_or_past_the_end_underlines_what_there_is() {
        let a = file("a", "one\ntwo");
        for span in [0..7, 2..100, 7..7, 50..60] {
            assert!(
                render(&[Diagnostic::error("code", &a, span.clone(), "m")], false).contains("error[code]"),
                "{span:?}"
            );
        }
    }
}
