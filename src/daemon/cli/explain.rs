//! `refguard explain`: why an event was judged as it was, and why not otherwise.

mod json;
mod text;

use std::io::{IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};

use super::{Failure, Opened, Setup};
use crate::daemon::environment::forbids_colours;
use crate::daemon::{clock, wiring};
use crate::event::ParseOptions;
use crate::lab::explain::{Asked, Explained, explain};
use crate::ruleset::program::RuleSet;
use crate::stream::file::LineSource;
use crate::stream::pipeline::Input;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    setup: Setup,
    /// Id of the event; the first with it counts.
    #[arg(long, value_name = "ID")]
    event: String,
    /// Source of the event, as it stands in the event, where several sources use one id.
    #[arg(long, value_name = "URI")]
    event_source: Option<String>,
    /// This rule in full, whether it matched or not; without it those that matched, and for the others the term that
    /// decided.
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
    /// Read the events as those of this configured source: by its mapping.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Accept events whose time lies ahead of the clock: for made-up traffic.
    #[arg(long)]
    allow_future: bool,
    /// Print JSON: every rule in full.
    #[arg(long)]
    json: bool,
    /// The log, plain or as gzip or zstd make it: `.jsonl`, `.jsonl.gz`, `.jsonl.zst`, or `-` for standard input, which is kept aside while it is read.
    #[arg(default_value = "-")]
    file: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Opened { config, rules, signals, options, .. } = arguments.setup.open()?;
    let mapping = wiring::mapping_of(&config, arguments.source.as_deref())?;
    if let Some(rule) = &arguments.rule {
        known_rule(&rules, rule)?;
    }
    let kept = if arguments.file == Path::new("-") { Some(Kept::new(std::io::stdin().lock())?) } else { None };
    let path = kept.as_ref().map_or(arguments.file.as_path(), |kept| &kept.0);
    let asked = Asked { id: arguments.event.clone(), source: arguments.event_source.clone() };
    let explained = explain(&rules, &options, &asked, |engine| -> Result<_, Failure> {
        let lines = LineSource::open(path, wiring::line_options(&config))?;
        let name = arguments.source.clone().unwrap_or_else(|| "explain".to_owned());
        let parsing = ParseOptions { allow_future: arguments.allow_future };
        let input = Input::Lines(Box::new(lines));
        let mut reader = wiring::reader(0, name, input, mapping.clone(), engine.wanted(), &signals, parsing)?;
        reader.wall_clock_ms = clock::start_ms;
        reader.ticks = false;
        Ok(reader)
    })?;
    match explained {
        Some(explained) => {
            print(arguments, &rules, &explained);
            Ok(())
        }
        None => Err(Failure::Told {
            message: format!("no valid event with the id {} is in {}", arguments.event, arguments.file.display()),
            hint: Some("`refguard eval --dead-letters FILE` shows which lines are not valid, and why".to_owned()),
            code: 1,
        }),
    }
}

fn print(arguments: &Arguments, rules: &RuleSet, explained: &Explained) {
    let text = if arguments.json {
        json::write(rules, explained, arguments.rule.as_deref())
    } else {
        let coloured = std::io::stdout().is_terminal() && !forbids_colours();
        text::write(rules, explained, arguments.rule.as_deref(), coloured)
    };
    // A reader that has seen enough is no failure.
    drop(std::io::stdout().lock().write_all(text.as_bytes()));
}

/// Whether there is such a rule; the nearest name otherwise.
fn known_rule(rules: &RuleSet, asked: &str) -> Result<(), Failure> {
    let ids = || rules.rules.iter().map(|rule| rule.id.as_str());
    if ids().any(|id| id == asked) {
        return Ok(());
    }
    let hint = match crate::event::nearest(asked, ids()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "without `--rule` those that judge the event are told; `refguard check --costs` names all that are on"
            .to_owned(),
    };
    Err(Failure::usage(format!("there is no rule {asked}"), Some(&hint)))
}

/// Standard input in a file of its own, because the log is read twice. Gone when the command ends.
struct Kept(PathBuf);

impl Kept {
    fn new(mut input: impl Read) -> Result<Kept, Failure> {
        let path = std::env::temp_dir().join(format!("refguard-explain-{}.jsonl", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        // It holds customers' data.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let kept = options.open(&path).map(|file| (file, Kept(path.clone())));
        let copied = kept.and_then(|(mut file, kept)| std::io::copy(&mut input, &mut file).map(|_| kept));
        copied.map_err(|error| {
            let hint = "make room in the system's folder for such files, or give the log as a file";
            Failure::usage(format!("cannot keep standard input in {}: {error}", path.display()), Some(hint))
        })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // What cannot be removed now is the system's to clear away.
        drop(std::fs::remove_file(&self.0));
    }
}
