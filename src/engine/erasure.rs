//! What is forgotten of an account when `account.erased` comes, at that event's place in the log.
//!
//! What lies under the account's id alone goes at once: facts about it, who invited it, what features count by the account, what
//! waits for its referral, what stands on it, overrides included; and its open holds end, so that nothing is paid any more.
//! What others have of it lies under keyed hashes of other keys, or with the accounts that it invited, and leaves with its window.
//! Invariant: such an event is a chunk by itself. So all before it are counted and all behind it begin anew, whatever the batch;
//! and a chunk that is judged once more, over shared records of which a part was written, reads what it read first.

use super::dossier::account_field;
use super::holds::HoldState;
use super::judgement::Judgements;
use super::machine::Engine;
use crate::event::{Event, EventBatch, EventKind, Field, SubjectKind, Verdict};
use crate::state::{KeyHash, PartHash, Scalar, Sighting};

/// The type of the event.
const ERASED: &str = "account.erased";
/// What the end of a hold says.
const REASON: &str = "the account was erased";
/// So many units of the calendar that late events may still see are looked at, at most.
const PERIODS_MAX: usize = 64;

/// How many of the events there are before the first that erases an account; that alone where it is the first.
pub(super) fn up_to_erasure(events: &[Event]) -> usize {
    let erased = EventKind::from_name(ERASED);
    events.iter().position(|event| event.kind == erased).map_or(events.len(), |place| place.max(1))
}

/// The account that an event erases; `None`: it erases none.
pub(super) fn erased_account<'a>(batch: &'a EventBatch, event: &Event) -> Option<&'a str> {
    (event.kind == EventKind::from_name(ERASED)).then(|| batch.field(event, Field::AccountId))
}

impl Engine {
    /// Forgets the account that the event of the chunk erases, if it does and is no repeat.
    pub(super) fn erase(&mut self, batch: &EventBatch, events: &[Event], out: &mut Judgements) {
        let Some((event, account)) = self.erased(batch, events) else { return };
        let entry = &self.chunk.entries[events.len() - 1];
        let (place, at_ms) = (entry.program, entry.as_of_ms(event));
        self.forget_traces(place, account, None, &mut |_, _| {});
        let program = self.programs.get(place).name.clone();
        let subject = self.subject(&program, SubjectKind::Account, account);
        self.decisions.erase(subject);
        let is_of = |of: &str, name: &str| of == name;
        let open = self.holds.reviews_behind(None).map(|(_, hold)| hold);
        let of_account =
            open.filter(|hold| is_of(&hold.event.program, &program) && is_of(&hold.event.account, account));
        let numbers: Vec<u64> = of_account.map(|hold| hold.number).collect();
        for number in numbers {
            self.end_hold(number, (HoldState::Expired, Verdict::Block), (at_ms, REASON, ""), out);
        }
        self.tell_decisions(at_ms, out);
    }

    /// The same of history that is not judged: what was counted alone. `only` is by feature which ones are.
    pub(super) fn erase_history(&mut self, batch: &EventBatch, events: &[Event], only: Option<&[bool]>) {
        if let Some((_, account)) = self.erased(batch, events) {
            let place = self.chunk.entries[events.len() - 1].program;
            self.forget_traces(place, account, only, &mut |_, _| {});
        }
    }

    fn erased<'a>(&self, batch: &'a EventBatch, events: &'a [Event]) -> Option<(&'a Event, &'a str)> {
        let event = events.last()?;
        let account = erased_account(batch, event)?;
        let sighting = self.chunk.entries.get(events.len() - 1)?.sighting;
        matches!(sighting, Some(Sighting::New(_) | Sighting::Unjudged(_))).then_some((event, account))
    }

    /// Forgets what was counted under the id of an account. `gone` is told of each key with the place of its table, those of
    /// accounts last.
    pub(super) fn forget_traces(
        &mut self,
        place: usize,
        account: &str,
        only: Option<&[bool]>,
        gone: &mut dyn FnMut(usize, KeyHash),
    ) {
        let keys = self.keys_of_account(place, account);
        let is_wanted = |of: usize| only.is_none_or(|only| only.get(of).copied().unwrap_or(false));
        for (of, key) in keys.features.into_iter().filter(|(of, _)| is_wanted(*of)) {
            self.tables[of].forget(key);
            gone(of, key);
        }
        if only.is_none() {
            let features = self.tables.len();
            self.accounts.forget(keys.account);
            (0..self.accounts.tables().len()).for_each(|of| gone(features + of, keys.account));
            self.waiting.forget(keys.account);
        }
    }

    /// The keys under which things are kept of an account alone.
    pub(super) fn keys_of_account(&self, place: usize, account: &str) -> KeysOfAccount {
        let program = self.programs.get(place);
        let id = self.hasher.part(Scalar::Text(account));
        let features = self.rules.features.iter().enumerate();
        let by_account = features.filter(|(of, feature)| {
            // What programs share is not one program's to forget.
            account_field(feature).is_some() && !self.plan.features[*of].space.is_global()
        });
        let features = by_account.flat_map(|(of, _)| self.keys_of_feature(of, place, id).map(move |key| (of, key)));
        let features = features.collect();
        KeysOfAccount { account: self.hasher.key(program.part, &[id]).of_class(program.class), features }
    }

    /// The key of a feature at an account; where it counts by units of the calendar, one for each that an event may still read.
    fn keys_of_feature(&self, of: usize, place: usize, id: PartHash) -> impl Iterator<Item = KeyHash> {
        let (planned, program) = (&self.plan.features[of], self.programs.get(place));
        let shifted = |time_ms: i64| time_ms.saturating_sub(planned.offset_ms);
        let (latest_ms, oldest_ms) = (self.clock.latest_ms().map(shifted), shifted(self.clock.horizon_ms()));
        let earlier = move |time_ms: &i64| {
            let start_ms = planned.space.start_ms(|| program, *time_ms)?;
            (start_ms > oldest_ms).then(|| start_ms - 1)
        };
        let times = std::iter::successors(latest_ms, earlier).take(PERIODS_MAX);
        times.map(move |time_ms| planned.space.first(program, &self.hasher, time_ms).key(&self.hasher, &[id]))
    }
}

/// The keys under which things are kept of one account.
pub(super) struct KeysOfAccount {
    /// That of facts about it.
    pub(super) account: KeyHash,
    /// By the place of the feature: those of windows.
    pub(super) features: Vec<(usize, KeyHash)>,
}
