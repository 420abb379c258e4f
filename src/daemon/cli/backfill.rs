//! `refguard backfill`: history into the state, without verdicts and alerts, before `run` goes on.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use super::state::{self, Said, State};
use super::{Failure, Setup};
use crate::daemon::key::StateKey;
use crate::daemon::{progress, wiring};
use crate::engine::{Backfill, Backfilled, Engine};
use crate::event::{ParseOptions, write_time_ms};
use crate::stream::Sink;
use crate::stream::checkpoint::{self, Companion};
use crate::stream::disk::Folder;
use crate::stream::file::{LineSink, LineSource, WriteMode};
use crate::stream::pipeline::{Input, Intake, Observer, Sinks, Stage, Work, run_through};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    setup: Setup,
    /// Where invalid events go, a line of JSON each; without it standard error.
    #[arg(long, value_name = "FILE")]
    dead_letters: Option<PathBuf>,
    /// Read the events as those of this configured source: by its mapping.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Events, a line each, plain or as gzip or zstd make it: `.jsonl`, `.jsonl.gz`, `.jsonl.zst`, or `-` for standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
}

/// Counts events instead of judging them.
struct Counting<'a> {
    engine: &'a mut Engine,
    into: Backfill,
    tally: Backfilled,
    /// The first and the newest event time.
    times_ms: Option<(i64, i64)>,
}

impl Stage for Counting<'_> {
    fn pass(&mut self, work: &mut Work, _intake: &Intake) {
        for event in &work.batch.events {
            let time_ms = event.event_time_ms;
            let (first_ms, newest_ms) = self.times_ms.unwrap_or((time_ms, time_ms));
            self.times_ms = Some((first_ms, newest_ms.max(time_ms)));
        }
        let tally = self.engine.backfill(&work.batch, &work.signals, &mut self.into);
        self.tally.add(tally);
    }
}

/// Counts what was refused.
struct Refused<'a> {
    bar: &'a progress::Progress,
    letters: u64,
}

impl Observer for Refused<'_> {
    fn written(&mut self, work: &Work) {
        self.letters += work.dead_letters.len() as u64;
        self.bar.add(work.batch.events.len());
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let loaded = arguments.setup.config()?;
    let config = &loaded.config;
    let mapping = wiring::mapping_of(config, arguments.source.as_deref())?;
    let rules = Setup::rules(config)?;
    let lines = LineSource::open(&arguments.file, wiring::line_options(config))?;
    let opened = StateKey::open(&config.state.key_file, &config.state.path)?;
    if opened.made {
        let path = config.state.key_file.display();
        Said::Warning(format!("made the key of the state, {path}: keep a copy of it")).tell();
    }
    let signals = Setup::signals(&loaded, &rules, &opened.key)?;
    let options = wiring::engine_options(config, &opened.key);
    let State { owner: _owner, mut engine, past, alerts, said, .. } =
        state::take(&config.state.path, &rules, (&options, opened.key.seals()), &wiring::premises(config))?;
    said.iter().for_each(Said::tell);
    if past.has_inputs {
        let message = "the last run did not come to its end: what it judged last is not counted yet";
        return Err(Failure::usage(message, Some("let `refguard run` go on and end it, and count history then")));
    }
    // Their partitions are those of sources that another process read.
    engine.revoke_all();
    let bar = progress::Progress::of(&lines);
    let name = arguments.source.clone().unwrap_or_else(|| "backfill".to_owned());
    let input = Input::Lines(Box::new(lines));
    let mut reader = wiring::reader(0, name, input, mapping, engine.wanted(), &signals, ParseOptions::default())?;
    reader.ticks = false;
    let dead_letters = match &arguments.dead_letters {
        Some(path) => LineSink::open(path, WriteMode::Truncate)?,
        None => LineSink::to("standard error", std::io::stderr()),
    };
    let sinks = Sinks {
        verdicts: wiring::stdout(),
        dead_letters: Sink::Lines(dead_letters),
        alerts: None,
        events: None,
        decisions: None,
    };
    let mut refused = Refused { bar: &bar, letters: 0 };
    let mut counting =
        Counting { engine: &mut engine, into: Backfill::Whole, tally: Backfilled::default(), times_ms: None };
    let works = wiring::works_per_source(config);
    let ended = run_through(vec![reader], &mut counting, sinks, &mut refused, works, &AtomicBool::new(false));
    bar.finish();
    ended?;
    let letters = refused.letters;
    summary(&mut counting, letters).iter().for_each(Said::tell);
    engine.revoke_all();
    // It is not said by which rules: those that are in force at the next start will be.
    let seal = opened.key.seals().newest();
    let companion = Companion { hash: String::new(), files: Vec::new(), ..past.companion };
    let written = checkpoint::write(&Folder::at(&config.state.path), &engine, &companion, &alerts, seal)?;
    state::said_written(&written, &engine).tell();
    Ok(())
}

/// What was counted; and the features know how far it goes back.
fn summary(counting: &mut Counting<'_>, letters: u64) -> Vec<Said> {
    let Counting { tally, times_ms, .. } = *counting;
    let time = |ms: i64| {
        let mut text = Vec::new();
        write_time_ms(&mut text, ms);
        String::from_utf8_lossy(&text).into_owned()
    };
    let span = times_ms.map(|(first, newest)| format!(", from {} to {}", time(first), time(newest)));
    let others = [
        (letters, "invalid"),
        (tally.repeats, "repeats"),
        (tally.reused, "under the id of another event"),
        (tally.late, "too late"),
        (tally.over_quota, "past their program's quota"),
    ];
    let others: Vec<String> = others
        .iter()
        .filter(|(count, what)| *count > 0 || *what == "invalid")
        .map(|(count, what)| format!("{count} were {what}"))
        .collect();
    let (counted, span) = (tally.counted, span.unwrap_or_default());
    let mut said = vec![Said::Note(format!("counted {counted} events{span}; {}", others.join(", ")))];
    let late = tally.late;
    if late > 0 {
        let why = "older than what the state had seen by `state.allowed_lateness` and more";
        let next = "count history before what comes after it, oldest first, into an empty state";
        said.push(Said::Warning(format!("{late} events were {why}, and changed nothing: {next}")));
    } else if let Some((first_ms, _)) = times_ms {
        counting.engine.backfilled(&counting.into, first_ms);
    }
    said
}
