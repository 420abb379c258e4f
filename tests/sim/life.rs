//! The life of one simulated process: how often it may still touch what is outside of it.
//!
//! A process is not stopped in the midst of a call. It is cut off: from one touch on nothing that it does has any effect, and
//! everything answers it with an error. To the outside that is the same, and it needs neither threads nor unwinding.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Shared by everything that a process has of the outside.
#[derive(Debug)]
pub(crate) struct Life {
    /// Touches until it ends.
    left: AtomicU64,
    /// The last one still has its effect, of which nobody is told.
    last_counts: bool,
    is_over: AtomicBool,
}

/// What becomes of a touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    /// It has its effect.
    Counts,
    /// It has its effect, and the process does not live to see it.
    CountsUnseen,
    /// It has none.
    Void,
}

impl Life {
    pub(crate) fn new(touches: u64, last_counts: bool) -> Arc<Life> {
        Arc::new(Life { left: AtomicU64::new(touches), last_counts, is_over: AtomicBool::new(touches == 0) })
    }

    pub(crate) fn touch(&self) -> Touch {
        if self.is_over() {
            return Touch::Void;
        }
        let left = self.left.load(Ordering::Relaxed) - 1;
        self.left.store(left, Ordering::Relaxed);
        match left {
            0 => {
                self.is_over.store(true, Ordering::Relaxed);
                if self.last_counts { Touch::CountsUnseen } else { Touch::Void }
            }
            _ => Touch::Counts,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}
