//! `refguard state restore`: a folder of state from the copies of its checkpoints, and from the topic of its journal if it has one.

use std::path::{Path, PathBuf};

use super::super::{Failure, Setup, failure};
use crate::daemon::config::Config;
use crate::daemon::line::{self, JournalTopic};
use crate::daemon::{standby, wiring};
use crate::stream::checkpoint::{CheckpointError, Owner, checkpoints};
use crate::stream::copies::{CopyError, Store, StoreOptions};
use crate::stream::disk::Folder;
use crate::stream::follow::Follower;
use crate::stream::journal::{Line, segments};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    setup: Setup,
    /// Where the copies are, instead of `state.copies.url`; options of the store are the configured ones.
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// The folder of the state, instead of the configured one. It must have no state.
    folder: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let loaded = arguments.setup.config()?;
    let config = &loaded.config;
    let store = store(arguments, config)?;
    let folder = arguments.folder.as_ref().unwrap_or(&config.state.path);
    std::fs::create_dir_all(folder).map_err(|source| CheckpointError::Io {
        doing: "making the folder",
        path: folder.clone(),
        source,
    })?;
    let _owner = Owner::of(folder)?;
    let at = Folder::at(folder.as_path());
    if !checkpoints(&at)?.is_empty() || !segments(&at)?.is_empty() {
        return Err(CopyError::NotEmpty { folder: folder.clone() }.into());
    }
    let said = match wiring::journal_topic(config)? {
        Some(topic) => followed(&store, &topic, folder)?,
        None => newest(&store, folder)?,
    };
    standby::take_names(&store, folder)?;
    failure::say(&format!("restored {}: {said}\n", folder.display()));
    Ok(())
}

fn store(arguments: &Arguments, config: &Config) -> Result<Store, Failure> {
    let configured = config.state.copies.as_ref();
    let url = arguments.from.clone().or_else(|| configured.map(|copies| copies.url.clone()));
    let Some(url) = url else {
        let hint = "name the URL with `--from`, or configure `state.copies`";
        return Err(Failure::usage("it is not known where copies are", Some(hint)));
    };
    let options = configured.map(|copies| copies.options.clone()).unwrap_or_default();
    Ok(Store::open(&StoreOptions { url, options })?)
}

/// The best checkpoint, and all entries of the journal behind it.
fn followed(store: &Store, topic: &JournalTopic, folder: &Path) -> Result<String, Failure> {
    let mut follower = Follower::begin(folder, None, &topic.reader, &topic.topic)?;
    follower.follow_to_end()?;
    follower.find_base(store)?;
    let (Some(base), Some((line, _))) = (follower.base(), follower.end()) else {
        let detail = format!(": none goes with the entries that topic {} has", topic.topic);
        return Err(CopyError::Nothing { url: store.url().to_owned(), detail }.into());
    };
    line::set(folder, line)?;
    follower.forget_before()?;
    Ok(format!("a checkpoint up to entry {} and {} entries behind it", base.position, follower.behind()))
}

/// The newest checkpoint that is whole.
fn newest(store: &Store, folder: &Path) -> Result<String, Failure> {
    let mut detail = String::new();
    for name in store.list()? {
        match store.fetch(&name, folder) {
            Ok(_) => {
                if let Some(line) = Line::read(&name.line).filter(|line| *line != Line(0)) {
                    line::set(folder, line)?;
                }
                return Ok(format!("a checkpoint after {} events", name.events));
            }
            Err(error @ CopyError::Checkpoint(CheckpointError::Damaged { .. })) => {
                failure::say(&format!("warning: {name}: {error}\n"));
                detail = format!(": {error}");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(CopyError::Nothing { url: store.url().to_owned(), detail }.into())
}
