//! Dead letters to look at.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use super::super::Failure;
use super::super::failure::say;
use super::super::table::table;
use super::{Chosen, counts};
use crate::daemon::wiring;

/// How much of a detail a row of the table shows, in characters.
const DETAIL_CHARS: usize = 80;

pub(super) fn run(chosen: &Chosen) -> Result<(), Failure> {
    let config = chosen.setup.config()?.config;
    let is_terminal = std::io::stdout().is_terminal();
    let mut out = wiring::stdout();
    let mut by_reason = BTreeMap::new();
    let mut rows = Vec::new();
    chosen.read(&config, |letter, line| {
        *by_reason.entry(letter.reason.clone()).or_insert(0u64) += 1;
        if is_terminal {
            let detail: String = letter.detail.chars().take(DETAIL_CHARS).collect();
            rows.push([letter.ingest_time, letter.source, letter.position, letter.reason, detail]);
        } else {
            out.write("", line.as_bytes())?;
        }
        Ok(())
    })?;
    if !rows.is_empty() {
        table(["TIME", "SOURCE", "POSITION", "REASON", "DETAIL"], &rows)
            .lines()
            .try_for_each(|row| out.write("", row.as_bytes()))?;
    }
    out.flush()?;
    let total: u64 = by_reason.values().sum();
    let kinds = if total == 0 { String::new() } else { format!(": {}", counts(&by_reason)) };
    say(&format!("{total} dead letters{kinds}\n"));
    Ok(())
}
