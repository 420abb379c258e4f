//! The keeper of a run's state, and what must be kept before anything is judged.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;

use super::Failure;
use crate::daemon::clock;
use crate::daemon::config::Config;
use crate::daemon::recovery::{Past, Plan};
use crate::daemon::reload::Reloader;
use crate::engine::{Engine, wanted_after};
use crate::ruleset::program::RuleSet;
use crate::stream::checkpoint::Companion;
use crate::stream::copies::Due;
use crate::stream::journal::Journal;
use crate::stream::pipeline::{KeepOptions, Keeper, Reload};

/// Goes on with the journal of the last run; `ship_from` is the first entry that a topic does not have, `copies` who is told of
/// checkpoints.
///
/// # Errors
///
/// What the disk says.
pub(super) fn begin(
    config: &Config,
    past: Past,
    newest: Option<u64>,
    (ship_from, copies): (Option<u64>, Option<Sender<Due>>),
) -> Result<Keeper, Failure> {
    let folder = config.state.path.clone();
    let journal = Arc::new(Journal::open(&folder, &past.scan)?);
    if let Some(from) = ship_from {
        journal.ship(&past.scan, from)?;
    }
    let options = KeepOptions {
        folder,
        interval: Duration::from_millis(config.state.checkpoint_interval.0.unsigned_abs()),
        wall_clock_ms: clock::wall_clock_ms,
        monotonic: clock::monotonic,
        copies,
    };
    let companion = if past.has_inputs {
        past.companion
    } else {
        Companion { position: past.scan.next(), hash: past.hash, ..past.companion }
    };
    Ok(Keeper::new(options, journal, companion, newest))
}

/// Keeps what the journal does not say: history that was counted, places that were taken over, other rules, sources that are
/// gone.
///
/// # Errors
///
/// What the disk says, or the signals.
pub(super) fn settle_in(
    config: &Config,
    keeper: &mut Keeper,
    engine: &mut Engine,
    plan: &Plan,
    (rules, texts): (Arc<RuleSet>, Vec<(String, String)>),
    counted: bool,
    reloader: &mut Reloader,
) -> Result<(), Failure> {
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
        let (reload, _) = Reload::new(rules, wanted, &reloader.signals, reloader.readers)?;
        reloader.wanted = wanted;
        // The other end lives as long as this one.
        drop(reloader.hand_over.send(reload.with_files(texts).unless_in_force()));
        return Ok(());
    }
    keeper.take_rules(&rules.hash, texts)?;
    let gone = keeper.gone(|place| {
        let source = config.sources.get(&place.source);
        source.is_some_and(|source| match &source.kafka {
            Some(kafka) => kafka.topics.contains(&place.topic),
            None => place.topic.is_empty(),
        })
    });
    gone.iter().for_each(|place| engine.revoke(*place));
    if counted || !plan.adopted.is_empty() || !gone.is_empty() {
        keeper.finish(engine)?;
    }
    Ok(())
}
