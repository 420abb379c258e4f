//! What there is to see of a state that is not on this disk alone: copies of checkpoints, standing by, and what instances share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::IntCounterVec;

use super::{Metrics, NONE, UNBROKEN, seconds};
use crate::daemon::standby::StandbyStatus;
use crate::stream::copies::Copied;
use crate::stream::redis::SharedCounts;

/// What is looked at at each scrape.
#[derive(Debug, Default)]
pub(super) struct Outside {
    copied: Option<Arc<Copied>>,
    standby: Option<Arc<StandbyStatus>>,
    shared: Option<Arc<SharedCounts>>,
}

/// The setting that names the store.
const STORE: &str = "state.copies";

impl Metrics {
    /// Shows what is known of copies.
    pub fn copy(&self, copied: &Arc<Copied>) {
        self.outside.lock().expect(UNBROKEN).copied = Some(Arc::clone(copied));
        let copied = Arc::clone(copied);
        self.depend(STORE, move || Some(!copied.is_away.load(Ordering::Relaxed)));
    }

    /// Shows what is known of standing by.
    pub fn stands_by(&self, standby: &Arc<StandbyStatus>) {
        self.outside.lock().expect(UNBROKEN).standby = Some(Arc::clone(standby));
        let standby = Arc::clone(standby);
        self.depend(STORE, move || {
            // From then on copies say it.
            let stands_by = standby.stands_by.load(Ordering::Relaxed);
            stands_by.then(|| !standby.is_store_away.load(Ordering::Relaxed))
        });
    }

    /// Shows what is known of state that instances share in Redis.
    pub fn share(&self, counts: &Arc<SharedCounts>) {
        self.outside.lock().expect(UNBROKEN).shared = Some(Arc::clone(counts));
        let counts = Arc::clone(counts);
        self.depend("redis", move || Some(counts.is_up.load(Ordering::Relaxed)));
    }

    /// Sets all of it.
    pub(super) fn show_outliving(&self, now_ms: i64) {
        let families = &self.families;
        let Outside { copied, standby, shared } = &*self.outside.lock().expect(UNBROKEN);
        if let Some(copied) = copied {
            let since_ms = copied.waits_since_ms.load(Ordering::Relaxed);
            let lag_ms = if since_ms == 0 { 0 } else { now_ms.saturating_sub(since_ms).max(0) };
            families.copy_lag_seconds.with_label_values(NONE).set(seconds(lag_ms));
            follow(&families.copies_total, &copied.made);
            follow(&families.copy_failures_total, &copied.failed);
        }
        if let Some(standby) = standby {
            let stands_by = standby.stands_by.load(Ordering::Relaxed);
            families.standby.with_label_values(NONE).set(f64::from(u8::from(stands_by)));
            let behind = if stands_by { standby.behind.load(Ordering::Relaxed) } else { 0 };
            families.standby_behind_entries.with_label_values(NONE).set(behind as f64);
        }
        if let Some(shared) = shared {
            follow(&families.shared_conflicts_total, &shared.conflicts);
            follow(&families.shared_swept_total, &shared.swept);
        }
    }
}

/// Brings a counter to what was counted elsewhere.
fn follow(family: &IntCounterVec, counted: &AtomicU64) {
    let counter = family.with_label_values(NONE);
    counter.inc_by(counted.load(Ordering::Relaxed).saturating_sub(counter.get()));
}
