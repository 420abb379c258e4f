//! The table of one feature, whatever its aggregate.

use super::bucketed::{BucketCount, BucketDoubleSum, BucketExtreme, BucketIntSum, By};
use super::component::{ComponentRule, Components};
use super::latest::{Last, Previous};
use super::numbers::{Choice, Count, DoubleSum, Extreme, FirstTime, IntSum, Total};
use super::presence::{Presence, PresenceRule, View};
use super::rate::{Rate, RateRule};
use super::sequence::Sequence;
use super::table::Table;
use super::timed::Rule;
use super::window::Window;
use super::{
    Aggregate, Class, ClassRefused, ClassRoom, ClassUse, KeyHash, Limit, Links, Number, Op, Reach, Reading, Readings,
    WindowSpec,
};

/// Operations whose memory is asked for together: its lines fit in the first-level cache.
const PASS: usize = 64;

/// A step of asking for memory. Each needs what the one before it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// The words of the index in which the keys are found.
    Index,
    /// The slots that these words name.
    Slots,
    /// What the windows keep outside their slots.
    Spilled,
}

impl Fetch {
    /// All of them, in order.
    pub const STEPS: [Fetch; 3] = [Fetch::Index, Fetch::Slots, Fetch::Spilled];
}

/// Which slots a batch of operations probably needs: what one step of [`FeatureTable::fetch`] tells the next.
#[derive(Clone, Debug, Default)]
pub struct Guesses(Vec<u32>);

/// Everything that one feature remembers.
#[derive(Debug)]
pub struct FeatureTable {
    spec: WindowSpec,
    kind: Kind,
}

/// The aggregate is told apart once a batch, and the loop over operations is compiled for each.
#[derive(Debug)]
enum Kind {
    Count(Table<Count>),
    IntSum(Table<IntSum>),
    DoubleSum(Table<DoubleSum>),
    Extreme(Table<Extreme>),
    Presence(Table<Presence>),
    FirstTime(Table<FirstTime>),
    Last(Table<Last>),
    Previous(Table<Previous>),
    Rate(Table<Rate>),
    Sequence(Table<Sequence>),
    Component(Box<Components>),
    BucketCount(Table<BucketCount>),
    BucketIntSum(Table<BucketIntSum>),
    BucketDoubleSum(Table<BucketDoubleSum>),
    BucketExtreme(Table<BucketExtreme>),
}

macro_rules! each {
    ($kind:expr, $table:ident => $body:expr) => {
        match $kind {
            Kind::Count($table) => $body,
            Kind::IntSum($table) => $body,
            Kind::DoubleSum($table) => $body,
            Kind::Extreme($table) => $body,
            Kind::Presence($table) => $body,
            Kind::FirstTime($table) => $body,
            Kind::Last($table) => $body,
            Kind::Previous($table) => $body,
            Kind::Rate($table) => $body,
            Kind::Sequence($table) => $body,
            Kind::Component($table) => $body,
            Kind::BucketCount($table) => $body,
            Kind::BucketIntSum($table) => $body,
            Kind::BucketDoubleSum($table) => $body,
            Kind::BucketExtreme($table) => $body,
        }
    };
}

/// As `each!`, with another answer for a component, which is one graph and no windows by key.
macro_rules! each_window {
    ($kind:expr, $table:ident => $body:expr, $component:expr) => {
        match $kind {
            Kind::Count($table) => $body,
            Kind::IntSum($table) => $body,
            Kind::DoubleSum($table) => $body,
            Kind::Extreme($table) => $body,
            Kind::Presence($table) => $body,
            Kind::FirstTime($table) => $body,
            Kind::Last($table) => $body,
            Kind::Previous($table) => $body,
            Kind::Rate($table) => $body,
            Kind::Sequence($table) => $body,
            Kind::BucketCount($table) => $body,
            Kind::BucketIntSum($table) => $body,
            Kind::BucketDoubleSum($table) => $body,
            Kind::BucketExtreme($table) => $body,
            Kind::Component(_) => $component,
        }
    };
}

// Below the macros, which it uses.
mod stored;

impl FeatureTable {
    /// An empty table.
    pub fn new(spec: WindowSpec) -> FeatureTable {
        if let Some(kind) = spec.bucket_ms.and_then(|bucket_ms| bucketed(&spec, bucket_ms.max(1))) {
            return FeatureTable { spec, kind };
        }
        let kind = match spec.aggregate {
            Aggregate::Count => Kind::Count(timed(&spec, ())),
            Aggregate::Sum(number) => sum(&spec, number, Total::Sum),
            Aggregate::Avg(number) => sum(&spec, number, Total::Mean),
            Aggregate::Min(number) => Kind::Extreme(timed(&spec, Choice::Least(number))),
            Aggregate::Max(number) => Kind::Extreme(timed(&spec, Choice::Greatest(number))),
            Aggregate::Distinct => Kind::Presence(presence(&spec, View::Number)),
            Aggregate::Set => Kind::Presence(presence(&spec, View::Members)),
            Aggregate::First => match spec.reach {
                Reach::Window(_) => Kind::FirstTime(timed(&spec, ())),
                Reach::Retention(_) => Kind::Presence(presence(&spec, View::Start)),
            },
            Aggregate::Last => Kind::Last(timed(&spec, ())),
            Aggregate::Previous => Kind::Previous(timed(&spec, ())),
            Aggregate::Rate { limit, per_ms, burst } => {
                Kind::Rate(Table::new(RateRule::new(limit, per_ms, burst), spec.reach_ms()))
            }
            Aggregate::Sequence(steps) => Kind::Sequence(timed(&spec, steps)),
            Aggregate::Component { generation_ms, hub, lists_members } => {
                let (Reach::Window(window_ms) | Reach::Retention(window_ms)) = spec.reach;
                let rule = ComponentRule {
                    window_ms: window_ms.max(1),
                    generation_ms: generation_ms.max(ComponentRule::GENERATION_MS_LEAST),
                    hub: hub.max(ComponentRule::HUB_LEAST),
                    lists_members,
                };
                Kind::Component(Box::new(Components::new(rule)))
            }
        };
        FeatureTable { spec, kind }
    }

    /// The definition.
    pub fn spec(&self) -> &WindowSpec {
        &self.spec
    }

    /// Asks for the memory of operations that will be applied, one step of it, and does not wait for it. An engine with many
    /// tables takes each step for all of them before the next, so that their waits overlap.
    pub fn fetch(&self, step: Fetch, ops: &[Op], guesses: &mut Guesses) {
        each!(&self.kind, table => match step {
            Fetch::Index => table.fetch_index(ops),
            Fetch::Slots => table.fetch_slots(ops, &mut guesses.0),
            Fetch::Spilled => table.fetch_spilled(&guesses.0),
        });
    }

    /// Executes operations in order and appends one reading each. How they are cut into calls does not matter to the
    /// readings; some dozens of operations in a call wait for memory about as long as one.
    ///
    /// `ids` are the first 16 bytes of the events' ids (padded with zeroes), by [`Op::id`]; only sums and means of doubles
    /// read them, others take `&[]`.
    pub fn apply(&mut self, ops: &[Op], ids: &[[u8; 16]], out: &mut Readings) {
        let mut guesses = std::mem::take(&mut out.guesses);
        for ops in ops.chunks(PASS) {
            Fetch::STEPS.into_iter().for_each(|step| self.fetch(step, ops, &mut guesses));
            self.apply_fetched(ops, &guesses, ids, out);
        }
        out.guesses = guesses;
    }

    /// As [`FeatureTable::apply`], for operations whose memory was asked for; these are what the second step guessed.
    pub fn apply_fetched(&mut self, ops: &[Op], guesses: &Guesses, ids: &[[u8; 16]], out: &mut Readings) {
        assert_eq!(ops.len(), guesses.0.len(), "the steps were taken for these operations");
        each!(&mut self.kind, table => table.apply(ops, &guesses.0, ids, out));
    }

    /// As [`FeatureTable::apply`], for a component: with what the operations bring beside their keys.
    pub fn apply_links(&mut self, ops: &[Op], links: &Links, out: &mut Readings) {
        match &mut self.kind {
            Kind::Component(components) => components.apply_links(ops, links, out),
            _ => self.apply(ops, &[], out),
        }
    }

    /// What a member of a component is called; for one that the last batch of operations listed.
    pub fn member_name(&self, member: u64) -> &str {
        match &self.kind {
            Kind::Component(components) => components.member_name(member),
            _ => "",
        }
    }

    /// The keys of all accounts that a component links with this one, itself included, as of an instant from the horizon
    /// on; of another aggregate the key itself. Looks at the whole table.
    pub fn linked_with(&self, key: KeyHash, as_of_ms: i64) -> Vec<KeyHash> {
        match &self.kind {
            Kind::Component(components) => components.linked_with(key, as_of_ms),
            _ => vec![key],
        }
    }

    /// What a key without events reads: for an event whose key has an empty part.
    pub fn nothing(&self) -> Reading {
        each!(&self.kind, table => table.nothing())
    }

    /// Looks at the next `budget_slots` slots, in a cycle, and drops what no reading at or after `horizon_ms` can see:
    /// idle keys, and the memory of windows that shrank. Invisible in readings. The horizon is at most that of the
    /// operations that follow.
    pub fn sweep(&mut self, horizon_ms: i64, budget_slots: usize) {
        each!(&mut self.kind, table => table.sweep(horizon_ms, budget_slots));
    }

    /// Bytes of one entry of a key: of an event, a bucket or a value; of a component, of an account and a value. 0 for what
    /// keeps one number a key.
    pub fn entry_bytes(&self) -> usize {
        each!(&self.kind, table => table.entry_bytes())
    }

    /// How many keys are remembered.
    pub fn keys(&self) -> usize {
        each!(&self.kind, table => table.keys())
    }

    /// Appends the keys in the next `slots` slots from one on. Answers where to go on; `None` at the end.
    pub fn keys_from(&self, from: usize, slots: usize, keys: &mut Vec<KeyHash>) -> Option<usize> {
        each!(&self.kind, table => table.keys_from(from, slots, keys))
    }

    /// How many slots there are, in use or free: what a whole cycle of [`FeatureTable::sweep`] looks at.
    pub fn slots(&self) -> usize {
        each!(&self.kind, table => table.slots())
    }

    /// Memory in bytes, everything counted but the allocator's own: a function of the operations and sweeps alone, and
    /// cheap to ask.
    pub fn bytes(&self) -> usize {
        each!(&self.kind, table => table.bytes())
    }

    /// How many keys lost entries to `max_entries`. They are not exact until those would have left anyway, and counted
    /// here until a sweep finds that so.
    pub fn truncated_keys(&self) -> usize {
        each!(&self.kind, table => table.truncated_keys())
    }

    /// What it refuses.
    pub fn limit(&self) -> Limit {
        each!(&self.kind, table => table.limit())
    }

    /// Refuses what would make it grow, or accepts it again. A key that is refused reads as nothing, and not exact; an event
    /// refused at a key that is known leaves it not exact; nor is a key exact that begins later, until what may have been
    /// refused there would have left.
    pub fn set_limit(&mut self, limit: Limit) {
        each!(&mut self.kind, table => table.set_limit(limit));
    }

    /// By how many bytes busy keys may grow together, until it is set again or a limit is.
    pub fn allow(&mut self, bytes: usize) {
        each!(&mut self.kind, table => table.allow(bytes));
    }

    /// Counts what keys of so many classes take, from the first one on: before there are any.
    pub fn meter(&mut self, classes: usize) {
        each!(&mut self.kind, table => table.classes_mut().meter(classes));
    }

    /// What the keys of a class take.
    pub fn class_use(&self, class: Class) -> ClassUse {
        each!(&self.kind, table => table.classes().used(class, table.key_bytes()))
    }

    /// What a key takes however small its window, in bytes.
    pub fn key_bytes(&self) -> usize {
        each!(&self.kind, table => table.key_bytes())
    }

    /// Gives a class room until it is given other room: a key beyond that is refused as [`FeatureTable::set_limit`] refuses
    /// it, and so is an event for which a window would need more memory; only keys of this class are not exact then.
    pub fn allow_class(&mut self, class: Class, room: ClassRoom) {
        each!(&mut self.kind, table => table.classes_mut().allow(class, room));
    }

    /// What was refused for a class since the last call.
    pub fn take_class_refused(&mut self, class: Class) -> ClassRefused {
        each!(&mut self.kind, table => table.classes_mut().take_refused(class))
    }

    /// How many keys it may have: under a limit, as many as it had when that was set.
    pub fn keys_max(&self) -> usize {
        each!(&self.kind, table => table.keys_max())
    }

    /// How many events it has refused since it was made: at new keys, and at known ones that would have grown.
    pub fn refused(&self) -> u64 {
        each!(&self.kind, table => table.refused())
    }

    /// About the most that it asks for at once, in bytes: memory comes in chunks.
    pub fn step_bytes(&self) -> usize {
        each!(&self.kind, table => table.step_bytes())
    }

    /// Hash of all keys and windows, whatever their place in memory; reads the whole table.
    pub fn digest(&self) -> u64 {
        each!(&self.kind, table => table.digest())
    }
}

fn timed<W: Window<Rule = Rule<K>>, K>(spec: &WindowSpec, kind: K) -> Table<W> {
    let rule = Rule { reach_ms: spec.reach_ms(), entries_max: spec.max_entries(), kind };
    Table::new(rule, spec.reach_ms())
}

fn sum(spec: &WindowSpec, number: Number, total: Total) -> Kind {
    match number {
        Number::Int => Kind::IntSum(timed(spec, total)),
        Number::Double => Kind::DoubleSum(timed(spec, total)),
    }
}

/// The table of an aggregate that is kept by buckets; `None` for one that is not.
fn bucketed(spec: &WindowSpec, bucket_ms: i64) -> Option<Kind> {
    let sum = |number, kind| match number {
        Number::Int => Kind::BucketIntSum(parts(spec, kind, bucket_ms)),
        Number::Double => Kind::BucketDoubleSum(parts(spec, kind, bucket_ms)),
    };
    Some(match spec.aggregate {
        Aggregate::Count => Kind::BucketCount(parts(spec, (), bucket_ms)),
        Aggregate::Sum(number) => sum(number, Total::Sum),
        Aggregate::Avg(number) => sum(number, Total::Mean),
        Aggregate::Min(number) => Kind::BucketExtreme(parts(spec, Choice::Least(number), bucket_ms)),
        Aggregate::Max(number) => Kind::BucketExtreme(parts(spec, Choice::Greatest(number), bucket_ms)),
        _ => return None,
    })
}

/// An event can be felt until its whole bucket is out of the window.
fn parts<W: Window<Rule = Rule<By<K>>>, K>(spec: &WindowSpec, kind: K, bucket_ms: i64) -> Table<W> {
    let reach_ms = spec.reach_ms().saturating_add(bucket_ms - 1);
    let rule = Rule { reach_ms, entries_max: spec.max_entries(), kind: By { kind, bucket_ms } };
    Table::new(rule, reach_ms)
}

fn presence(spec: &WindowSpec, view: View) -> Table<Presence> {
    let rule = PresenceRule { reach_ms: spec.reach_ms(), entries_max: spec.max_entries(), view };
    Table::new(rule, spec.reach_ms())
}
