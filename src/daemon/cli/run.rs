//! `refguard run`: the daemon.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{Failure, Setup, failure};
use crate::daemon::key::StateKey;
use crate::daemon::wiring;
use crate::engine::Engine;
use crate::stream::pipeline::{Observer, Pipeline, Probe, Work};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    setup: Setup,
}

struct Unwatched;

impl Probe for Unwatched {
    fn look(&mut self, _engine: &mut Engine) {}
}

impl Observer for Unwatched {
    fn written(&mut self, _work: &Work) {}
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.setup.config()?;
    let rules = Arc::new(Setup::rules(&config)?);
    let opened = StateKey::open(&config.state.key_file, &config.state.path)?;
    if opened.made {
        failure::say(&format!("made a state key in {}\n", config.state.key_file.display()));
    }
    let signals = wiring::signal_config(&config, &opened.key)?;
    let mut engine = Engine::new(Arc::clone(&rules), wiring::engine_options(&config, &rules, &opened.key));
    let readers = wiring::readers(&config, &engine, &signals)?;
    let stop = AtomicBool::new(false);
    let pipeline = Pipeline {
        readers,
        engine: &mut engine,
        probe: &mut Unwatched,
        sinks: wiring::sinks(&config)?,
        observer: &mut Unwatched,
        stop: &stop,
    };
    Ok(pipeline.run()?)
}
