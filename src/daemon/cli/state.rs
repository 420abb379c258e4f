//! The state of commands that keep one: taken, read at the start, and what there is to say of that.

use std::path::Path;
use std::sync::Arc;

use super::Failure;
use crate::daemon::recovery::{self, Known, Past};
use crate::engine::{Engine, EngineOptions};
use crate::ruleset::Premises;
use crate::ruleset::program::RuleSet;
use crate::stream::checkpoint::{Loaded, Owner, Seals, Written};
use crate::stream::disk::Folder;

/// A state that is owned, and the engine that it holds.
pub(super) struct State {
    /// Gives the state back when it is dropped.
    pub owner: Owner,
    /// As the newest whole checkpoint has it, or empty.
    pub engine: Engine,
    /// What the folder says of the last run.
    pub past: Past,
    /// Where the inputs of that checkpoint end; `None`: there was none, or it does not say.
    pub newest: Option<u64>,
    /// The alerts that are open there.
    pub alerts: Vec<Vec<u8>>,
    /// What people should know, in order.
    pub said: Vec<Said>,
}

/// Something that people should know.
pub(super) enum Said {
    /// Counts are missing, or a file is damaged.
    Error(String),
    /// Something begins empty.
    Warning(String),
    /// It is as it should be.
    Note(String),
}

impl Said {
    /// Writes it to the log.
    pub(super) fn log(&self) {
        match self {
            Said::Error(text) => tracing::error!("{text}"),
            Said::Warning(text) => tracing::warn!("{text}"),
            Said::Note(text) => tracing::info!("{text}"),
        }
    }

    /// Writes it to standard error.
    pub(super) fn tell(&self) {
        let (kind, text) = match self {
            Said::Error(text) => ("error: ", text),
            Said::Warning(text) => ("warning: ", text),
            Said::Note(text) => ("", text),
        };
        super::failure::say(&format!("{kind}{text}\n"));
    }
}

/// Takes the state of a folder that exists, and reads it into an engine of these rules and options.
///
/// # Errors
///
/// Another process has it, or no checkpoint of those that are there can be used.
pub(super) fn take(
    folder: &Path,
    rules: &Arc<RuleSet>,
    (options, seals): (&EngineOptions, &Seals),
    premises: &Premises,
) -> Result<State, Failure> {
    let owner = Owner::of(folder)?;
    let mut said = Vec::new();
    let (found, past) = recovery::read(&Folder::at(folder), rules, (options, seals), premises)?;
    for (error, aside) in &found.damaged {
        said.push(Said::Error(format!(
            "{error}; it is set aside as {}, and the one before it is used",
            aside.display()
        )));
    }
    if let Some(loaded) = &found.loaded {
        say_loaded(loaded, &mut said);
    }
    let Known { engine, newest, alerts } = recovery::known(found.loaded, rules, options);
    if past.scan.torn_bytes() > 0 {
        let bytes = past.scan.torn_bytes();
        said.push(Said::Note(format!(
            "the last run was cut off while it wrote: {bytes} bytes of its journal go, which nothing came of"
        )));
    }
    Ok(State { owner, engine, past, newest, alerts, said })
}

fn say_loaded(loaded: &Loaded, said: &mut Vec<Said>) {
    let restored = &loaded.restored;
    let (path, events) = (loaded.path.display(), restored.sequence);
    said.push(Said::Note(format!("state is that of {path}, after {events} events")));
    let facts = restored.empty_facts.iter().map(|name| (*name).to_owned());
    let empty: Vec<String> = restored.empty.iter().cloned().chain(facts).collect();
    if !empty.is_empty() {
        let why = "the checkpoint has none of this name and definition";
        said.push(Said::Warning(format!("these begin empty, because {why}: {}", empty.join(", "))));
    }
}

/// That a checkpoint was written.
pub(super) fn said_written(written: &Written, engine: &Engine) -> Said {
    let (path, bytes) = (written.path.display(), written.bytes);
    Said::Note(format!("wrote {path}, after {} events, {bytes} bytes", engine.taken_in()))
}
