//! What is wrong with a file that people wrote: where, why, and what to do.
//!
//! Rule packs, lists and the configuration report through this one type, so that they read alike.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// A file as it was read: what spans count in.
#[derive(Debug)]
pub struct SourceFile {
    /// The path as the user would type it.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
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

    /// Adds the next step.
    pub fn hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(hint.into());
        self
    }
}
