//! How a run goes on where the last one ended: what is judged again, what of it is out already, and where sources go on.
//!
//! The folder says up to where inputs were judged, the groups up to where outputs are committed. Between the two lies what is
//! judged and written again; what the groups have beyond the folder nobody can count any more, and is refused unless the
//! operator wants it so. Tested in `tests/exactly_once.rs`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::engine::{EngineOptions, wanted_after};
use crate::ruleset::Premises;
use crate::ruleset::load::{Files, load_under};
use crate::ruleset::program::RuleSet;
use crate::signals::{SignalConfig, Wanted};
use crate::stream::StreamError;
use crate::stream::checkpoint::{self, CheckpointError, Companion, Found};
use crate::stream::journal::{PlaceName, Scan, Stored};
use crate::stream::kafka::{PartitionName, SourceOptions, committed_places};
use crate::stream::pipeline::{Replay, ReplayPlace};

/// What to do where rules of before cannot be read.
const RULES_HINT: &str = "start once with the configuration of before, end it, and change it then";

/// Rule sets by their hash.
type RuleSets = BTreeMap<String, Arc<RuleSet>>;

/// What a folder says of its last run.
pub struct Past {
    /// Where the inputs of the checkpoint end; partitions that came after it are there too, without a place.
    pub companion: Companion,
    /// By partition: where its records end that were judged; those of the journal with them.
    judged_to: Vec<Option<u64>>,
    /// By partition: the first of its records in the journal.
    first: Vec<Option<u64>>,
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
}

impl Past {
    fn read(folder: &Path, companion: Option<&Companion>) -> Result<Past, CheckpointError> {
        let companion = companion.cloned().unwrap_or_default();
        let mut past = Past {
            judged_to: companion.places.iter().map(|(_, next)| *next).collect(),
            first: vec![None; companion.places.len()],
            has_inputs: false,
            lines_out_below: 0,
            hash: companion.hash.clone(),
            took_over: Vec::new(),
            scan: Scan::default(),
            companion,
        };
        let position = past.companion.position;
        let scan = Scan::of(folder, position, |(_, entry)| {
            past.note(entry);
            Ok(())
        })?;
        Ok(Past { scan, ..past })
    }

    fn note(&mut self, entry: Stored) {
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
    folder: &Path,
    rules: &Arc<RuleSet>,
    options: &EngineOptions,
    premises: &Premises,
) -> Result<(Found, Past), CheckpointError> {
    let mut past = None;
    let mut rules_of = |companion: Option<&Companion>| {
        let found = Past::read(folder, companion)?;
        let of_then = companion.filter(|of| found.has_inputs && of.hash != rules.hash && !of.files.is_empty());
        past = Some(found);
        match of_then {
            Some(of) => rule_set(&of.hash, &of.files, premises)
                .map_err(|detail| CheckpointError::Rules { folder: folder.to_owned(), detail }),
            None => Ok(Arc::clone(rules)),
        }
    };
    let found = checkpoint::load(folder, &mut rules_of, options)?;
    let past = match (past, &found.loaded) {
        (Some(past), Some(_)) => past,
        _ => Past::read(folder, None)?,
    };
    Ok((found, past))
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

/// Where and how a run goes on.
pub struct Plan {
    /// What is judged again before anything new.
    pub replay: Option<Replay>,
    /// By the name of the source: where its partitions go on.
    pub resume: BTreeMap<String, Vec<(PartitionName, u64)>>,
    /// Places that the group has committed, and that are taken for the end of what is known.
    pub adopted: Vec<(PlaceName, u64)>,
    /// What is derived once everything was judged again.
    pub wanted: Wanted,
    /// What people should know.
    pub notes: Vec<String>,
}

/// What a source's topics are read with.
pub struct Topics {
    /// The index of its reader.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// How they are read.
    pub options: SourceOptions,
    /// Whether what was judged before is counted as history, where nothing is known.
    pub has_history: bool,
}

/// Outputs were committed that the state knows nothing of.
pub struct Unknown {
    /// What is missing, in words.
    pub what: String,
}

/// Why there is no plan.
pub enum NoPlan {
    /// Outputs were committed that the state knows nothing of.
    Unknown(Unknown),
    /// A cluster, or rules of before.
    Stream(StreamError),
}

impl From<StreamError> for NoPlan {
    fn from(error: StreamError) -> NoPlan {
        NoPlan::Stream(error)
    }
}

/// Compares what is known with what is committed. `accept`: what is committed and not known is passed over.
///
/// # Errors
///
/// [`NoPlan`].
pub fn plan(
    past: &Past,
    topics: &[Topics],
    accept: bool,
    (wanted, premises, signals): (Wanted, &Premises, &SignalConfig),
) -> Result<Plan, NoPlan> {
    let mut plan = Plan { replay: None, resume: BTreeMap::new(), adopted: Vec::new(), wanted, notes: Vec::new() };
    let mut out_below = vec![u64::MAX; past.companion.places.len()];
    for source in topics {
        for (name, committed) in committed_places(&source.options)? {
            let place = PlaceName { source: source.name.clone(), topic: name.topic.clone(), partition: name.partition };
            let number = past.companion.places.iter().position(|(known, _)| *known == place);
            let goes_on = match (number.and_then(|number| past.judged_to[number]), committed.filter(|of| *of > 0)) {
                (None, None) => None,
                (None, Some(committed)) if accept || source.has_history && past.companion.places.is_empty() => {
                    plan.adopted.push((place, committed));
                    None
                }
                (Some(judged), Some(committed)) if committed > judged && accept => {
                    plan.adopted.push((place, committed));
                    Some(committed)
                }
                (judged, Some(committed)) if judged.is_none_or(|judged| committed > judged) => {
                    return Err(NoPlan::Unknown(Unknown { what: unknown(&place, &source.options, judged, committed) }));
                }
                (judged, committed) => {
                    let number = number.unwrap_or_default();
                    let from = past.companion.places[number].1.or(past.first[number]);
                    match (committed, from) {
                        (Some(committed), Some(from)) if committed < from => {
                            let what = "places of its group were set back: what is known comes again, as a repeat";
                            plan.notes.push(format!("{}/{}: {what}", place.topic, place.partition));
                            Some(committed)
                        }
                        _ => {
                            out_below[number] = committed.unwrap_or(0);
                            judged
                        }
                    }
                }
            };
            if let Some(offset) = goes_on {
                plan.resume.entry(source.name.clone()).or_default().push((name, offset));
            }
        }
    }
    if past.has_inputs {
        plan.replay = Some(replay(past, topics, out_below, &mut plan.wanted, (premises, signals))?);
    }
    Ok(plan)
}

fn unknown(place: &PlaceName, options: &SourceOptions, judged: Option<u64>, committed: u64) -> String {
    let at = format!("{}/{}", place.topic, place.partition);
    let group = &options.group;
    match judged {
        Some(judged) => {
            format!("group {group} has committed {at} up to {committed}, and the state knows it up to {judged}")
        }
        None => format!("group {group} has committed {at} up to {committed}, and the state knows nothing of it"),
    }
}

fn replay(
    past: &Past,
    topics: &[Topics],
    out_below: Vec<u64>,
    wanted: &mut Wanted,
    (premises, signals): (&Premises, &SignalConfig),
) -> Result<Replay, StreamError> {
    let begins = *wanted;
    let mut sets = RuleSets::new();
    for (hash, files) in &past.took_over {
        if !sets.contains_key(hash) {
            let set =
                rule_set(hash, files, premises).map_err(|detail| StreamError::Recovery { detail, hint: RULES_HINT })?;
            sets.insert(hash.clone(), set);
        }
        *wanted = wanted_after(*wanted, &sets[hash]);
    }
    let places = past.companion.places.iter().zip(&past.first).zip(out_below);
    let places =
        places.map(|(((name, _), first), out_below)| ReplayPlace { name: name.clone(), first: *first, out_below });
    Ok(Replay {
        entries: past.scan.again(past.companion.position),
        places: places.collect(),
        lines_out_below: past.lines_out_below,
        topics: topics.iter().map(|source| (source.index, source.options.clone())).collect(),
        wanted: begins,
        signals: signals.clone(),
        rules_of: Box::new(move |hash, _| {
            let known = sets.get(hash).cloned();
            let detail = format!("rules {hash} are not known");
            known.ok_or(StreamError::Recovery { detail, hint: RULES_HINT })
        }),
    })
}
