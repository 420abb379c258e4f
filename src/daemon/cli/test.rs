//! `refguard test`: the tests inside the rule files.

use std::sync::Arc;

use super::{Failure, Opened, Setup, failure};
use crate::engine::EngineOptions;
use crate::lab::pack_tests;
use crate::ruleset::program::RuleSet;
use crate::signals::SignalConfig;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    setup: Setup,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Opened { rules, signals, options, .. } = arguments.setup.open()?;
    let failed = report(&rules, &signals, &options, true)?;
    failure::say(&format!("{} passed, {failed} failed\n", rules.tests.len() - failed));
    if failed > 0 { Err(Failure::No) } else { Ok(()) }
}

/// Runs the tests and tells those that failed, or all. Answers how many failed.
pub(super) fn report(
    rules: &Arc<RuleSet>,
    signals: &SignalConfig,
    options: &EngineOptions,
    all: bool,
) -> Result<usize, Failure> {
    let mut failed = 0;
    for outcome in pack_tests::run(rules, signals, options)? {
        let case = &rules.tests[outcome.test];
        if outcome.failures.is_empty() {
            if all {
                let how = if outcome.once_enforced { " (with every rule enforced)" } else { "" };
                failure::say(&format!("ok: {}: {}{how}\n", case.pack, case.name));
            }
            continue;
        }
        failed += 1;
        failure::say(&format!("{}: error[test]: {}\n", case.place, case.name));
        outcome.failures.iter().for_each(|why| failure::say(&format!("  {why}\n")));
    }
    Ok(failed)
}
