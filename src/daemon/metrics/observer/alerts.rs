//! What was counted of alerts, moved into the metrics.

use crate::alerts::{AlertChange, AlertClosing, AlertCounts, AlertEvent};
use crate::daemon::metrics::table::Families;
use crate::event::Severity;

/// The counts as the metrics show them.
#[derive(Debug)]
pub(super) struct ShownAlerts(AlertCounts);

impl ShownAlerts {
    /// Shows every one at 0.
    pub(super) fn start(families: &Families) -> ShownAlerts {
        add(families, &AlertCounts::default(), &AlertCounts::default());
        ShownAlerts(AlertCounts::default())
    }

    /// Shows what was counted since the start.
    pub(super) fn show(&mut self, families: &Families, counts: &AlertCounts) {
        if self.0 != *counts {
            add(families, &self.0, counts);
            self.0 = *counts;
        }
    }
}

fn add(families: &Families, before: &AlertCounts, counts: &AlertCounts) {
    for severity in Severity::ALL {
        let open = counts.open[*severity as usize];
        families.alerts_open.with_label_values(&[severity.name()]).set(open as f64);
    }
    let events = AlertEvent::ALL.iter().map(|event| event.name()).zip(counts.events.iter().zip(before.events));
    let records = AlertChange::ALL.iter().map(|change| change.name()).zip(counts.records.iter().zip(before.records));
    let closed = AlertClosing::ALL.iter().map(|closing| closing.name()).zip(counts.closed.iter().zip(before.closed));
    for (family, counts) in [
        (&families.alert_events_total, events.collect::<Vec<_>>()),
        (&families.alert_records_total, records.collect()),
        (&families.alerts_closed_total, closed.collect()),
    ] {
        for (word, (count, before)) in counts {
            family.with_label_values(&[word]).inc_by(count - before);
        }
    }
}
