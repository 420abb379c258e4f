//! The machine: a deterministic state machine from events to verdicts, without I/O, clock, thread or log.
//!
//! An event passes the steps plan, apply and decide, each over a chunk of events; what is derived from the event alone
//! comes in beside it. The module knows `event`, `signals`' rows, `ruleset` and `state`. Invariants: the same inputs in
//! the same order give the same judgements and the same state, whatever the batch size; a repeat changes nothing; a late
//! event feeds nothing. Tested in `tests/engine.rs` (batch sizes, repeats, decisions) and by the oracle in
//! `tests/oracle_engine.rs`.

mod account;
mod acts;
mod ask;
mod backfill;
mod bounded;
mod breaker;
mod calendar;
mod checkpoint;
mod chunk;
mod clock;
mod decide;
mod decisions;
mod dossier;
mod erasure;
mod explain;
mod export;
mod facts;
mod holds;
mod judgement;
mod lift;
mod machine;
mod managed;
mod overrides;
mod parts;
mod plan;
mod policy;
mod programs;
mod quotas;
mod record;
mod recorded;
mod referrers;
mod reload;
mod remembered;
mod reviews;
mod rule_text;
mod said;
mod shared;
mod standing;
mod subject;
mod tally;
mod waiting;
mod watch;
mod why;

pub use acts::ActOutcome;
pub use backfill::{Backfill, Backfilled, Filling};
pub use bounded::{beginning, bounded_text};
pub use breaker::{BREAKER_MATCHES_MIN, BreakerOpening};
pub use checkpoint::{CheckpointStep, RestoreError, Restored, Restoring, Survey, SurveyedPart, Surveying};
pub use clock::{Clock, Moment};
pub use decide::{derived_id, program_name};
pub use decisions::{
    ActiveSet, DecidedBy, DecisionCause, DecisionReach, DecisionRecord, Decisions, InForce, LogPage, LoggedRecord,
    effective, encoded_part,
};
pub use dossier::{Dossier, KeptFeature, KnownFact};
pub use explain::{
    DecisionExplained, Explanation, FeatureExplained, RuleEnd, RuleExplained, ShadowCause, Watched, Witnessed,
};
pub use export::Exported;
pub use holds::{HeldEvent, Hold, HoldDecision, HoldEnd, HoldName, HoldParty, HoldRule, HoldState, Holds, hold_number};
pub use judgement::{Changed, Judgement, Judgements, Outcome, Piece, Raised, TimePassed};
pub use lift::LiftCount;
pub use machine::{Engine, EngineOptions};
pub use managed::{EntryRefused, ManagedView};
pub use overrides::{Override, OverridesWanted};
pub use parts::{FeatureSize, StateSize};
pub use policy::{Policy, ProgramPolicy, Rates, Thresholds};
pub use quotas::{EventQuota, QUOTAS_MAX, Quota, QuotaChange, QuotaOf, QuotaUse};
pub use record::write_verdict;
pub use reload::{begins_to_remember, wanted_after};
pub use reviews::{HoldsWanted, ReviewPlace};
pub use said::Said;
pub use shared::{Applied, Change, Next, Origin, RecordKind, RecordName, SharedChunk, SharedTable, Terms};
pub use standing::{Standing, StandingWanted};
pub use tally::Tally;
pub use watch::SaturationChange;
pub use why::Why;
