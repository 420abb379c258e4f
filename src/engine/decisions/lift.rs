//! Decisions that are undone together: which, and their end.

use super::log::EndReason;
use super::{DecisionCause, DecisionRecord, Decisions};
use crate::state::KeyHash;

/// The causes that are lifted, by subject, in the order of the subjects' keys.
pub(in crate::engine) type Lifted = Vec<(KeyHash, Vec<String>)>;

impl Decisions {
    /// The causes of rules that a lift is about.
    pub(in crate::engine) fn to_lift(&self, is_wanted: impl Fn(&DecisionRecord, &DecisionCause) -> bool) -> Lifted {
        let of = |(key, record): (KeyHash, &DecisionRecord)| {
            let wanted = record.causes.iter().filter(|cause| !cause.is_override() && is_wanted(record, cause));
            let ids: Vec<String> = wanted.map(|cause| cause.id.clone()).collect();
            (!ids.is_empty()).then_some((key, ids))
        };
        self.records_behind(None).filter_map(of).collect()
    }

    /// Ends causes before their time.
    pub(in crate::engine) fn lift(&mut self, lifted: &Lifted) {
        for (key, ids) in lifted {
            self.keep(*key);
            let Some(record) = self.records.get_mut(key) else { continue };
            let before = record.effective();
            let bytes = record.bytes();
            record.causes.retain(|cause| !ids.contains(&cause.id));
            self.bytes = self.bytes + record.bytes() - bytes;
            let after = record.effective();
            self.touch(*key, EndReason::Lifted);
            self.close_if_empty(*key);
            self.move_verdict(before, after);
        }
    }
}
