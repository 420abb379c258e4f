//! Defects that a test plants in the thread that runs it, to prove that it would find them. A release has none of it.

/// What may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// The journal tells of entries on the disk that were not synced.
    SyncSkipped,
    /// Places are committed, and what came of their inputs later.
    PlacesEarly,
    /// An event that came before is counted and judged as if it were new.
    AddedTwice,
    /// A checkpoint counts before what came of its inputs is committed.
    CheckpointEarly,
}

#[cfg(debug_assertions)]
mod switch {
    use super::Defect;
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<Defect>> = const { Cell::new(None) };
    }

    /// Plants a defect in this thread, and none but it.
    pub fn plant(defect: Option<Defect>) {
        PLANTED.set(defect);
    }

    /// Whether it is there.
    pub(crate) fn is_planted(defect: Defect) -> bool {
        PLANTED.get() == Some(defect)
    }
}

#[cfg(not(debug_assertions))]
mod switch {
    /// Nothing is.
    pub(crate) const fn is_planted(_defect: super::Defect) -> bool {
        false
    }
}

pub(crate) use switch::is_planted;
#[cfg(debug_assertions)]
pub use switch::plant;
