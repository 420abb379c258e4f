//! `refguard check`: is what people wrote right, and does it do what its tests say.

use super::{Failure, Opened, Setup, advice, failure, test};
use crate::daemon::clock;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    setup: Setup,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Opened { config, rules, signals, options } = arguments.setup.open()?;
    advice::of(&rules, &config, clock::wall_clock_ms()).iter().for_each(|told| failure::say(told));
    let failed = test::report(&rules, &signals, &options, false)?;
    failure::say(&format!(
        "rule set {}: {} rules, {} features, {} lists, {} tests, {} failed\n",
        rules.hash,
        rules.rules.len(),
        rules.features.len(),
        rules.lists.len(),
        rules.tests.len(),
        failed,
    ));
    if failed > 0 { Err(Failure::No) } else { Ok(()) }
}
