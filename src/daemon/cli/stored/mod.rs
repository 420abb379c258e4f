//! `refguard state`: what a folder of state holds, whether it is whole, and what can be taken out of it.

mod export;
mod found;
mod inspect;
mod restore;
mod rotate;
mod verify;

use std::path::{Path, PathBuf};

use super::{Failure, Setup, reachable};
use crate::daemon::key::StateKey;
use crate::stream::checkpoint::Seals;

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
    /// Adds a secret to the key file, under which a daemon that runs closes its next checkpoints.
    RotateKey(rotate::Arguments),
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
    /// The folder, and the secrets of its checkpoints if the configured file is there: a copy is looked at without them too.
    fn open(&self) -> Result<(PathBuf, Option<Seals>), Failure> {
        let config = self.setup.config()?.config;
        let folder = self.folder.clone().unwrap_or(config.state.path);
        reachable(std::fs::read_dir(&folder), "state", &folder)?;
        let path = &config.state.key_file;
        let key = path.exists().then(|| StateKey::read(path)).transpose()?;
        Ok((folder, key.map(|key| key.seals().clone())))
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Inspect(named) => {
            let (folder, seals) = named.open()?;
            inspect::run(&folder, seals.as_ref())
        }
        Command::Verify(named) => {
            let (folder, seals) = named.open()?;
            verify::run(&folder, seals.as_ref())
        }
        Command::RotateKey(arguments) => rotate::run(arguments),
        Command::Restore(arguments) => restore::run(arguments),
        Command::Export(arguments) => export::run(arguments),
    }
}

/// The name of a file in its folder.
fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
