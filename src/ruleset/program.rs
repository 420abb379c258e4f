//! What the engine runs: the rule set, checked and compiled, with an index by event type.
//!
//! It is the compiled twin of the written form in `pack`: names are resolved to indexes, texts to programs, spans to
//! milliseconds. May import `event`, `lists` and `cel`. Invariants: lists and features are sorted by name, rules by id, so
//! that the same files always make the same set; the indexes in compiled expressions are places in these vectors.

use std::path::PathBuf;

use super::cel::{Compiled, FeatureIndex, ListIndex, Names, ReadIndex, ReadSource, ReadTable, Role, Template};
use super::yaml::CalendarUnit;
use crate::event::{EventKind, KINDS, Mode, Presence, RuleKind, Severity, SignalSet, SubjectKind, Verdict};
use crate::lists::List;

/// How many parts a feature's key has at most.
pub const KEY_PARTS_MAX: usize = 8;
/// How many entries a key of a feature keeps unless something else is configured.
pub const MAX_ENTRIES: u32 = 4096;
/// How many steps a sequence has at most.
pub const STEPS_MAX: usize = 16;
/// How many expressions link the accounts of a component at most.
pub const LINKS_MAX: usize = 8;

/// A type of event that rules can name: the known ones by their place in [`KINDS`], then those of [`RuleSet::types`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeIndex(pub u16);

/// All packs together, ready to run.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// First 12 hex digits of the SHA-256 over the sorted paths and bytes of packs and list files.
    pub hash: String,
    /// The declared lists, by [`ListIndex`]; sorted by name.
    pub lists: Vec<NamedList>,
    /// The features, by [`FeatureIndex`]; sorted by name.
    pub features: Vec<Feature>,
    /// The rules, sorted by id; those that are off too, so that a tool can list them.
    pub rules: Vec<Rule>,
    /// Every distinct read of state.
    pub reads: ReadTable,
    /// The signals that some expression reads.
    pub signals: SignalSet,
    /// The fields that some expression reads as they came.
    pub fields: Presence,
    /// Event types that packs name and refguard does not know, sorted; the first is `TypeIndex(KINDS.len())`.
    pub types: Vec<String>,
    /// The tests in the files, in the order of files and lines.
    pub tests: Vec<TestCase>,
    /// By [`TypeIndex`]: what an event of this type feeds and is judged by.
    pub by_type: Vec<TypePlan>,
}

impl RuleSet {
    /// Which index an event's type has; `None` for a type that no rule or feature names and refguard does not know.
    ///
    /// `name` is looked at only when `kind` is [`EventKind::OTHER`]. Cost: a binary search for such a type.
    #[inline]
    pub fn type_index(&self, kind: EventKind, name: &str) -> Option<TypeIndex> {
        let index = match kind.index() {
            Some(index) => index,
            None => KINDS.len() + self.types.binary_search_by(|known| known.as_str().cmp(name)).ok()?,
        };
        Some(TypeIndex(index as u16))
    }

    /// The name of a type.
    pub fn type_name(&self, of: TypeIndex) -> &str {
        let index = of.0 as usize;
        KINDS.get(index).map_or_else(|| self.types[index - KINDS.len()].as_str(), |kind| kind.name)
    }
}

impl Names for RuleSet {
    fn feature(&self, feature: FeatureIndex) -> &str {
        &self.features[feature.0 as usize].name
    }

    fn list(&self, list: ListIndex) -> &str {
        &self.lists[list.0 as usize].name
    }

    fn read(&self, read: ReadIndex) -> &ReadSource {
        &self.reads.get(read).source
    }
}

/// What happens to events of one type. Indexes ascend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypePlan {
    /// Places in [`RuleSet::features`] of those that such an event is counted by.
    pub features: Vec<u32>,
    /// Places in [`RuleSet::rules`] of those that judge such an event; without those that are off.
    pub rules: Vec<u32>,
}

/// A declared list.
#[derive(Clone, Debug)]
pub struct NamedList {
    /// Its name, unique over all packs.
    pub name: String,
    /// Whether its entries come over the API: it is empty in the files.
    pub managed: bool,
    /// The file that its entries come from, relative to the folder of the rules; absent: they stand in the pack.
    pub file: Option<String>,
    /// First 16 hex digits of the SHA-256 over its kind and its values as written.
    pub print: String,
    /// What is in it.
    pub list: List,
}

/// A feature: what is counted over earlier events.
#[derive(Clone, Debug)]
pub struct Feature {
    /// Its name, unique over all packs.
    pub name: String,
    /// Where it is defined.
    pub place: Place,
    /// The types of event that it counts, ascending.
    pub on: Vec<TypeIndex>,
    /// Which of these events are counted; absent: all.
    pub filter: Option<Compiled>,
    /// The parts of its key, at least one.
    pub key: Vec<Compiled>,
    /// What is counted of an event; there for every aggregate but `count`, `first`, `last` and `rate`.
    pub value: Option<Compiled>,
    /// The steps of a sequence, in their order; of other aggregates none.
    pub steps: Vec<Step>,
    /// What links the accounts of a component; of other aggregates nothing.
    pub links: Vec<Link>,
    /// Whether some rule decides about every member of it, so that the names of accounts are kept.
    pub lists_members: bool,
    /// What is computed.
    pub aggregate: Aggregate,
    /// How far back.
    pub reach: Reach,
    /// Whose events meet at a key.
    pub scope: Scope,
    /// How far both ends of the window are shifted back, in milliseconds; 0 for a window that ends at the event.
    pub offset_ms: i64,
    /// How wide the buckets are of which one number each is kept, in milliseconds, from 1; absent: every event is kept.
    pub bucket_ms: Option<i64>,
    /// How many entries a key keeps, from 1; absent: as configured.
    pub max_entries: Option<u32>,
    /// First 16 hex digits of the SHA-256 over its definition, macros included: state is kept over a reload while this
    /// stays.
    pub definition: String,
}

/// What a feature computes over a key's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// How many events.
    Count,
    /// Sum of the values.
    Sum(Number),
    /// Mean of the values, a double.
    Avg(Number),
    /// Least value.
    Min(Number),
    /// Greatest value.
    Max(Number),
    /// How many different values.
    Distinct,
    /// The different values.
    Set,
    /// Time of the first event.
    First,
    /// Time of the latest event before this one.
    Last,
    /// Value at the latest event before this one.
    Previous,
    /// Whether this event exceeds a rate.
    Rate(Rate),
    /// How many of the feature's steps happened in their order.
    Sequence,
    /// How many accounts are linked with the key's, through any chain of shared values.
    Component(Component),
}

impl Aggregate {
    /// The word for linked accounts.
    pub const COMPONENT: &str = "component";

    /// The word for it in a rule file.
    pub fn name(self) -> &'static str {
        match self {
            Aggregate::Count => "count",
            Aggregate::Sum(_) => "sum",
            Aggregate::Avg(_) => "avg",
            Aggregate::Min(_) => "min",
            Aggregate::Max(_) => "max",
            Aggregate::Distinct => "distinct",
            Aggregate::Set => "set",
            Aggregate::First => "first",
            Aggregate::Last => "last",
            Aggregate::Previous => "previous",
            Aggregate::Rate(_) => "rate",
            Aggregate::Sequence => "sequence",
            Aggregate::Component(_) => Aggregate::COMPONENT,
        }
    }
}

/// What kind of number a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Number {
    /// A 64-bit signed integer.
    Int,
    /// A 64-bit float.
    Double,
}

/// A limit on how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Events allowed per `per_ms`, from 1.
    pub limit: u32,
    /// Milliseconds, from 1.
    pub per_ms: i64,
    /// Events allowed at once, from 1.
    pub burst: u32,
}

/// When links fade, and which values make none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Component {
    /// Milliseconds, from a minute: at time t a link counts if it was made since floor(t / this) * this, less the window.
    pub generation_ms: i64,
    /// At which of its accounts a value stops linking, from 3.
    pub hub: u32,
}

/// One expression that links the accounts of a component.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its value: a text.
    pub value: Compiled,
    /// Whether the value links nothing; absent: none is ignored.
    pub ignored: Option<Compiled>,
}

/// One step of a sequence.
#[derive(Clone, Debug)]
pub struct Step {
    /// The types of event that it can be, ascending.
    pub on: Vec<TypeIndex>,
    /// Which of these events; absent: all.
    pub filter: Option<Compiled>,
    /// How many of them it takes, from 1.
    pub min: u32,
}

impl Feature {
    /// What is evaluated of an event that is counted.
    pub fn expressions(&self) -> impl Iterator<Item = &Compiled> {
        let steps = self.steps.iter().filter_map(|step| step.filter.as_ref());
        let links = self.links.iter().flat_map(|link| std::iter::once(&link.value).chain(&link.ignored));
        self.filter.iter().chain(&self.key).chain(&self.value).chain(steps).chain(links)
    }
}

/// How far back a feature looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Events in `(t - ms, t]`, before any offset.
    Window(i64),
    /// Events since the calendar's unit began, in the program's time zone, before any offset.
    Calendar(CalendarUnit),
    /// All events of a key, until none came for this many milliseconds: only `first`, `last`, `previous` and `rate`.
    Retention(i64),
}

impl Reach {
    /// How far back it can go, in milliseconds.
    pub fn longest_ms(self) -> i64 {
        match self {
            Reach::Window(ms) | Reach::Retention(ms) => ms,
            Reach::Calendar(unit) => unit.longest_ms(),
        }
    }
}

/// Whose events meet at a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Those of one program.
    #[default]
    Program,
    /// Those of all programs.
    Global,
}

/// A rule: a condition and what follows when it holds.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its id, unique over all packs.
    pub id: String,
    /// The pack that it stands in.
    pub pack: String,
    /// Where its id stands.
    pub place: Place,
    /// One line for people.
    pub title: String,
    /// The types of event that it judges, ascending.
    pub on: Vec<TypeIndex>,
    /// The condition.
    pub when: Compiled,
    /// Exceptions: the rule does not match where one of these holds.
    pub except: Vec<Compiled>,
    /// What it adds to an event's score, 0 to 100.
    pub score: u32,
    /// The verdict that it gives by itself; absent: the score alone counts.
    pub action: Option<Verdict>,
    /// Whose reward it stops.
    pub applies_to: AppliesTo,
    /// How bad a match is.
    pub severity: Severity,
    /// Fraud, or a limit.
    pub kind: RuleKind,
    /// Who is remembered when it matches.
    pub decide: Vec<Decide>,
    /// What analysts read.
    pub message: Option<Template>,
    /// Code of what the customer is told.
    pub customer: Option<String>,
    /// Free words, such as `owasp:OAT-019`.
    pub tags: Vec<String>,
    /// Whether it counts.
    pub mode: Mode,
    /// For how many of a thousand accounts it is enforced, 0 to 1000; for the rest it runs in shadow.
    pub rollout_permille: u32,
    /// What happens while a feature that it reads has not seen a whole window.
    pub when_incomplete: WhenIncomplete,
    /// Who answers for it.
    pub owner: Option<String>,
    /// The instant of event time from which it no longer counts, milliseconds since the Unix epoch.
    pub expires_ms: Option<i64>,
    /// Alerts with the same rule and equal values of these are one; none: those of one account are.
    pub group_by: Vec<GroupPart>,
    /// When it stops by itself because it matches too much.
    pub breaker: Option<Breaker>,
}

impl Rule {
    /// Every compiled expression, those of its message included.
    pub fn expressions(&self) -> impl Iterator<Item = &Compiled> {
        let ids = self.decide.iter().filter_map(|decide| match &decide.subject {
            DecideSubject::ById(_, id) => Some(id),
            DecideSubject::Role(_) | DecideSubject::Thing(_) | DecideSubject::Members(_) => None,
        });
        let parts = self.group_by.iter().map(|part| &part.value);
        let message = self.message.iter().flat_map(Template::expressions);
        std::iter::once(&self.when).chain(&self.except).chain(parts).chain(ids).chain(message)
    }

    /// What its verdicts rest on: the readings of its condition, its exceptions and its message, one as often as it is named.
    pub fn evidence(&self) -> impl Iterator<Item = ReadIndex> {
        let conditions = std::iter::once(&self.when).chain(&self.except).map(Compiled::uses);
        let uses = conditions.chain(self.message.as_ref().map(Template::uses));
        uses.flat_map(|uses| uses.reads.iter().copied())
    }
}

/// A part of what a rule's alerts are grouped by.
#[derive(Clone, Debug)]
pub struct GroupPart {
    /// The expression as it was written: its name in alerts.
    pub name: String,
    /// Its value.
    pub value: Compiled,
}

/// A line of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file, as the user would type it.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

impl std::fmt::Display for Place {
    /// `path:line:column`, as editors jump to it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

/// Whose reward a rule stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AppliesTo {
    /// The account that invited.
    Referrer,
    /// The account that was invited, or the only one there is.
    Referee,
    /// Both.
    Both,
}

/// What a rule does while a feature that it reads has not seen a whole window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WhenIncomplete {
    /// It counts all the same.
    Enforce,
    /// It runs in shadow.
    Shadow,
}

/// A decision that a match makes.
#[derive(Clone, Debug)]
pub struct Decide {
    /// Who or what is remembered.
    pub subject: DecideSubject,
    /// Which verdict stands on the subject.
    pub verdict: Verdict,
    /// How long, in milliseconds; absent: until a person ends it.
    pub ttl_ms: Option<i64>,
    /// What follows when it ends by itself.
    pub on_expiry: OnExpiry,
    /// The types for which it counts, ascending; absent: a challenge or hold where value moves, a block everywhere.
    pub on: Option<Vec<TypeIndex>>,
}

/// Who or what a decision is about.
#[derive(Clone, Debug)]
pub enum DecideSubject {
    /// An account in its role in the event.
    Role(Role),
    /// The thing of this kind that the event names.
    Thing(SubjectKind),
    /// The subject of this kind whose id the expression gives.
    ById(SubjectKind, Compiled),
    /// Every account of the component that this reads at the event's own key.
    Members(ReadIndex),
}

/// What becomes of what was held when a decision ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnExpiry {
    /// It stays held: what nobody reviewed never pays by itself.
    Keep,
    /// It is released.
    Release,
    /// It is blocked.
    Block,
}

/// When a rule stops by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Breaker {
    /// Of a thousand events that it judged, how many matches open it, 1 to 1000.
    pub share_permille: u32,
    /// Over which span, in milliseconds.
    pub over_ms: i64,
    /// What its matches are worth while it is open.
    pub then: BreakerThen,
    /// After which span it is tried again, in milliseconds.
    pub rearm_ms: i64,
    /// How many events it must have judged in the span before it can open, from 1.
    pub min_events: u32,
}

/// What the matches of a rule are worth while its breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerThen {
    /// A hold.
    Hold,
    /// A challenge.
    Challenge,
    /// Nothing: they are written down.
    Shadow,
}

impl BreakerThen {
    /// The most that a match gives; `None`: it is only written down.
    pub fn verdict(self) -> Option<Verdict> {
        match self {
            BreakerThen::Hold => Some(Verdict::Hold),
            BreakerThen::Challenge => Some(Verdict::Challenge),
            BreakerThen::Shadow => None,
        }
    }
}

/// A test inside a rule file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestCase {
    /// The pack that it stands in.
    pub pack: String,
    /// What it shows.
    pub name: String,
    /// Where its name stands.
    pub place: Place,
    /// The events, each a structured CloudEvent as one line of JSON, in the order of the file.
    pub events: Vec<String>,
    /// What the verdict on the last event must be.
    pub expect: Expectation,
}

/// What a test expects of its last event. What is absent is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    /// The verdict.
    pub verdict: Option<Verdict>,
    /// The summed score.
    pub score: Option<i64>,
    /// Rules that must have matched.
    pub rules: Vec<String>,
    /// Rules that must not have matched.
    pub not_rules: Vec<String>,
}
