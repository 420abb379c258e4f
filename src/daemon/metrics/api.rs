//! What the API counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::table::Families;
use super::{Metrics, NONE};
use crate::daemon::mirror;
use crate::serve::{Limited, Observer};

/// The setting that configures the records.
const RECORDS: &str = "records.url";
/// What verdicts wait for nothing of: the rest is not missed where these are away.
const NOT_WAITED_FOR: [&str; 3] = [RECORDS, "state.copies", mirror::SETTING];

/// Counts for the API.
struct ApiCounts {
    families: Arc<Families>,
    are_records_up: Arc<AtomicBool>,
}

impl Metrics {
    /// What counts the calls of the API. Shows its counts from 0 on.
    pub fn api(&self) -> Arc<dyn Observer> {
        self.families.evaluate_latency_seconds.with_label_values(NONE);
        self.families.ext_authz_latency_seconds.with_label_values(NONE);
        for limited in Limited::ALL {
            self.families.rate_limited_total.with_label_values(&[limited.name()]);
        }
        self.families.stream_subscribers.with_label_values(&["decisions"]).set(0.0);
        let are_records_up = Arc::new(AtomicBool::new(true));
        let is_up = Arc::clone(&are_records_up);
        self.depend(RECORDS, move || Some(is_up.load(Ordering::Relaxed)));
        Arc::new(ApiCounts { families: Arc::clone(&self.families), are_records_up })
    }

    /// The names of the services that are away and that verdicts wait for.
    pub fn away_from_verdicts(&self) -> Vec<String> {
        self.away().into_iter().filter(|name| !NOT_WAITED_FOR.contains(&name.as_str())).collect()
    }
}

impl Observer for ApiCounts {
    fn answered(&self, route: &'static str, status: u16) {
        self.families.http_requests_total.with_label_values(&[route, &status.to_string()]).inc();
    }

    fn evaluated(&self, took: Duration) {
        self.families.evaluate_latency_seconds.with_label_values(NONE).observe(took.as_secs_f64());
    }

    fn authorized(&self, took: Duration) {
        self.families.ext_authz_latency_seconds.with_label_values(NONE).observe(took.as_secs_f64());
    }

    fn degraded(&self, cause: &str, verdicts: usize) {
        self.families.degraded_answers_total.with_label_values(&[cause]).inc_by(verdicts as u64);
    }

    fn subscribers(&self, stream: &'static str, count: usize) {
        self.families.stream_subscribers.with_label_values(&[stream]).set(count as f64);
    }

    fn limited(&self, limited: Limited) {
        self.families.rate_limited_total.with_label_values(&[limited.name()]).inc();
    }

    fn records_reached(&self, is_up: bool) {
        self.are_records_up.store(is_up, Ordering::Relaxed);
    }
}
