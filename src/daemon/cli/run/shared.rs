//! `refguard run` over state that instances share: nothing is kept here but the name of the instance and the last good rules.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Arguments, Failure, Over, Parts, Setup, judge, reloader, serve};
use crate::daemon::cli::start;
use crate::daemon::config::Loaded;
use crate::daemon::health::{Readiness, Server};
use crate::daemon::key::StateKey;
use crate::daemon::metrics::Metrics;
use crate::daemon::wiring::Outlets;
use crate::daemon::{clock, instance, recovery, shared, stop, wiring};
use crate::engine::Engine;
use crate::stream::checkpoint::Owner;
use crate::stream::log::Transactions;
use crate::stream::pipeline::Sharing;
use crate::stream::redis::SharedState;

/// How often servers that are away are tried at the start, a second or more apart, before that is told as a failure.
const TRIES: u32 = 30;

/// Judges until the sources have ended, or the end was asked for.
pub(super) fn judge_all(
    arguments: &Arguments,
    loaded: &Loaded,
    (metrics, readiness, server): (&Arc<Metrics>, &Readiness, &mut Option<Server>),
    asked: &stop::Asked,
) -> Result<(), Failure> {
    let config = &loaded.config;
    let start = start::rules(&arguments.setup, loaded)?;
    let opened = StateKey::open(&config.state.key_file, &config.state.path)?;
    if opened.made {
        tracing::warn!(path = %config.state.key_file.display(), "made the key of the state: give all instances a copy of it");
    }
    let signals = Setup::signals(loaded, &start.rules, &opened.key)?;
    let options = shared::engine_options(wiring::engine_options(config, &opened.key));
    // The folder has the name by which the group knows this instance.
    let _owner = Owner::of(&config.state.path)?;
    let instance = instance::of(&config.state.path)?;
    let mut probe = metrics.probe();
    let mut engine = Engine::new(Arc::clone(&start.rules), options.clone());
    let is_over = || asked.stop.load(Ordering::Acquire);
    let mut state = SharedState::open_patiently(&shared::options(config)?, &mut engine, TRIES, &is_over)?;
    if engine.started_ms().is_none() && !arguments.accept_empty_state {
        recovery::begins(&wiring::topics(config))?;
    }
    metrics.share(state.counts());
    probe.show(&mut engine);
    let (hand_over, reloads) = crossbeam_channel::unbounded();
    let mut reloader = reloader(config, start, metrics, signals, options, hand_over);
    *server = Some(serve(config, metrics, readiness)?);
    let Outlets { sinks, producer, .. } = wiring::shared_sinks(config, engine.rules(), &instance)?;
    reloader.wanted = engine.wanted();
    let readers = wiring::shared_readers(config, engine.wanted(), &reloader.signals, &instance)?;
    reloader.readers = readers.len();
    readiness.ready();
    let rules = engine.rules();
    tracing::info!(ruleset = %rules.hash, rules = rules.rules.len(), sources = readers.len(), "judging");
    let interval = Duration::from_millis(config.engine.commit_interval.0.unsigned_abs());
    let producer = producer.map(|producer| Box::new(producer) as Box<dyn Transactions>);
    let sharing = Sharing { state: &mut state, kept: Arc::default(), interval, monotonic: clock::monotonic, producer };
    let parts = Parts { config, engine: &mut engine, metrics, probe: &mut probe, readers, sinks };
    judge(parts, reloader, (crossbeam_channel::never(), reloads, Over::Shared(sharing)), asked)?;
    if arguments.linger && !asked.stop.load(Ordering::Acquire) {
        tracing::info!("every source has ended; metrics stay until a signal comes");
        stop::wait(&asked.stop);
    }
    Ok(())
}
