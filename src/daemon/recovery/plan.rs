//! Compares what a state knows with what its groups have committed: what is judged again, what of it is out, where sources go on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Past, rule_set};
use crate::engine::wanted_after;
use crate::ruleset::Premises;
use crate::ruleset::program::RuleSet;
use crate::signals::{SignalConfig, Wanted};
use crate::stream::StreamError;
use crate::stream::journal::PlaceName;
use crate::stream::kafka::PartitionName;
use crate::stream::log::Log;
use crate::stream::pipeline::{Replay, ReplayPlace};

/// What to do where rules of before cannot be read.
const RULES_HINT: &str = "start once with the configuration of before, end it, and change it then";

/// Rule sets by their hash.
type RuleSets = BTreeMap<String, Arc<RuleSet>>;

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

/// The topics of a source.
pub struct Topics {
    /// The index of its reader.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Where they are.
    pub log: Arc<dyn Log>,
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
        for (name, committed) in source.log.committed()? {
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
                    return Err(NoPlan::Unknown(Unknown {
                        what: unknown(&place, source.log.group(), judged, committed),
                    }));
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

/// Refuses to begin with a state that has seen nothing where groups have committed places.
///
/// # Errors
///
/// [`NoPlan`].
pub fn begins(topics: &[Topics]) -> Result<(), NoPlan> {
    for source in topics {
        for (name, committed) in source.log.committed()? {
            if let Some(committed) = committed.filter(|of| *of > 0) {
                let place = PlaceName { source: source.name.clone(), topic: name.topic, partition: name.partition };
                return Err(NoPlan::Unknown(Unknown { what: unknown(&place, source.log.group(), None, committed) }));
            }
        }
    }
    Ok(())
}

fn unknown(place: &PlaceName, group: &str, judged: Option<u64>, committed: u64) -> String {
    let at = format!("{}/{}", place.topic, place.partition);
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
    // Outputs leave in the order of the journal: what lies before records whose outputs are out is out.
    let is_out = |(_, place, first): &&(u64, u32, u64)| out_below.get(*place as usize).is_some_and(|out| first < out);
    let marks_out_below = past.runs.iter().rev().find(is_out).map_or(0, |(entry, ..)| *entry);
    let places = past.companion.places.iter().zip(&past.first).zip(out_below);
    let places =
        places.map(|(((name, _), first), out_below)| ReplayPlace { name: name.clone(), first: *first, out_below });
    Ok(Replay {
        entries: past.scan.again(&past.folder, past.companion.position),
        places: places.collect(),
        lines_out_below: past.lines_out_below,
        marks_out_below,
        topics: topics.iter().map(|source| (source.index, Arc::clone(&source.log))).collect(),
        wanted: begins,
        signals: signals.clone(),
        rules_of: Box::new(move |hash, _| {
            let known = sets.get(hash).cloned();
            let detail = format!("rules {hash} are not known");
            known.ok_or(StreamError::Recovery { detail, hint: RULES_HINT })
        }),
    })
}
