//! What people do, taken in between two events as an event is.
//!
//! An act changes the state at its place of the log, so that whoever judges the same log again says the same. It counts no event.

use super::holds::Hold;
use super::judgement::Judgements;
use super::lift::LiftCount;
use super::machine::Engine;
use super::overrides::Override;
use crate::event::{Act, Deed};
use crate::lists::ManagedEntry;

/// What came of an act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActOutcome {
    /// This override stands.
    Overridden(Box<Override>),
    /// This entry is in its list.
    Entered(Box<ManagedEntry>),
    /// The override or entry was taken away.
    Deleted,
    /// There is nothing of what it is about.
    NotFound,
    /// There is as much of it as may be.
    Full,
    /// The hold has ended so, now or before.
    Held(Box<Hold>),
    /// The hold had ended otherwise before.
    EndedBefore(Box<Hold>),
    /// The hold cannot be released: this override blocks what it holds.
    Blocked(Box<Override>),
    /// So much was undone.
    Lifted(LiftCount),
}

impl Engine {
    /// Takes an act in, behind what was judged before. Events that come later are to be derived for [`Engine::wanted`] as it is
    /// afterwards: an override may stand on what no rule looks at.
    pub fn act(&mut self, act: &Act, out: &mut Judgements) -> ActOutcome {
        // What time has ended a person comes too late for.
        self.pass_time(out);
        self.end_holds(out);
        let outcome = match &act.what {
            Deed::PutOverride(put) => self.put_override(act, put, out),
            Deed::DeleteOverride(of) => self.delete_override(act, of, out),
            Deed::PutEntry(put) => self.enter(act, put),
            Deed::DeleteEntry(of) => match self.delete_entry(&of.list, &of.value) {
                true => ActOutcome::Deleted,
                false => ActOutcome::NotFound,
            },
            Deed::EndHold(of) => self.end_by_person(act, of, out),
            Deed::Lift(of) => self.lift(act, of, out),
        };
        self.tell_decisions(act.at_ms, out);
        outcome
    }
}
