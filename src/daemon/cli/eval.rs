//! `refguard eval`: the same engine over a file, for a look before or after.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::{Failure, Opened, Setup};
use crate::alerts::Alerts;
use crate::daemon::{clock, progress, shared, wiring};
use crate::engine::Engine;
use crate::event::ParseOptions;
use crate::stream::Sink;
use crate::stream::file::{LineSink, LineSource, WriteMode};
use crate::stream::pipeline::{Alerting, Input, Observer, Pipeline, Probe, Sharing, Sinks, Work};
use crate::stream::redis::SharedState;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    setup: Setup,
    /// Where invalid events go, a line of JSON each; without it standard error.
    #[arg(long, value_name = "FILE")]
    dead_letters: Option<PathBuf>,
    /// Where alerts go, a line of JSON whenever there is something to tell of one; without it they are not gathered.
    #[arg(long, value_name = "FILE")]
    alerts: Option<PathBuf>,
    /// Read the events as those of this configured source: by its mapping.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Count in the Redis or Valkey of `state.redis` instead of memory, in a state of its own that goes at the end.
    #[arg(long)]
    redis: bool,
    /// Accept events later than the clock: for made-up traffic.
    #[arg(long)]
    allow_future: bool,
    /// Events, a line each, plain or as gzip or zstd make it: `.jsonl`, `.jsonl.gz`, `.jsonl.zst`, or `-` for standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
}

/// Nobody looks at the engine while `eval` runs.
struct Unwatched;

impl Probe for Unwatched {
    fn look(&mut self, _engine: &mut Engine) {}
}

struct Counted<'a>(&'a progress::Progress);

impl Observer for Counted<'_> {
    fn written(&mut self, work: &Work) {
        self.0.add(work.batch.events.len());
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Opened { config, rules, signals, options, .. } = arguments.setup.open()?;
    let mapping = wiring::mapping_of(&config, arguments.source.as_deref())?;
    let alerts = match &arguments.alerts {
        Some(path) => {
            let sink = Some(Sink::Lines(LineSink::open(path, WriteMode::Truncate)?));
            Some(Alerting { alerts: Alerts::new(wiring::alert_options(&config), Arc::clone(&rules)), sink })
        }
        None => None,
    };
    let options = if arguments.redis { shared::engine_options(options) } else { options };
    if arguments.redis {
        shared::check_rules(&rules)?;
    }
    let mut engine = Engine::new(rules, options);
    let mut shared = match arguments.redis {
        true => Some(SharedState::open(shared::temporary_options(&config)?, &mut engine)?),
        false => None,
    };
    let lines = LineSource::open(&arguments.file, wiring::line_options(&config))?;
    let bar = progress::Progress::of(&lines);
    let name = arguments.source.clone().unwrap_or_else(|| "eval".to_owned());
    let parsing = ParseOptions { allow_future: arguments.allow_future };
    let mut reader =
        wiring::reader(0, name, Input::Lines(Box::new(lines)), mapping, engine.wanted(), &signals, parsing)?;
    // The clock stands still at the start, so that the same file gives the same answer however long it takes.
    reader.wall_clock_ms = crate::daemon::clock::start_ms;
    reader.ticks = false;
    let dead_letters = match &arguments.dead_letters {
        Some(path) => LineSink::open(path, WriteMode::Truncate)?,
        None => LineSink::to("standard error", std::io::stderr()),
    };
    let pipeline = Pipeline {
        readers: vec![reader],
        engine: &mut engine,
        probe: &mut Unwatched,
        sinks: Sinks {
            verdicts: wiring::stdout(),
            dead_letters: Sink::Lines(dead_letters),
            alerts,
            events: None,
            decisions: None,
        },
        observer: &mut Counted(&bar),
        works_per_source: wiring::works_per_source(&config),
        stop: &AtomicBool::new(false),
    };
    let ended = match &mut shared {
        None => pipeline.run(),
        Some(state) => {
            let (kept, interval) = (Arc::default(), Duration::from_secs(1));
            pipeline.run_shared(
                crossbeam_channel::never(),
                Sharing { state, kept, interval, monotonic: clock::monotonic, producer: None },
            )
        }
    };
    let closed = shared.map_or(Ok(()), SharedState::close);
    bar.finish();
    ended?;
    Ok(closed?)
}
