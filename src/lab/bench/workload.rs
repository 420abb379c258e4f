//! The comparison workload: file to verdict lines with five rules that other systems were measured with.

use std::path::Path;

use super::figures::median;
use super::packs::BuiltIn;
use super::paths::{self, Middle};
use super::{BenchError, Plan};

/// What came of the workload.
#[derive(Clone, Debug)]
pub struct WorkloadReport {
    /// Events in the file.
    pub events: u64,
    /// Lines that are no events, and events under a name that was used before.
    pub refused: u64,
    /// Events a second, the median of the rounds.
    pub events_per_second: f64,
    /// How often each rule matched.
    pub matches: Vec<(String, u64)>,
}

/// Measures it over a file of events.
pub(super) fn measure(file: &Path, output: &Path, plan: &Plan) -> Result<WorkloadReport, BenchError> {
    let rules = BuiltIn::WORKLOAD.rules();
    let mut engine = paths::engine(&rules);
    let first = paths::run_file(file, output, Middle::Engine(&mut engine), plan.monotonic)?;
    let counts = paths::matches(engine.tally());
    let matches = rules.rules.iter().map(|rule| rule.id.clone()).zip(counts).collect();
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        let mut engine = paths::engine(&rules);
        rounds.push(paths::run_file(file, output, Middle::Engine(&mut engine), plan.monotonic)?.per_second());
    }
    Ok(WorkloadReport { events: first.events, refused: first.refused, events_per_second: median(rounds), matches })
}
