//! What is remembered of accounts and places: the first round of operations.
//!
//! `account.first_seen`, `referrer.age`, `geo.speed_kmh` and their kin are kept in windows like any feature, so that they
//! are exact as of an event's time, late events included. They come in a round of their own because the keys and filters
//! of features may use them. Only tables that some loaded rule reads exist. Who invited an account is the one text among
//! them: see `referrers`.

mod keys;
mod known;

pub use known::KnownFact;

use std::ops::Range;

use super::programs::Program;
use super::referrers::Referrers;
use crate::event::{Event, EventBatch, Field, Signal, Signals};
use crate::ruleset::cel::{AccountFact, GeoFact, ReadSource, ReadingValue, Referral, Role};
use crate::state::{
    Aggregate, FeatureTable, KeyHash, KeyHasher, Op, PartHash, Reach, Reading, Readings, Scalar, Value, WindowSpec,
};

/// Mean radius of the Earth in kilometres (IUGG 1980: R1 = 6371.0088).
const EARTH_RADIUS_KM: f64 = 6371.0088;

/// What one table remembers, by account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memory {
    /// The first event that names it as the one that acts, gets or receives.
    FirstSeen,
    /// Its latest event.
    LastSeen,
    /// Its customer's latest act.
    LastActive,
    /// `account_created_at`, where an event had it.
    OpenedAt,
    /// Each device with it.
    Device,
    /// Each country with it.
    Country,
    /// Its first `referral.completed`.
    ReferredAt,
    /// The latest place, packed.
    Place,
    /// When it was there.
    PlaceTime,
}

/// The roles in the order in which an event is told of them: what is only read comes last, so that it sees the event too.
const ROLES: [Role; 3] = [Role::Account, Role::Recipient, Role::Referrer];

const MEMORIES: [Memory; 9] = [
    Memory::FirstSeen,
    Memory::LastSeen,
    Memory::LastActive,
    Memory::OpenedAt,
    Memory::Device,
    Memory::Country,
    Memory::ReferredAt,
    Memory::Place,
    Memory::PlaceTime,
];

impl Memory {
    fn aggregate(self) -> Aggregate {
        match self {
            Memory::FirstSeen | Memory::ReferredAt => Aggregate::First,
            Memory::LastSeen | Memory::LastActive | Memory::Device | Memory::Country | Memory::PlaceTime => {
                Aggregate::Last
            }
            Memory::OpenedAt | Memory::Place => Aggregate::Previous,
        }
    }

    /// What it remembers, in words.
    fn said(self) -> &'static str {
        match self {
            Memory::FirstSeen => "when an account was first seen",
            Memory::LastSeen => "when it was last seen",
            Memory::LastActive => "when it was last active",
            Memory::OpenedAt => "when it was opened",
            Memory::Device => "its devices",
            Memory::Country => "its countries",
            Memory::ReferredAt => "when it was referred",
            Memory::Place => "where it was",
            Memory::PlaceTime => "when it was there",
        }
    }

    /// The name of the fact that it is behind.
    fn name(self) -> &'static str {
        match self {
            Memory::FirstSeen => "account.first_seen",
            Memory::LastSeen => "account.last_seen",
            Memory::LastActive => "account.last_active",
            Memory::OpenedAt => "account.opened_at",
            Memory::Device => "account.devices",
            Memory::Country => "account.countries",
            Memory::ReferredAt => "account.referrer",
            Memory::Place => "account.place",
            Memory::PlaceTime => "account.place_time",
        }
    }

    /// The tables that a fact is made of.
    fn behind(source: &ReadSource) -> &'static [Memory] {
        match source {
            ReadSource::Feature { .. } => &[],
            ReadSource::Geo(_) => &[Memory::Place, Memory::PlaceTime],
            ReadSource::Referral(_) => &[Memory::ReferredAt],
            ReadSource::Account { fact, .. } => match fact {
                AccountFact::Age => &[Memory::OpenedAt, Memory::FirstSeen],
                AccountFact::FirstSeen => &[Memory::FirstSeen],
                AccountFact::LastSeen => &[Memory::LastSeen],
                AccountFact::LastActive => &[Memory::LastActive],
                AccountFact::NewDevice => &[Memory::Device],
                AccountFact::NewCountry => &[Memory::Country],
                AccountFact::ReferredAt | AccountFact::Referrer => &[Memory::ReferredAt],
            },
        }
    }

    /// The second part of its key, beside the account: `Some(None)` when this event has none.
    fn extra<'a>(self, batch: &'a EventBatch, event: &Event, signals: &Signals) -> Option<Option<&'a str>> {
        let text = match self {
            Memory::Device => batch.text(signals.text(Signal::DeviceId)),
            Memory::Country => match batch.text(signals.text(Signal::IpCountry)) {
                "" => batch.field(event, Field::Country),
                country => country,
            },
            _ => return None,
        };
        Some((!text.is_empty()).then_some(text))
    }

    /// Whether an event is remembered of the account in this role. Who receives has been seen, though he did not act; who is
    /// named as a referrer may be anybody.
    fn learns_of(self, role: Role) -> bool {
        role == Role::Account || role == Role::Recipient && self == Memory::FirstSeen
    }

    /// Whether it remembers this event, and with which value.
    fn value(self, batch: &EventBatch, event: &Event) -> Option<u64> {
        let has = |field| event.presence.has(field);
        match self {
            Memory::FirstSeen | Memory::LastSeen => Some(0),
            // What anybody can bring about who only tries, such as a failed login, does not make his device known. Of
            // types that refguard does not know it cannot tell.
            Memory::Device | Memory::Country => event.kind.spec().is_none_or(|spec| spec.active).then_some(0),
            Memory::LastActive => event.kind.spec().is_some_and(|spec| spec.active).then_some(0),
            Memory::OpenedAt => has(Field::AccountCreatedAt).then_some(event.account_created_at_ms as u64),
            Memory::ReferredAt => (batch.field(event, Field::Type) == "referral.completed").then_some(0),
            Memory::Place | Memory::PlaceTime => {
                (has(Field::Latitude) && has(Field::Longitude)).then(|| pack(event.latitude, event.longitude))
            }
        }
    }
}

/// A place in 64 bits: two floats of 32 bits, exact to 2 m.
fn pack(latitude: f64, longitude: f64) -> u64 {
    u64::from((latitude as f32).to_bits()) << 32 | u64::from((longitude as f32).to_bits())
}

fn unpack(place: u64) -> (f64, f64) {
    (f64::from(f32::from_bits((place >> 32) as u32)), f64::from(f32::from_bits(place as u32)))
}

/// Great-circle distance by the haversine formula, in kilometres.
fn distance_km(from: (f64, f64), to: (f64, f64)) -> f64 {
    let (from_latitude, to_latitude) = (from.0.to_radians(), to.0.to_radians());
    let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
    let h = half(to.0 - from.0) + from_latitude.cos() * to_latitude.cos() * half(to.1 - from.1);
    2.0 * EARTH_RADIUS_KM * h.sqrt().min(1.0).asin()
}

/// Which tables exist: decided by what the rule set reads.
#[derive(Debug, Default)]
pub(super) struct AccountTables {
    kept: Vec<(Memory, Vec<Role>)>,
    /// Whether some rule reads who invited an account.
    referrers: bool,
}

impl AccountTables {
    /// The tables behind these reads.
    pub(super) fn new<'a>(reads: impl Iterator<Item = &'a ReadSource>) -> AccountTables {
        let mut roles: [Vec<Role>; MEMORIES.len()] = Default::default();
        let mut referrers = false;
        for source in reads {
            referrers |=
                matches!(source, ReadSource::Account { fact: AccountFact::Referrer, .. } | ReadSource::Referral(_));
            let role = match source {
                ReadSource::Account { role, .. } => *role,
                _ => Role::Account,
            };
            for memory in Memory::behind(source) {
                let known = &mut roles[*memory as usize];
                if !known.contains(&role) {
                    known.push(role);
                }
            }
        }
        let kept = MEMORIES.into_iter().zip(roles).filter(|(_, roles)| !roles.is_empty()).collect();
        AccountTables { kept, referrers }
    }

    /// The signals that the tables need.
    pub(super) fn signals(&self) -> impl Iterator<Item = Signal> {
        self.kept.iter().filter_map(|(memory, _)| match memory {
            Memory::Device => Some(Signal::DeviceId),
            Memory::Country => Some(Signal::IpCountry),
            _ => None,
        })
    }

    /// What these remember and the others do not, in words.
    pub(super) fn beyond(&self, others: &AccountTables) -> Vec<&'static str> {
        let known = |memory: &Memory| others.kept.iter().any(|(known, _)| known == memory);
        let new = self.kept.iter().map(|(memory, _)| *memory).filter(|memory| !known(memory)).map(Memory::said);
        new.chain((self.referrers && !others.referrers).then_some("who invited it")).collect()
    }

    /// Whether there is nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

/// What sees the operations of a table, by its place, before they are executed: it may bring in what they need.
pub(super) type Bring<'a> = &'a mut dyn FnMut(usize, &mut [Op], &mut FeatureTable);

/// One event, as the first round sees it.
#[derive(Clone, Copy)]
pub(super) struct Visit<'a> {
    pub batch: &'a EventBatch,
    pub event: &'a Event,
    pub signals: &'a Signals,
    pub program: &'a Program,
    pub identity: u64,
    pub horizon_ms: i64,
    pub feeds: bool,
}

impl Visit<'_> {
    /// The key of these parts in the event's program.
    fn key(&self, hasher: &KeyHasher, parts: &[PartHash]) -> KeyHash {
        hasher.key(self.program.part, parts).of_class(self.program.class)
    }
}

/// What a table said of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Seen {
    /// It was not asked, or it cannot tell, because something was refused for want of room.
    #[default]
    Unknown,
    /// Nothing is remembered.
    Nothing,
    /// An instant or a place.
    Bits(u64),
}

impl Seen {
    fn of(reading: &Reading) -> Seen {
        match reading.value {
            _ if !reading.exact => Seen::Unknown,
            Value::Time(ms) => Seen::Bits(ms as u64),
            Value::Scalar(bits) => Seen::Bits(bits),
            _ => Seen::Nothing,
        }
    }

    fn bits(self) -> Option<u64> {
        match self {
            Seen::Bits(bits) => Some(bits),
            Seen::Unknown | Seen::Nothing => None,
        }
    }
}

/// The memory of accounts: its tables, and what they said of each event of a chunk.
#[derive(Debug)]
pub(super) struct AccountMemory {
    tables: Vec<FeatureTable>,
    /// By table.
    memories: Vec<Memory>,
    /// Who invited the accounts, if some rule reads it.
    referrers: Option<Referrers>,
    ops: Vec<Op>,
    /// For each operation: the event's place in the chunk, and the role; `None` feeds without being read.
    targets: Vec<(u32, Option<Role>)>,
    readings: Readings,
    /// The referrers of the chunk's accounts, one after the other.
    names: String,
    /// By event of the chunk and role: where its referrer stands among the names; empty: nobody is known.
    invited_by: Vec<[Range<usize>; Role::ALL.len()]>,
    /// By event of the chunk and role: the hash of the account's id.
    ids: Vec<[Option<PartHash>; Role::ALL.len()]>,
    /// By event of the chunk, role and memory.
    seen: Vec<[[Seen; MEMORIES.len()]; Role::ALL.len()]>,
}

impl AccountMemory {
    /// Empty tables that forget an account when it was not seen for `retention_ms`.
    pub(super) fn new(plan: &AccountTables, retention_ms: i64, max_entries: u32) -> AccountMemory {
        let spec = |memory: Memory| WindowSpec {
            max_entries,
            ..WindowSpec::new(memory.aggregate(), Reach::Retention(retention_ms))
        };
        AccountMemory {
            tables: plan.kept.iter().map(|(memory, _)| FeatureTable::new(spec(*memory))).collect(),
            memories: plan.kept.iter().map(|(memory, _)| *memory).collect(),
            referrers: plan.referrers.then(|| Referrers::new(retention_ms)),
            ops: Vec::new(),
            targets: Vec::new(),
            readings: Readings::default(),
            names: String::new(),
            invited_by: Vec::new(),
            ids: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// Goes over to other tables: those that both know keep what they hold, the rest begin empty. Answers for each of the
    /// tables now which of those before it is.
    pub(super) fn reload(
        &mut self,
        from: &AccountTables,
        to: &AccountTables,
        retention_ms: i64,
        max_entries: u32,
    ) -> Vec<Option<usize>> {
        let fresh = AccountMemory::new(to, retention_ms, max_entries);
        let kept = |memory: &Memory| from.kept.iter().position(|(known, _)| known == memory);
        let places: Vec<Option<usize>> = to.kept.iter().map(|(memory, _)| kept(memory)).collect();
        let mut before: Vec<Option<FeatureTable>> = std::mem::take(&mut self.tables).into_iter().map(Some).collect();
        let tables = fresh.tables.into_iter().zip(&places);
        let tables = tables.map(|(fresh, place)| place.and_then(|place| before[place].take()).unwrap_or(fresh));
        let tables = tables.collect();
        let referrers = match (self.referrers.take(), fresh.referrers) {
            (Some(known), Some(_)) => Some(known),
            (_, fresh) => fresh,
        };
        *self = AccountMemory {
            tables,
            memories: fresh.memories,
            referrers,
            ..AccountMemory::new(&AccountTables::default(), retention_ms, max_entries)
        };
        places
    }

    /// The tables.
    pub(super) fn tables(&self) -> &[FeatureTable] {
        &self.tables
    }

    /// What a table remembers, by the name of a fact.
    pub(super) fn name(&self, place: usize) -> &'static str {
        self.memories[place].name()
    }

    /// Bytes of a table; texts are counted with the one that decides which of them are kept.
    pub(super) fn bytes_of(&self, place: usize) -> usize {
        let texts = if self.memories[place] == Memory::ReferredAt { self.text_bytes() } else { 0 };
        self.tables[place].bytes() + texts
    }

    /// The tables, for accounting and sweeping.
    pub(super) fn tables_mut(&mut self) -> &mut [FeatureTable] {
        &mut self.tables
    }

    /// Who invited the accounts, if it is kept.
    pub(super) fn referrers(&self) -> Option<&Referrers> {
        self.referrers.as_ref()
    }

    /// The same, to be read from a checkpoint.
    pub(super) fn referrers_mut(&mut self) -> Option<&mut Referrers> {
        self.referrers.as_mut()
    }

    /// Bytes of the texts kept beside the tables.
    fn text_bytes(&self) -> usize {
        self.referrers.as_ref().map_or(0, Referrers::bytes)
    }

    /// Forgets the texts that no event from the horizon on can see.
    pub(super) fn expire_texts(&mut self, horizon_ms: i64) {
        if let Some(referrers) = &mut self.referrers {
            referrers.expire(horizon_ms);
        }
    }

    /// Executes the first round for the events of a chunk; `bring` sees the operations of each table before it executes them.
    pub(super) fn apply<'a>(
        &mut self,
        plan: &AccountTables,
        hasher: &KeyHasher,
        events: usize,
        visit: impl Fn(usize) -> Visit<'a>,
        bring: Bring<'_>,
    ) {
        self.begin(hasher, events, &visit);
        for (place, (memory, roles)) in plan.kept.iter().enumerate() {
            self.list(*memory, roles, hasher, &visit);
            self.readings.clear();
            let table = &mut self.tables[place];
            bring(place, &mut self.ops, table);
            table.apply(&self.ops, &[], &mut self.readings);
            for ((at, role), reading) in self.targets.iter().zip(&self.readings.readings) {
                if let Some(role) = role {
                    self.seen[*at as usize][*role as usize][*memory as usize] = Seen::of(reading);
                }
            }
        }
        self.names.clear();
        self.invited_by.clear();
    }

    /// Looks whom the events of a chunk name.
    fn begin<'a>(&mut self, hasher: &KeyHasher, events: usize, visit: &impl Fn(usize) -> Visit<'a>) {
        self.seen.clear();
        self.seen.resize(events, Default::default());
        self.ids.clear();
        self.ids.extend((0..events).map(|at| ids(hasher, &visit(at))));
    }

    /// Lists the operations of a table for the events of a chunk.
    fn list<'a>(&mut self, memory: Memory, roles: &[Role], hasher: &KeyHasher, visit: &impl Fn(usize) -> Visit<'a>) {
        self.ops.clear();
        self.targets.clear();
        for (at, ids) in self.ids.iter().enumerate() {
            let visit = visit(at);
            for role in &ROLES {
                let id = &ids[*role as usize];
                if *role != stands_for(*role, ids) {
                    continue;
                }
                let adds = memory.learns_of(*role) && visit.feeds;
                let value = if adds { memory.value(visit.batch, visit.event) } else { None };
                // A referral's own reading tells whether it is the first.
                let read = roles.iter().any(|asked| stands_for(*asked, ids) == *role)
                    || memory == Memory::ReferredAt && value.is_some();
                if !read && value.is_none() {
                    continue;
                }
                let Some(key) = id.and_then(|id| key(memory, id, hasher, &visit)) else { continue };
                self.ops.push(Op {
                    key,
                    time_ms: visit.event.event_time_ms,
                    horizon_ms: visit.horizon_ms,
                    event: visit.identity,
                    value: value.unwrap_or(0),
                    add: value.is_some(),
                    id: at as u32,
                    ..Op::default()
                });
                self.targets.push((at as u32, read.then_some(*role)));
            }
        }
    }

    /// Learns who invited whom from the next event of the chunk, and notes what is known as of then.
    pub(super) fn refer(&mut self, at: usize, hasher: &KeyHasher, visit: &Visit<'_>) {
        let Some(referrers) = &mut self.referrers else { return };
        let (ids, seen) = (&self.ids[at], &self.seen[at]);
        let key = |role: Role| ids[role as usize].map(|id| visit.key(hasher, &[id]));
        let first_ms = |role: Role| seen[role as usize][Memory::ReferredAt as usize].bits().map(|bits| bits as i64);
        if visit.feeds
            && Memory::ReferredAt.value(visit.batch, visit.event).is_some()
            && let Some(account) = key(Role::Account)
        {
            let referrer = visit.batch.field(visit.event, Field::ReferrerId);
            referrers.refer(account, visit.event.event_time_ms, first_ms(Role::Account), referrer);
        }
        self.invited_by.push([Role::Account, Role::Referrer, Role::Recipient].map(|role| {
            let start = self.names.len();
            if let Some(referrer) = key(role).zip(first_ms(role)).and_then(|(key, at)| referrers.of(key, at)) {
                self.names.push_str(referrer);
            }
            start..self.names.len()
        }));
    }

    /// Answers a question about the chain of referrers above an account, as of the event that was learned from last.
    pub(super) fn referral(
        &self,
        question: &Referral,
        accounts: &[&str],
        hasher: &KeyHasher,
        visit: &Visit<'_>,
    ) -> ReadingValue {
        let as_of_ms = visit.event.event_time_ms.max(visit.horizon_ms);
        let key = |account: &str| visit.key(hasher, &[hasher.part(Scalar::Text(account))]);
        let above =
            |account| self.referrers.iter().flat_map(move |of| of.above(visit.program.part, account, as_of_ms, key));
        match (question, accounts) {
            (Referral::Depth(_), [account]) => ReadingValue::Int(above(account).count() as i64),
            (Referral::Cycle(_), [referrer, referee]) => ReadingValue::Bool(
                !referrer.is_empty() && (referrer == referee || above(referrer).any(|account| account == *referee)),
            ),
            _ => ReadingValue::Unknown,
        }
    }

    /// Who invited the account of an event, where that is a fact that is read; `""` when nobody is known.
    pub(super) fn referrer(&self, at: usize, role: Role) -> &str {
        let role = stands_for(role, &self.ids[at]);
        self.invited_by.get(at).map_or("", |roles| &self.names[roles[role as usize].clone()])
    }

    /// A fact about the event at this place of the chunk.
    pub(super) fn fact(&self, at: usize, source: &ReadSource, visit: &Visit<'_>) -> ReadingValue {
        let (role, fact) = match source {
            ReadSource::Account { role, fact } => (*role, *fact),
            ReadSource::Geo(fact) => return self.geo(at, *fact, visit.event),
            ReadSource::Feature { .. } | ReadSource::Referral(_) => return ReadingValue::Unknown,
        };
        let role = stands_for(role, &self.ids[at]);
        let seen = |memory: Memory| self.seen[at][role as usize][memory as usize].bits().map(|bits| bits as i64);
        let time = |memory| seen(memory).map_or(ReadingValue::Unknown, ReadingValue::TimestampMs);
        match fact {
            AccountFact::FirstSeen => time(Memory::FirstSeen),
            AccountFact::LastSeen => time(Memory::LastSeen),
            AccountFact::LastActive => time(Memory::LastActive),
            AccountFact::ReferredAt => time(Memory::ReferredAt),
            AccountFact::Age => {
                let told = visit.event.presence.has(Field::AccountCreatedAt) && role == Role::Account;
                let opened = if told { Some(visit.event.account_created_at_ms) } else { seen(Memory::OpenedAt) };
                let since = opened.or_else(|| seen(Memory::FirstSeen));
                // Clocks differ: nobody is younger than new.
                let age_ms = |since| visit.event.event_time_ms.saturating_sub(since).max(0);
                since.map_or(ReadingValue::Unknown, |since| ReadingValue::DurationMs(age_ms(since)))
            }
            AccountFact::NewDevice => ReadingValue::Bool(self.is_new(at, role, Memory::Device)),
            AccountFact::NewCountry => ReadingValue::Bool(self.is_new(at, role, Memory::Country)),
            AccountFact::Referrer if self.referrer(at, role).is_empty() => ReadingValue::Unknown,
            AccountFact::Referrer => ReadingValue::Text,
        }
    }

    /// Whether the account is known not to have been seen with this: without an account, a device or a country nothing
    /// is known.
    fn is_new(&self, at: usize, role: Role, memory: Memory) -> bool {
        self.seen[at][role as usize][memory as usize] == Seen::Nothing
    }

    fn geo(&self, at: usize, fact: GeoFact, event: &Event) -> ReadingValue {
        let seen = &self.seen[at][Role::Account as usize];
        let here = event.presence.has(Field::Latitude) && event.presence.has(Field::Longitude);
        let (Some(place), Some(time_ms), true) =
            (seen[Memory::Place as usize].bits(), seen[Memory::PlaceTime as usize].bits(), here)
        else {
            return ReadingValue::Unknown;
        };
        let travelled_km = distance_km(unpack(place), unpack(pack(event.latitude, event.longitude)));
        match fact {
            GeoFact::DistanceKm => ReadingValue::Double(travelled_km),
            GeoFact::SpeedKmh => {
                // Two places at one instant: as if a second had passed, so that the speed stays finite.
                let hours = event.event_time_ms.saturating_sub(time_ms as i64).max(1000) as f64 / 3_600_000.0;
                ReadingValue::Double(travelled_km / hours)
            }
        }
    }
}

/// The hashes of the ids of an event's accounts, by role.
fn ids(hasher: &KeyHasher, visit: &Visit<'_>) -> [Option<PartHash>; Role::ALL.len()] {
    let mut ids = [None; Role::ALL.len()];
    for (id, role) in ids.iter_mut().zip(Role::ALL) {
        let text = visit.batch.field(visit.event, role.id_field());
        *id = (!text.is_empty()).then(|| hasher.part(Scalar::Text(text)));
    }
    ids
}

/// The role that is looked up for this one: an account that refers to itself, or gives to itself, is one account, and
/// what is known of it as of before this event is the same in each role.
fn stands_for(role: Role, ids: &[Option<PartHash>; Role::ALL.len()]) -> Role {
    let id = |role: Role| ids[role as usize];
    if id(role).is_some() && id(role) == id(Role::Account) { Role::Account } else { role }
}

/// The key of a table for the account of this id; `None` when the event lacks the key's second part.
fn key(memory: Memory, id: PartHash, hasher: &KeyHasher, visit: &Visit<'_>) -> Option<KeyHash> {
    match memory.extra(visit.batch, visit.event, visit.signals) {
        None => Some(visit.key(hasher, &[id])),
        Some(extra) => extra.map(|extra| visit.key(hasher, &[id, hasher.part(Scalar::Text(extra))])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_map() {
        let (riyadh, jeddah) = ((24.7136, 46.6753), (21.4858, 39.1925));
        let km = distance_km(riyadh, jeddah);
        assert!((km - 847.0).abs() < 5.0, "{km}");
        assert!(distance_km(riyadh, unpack(pack(riyadh.0, riyadh.1))) < 0.005, "packing costs metres at most");
        let across = distance_km((0.0, 0.0), (0.0, 180.0));
        assert!((across - std::f64::consts::PI * EARTH_RADIUS_KM).abs() < 1e-6, "{across}");
    }
}
