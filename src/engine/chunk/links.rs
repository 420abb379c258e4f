//! How accounts hang together: operations on components (what an event brings that links its account, and questions whether
//! two accounts are linked), and questions about chains of referrers.

use std::borrow::Cow;

use super::super::account::{AccountMemory, Visit};
use super::super::plan::{FirstPart, Other};
use super::{Chunk, Ground, Target, reading};
use crate::ruleset::cel::{ReadingValue, Referral, Scalar};
use crate::state::{self, Op, PartHash, Value};

impl Chunk {
    /// What a question about the chain of referrers comes to for an event. An account without a value has nobody above it.
    pub(super) fn referral(
        &self,
        ground: &Ground<'_>,
        at: usize,
        question: &Referral,
        accounts: &AccountMemory,
        visit: &Visit<'_>,
    ) -> ReadingValue {
        let row = self.row(ground, at);
        let mut texts = [Cow::Borrowed(""), Cow::Borrowed("")];
        let asked = question.accounts();
        for (text, account) in texts.iter_mut().zip(asked) {
            if let Ok(Scalar::Text(id)) = account.scalar(&row) {
                *text = id;
            }
        }
        let [one, two] = &texts;
        accounts.referral(question, &[&**one, &**two][..asked.len()], ground.hasher, visit)
    }

    /// Notes the values that link the account of an event, without those that are ignored. Answers what the operation
    /// names them by.
    pub(super) fn give_links(&mut self, ground: &Ground<'_>, at: usize, feature: u32, space: FirstPart) -> u64 {
        let mut links = std::mem::take(&mut self.links[feature as usize]);
        let of = &ground.rules.features[feature as usize];
        let row = self.row(ground, at);
        let base = at * ground.plan.parts.len();
        let values = of.links.iter().zip(&ground.plan.links[feature as usize]).filter_map(|(link, part)| {
            let value = self.parts[base + *part as usize]?;
            let ignored = link.ignored.as_ref().is_some_and(|ignored| ignored.test(&row) == Ok(true));
            (!ignored).then(|| value_key(ground, space, value))
        });
        let named = of.lists_members.then(|| of.key.first()).flatten();
        let given = match named.map(|account| account.scalar(&row)) {
            Some(Ok(Scalar::Text(name))) => links.give(values, &name),
            _ => links.give(values, ""),
        };
        self.links[feature as usize] = links;
        given
    }

    /// Lists the question whether two accounts are of one component; the answer is no where one of them is empty.
    pub(super) fn plan_same(
        &mut self,
        ground: &Ground<'_>,
        at: usize,
        feature: u32,
        other: &Other,
        op: Op,
        space: FirstPart,
    ) {
        let accounts = [0, 1].map(|place| self.key(ground, at, space, other.key.get(place..=place)?));
        if let [Some(one), Some(two)] = accounts {
            let value = self.links[feature as usize].give([two], "");
            let target = Target { at: at as u32, read: other.read };
            self.push(feature, Op { key: one, value, compare: true, ..op }, target);
            return;
        }
        let no = state::Reading { value: Value::Flag(false), known: false, exact: true };
        let entry = &self.entries[at];
        let plan = &ground.plan.features[feature as usize];
        let program = || ground.programs.get(entry.program);
        let complete = plan.is_complete_for(program, entry.as_of_ms(&ground.events[at]), ground.started_ms);
        self.readings[at * ground.plan.reads + other.read.0 as usize] = reading(&no, plan, complete);
    }
}

/// The key of a value, beside those of accounts: one value is the same by whichever expression it comes.
fn value_key(ground: &Ground<'_>, space: FirstPart, value: PartHash) -> state::KeyHash {
    space.key(ground.hasher, &[PartHash::GLOBAL, value])
}
