//! What waits for a review: one record for each event whose verdict was `hold`, until a person or time ends it.
//!
//! A hold is of one event, where a decision is of a subject. It is named by a hash of its event's name, so that who was told
//! `hold_id` finds it, and nothing is drawn by lot; where another event has that name already, since names may be used again, the
//! event's time goes into the hash too. One that has ended is remembered long after its event is forgotten, so that who asks again
//! is told what became of it. Programs do not share their room: each that is configured has a part of its own, and the others one
//! together. Invariants: open holds stand in the order of their reviews, and among those that are due unless they are overdue;
//! ended ones among those of their share that are to be forgotten; bytes and the count of overdue ones are those of a recount.

mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::decide::{derived_id, program_name};
use crate::event::{Cause, Event, EventBatch, Field, Verdict};
use crate::ruleset::program::OnExpiry;
use crate::state::KeyHash;
use stored::HoldsCut;

/// What ids of holds begin with.
const HOLD: &str = "hold";

/// Whose reward a hold keeps back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum HoldParty {
    /// The event has one account.
    Account,
    /// The referrer's.
    Referrer,
    /// The referee's.
    Referee,
    /// Those of both sides of a referral.
    Both,
}

/// What became of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum HoldState {
    /// Nobody has reviewed it.
    Open,
    /// A person let it go.
    Released,
    /// A person blocked it for good.
    Upheld,
    /// Its time was over, and it was released or blocked by that.
    Expired,
    /// What held it was lifted.
    Lifted,
}

impl HoldParty {
    /// Every party.
    pub const ALL: &[HoldParty] = &[HoldParty::Account, HoldParty::Referrer, HoldParty::Referee, HoldParty::Both];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            HoldParty::Account => "account",
            HoldParty::Referrer => "referrer",
            HoldParty::Referee => "referee",
            HoldParty::Both => "both",
        }
    }
}

impl HoldState {
    /// Every state.
    pub const ALL: &[HoldState] =
        &[HoldState::Open, HoldState::Released, HoldState::Upheld, HoldState::Expired, HoldState::Lifted];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            HoldState::Open => "open",
            HoldState::Released => "released",
            HoldState::Upheld => "upheld",
            HoldState::Expired => "expired",
            HoldState::Lifted => "lifted",
        }
    }
}

/// The event that is held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldEvent {
    /// Its program.
    pub program: Box<str>,
    /// Its source.
    pub source: Box<str>,
    /// Its id.
    pub id: Box<str>,
    /// Its type.
    pub kind: Box<str>,
    /// Its account; empty: it has none.
    pub account: Box<str>,
    /// Its referrer; empty: it has none.
    pub referrer: Box<str>,
    /// The reward that it is about; empty: none.
    pub reward: Box<str>,
    /// The kind of reward; empty: it does not say.
    pub reward_kind: Box<str>,
    /// The referral that it is about; empty: none.
    pub referral: Box<str>,
    /// How much it is about.
    pub amount_minor: Option<i64>,
    /// In which currency.
    pub currency: Box<str>,
}

/// The name and content of an event, as far as it takes to tell it from another.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventOf<'a> {
    pub program: &'a str,
    pub source: &'a str,
    pub id: &'a str,
    pub account: &'a str,
    pub time_ms: i64,
}

impl<'a> EventOf<'a> {
    /// What tells an event of a batch from others.
    pub(super) fn read(batch: &'a EventBatch, event: &Event) -> EventOf<'a> {
        let text = |field| batch.field(event, field);
        let (source, id, account) = (text(Field::Source), text(Field::Id), text(Field::AccountId));
        EventOf { program: program_name(batch, event), source, id, account, time_ms: event.event_time_ms }
    }
}

/// What the number of a hold is derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldName {
    /// The name of its event.
    OfEvent,
    /// The time of its event too: a hold of another event had the number of its name.
    OfEventAtTime,
}

impl HoldName {
    const ALL: [HoldName; 2] = [HoldName::OfEvent, HoldName::OfEventAtTime];

    /// The number of the hold of an event.
    pub(super) fn number(self, event: EventOf<'_>) -> u64 {
        let time = event.time_ms.to_string();
        let time = (self == HoldName::OfEventAtTime).then_some(time.as_str());
        let parts = [event.program, event.source, event.id].into_iter().chain(time);
        hold_number(&derived_id(HOLD, parts)).unwrap_or_default()
    }

    /// The id of the hold of an event.
    pub(super) fn id(self, event: EventOf<'_>) -> String {
        hold_name(self.number(event))
    }
}

/// A rule that had a part in a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRule {
    /// Its id.
    pub id: Box<str>,
    /// What it gave by itself.
    pub action: Option<Verdict>,
    /// What it added to the score.
    pub score: u32,
    /// The code of what customers are told; empty: none.
    pub customer: Box<str>,
}

/// A decision that had a part in a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldDecision {
    /// Its id.
    pub id: Box<str>,
    /// The rule that had made it.
    pub rule: Box<str>,
    /// What it said.
    pub verdict: Verdict,
}

/// How a hold has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldEnd {
    /// When: the clock of who ended it, or the instant of event time.
    pub at_ms: i64,
    /// Event time at which it is forgotten.
    pub forget_ms: i64,
    /// Why, in the words of who ended it.
    pub reason: Box<str>,
    /// Who ended it; empty: time did.
    pub by: Box<str>,
}

/// A hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// What its id ends with.
    pub number: u64,
    /// What is held.
    pub event: HeldEvent,
    /// Whose reward.
    pub party: HoldParty,
    /// The rules that matched, by id.
    pub rules: Vec<HoldRule>,
    /// The decisions that stood.
    pub decisions: Vec<HoldDecision>,
    /// The keys of all that the event names: what is decided of them meanwhile may keep it from being released.
    pub subjects: Box<[KeyHash]>,
    /// The verdict that was given.
    pub verdict: Verdict,
    /// What made it so heavy.
    pub cause: Cause,
    /// Its score.
    pub score: i64,
    /// What it was for referrer and referee.
    pub parties: Option<(Verdict, Verdict)>,
    /// Hash of the rule set then.
    pub ruleset: Box<str>,
    /// Event time of its event.
    pub created_ms: i64,
    /// Until when it is to be reviewed, in event time.
    pub review_by_ms: i64,
    /// What time does then.
    pub on_expiry: OnExpiry,
    /// Nobody has reviewed it in time.
    pub is_overdue: bool,
    /// What became of it.
    pub state: HoldState,
    /// What it is now for whom it holds.
    pub now: Verdict,
    /// How it has ended; `None`: it is open.
    pub end: Option<HoldEnd>,
}

impl Hold {
    /// Its id, as verdicts tell it.
    pub fn id(&self) -> String {
        hold_name(self.number)
    }

    /// What the verdict on its event is now: one that was not `hold` itself, but for a side, stays.
    pub fn current(&self) -> Verdict {
        if self.verdict == Verdict::Hold { self.now } else { self.verdict }
    }

    /// Whether it is of this event, and not of another of the same name.
    fn is_of(&self, event: EventOf<'_>) -> bool {
        let HeldEvent { program, source, id, account, .. } = &self.event;
        let names = [(program, event.program), (source, event.source), (id, event.id), (account, event.account)];
        self.created_ms == event.time_ms && names.iter().all(|(held, name)| ***held == **name)
    }

    /// What tells its event from others.
    pub(super) fn of(&self) -> EventOf<'_> {
        let HeldEvent { program, source, id, account, .. } = &self.event;
        EventOf { program, source, id, account, time_ms: self.created_ms }
    }

    /// What it takes in memory, about, with its places in order.
    fn bytes(&self) -> usize {
        let HeldEvent { program, source, id, kind, account, referrer, reward, reward_kind, referral, currency, .. } =
            &self.event;
        let texts = [program, source, id, kind, account, referrer, reward, reward_kind, referral, currency];
        let texts: usize = texts.iter().map(|text| text.len()).sum();
        let rules = self.rules.iter().map(|of| size_of::<HoldRule>() + of.id.len() + of.customer.len());
        let decisions = self.decisions.iter().map(|of| size_of::<HoldDecision>() + of.id.len() + of.rule.len());
        let end = self.end.as_ref().map_or(0, |end| end.reason.len() + end.by.len());
        size_of::<(u64, Hold)>()
            + 2 * size_of::<(i64, u64)>()
            + texts
            + rules.sum::<usize>()
            + decisions.sum::<usize>()
            + self.ruleset.len()
            + size_of_val(&*self.subjects)
            + end
    }
}

/// The id of the hold of a number.
fn hold_name(number: u64) -> String {
    format!("{HOLD}-{number:016x}")
}

/// The number of the hold of an id; `None`: it is none.
pub fn hold_number(id: &str) -> Option<u64> {
    let digits = id.strip_prefix(HOLD)?.strip_prefix('-').filter(|digits| digits.len() == 16)?;
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    u64::from_str_radix(digits, 16).ok().filter(|_| is_plain)
}

/// The holds of one program, or of all that are not configured.
#[derive(Debug, Default)]
struct Share {
    /// Ended ones, by when they are forgotten.
    ended: BTreeSet<(i64, u64)>,
    bytes: usize,
}

/// All holds.
#[derive(Debug, Default)]
pub struct Holds {
    all: BTreeMap<u64, Hold>,
    /// Open ones, by when they are to be reviewed.
    reviews: BTreeSet<(i64, u64)>,
    /// Those of them whose time is not over.
    due: BTreeSet<(i64, u64)>,
    /// By program that is configured; under the empty name those of all others.
    shares: BTreeMap<Box<str>, Share>,
    overdue: usize,
    bytes: usize,
    /// No more are made of a share from so many bytes on.
    share_max: usize,
    refused: u64,
    cut: Option<Box<HoldsCut>>,
}

impl Holds {
    /// No holds, which take so many bytes at most, in equal parts for each of these programs and for all others together.
    pub(super) fn new<'a>(bytes_max: usize, programs: impl Iterator<Item = &'a str>) -> Holds {
        let names = std::iter::once("").chain(programs);
        let shares: BTreeMap<_, _> = names.map(|name| (name.into(), Share::default())).collect();
        Holds { share_max: bytes_max / shares.len(), shares, ..Holds::default() }
    }

    /// The share of a program.
    fn share(&mut self, program: &str) -> &mut Share {
        let name = if self.shares.contains_key(program) { program } else { "" };
        self.shares.entry(name.into()).or_default()
    }

    /// Holds of a program take more.
    fn add_bytes(&mut self, program: &str, bytes: usize) {
        self.share(program).bytes += bytes;
        self.bytes += bytes;
    }

    /// Holds of a program take less.
    fn take_bytes(&mut self, program: &str, bytes: usize) {
        self.share(program).bytes -= bytes;
        self.bytes -= bytes;
    }

    /// The hold of this very event, if there is one.
    pub(super) fn find(&self, event: EventOf<'_>) -> Option<(HoldName, &Hold)> {
        let holds = HoldName::ALL.iter().map(|name| (*name, self.all.get(&name.number(event))));
        holds.filter_map(|(name, hold)| Some((name, hold?))).find(|(_, hold)| hold.is_of(event))
    }

    /// Whether there are none, ended ones included.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many there are, ended ones included.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.reviews.len()
    }

    /// How many of them nobody has reviewed in time.
    pub fn overdue(&self) -> usize {
        self.overdue
    }

    /// How many were not made for want of room.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// What they take in memory, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, number: u64) -> Option<&Hold> {
        self.all.get(&number)
    }

    /// Open ones behind a place, in the order of their reviews.
    pub(super) fn reviews_behind(&self, behind: Option<(i64, u64)>) -> impl Iterator<Item = ((i64, u64), &Hold)> {
        let from = behind.map_or(Bound::Unbounded, Bound::Excluded);
        let places = self.reviews.range((from, Bound::Unbounded));
        places.filter_map(|place| Some((*place, self.all.get(&place.1)?)))
    }

    /// Makes the hold of an event that has none, under the first number of its that no other has, and answers what it is named by.
    /// Where there is no room, ended ones of its share are forgotten before their time; `None`: it was not made, since all of them
    /// wait.
    pub(super) fn make(&mut self, mut hold: Hold) -> Option<HoldName> {
        let free = HoldName::ALL.iter().find(|name| !self.all.contains_key(&name.number(hold.of())));
        let Some(name) = free.copied() else {
            self.refused += 1;
            return None;
        };
        hold.number = name.number(hold.of());
        let added = hold.bytes();
        let share_max = self.share_max;
        loop {
            let share = self.share(&hold.event.program);
            if share.bytes + added <= share_max {
                break;
            }
            let Some(place) = share.ended.first().copied() else {
                self.refused += 1;
                return None;
            };
            self.forget_one(place);
        }
        self.keep(hold.number);
        self.add_bytes(&hold.event.program, added);
        let place = (hold.review_by_ms, hold.number);
        self.reviews.insert(place);
        self.due.insert(place);
        self.all.insert(hold.number, hold);
        Some(name)
    }

    /// Forgets one that has ended.
    fn forget_one(&mut self, place: (i64, u64)) {
        self.keep(place.1);
        if let Some(hold) = self.all.remove(&place.1) {
            self.take_bytes(&hold.event.program, hold.bytes());
            self.share(&hold.event.program).ended.remove(&place);
        }
    }

    /// The next one whose time is over at this instant. It is the next until it has ended or [`Holds::stay_overdue`].
    pub(super) fn next_due(&self, watermark_ms: i64) -> Option<&Hold> {
        let (_, number) = self.due.first().filter(|(review_by_ms, _)| *review_by_ms <= watermark_ms)?;
        self.all.get(number)
    }

    /// Time does not end one that is open: it is overdue until a person does.
    pub(super) fn stay_overdue(&mut self, number: u64) {
        let Some(place) = self.all.get(&number).map(|hold| (hold.review_by_ms, number)) else { return };
        self.keep(number);
        if let (true, Some(hold)) = (self.due.remove(&place), self.all.get_mut(&number)) {
            hold.is_overdue = true;
            self.overdue += 1;
        }
    }

    /// Ends one that is open.
    pub(super) fn end(&mut self, number: u64, (state, now): (HoldState, Verdict), end: HoldEnd) -> Option<&Hold> {
        self.all.get(&number).filter(|hold| hold.state == HoldState::Open)?;
        let forget_ms = end.forget_ms;
        self.change(number, |hold| (hold.state, hold.now, hold.end) = (state, now, Some(end)));
        let hold = self.all.get_mut(&number)?;
        self.overdue -= usize::from(std::mem::take(&mut hold.is_overdue));
        let place = (hold.review_by_ms, number);
        self.reviews.remove(&place);
        self.due.remove(&place);
        let program = hold.event.program.clone();
        self.share(&program).ended.insert((forget_ms, number));
        self.all.get(&number)
    }

    /// An open one stays for these reasons alone.
    pub(super) fn keep_for(&mut self, number: u64, rules: Vec<HoldRule>, decisions: Vec<HoldDecision>) {
        self.change(number, |hold| (hold.rules, hold.decisions) = (rules, decisions));
    }

    /// Changes one, and what it takes.
    fn change(&mut self, number: u64, change: impl FnOnce(&mut Hold)) {
        self.keep(number);
        let Some(hold) = self.all.get_mut(&number) else { return };
        let before = hold.bytes();
        change(hold);
        let (after, program) = (hold.bytes(), hold.event.program.clone());
        self.take_bytes(&program, before);
        self.add_bytes(&program, after);
    }

    /// Forgets those whose time to be remembered is over.
    pub(super) fn forget(&mut self, watermark_ms: i64) {
        let is_over = |(forget_ms, _): &(i64, u64)| *forget_ms <= watermark_ms;
        let over = |share: &Share| share.ended.iter().copied().take_while(is_over).collect::<Vec<_>>();
        let over: Vec<(i64, u64)> = self.shares.values().flat_map(over).collect();
        over.into_iter().for_each(|place| self.forget_one(place));
    }
}
