//! What only the engine knows, handed to scrapes without a lock on its path.
//!
//! A scrape asks by raising a flag; the engine's thread looks at the flag between two batches, and leaves a copy. So the
//! engine pays for a scrape once, and nothing else. One copy is left before the first batch and one after the last, so that
//! there is always something to show. That a breaker has opened, or a part of the state or a quota is full, is logged here, once. Invariant: a copy is of one moment
//! between two batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::engine::{BreakerOpening, Engine, QuotaChange, QuotaOf, QuotaUse, SaturationChange, StateSize, Tally};
use crate::event::{Mode, Verdict};
use crate::ruleset::program::RuleSet;
use crate::state::Limit;
use crate::stream::pipeline::Probe;

/// The engine between two batches.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The rule set in force.
    pub rules: Arc<RuleSet>,
    /// What was counted, by place in the rule set.
    pub tally: Tally,
    /// Sizes of the state, features in the order of the rule set.
    pub size: StateSize,
    /// Which features have seen a whole window, in the same order.
    pub complete: Vec<bool>,
    /// The rules with a breaker, by place, each with the number of programs in which it is open.
    pub breakers: Vec<(usize, usize)>,
    /// How far the quotas of programs are used.
    pub quotas: Vec<QuotaUse>,
    /// How many subjects stand under each verdict, by `Verdict as usize`.
    pub decisions: [usize; Verdict::ALL.len()],
    /// How many holds are open, how many of them overdue, and how many were not made.
    pub holds: [u64; 3],
}

impl Snapshot {
    fn of(engine: &mut Engine) -> Snapshot {
        Snapshot {
            size: engine.size(),
            rules: Arc::clone(engine.rules()),
            tally: engine.tally().clone(),
            complete: engine.complete_features().collect(),
            breakers: engine.open_breakers().collect(),
            quotas: engine.quota_uses(),
            decisions: engine.decisions().active_by_verdict(),
            holds: [engine.holds().open() as u64, engine.holds().overdue() as u64, engine.holds().refused()],
        }
    }

    /// The rules that are not off, each with its matches (enforced, in shadow) and errors.
    pub(super) fn rules(&self) -> impl Iterator<Item = (&str, ([u64; 2], u64))> {
        let counts = self.tally.rule_matches.iter().copied().zip(self.tally.rule_errors.iter().copied());
        let rules = self.rules.rules.iter().zip(counts).filter(|(rule, _)| rule.mode != Mode::Off);
        rules.map(|(rule, counts)| (rule.id.as_str(), counts))
    }
}

/// Where scrapes and the engine's thread meet.
#[derive(Debug)]
pub(super) struct Exchange {
    wanted: AtomicBool,
    /// The engine's thread has ended: the last copy stays true.
    ended: AtomicBool,
    latest: watch::Sender<Option<Arc<Snapshot>>>,
}

impl Default for Exchange {
    fn default() -> Exchange {
        Exchange { wanted: AtomicBool::new(false), ended: AtomicBool::new(false), latest: watch::Sender::new(None) }
    }
}

impl Exchange {
    /// Asks for a fresh snapshot and waits until it is there, but not for ever: a machine that is held back by a sink
    /// does not look. One that has ended has left its last.
    pub(super) async fn ask(&self, patience: Duration) {
        if self.ended.load(Ordering::Acquire) {
            return;
        }
        let mut fresh = self.latest.subscribe();
        self.wanted.store(true, Ordering::Release);
        drop(tokio::time::timeout(patience, fresh.changed()).await);
    }

    /// The last snapshot.
    pub(super) fn latest(&self) -> Option<Arc<Snapshot>> {
        self.latest.borrow().clone()
    }
}

/// Errors, since somebody has to act; the end as well, so that who was woken by one sees the other.
fn tell_saturation(change: &SaturationChange) {
    let SaturationChange { part, limit, bytes, state_bytes } = change;
    match limit {
        Limit::None => tracing::error!(part, bytes, state_bytes, "has room again: new keys are counted"),
        Limit::Keys => tracing::error!(
            part,
            bytes,
            state_bytes,
            "the state is near `state.max_bytes`: this part takes no new keys, and what it refuses reads as not exact"
        ),
        Limit::Busy | Limit::Memory => tracing::error!(
            part,
            bytes,
            state_bytes,
            keys = if *limit == Limit::Busy { "busy" } else { "all" },
            "the state is near `state.max_bytes`: keys of this part that would need more memory are not exact from here on"
        ),
    }
}

/// Errors like those of saturation.
fn tell_quota(change: &QuotaChange) {
    let QuotaChange { program, of, refuses } = change;
    // A name that could be one of a program does not stand for those that have none.
    let program = program.as_deref().unwrap_or("(not configured)");
    let quota = of.name();
    match (refuses, of) {
        (false, _) => tracing::error!(program, quota, "a quota refuses nothing any more"),
        (true, QuotaOf::Events) => tracing::error!(
            program,
            quota,
            "a program sends more events than its quota: those past it are judged, and counted nowhere"
        ),
        (true, QuotaOf::Keys | QuotaOf::Bytes) => tracing::error!(
            program,
            quota,
            "a program fills its quota: what would take more is not counted, and reads as not exact"
        ),
    }
}

/// Looks into the engine when a scrape asks; costs one load of a flag when none does.
#[derive(Debug)]
pub struct EngineProbe {
    exchange: Arc<Exchange>,
}

impl EngineProbe {
    pub(super) fn new(exchange: Arc<Exchange>) -> EngineProbe {
        EngineProbe { exchange }
    }

    /// Leaves a copy, whether or not a scrape has asked: before the engine's thread starts.
    pub fn show(&mut self, engine: &mut Engine) {
        self.exchange.latest.send_replace(Some(Arc::new(Snapshot::of(engine))));
    }
}

impl Probe for EngineProbe {
    fn look(&mut self, engine: &mut Engine) {
        for BreakerOpening { rule, program, at_ms } in engine.take_breaker_openings() {
            tracing::warn!(
                rule,
                program,
                at_ms,
                "a breaker has opened: the rule matched too much, and counts for less"
            );
        }
        engine.take_saturation_changes().iter().for_each(tell_saturation);
        engine.take_quota_changes().iter().for_each(tell_quota);
        let wanted = &self.exchange.wanted;
        if wanted.load(Ordering::Relaxed) && wanted.swap(false, Ordering::AcqRel) {
            self.show(engine);
        }
    }

    fn end(&mut self, engine: &mut Engine) {
        self.show(engine);
        self.exchange.ended.store(true, Ordering::Release);
    }
}
