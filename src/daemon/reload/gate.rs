//! What rules must pass before they judge anything: every file loads, and every test inside them passes.

use std::path::Path;
use std::sync::Arc;

use crate::engine::EngineOptions;
use crate::lab::pack_tests;
use crate::ruleset::diagnostic::{Diagnostic, Severity, SourceFile};
use crate::ruleset::program::RuleSet;
use crate::ruleset::{self, Premises};
use crate::signals::{SignalConfig, SignalError};

/// Rules that passed, and the files that they were read from.
#[derive(Debug)]
pub struct Passed {
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// By path below the folder of the rules.
    pub files: Vec<(String, Arc<SourceFile>)>,
    /// What is odd about them.
    pub warnings: Vec<Diagnostic>,
}

/// Why rules did not pass.
#[derive(Debug)]
pub enum Refused {
    /// Some file is wrong.
    Files(Vec<Diagnostic>),
    /// Tests inside the files fail.
    Tests(Vec<Finding>),
    /// Signals that they want cannot be derived.
    Signals(SignalError),
}

/// One thing that is wrong, as a line of the log tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `file:line:column`, or the line of a test; empty where it is no file's fault.
    pub place: String,
    /// A stable code.
    pub code: &'static str,
    /// What is wrong.
    pub why: String,
    /// The next step; empty where there is none to tell.
    pub hint: String,
}

impl Refused {
    /// Everything that is wrong, in the order of files and lines.
    pub fn findings(&self) -> Vec<Finding> {
        match self {
            Refused::Files(found) => found.iter().filter(|one| one.severity == Severity::Error).map(finding).collect(),
            Refused::Tests(failed) => failed.clone(),
            Refused::Signals(error) => {
                vec![Finding { place: String::new(), code: "unusable", why: error.to_string(), hint: String::new() }]
            }
        }
    }
}

/// A diagnostic as a line of the log.
pub(super) fn finding(of: &Diagnostic) -> Finding {
    Finding { place: of.place(), code: of.code, why: of.message.clone(), hint: of.hint.clone().unwrap_or_default() }
}

/// Reads the rules of a folder and tries them.
///
/// # Errors
///
/// [`Refused`]: everything that is wrong.
pub fn pass(
    folder: &Path,
    premises: &Premises,
    signals: &SignalConfig,
    options: &EngineOptions,
) -> Result<Passed, Refused> {
    let loaded = ruleset::load(folder, premises).map_err(Refused::Files)?;
    let rules = Arc::new(loaded.set);
    let outcomes = pack_tests::run(&rules, signals, options).map_err(Refused::Signals)?;
    let failed: Vec<Finding> = outcomes.into_iter().flat_map(|outcome| failures(&rules, outcome)).collect();
    if !failed.is_empty() {
        return Err(Refused::Tests(failed));
    }
    Ok(Passed { rules, files: loaded.files, warnings: loaded.warnings })
}

fn failures(rules: &RuleSet, outcome: pack_tests::TestOutcome) -> impl Iterator<Item = Finding> {
    let case = &rules.tests[outcome.test];
    let place = case.place.to_string();
    outcome.failures.into_iter().map(move |why| Finding {
        place: place.clone(),
        code: "test",
        why: format!("{}: {why}", case.name),
        hint: "run `refguard test`".to_owned(),
    })
}
