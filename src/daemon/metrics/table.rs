//! The one table of metrics: names, kinds, labels, units and meanings.
//!
//! The families that are counted, the page docs/metrics.md and the check of a scrape in `tests/metrics.rs` are all made
//! of it, so a metric that is not here does not exist. Invariant: every label is bounded by the configuration, the rules
//! or a closed set of words; none is ever a value out of an event.

use std::fmt::Write as _;

use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, and starts at 0 with the process.
    Counter,
    /// It is what it is now.
    Gauge,
    /// How many observations were at most so large, by [`LATENCY_BUCKETS_SECONDS`].
    Histogram,
}

impl Kind {
    /// The word of the exposition format.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A metric as the world sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, prefix included.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What one of it is.
    pub unit: &'static str,
    /// What it says.
    pub help: &'static str,
}

/// Upper bounds of the buckets of latencies: from 100 microseconds, which a batch takes at least, to 10 seconds.
pub const LATENCY_BUCKETS_SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Declares the metrics: `Kind name [labels] "unit" "help";`.
macro_rules! families {
    ($($kind:ident $name:ident [$($label:literal)*] $unit:literal $help:literal;)*) => {
        /// Every metric, in the order of docs/metrics.md.
        pub const TABLE: &[Metric] = &[$(families!(@metric $kind $name [$($label)*] $unit $help),)*];

        /// The metrics as they are counted.
        #[derive(Debug)]
        pub(super) struct Families { $(pub $name: families!(@family $kind),)* }

        impl Families {
            /// Makes every family and puts it into the registry.
            pub(super) fn new(registry: &Registry) -> Families {
                Families { $($name: Family::make(
                    &families!(@metric $kind $name [$($label)*] $unit $help),
                    registry,
                ),)* }
            }
        }
    };
    (@metric $kind:ident $name:ident [$($label:literal)*] $unit:literal $help:literal) => {
        Metric {
            name: concat!("refguard_", stringify!($name)),
            kind: Kind::$kind,
            labels: &[$($label),*],
            unit: $unit,
            help: $help,
        }
    };
    (@family Counter) => { IntCounterVec };
    (@family Gauge) => { GaugeVec };
    (@family Histogram) => { HistogramVec };
}

families! {
    Counter events_total ["source" "type"] "events"
        "Valid events that were answered, repeats included. With dead_letters_total it is everything that came in.";
    Counter late_events_total ["source"] "events"
        "Events older than the watermark by more than the allowed lateness: judged, and fed to nothing.";
    Counter invalid_fields_total ["field"] "fields"
        "Texts that are not what their field wants; they read as absent. Addresses, e-mails and numbers are looked at where a rule reads what follows from them.";
    Counter dead_letters_total ["source" "reason"] "inputs"
        "Inputs that are no valid event, by the reason that docs/events.md explains.";
    Counter duplicates_total ["source"] "events"
        "Repeats of an event: answered with the first verdict, and counted in no other way.";
    Counter verdicts_total ["verdict" "program"] "verdicts"
        "Verdicts on events that are no repeats.";
    Counter rule_matches_total ["rule" "mode"] "events"
        "Events that a rule matched; in the mode shadow it moved nothing.";
    Counter rule_errors_total ["rule"] "errors"
        "Conditions and exceptions of a rule that erred on an event, such as by an overflow: they did not hold.";
    Gauge breaker_open ["rule"] "programs"
        "In how many programs the rule's breaker is open: it matched too much, and its matches count for less. Page on more than 0.";
    Histogram event_latency_seconds ["source"] "seconds"
        "From the arrival of an event to its verdict in the sink's hands.";
    Histogram evaluate_latency_seconds [] "seconds"
        "From the call of `POST /v1/evaluate` to its verdicts, the journal's sync included.";
    Histogram ext_authz_latency_seconds [] "seconds"
        "From a gateway's question to its answer.";
    Counter degraded_answers_total ["cause"] "verdicts"
        "Verdicts that were given without state, by policy.on_state_unavailable, since a service was away, or to gateways since the engine took too long; by the setting that configures it. Page on it.";
    Counter http_requests_total ["route" "status"] "calls"
        "Calls of the API that were answered; what is no call of it is `other`.";
    Counter rate_limited_total ["scope"] "calls"
        "Calls of the API that were refused for a limit of their token, of their address, or of wrong tokens (guesses).";
    Gauge stream_subscribers ["stream"] "streams"
        "Streams of the API that are open.";
    Gauge source_lag_events ["source"] "events"
        "Events in the source's partitions that were not read yet, as the broker last said; for Kafka sources.";
    Gauge source_watermark_seconds ["source"] "seconds since 1970"
        "Event time that every partition of the source has reached.";
    Gauge source_skew_seconds ["source"] "seconds"
        "Event time between the source's foremost and hindmost partition.";
    Gauge dedup_horizon_seconds [] "seconds since 1970"
        "Repeats of an event are recognised if its time is later than this.";
    Gauge state_entries ["feature"] "keys"
        "Keys that a feature remembers; of a component, accounts and the values that link them.";
    Gauge state_bytes [] "bytes"
        "Memory of the whole state: windows, facts about accounts, identities, decisions. state.max_bytes bounds it.";
    Gauge summarised_keys ["feature"] "keys"
        "Keys that had more entries than max_entries: the oldest are summarised, and what reaches back to them is not exact.";
    Gauge saturated ["feature"] "0 or 1"
        "Whether new keys are refused because the state is near its bound; beside features, facts about accounts, state.identities and state.decisions. Page on it.";
    Counter refused_total ["feature"] "events"
        "Events that a part of the state did not count because the state is near its bound; of state.identities, those forgotten early; of state.decisions, those not made; of state.waiting, those that could not wait for their referral.";
    Gauge quota_used ["program" "quota"] "ratio"
        "How much of a program's quota is used, 0 to 1: of keys and bytes as of the last 1024 events; of events, of those that may come at once. The program `other` stands for all that are not configured.";
    Counter over_quota_total ["program" "quota"] "events"
        "Events past a program's quota: of events, those that were judged and counted nowhere; of keys and bytes, those that a feature did not count. Page on it.";
    Gauge feature_complete ["feature"] "0 or 1"
        "Whether the feature has seen a whole window.";
    Gauge decisions_active ["verdict"] "subjects"
        "Subjects under a decision, by what stands on them: an override if there is one, else the gravest.";
    Gauge holds_open [] "holds"
        "Holds that wait for a review.";
    Gauge holds_overdue [] "holds"
        "Holds that nobody has reviewed in time. Alert on any.";
    Counter holds_refused_total [] "holds"
        "Verdicts `hold` without a hold to review, since so many wait that there is no room. Page on it.";
    Gauge alerts_open ["severity"] "alerts"
        "Open alerts. Page on critical ones.";
    Counter alert_events_total ["outcome"] "matches"
        "Matches that call for an alert: opened (it opened one), joined (one was open), gathered (its rule has too many open, and it belongs to the one that stands for the rest).";
    Counter alert_records_total ["change"] "records"
        "Records written of alerts: opened, grown, worse, closed.";
    Counter alerts_closed_total ["cause"] "alerts"
        "Alerts that closed: quiet, displaced (too many are open: raise alerts.max_open, or mend a rule), rule_removed.";
    Gauge dependency_up ["name"] "0 or 1"
        "Whether an outside service can be reached; named by the setting that configures it.";
    Gauge list_age_seconds ["list"] "seconds"
        "How long before now the file of a list was changed, as it was read; of the lists of `signals`, by their setting.";
    Gauge checkpoint_age_seconds [] "seconds"
        "How long ago a checkpoint had everything that was judged, or judging began without one. Alert on more than some state.checkpoint_interval.";
    Gauge checkpoint_duration_seconds [] "seconds"
        "How long writing the newest checkpoint took; events are judged meanwhile, but for the one at the end.";
    Counter checkpoint_failures_total [] "checkpoints"
        "Checkpoints that could not be written: the journal grows until one can.";
    Gauge journal_bytes [] "bytes"
        "The journal of inputs on the disk: back to the checkpoint before the newest.";
    Counter commits_total [] "commits"
        "Times that outputs and the places of their events were committed.";
    Counter transactions_undone_total [] "transactions"
        "Transactions that the cluster lost and that were made again; nothing of them was seen.";
    Counter copies_total [] "checkpoints"
        "Checkpoints that were copied to the store of state.copies.";
    Counter copy_failures_total [] "tries"
        "Tries to copy a checkpoint that failed: it is tried again until it is there, or a newer one is.";
    Gauge copy_lag_seconds [] "seconds"
        "How long a checkpoint has been waiting to be copied; 0: none is. Alert on more than some state.checkpoint_interval.";
    Gauge standby [] "0 or 1"
        "Whether this process stands by for another that judges; with --standby.";
    Gauge standby_behind_entries [] "entries"
        "Entries of the journal behind the checkpoint that a standby has: what it would judge again if it took over now.";
    Counter shared_conflicts_total [] "chunks"
        "Chunks of events that were judged again because another instance had written one of their records, with state.backend redis.";
    Counter shared_swept_total [] "records"
        "Records that were taken out of Redis because event time has passed them.";
    Gauge ruleset_info ["hash"] "1"
        "The rule set in force: its hash stands on every verdict.";
    Gauge rules_loaded [] "rules"
        "Rules in force; those that are off do not count.";
    Counter rules_reload_total ["outcome"] "reloads"
        "Times the rules were read again: swapped (new ones are in force), unchanged, or refused (broken: those in force stay). Alert on refused.";
    Gauge last_reload_timestamp_seconds [] "seconds since 1970"
        "When the rules in force took over, at the start or by a reload.";
    Gauge build_info ["version"] "1"
        "The version of refguard.";
}

/// A family that can be made from its line of the table.
trait Family: prometheus::core::Collector + Clone + Sized + 'static {
    fn new(metric: &Metric) -> prometheus::Result<Self>;

    fn make(metric: &Metric, registry: &Registry) -> Self {
        let family = Self::new(metric).expect("the table has valid names; a test makes every family");
        registry
            .register(Box::new(family.clone()))
            .expect("no name stands in the table twice; a test makes every family");
        family
    }
}

impl Family for IntCounterVec {
    fn new(metric: &Metric) -> prometheus::Result<IntCounterVec> {
        IntCounterVec::new(Opts::new(metric.name, metric.help), metric.labels)
    }
}

impl Family for GaugeVec {
    fn new(metric: &Metric) -> prometheus::Result<GaugeVec> {
        GaugeVec::new(Opts::new(metric.name, metric.help), metric.labels)
    }
}

impl Family for HistogramVec {
    fn new(metric: &Metric) -> prometheus::Result<HistogramVec> {
        let opts = HistogramOpts::new(metric.name, metric.help).buckets(LATENCY_BUCKETS_SECONDS.to_vec());
        HistogramVec::new(opts, metric.labels)
    }
}

/// docs/metrics.md.
pub fn markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    for metric in TABLE {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let Metric { name, kind, unit, help, .. } = metric;
        let _ = writeln!(out, "| `{name}` | {} | {} | {unit} | {help} |", kind.name(), labels.join(", "));
    }
    let bounds: Vec<String> = LATENCY_BUCKETS_SECONDS.iter().map(f64::to_string).collect();
    let _ = write!(out, "\nThe buckets of latencies end at {} seconds.\n", bounds.join(", "));
    out
}

const INTRODUCTION: &str = "\
# Metrics and probes

`refguard run` serves three pages on a port of their own, `metrics.listen` in the configuration (127.0.0.1:9464):

| page | answer |
| --- | --- |
| `/metrics` | the metrics below, in Prometheus's text format |
| `/livez` | 200 while the process runs |
| `/readyz` | 200 while events are judged, with a line for each service that is away; 503 with the reason before that, and from the moment it is told to stop |

There is no password on it: let it listen where only your monitoring reaches it.

A label never holds an account, device, address or other value out of an event. `source` is a name in the configuration;
`program` one in the configuration, or `other`; `type` one that refguard or a rule knows, or `other`; `field` and `reason`
are those of [events.md](events.md); `rule` and `feature` are names in the rule files. A metric without a value is
absent: a watermark before the first event, a lag that the broker has not told yet.

What the engine knows (rules, features, state, decisions) is as of the scrape. If the engine does not answer within half
a second, because a sink holds it back, the values of the scrape before are served.

| metric | kind | labels | unit | what it says |
| --- | --- | --- | --- | --- |
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_valid_and_named_by_the_rules_of_prometheus() {
        Families::new(&Registry::new());
        for Metric { name, kind, unit, help, .. } in TABLE {
            assert_eq!(
                name.ends_with("_total"),
                *kind == Kind::Counter,
                "{name}: counters end in _total, others do not"
            );
            let base = if unit.starts_with("seconds") { "seconds" } else { unit };
            let has_base_unit = ["seconds", "bytes"].contains(&base);
            assert!(!has_base_unit || name.ends_with(base), "{name} does not end in its unit");
            assert!(help.ends_with('.') && !help.contains('|'), "{name}: help is sentences, and fits a table");
        }
    }
}
