//! What waits for a review: one record for each event whose verdict was `hold`, until a person or time ends it.
//!
//! A hold is of one event, where a decision is of a subject. It is named by a hash of its event's name, so that who was told
//! `hold_id` finds it, and nothing is drawn by lot. One that has ended is remembered for as long as its event is, so that `current` can be told. Invariants: open holds stand
//! in the order of their reviews, and among those that are due unless they are overdue; ended ones among those that are to be
//! forgotten; bytes and the count of overdue ones are those of a recount.

mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::event::Verdict;
use crate::ruleset::program::OnExpiry;
use stored::HoldsCut;

/// What ids of holds begin with.
pub(super) const HOLD: &str = "hold";

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
    /// What the verdict on its event is now.
    pub now: Verdict,
    /// How it has ended; `None`: it is open.
    pub end: Option<HoldEnd>,
}

impl Hold {
    /// Its id, as verdicts tell it.
    pub fn id(&self) -> String {
        hold_name(self.number)
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

/// All holds.
#[derive(Debug, Default)]
pub struct Holds {
    all: BTreeMap<u64, Hold>,
    /// Open ones, by when they are to be reviewed.
    reviews: BTreeSet<(i64, u64)>,
    /// Those of them whose time is not over.
    due: BTreeSet<(i64, u64)>,
    /// Ended ones, by when they are forgotten.
    ended: BTreeSet<(i64, u64)>,
    overdue: usize,
    bytes: usize,
    /// No more are made from so many bytes on.
    bytes_max: usize,
    refused: u64,
    cut: Option<Box<HoldsCut>>,
}

impl Holds {
    /// No holds, which take so many bytes at most.
    pub(super) fn new(bytes_max: usize) -> Holds {
        Holds { bytes_max, ..Holds::default() }
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

    /// Makes a hold. Where there is no room, ended ones are forgotten before their time; `false`: it was not made, since all of
    /// them wait.
    pub(super) fn make(&mut self, hold: Hold) -> bool {
        if self.all.get(&hold.number).is_some_and(|known| known.state == HoldState::Open) {
            // The same event again, after it was forgotten: it waits already.
            return true;
        }
        self.drop_ended(hold.number);
        let added = hold.bytes();
        while self.bytes + added > self.bytes_max {
            let Some((_, number)) = self.ended.first().copied() else {
                self.refused += 1;
                return false;
            };
            self.drop_ended(number);
        }
        self.keep(hold.number);
        self.bytes += added;
        let place = (hold.review_by_ms, hold.number);
        self.reviews.insert(place);
        self.due.insert(place);
        self.all.insert(hold.number, hold);
        true
    }

    /// Forgets one that has ended, if it is there.
    fn drop_ended(&mut self, number: u64) {
        let Some((hold, end)) = self.all.get(&number).and_then(|hold| Some((hold, hold.end.as_ref()?))) else { return };
        let (bytes, place) = (hold.bytes(), (end.forget_ms, number));
        self.keep(number);
        self.bytes -= bytes;
        self.ended.remove(&place);
        self.all.remove(&number);
    }

    /// The next one whose time is over at this instant; it is not due any more, and overdue if it is kept.
    pub(super) fn pop_due(&mut self, watermark_ms: i64) -> Option<u64> {
        let place = *self.due.first().filter(|(review_by_ms, _)| *review_by_ms <= watermark_ms)?;
        let number = place.1;
        if self.all.get(&number)?.on_expiry == OnExpiry::Keep {
            self.keep(number);
            self.due.remove(&place);
            self.overdue += 1;
            if let Some(hold) = self.all.get_mut(&number) {
                hold.is_overdue = true;
            }
        }
        Some(number)
    }

    /// Ends one that is open.
    pub(super) fn end(&mut self, number: u64, (state, now): (HoldState, Verdict), end: HoldEnd) -> Option<&Hold> {
        self.all.get(&number).filter(|hold| hold.state == HoldState::Open)?;
        self.keep(number);
        let hold = self.all.get_mut(&number)?;
        let place = (hold.review_by_ms, number);
        let forget_ms = end.forget_ms;
        self.bytes -= hold.bytes();
        self.overdue -= usize::from(std::mem::take(&mut hold.is_overdue));
        (hold.state, hold.now, hold.end) = (state, now, Some(end));
        self.bytes += hold.bytes();
        self.reviews.remove(&place);
        self.due.remove(&place);
        self.ended.insert((forget_ms, number));
        Some(hold)
    }

    /// Forgets those whose time to be remembered is over.
    pub(super) fn forget(&mut self, watermark_ms: i64) {
        while let Some(place) = self.ended.first().copied().filter(|(forget_ms, _)| *forget_ms <= watermark_ms) {
            self.keep(place.1);
            self.ended.remove(&place);
            if let Some(hold) = self.all.remove(&place.1) {
                self.bytes -= hold.bytes();
            }
        }
    }
}
