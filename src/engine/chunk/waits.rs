//! Events of a chunk that wait for a referral, and referrals that end waits.

use super::{Chunk, Ground, NOWHERE};
use crate::engine::account::AccountMemory;
use crate::engine::plan::{FeaturePlan, TypeStep, ValueUse};
use crate::engine::waiting::{Hole, Late, Waiting};
use crate::event::Field;
use crate::ruleset::cel::Role;
use crate::state::{KeyHash, Op, PartHash, Scalar};

/// What is needed to let events wait for their referrals.
#[derive(Debug)]
pub(in crate::engine) struct ByReferral<'a> {
    /// Who invited the accounts of the chunk.
    pub accounts: &'a AccountMemory,
    /// What waits.
    pub waiting: &'a mut Waiting,
    /// How long a referral counts, in milliseconds.
    pub retention_ms: i64,
}

impl Chunk {
    /// Lets an event wait that cannot be counted yet, because it is not known who invited its account.
    #[cold]
    pub(super) fn wait(
        &mut self,
        ground: &Ground<'_>,
        at: usize,
        step: &TypeStep,
        hole: Hole,
        by_referral: &mut ByReferral<'_>,
    ) {
        let Some(account) = account(ground, self.entries[at].program, at, hole.role) else { return };
        let parts = &self.parts[at * ground.plan.parts.len()..];
        let part = |place: usize| parts[step.key[place] as usize];
        let others = (0..step.key.len()).filter(|place| *place != hole.place).map(part);
        let Some(others) = others.collect::<Option<Box<[PartHash]>>>() else { return };
        let Some(value) = self.counted_value(ground, at, step) else { return };
        let event = &ground.events[at];
        let space = ground.plan.features[step.feature as usize].space;
        let first = space.first(ground.programs.get(self.entries[at].program), ground.hasher, event.event_time_ms);
        let late = Late {
            feature: step.feature,
            first,
            others,
            place: hole.place as u8,
            time_ms: event.event_time_ms,
            event: self.entries[at].identity,
            value,
            id: self.ids[at],
        };
        by_referral.waiting.push(account, late);
    }

    /// Counts what waited for this event, if it is a referral that tells who invited its account.
    #[inline]
    pub(super) fn end_wait(&mut self, ground: &Ground<'_>, at: usize, by_referral: &mut ByReferral<'_>) {
        if !by_referral.waiting.is_empty() && self.entries[at].feeds() {
            self.end_wait_of_some(ground, at, by_referral);
        }
    }

    fn end_wait_of_some(&mut self, ground: &Ground<'_>, at: usize, by_referral: &mut ByReferral<'_>) {
        let event = &ground.events[at];
        // What it says of itself stands there already; what another said was found when that came.
        let referrer = by_referral.accounts.referrer(at, Role::Account);
        if referrer.is_empty() || ground.batch.field(event, Field::Type) != "referral.completed" {
            return;
        }
        let Some(account) = account(ground, self.entries[at].program, at, Role::Account) else { return };
        let referrer = ground.hasher.part(Scalar::Text(referrer));
        let horizon_ms = self.entries[at].moment.horizon_ms;
        for late in by_referral.waiting.referred(account, event.event_time_ms, by_referral.retention_ms) {
            let FeaturePlan { offset_ms, value, .. } = ground.plan.features[late.feature as usize];
            debug_assert!(value != ValueUse::Links, "components do not wait");
            let op = Op {
                key: late.key(ground.hasher, referrer),
                time_ms: late.time_ms,
                horizon_ms: horizon_ms.saturating_sub(offset_ms),
                event: late.event,
                value: late.value,
                id: (self.entries.len() + self.waited.len()) as u32,
                add: true,
                ..Op::default()
            };
            self.waited.push((at, late.id));
            self.ops[late.feature as usize].push(op);
            self.targets[late.feature as usize].push(NOWHERE);
        }
    }

    /// The places of the events whose referral ended their wait, by the order of their ids behind those of the chunk.
    pub(in crate::engine) fn waited_places(&self) -> impl Iterator<Item = usize> {
        self.waited.iter().map(|(place, _)| *place)
    }

    /// The place of the event that an operation counts; of one that has waited, that of its referral.
    pub(super) fn place_of(&self, op: &Op) -> usize {
        let id = op.id as usize;
        id.checked_sub(self.entries.len()).and_then(|waited| self.waited.get(waited)).map_or(id, |(place, _)| *place)
    }
}

/// The key of an event's account in this role; `None` when it names none.
fn account(ground: &Ground<'_>, program: usize, at: usize, role: Role) -> Option<KeyHash> {
    let id = ground.batch.field(&ground.events[at], role.id_field());
    let program = ground.programs.get(program);
    let key = |part| ground.hasher.key(program.part, &[part]).of_class(program.class);
    (!id.is_empty()).then(|| key(ground.hasher.part(Scalar::Text(id))))
}
