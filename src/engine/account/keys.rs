//! The keys of the first round, before anything is known of them: for who must fetch what stands there.

use super::{AccountMemory, AccountTables, Visit};
use crate::state::{KeyHash, KeyHasher};

impl AccountMemory {
    /// Tells the keys at which the first round may ask or tell something, each with the place of its event.
    pub(in crate::engine) fn keys<'a>(
        &mut self,
        plan: &AccountTables,
        hasher: &KeyHasher,
        events: usize,
        visit: impl Fn(usize) -> Visit<'a>,
        note: &mut dyn FnMut(usize, KeyHash),
    ) {
        self.begin(hasher, events, &visit);
        for (memory, roles) in &plan.kept {
            self.list(*memory, roles, hasher, &visit);
            self.ops.iter().for_each(|op| note(op.id as usize, op.key));
        }
        if self.referrers.is_some() {
            for (at, ids) in self.ids.iter().enumerate() {
                ids.iter().flatten().for_each(|id| note(at, visit(at).key(hasher, &[*id])));
            }
        }
    }
}
