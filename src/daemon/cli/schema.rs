//! `refguard schema`: JSON Schemas for editors and for those who write and read events.

use std::io::Write as _;

use super::Failure;
use crate::daemon::{config, schemas};
use crate::event::event_schema;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Of what.
    of: Of,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Of {
    /// An event, structured.
    Event,
    /// A rule pack.
    Rules,
    /// A verdict.
    Verdict,
    /// A record of an alert.
    Alert,
    /// The configuration.
    Config,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let schema = match arguments.of {
        Of::Event => event_schema(),
        Of::Config => config::json_schema(),
        Of::Rules => schemas::rules(),
        Of::Verdict => schemas::verdict(),
        Of::Alert => schemas::alert(),
    };
    let text = format!("{schema:#}\n");
    let stdout = std::io::stdout();
    // A reader that has seen enough is no failure.
    drop(stdout.lock().write_all(text.as_bytes()));
    Ok(())
}
