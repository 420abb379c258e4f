//! The rules that `refguard run` starts with: those in the folder, or the last good ones if those are broken.

use std::sync::Arc;

use super::{Failure, Setup, failure, reachable};
use crate::daemon::config;
use crate::daemon::reload::{self, LastGood, Refused, Stamp};
use crate::daemon::wiring;
use crate::ruleset::diagnostic::SourceFile;
use crate::ruleset::program::RuleSet;

/// Rules to start with.
pub(super) struct Start {
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// The files that they were read from; `None`: they are the copy of the last good ones.
    pub files: Option<Vec<(String, Arc<SourceFile>)>>,
    /// The texts of the files, wherever they were read from: paths below their folder, and texts.
    pub texts: Vec<(String, String)>,
    /// What the folder looked like then.
    pub examined: Stamp,
}

/// Why the rules in the folder cannot be used.
enum Broken {
    Unreachable(Failure),
    Refused(Refused),
}

/// Reads and tries the rules. Nothing is made.
///
/// # Errors
///
/// What is wrong with the rules, where there is no copy of good ones.
pub(super) fn rules(setup: &Setup, loaded: &config::Loaded) -> Result<Start, Failure> {
    let config = &loaded.config;
    let key = setup.key(config)?;
    let signals = Setup::signals(loaded, &RuleSet::default(), &key)?;
    let options = wiring::engine_options(config, &key);
    let premises = wiring::premises(config);
    let folder = &config.rules.path;
    let examined = Stamp::of(folder);
    let broken = match reachable(std::fs::read_dir(folder), "rules", folder) {
        Err(failure) => Broken::Unreachable(failure),
        Ok(()) => match reload::pass(folder, &premises, &signals, &options) {
            Ok(passed) => {
                failure::warn(&passed.warnings);
                let texts = reload::texts(&passed.files);
                return Ok(Start { rules: passed.rules, files: Some(passed.files), texts, examined });
            }
            Err(refused) => Broken::Refused(refused),
        },
    };
    let last_good = LastGood::below(&config.state.path);
    let copy = last_good.folder().and_then(|copy| reload::pass(&copy, &premises, &signals, &options).ok());
    match copy.filter(|copy| last_good.is_whole(&copy.rules.hash)) {
        Some(copy) => {
            match &broken {
                Broken::Unreachable(failure) => failure.tell(),
                Broken::Refused(refused) => reload::tell(refused),
            }
            let (folder, ruleset) = (folder.display(), &copy.rules.hash);
            tracing::error!(%folder, %ruleset, "the rules are broken: the last good ones are in force");
            let texts = reload::texts(&copy.files);
            Ok(Start { rules: copy.rules, files: None, texts, examined })
        }
        None => Err(broken.into()),
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Failure {
        match broken {
            Broken::Unreachable(failure) => failure,
            Broken::Refused(Refused::Files(found)) => Failure::Refused(found),
            Broken::Refused(Refused::Signals(error)) => error.into(),
            Broken::Refused(tests @ Refused::Tests(_)) => {
                for of in tests.findings() {
                    failure::say(&format!("{}: error[{}]: {}\n", of.place, of.code, of.why));
                }
                Failure::No
            }
        }
    }
}
