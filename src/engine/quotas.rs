//! What a program may take: events a second, keys and bytes of the state. A producer writes the program's name, and none may
//! fill the memory or drown the others.
//!
//! Each program with a quota is a class of its own; programs that are not configured are one class together, so that made-up
//! names take no more than one. *Events* are counted in order of arrival, by the algorithm of `rate` on event time: one
//! too many is judged, and feeds nothing. *Keys* and *bytes* are added up over all tables at the fixed places of the log where
//! memory is looked at, and each table gets an equal share of what is left until the next. So there are never more keys than
//! the quota, and more bytes by one step of one window in each table at most; whoever comes near it is refused a little
//! before, and what others do moves nothing but the places of the looks. A key refused reads as not exact, as under
//! `state.max_bytes`.
//!
//! Not metered are keys of features of `scope: global`, identities, decisions, and the names of referrers. Knows `state`.
//! Tested in `tests/quotas.rs` and, one table against another, beside `state/classes.rs`.

mod stored;

use super::policy::Policy;
use crate::state::{Class, ClassRoom, ClassUse, FeatureTable, Meter};

/// How many programs with a quota are told apart; others beyond them have none.
pub const QUOTAS_MAX: usize = 254;
/// The class of programs that are not configured, whether or not they have a quota.
pub(super) const UNNAMED: Class = Class(1);
/// A quota that refused nothing for so long, in event time, has ended to refuse.
const QUIET_MS: i64 = 60_000;
/// How many changes are kept for whoever tells them.
const CHANGES_MAX: usize = 100;

/// How much a program may take; what is absent is not bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Events that are counted.
    pub events: Option<EventQuota>,
    /// Keys over all features and facts about accounts.
    pub keys: Option<usize>,
    /// Bytes of these.
    pub bytes: Option<usize>,
}

/// How many events are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventQuota {
    /// Events a second of event time, at least 1.
    pub per_second: u32,
    /// Events at once, at least 1.
    pub burst: u32,
}

impl Quota {
    /// Whether something is bounded.
    pub fn is_some(&self) -> bool {
        *self != Quota::default()
    }
}

/// What a quota is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QuotaOf {
    /// Events a second.
    Events,
    /// Keys.
    Keys,
    /// Bytes.
    Bytes,
}

impl QuotaOf {
    /// All of them.
    pub const ALL: [QuotaOf; 3] = [QuotaOf::Events, QuotaOf::Keys, QuotaOf::Bytes];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            QuotaOf::Events => "events",
            QuotaOf::Keys => "keys",
            QuotaOf::Bytes => "bytes",
        }
    }
}

/// A quota has begun to refuse, or refuses no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaChange {
    /// The program; `None`: those that are not configured.
    pub program: Option<Box<str>>,
    /// Which of its quotas.
    pub of: QuotaOf,
    /// Whether it refuses from here on.
    pub refuses: bool,
}

/// How far a quota is used.
#[derive(Clone, Debug, PartialEq)]
pub struct QuotaUse {
    /// The program; `None`: those that are not configured.
    pub program: Option<Box<str>>,
    /// Which of its quotas.
    pub of: QuotaOf,
    /// The share that is used: of keys and bytes as of the last look, of the events that may come at once as of the watermark.
    pub used: f64,
    /// How many events it was exceeded by since the engine was made: for keys and bytes, once for each feature that did not
    /// count the event.
    pub refused: u64,
}

impl Policy {
    /// The same without quotas: tests inside rule files are small, and told apart from the traffic that quotas are for.
    pub(super) fn without_quotas(mut self) -> Policy {
        let named = self.programs.iter_mut().map(|(_, of)| &mut of.quota);
        named.chain([&mut self.unnamed_quota]).for_each(|quota| *quota = Quota::default());
        self
    }
}

/// For whose quota the events of a program count.
pub(super) fn class_of(policy: &Policy, name: &str) -> Class {
    let named = || policy.programs.iter().filter(|(_, of)| of.quota.is_some()).take(QUOTAS_MAX);
    match policy.programs.iter().any(|(program, _)| program == name) {
        false => UNNAMED,
        true => named().position(|(program, _)| program == name).map_or(Class::NONE, |place| Class(place as u8 + 2)),
    }
}

/// The quotas of all programs.
#[derive(Debug)]
pub(super) struct Quotas {
    /// By class from the first on.
    of: Vec<Metered>,
    /// By class from the first on.
    meters: Meters,
    changes: Vec<QuotaChange>,
}

/// What counts events, by class from the first on: the part of quotas that follows a clock.
pub(super) type Meters = Vec<Option<Meter>>;

#[derive(Debug)]
struct Metered {
    program: Option<Box<str>>,
    quota: Quota,
    used: ClassUse,
    /// By [`QuotaOf`]: what was refused.
    refused: [u64; 3],
    /// By [`QuotaOf`]: how much of it was looked at.
    told: [u64; 3],
    /// By [`QuotaOf`]: when it was seen to refuse last, while it does.
    refused_ms: [Option<i64>; 3],
}

impl Quotas {
    pub(super) fn new(policy: &Policy) -> Quotas {
        let named = policy.programs.iter().filter(|(_, of)| of.quota.is_some()).take(QUOTAS_MAX);
        let named = named.map(|(name, of)| (Some(name.as_str().into()), of.quota));
        let of = |(program, quota): (Option<Box<str>>, Quota)| Metered {
            program,
            quota,
            used: ClassUse::default(),
            refused: [0; 3],
            told: [0; 3],
            refused_ms: [None; 3],
        };
        let of: Vec<Metered> = std::iter::once((None, policy.unnamed_quota)).chain(named).map(of).collect();
        let meter = |of: &Metered| of.quota.events.map(|events| Meter::new(events.per_second, events.burst));
        Quotas { meters: of.iter().map(meter).collect(), of, changes: Vec::new() }
    }

    /// Whether an event that would be counted is one too many of its class.
    #[inline]
    pub(super) fn exceeds(&mut self, class: Class, time_ms: i64) -> bool {
        let Some(place) = usize::from(class.0).checked_sub(1) else { return false };
        let Some(Some(meter)) = self.meters.get_mut(place) else { return false };
        let exceeds = meter.exceeds(time_ms);
        self.of[place].refused[QuotaOf::Events as usize] += u64::from(exceeds);
        exceeds
    }

    /// Meters that nothing has passed, for history that has a clock of its own.
    pub(super) fn meters_anew(&self) -> Meters {
        self.meters.iter().map(|meter| meter.as_ref().map(Meter::begun_anew)).collect()
    }

    /// Takes other meters, and gives those before.
    pub(super) fn exchange(&mut self, meters: &mut Meters) {
        std::mem::swap(&mut self.meters, meters);
    }

    /// Begins to count in tables that are new, and gives all of them room.
    pub(super) fn open(&mut self, features: &mut [FeatureTable], accounts: &mut [FeatureTable], now_ms: Option<i64>) {
        let is_metered = |of: &Metered| of.quota.keys.is_some() || of.quota.bytes.is_some();
        let classes = self.of.iter().rposition(is_metered).map_or(0, |last| last + 1);
        features.iter_mut().chain(accounts.iter_mut()).for_each(|table| table.meter(classes));
        self.look(features, accounts, now_ms);
    }

    /// Adds up what each class takes in all tables, and gives them room until the next look. `now_ms` is the watermark.
    pub(super) fn look(&mut self, features: &mut [FeatureTable], accounts: &mut [FeatureTable], now_ms: Option<i64>) {
        for place in 0..self.of.len() {
            let class = Class(place as u8 + 1);
            let of = &mut self.of[place];
            if of.quota.keys.is_some() || of.quota.bytes.is_some() {
                of.used = ClassUse::default();
                for table in features.iter_mut().chain(accounts.iter_mut()) {
                    let used = table.class_use(class);
                    of.used.keys += used.keys;
                    of.used.bytes += used.bytes;
                    let refused = table.take_class_refused(class);
                    of.refused[QuotaOf::Keys as usize] += refused.keys;
                    of.refused[QuotaOf::Bytes as usize] += refused.bytes;
                }
                of.allow(class, features, accounts);
            }
            for kind in QuotaOf::ALL {
                self.tell(place, kind, now_ms.unwrap_or(i64::MIN));
            }
        }
    }

    /// Notes whether a quota has begun to refuse since the last look, or has ended to.
    fn tell(&mut self, place: usize, kind: QuotaOf, now_ms: i64) {
        let of = &mut self.of[place];
        let refused_now = of.refused[kind as usize] > of.told[kind as usize];
        of.told[kind as usize] = of.refused[kind as usize];
        let since = &mut of.refused_ms[kind as usize];
        let refuses = match *since {
            None if refused_now => true,
            Some(last_ms) if !refused_now && now_ms.saturating_sub(last_ms) >= QUIET_MS => false,
            _ => {
                *since = since.map(|last_ms| if refused_now { now_ms } else { last_ms });
                return;
            }
        };
        *since = refuses.then_some(now_ms);
        if self.changes.len() == CHANGES_MAX {
            self.changes.remove(0);
        }
        self.changes.push(QuotaChange { program: of.program.clone(), of: kind, refuses });
    }

    /// The changes since the last call, the latest hundred, in order.
    pub(super) fn take_changes(&mut self) -> Vec<QuotaChange> {
        std::mem::take(&mut self.changes)
    }

    /// How far each quota is used.
    pub(super) fn uses(&self, now_ms: Option<i64>) -> Vec<QuotaUse> {
        let mut uses = Vec::new();
        for (of, meter) in self.of.iter().zip(&self.meters) {
            let share = |used: usize, quota: usize| used as f64 / quota.max(1) as f64;
            let shares = [
                meter.as_ref().map(|meter| meter.used(now_ms.unwrap_or(i64::MIN))),
                of.quota.keys.map(|keys| share(of.used.keys, keys)),
                of.quota.bytes.map(|bytes| share(of.used.bytes, bytes)),
            ];
            for ((kind, used), refused) in QuotaOf::ALL.into_iter().zip(shares).zip(of.refused) {
                uses.extend(used.map(|used| QuotaUse { program: of.program.clone(), of: kind, used, refused }));
            }
        }
        uses
    }
}

impl Metered {
    /// Shares what is left among the tables: keys alike, and of the bytes one half for keys and one for windows that grow.
    fn allow(&self, class: Class, features: &mut [FeatureTable], accounts: &mut [FeatureTable]) {
        let tables = (features.len() + accounts.len()).max(1);
        let left = |quota: Option<usize>, used: usize| quota.map_or(usize::MAX, |quota| quota.saturating_sub(used));
        let keys_left = left(self.quota.keys, self.used.keys);
        let bytes = left(self.quota.bytes, self.used.bytes) / tables / 2;
        for (place, table) in features.iter_mut().chain(accounts).enumerate() {
            // The first tables get what does not divide.
            let keys = keys_left / tables + usize::from(place < keys_left % tables);
            let for_bytes = bytes / table.key_bytes();
            let room = ClassRoom { keys: keys.min(for_bytes), keys_for_bytes: for_bytes < keys, grown_bytes: bytes };
            table.allow_class(class, room);
        }
    }
}
