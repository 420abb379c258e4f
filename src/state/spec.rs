//! What a feature remembers for each of its keys.

use super::rate::RateRule;

/// What kind of number a `value` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// An `i64`.
    Int,
    /// An `f64`, by its bits.
    Double,
}

/// What is computed over a key's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// How many events.
    Count,
    /// Sum of the values.
    Sum(Number),
    /// Mean of the values, a double.
    Avg(Number),
    /// Least value. Doubles compare by IEEE 754's total order.
    Min(Number),
    /// Greatest value. Doubles compare by IEEE 754's total order.
    Max(Number),
    /// How many different values.
    Distinct,
    /// The different values.
    Set,
    /// Time of the earliest event.
    First,
    /// Time of the latest event before this one.
    Last,
    /// Value of the latest event before this one.
    Previous,
    /// Whether this event exceeds a rate (the generic cell rate algorithm on event time).
    Rate {
        /// Events allowed per `per_ms`, at least 1.
        limit: u32,
        /// Milliseconds, at least 1.
        per_ms: i64,
        /// Events allowed at once, at least 1.
        burst: u32,
    },
    /// How many of these steps happened in their order; an operation's value has a bit for each step that its event can be.
    Sequence(Steps),
    /// How many accounts are linked with the key's account, through any chain of shared values. It takes its operations by
    /// [`FeatureTable::apply_links`](super::FeatureTable::apply_links).
    Component {
        /// Milliseconds, from a minute: a link counts in a whole generation or not at all.
        generation_ms: i64,
        /// At which of its accounts a value stops linking, at least 3.
        hub: u32,
        /// Whether members are listed, and so the names of accounts kept.
        lists_members: bool,
    },
}

/// The steps of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    mins: [u32; Steps::MAX],
    len: u8,
}

impl Steps {
    /// The most steps that a sequence can have.
    pub const MAX: usize = 16;

    /// By step, how many events it takes, at least 1; what is past [`Steps::MAX`] is left out.
    pub fn new(mins: impl IntoIterator<Item = u32>) -> Steps {
        let mut steps = Steps { mins: [1; Steps::MAX], len: 0 };
        for (slot, min) in steps.mins.iter_mut().zip(mins) {
            *slot = min.max(1);
            steps.len += 1;
        }
        steps
    }

    /// How many events each step takes.
    pub(super) fn mins(&self) -> &[u32] {
        &self.mins[..usize::from(self.len)]
    }
}

/// How far back a reading at time t looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Events in `(t - ms, t]`.
    Window(i64),
    /// All events of a key, until none came for this many milliseconds: then it starts anew. It differs from a window for
    /// `first` alone: the latest event is in reach by the same rule, and other aggregates have a window.
    Retention(i64),
}

/// What a table refuses so that it does not grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// Nothing.
    #[default]
    None,
    /// New keys beyond as many as there were when the limit was set: what leaves makes room for others.
    Keys,
    /// Also events for which a busy key would need more memory: one of more than [`Limit::FEW`] entries.
    Busy,
    /// Also events for which any known key would.
    Memory,
}

impl Limit {
    /// A key with at most so many entries is not busy.
    pub const FEW: usize = 32;

    /// With how many entries a key may still ask for memory.
    pub(super) fn entries_max(self) -> usize {
        if self == Limit::Memory { 0 } else { Limit::FEW }
    }
}

/// The definition of a feature, as far as its table needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSpec {
    /// What is computed.
    pub aggregate: Aggregate,
    /// How far back; `rate` does without.
    pub reach: Reach,
    /// How wide the buckets are of which one number each is kept, in milliseconds, at least 1; absent: every event is kept.
    /// For `count`, `sum`, `avg`, `min` and `max` over a window; others keep what they keep.
    pub bucket_ms: Option<i64>,
    /// How many entries (events, or buckets of them; for `distinct` and `set`, values) a key keeps at most, 1 to 2^20; others are clamped.
    pub max_entries: u32,
}

impl WindowSpec {
    /// Bound of `max_entries` when nothing else is configured.
    pub const MAX_ENTRIES: u32 = 4096;
    /// The most that `max_entries` can be.
    pub const MAX_ENTRIES_LIMIT: u32 = 1 << 20;

    /// A feature with the default bound of entries.
    pub fn new(aggregate: Aggregate, reach: Reach) -> WindowSpec {
        WindowSpec { aggregate, reach, bucket_ms: None, max_entries: WindowSpec::MAX_ENTRIES }
    }

    /// How far back an event can matter, in milliseconds, at least 1; for a rate, until the largest debt is paid.
    pub fn reach_ms(&self) -> i64 {
        match (self.aggregate, self.reach) {
            (Aggregate::Rate { limit, per_ms, burst }, _) => RateRule::new(limit, per_ms, burst).reach_ms(),
            (Aggregate::Component { generation_ms, .. }, Reach::Window(ms) | Reach::Retention(ms)) => {
                ms.max(1).saturating_add(generation_ms.max(1))
            }
            (_, Reach::Window(ms) | Reach::Retention(ms)) => ms.max(1),
        }
    }

    /// The bound of entries a key, within its limits.
    pub(super) fn max_entries(&self) -> usize {
        self.max_entries.clamp(1, WindowSpec::MAX_ENTRIES_LIMIT) as usize
    }
}
