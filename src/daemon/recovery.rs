//! How a run goes on where the last one ended: what is judged again, what of it is out already, and where sources go on.
//!
//! The folder says up to where inputs were judged, the groups up to where outputs are committed. Between the two lies what is
//! judged and written again; what the groups have beyond the folder nobody can count any more, and is refused unless the
//! operator wants it so. It knows no configuration: what it needs comes as values, so that a test with a disk and a log of its
//! own starts as the daemon does. Tested in `tests/sim.rs` and `tests/exactly_once.rs`.

mod plan;
mod settle;

pub use plan::{NoPlan, Plan, Topics, Unknown, begins, plan};
pub use settle::{Handing, NotSettled, keeper, settle_in};

use std::sync::Arc;

use crate::engine::{Engine, EngineOptions};
use crate::ruleset::Premises;
use crate::ruleset::load::{Files, load_under};
use crate::ruleset::program::RuleSet;
use crate::stream::checkpoint::{self, CheckpointError, Companion, Found, Loaded, Seals};
use crate::stream::disk::Folder;
use crate::stream::journal::{Scan, Stored};

/// What a folder says of its last run.
pub struct Past {
    /// Where the inputs of the checkpoint end; partitions that came after it are there too, without a place.
    pub companion: Companion,
    /// By partition: where its records end that were judged; those of the journal with them.
    judged_to: Vec<Option<u64>>,
    /// By partition: the first of its records in the journal.
    first: Vec<Option<u64>>,
    /// Its runs of records: the entry, the partition, and the first record.
    runs: Vec<(u64, u32, u64)>,
    /// Whether the journal has inputs behind the checkpoint.
    pub has_inputs: bool,
    /// What came of lines below this entry is out.
    lines_out_below: u64,
    /// The rules in force at its end.
    pub hash: String,
    /// The rule sets that took over, in order.
    took_over: Vec<(String, Vec<(String, String)>)>,
    /// The journal behind the checkpoint.
    pub scan: Scan,
    /// Where it lies.
    folder: Folder,
}

impl Past {
    fn read(folder: &Folder, companion: Option<&Companion>) -> Result<Past, CheckpointError> {
        let companion = companion.cloned().unwrap_or_default();
        let mut past = Past {
            judged_to: companion.places.iter().map(|(_, next)| *next).collect(),
            first: vec![None; companion.places.len()],
            runs: Vec::new(),
            has_inputs: false,
            lines_out_below: 0,
            hash: companion.hash.clone(),
            took_over: Vec::new(),
            scan: Scan::default(),
            folder: folder.clone(),
            companion,
        };
        let position = past.companion.position;
        let scan = Scan::of(folder, position, |(number, entry)| {
            past.note(number, entry);
            Ok(())
        })?;
        Ok(Past { scan, ..past })
    }

    fn note(&mut self, entry_number: u64, entry: Stored) {
        match entry {
            Stored::Place(number, name) => {
                let number = number as usize;
                debug_assert!(number >= self.companion.places.len(), "a partition is named once");
                self.companion.places.push((name, None));
                self.judged_to.push(None);
                self.first.push(None);
            }
            Stored::Records { runs, .. } => {
                self.has_inputs = true;
                for run in runs {
                    self.runs.push((entry_number, run.place, run.first));
                    let place = run.place as usize;
                    if let (Some(first), Some(next)) = (self.first.get_mut(place), self.judged_to.get_mut(place)) {
                        first.get_or_insert(run.first);
                        *next = Some(run.next);
                    }
                }
            }
            Stored::Lines { .. } => self.has_inputs = true,
            Stored::Rules { hash, files } => {
                self.hash.clone_from(&hash);
                self.took_over.push((hash, files));
            }
            Stored::Written(number) => self.lines_out_below = number,
        }
    }
}

/// Reads the newest whole checkpoint of a folder, and what its journal has behind it. What is judged again is judged by the
/// rules of then, so the engine begins with these.
///
/// # Errors
///
/// As [`checkpoint::load`]; a damaged journal.
pub fn read(
    folder: &Folder,
    rules: &Arc<RuleSet>,
    (options, seals): (&EngineOptions, &Seals),
    premises: &Premises,
) -> Result<(Found, Past), CheckpointError> {
    let mut past = None;
    let mut rules_of = |companion: Option<&Companion>| {
        let found = Past::read(folder, companion)?;
        let of_then = companion.filter(|of| found.has_inputs && of.hash != rules.hash && !of.files.is_empty());
        past = Some(found);
        match of_then {
            Some(of) => rule_set(&of.hash, &of.files, premises)
                .map_err(|detail| CheckpointError::Rules { folder: folder.path().to_owned(), detail }),
            None => Ok(Arc::clone(rules)),
        }
    };
    let found = checkpoint::load(folder, &mut rules_of, options, seals)?;
    let past = match (past, &found.loaded) {
        (Some(past), Some(_)) => past,
        _ => Past::read(folder, None)?,
    };
    Ok((found, past))
}

/// What a folder holds, or nothing yet.
pub struct Known {
    /// The engine.
    pub engine: Engine,
    /// Where the inputs of its checkpoint end; `None`: there is none, or it does not say.
    pub newest: Option<u64>,
    /// The alerts that are open.
    pub alerts: Vec<Vec<u8>>,
}

/// What a folder holds, or an empty engine.
pub fn known(loaded: Option<Loaded>, rules: &Arc<RuleSet>, options: &EngineOptions) -> Known {
    let Some(mut loaded) = loaded else {
        let engine = Engine::new(Arc::clone(rules), options.clone());
        return Known { engine, newest: None, alerts: Vec::new() };
    };
    if loaded.companion.is_none() {
        // Nobody knows which partitions its numbers stand for.
        loaded.engine.revoke_all();
    }
    let newest = loaded.companion.map(|companion| companion.position);
    Known { engine: loaded.engine, newest, alerts: loaded.alerts }
}

/// The files of a rule set, in memory.
struct Kept<'a>(&'a [(String, String)]);

impl Files for Kept<'_> {
    fn packs(&self) -> Result<Vec<String>, String> {
        let is_pack =
            |path: &&String| !path.starts_with("lists/") && (path.ends_with(".yaml") || path.ends_with(".yml"));
        Ok(self.0.iter().map(|(path, _)| path).filter(is_pack).cloned().collect())
    }

    fn read(&self, path: &str, _max_bytes: u64) -> Result<Vec<u8>, String> {
        let found = self.0.iter().find(|(known, _)| known == path);
        found.map(|(_, text)| text.clone().into_bytes()).ok_or_else(|| "it was not kept".to_owned())
    }
}

fn rule_set(hash: &str, files: &[(String, String)], premises: &Premises) -> Result<Arc<RuleSet>, String> {
    let loaded = load_under(&Kept(files), premises).map_err(|found| {
        found.first().map_or_else(String::new, |first| format!("{}: {}", first.place(), first.message))
    })?;
    if loaded.set.hash == hash {
        Ok(Arc::new(loaded.set))
    } else {
        Err(format!("rules {hash} are {} when they are read again", loaded.set.hash))
    }
}
