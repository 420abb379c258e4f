//! `refguard bench`: sizes a machine.

use std::io::Write as _;
use std::sync::Arc;

use super::{Failure, failure};
use crate::daemon::clock;
use crate::lab::bench;
use crate::ruleset::load::{Files, load_from};

/// The pack that is measured with; it goes with the program, so that figures of two machines can be compared.
const PACK: &str = include_str!("../../../benches/pack/bench.yaml");

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Sizes of the population, in accounts; 10 million take about 12 GB of memory.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [100_000, 1_000_000])]
    accounts: Vec<u64>,
    /// Events a round.
    #[arg(long, value_name = "N", default_value_t = 500_000)]
    events: usize,
    /// Rounds; the middle one counts.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Measure with the packs of this folder instead of the built-in one.
    #[arg(long, value_name = "DIR")]
    rules: Option<std::path::PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// The built-in pack as a folder.
struct BuiltIn;

impl Files for BuiltIn {
    fn packs(&self) -> Result<Vec<String>, String> {
        Ok(vec!["bench.yaml".to_owned()])
    }

    fn read(&self, _path: &str, _max_bytes: u64) -> Result<Vec<u8>, String> {
        Ok(PACK.as_bytes().to_vec())
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let least = 1000;
    if let Some(few) = arguments.accounts.iter().find(|accounts| **accounts < least) {
        return Err(Failure::usage(format!("{few} accounts are too few to measure with"), Some("give 1000 or more")));
    }
    let loaded = match &arguments.rules {
        Some(folder) => crate::ruleset::load(folder),
        None => load_from(&BuiltIn),
    };
    let rules = Arc::new(loaded.map_err(Failure::Refused)?.set);
    let plan = bench::Plan {
        accounts: arguments.accounts.clone(),
        events: arguments.events,
        rounds: usize::from(arguments.rounds),
        monotonic: clock::monotonic,
    };
    let reports = bench::run(&rules, &plan, |doing| failure::say(&format!("{doing}\n")))?;
    let text =
        if arguments.json { format!("{:#}\n", bench::render_json(&reports)) } else { bench::render_table(&reports) };
    // A reader that has seen enough is no failure.
    drop(std::io::stdout().lock().write_all(text.as_bytes()));
    Ok(())
}
