//! Rules are read again while the daemon runs: when their folder has changed and is quiet again, or when somebody asks.
//!
//! A thread of its own looks at the folder, reads everything, tries the tests inside the files, and hands the rule set to
//! the engine's thread, which puts it in force between two batches. It may import the roof and everything below.
//! Invariants: what does not pass changes nothing and is told with its place; of what passed last a copy is kept, so that
//! the next start has rules to judge by. Tested beside each file, and in `tests/reload.rs` from outside.

mod fill;
mod gate;
mod last_good;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

pub use fill::Filler;
pub use gate::{Finding, Passed, Refused, pass};
pub use last_good::LastGood;
pub use watch::{Quiet, Stamp};

use super::clock;
use super::metrics::{Metrics, ReloadOutcome};
use crate::engine::{EngineOptions, wanted_after};
use crate::ruleset::Premises;
use crate::ruleset::program::RuleSet;
use crate::signals::{SignalConfig, Wanted};
use crate::stream::pipeline::{Reload, Taken};

/// How often flags are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How many findings of one reload are told; the count of all stands in the line behind them.
const TOLD_MAX: usize = 100;

/// Reads the rules again, in a thread of its own.
pub struct Reloader {
    /// The folder of the rules.
    pub folder: PathBuf,
    /// How long nothing must have changed there before it is read.
    pub settle: Duration,
    /// Whether changes are looked for, and not only asked for.
    pub watches: bool,
    /// What rules are checked against.
    pub premises: Premises,
    /// What signals need.
    pub signals: SignalConfig,
    /// How the tests inside the files are judged.
    pub options: EngineOptions,
    /// How many readers the pipeline has.
    pub readers: usize,
    /// What is derived now.
    pub wanted: Wanted,
    /// The rule set in force.
    pub in_force: Arc<RuleSet>,
    /// What the folder looked like when it was read.
    pub examined: Stamp,
    /// The engine's thread.
    pub hand_over: Sender<Reload>,
    /// What fills features that a reload brings; `None`: they are not filled.
    pub filler: Option<Filler>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// The files whose age is told.
    pub lists: ListFiles,
    /// Where the copy is kept.
    pub last_good: LastGood,
}

/// Where the files of a rule set's lists are, by the names that metrics give them.
pub type ListFiles = Box<dyn Fn(&RuleSet) -> Vec<(String, PathBuf)> + Send>;

/// The engine has ended.
struct Ended;

impl Reloader {
    /// Looks until `stop` is set. `asked` asks for a reload and is taken back.
    pub fn run(mut self, asked: &AtomicBool, stop: &AtomicBool) {
        let mut quiet = Quiet::new(std::mem::take(&mut self.examined));
        let mut next_look = clock::monotonic() + self.settle;
        while !stop.load(Ordering::Acquire) {
            std::thread::park_timeout(LOOK_EVERY);
            self.filler.iter_mut().for_each(Filler::look);
            if asked.swap(false, Ordering::AcqRel) {
                tracing::info!("asked to read the rules again");
                quiet.ask();
            }
            let now = clock::monotonic();
            if now < next_look || !(self.watches || quiet.is_asked()) {
                continue;
            }
            next_look = now + self.settle;
            let stamp = Stamp::of(&self.folder);
            if quiet.look(stamp.clone()) && self.examine(&stamp, stop).is_err() {
                return;
            }
        }
    }

    /// Reads the folder, which looked like this, and puts in force what passes.
    fn examine(&mut self, stamp: &Stamp, stop: &AtomicBool) -> Result<(), Ended> {
        let passed = gate::pass(&self.folder, &self.premises, &self.signals, &self.options);
        if Stamp::of(&self.folder) != *stamp {
            // Written meanwhile: it is read once it is quiet, and what was read is nobody's word.
            return Ok(());
        }
        match passed {
            Ok(passed) if passed.rules.hash == self.in_force.hash => {
                tracing::info!(ruleset = %self.in_force.hash, "the rules are those in force");
                self.metrics.reloaded(ReloadOutcome::Unchanged);
            }
            Ok(passed) => self.swap(passed, stop)?,
            Err(refused) => self.refuse(&refused),
        }
        Ok(())
    }

    fn swap(&mut self, passed: Passed, stop: &AtomicBool) -> Result<(), Ended> {
        passed.warnings.iter().map(gate::finding).for_each(|odd| {
            tracing::warn!(place = %odd.place, code = odd.code, why = %odd.why, hint = %odd.hint, "a warning");
        });
        let wanted = wanted_after(self.wanted, &passed.rules);
        let made = Reload::new(Arc::clone(&passed.rules), wanted, &self.signals, self.readers);
        let (reload, told) = match made {
            Ok(made) => made,
            Err(error) => {
                self.refuse(&Refused::Signals(error));
                return Ok(());
            }
        };
        let reload = reload.with_files(texts(&passed.files));
        self.hand_over.send(reload).map_err(|_| Ended)?;
        let Taken { events, empty } = wait(&told, stop)?;
        let before = std::mem::replace(&mut self.in_force, passed.rules);
        self.wanted = wanted;
        let rules = &self.in_force;
        tracing::info!(
            ruleset = %rules.hash, before = %before.hash, rules = rules.rules.len(), after_events = events,
            "new rules are in force"
        );
        if let (Some(filler), Some(empty)) = (&mut self.filler, empty) {
            filler.begin(empty, wanted, &self.signals);
        }
        self.metrics.reloaded(ReloadOutcome::Swapped);
        self.metrics.rules_in_force_since(clock::wall_clock_ms());
        self.metrics.set_lists(ages((self.lists)(rules)));
        keep(&self.last_good, &rules.hash, &passed.files);
        Ok(())
    }

    fn refuse(&self, refused: &Refused) {
        tell(refused);
        tracing::error!(ruleset = %self.in_force.hash, "the new rules are refused: those in force stay");
        self.metrics.reloaded(ReloadOutcome::Refused);
    }
}

/// The texts of a rule set's files, by their paths.
pub fn texts(files: &[(String, Arc<crate::ruleset::diagnostic::SourceFile>)]) -> Vec<(String, String)> {
    files.iter().map(|(path, file)| (path.clone(), file.text.clone())).collect()
}

/// Waits until a rule set is in force. A sink may hold the engine back for long.
fn wait(told: &Receiver<Taken>, stop: &AtomicBool) -> Result<Taken, Ended> {
    loop {
        match told.recv_timeout(LOOK_EVERY) {
            Ok(taken) => return Ok(taken),
            Err(RecvTimeoutError::Timeout) if !stop.load(Ordering::Acquire) => {}
            Err(_) => return Err(Ended),
        }
    }
}

/// Logs everything that is wrong.
pub fn tell(refused: &Refused) {
    let findings = refused.findings();
    for Finding { place, code, why, hint } in findings.iter().take(TOLD_MAX) {
        tracing::error!(place, code, why, hint, "the rules cannot be used");
    }
    if findings.len() > TOLD_MAX {
        tracing::error!(findings = findings.len(), "only the first of them are told");
    }
}

/// Keeps a copy of rules that are in force. That it cannot be kept is no reason to end.
pub fn keep(last_good: &LastGood, hash: &str, files: &[(String, Arc<crate::ruleset::diagnostic::SourceFile>)]) {
    if let Err(error) = last_good.keep(hash, files) {
        tracing::warn!(%error, "no copy of the rules is kept for a start at which those in the folder are broken");
    }
}

/// When the files of lists were last changed, where the system says.
pub fn ages(lists: Vec<(String, PathBuf)>) -> Vec<(String, i64)> {
    lists.into_iter().filter_map(|(list, path)| Some((list, clock::modified_ms(&path)?))).collect()
}
