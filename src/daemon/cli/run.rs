//! `refguard run`: the daemon, from its configuration to its last commit.

mod shared;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use super::outlive::{self, Outliving};
use super::start::{self, Start};
use super::state::{self, Said, State};
use super::{Failure, Setup, keep};
use crate::daemon::api::Ends;
use crate::daemon::config::{Backend, Config, Loaded};
use crate::daemon::health::{self, Readiness, Server};
use crate::daemon::history::Histories;
use crate::daemon::key::StateKey;
use crate::daemon::metrics::{EngineProbe, Metrics, ReloadOutcome};
use crate::daemon::recovery::Handing;
use crate::daemon::reload::{self, Filler, LastGood, Reloader};
use crate::daemon::wiring::{Outlets, Standing};
use crate::daemon::{api, clock, instance, log, mirror, recovery, stop, wiring};
use crate::engine::{Engine, EngineOptions};
use crate::signals::SignalConfig;
use crate::stream::journal::PlaceName;
use crate::stream::log::Transactions;
use crate::stream::pipeline::{Fill, Keeping, Pipeline, Question, Reader, Reload, Sharing, Sinks};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    setup: Setup,
    /// Stay up when every source has ended, so that metrics can still be read; a signal ends it.
    #[arg(long)]
    linger: bool,
    /// Judge on although the group has committed events that the state knows nothing of.
    #[arg(long)]
    accept_empty_state: bool,
    /// Follow the one that judges, and take its place once it is gone.
    #[arg(long, conflicts_with = "accept_empty_state")]
    standby: bool,
    /// Serve a call beside the API that answers a constant: what `refguard bench http` measures by.
    #[arg(long, hide = true)]
    with_constant: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let loaded = arguments.setup.config()?;
    let config = &loaded.config;
    log::start(&config.log);
    // Before anything is made or taken into use.
    wiring::check_sources(config)?;
    let outliving = Outliving::open(config)?;
    let asked =
        stop::on_signal().map_err(|error| Failure::usage(format!("signals cannot be caught: {error}"), None))?;
    let metrics = Arc::new(Metrics::default());
    let readiness = Readiness::new("the sources are being opened");
    let mut server = None;
    if arguments.standby {
        server = Some(serve(config, &metrics, &readiness)?);
        if !outliving.stand_by(config, &metrics, &readiness, &asked.stop)? {
            tracing::info!("stopped");
            return Ok(());
        }
    }
    let ended = match config.state.backend {
        Backend::Embedded => judge_all(arguments, &loaded, outliving, (&metrics, &readiness, &mut server), &asked),
        Backend::Redis => shared::judge_all(arguments, &loaded, (&metrics, &readiness, &mut server), &asked),
    };
    readiness.drain();
    tracing::info!("stopped");
    server.into_iter().for_each(|server| server.stop());
    ended
}

fn serve(config: &Config, metrics: &Arc<Metrics>, readiness: &Readiness) -> Result<Server, Failure> {
    let server = health::serve(&config.metrics.listen.0, Arc::clone(metrics), readiness.clone())?;
    tracing::info!(address = %server.address(), "metrics and probes");
    Ok(server)
}

/// From the rules and the state to the last commit.
fn judge_all(
    arguments: &Arguments,
    loaded: &Loaded,
    outliving: Outliving,
    (metrics, readiness, server): (&Arc<Metrics>, &Readiness, &mut Option<Server>),
    asked: &stop::Asked,
) -> Result<(), Failure> {
    let (config, folder) = (&loaded.config, &loaded.config.state.path);
    let accept = arguments.accept_empty_state;
    let start = start::rules(&arguments.setup, loaded)?;
    let (api, ends) = api::open(config)?;
    let opened = StateKey::open(&config.state.key_file, folder)?;
    if opened.made {
        tracing::warn!(path = %config.state.key_file.display(), "made the key of the state: keep a copy of it");
    }
    let signals = Setup::signals(loaded, &start.rules, &opened.key)?;
    let options = wiring::asked_options(config, wiring::engine_options(config, &opened.key));
    let premises = wiring::premises(config);
    let State { owner: _owner, mut engine, past, newest, alerts, said } =
        state::take(folder, &start.rules, (&options, opened.key.seals()), &premises)?;
    said.iter().for_each(Said::log);
    let instance = instance::of(folder)?;
    let mut probe = metrics.probe();
    probe.show(&mut engine);
    let (hand_over, reloads) = crossbeam_channel::unbounded();
    let current = (Arc::clone(&start.rules), start.texts.clone());
    let mut reloader = reloader(config, start, metrics, signals, options, hand_over);
    if server.is_none() {
        *server = Some(serve(config, metrics, readiness)?);
    }
    outliving.may_go_on(folder, past.scan.next(), accept)?;
    wiring::only_owner(config, &instance)?;
    let hub = wiring::decision_hub(config, &engine);
    let standing = Standing { engine: &engine, replays: past.has_inputs, alerts: &alerts, hub: hub.as_ref() };
    let Outlets { sinks, producer, .. } = wiring::sinks(config, &standing)?;
    let ships = outliving.ship(folder, past.scan.next(), accept, producer.as_ref())?;
    let seen = (engine.wanted(), &premises, &reloader.signals);
    let plan = recovery::plan(&past, &wiring::topics(config), accept, seen)?;
    plan.notes.iter().for_each(|note| tracing::info!("{note}"));
    reloader.wanted = plan.wanted;
    let Ends { inboxes, questions, ask } = ends;
    let readers = wiring::readers(config, plan.wanted, &reloader.signals, &instance, &plan.resume, inboxes)?;
    reloader.readers = readers.len();
    let histories = Histories::of(config, &readers);
    let counted = !past.has_inputs && histories.count(&mut engine, &reloader.signals, &asked.stop)?;
    let (fill, fills) = crossbeam_channel::unbounded();
    reloader.filler = config.rules.backfill.then(|| Filler::new(histories, fill));
    let ship_from = ships.as_ref().map(|ships| ships.from);
    let keeping = keep::options(config, &opened.key, ship_from, outliving.due());
    let mut keeper = recovery::keeper(keeping, past, newest, alerts)?;
    metrics.keep(keeper.kept(), keeper.journal());
    let copier = outliving.copy(config, keeper.journal(), metrics)?;
    let handing = Handing { signals: &reloader.signals, readers: reloader.readers, hand_over: &reloader.hand_over };
    let is_read = |place: &PlaceName| keep::is_read(config, place);
    let later = recovery::settle_in(&mut keeper, &mut engine, &plan, current, counted, is_read, &handing)?;
    reloader.wanted = later.unwrap_or(reloader.wanted);
    let mirroring = mirror::start(config, hub.as_ref(), ask, metrics)?;
    let (journal, constant) = (keeper.journal(), arguments.with_constant);
    let api = api.zip(hub).map(|(api, hub)| api.serve(config, metrics, (hub, journal), constant)).transpose()?;
    // Before it is told: whoever reads the line may ask at once.
    readiness.ready();
    let rules = engine.rules();
    tracing::info!(ruleset = %rules.hash, rules = rules.rules.len(), sources = readers.len(), "judging");
    let interval = Duration::from_millis(config.engine.commit_interval.0.unsigned_abs());
    let shipping = ships.map(|ships| ships.shipping);
    let producer = producer.map(|producer| Box::new(producer) as Box<dyn Transactions>);
    let keeping = Keeping { keeper: &mut keeper, replay: plan.replay, interval, producer, shipping };
    let parts = Parts { config, engine: &mut engine, metrics, probe: &mut probe, readers, sinks };
    judge(parts, reloader, (questions, reloads, Over::Kept(fills, Box::new(keeping))), asked)?;
    drop((api, mirroring));
    keeper.finish(&mut engine)?;
    drop(keeper);
    outlive::finish(copier);
    if arguments.linger && !asked.stop.load(Ordering::Acquire) {
        tracing::info!("every source has ended; metrics stay until a signal comes");
        stop::wait(&asked.stop);
    }
    Ok(())
}

/// What reads the rules again, once it is told what is derived and how many readers there are. A copy of the rules is
/// kept, and the start is counted.
fn reloader(
    config: &Config,
    start: Start,
    metrics: &Arc<Metrics>,
    signals: SignalConfig,
    options: EngineOptions,
    hand_over: Sender<Reload>,
) -> Reloader {
    let last_good = LastGood::below(&config.state.path);
    metrics.set_lists(reload::ages(wiring::list_files(config, &start.rules)));
    metrics.rules_in_force_since(clock::wall_clock_ms());
    match &start.files {
        Some(files) => reload::keep(&last_good, &start.rules.hash, files),
        None => metrics.reloaded(ReloadOutcome::Refused),
    }
    let configured = config.clone();
    Reloader {
        folder: config.rules.path.clone(),
        settle: Duration::from_millis(config.rules.settle.0.unsigned_abs()),
        watches: config.rules.reload,
        premises: wiring::premises(config),
        signals,
        options,
        readers: 0,
        filler: None,
        wanted: Default::default(),
        in_force: start.rules,
        examined: start.examined,
        hand_over,
        metrics: Arc::clone(metrics),
        lists: Box::new(move |rules| wiring::list_files(&configured, rules)),
        last_good,
    }
}

/// What judges.
struct Parts<'a> {
    config: &'a Config,
    engine: &'a mut Engine,
    metrics: &'a Metrics,
    probe: &'a mut EngineProbe,
    readers: Vec<Reader>,
    sinks: Sinks,
}

/// Who keeps the state.
enum Over<'a> {
    /// This process; history comes for features that a reload brings.
    Kept(Receiver<Fill>, Box<Keeping<'a>>),
    /// Somebody else, for several instances.
    Shared(Sharing<'a>),
}

/// Judges until the sources have ended, or the end was asked for; the rules are read again meanwhile.
fn judge(
    parts: Parts<'_>,
    reloader: Reloader,
    (questions, reloads, over_state): (Receiver<Question>, Receiver<Reload>, Over<'_>),
    asked: &stop::Asked,
) -> Result<(), Failure> {
    let Parts { config, engine, metrics, probe, readers, sinks } = parts;
    metrics.watch(&readers, &sinks);
    let sources: Vec<String> = readers.iter().map(|reader| reader.name.clone()).collect();
    let programs = config.programs.keys().cloned();
    let mut observer = metrics.observer(sources, programs, engine.rules(), clock::monotonic);
    let works_per_source = wiring::works_per_source(config);
    let stop = asked.stop.as_ref();
    let pipeline = Pipeline { readers, engine, probe, sinks, observer: &mut observer, works_per_source, stop };
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| reloader.run(&asked.reload, &over));
        let ended = match over_state {
            Over::Kept(fills, keeping) => pipeline.run_keeping(questions, reloads, fills, Some(*keeping)),
            Over::Shared(sharing) => pipeline.run_shared(reloads, sharing),
        };
        over.store(true, Ordering::Release);
        Ok(ended?)
    })
}
