//! A folder for made-up events and their verdicts, gone when the measurement ends.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::{BATCH_EVENTS, BenchError, Plan};

/// A folder of our own below the system's place for such.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Result<Folder, BenchError> {
        let path = std::env::temp_dir().join(format!("refguard-bench-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|source| BenchError::Folder { path: path.clone(), source })?;
        Ok(Folder(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Where verdicts go.
    pub(super) fn verdicts(&self) -> PathBuf {
        self.0.join("verdicts.jsonl")
    }

    /// Makes a file of the events that the first population sends in a round.
    pub(super) fn events(&self, plan: &Plan) -> Result<PathBuf, BenchError> {
        let path = self.0.join("events.jsonl");
        write_events(&path, plan).map_err(|source| BenchError::Folder { path: path.clone(), source })?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed now is the system's to clear away.
        drop(fs::remove_dir_all(&self.0));
    }
}

fn write_events(path: &Path, plan: &Plan) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut text = String::new();
    let mut population = plan.population(plan.accounts[0]);
    for from in (0..plan.events).step_by(BATCH_EVENTS) {
        text.clear();
        for _ in from..plan.events.min(from + BATCH_EVENTS) {
            population.write_next(&mut text);
        }
        file.write_all(text.as_bytes())?;
    }
    file.flush()
}
