//! `refguard run`: the daemon, from its configuration to its last commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Failure, Setup};
use crate::daemon::config::Config;
use crate::daemon::health::{self, Readiness};
use crate::daemon::key::StateKey;
use crate::daemon::metrics::{EngineProbe, Metrics};
use crate::daemon::{clock, log, stop, wiring};
use crate::engine::Engine;
use crate::stream::pipeline::{Pipeline, Reader, Sinks};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    setup: Setup,
    /// Stay up when every source has ended, so that metrics can still be read; a signal ends it.
    #[arg(long)]
    linger: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let loaded = arguments.setup.config()?;
    let config = &loaded.config;
    log::start(&config.log);
    // Before anything is made or taken into use.
    wiring::check_sources(config)?;
    let stop = stop::on_signal().map_err(|error| Failure::usage(format!("signals cannot be caught: {error}"), None))?;
    let rules = Setup::rules(config)?;
    let opened = StateKey::open(&config.state.key_file, &config.state.path)?;
    if opened.made {
        tracing::warn!(path = %config.state.key_file.display(), "made the key of the state: keep a copy of it");
    }
    let signals = Setup::signals(&loaded, &rules, &opened.key)?;
    let mut engine = Engine::new(Arc::clone(&rules), wiring::engine_options(config, &opened.key));
    let metrics = Arc::new(Metrics::default());
    for (list, path) in wiring::list_files(config, &rules) {
        if let Some(modified_ms) = clock::modified_ms(&path) {
            metrics.list(list, modified_ms);
        }
    }
    let mut probe = metrics.probe();
    probe.show(&mut engine);
    let readiness = Readiness::new("the sources are being opened");
    let server = health::serve(&config.metrics.listen.0, Arc::clone(&metrics), readiness.clone())?;
    tracing::info!(address = %server.address(), "metrics and probes");
    let sinks = wiring::sinks(config)?;
    let readers = wiring::readers(config, &engine, &signals)?;
    // Before it is told: whoever reads the line may ask at once.
    readiness.ready();
    tracing::info!(ruleset = %rules.hash, rules = rules.rules.len(), sources = readers.len(), "judging");
    let ended = judge(config, &mut engine, &metrics, &mut probe, readers, sinks, &stop);
    if ended.is_ok() && arguments.linger && !stop.load(Ordering::Acquire) {
        tracing::info!("every source has ended; metrics stay until a signal comes");
        stop::wait(&stop);
    }
    readiness.drain();
    tracing::info!("stopped");
    server.stop();
    ended
}

fn judge(
    config: &Config,
    engine: &mut Engine,
    metrics: &Arc<Metrics>,
    probe: &mut EngineProbe,
    readers: Vec<Reader>,
    sinks: Sinks,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    metrics.watch(&readers, &sinks);
    let sources: Vec<String> = readers.iter().map(|reader| reader.name.clone()).collect();
    let programs = config.programs.keys().cloned();
    let mut observer = metrics.observer(sources, programs, engine.rules(), clock::monotonic);
    let works_per_source = wiring::works_per_source(config);
    let pipeline = Pipeline { readers, engine, probe, sinks, observer: &mut observer, works_per_source, stop };
    Ok(pipeline.run()?)
}
