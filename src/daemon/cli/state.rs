//! The state of commands that keep one: taken, read at the start, and what there is to say of that.

use std::path::Path;
use std::sync::Arc;

use super::Failure;
use crate::engine::{Engine, EngineOptions};
use crate::ruleset::program::RuleSet;
use crate::stream::checkpoint::{self, CheckpointError, Loaded, Owner};

/// A state that is owned, and the engine that it holds.
pub(super) struct State {
    /// Gives the state back when it is dropped.
    pub owner: Owner,
    /// As the newest whole checkpoint has it, or empty.
    pub engine: Engine,
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
pub(super) fn take(folder: &Path, rules: &Arc<RuleSet>, options: &EngineOptions) -> Result<State, Failure> {
    let owner = Owner::of(folder)?;
    let mut said = Vec::new();
    let found = checkpoint::load(folder, rules, options)?;
    for (error, aside) in &found.damaged {
        said.push(Said::Error(format!(
            "{error}; it is set aside as {}, and the one before it is used",
            aside.display()
        )));
    }
    let (mut engine, from) = match found.loaded {
        Some(loaded) => {
            let from = format!("what {} has", loaded.path.display());
            say_loaded(&loaded, &mut said);
            (loaded.engine, from)
        }
        None => (Engine::new(Arc::clone(rules), options.clone()), "nothing".to_owned()),
    };
    // Their partitions are those of sources that another process read.
    engine.revoke_all();
    if owner.was_cut_short()? {
        let lost =
            "what it judged after that is missing from windows, and is not read again where its place was committed";
        said.push(Said::Error(format!("the last run did not end cleanly: state is {from}; {lost}")));
    }
    Ok(State { owner, engine, said })
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

/// Writes a checkpoint of all that an engine knows.
///
/// # Errors
///
/// What the disk says.
pub(super) fn keep(folder: &Path, engine: &Engine) -> Result<Said, CheckpointError> {
    let written = checkpoint::write(folder, engine)?;
    let (path, bytes) = (written.path.display(), written.bytes);
    Ok(Said::Note(format!("wrote {path}, after {} events, {bytes} bytes", engine.taken_in())))
}
