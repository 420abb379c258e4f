//! Dead letters to look at.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use super::super::Failure;
use super::super::failure::say;
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
        table(&rows).lines().try_for_each(|row| out.write("", row.as_bytes()))?;
    }
    out.flush()?;
    let total: u64 = by_reason.values().sum();
    let kinds = if total == 0 { String::new() } else { format!(": {}", counts(&by_reason)) };
    say(&format!("{total} dead letters{kinds}\n"));
    Ok(())
}

/// The rows below their heads, each column as wide as its widest cell.
fn table(rows: &[[String; 5]]) -> String {
    let heads = ["TIME", "SOURCE", "POSITION", "REASON", "DETAIL"].map(str::to_owned);
    let all = || std::iter::once(&heads).chain(rows);
    let widths: Vec<usize> =
        (0..5).map(|at| all().map(|row| row[at].chars().count()).max().unwrap_or_default()).collect();
    let mut text = String::new();
    for row in all() {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let row = |cells: [&str; 5]| cells.map(str::to_owned);
        let rows = [row(["2026", "متجر", "in/0/1", "mapping", "x"]), row(["2026", "s", "line 9", "not_json", "y"])];
        let expected = "TIME  SOURCE  POSITION  REASON    DETAIL\n\
                        2026  متجر    in/0/1    mapping   x\n\
                        2026  s       line 9    not_json  y\n";
        assert_eq!(table(&rows), expected);
    }
}
