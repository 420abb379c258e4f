//! The commands: arguments in two steps, first read, then checked; one file a command, one exit code a kind of end.

mod advice;
mod audit;
mod backfill;
mod bench;
mod check;
mod client;
mod deadletters;
mod decisions;
mod difference;
mod eval;
mod explain;
mod failure;
mod holds;
mod keep;
mod lists;
mod outlive;
mod overrides;
mod requests;
mod rules;
mod run;
mod schema;
mod start;
mod state;
mod stored;
mod table;
mod test;
mod token;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

pub use failure::Failure;

use super::config::{self, Config};
use super::wiring;
use super::{environment, key::StateKey};
use crate::engine::EngineOptions;
use crate::ruleset;
use crate::ruleset::program::RuleSet;
use crate::signals::{Deriver, SignalConfig, Wanted};
use crate::stream::checkpoint::Seals;

/// Watches loyalty and referral programs for fraud while it happens: events in, verdicts out.
#[derive(Debug, Parser)]
#[command(name = "refguard", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The daemon: reads the configured sources and judges what comes, until it is stopped.
    Run(run::Arguments),
    /// Events in (a file or standard input), one verdict a line out, in the same order; then exits.
    Eval(eval::Arguments),
    /// History in: counted into the state, without verdicts and alerts, for `run` to go on from.
    Backfill(backfill::Arguments),
    /// Checks configuration and rules; errors as file:line:column, exit code 1.
    Check(check::Arguments),
    /// Runs the tests inside the rule files.
    Test(test::Arguments),
    /// Why an event was judged as it was: every rule term by term, and the events behind each value.
    Explain(explain::Arguments),
    /// This machine's throughput, latency and memory, beside its ceilings.
    Bench(bench::Arguments),
    /// What was refused: to look at and, once its cause was mended, to send again.
    #[command(name = "deadletters")]
    DeadLetters(deadletters::Arguments),
    /// What a folder of state holds: to look at, to check, to take out.
    State(stored::Arguments),
    /// Who stands under a decision of a running daemon: to look at, to ask about, to follow.
    Decisions(decisions::Arguments),
    /// Who may ask a running daemon: its tokens.
    Token(token::Arguments),
    /// The lists that people keep over the API, and their entries.
    Lists(lists::Arguments),
    /// What one person has asked for and a second one has to agree to.
    Requests(requests::Arguments),
    /// The rules that a running daemon judges by, and how they are doing.
    Rules(rules::Arguments),
    /// What people and tokens have done: to look at and to check.
    Audit(audit::Arguments),
    /// What waits for a review: to look at, to release, to block for good.
    Holds(holds::Arguments),
    /// The word of a person on an account, a device, an address: it beats every rule.
    Overrides(overrides::Arguments),
    /// Prints a JSON Schema.
    Schema(schema::Arguments),
}

/// The arguments that say what is configured.
#[derive(Clone, Debug, clap::Args)]
struct Setup {
    /// Configuration file; without it `config/refguard.yaml` if there is one, else the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the rule packs, instead of the configured one.
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
}

/// What people wrote, read and checked.
struct Opened {
    config: Config,
    rules: Arc<RuleSet>,
    signals: SignalConfig,
    options: EngineOptions,
    seals: Seals,
}

/// A path that leads nowhere is a wrong call; what is wrong inside is told by those who read it.
fn reachable<T>(opened: std::io::Result<T>, what: &str, path: &Path) -> Result<(), Failure> {
    match opened {
        Ok(_) => Ok(()),
        Err(error) => {
            let hint = "check the path; a relative one counts from the directory refguard was started in";
            Err(Failure::usage(format!("cannot open the {what} {}: {error}", path.display()), Some(hint)))
        }
    }
}

/// Where the configuration is looked for.
const DEFAULT_CONFIG: &str = "config/refguard.yaml";

/// Runs refguard with these arguments, the program's name first, and says how it ended: 0 done, 1 the answer is no,
/// 2 usage, 3 an outside service failed.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers, everything else is a wrong call; clap prints either where it belongs.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let ended = match arguments.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Backfill(arguments) => backfill::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::DeadLetters(arguments) => deadletters::run(&arguments),
        Command::State(arguments) => stored::run(&arguments),
        Command::Decisions(arguments) => decisions::run(&arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::Lists(arguments) => lists::run(&arguments),
        Command::Requests(arguments) => requests::run(&arguments),
        Command::Rules(arguments) => rules::run(&arguments),
        Command::Audit(arguments) => audit::run(&arguments),
        Command::Holds(arguments) => holds::run(&arguments),
        Command::Overrides(arguments) => overrides::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            ExitCode::from(failure.code())
        }
    }
}

impl Setup {
    /// The configuration file, if there is one.
    fn file(&self) -> Option<&Path> {
        let found = || Some(Path::new(DEFAULT_CONFIG)).filter(|path| path.exists());
        self.config.as_deref().or_else(found)
    }

    /// Reads the configuration; warnings go to standard error.
    fn config(&self) -> Result<config::Loaded, Failure> {
        let loaded = match self.file() {
            Some(path) => {
                reachable(std::fs::metadata(path), "configuration", path)?;
                config::load(path, environment::variables())
            }
            None => config::defaults(environment::variables()),
        };
        let mut loaded = loaded.map_err(Failure::Refused)?;
        failure::warn(&loaded.warnings);
        if let Some(rules) = &self.rules {
            loaded.config.rules.path.clone_from(rules);
        }
        Ok(loaded)
    }

    /// Loads the rules; warnings go to standard error.
    fn rules(config: &Config) -> Result<Arc<RuleSet>, Failure> {
        let path = &config.rules.path;
        reachable(std::fs::read_dir(path), "rules", path)?;
        let loaded = ruleset::load(path, &wiring::premises(config)).map_err(Failure::Refused)?;
        failure::warn(&loaded.warnings);
        Ok(Arc::new(loaded.set))
    }

    /// What signals need, their files read.
    fn signals(loaded: &config::Loaded, rules: &RuleSet, key: &StateKey) -> Result<SignalConfig, Failure> {
        let read = wiring::signal_config(&loaded.config, key).and_then(|signals| {
            // Databases and lists are looked into by those who read them.
            Deriver::new(Wanted { signals: rules.signals, fields: rules.fields }, &signals)?;
            Ok(signals)
        });
        read.map_err(|error| match error.setting() {
            Some(path) => Failure::Refused(vec![loaded.error_at(&path, "unusable", error.to_string())]),
            None => error.into(),
        })
    }

    /// Reads everything that people wrote, for commands that keep no state.
    fn open(&self) -> Result<Opened, Failure> {
        let loaded = self.config()?;
        let rules = Setup::rules(&loaded.config)?;
        let key = self.key(&loaded.config)?;
        let signals = Setup::signals(&loaded, &rules, &key)?;
        let options = wiring::engine_options(&loaded.config, &key);
        Ok(Opened { config: loaded.config, rules, signals, options, seals: key.seals().clone() })
    }

    /// The configured key if its file is there, else the documented constant: for commands that keep no state. What is
    /// configured, by a file or a variable, is what `run` has: both derive the same devices.
    fn key(&self, config: &Config) -> Result<StateKey, Failure> {
        let configured =
            self.file().is_some() || environment::variables().any(|(name, _)| name.starts_with(config::PREFIX));
        if configured && config.state.key_file.exists() {
            return Ok(StateKey::read(&config.state.key_file)?);
        }
        Ok(StateKey::public())
    }
}
