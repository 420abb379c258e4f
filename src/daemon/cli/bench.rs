//! `refguard bench`: sizes a machine.

use super::Failure;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

pub(super) fn run(_arguments: &Arguments) -> Result<(), Failure> {
    Ok(())
}
