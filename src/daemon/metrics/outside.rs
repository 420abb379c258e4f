//! What there is to see of a state that outlives its disk: copies of checkpoints, and standing by.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Metrics, NONE, UNBROKEN, seconds};
use crate::daemon::standby::StandbyStatus;
use crate::stream::copies::Copied;

/// What is looked at at each scrape.
#[derive(Debug, Default)]
pub(super) struct Outside {
    copied: Option<Arc<Copied>>,
    standby: Option<Arc<StandbyStatus>>,
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

    /// Sets both.
    pub(super) fn show_outliving(&self, now_ms: i64) {
        let families = &self.families;
        let Outside { copied, standby } = &*self.outside.lock().expect(UNBROKEN);
        if let Some(copied) = copied {
            let since_ms = copied.waits_since_ms.load(Ordering::Relaxed);
            let lag_ms = if since_ms == 0 { 0 } else { now_ms.saturating_sub(since_ms).max(0) };
            families.copy_lag_seconds.with_label_values(NONE).set(seconds(lag_ms));
            for (family, counted) in
                [(&families.copies_total, &copied.made), (&families.copy_failures_total, &copied.failed)]
            {
                let counter = family.with_label_values(NONE);
                counter.inc_by(counted.load(Ordering::Relaxed).saturating_sub(counter.get()));
            }
        }
        if let Some(standby) = standby {
            let stands_by = standby.stands_by.load(Ordering::Relaxed);
            families.standby.with_label_values(NONE).set(f64::from(u8::from(stands_by)));
            let behind = if stands_by { standby.behind.load(Ordering::Relaxed) } else { 0 };
            families.standby_behind_entries.with_label_values(NONE).set(behind as f64);
        }
    }
}
