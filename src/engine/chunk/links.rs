//! Operations on components: what an event brings that links its account, and questions whether two accounts are linked.

use super::super::plan::Other;
use super::{Chunk, Ground, Target, reading};
use crate::ruleset::cel::Scalar;
use crate::state::{self, Op, PartHash, Value};

impl Chunk {
    /// Notes the values that link the account of an event, without those that are ignored. Answers what the operation
    /// names them by.
    pub(super) fn give_links(&mut self, ground: &Ground<'_>, at: usize, feature: u32, space: PartHash) -> u64 {
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
        space: PartHash,
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
        let program = ground.programs.get(entry.program);
        let complete = plan.is_complete_for(program, entry.as_of_ms(&ground.events[at]), ground.started_ms);
        self.readings[at * ground.plan.reads + other.read.0 as usize] = reading(&no, plan, complete);
    }
}

/// The key of a value, beside those of accounts: one value is the same by whichever expression it comes.
fn value_key(ground: &Ground<'_>, space: PartHash, value: PartHash) -> state::KeyHash {
    ground.hasher.key(space, &[PartHash::GLOBAL, value])
}
