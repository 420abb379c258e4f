//! `refguard state verify`: every byte of a folder of state, looked at.

use std::io::Write as _;
use std::path::Path;

use super::found::Found;
use super::{Failure, name};
use crate::daemon::cli::failure;
use crate::stream::checkpoint::{CheckpointError, Seals, Surveyed};

pub(super) fn run(folder: &Path, seals: Option<&Seals>) -> Result<(), Failure> {
    let found = Found::of(folder, seals)?;
    let mut out = String::new();
    let mut damaged = Vec::new();
    for (path, surveyed) in &found.checkpoints {
        match surveyed {
            Ok(of) => out.push_str(&format!("{}: {}\n", name(path), whole(of))),
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

/// What there is to say of a checkpoint that is whole.
fn whole(surveyed: &Surveyed) -> String {
    let format = surveyed.format;
    match (&surveyed.survey, surveyed.seal) {
        (Some(of), _) => {
            let keys: u64 = of.parts.iter().map(|part| part.keys).sum();
            format!("whole: format {format}, {} events, {keys} keys", of.sequence)
        }
        (None, seal) => {
            let secret = seal.map(|name| name.to_string()).unwrap_or_default();
            format!(
                "whole: format {format}, closed under secret {secret}, which is not known here: only its checksums were looked at"
            )
        }
    }
}

fn tell(damaged: &[&CheckpointError]) -> Result<(), Failure> {
    for error in damaged {
        failure::say(&format!("error: {error}\nhint: {}\n", error.hint()));
    }
    if damaged.is_empty() { Ok(()) } else { Err(Failure::No) }
}
