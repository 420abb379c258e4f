//! What is counted while refguard runs, for Prometheus.
//!
//! Counting follows the data: the [`BatchObserver`] counts each batch in the writer's thread, the [`EngineProbe`] hands out
//! what only the engine knows, in the engine's thread and only when somebody asks. It may import everything below the
//! roof. Invariants: names come from `table` alone; no label is a value out of an event; a scrape never waits for the
//! engine longer than `PATIENCE`. Tested in `tests/metrics.rs`.

mod api;
mod observer;
mod outside;
mod snapshot;
mod table;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use prometheus::{Registry, TextEncoder};
use tokio::sync::Mutex;

pub use observer::BatchObserver;
pub use snapshot::{EngineProbe, Snapshot};
pub use table::{Kind, LATENCY_BUCKETS_SECONDS, Metric, TABLE, markdown};

use super::clock;
use crate::event::Verdict;
use crate::ruleset::program::RuleSet;
use crate::stream::Sink;
use crate::stream::journal::Journal;
use crate::stream::log::Subscription;
use crate::stream::pipeline::{Input, Kept, Reader, Sinks, Telling};
use outside::Outside;
use snapshot::Exchange;
use table::Families;

/// How long a scrape waits for the engine.
const PATIENCE: Duration = Duration::from_millis(500);

/// The value of `type` and `program` for a name that is none of ours.
const OTHER: &str = "other";

/// What came of reading the rules again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// New rules are in force.
    Swapped,
    /// They are those that were in force.
    Unchanged,
    /// They are broken: those in force stay.
    Refused,
}

impl ReloadOutcome {
    const ALL: [ReloadOutcome; 3] = [ReloadOutcome::Swapped, ReloadOutcome::Unchanged, ReloadOutcome::Refused];

    fn name(self) -> &'static str {
        match self {
            ReloadOutcome::Swapped => "swapped",
            ReloadOutcome::Unchanged => "unchanged",
            ReloadOutcome::Refused => "refused",
        }
    }
}

/// A service that may be away.
struct Dependency {
    name: String,
    /// `None`: it is no longer in use.
    is_up: Box<dyn Fn() -> Option<bool> + Send + Sync>,
}

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    families: Arc<Families>,
    exchange: Arc<Exchange>,
    dependencies: std::sync::Mutex<Vec<Dependency>>,
    /// By source: how many records it has not read yet.
    lags: std::sync::Mutex<Vec<(String, Weak<dyn Subscription>)>>,
    /// By list: when its file was last changed before it was read, in milliseconds since the Unix epoch.
    lists: std::sync::Mutex<Vec<(String, i64)>>,
    /// What is known of checkpoints, and the journal.
    keeping: std::sync::Mutex<Option<(Arc<Kept>, Arc<Journal>)>>,
    /// What outlives the disk.
    outside: std::sync::Mutex<Outside>,
    /// One scrape at a time.
    scraping: Mutex<()>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        let registry = Registry::new();
        let families = Arc::new(Families::new(&registry));
        families.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        Metrics {
            registry,
            families,
            exchange: Arc::default(),
            dependencies: std::sync::Mutex::default(),
            lags: std::sync::Mutex::default(),
            lists: std::sync::Mutex::default(),
            keeping: std::sync::Mutex::default(),
            outside: std::sync::Mutex::default(),
            scraping: Mutex::default(),
        }
    }
}

impl Metrics {
    /// What counts the batches of a pipeline, for [`Pipeline::observer`](crate::stream::pipeline::Pipeline::observer).
    ///
    /// `sources` are the configured names in the order of the pipeline's readers, `programs` the configured ones;
    /// `monotonic` is the clock that the readers stamp arrivals with.
    pub fn observer(
        &self,
        sources: impl IntoIterator<Item = String>,
        programs: impl IntoIterator<Item = String>,
        rules: &Arc<RuleSet>,
        monotonic: fn() -> Instant,
    ) -> BatchObserver {
        BatchObserver::new(Arc::clone(&self.families), sources, programs, Arc::clone(rules), monotonic)
    }

    /// What lets scrapes look into the engine, for [`Pipeline::probe`](crate::stream::pipeline::Pipeline::probe).
    pub fn probe(&self) -> EngineProbe {
        EngineProbe::new(Arc::clone(&self.exchange))
    }

    /// Watches the Kafka clients of a pipeline: lag of the sources, and whether brokers are there. It keeps no source
    /// open.
    pub fn watch(&self, readers: &[Reader], sinks: &Sinks) {
        for reader in readers {
            let Input::Kafka(kafka) = &reader.input else { continue };
            let source = Arc::downgrade(kafka);
            self.depend(format!("sources.{}", reader.name), move || source.upgrade().map(|kafka| kafka.is_reachable()));
            let lags = &mut self.lags.lock().expect(UNBROKEN);
            lags.push((reader.name.clone(), Arc::downgrade(kafka)));
        }
        let alerts = sinks.alerts.as_ref().and_then(|alerting| alerting.sink.as_ref());
        let always = [("sinks.verdicts", &sinks.verdicts), ("sinks.dead_letters", &sinks.dead_letters)];
        let events = sinks.events.as_ref().map(|sink| ("sinks.events", sink));
        let decisions = sinks.decisions.as_ref().and_then(Telling::sink).map(|sink| ("sinks.decisions", sink));
        let others = alerts.map(|sink| ("sinks.alerts", sink)).into_iter().chain(events).chain(decisions);
        for (name, sink) in always.into_iter().chain(others) {
            let Sink::Kafka(topic) = sink else { continue };
            let reachable = topic.reachable();
            self.depend(name, move || Some(reachable()));
        }
    }

    /// Shows what is known of checkpoints and the journal.
    pub fn keep(&self, kept: &Arc<Kept>, journal: &Arc<Journal>) {
        *self.keeping.lock().expect(UNBROKEN) = Some((Arc::clone(kept), Arc::clone(journal)));
    }

    /// Counts a reload of the rules.
    pub fn reloaded(&self, outcome: ReloadOutcome) {
        self.families.rules_reload_total.with_label_values(&[outcome.name()]).inc();
    }

    /// Since when the rules are in force, in milliseconds since the Unix epoch. Shows the counts of reloads from 0 on.
    pub fn rules_in_force_since(&self, clock_ms: i64) {
        self.families.last_reload_timestamp_seconds.with_label_values(NONE).set(seconds(clock_ms));
        for outcome in ReloadOutcome::ALL {
            self.families.rules_reload_total.with_label_values(&[outcome.name()]);
        }
    }

    /// Tells how old these lists are, and none of those before; as [`Metrics::list`] does.
    pub fn set_lists(&self, lists: Vec<(String, i64)>) {
        *self.lists.lock().expect(UNBROKEN) = lists;
    }

    /// Tells how old a list is. `name` is bounded by what is configured; `modified_ms` is when the file was last changed
    /// before it was read, in milliseconds since the Unix epoch.
    pub fn list(&self, name: impl Into<String>, modified_ms: i64) {
        self.lists.lock().expect(UNBROKEN).push((name.into(), modified_ms));
    }

    /// Watches a service. `name` is the path of the setting that configures it; `is_up` must not block, and answers `None`
    /// once the service is no longer in use.
    pub fn depend(&self, name: impl Into<String>, is_up: impl Fn() -> Option<bool> + Send + Sync + 'static) {
        let dependency = Dependency { name: name.into(), is_up: Box::new(is_up) };
        self.dependencies.lock().expect(UNBROKEN).push(dependency);
    }

    /// The names of the services that are away.
    pub fn away(&self) -> Vec<String> {
        let dependencies = self.dependencies.lock().expect(UNBROKEN);
        let away = dependencies.iter().filter(|dependency| (dependency.is_up)() == Some(false));
        away.map(|dependency| dependency.name.clone()).collect()
    }

    /// Everything in Prometheus's text format. Waits at most half a second for the engine, then goes on with what it said
    /// last. Needs a tokio runtime with time.
    pub async fn scrape(&self) -> String {
        let _alone = self.scraping.lock().await;
        self.exchange.ask(PATIENCE).await;
        if let Some(snapshot) = self.exchange.latest() {
            self.show(&snapshot);
        }
        self.show_outside();
        let text = TextEncoder::new().encode_to_string(&self.registry.gather());
        text.expect("families have samples of their own kind, and a text takes every one")
    }

    /// Sets what the engine knows. What is no longer there disappears.
    fn show(&self, snapshot: &Snapshot) {
        let families = &self.families;
        for counters in [
            &families.rule_matches_total,
            &families.rule_errors_total,
            &families.refused_total,
            &families.over_quota_total,
        ] {
            counters.reset();
        }
        for gauges in [
            &families.breaker_open,
            &families.state_entries,
            &families.summarised_keys,
            &families.saturated,
            &families.quota_used,
            &families.feature_complete,
            &families.ruleset_info,
        ] {
            gauges.reset();
        }
        for (rule, (matches, errors)) in snapshot.rules() {
            families.rule_matches_total.with_label_values(&[rule, "enforce"]).inc_by(matches[0]);
            families.rule_matches_total.with_label_values(&[rule, "shadow"]).inc_by(matches[1]);
            families.rule_errors_total.with_label_values(&[rule]).inc_by(errors);
        }
        for (place, programs) in &snapshot.breakers {
            let rule = snapshot.rules.rules[*place].id.as_str();
            families.breaker_open.with_label_values(&[rule]).set(*programs as f64);
        }
        for (size, complete) in snapshot.size.features.iter().zip(&snapshot.complete) {
            let feature = [size.feature.as_str()];
            families.state_entries.with_label_values(&feature).set(size.keys as f64);
            families.summarised_keys.with_label_values(&feature).set(size.truncated_keys as f64);
            families.feature_complete.with_label_values(&feature).set(f64::from(u8::from(*complete)));
        }
        for size in snapshot.size.features.iter().chain(&snapshot.size.others) {
            let part = [size.feature.as_str()];
            families.saturated.with_label_values(&part).set(f64::from(u8::from(size.saturated)));
            families.refused_total.with_label_values(&part).inc_by(size.refused);
        }
        for quota in &snapshot.quotas {
            let labels = [quota.program.as_deref().unwrap_or(OTHER), quota.of.name()];
            families.quota_used.with_label_values(&labels).set(quota.used);
            families.over_quota_total.with_label_values(&labels).inc_by(quota.refused);
        }
        for (verdict, subjects) in Verdict::ALL.iter().zip(snapshot.decisions) {
            families.decisions_active.with_label_values(&[verdict.name()]).set(subjects as f64);
        }
        let [open, overdue, refused] = snapshot.holds;
        families.holds_open.with_label_values(NONE).set(open as f64);
        families.holds_overdue.with_label_values(NONE).set(overdue as f64);
        families.holds_refused_total.with_label_values(NONE).inc_by(refused);
        if snapshot.size.dedup_horizon_ms != i64::MIN {
            families.dedup_horizon_seconds.with_label_values(NONE).set(seconds(snapshot.size.dedup_horizon_ms));
        }
        families.state_bytes.with_label_values(NONE).set(snapshot.size.bytes() as f64);
        families.ruleset_info.with_label_values(&[snapshot.rules.hash.as_str()]).set(1.0);
        families.rules_loaded.with_label_values(NONE).set(snapshot.rules().count() as f64);
    }

    /// Sets what is known of checkpoints and the journal.
    fn show_kept(&self, kept: &Kept, journal_bytes: u64, now_ms: i64) {
        let families = &self.families;
        let age_ms = now_ms.saturating_sub(kept.at_ms.load(Ordering::Relaxed)).max(0);
        families.checkpoint_age_seconds.with_label_values(NONE).set(seconds(age_ms));
        let took_us = kept.took_us.load(Ordering::Relaxed);
        families.checkpoint_duration_seconds.with_label_values(NONE).set(took_us as f64 / 1e6);
        families.journal_bytes.with_label_values(NONE).set(journal_bytes as f64);
        for (family, counted) in [
            (&families.checkpoint_failures_total, &kept.failed),
            (&families.commits_total, &kept.commits),
            (&families.transactions_undone_total, &kept.undone),
        ] {
            let counter = family.with_label_values(NONE);
            counter.inc_by(counted.load(Ordering::Relaxed).saturating_sub(counter.get()));
        }
    }

    /// Sets what sources and services say of themselves.
    fn show_outside(&self) {
        let up = &self.families.dependency_up;
        up.reset();
        for dependency in &*self.dependencies.lock().expect(UNBROKEN) {
            if let Some(is_up) = (dependency.is_up)() {
                up.with_label_values(&[dependency.name.as_str()]).set(f64::from(u8::from(is_up)));
            }
        }
        let now_ms = clock::wall_clock_ms();
        self.families.list_age_seconds.reset();
        for (list, modified_ms) in &*self.lists.lock().expect(UNBROKEN) {
            let age = &self.families.list_age_seconds.with_label_values(&[list.as_str()]);
            age.set(seconds(now_ms.saturating_sub(*modified_ms).max(0)));
        }
        if let Some((kept, journal)) = &*self.keeping.lock().expect(UNBROKEN) {
            self.show_kept(kept, journal.bytes(), now_ms);
        }
        self.show_outliving(now_ms);
        let lag = &self.families.source_lag_events;
        lag.reset();
        for (source, kafka) in &*self.lags.lock().expect(UNBROKEN) {
            if let Some(records) = kafka.upgrade().and_then(|kafka| lag_records(&*kafka)) {
                lag.with_label_values(&[source.as_str()]).set(records as f64);
            }
        }
    }
}

const UNBROKEN: &str = "no thread panics while it holds this list";

/// The labels of a metric that has none.
const NONE: &[&str] = &[];

/// What the source has not read yet; `None` until that is known of every partition that it has.
fn lag_records(kafka: &dyn Subscription) -> Option<u64> {
    let partitions = kafka.partitions();
    let assigned = partitions.iter().filter(|partition| partition.assigned);
    assigned.map(|partition| partition.lag_records).sum()
}

/// Milliseconds as Prometheus wants them.
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
