//! `refguard deadletters`: what was refused, to look at and, once its cause was mended, to send again.

mod list;
mod retry;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::{Failure, Setup};
use crate::daemon::config::Config;
use crate::daemon::wiring::{self, LettersAt};
use crate::event::{Letter, Reason};
use crate::ruleset::yaml::suggest;
use crate::stream::StreamError;
use crate::stream::kafka::TopicScan;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Shows dead letters: a table on a terminal, otherwise their lines as they are.
    List(Chosen),
    /// Sends inputs again under the same ids, where they are valid by now: to the topic and partition they came from, or as
    /// lines on standard output.
    Retry(Retried),
}

#[derive(Debug, clap::Args)]
struct Chosen {
    #[command(flatten)]
    setup: Setup,
    /// Only those of this configured source.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only those with this reason, such as `mapping`.
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// Only the one that stood there, such as `events/0/17`.
    #[arg(long, value_name = "PLACE")]
    position: Option<String>,
    /// Dead letters, a line each, or `-` for standard input; without it what `sinks.dead_letters` holds.
    file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Retried {
    #[command(flatten)]
    chosen: Chosen,
    /// Say what would be sent, and send nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::List(chosen) => list::run(chosen),
        Command::Retry(retried) => retry::run(&retried.chosen, retried.dry_run),
    }
}

impl Chosen {
    fn wants(&self, letter: &Letter) -> bool {
        let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
        is(&self.source, &letter.source) && is(&self.reason, &letter.reason) && is(&self.position, &letter.position)
    }

    /// Hands over the chosen ones, in order, each with its line. A source or reason that there is not is refused: nothing would
    /// be found of one that is misspelt, which reads as if all were well.
    fn read(&self, config: &Config, take: impl FnMut(Letter, &str) -> Result<(), Failure>) -> Result<(), Failure> {
        if let Some(reason) = &self.reason {
            let codes = Reason::CODES.iter().map(|(code, _)| *code);
            refuse_unknown("reason", reason, codes)?;
        }
        let sources = self.read_all(config, take)?;
        match &self.source {
            Some(source) => refuse_unknown("source", source, sources.iter().map(String::as_str)),
            None => Ok(()),
        }
    }

    /// Answers the sources that are configured, and those of which there are dead letters.
    fn read_all(
        &self,
        config: &Config,
        mut take: impl FnMut(Letter, &str) -> Result<(), Failure>,
    ) -> Result<BTreeSet<String>, Failure> {
        let mut sources: BTreeSet<String> = config.sources.keys().cloned().collect();
        let mut take = |letter: Letter, text: &str| {
            if self.source.is_some() && !sources.contains(&letter.source) {
                sources.insert(letter.source.clone());
            }
            if self.wants(&letter) { take(letter, text) } else { Ok(()) }
        };
        self.read_each(config, &mut take)?;
        Ok(sources)
    }

    fn read_each(&self, config: &Config, take: &mut Take<'_>) -> Result<(), Failure> {
        let mut read = |line: &[u8], at: &dyn Fn() -> String| {
            let text = std::str::from_utf8(line).unwrap_or_default().trim();
            match serde_json::from_str::<Letter>(text) {
                Ok(letter) => take(letter, text),
                Err(error) => {
                    let hint = "give the file or topic that `sinks.dead_letters` names";
                    Err(Failure::usage(format!("{}: this is no dead letter: {error}", at()), Some(hint)))
                }
            }
        };
        match &self.file {
            Some(path) if path.as_os_str() == "-" => read_lines(std::io::stdin().lock(), "standard input", &mut read),
            Some(path) => read_file(path, &mut read),
            None => match wiring::letters_at(config)? {
                LettersAt::File(path) => read_file(&path, &mut read),
                LettersAt::Topic(client, topic) => {
                    let mut scan = TopicScan::open(&client, &topic)?;
                    while let Some(value) = scan.next_value()? {
                        read(&value, &|| format!("topic {topic}"))?;
                    }
                    Ok(())
                }
                LettersAt::Nowhere => {
                    let hint = "name a FILE with them, or configure a topic or file as `sinks.dead_letters`";
                    Err(Failure::usage("no place where dead letters are kept is configured", Some(hint)))
                }
            },
        }
    }
}

/// Refuses a name that is none of the known ones.
fn refuse_unknown<'k>(what: &str, name: &str, known: impl Iterator<Item = &'k str> + Clone) -> Result<(), Failure> {
    if known.clone().any(|known| known == name) {
        return Ok(());
    }
    let hint = suggest(name, known);
    Err(Failure::usage(format!("there is no {what} `{name}`"), Some(&hint)))
}

type Take<'a> = dyn FnMut(Letter, &str) -> Result<(), Failure> + 'a;
type Read<'a> = dyn FnMut(&[u8], &dyn Fn() -> String) -> Result<(), Failure> + 'a;

fn read_file(path: &Path, read: &mut Read<'_>) -> Result<(), Failure> {
    let file = File::open(path).map_err(|source| StreamError::Open { path: path.to_owned(), source })?;
    read_lines(BufReader::new(file), &path.display().to_string(), read)
}

fn read_lines(mut input: impl BufRead, name: &str, read: &mut Read<'_>) -> Result<(), Failure> {
    let (mut line, mut number) = (Vec::new(), 0u64);
    loop {
        line.clear();
        number += 1;
        let length =
            input.read_until(b'\n', &mut line).map_err(|source| StreamError::Read { name: name.to_owned(), source })?;
        if length == 0 {
            return Ok(());
        }
        if !line.trim_ascii().is_empty() {
            read(&line, &|| format!("{name}:{number}"))?;
        }
    }
}

/// `3 mapping, 1 not_json`: how many there are of each kind, most first.
fn counts(by: &BTreeMap<String, u64>) -> String {
    let mut counts: Vec<(&String, &u64)> = by.iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    counts.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
}
