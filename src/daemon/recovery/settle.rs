//! The keeper of a run's state, and what must be kept before anything is judged.

use std::sync::Arc;

use crossbeam_channel::Sender;

use super::{Past, Plan};
use crate::engine::{Engine, wanted_after};
use crate::ruleset::program::RuleSet;
use crate::signals::{SignalConfig, SignalError, Wanted};
use crate::stream::StreamError;
use crate::stream::checkpoint::{CheckpointError, Companion};
use crate::stream::journal::{Journal, PlaceName};
use crate::stream::pipeline::{KeepOptions, Keeper, Reload};

/// Why what must be kept is not.
#[derive(Debug, thiserror::Error)]
pub enum NotSettled {
    /// The disk, for the journal.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The disk, for a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Signals refuse what is configured for them.
    #[error(transparent)]
    Signals(#[from] SignalError),
}

/// How rules are handed to the engine's thread.
pub struct Handing<'a> {
    /// What signals need.
    pub signals: &'a SignalConfig,
    /// How many readers there are.
    pub readers: usize,
    /// Where they go.
    pub hand_over: &'a Sender<Reload>,
}

/// Goes on with the journal of the last run. `newest`: where the inputs of the newest checkpoint end; `alerts`:
/// those that are open there.
///
/// # Errors
///
/// What the disk says.
pub fn keeper(
    options: KeepOptions,
    past: Past,
    newest: Option<u64>,
    alerts: Vec<Vec<u8>>,
) -> Result<Keeper, CheckpointError> {
    let journal = Arc::new(Journal::open(&options.folder, &past.scan)?);
    if let Some(from) = options.ship_from {
        journal.ship(&past.scan, from)?;
    }
    let companion = if past.has_inputs {
        past.companion
    } else {
        // Nothing is judged again, so that nothing that is known waits to be told.
        journal.settle(past.scan.next());
        Companion { position: past.scan.next(), hash: past.hash, ..past.companion }
    };
    Ok(Keeper::new(options, journal, companion, newest, alerts))
}

/// Keeps what the journal does not say: history that was counted, places that were taken over, other rules, sources that are
/// gone. Rules take over later where something is judged again first; then it answers what is derived from there on.
///
/// # Errors
///
/// [`NotSettled`].
pub fn settle_in(
    keeper: &mut Keeper,
    engine: &mut Engine,
    plan: &Plan,
    (rules, texts): (Arc<RuleSet>, Vec<(String, String)>),
    counted: bool,
    is_read: impl Fn(&PlaceName) -> bool,
    handing: &Handing<'_>,
) -> Result<Option<Wanted>, NotSettled> {
    for (place, committed) in &plan.adopted {
        tracing::warn!(
            topic = place.topic,
            partition = place.partition,
            committed,
            "what was judged before is not known"
        );
        keeper.adopt(place.clone(), *committed)?;
    }
    if plan.replay.is_some() {
        // The rules of today take over once what was judged by those of then was judged again.
        let wanted = wanted_after(plan.wanted, &rules);
        let (reload, _) = Reload::new(rules, wanted, handing.signals, handing.readers)?;
        // The other end lives as long as this one.
        drop(handing.hand_over.send(reload.with_files(texts).unless_in_force()));
        return Ok(Some(wanted));
    }
    keeper.take_rules(&rules.hash, texts)?;
    let gone = keeper.gone(is_read);
    gone.iter().for_each(|place| engine.revoke(*place));
    if counted || !plan.adopted.is_empty() || !gone.is_empty() {
        keeper.finish(engine)?;
    }
    Ok(None)
}
