//! The scratch of one chunk of events: planned, applied and decided together, so that memory latencies overlap.
//!
//! Everything here is cleared and reused; in the steady state nothing is allocated for an event.

mod links;
mod waits;

use super::account::{AccountMemory, Bring, Visit};
use super::clock::Moment;
use super::facts::Row;
use super::managed::ManagedLists;
use super::plan::{FeaturePlan, FirstPart, Own, PartIndex, Plan, TypeStep, ValueUse};
use super::programs::{Program, Programs};
pub(super) use waits::ByReferral;

use crate::event::{Event, EventBatch, Field, Signals};
use crate::ruleset::cel::{Compiled, Element, Leaf, ReadIndex, ReadSource, Reading, ReadingValue, Scalar};
use crate::ruleset::program::{Feature, KEY_PARTS_MAX, RuleSet, Step, TypeIndex};
use crate::state::{
    self, FeatureTable, Fetch, Guesses, Identity, KeyHash, KeyHasher, Links, Op, PartHash, Readings, Sighting, Value,
};

/// One event of a chunk: where it stands in time, in its program and among the identities.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub moment: Moment,
    pub type_index: Option<TypeIndex>,
    /// Place among the [`Programs`].
    pub program: usize,
    /// Hash of its identity.
    pub identity: u64,
    /// What the memory of identities says: looked up for the whole chunk at once.
    pub sighting: Option<Sighting>,
    /// Whether its program has had as many events as it may.
    pub over_quota: bool,
}

impl Entry {
    /// Whether it is judged: repeats and reused ids are not.
    pub(super) fn is_new(&self) -> bool {
        matches!(self.sighting, Some(Sighting::New(_) | Sighting::Unjudged(_)))
    }

    /// Whether it is counted: late ones are not, nor those past a quota, nor those that were counted as history.
    pub(super) fn feeds(&self) -> bool {
        matches!(self.sighting, Some(Sighting::New(_))) && !self.moment.late && !self.over_quota
    }

    /// The instant that it is judged as of: its event time, or the horizon if it is later than that, since what only an
    /// earlier instant could see may be gone.
    pub(super) fn as_of_ms(&self, event: &Event) -> i64 {
        event.event_time_ms.max(self.moment.horizon_ms)
    }
}

/// Where a table's reading goes.
#[derive(Clone, Copy, Debug)]
struct Target {
    /// Place in the chunk; `u32::MAX`: nowhere.
    at: u32,
    read: ReadIndex,
}

const NOWHERE: Target = Target { at: u32::MAX, read: ReadIndex(0) };

/// The parts of the machine that planning and applying read.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub plan: &'a Plan,
    pub rules: &'a RuleSet,
    pub managed: &'a ManagedLists,
    pub hasher: &'a KeyHasher,
    pub programs: &'a Programs,
    pub batch: &'a EventBatch,
    /// The chunk's events.
    pub events: &'a [Event],
    /// The chunk's signals.
    pub signals: &'a [Signals],
    /// Event time of the first event that the engine took in.
    pub started_ms: i64,
}

/// What is known of the events of a chunk so far.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub entries: Vec<Entry>,
    pub identities: Vec<Identity>,
    pub sightings: Vec<Sighting>,
    /// By event and part.
    parts: Vec<Option<PartHash>>,
    /// By event and read.
    readings: Vec<Reading>,
    ranges: Vec<(u32, u32)>,
    /// The texts of readings, one after the other.
    texts: String,
    /// By feature.
    ops: Vec<Vec<Op>>,
    targets: Vec<Vec<Target>>,
    /// By feature: what the operations of a component bring.
    links: Vec<Links>,
    guesses: Vec<Guesses>,
    /// Of the chunk's events, then of those that waited.
    ids: Vec<[u8; 16]>,
    /// Of events that have waited: the place of the referral that ended it, and the id.
    waited: Vec<(usize, [u8; 16])>,
    /// What the last table said, and the members of sets that all of them did.
    seen: Readings,
}

impl Chunk {
    /// The facts of the event at this place of the chunk.
    #[inline]
    pub(super) fn row<'a>(&'a self, ground: &Ground<'a>, at: usize) -> Row<'a> {
        let reads = ground.plan.reads;
        let entry = &self.entries[at];
        let program: &Program = ground.programs.get(entry.program);
        Row {
            batch: ground.batch,
            event: &ground.events[at],
            signals: &ground.signals[at],
            program: &program.name,
            timezone: &program.timezone,
            rates: &program.rates,
            rules: ground.rules,
            managed: ground.managed,
            as_of_ms: entry.as_of_ms(&ground.events[at]),
            hasher: ground.hasher,
            readings: self.readings.get(at * reads..(at + 1) * reads).unwrap_or(&[]),
            ranges: self.ranges.get(at * reads..(at + 1) * reads).unwrap_or(&[]),
            members: &self.seen.members,
            texts: &self.texts,
        }
    }

    /// Makes room for the readings of the chunk's events.
    pub(super) fn open(&mut self, plan: &Plan, features: usize) {
        let events = self.entries.len();
        let nothing = Reading::of(ReadingValue::Unknown);
        self.readings.clear();
        self.readings.resize(events * plan.reads, nothing);
        self.ranges.clear();
        self.ranges.resize(events * plan.reads, (0, 0));
        self.seen.members.clear();
        self.texts.clear();
        // What stands there is overwritten before it is read: a type's steps hash all the parts that they use.
        self.parts.resize(events * plan.parts.len(), None);
        self.ops.resize_with(features, Vec::new);
        self.targets.resize_with(features, Vec::new);
        self.links.resize_with(features, Links::default);
        self.guesses.resize_with(features, Guesses::default);
    }

    /// First round: what is remembered of accounts and places.
    /// `learns` is whether these events add to it, as those do that are counted.
    pub(super) fn apply_accounts(
        &mut self,
        ground: &Ground<'_>,
        accounts: &mut AccountMemory,
        learns: bool,
        bring: Bring<'_>,
    ) {
        if ground.plan.accounts.is_empty() {
            return;
        }
        let visit = |at| self.visit(ground, at, learns);
        accounts.apply(&ground.plan.accounts, ground.hasher, self.entries.len(), visit, bring);
        for at in 0..self.entries.len() {
            let visit = self.visit(ground, at, learns);
            accounts.refer(at, ground.hasher, &visit);
            for read in &ground.plan.steps(self.entries[at].type_index).accounts {
                let source = &ground.rules.reads.get(*read).source;
                let value = match source {
                    ReadSource::Referral(question) => self.referral(ground, at, question, accounts, &visit),
                    _ => accounts.fact(at, source, &visit),
                };
                let slot = at * ground.plan.reads + read.0 as usize;
                self.readings[slot] = Reading::of(value);
                if let (ReadingValue::Text, ReadSource::Account { role, .. }) = (value, source) {
                    let text = accounts.referrer(at, *role);
                    self.ranges[slot] = (self.texts.len() as u32, text.len() as u32);
                    self.texts.push_str(text);
                }
            }
        }
    }

    /// An event as the first round sees it.
    pub(super) fn visit<'a>(&self, ground: &Ground<'a>, at: usize, learns: bool) -> Visit<'a> {
        let entry = &self.entries[at];
        Visit {
            batch: ground.batch,
            event: &ground.events[at],
            signals: &ground.signals[at],
            program: ground.programs.get(entry.program),
            identity: entry.identity,
            horizon_ms: entry.moment.horizon_ms,
            feeds: learns && entry.feeds(),
        }
    }

    /// Second round: hashes the parts of keys, and lists the operations of each feature in the order of events.
    /// `waiting` is what a referral may end the wait of; without it nothing waits, because history is counted that referrals
    /// are known before.
    pub(super) fn plan(&mut self, ground: &Ground<'_>, tables: &[FeatureTable], mut waiting: Option<ByReferral<'_>>) {
        for (ops, targets) in self.ops.iter_mut().zip(&mut self.targets) {
            ops.clear();
            targets.clear();
        }
        self.links.iter_mut().for_each(Links::clear);
        self.ids.clear();
        self.waited.clear();
        for at in 0..self.entries.len() {
            // Repeats and reused ids have an id too, so that events and ids have the same places.
            self.ids.push(id_prefix(ground.batch.field(&ground.events[at], Field::Id)));
            if self.entries[at].is_new() {
                self.hash_parts(ground, at);
                if let Some(waiting) = &mut waiting {
                    self.end_wait(ground, at, waiting);
                }
                self.plan_event(ground, tables, at, waiting.as_mut());
            }
        }
        self.ids.extend(self.waited.iter().map(|(_, id)| *id));
    }

    /// Tells the keys of the operations that were planned, each with its feature and the place of its event.
    pub(super) fn keys(&self, mut note: impl FnMut(usize, usize, KeyHash)) {
        for (feature, ops) in self.ops.iter().enumerate() {
            ops.iter().for_each(|op| note(feature, self.place_of(op), op.key));
        }
    }

    /// Drops the operations of features that are not among these.
    pub(super) fn keep_only(&mut self, features: &[bool]) {
        for ((ops, targets), kept) in self.ops.iter_mut().zip(&mut self.targets).zip(features) {
            if !kept {
                ops.clear();
                targets.clear();
            }
        }
    }

    fn hash_parts(&mut self, ground: &Ground<'_>, at: usize) {
        let (batch, event) = (ground.batch, &ground.events[at]);
        let base = at * ground.plan.parts.len();
        for index in &ground.plan.steps(self.entries[at].type_index).parts {
            let part = &ground.plan.parts[*index as usize];
            let hash = match part.leaf {
                Some(Leaf::Text(field)) => hash_text(batch.field(event, field), ground.hasher),
                Some(Leaf::SignalText(signal)) => hash_text(batch.text(ground.signals[at].text(signal)), ground.hasher),
                Some(Leaf::Int(_)) | None => hash_part(&part.expression, &self.row(ground, at), ground.hasher),
            };
            self.parts[base + *index as usize] = hash;
        }
    }

    fn plan_event(
        &mut self,
        ground: &Ground<'_>,
        tables: &[FeatureTable],
        at: usize,
        mut waiting: Option<&mut ByReferral<'_>>,
    ) {
        let entry = &self.entries[at];
        let (feeds, identity, horizon_ms) = (entry.feeds(), entry.identity, entry.moment.horizon_ms);
        let program = ground.programs.get(entry.program);
        let time_ms = ground.events[at].event_time_ms;
        let as_of_ms = entry.as_of_ms(&ground.events[at]);
        for step in &ground.plan.steps(entry.type_index).steps {
            let FeaturePlan { offset_ms, space, .. } = ground.plan.features[step.feature as usize];
            let space = |time_ms| space.first(program, ground.hasher, time_ms);
            // What is read lies in the same unit of the calendar as the end of the window.
            let read_space = space(as_of_ms.saturating_sub(offset_ms));
            let op = Op {
                time_ms,
                horizon_ms: horizon_ms.saturating_sub(offset_ms),
                event: identity,
                id: at as u32,
                ..Op::default()
            };
            match self.key(ground, at, read_space, &step.key) {
                Some(read_key) => {
                    let mut value = if step.feeds && feeds { self.counted_value(ground, at, step) } else { None };
                    if value.is_some() && ground.plan.features[step.feature as usize].value == ValueUse::Links {
                        value = Some(self.give_links(ground, at, step.feature, read_space));
                    }
                    let op = Op { key: read_key, value: value.unwrap_or(0), add: value.is_some(), ..op };
                    if offset_ms == 0 {
                        self.plan_own(at, step, op);
                    } else {
                        let key = self.key(ground, at, space(time_ms), &step.key).unwrap_or(read_key);
                        self.plan_shifted(at, step, offset_ms, Op { key, ..op }, read_key);
                    }
                }
                None => {
                    if let (Some(hole), Some(waiting), true) = (step.hole, &mut waiting, feeds) {
                        self.wait(ground, at, step, hole, waiting);
                    }
                    if let Some(own) = step.own {
                        self.read_nothing(ground, tables, at, step.feature, own.read);
                    }
                }
            }
            for other in &step.others {
                if other.same {
                    self.plan_same(ground, at, step.feature, other, op, read_space);
                    continue;
                }
                match self.key(ground, at, read_space, &other.key) {
                    Some(key) => {
                        let time_ms = op.time_ms - offset_ms;
                        let target = Target { at: at as u32, read: other.read };
                        self.push(step.feature, Op { key, time_ms, members: other.members, ..op }, target);
                    }
                    None => self.read_nothing(ground, tables, at, step.feature, other.read),
                }
            }
        }
    }

    /// Lists what an event does at its own key: count and read are one operation.
    #[inline]
    fn plan_own(&mut self, at: usize, step: &TypeStep, op: Op) {
        match step.own {
            Some(Own { read, members }) => {
                self.push(step.feature, Op { members, ..op }, Target { at: at as u32, read });
            }
            None if op.add => self.push(step.feature, op, NOWHERE),
            None => {}
        }
    }

    /// The same when the window lies back in time: it is read elsewhere than the event is counted.
    fn plan_shifted(&mut self, at: usize, step: &TypeStep, offset_ms: i64, op: Op, read_key: KeyHash) {
        if op.add {
            self.push(step.feature, op, NOWHERE);
        }
        if let Some(Own { read, members }) = step.own {
            let time_ms = op.time_ms - offset_ms;
            let shifted = Op { key: read_key, members, add: false, time_ms, ..op };
            self.push(step.feature, shifted, Target { at: at as u32, read });
        }
    }

    /// What a key with an empty part reads.
    #[cold]
    fn read_nothing(&mut self, ground: &Ground<'_>, tables: &[FeatureTable], at: usize, feature: u32, read: ReadIndex) {
        let nothing = tables[feature as usize].nothing();
        let feature = &ground.plan.features[feature as usize];
        let time_ms = self.entries[at].as_of_ms(&ground.events[at]) - feature.offset_ms;
        let program = || ground.programs.get(self.entries[at].program);
        let complete = feature.is_complete_for(program, time_ms, ground.started_ms);
        self.readings[at * ground.plan.reads + read.0 as usize] = reading(&nothing, feature, complete);
    }

    #[inline]
    fn push(&mut self, feature: u32, op: Op, target: Target) {
        self.ops[feature as usize].push(op);
        self.targets[feature as usize].push(target);
    }

    /// The key of these parts behind what stands before them; `None` when one is empty.
    #[inline]
    fn key(&self, ground: &Ground<'_>, at: usize, space: FirstPart, parts: &[PartIndex]) -> Option<KeyHash> {
        match parts {
            [part] => {
                let part = self.parts[at * ground.plan.parts.len() + *part as usize];
                part.map(|part| space.key(ground.hasher, &[part]))
            }
            parts => self.key_of_many(ground, at, space, parts),
        }
    }

    /// Apart, so that the key of one part stays in registers.
    #[inline(never)]
    fn key_of_many(&self, ground: &Ground<'_>, at: usize, space: FirstPart, parts: &[PartIndex]) -> Option<KeyHash> {
        let base = at * ground.plan.parts.len();
        let mut hashed = [PartHash::GLOBAL; KEY_PARTS_MAX];
        for (slot, part) in hashed.iter_mut().zip(parts) {
            *slot = self.parts[base + *part as usize]?;
        }
        Some(space.key(ground.hasher, &hashed[..parts.len()]))
    }

    /// The places of the events that the last plan counts under a key of a feature. What is older than the horizon of its
    /// feature is planned, and not counted by its table.
    pub(super) fn counted(&self, feature: usize, key: KeyHash) -> impl Iterator<Item = usize> {
        let ops = self.ops.get(feature).map_or(&[] as &[Op], Vec::as_slice);
        let counted = move |op: &&Op| op.add && op.key == key && op.time_ms >= op.horizon_ms;
        ops.iter().filter(counted).map(|op| self.place_of(op))
    }

    /// The key at which the last event of the chunk reads a feature; `None` when a part of it is empty.
    pub(super) fn key_of_last(&self, ground: &Ground<'_>, feature: u32, read: ReadIndex) -> Option<KeyHash> {
        let at = self.entries.len().checked_sub(1)?;
        let entry = &self.entries[at];
        let step = ground.plan.steps(entry.type_index).steps.iter().find(|step| step.feature == feature)?;
        let other = step.others.iter().find(|other| other.read == read);
        // Of two accounts that are compared, the first.
        let parts = other.map_or(&*step.key, |other| if other.same { &other.key[..1] } else { &other.key });
        let FeaturePlan { offset_ms, space, .. } = ground.plan.features[feature as usize];
        let as_of_ms = entry.as_of_ms(&ground.events[at]).saturating_sub(offset_ms);
        self.key(ground, at, space.first(ground.programs.get(entry.program), ground.hasher, as_of_ms), parts)
    }

    /// The value that an event brings to a feature; `None` when it is filtered out or has no value.
    #[inline]
    fn counted_value(&self, ground: &Ground<'_>, at: usize, step: &TypeStep) -> Option<u64> {
        let feature = &ground.rules.features[step.feature as usize];
        if let Some(filter) = &feature.filter
            && filter.test(&self.row(ground, at)) != Ok(true)
        {
            return None;
        }
        match ground.plan.features[step.feature as usize].value {
            ValueUse::None | ValueUse::Links => Some(0),
            ValueUse::Steps => {
                let row = self.row(ground, at);
                let steps = steps(feature, self.entries[at].type_index, &row);
                (steps != 0).then_some(steps)
            }
            ValueUse::Hashed(part) => self.parts[at * ground.plan.parts.len() + part as usize].map(PartHash::value),
            ValueUse::Amount => {
                let event = &ground.events[at];
                event.presence.has(Field::AmountMinor).then_some(event.amount_minor as u64)
            }
            ValueUse::Bits => {
                let row = self.row(ground, at);
                feature.value.as_ref().and_then(|value| scalar_bits(value, &row))
            }
        }
    }

    /// Executes the operations, one feature at a time over the whole chunk; before that the memory of all features is asked
    /// for, since one feature alone has too few operations in a chunk to fill the waits.
    /// `bring` sees the operations of each feature before any is.
    pub(super) fn apply(&mut self, ground: &Ground<'_>, tables: &mut [FeatureTable], bring: Bring<'_>) {
        for (place, (table, ops)) in tables.iter_mut().zip(&mut self.ops).enumerate() {
            bring(place, ops, table);
        }
        for step in Fetch::STEPS {
            for ((table, ops), guesses) in tables.iter().zip(&self.ops).zip(&mut self.guesses) {
                table.fetch(step, ops, guesses);
            }
        }
        for (index, (table, feature)) in tables.iter_mut().zip(&ground.plan.features).enumerate() {
            let ops = &self.ops[index];
            if ops.is_empty() {
                continue;
            }
            let ids: &[[u8; 16]] = if feature.ordered_by_id { &self.ids } else { &[] };
            self.seen.readings.clear();
            match feature.value {
                ValueUse::Links => table.apply_links(ops, &self.links[index], &mut self.seen),
                _ => table.apply_fetched(ops, &self.guesses[index], ids, &mut self.seen),
            }
            for ((target, op), seen) in self.targets[index].iter().zip(ops).zip(&self.seen.readings) {
                if target.at == u32::MAX {
                    continue;
                }
                let program = || ground.programs.get(self.entries[target.at as usize].program);
                let complete = feature.is_complete_for(program, op.time_ms.max(op.horizon_ms), ground.started_ms);
                let slot = target.at as usize * ground.plan.reads + target.read.0 as usize;
                self.readings[slot] = reading(seen, feature, complete);
                if let Value::Set { kept, start: Some(start), .. } = seen.value {
                    self.ranges[slot] = (start, kept);
                }
            }
        }
    }
}

/// A table's reading in the words of conditions.
#[inline]
pub(super) fn reading(seen: &state::Reading, feature: &FeaturePlan, complete: bool) -> Reading {
    let value = match seen.value {
        Value::Unknown => ReadingValue::Unknown,
        Value::Int(value) => ReadingValue::Int(value),
        Value::Double(value) => ReadingValue::Double(value),
        Value::Overflow => ReadingValue::Overflow,
        Value::Flag(value) => ReadingValue::Bool(value),
        Value::Time(ms) => ReadingValue::TimestampMs(ms),
        Value::Set { size, .. } if feature.value == ValueUse::Links => ReadingValue::Int(i64::from(size)),
        Value::Set { size, .. } => ReadingValue::Set { size: u64::from(size) },
        Value::Scalar(bits) => match feature.element {
            Some(Element::Text) => ReadingValue::Hash(bits),
            Some(Element::Int) => ReadingValue::Int(bits as i64),
            Some(Element::Double) => ReadingValue::Double(f64::from_bits(bits)),
            Some(Element::Bool) => ReadingValue::Bool(bits != 0),
            Some(Element::Timestamp) => ReadingValue::TimestampMs(bits as i64),
            Some(Element::Duration) => ReadingValue::DurationMs(bits as i64),
            None => ReadingValue::Unknown,
        },
    };
    let known = seen.known && value != ReadingValue::Overflow;
    Reading { value, complete, exact: seen.exact, known }
}

#[inline]
fn hash_text(text: &str, hasher: &KeyHasher) -> Option<PartHash> {
    (!text.is_empty()).then(|| hasher.part(state::Scalar::Text(text)))
}

fn hash_part(part: &Compiled, row: &Row<'_>, hasher: &KeyHasher) -> Option<PartHash> {
    const NANOS_PER_MS: i128 = 1_000_000;
    let scalar = match part.scalar(row).ok()? {
        Scalar::Null | Scalar::Hash(_) => return None,
        Scalar::Text(text) => return hash_text(&text, hasher),
        Scalar::Bool(value) => state::Scalar::Bool(value),
        Scalar::Int(value) => state::Scalar::Int(value),
        Scalar::Uint(value) => state::Scalar::Int(i64::try_from(value).ok()?),
        Scalar::Double(value) => state::Scalar::Double(value),
        Scalar::Timestamp(nanos) | Scalar::Duration(nanos) => {
            state::Scalar::Int(i64::try_from(nanos.div_euclid(NANOS_PER_MS)).ok()?)
        }
    };
    Some(hasher.part(scalar))
}

/// The steps of a sequence that an event can be, a bit each.
fn steps(feature: &Feature, of: Option<TypeIndex>, row: &Row<'_>) -> u64 {
    let is = |step: &Step| {
        of.is_some_and(|of| step.on.contains(&of))
            && step.filter.as_ref().is_none_or(|filter| filter.test(row) == Ok(true))
    };
    feature.steps.iter().enumerate().filter(|(_, step)| is(step)).map(|(place, _)| 1 << place).sum()
}

fn scalar_bits(value: &Compiled, row: &Row<'_>) -> Option<u64> {
    const NANOS_PER_MS: i128 = 1_000_000;
    Some(match value.scalar(row).ok()? {
        Scalar::Null | Scalar::Text(_) => return None,
        Scalar::Bool(value) => u64::from(value),
        Scalar::Int(value) => value as u64,
        Scalar::Uint(value) | Scalar::Hash(value) => value,
        Scalar::Double(value) => value.to_bits(),
        Scalar::Timestamp(nanos) | Scalar::Duration(nanos) => {
            i64::try_from(nanos.div_euclid(NANOS_PER_MS)).ok()? as u64
        }
    })
}

/// The first 16 bytes of an id, zero-padded: orders sums of doubles at equal times.
fn id_prefix(id: &str) -> [u8; 16] {
    let mut prefix = [0; 16];
    let length = id.len().min(prefix.len());
    prefix[..length].copy_from_slice(&id.as_bytes()[..length]);
    prefix
}
