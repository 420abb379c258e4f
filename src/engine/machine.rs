//! The state machine: batches of events in, judgements out.

use std::ops::Range;
use std::sync::Arc;

use super::account::AccountMemory;
use super::breaker::{BreakerOpening, Breakers};
use super::checkpoint::Cut;
use super::chunk::{ByReferral, Chunk, Entry, Ground};
use super::clock::Clock;
use super::decide::{Decider, Scratch, program_name};
use super::decisions::{Decisions, LogPage, Observed};
use super::erasure::up_to_erasure;
use super::explain::Watch;
use super::holds::Holds;
use super::judgement::{Judgement, Judgements, Outcome, TimePassed};
use super::managed::ManagedLists;
use super::parts::{Parts, StateSize};
use super::plan::{Plan, window_spec};
use super::policy::Policy;
use super::programs::Programs;
use super::quotas::{QuotaChange, QuotaUse, Quotas};
use super::recorded::Recorded;
use super::remembered::Remembered;
use super::shared::{Origin, Sharing};
use super::tally::Tally;
use super::waiting::Waiting;
use super::watch::{MemoryWatch, SaturationChange};
use crate::event::{Event, EventBatch, Field, Signals};
use crate::ruleset::cel::Facts;
use crate::ruleset::program::RuleSet;
use crate::signals::{SubjectReader, Wanted};
use crate::state::{Dedup, FeatureTable, HashKey, Identity, KeyHash, KeyHasher, Scalar, Sighting};

/// How many events are planned and applied together. A feature has an operation in one event of two to ten: so many fill
/// the passes of its table, within which the waits for memory overlap.
pub(super) const CHUNK_EVENTS: usize = 256;
/// After how many events idle keys are swept and memory is measured: at fixed places of the log, so that what a batch
/// is cut into changes nothing.
const UPKEEP_EVENTS: u64 = 1024;
/// How many slots of a table are looked at then, however few keys came in: idle keys leave in the end.
const SWEEP_SLOTS_LEAST: usize = 64;
/// And how many more for each key that came in since: a table is looked through once while it grows by a half, so it holds
/// at most half again as many keys as are active.
const SWEEP_SLOTS_PER_NEW_KEY: usize = 2;

/// What holds take of the bound of memory, at most: one part in so many.
const HOLDS_SHARE: usize = 16;

/// What the operator decides about an engine.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The secret under which identifiers are hashed.
    pub hash_key: HashKey,
    /// How much older than the watermark an event may be and still be counted, in milliseconds.
    pub allowed_lateness_ms: i64,
    /// How long identities are remembered, in milliseconds of event time.
    pub dedup_span_ms: i64,
    /// How many identities are remembered at most.
    pub dedup_max_entries: u32,
    /// How many entries a key keeps where its feature does not say.
    pub max_entries: u32,
    /// How long facts about accounts are kept after an account's last event, in milliseconds.
    pub retention_ms: i64,
    /// Bound of the memory of windows, identities and decisions, in bytes.
    pub state_max_bytes: usize,
    /// How many bytes of what verdicts rested on are kept, for [`Engine::why`]; 0: none.
    pub evidence_bytes: usize,
    /// Rollout counts as 100 %, nothing expires, no breaker opens, and programs have no quotas: for the tests inside rule files.
    pub every_rule_in_force: bool,
    /// Whether changes of decisions are written down, and not only counted.
    pub tells_decisions: bool,
    /// How long a hold waits for a review where no rule says otherwise, in milliseconds of event time.
    pub review_within_ms: i64,
    /// Thresholds and programs.
    pub policy: Policy,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        const HOUR_MS: i64 = 3_600_000;
        EngineOptions {
            hash_key: HashKey([0; 16]),
            allowed_lateness_ms: HOUR_MS,
            dedup_span_ms: 24 * HOUR_MS,
            dedup_max_entries: 50_000_000,
            max_entries: 4096,
            retention_ms: 400 * 24 * HOUR_MS,
            state_max_bytes: 4 << 30,
            evidence_bytes: 0,
            every_rule_in_force: false,
            tells_decisions: false,
            review_within_ms: 7 * 24 * HOUR_MS,
            policy: Policy::default(),
        }
    }
}

/// The deterministic state machine. The same inputs in the same order give the same judgements, whatever they were
/// batched into.
#[derive(Debug)]
pub struct Engine {
    pub(super) rules: Arc<RuleSet>,
    pub(super) plan: Plan,
    pub(super) policy: Policy,
    pub(super) every_rule_in_force: bool,
    /// How many entries a key keeps where its feature does not say.
    pub(super) max_entries: u32,
    /// How long facts about accounts are kept, in milliseconds.
    pub(super) retention_ms: i64,
    pub(super) hasher: KeyHasher,
    pub(super) clock: Clock,
    pub(super) programs: Programs,
    pub(super) quotas: Quotas,
    pub(super) accounts: AccountMemory,
    pub(super) waiting: Waiting,
    pub(super) tables: Vec<FeatureTable>,
    pub(super) dedup: Dedup,
    pub(super) remembered: Remembered,
    pub(super) recorded: Recorded,
    pub(super) managed: ManagedLists,
    pub(super) decisions: Decisions,
    pub(super) holds: Holds,
    pub(super) review_within_ms: i64,
    pub(super) watch: MemoryWatch,
    /// By table, those of accounts last: how many keys it had after its last sweep.
    pub(super) swept_keys: Vec<usize>,
    pub(super) breakers: Breakers,
    pub(super) tally: Tally,
    /// How many events were taken in.
    pub(super) sequence: u64,
    /// How many rule sets took the place of one.
    pub(super) reloads: u64,
    /// Event time of the first of them.
    pub(super) started_ms: Option<i64>,
    pub(super) chunk: Chunk,
    pub(super) scratch: Scratch,
    pub(super) spelling: SubjectReader,
    /// Keys that a later look at the same log wants the events of.
    pub(super) watching: Option<Box<Watch>>,
    /// The checkpoint that is under way.
    pub(super) cut: Option<Box<Cut>>,
    /// What is needed to judge over state that several engines share.
    pub(super) sharing: Option<Box<Sharing>>,
}

impl Engine {
    /// An engine with empty state.
    pub fn new(rules: Arc<RuleSet>, options: EngineOptions) -> Engine {
        let plan = Plan::new(&rules);
        let table = |feature| FeatureTable::new(window_spec(feature, options.max_entries));
        let policy = if options.every_rule_in_force { options.policy.without_quotas() } else { options.policy };
        let mut engine = Engine {
            hasher: KeyHasher::new(options.hash_key),
            clock: Clock::new(options.allowed_lateness_ms),
            programs: Programs::default(),
            quotas: Quotas::new(&policy),
            accounts: AccountMemory::new(&plan.accounts, options.retention_ms, options.max_entries),
            waiting: Waiting::new(options.state_max_bytes),
            tables: rules.features.iter().map(table).collect(),
            dedup: Dedup::new(options.dedup_span_ms, options.dedup_max_entries),
            remembered: Remembered::default(),
            recorded: Recorded::new(options.evidence_bytes),
            managed: ManagedLists::new(&rules),
            decisions: Decisions::default(),
            holds: Holds::new(options.state_max_bytes / HOLDS_SHARE, policy.named()),
            review_within_ms: options.review_within_ms,
            watch: MemoryWatch::new(options.state_max_bytes),
            swept_keys: Vec::new(),
            tally: Tally::new(rules.rules.len()),
            sequence: 0,
            reloads: 0,
            started_ms: None,
            chunk: Chunk::default(),
            scratch: Scratch::default(),
            spelling: SubjectReader::default(),
            watching: None,
            cut: None,
            sharing: None,
            breakers: Breakers::new(&rules, options.every_rule_in_force),
            policy,
            every_rule_in_force: options.every_rule_in_force,
            max_entries: options.max_entries,
            retention_ms: options.retention_ms,
            plan,
            rules,
        };
        engine.quotas.open(&mut engine.tables, engine.accounts.tables_mut(), None);
        engine.decisions.keep_log(options.tells_decisions, Observed::of(&engine.policy));
        engine
    }

    /// What must be derived and checked of events for [`Engine::judge`].
    pub fn wanted(&self) -> Wanted {
        Wanted { signals: self.plan.signals, fields: self.rules.fields }
    }

    /// The rule set in force.
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// Event time as far as it is known.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The subjects under a decision.
    pub fn decisions(&self) -> &Decisions {
        &self.decisions
    }

    /// How many events were taken in.
    pub fn taken_in(&self) -> u64 {
        self.sequence
    }

    /// Counts since the engine was made.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The rules that have a breaker, by place, each with the number of programs in which it is open at the watermark.
    pub fn open_breakers(&self) -> impl Iterator<Item = (usize, usize)> {
        self.breakers.open(self.clock.watermark_ms().unwrap_or(i64::MIN))
    }

    /// The breakers that have opened since the last call, the latest hundred, in order.
    pub fn take_breaker_openings(&mut self) -> Vec<BreakerOpening> {
        self.breakers.take_openings()
    }

    /// Which features have seen a whole window by the watermark, in the order of the rule set.
    pub fn complete_features(&self) -> impl Iterator<Item = bool> {
        let reached = self.clock.watermark_ms().zip(self.started_ms);
        self.plan.features.iter().map(move |feature| {
            reached.is_some_and(|(time_ms, started_ms)| {
                feature.is_complete(time_ms.saturating_sub(feature.offset_ms), started_ms)
            })
        })
    }

    /// Sizes of the state, feature by feature.
    pub fn size(&mut self) -> StateSize {
        StateSize::of(&self.parts().0)
    }

    /// The parts of the state that refuse more than before or accept more, since the last call: the latest hundred, in order.
    pub fn take_saturation_changes(&mut self) -> Vec<SaturationChange> {
        self.watch.take_changes()
    }

    /// How far the quotas of programs are used: by program, those that are not configured first.
    pub fn quota_uses(&self) -> Vec<QuotaUse> {
        self.quotas.uses(self.clock.watermark_ms())
    }

    /// The quotas that have begun to refuse, or have ended to, since the last call: the latest hundred, in order.
    pub fn take_quota_changes(&mut self) -> Vec<QuotaChange> {
        self.quotas.take_changes()
    }

    /// Looks at what programs take, and gives their quotas' room.
    pub(super) fn look_at_quotas(&mut self) {
        self.quotas.look(&mut self.tables, self.accounts.tables_mut(), self.clock.watermark_ms());
    }

    /// What the memory of the state is made of, and who watches it.
    fn parts(&mut self) -> (Parts<'_>, &mut MemoryWatch) {
        let parts = Parts {
            rules: &self.rules,
            tables: &mut self.tables,
            accounts: &mut self.accounts,
            waiting: &self.waiting,
            dedup: &mut self.dedup,
            remembered: &mut self.remembered,
            decisions: &mut self.decisions,
            beside_bytes: self.breakers.bytes() + self.holds.bytes() + self.recorded.bytes() + self.managed.bytes(),
        };
        (parts, &mut self.watch)
    }

    /// A partition comes into use: it holds the watermark back until it shows an event or a tick releases it.
    pub fn assign(&mut self, partition: u32) {
        self.clock.assign(partition);
    }

    /// A partition goes out of use.
    pub fn revoke(&mut self, partition: u32) {
        self.clock.revoke(partition);
    }

    /// All partitions go out of use: they are those of sources that another process read.
    pub fn revoke_all(&mut self) {
        self.clock.revoke_all();
    }

    /// A partition was read to its end at this reading of the clock.
    pub fn tick(&mut self, partition: u32, clock_ms: i64) {
        self.clock.tick(partition, clock_ms);
    }

    /// Notes how far event time has come, after the events that were judged: at fixed places while events come, and for
    /// who calls this where a tick stood in the log.
    pub fn note_time(&self, out: &mut Judgements) {
        if let Some(watermark_ms) = self.clock.watermark_ms() {
            let events = out.events.len() as u32;
            out.times.push(TimePassed { events, watermark_ms, horizon_ms: self.clock.horizon_ms() });
        }
    }

    /// Ends what ends by the event time that is known, after a tick; at fixed places while events come that is done anyhow.
    pub fn pass_time(&mut self, out: &mut Judgements) {
        if let Some(watermark_ms) = self.clock.watermark_ms() {
            self.decisions.pass_time(watermark_ms);
            self.tell_decisions(watermark_ms, out);
        }
    }

    /// Tells what has become of decisions.
    pub(super) fn tell_decisions(&mut self, at_ms: i64, out: &mut Judgements) {
        if self.decisions.is_touched() {
            self.decisions.tell(at_ms, out);
        }
    }

    /// Some of the decisions that stand, as they are told, behind a key: so many are looked at.
    pub fn decision_page(&self, behind: Option<KeyHash>, count_max: usize) -> LogPage {
        self.decisions.log_page(behind, count_max)
    }

    /// Judges the events of a batch, in order, and appends one judgement each.
    ///
    /// `signals` are those of [`Engine::wanted`], one row an event.
    pub fn judge(&mut self, batch: &EventBatch, signals: &[Signals], out: &mut Judgements) {
        self.judge_part(batch, signals, 0..batch.events.len(), out);
    }

    /// As [`Engine::judge`], for some of the events: the parts of a batch make the same of it as the whole.
    pub fn judge_part(&mut self, batch: &EventBatch, signals: &[Signals], part: Range<usize>, out: &mut Judgements) {
        assert_eq!(batch.events.len(), signals.len(), "signals were derived for every event of the batch");
        self.in_chunks(&batch.events, part, |engine, chunk| {
            engine.judge_chunk(batch, chunk.start, &signals[chunk.clone()], out);
            engine.erase(batch, &batch.events[chunk], out);
            if engine.keep_up() {
                engine.pass_time(out);
                engine.note_time(out);
                engine.end_holds(out);
            }
        });
    }

    /// Cuts some of the events of a batch into chunks and hands them over, one after the other. None reaches over a place
    /// of upkeep, for which [`Engine::keep_up`] is called behind each.
    pub(super) fn in_chunks(
        &mut self,
        events: &[Event],
        part: Range<usize>,
        mut take: impl FnMut(&mut Engine, Range<usize>),
    ) {
        let mut from = part.start;
        while from < part.end {
            let size = self.next_chunk(&events[from..part.end]);
            take(self, from..from + size);
            from += size;
        }
    }

    /// How many of the events that are left the next chunk has at most.
    pub fn next_chunk(&self, events: &[Event]) -> usize {
        let to_upkeep = UPKEEP_EVENTS - self.sequence % UPKEEP_EVENTS;
        up_to_erasure(&events[..CHUNK_EVENTS.min(events.len()).min(to_upkeep as usize)])
    }

    /// Does the upkeep if this is one of its fixed places, and says whether it is.
    pub(super) fn keep_up(&mut self) -> bool {
        let due = self.sequence.is_multiple_of(UPKEEP_EVENTS);
        if due {
            self.upkeep();
        }
        due
    }

    /// What conditions saw of the events that were judged last, in order: those of the last chunk, at the end of this
    /// batch, which must be the one that was judged. So that conditions can be evaluated again, and timed.
    pub fn last_facts<'a>(
        &'a self,
        batch: &'a EventBatch,
        signals: &'a [Signals],
    ) -> impl Iterator<Item = (&'a Event, impl Facts + 'a)> + 'a {
        let ground = self.ground(batch, signals, batch.events.len() - self.chunk.entries.len()..batch.events.len());
        let row = move |(at, event)| (event, self.chunk.row(&ground, at));
        ground.events.iter().enumerate().map(row)
    }

    fn judge_chunk(&mut self, batch: &EventBatch, from: usize, signals: &[Signals], out: &mut Judgements) {
        let events = &batch.events[from..from + signals.len()];
        self.place(batch, events);
        self.count(batch, from, signals, None);
        for at in 0..events.len() {
            let judgement = self.decide(batch, events, signals, at, out);
            out.events.push(judgement);
            self.tell_decisions(self.chunk.entries[at].as_of_ms(&events[at]), out);
            self.sequence += 1;
        }
    }

    /// Counts the events of a batch from one on, as many as there are signals, and reads for them; they are placed. `only`
    /// is by feature which ones change: then nothing else does.
    pub(super) fn count(&mut self, batch: &EventBatch, from: usize, signals: &[Signals], only: Option<&[bool]>) {
        let events = &batch.events[from..from + signals.len()];
        let ground = Ground {
            plan: &self.plan,
            rules: &self.rules,
            managed: &self.managed,
            hasher: &self.hasher,
            programs: &self.programs,
            batch,
            events,
            signals,
            started_ms: self.started_ms.unwrap_or(i64::MAX),
        };
        self.chunk.open(&self.plan, self.tables.len());
        self.chunk.apply_accounts(&ground, &mut self.accounts, only.is_none(), &mut |_, _, _| {});
        let by_referral = only.is_none().then_some(ByReferral {
            accounts: &self.accounts,
            waiting: &mut self.waiting,
            retention_ms: self.retention_ms,
        });
        self.chunk.plan(&ground, &self.tables, by_referral);
        if let Some(watch) = &mut self.watching {
            watch.look(&self.chunk, &ground, from);
        }
        if let Some(only) = only {
            self.chunk.keep_only(only);
        }
        self.chunk.apply(&ground, &mut self.tables, &mut |_, _, _| {});
    }

    /// Places the events in time, in their programs and among the identities.
    pub(super) fn place(&mut self, batch: &EventBatch, events: &[Event]) {
        self.place_in_time(batch, events);
        let chunk = &mut self.chunk;
        self.dedup.observe(&chunk.identities, &mut chunk.sightings);
        for ((entry, sighting), event) in chunk.entries.iter_mut().zip(&chunk.sightings).zip(events) {
            entry.sighting = Some(*sighting);
            let class = self.programs.get(entry.program).class;
            entry.over_quota = entry.feeds() && self.quotas.exceeds(class, event.event_time_ms);
        }
    }

    /// Places the events in time and in their programs.
    pub(super) fn place_in_time(&mut self, batch: &EventBatch, events: &[Event]) {
        if let (None, Some(first)) = (self.started_ms, events.first()) {
            self.started_ms = Some(first.event_time_ms);
        }
        let chunk = &mut self.chunk;
        chunk.entries.clear();
        chunk.identities.clear();
        chunk.sightings.clear();
        self.programs.trim();
        let mut known_source = None;
        for event in events {
            let moment = self.clock.observe(event.position.partition, event.event_time_ms);
            let name = program_name(batch, event);
            let program = self.programs.place(name, &self.policy, &self.rules, &self.hasher);
            let source = batch.field(event, Field::Source);
            // A batch comes from few systems, mostly one.
            let source_part = match known_source {
                Some((known, part)) if known == source => part,
                _ => self.hasher.part(Scalar::Text(source)),
            };
            known_source = Some((source, source_part));
            let id_part = self.hasher.part(Scalar::Text(batch.field(event, Field::Id)));
            let key = self.hasher.key(self.programs.get(program).part, &[source_part, id_part]);
            chunk.identities.push(Identity {
                key,
                time_ms: event.event_time_ms,
                fingerprint: event.fingerprint,
                watermark_ms: moment.watermark_ms,
            });
            let type_index = self.rules.type_index(event.kind, batch.field(event, Field::Type));
            chunk.entries.push(Entry {
                moment,
                type_index,
                program,
                identity: key.event(),
                sighting: None,
                over_quota: false,
            });
        }
    }

    fn decide(
        &mut self,
        batch: &EventBatch,
        events: &[Event],
        signals: &[Signals],
        at: usize,
        out: &mut Judgements,
    ) -> Judgement {
        let entry = &self.chunk.entries[at];
        let first = match entry.sighting {
            Some(Sighting::New(first) | Sighting::Unjudged(first)) => first,
            Some(Sighting::Repeat(first)) => {
                let invited = !batch.field(&events[at], Field::ReferrerId).is_empty();
                let observe_only = self.programs.get(entry.program).observe_only;
                let judgement = self.remembered.recall(first, invited, observe_only, out);
                let current = self.current(batch, (events, signals), at, &judgement);
                return Judgement { current, ..judgement };
            }
            Some(Sighting::Reused(_)) | None => {
                return Judgement { outcome: Outcome::IdReused, ..Judgement::default() };
            }
        };
        if entry.moment.late
            && let Some(judgement) = self.held_before(batch, (events, signals), (at, first), out)
        {
            return judgement;
        }
        let judgement = self.judge_new(batch, events, signals, (at, None), out);
        let rules = self.scratch.bare_rules();
        let is_more = self.remembered.remember(first, &judgement, out, rules);
        if is_more && self.recorded.is_on() {
            self.record_why((batch, events, signals), at, first, (&judgement, out));
        }
        judgement
    }

    /// Judges an event of the chunk that is no repeat; where it stands, if several engines share the log.
    pub(super) fn judge_new(
        &mut self,
        batch: &EventBatch,
        events: &[Event],
        signals: &[Signals],
        (at, origin): (usize, Option<Origin>),
        out: &mut Judgements,
    ) -> Judgement {
        let ground = Ground {
            plan: &self.plan,
            rules: &self.rules,
            managed: &self.managed,
            hasher: &self.hasher,
            programs: &self.programs,
            batch,
            events,
            signals,
            started_ms: self.started_ms.unwrap_or(i64::MAX),
        };
        let row = self.chunk.row(&ground, at);
        let entry = &self.chunk.entries[at];
        let mut decider = Decider {
            rules: &self.rules,
            plan: &self.plan,
            hasher: &self.hasher,
            tables: &self.tables,
            decisions: &mut self.decisions,
            tally: &mut self.tally,
            scratch: &mut self.scratch,
            spelling: &mut self.spelling,
            breakers: &mut self.breakers,
            every_rule_in_force: self.every_rule_in_force,
            origin,
            holds: self.sharing.is_none().then_some(&mut self.holds),
            review_within_ms: self.review_within_ms,
        };
        decider.decide(&row, entry, self.programs.get(entry.program), self.sequence, out)
    }

    /// Sweeps idle keys, forgets what ended, and looks at the memory.
    fn upkeep(&mut self) {
        let horizon_ms = self.clock.horizon_ms();
        let offsets = self.rules.features.iter().map(|feature| feature.offset_ms).chain(std::iter::repeat(0));
        let tables = self.tables.iter_mut().chain(self.accounts.tables_mut());
        self.swept_keys.resize(tables.size_hint().0, 0);
        for ((table, offset_ms), keys) in tables.zip(offsets).zip(&mut self.swept_keys) {
            let came_in = table.keys().saturating_sub(*keys);
            let budget = SWEEP_SLOTS_LEAST + SWEEP_SLOTS_PER_NEW_KEY * came_in;
            table.sweep(horizon_ms.saturating_sub(offset_ms), budget);
            *keys = table.keys();
        }
        self.accounts.expire_texts(horizon_ms);
        self.waiting.expire(horizon_ms);
        self.clock.watermark_ms().into_iter().for_each(|watermark_ms| self.decisions.pass_time(watermark_ms));
        self.decisions.expire(horizon_ms);
        self.breakers.expire(horizon_ms);
        self.remembered.trim(self.dedup.oldest());
        self.recorded.trim(self.dedup.oldest());
        self.managed.expire(horizon_ms);
        self.look_at_quotas();
        let (mut parts, watch) = self.parts();
        watch.look(&mut parts);
    }
}
