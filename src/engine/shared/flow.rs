//! One chunk of events over shared records, from what it wants to what has become of it.
//!
//! The steps are those of an engine that keeps everything: identities, facts about accounts, windows, decisions. Before each
//! stands a question for records, if some are missing; an answer that leads to another question is asked for too, and the step
//! taken again from what was given. Nothing is taken from one try to the next but where the events stand in time.

use std::collections::HashMap;
use std::ops::Range;

use super::fill::Bringer;
use super::identity::{self, Given, Head, Told};
use super::records::{RecordKind, RecordName, TOKEN_BYTES};
use super::{Applied, Origin, Sharing};
use crate::engine::Engine;
use crate::engine::chunk::{ByReferral, Entry, Ground};
use crate::engine::erasure::erased_account;
use crate::engine::judgement::{Judgement, Judgements, Outcome};
use crate::engine::subject::{subject_key, subjects};
use crate::event::{Event, EventBatch, Field, Signals, SubjectKind};
use crate::state::{self, Broken, KeyHash, Sighting};

/// What planning and applying read; no function, since the rest of the engine changes meanwhile.
macro_rules! ground {
    ($engine:expr, $batch:expr, $events:expr, $signals:expr) => {
        Ground {
            plan: &$engine.plan,
            rules: &$engine.rules,
            managed: &$engine.managed,
            hasher: &$engine.hasher,
            programs: &$engine.programs,
            batch: $batch,
            events: $events,
            signals: $signals,
            started_ms: $engine.started_ms.unwrap_or(i64::MAX),
        }
    };
}

/// What a chunk needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The records that are wanted.
    Fetch,
    /// It is judged: what has changed is to be written.
    Write,
}

/// A record as it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// Its name.
    pub name: RecordName<'a>,
    /// What it must begin with, if nobody else has written it; empty: it must not be there.
    pub expected: &'a [u8],
    /// How many bytes it held when it was read.
    pub held_bytes: usize,
    /// What it is to hold; empty: it goes.
    pub value: &'a [u8],
    /// From this event time on nobody sees it.
    pub until_ms: i64,
}

#[derive(Clone, Debug)]
struct Written {
    record: usize,
    value: Range<usize>,
    until_ms: i64,
}

/// What an event is, by what was remembered.
#[derive(Clone, Copy, Debug)]
enum Standing {
    New,
    /// The same delivery again; its record.
    Again(usize),
    /// A repeat of what this record remembers.
    Repeat(usize),
    /// A repeat of the event at this place of the chunk.
    RepeatOf(usize),
    /// Its name belongs to another.
    Reused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Identities,
    Accounts,
    Windows,
    Decisions,
    Judged,
}

/// How much was judged before a chunk.
#[derive(Clone, Copy, Debug)]
struct Marks {
    events: usize,
    raised: usize,
    text: usize,
    sequence: u64,
}

/// A chunk of events that is judged over shared records.
#[derive(Debug)]
pub struct SharedChunk<'a> {
    engine: &'a mut Engine,
    sharing: Box<Sharing>,
    batch: &'a EventBatch,
    /// The chunk's events.
    events: &'a [Event],
    signals: &'a [Signals],
    /// By event: where it stands.
    origins: &'a [Origin],
    out: &'a mut Judgements,
    marks: Marks,
    /// Where the events stand in time.
    entries: Vec<Entry>,
    standings: Vec<Standing>,
    step: Step,
    /// What was written of each event's identity, in `bytes`.
    identities: Vec<Range<usize>>,
    bytes: Vec<u8>,
    state: Vec<Written>,
    verdicts: Vec<Written>,
}

impl<'a> SharedChunk<'a> {
    /// Begins with some of the events of a batch, [`Engine::next_chunk`] at most. `signals` are those of the batch, `origins`
    /// those of the events; judgements are appended to `out`.
    pub fn open(
        engine: &'a mut Engine,
        batch: &'a EventBatch,
        signals: &'a [Signals],
        (part, origins): (Range<usize>, &'a [Origin]),
        out: &'a mut Judgements,
    ) -> SharedChunk<'a> {
        assert_eq!(part.len(), origins.len(), "each event has its place");
        let sharing = engine.sharing.take().expect("an engine shares its state before it judges over it");
        let events = &batch.events[part.clone()];
        engine.place_in_time(batch, events);
        let marks = Marks {
            events: out.events.len(),
            raised: out.raised.len(),
            text: out.text.len(),
            sequence: engine.sequence,
        };
        let mut chunk = SharedChunk {
            entries: engine.chunk.entries.clone(),
            engine,
            sharing,
            batch,
            events,
            signals: &signals[part],
            origins,
            out,
            marks,
            standings: Vec::new(),
            step: Step::Identities,
            identities: Vec::new(),
            bytes: Vec::new(),
            state: Vec::new(),
            verdicts: Vec::new(),
        };
        chunk.begin();
        chunk
    }

    /// Judges it once more: somebody else has written one of its records.
    pub fn again(&mut self) {
        self.undo_judgements();
        self.begin();
    }

    /// The records that it wants and was not given, in the order in which they are to be given.
    pub fn wanted(&self) -> impl ExactSizeIterator<Item = RecordName<'_>> {
        self.sharing.records.wanted().map(|record| self.name(record))
    }

    /// Takes what the wanted records hold, and goes on. `token` is to be another whenever a chunk is judged.
    ///
    /// # Errors
    ///
    /// A record holds what is impossible.
    pub fn give<'r>(
        &mut self,
        values: impl IntoIterator<Item = Option<&'r [u8]>>,
        applied: Applied<'_>,
        token: u64,
    ) -> Result<Next, Broken> {
        values.into_iter().for_each(|value| self.sharing.records.give(value));
        loop {
            match self.step {
                Step::Identities => {
                    self.sight()?;
                    self.step = Step::Accounts;
                }
                Step::Accounts => {
                    self.apply_accounts(applied)?;
                    if self.is_wanting() {
                        return Ok(Next::Fetch);
                    }
                    self.plan();
                    self.step = Step::Windows;
                    if self.is_wanting() {
                        return Ok(Next::Fetch);
                    }
                }
                Step::Windows => {
                    self.apply_windows(applied)?;
                    self.step = Step::Decisions;
                }
                Step::Decisions => {
                    self.decide()?;
                    if self.is_wanting() {
                        return Ok(Next::Fetch);
                    }
                    self.erase();
                    self.note_changes(token)?;
                    self.step = Step::Judged;
                }
                Step::Judged => return Ok(Next::Write),
            }
        }
    }

    /// What has changed but for verdicts: to be written first.
    pub fn state_changes(&self) -> impl Iterator<Item = Change<'_>> {
        self.state.iter().map(|written| self.change(written))
    }

    /// The verdicts: to be written once everything else is.
    pub fn verdict_changes(&self) -> impl Iterator<Item = Change<'_>> {
        self.verdicts.iter().map(|written| self.change(written))
    }

    /// No event from here on is judged as of an earlier instant.
    pub fn horizon_ms(&self) -> i64 {
        self.engine.clock.horizon_ms()
    }

    /// Whether nothing was known of the event at a place of the chunk.
    pub fn is_new(&self, at: usize) -> bool {
        matches!(self.standings.get(at), Some(Standing::New))
    }

    /// Ends it, once what has changed is written.
    pub fn finish(self) {
        let SharedChunk { engine, mut sharing, out, .. } = self;
        sharing.before = None;
        engine.sharing = Some(sharing);
        if engine.keep_up() {
            engine.note_time(out);
        }
    }

    /// Gives it up: its events were not judged.
    pub fn give_up(mut self) {
        self.undo_judgements();
        self.engine.sharing = Some(self.sharing);
    }

    fn change(&self, written: &Written) -> Change<'_> {
        let name = self.name(written.record);
        let held = self.sharing.records.value(written.record);
        let head = if name.kind == RecordKind::Identity { identity::HEAD_BYTES } else { TOKEN_BYTES };
        let (expected, value) = (held.get(..head).unwrap_or_default(), &self.bytes[written.value.clone()]);
        Change { name, expected, held_bytes: held.len(), value, until_ms: written.until_ms }
    }

    fn name(&self, record: usize) -> RecordName<'_> {
        self.sharing.records.name(record, |program| &self.engine.programs.get(program).name)
    }

    /// Wants what every event needs whatever is known of it.
    fn begin(&mut self) {
        let SharedChunk { engine, sharing, batch, events, signals, .. } = self;
        engine.chunk.entries.clone_from(&self.entries);
        engine.clear_shared();
        engine.waiting.note_touched();
        let records = &mut sharing.records;
        records.clear();
        sharing.changed.clear();
        sharing.before = Some((engine.breakers.clone(), engine.tally.clone()));
        for (entry, identity) in engine.chunk.entries.iter().zip(&engine.chunk.identities) {
            records.want(RecordKind::Identity, Some(entry.program), identity.key);
        }
        // Before they are seen, all events count as new: what is wanted then is wanted whatever they are.
        for entry in &mut engine.chunk.entries {
            entry.sighting = Some(Sighting::New(state::Entry::of_number(0)));
            // A delivery that comes again was not late when it came first.
            entry.moment.late = false;
        }
        let ground = ground!(engine, batch, events, signals);
        let programs: Vec<usize> = engine.chunk.entries.iter().map(|entry| entry.program).collect();
        let visit = |at| engine.chunk.visit(&ground, at, true);
        engine.accounts.keys(&engine.plan.accounts, &engine.hasher, events.len(), visit, &mut |at, key| {
            records.want(RecordKind::Windows, Some(programs[at]), key);
        });
        for (at, program) in programs.iter().enumerate() {
            let row = engine.chunk.row(&ground, at);
            for kind in &sharing.terms.subjects {
                for (_, subject) in subjects(&row, *kind) {
                    let key = subject_key(&engine.hasher, &row, *kind, subject);
                    records.want(RecordKind::Decisions, Some(*program), key);
                }
            }
        }
        engine.chunk.entries.clone_from(&self.entries);
        if let Some((account, place)) = self.erased() {
            let keys = self.engine.keys_of_account(place, account);
            let keys = keys.features.into_iter().map(|(_, key)| key).chain([keys.account]);
            keys.for_each(|key| self.sharing.records.want(RecordKind::Windows, Some(place), key));
        }
        self.step = Step::Identities;
    }

    /// Tells new events from deliveries that come again, repeats and reused names.
    fn sight(&mut self) -> Result<(), Broken> {
        let span_ms = self.engine.dedup.span_ms();
        let mut seen: HashMap<KeyHash, usize> = HashMap::new();
        self.standings.clear();
        for at in 0..self.events.len() {
            let identity = self.engine.chunk.identities[at];
            let is_remembered = |time_ms: i64| time_ms.saturating_add(span_ms) > identity.watermark_ms;
            let record = self.sharing.records.find(RecordKind::Identity, identity.key);
            let record = record.ok_or(Broken("the record of an event was not asked for"))?;
            let earlier = seen.get(&identity.key).copied();
            let earlier = earlier.filter(|earlier| is_remembered(self.events[*earlier].event_time_ms));
            let held = Head::read(self.sharing.records.value(record))?.filter(|head| is_remembered(head.time_ms));
            let standing = match (earlier, held) {
                (Some(earlier), _) if self.events[earlier].fingerprint != identity.fingerprint => Standing::Reused,
                (Some(earlier), _) => Standing::RepeatOf(earlier),
                (None, Some(head)) if head.fingerprint != identity.fingerprint => Standing::Reused,
                (None, Some(head)) if head.origin == self.origins[at] => Standing::Again(record),
                (None, Some(_)) => Standing::Repeat(record),
                (None, None) => Standing::New,
            };
            let number = state::Entry::of_number(at as u64);
            let sighting = match standing {
                Standing::New => Sighting::New(number),
                // Verdicts are written last: what came of it stands in the records, and is not to be counted once more.
                Standing::Again(_) | Standing::Repeat(_) | Standing::RepeatOf(_) => Sighting::Repeat(number),
                Standing::Reused => Sighting::Reused(number),
            };
            if let Standing::New | Standing::Again(_) = standing {
                seen.insert(identity.key, at);
            }
            self.standings.push(standing);
            self.engine.chunk.entries[at].sighting = Some(sighting);
        }
        Ok(())
    }

    /// Facts about accounts, then the plan, which names the windows.
    fn apply_accounts(&mut self, applied: Applied<'_>) -> Result<(), Broken> {
        let SharedChunk { engine, sharing, batch, events, signals, origins, .. } = self;
        engine.clear_shared();
        engine.waiting.note_touched();
        sharing.changed.clear();
        sharing.accounts_end = sharing.records.wanted().start;
        let planned: Vec<u64> =
            engine.chunk.entries.iter().filter(|entry| entry.is_new()).map(|entry| entry.identity).collect();
        engine.bring_accounts(sharing, |event| planned.contains(&event))?;
        engine.chunk.open(&engine.plan, engine.tables.len());
        let ground = ground!(engine, batch, events, signals);
        let forgotten_ms = sharing.forgotten_ms(engine.clock.horizon_ms());
        let Sharing { records, changed, terms, .. } = &mut **sharing;
        let mut bringer = Bringer {
            records,
            changed,
            programs: &engine.programs,
            sections: &terms.sections,
            first: engine.tables.len(),
            origins,
            forgotten_ms,
            applied,
            fault: None,
        };
        engine.chunk.apply_accounts(&ground, &mut engine.accounts, true, &mut |place, ops, table| {
            bringer.bring(place, 0, ops, table);
        });
        bringer.fault.map_or(Ok(()), Err)?;
        // Accounts above those that were asked for.
        let missed = engine.accounts.referrers_mut().map(|referrers| referrers.take_missed()).unwrap_or_default();
        for (part, account) in missed {
            let of = engine.chunk.entries.iter().map(|entry| entry.program);
            let program = of.into_iter().find(|program| engine.programs.get(*program).part == part);
            sharing.records.want(RecordKind::Windows, program, account);
        }
        Ok(())
    }

    /// The plan names the windows.
    fn plan(&mut self) {
        let SharedChunk { engine, sharing, batch, events, signals, .. } = self;
        let ground = ground!(engine, batch, events, signals);
        let by_referral =
            ByReferral { accounts: &engine.accounts, waiting: &mut engine.waiting, retention_ms: engine.retention_ms };
        engine.chunk.plan(&ground, &engine.tables, Some(by_referral));
        engine.chunk.keys(|feature, at, key| {
            let is_global = engine.plan.features[feature].space.is_global();
            let program = (!is_global).then(|| engine.chunk.entries[at].program);
            sharing.records.want(RecordKind::Windows, program, key);
        });
    }

    fn apply_windows(&mut self, applied: Applied<'_>) -> Result<(), Broken> {
        let SharedChunk { engine, sharing, batch, events, signals, origins, .. } = self;
        let waited = engine.chunk.waited_places().map(|at| origins[at]);
        let origins: Vec<Origin> = origins.iter().copied().chain(waited).collect();
        let ground = ground!(engine, batch, events, signals);
        let forgotten_ms = sharing.forgotten_ms(engine.clock.horizon_ms());
        let Sharing { records, changed, terms, .. } = &mut **sharing;
        let programs = &engine.programs;
        let (sections, origins) = (&*terms.sections, &*origins);
        let mut bringer =
            Bringer { records, changed, programs, sections, first: 0, origins, forgotten_ms, applied, fault: None };
        engine.chunk.apply(&ground, &mut engine.tables, &mut |place, ops, table| {
            bringer.bring(place, engine.plan.features[place].offset_ms, ops, table);
        });
        bringer.fault.map_or(Ok(()), Err)
    }

    /// Forgets the account that the last event erases. Where somebody has judged that before, what he wrote is whole, and what came
    /// after it is not to be forgotten.
    fn erase(&mut self) {
        let Some((account, place)) = self.erased().filter(|_| self.is_new(self.events.len() - 1)) else { return };
        let SharedChunk { engine, sharing, .. } = self;
        let Sharing { records, changed, .. } = &mut **sharing;
        engine.forget_traces(place, account, None, &mut |table, key| {
            if let Some(record) = records.find(RecordKind::Windows, key) {
                changed.push((record as u32, table as u32));
            }
        });
        let program = engine.programs.get(place).name.clone();
        let subject = engine.subject(&program, SubjectKind::Account, account);
        engine.decisions.erase(subject);
    }

    /// The account that the last event erases, and the place of its program.
    fn erased(&self) -> Option<(&'a str, usize)> {
        let account = erased_account(self.batch, self.events.last()?)?;
        Some((account, self.entries.last()?.program))
    }

    /// Judges the events. A subject that is decided about and was not asked for is wanted then.
    fn decide(&mut self) -> Result<(), Broken> {
        self.undo_judgements();
        let SharedChunk { engine, sharing, origins, .. } = self;
        engine.decisions.clear();
        for record in sharing.records.of_kind(RecordKind::Decisions) {
            let made = |of: Origin| origins.contains(&of);
            engine.decisions.put(sharing.records.key(record), sharing.records.value(record), made)?;
        }
        self.identities.clear();
        self.bytes.clear();
        for at in 0..self.events.len() {
            let judgement = self.judge(at)?;
            self.out.events.push(judgement);
            self.engine.sequence += 1;
        }
        let SharedChunk { engine, sharing, .. } = self;
        for (key, program) in engine.decisions.keys() {
            let mut of = engine.chunk.entries.iter().map(|entry| entry.program);
            let program = of.find(|place| *engine.programs.get(*place).name == *program);
            sharing.records.want(RecordKind::Decisions, program, key);
        }
        Ok(())
    }

    fn judge(&mut self, at: usize) -> Result<Judgement, Broken> {
        let SharedChunk { engine, sharing, batch, events, signals, origins, out, bytes, .. } = self;
        let event = &events[at];
        let start = bytes.len();
        let program = engine.programs.get(engine.chunk.entries[at].program);
        let told = Told {
            again: matches!(self.standings[at], Standing::Again(_)),
            parties: !batch.field(event, Field::ReferrerId).is_empty(),
            observe_only: program.observe_only,
            event: out.events.len() as u32,
        };
        let judgement = match self.standings[at] {
            Standing::New => {
                let raised = out.raised.len();
                let judgement = engine.judge_new(batch, events, signals, (at, Some(origins[at])), out);
                let identity = &engine.chunk.identities[at];
                let (time_ms, fingerprint) = (identity.time_ms, identity.fingerprint);
                let given = Given {
                    judgement: &judgement,
                    judgements: out,
                    bare_rules: engine.scratch.bare_rules(),
                    raised: &out.raised[raised..],
                    rules: &engine.rules,
                };
                identity::write(&Head { time_ms, fingerprint, origin: origins[at] }, &given, bytes);
                judgement
            }
            Standing::Again(record) | Standing::Repeat(record) => {
                identity::recall(sharing.records.value(record), told, &engine.rules, out)?
            }
            Standing::RepeatOf(earlier) => match self.standings[earlier] {
                Standing::Again(record) => identity::recall(sharing.records.value(record), told, &engine.rules, out)?,
                _ => identity::recall(&bytes[self.identities[earlier].clone()], told, &engine.rules, out)?,
            },
            Standing::Reused => Judgement { outcome: Outcome::IdReused, ..Judgement::default() },
        };
        let end = self.bytes.len();
        self.identities.push(start..end);
        Ok(judgement)
    }

    /// Takes back what was judged.
    fn undo_judgements(&mut self) {
        let Marks { events, raised, text, sequence } = self.marks;
        if self.out.events.len() == events {
            return;
        }
        self.out.events.truncate(events);
        self.out.raised.truncate(raised);
        self.out.text.truncate(text);
        self.engine.sequence = sequence;
        if let Some((breakers, tally)) = &self.sharing.before {
            self.engine.breakers.clone_from(breakers);
            self.engine.tally.clone_from(tally);
        }
    }

    /// Writes down what records are now that have changed.
    fn note_changes(&mut self, token: u64) -> Result<(), Broken> {
        let SharedChunk { engine, sharing, bytes, state, verdicts, .. } = self;
        state.clear();
        verdicts.clear();
        let mut changed = std::mem::take(&mut sharing.changed);
        let touched = engine.waiting.touched().iter().filter_map(|key| sharing.records.find(RecordKind::Windows, *key));
        // No table has this number: what waits stands there too.
        changed.extend(touched.map(|record| (record as u32, u32::MAX)));
        changed.sort_unstable();
        changed.dedup();
        let mut tables = Vec::new();
        for of_record in changed.chunk_by(|one, other| one.0 == other.0) {
            tables.clear();
            tables.extend(of_record.iter().map(|(_, table)| *table).filter(|table| *table != u32::MAX));
            let (record, start) = (of_record[0].0 as usize, bytes.len());
            if let Some(until_ms) = engine.write_windows(sharing, record, &tables, token, bytes)? {
                state.push(Written { record, value: start..bytes.len(), until_ms });
            }
        }
        sharing.changed = changed;
        let horizon_ms = sharing.forgotten_ms(engine.clock.horizon_ms());
        for record in sharing.records.of_kind(RecordKind::Decisions) {
            let (held, start) = (sharing.records.value(record), bytes.len());
            let until_ms = engine.decisions.write(sharing.records.key(record), token, horizon_ms, bytes);
            if held.get(TOKEN_BYTES..).unwrap_or_default() == bytes[start..].get(TOKEN_BYTES..).unwrap_or_default() {
                bytes.truncate(start);
                continue;
            }
            state.push(Written { record, value: start..bytes.len(), until_ms: until_ms.unwrap_or(horizon_ms) });
        }
        let span_ms = engine.dedup.span_ms();
        for (at, identity) in engine.chunk.identities.iter().enumerate() {
            if let (Standing::New, Some(record)) =
                (self.standings[at], sharing.records.find(RecordKind::Identity, identity.key))
            {
                let until_ms = identity.time_ms.saturating_add(span_ms);
                verdicts.push(Written { record, value: self.identities[at].clone(), until_ms });
            }
        }
        Ok(())
    }

    fn is_wanting(&self) -> bool {
        !self.sharing.records.wanted().is_empty()
    }
}
