//! `refguard check`: is what people wrote right, and does it do what its tests say.

use std::sync::Arc;

use super::{Failure, Setup, failure, test};
use crate::daemon::wiring;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    setup: Setup,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.setup.config()?;
    let rules = Arc::new(Setup::rules(&config)?);
    let key = arguments.setup.key(&config)?;
    let signals = wiring::signal_config(&config, &key)?;
    let failed = test::report(&rules, &signals, &wiring::engine_options(&config, &rules, &key), false)?;
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
