//! `refguard state`: what a folder of state holds, whether it is whole, and what can be taken out of it.

mod export;
mod found;
mod inspect;
mod restore;
mod verify;

use std::path::{Path, PathBuf};

use super::{Failure, Setup, reachable};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Shows what is there: checkpoints with their parts, and the journal behind them. Text on a terminal, otherwise JSON.
    Inspect(Named),
    /// Reads everything and checks it; exit code 1 and the place of the damage if something is not what was written.
    Verify(Named),
    /// Fills an empty folder from copies of checkpoints, and from the topic of the journal where one is configured.
    Restore(restore::Arguments),
    /// Writes decisions, facts and features as JSON lines, as the newest whole checkpoint has them.
    Export(export::Arguments),
}

/// A folder that is looked at. It may be in use: nothing is locked or changed.
#[derive(Debug, clap::Args)]
struct Named {
    #[command(flatten)]
    setup: Setup,
    /// The folder of the state, instead of the configured one.
    folder: Option<PathBuf>,
}

impl Named {
    fn folder(&self) -> Result<PathBuf, Failure> {
        let folder = match &self.folder {
            Some(folder) => folder.clone(),
            None => self.setup.config()?.config.state.path,
        };
        reachable(std::fs::read_dir(&folder), "state", &folder)?;
        Ok(folder)
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Inspect(named) => inspect::run(&named.folder()?),
        Command::Verify(named) => verify::run(&named.folder()?),
        Command::Restore(arguments) => restore::run(arguments),
        Command::Export(arguments) => export::run(arguments),
    }
}

/// The name of a file in its folder.
fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
