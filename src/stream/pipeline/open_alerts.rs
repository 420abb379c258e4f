//! Open alerts on their way from the writer's thread, which gathers them, into a checkpoint of the engine's.
//!
//! A checkpoint is of one place of the log, and the writer comes to that place later. So the keeper says which place it wants, and
//! the writer gives what is open there: after the last work before it, and before the first behind it.

use std::sync::{Mutex, MutexGuard};

/// Open alerts, in segments.
pub(super) type Segments = Vec<Vec<u8>>;

/// Handed from one thread to the other.
#[derive(Debug, Default)]
pub(super) struct OpenAlerts(Mutex<Handed>);

#[derive(Debug, Default)]
struct Handed {
    /// The number of the first entry that is not to be in them.
    wanted: Option<u64>,
    given: Option<Segments>,
    /// Those that are open where nobody gathers any: before the first work and after the last.
    at_rest: Segments,
}

impl OpenAlerts {
    /// Those that are open before the first work.
    pub(super) fn new(at_rest: Segments) -> OpenAlerts {
        OpenAlerts(Mutex::new(Handed { at_rest, ..Handed::default() }))
    }

    fn lock(&self) -> MutexGuard<'_, Handed> {
        self.0.lock().expect("no thread panics while it hands alerts over")
    }

    /// Wants those that are open before this entry; none, if a checkpoint was given up.
    pub(super) fn want(&self, entry: Option<u64>) {
        let mut handed = self.lock();
        (handed.wanted, handed.given) = (entry, None);
    }

    /// Whether those are wanted that are open now: everything before this entry was gathered, and nothing that lies behind the
    /// place that is wanted. `next`: the entry behind the work that is gathered next; `None`: it is not known.
    pub(super) fn is_wanted(&self, through: u64, next: Option<u64>) -> bool {
        let wanted = self.lock().wanted;
        wanted.is_some_and(|wanted| through >= wanted || next.is_some_and(|next| next > wanted))
    }

    /// Gives what was wanted.
    pub(super) fn give(&self, segments: Segments) {
        let mut handed = self.lock();
        (handed.wanted, handed.given) = (None, Some(segments));
    }

    /// What was given.
    pub(super) fn take(&self) -> Option<Segments> {
        self.lock().given.take()
    }

    /// Nothing more is gathered.
    pub(super) fn rest(&self, segments: Segments) {
        self.lock().at_rest = segments;
    }

    /// What is open while nothing is gathered.
    pub(super) fn at_rest(&self) -> Segments {
        self.lock().at_rest.clone()
    }
}
