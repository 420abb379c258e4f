//! `refguard state rotate-key`: another secret for checkpoints, while a daemon goes on or while none does.

use std::io::ErrorKind;

use super::super::{Failure, Setup, failure};
use crate::daemon::key::{self, StateKey};
use crate::stream::checkpoint::{CheckpointError, SealName, checkpoints, seal_of};
use crate::stream::disk::Folder;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    setup: Setup,
    /// Removes the secrets of before instead, once no checkpoint of the state is closed under them; exit code 1 while one is.
    #[arg(long)]
    finish: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.setup.config()?.config;
    let path = &config.state.key_file;
    StateKey::of_state(path, &config.state.path)?;
    if !arguments.finish {
        let added = key::add_seal(path)?;
        failure::say(&format!(
            "{}: added secret {added}: checkpoints are closed under it from the next one on\n\
             hint: keep a copy of the file; once two were written, `refguard state rotate-key --finish` removes the secrets of before\n",
            path.display()
        ));
        return Ok(());
    }
    let used = used(&Folder::at(&config.state.path))?;
    let newest = StateKey::read(path)?.seals().newest().name();
    let gone = key::forget_seals(path, |name| used.contains(&name))?;
    gone.iter().for_each(|name| failure::say(&format!("{}: removed secret {name}\n", path.display())));
    let before = used.iter().filter(|name| **name != newest).count();
    if before == 0 {
        return Ok(());
    }
    failure::say(&format!(
        "error: {before} checkpoints of {} are closed under secrets of before\n\
         hint: try again once `refguard run` has written as many more: one every `state.checkpoint_interval`, and one when it ends\n",
        config.state.path.display()
    ));
    Err(Failure::No)
}

/// The secrets that the checkpoints of a folder are closed under.
fn used(folder: &Folder) -> Result<Vec<SealName>, CheckpointError> {
    let mut used = Vec::new();
    for path in checkpoints(folder)? {
        match seal_of(folder, &path) {
            Ok(name) => used.extend(name),
            // A daemon that runs has removed it meanwhile.
            Err(CheckpointError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(used)
}
