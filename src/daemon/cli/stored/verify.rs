//! `refguard state verify`: every byte of a folder of state, looked at.

use std::io::Write as _;
use std::path::Path;

use super::found::Found;
use super::{Failure, name};
use crate::daemon::cli::failure;
use crate::stream::checkpoint::CheckpointError;

pub(super) fn run(folder: &Path) -> Result<(), Failure> {
    let found = Found::of(folder)?;
    let mut out = String::new();
    let mut damaged = Vec::new();
    for (path, surveyed) in &found.checkpoints {
        match surveyed {
            Ok(of) => {
                let keys: u64 = of.survey.parts.iter().map(|part| part.keys).sum();
                let (events, format) = (of.survey.sequence, of.format);
                out.push_str(&format!("{}: whole: format {format}, {events} events, {keys} keys\n", name(path)));
            }
            Err(error) => damaged.push(error),
        }
    }
    match &found.journal {
        Ok(journal) => {
            for (first, path, bytes) in &journal.files {
                out.push_str(&format!("{}: whole: from entry {first}, {bytes} bytes\n", name(path)));
            }
            if journal.torn_bytes > 0 {
                let bytes = journal.torn_bytes;
                out.push_str(&format!("{bytes} bytes at the end of the journal are torn: nothing came of them\n"));
            }
        }
        Err(error) => damaged.push(error),
    }
    if found.checkpoints.is_empty() && found.journal.as_ref().is_ok_and(|journal| journal.files.is_empty()) {
        out.push_str("there is no checkpoint and no journal\n");
    }
    // A reader that has seen enough is no failure.
    drop(std::io::stdout().lock().write_all(out.as_bytes()));
    tell(&damaged)
}

fn tell(damaged: &[&CheckpointError]) -> Result<(), Failure> {
    for error in damaged {
        failure::say(&format!("error: {error}\nhint: {}\n", error.hint()));
    }
    if damaged.is_empty() { Ok(()) } else { Err(Failure::No) }
}
