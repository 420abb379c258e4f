//! Where outputs go: sinks and the producers behind them, dead letters that can be read again, and the settings that clients of one
//! cluster share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::{WiringError, telling, together};
use crate::alerts::{AlertOptions, Alerts};
use crate::daemon::config::{self, Config};
use crate::engine::Engine;
use crate::ruleset::program::RuleSet;
use crate::stream::Sink;
use crate::stream::decision_log::DecisionHub;
use crate::stream::file::{LineSink, WriteMode};
use crate::stream::kafka::{ClientOptions, KafkaProducer, ProducerOptions};
use crate::stream::pipeline::{Alerting, Sinks};

/// The topic of dead letters, where none is named.
const LETTERS_TOPIC: &str = "refguard.deadletter";
/// How long a transaction may be open, and how long readers and other instances wait at most for one that was left open.
const TIMEOUT: &str = "transaction.timeout.ms";
const SHARED_TIMEOUT_MS: &str = "60000";
/// The sinks of `run`, opened. Alerts go on with those that were open.
///
/// # Errors
///
/// [`WiringError::NoBrokers`], or what a sink says.
pub fn sinks(config: &Config, standing: &Standing<'_>) -> Result<Outlets, WiringError> {
    let Standing { engine, alerts, .. } = standing;
    let mut outlets = sinks_of(config, engine.rules(), alerts, None)?;
    let producer = outlets.producer.as_ref();
    let decisions = outlets.decisions.take();
    outlets.sinks.decisions = Some(telling::telling(config, standing, decisions, producer)?);
    Ok(outlets)
}

/// What is known before the first event.
pub struct Standing<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// Whether it judges again what a run before has judged.
    pub replays: bool,
    /// The alerts that are open.
    pub alerts: &'a [Vec<u8>],
    /// Who follows the log of decisions within the process.
    pub hub: Option<&'a Arc<DecisionHub>>,
}

/// The same of one of several instances: each has transactions of its own, and begins without open alerts.
///
/// # Errors
///
/// As [`sinks()`].
pub fn shared_sinks(config: &Config, rules: &Arc<RuleSet>, instance: &str) -> Result<Outlets, WiringError> {
    sinks_of(config, rules, &[], Some(instance))
}

fn sinks_of(
    config: &Config,
    rules: &Arc<RuleSet>,
    open_alerts: &[Vec<u8>],
    instance: Option<&str>,
) -> Result<Outlets, WiringError> {
    let transactional_id = match together::transactional_id(config) {
        Ok(id) => Some(instance.map_or(id.clone(), |instance| format!("{id}-{instance}"))),
        Err(why) => {
            tracing::info!(
                "verdicts and places are not committed together, so that some come twice after a crash: {why}"
            );
            None
        }
    };
    let is_together = transactional_id.is_some();
    let mut producers = Producers { transactional_id, is_shared: instance.is_some(), open: Vec::new() };
    let verdicts = sink(config, "verdicts", "refguard.verdicts", &config.sinks.verdicts, &mut producers)?;
    let letters = sink(config, "dead_letters", LETTERS_TOPIC, &config.sinks.dead_letters, &mut producers)?;
    let alerts = match &config.sinks.alerts {
        Some(alerts) => sink(config, "alerts", "refguard.alerts", alerts, &mut producers)?,
        None => None,
    };
    let decisions = match &config.sinks.decisions {
        Some(decisions) => sink(config, "decisions", telling::TOPIC, decisions, &mut producers)?,
        None => None,
    };
    let events = match &config.sinks.events {
        Some(events) => sink(config, "events", "refguard.events", events, &mut producers)?,
        None => None,
    };
    let mut gathered = Alerts::new(alert_options(config), Arc::clone(rules));
    gathered.restore(open_alerts)?;
    let alerts = Alerting { alerts: gathered, sink: alerts };
    let sinks = Sinks {
        alerts: Some(alerts),
        events,
        verdicts: verdicts.unwrap_or_else(stdout),
        dead_letters: letters.unwrap_or_else(|| Sink::Lines(LineSink::to("standard error", std::io::stderr()))),
        decisions: None,
    };
    let producer = producers.open.into_iter().next().map(|(_, producer)| producer).filter(|_| is_together);
    if let Some(producer) = &producer {
        producer.take_over()?;
    }
    Ok(Outlets { sinks, producer, decisions })
}

/// Where outputs go.
pub struct Outlets {
    /// The sinks.
    pub sinks: Sinks,
    /// The producer of all of them, where outputs and places are committed together.
    pub producer: Option<KafkaProducer>,
    /// Where decisions go, until it is known what is there.
    decisions: Option<Sink>,
}

/// The producers of some sinks.
struct Producers {
    transactional_id: Option<String>,
    /// Whether other instances wait for the end of a transaction that was left open.
    is_shared: bool,
    open: Vec<(ClientOptions, KafkaProducer)>,
}

/// How alerts are gathered.
pub fn alert_options(config: &Config) -> AlertOptions {
    let of = &config.alerts;
    let count = |of: i64| usize::try_from(of).unwrap_or(usize::MAX);
    AlertOptions {
        quiet_ms: of.quiet.0,
        interval_ms: of.interval.0,
        open_max: count(of.max_open.0),
        per_rule_max: count(of.max_per_rule.0),
    }
}

/// Standard output as a sink.
pub fn stdout() -> Sink {
    Sink::Lines(LineSink::to("standard output", std::io::stdout()))
}

fn sink(
    config: &Config,
    name: &'static str,
    default_topic: &str,
    sink: &config::Sink,
    producers: &mut Producers,
) -> Result<Option<Sink>, WiringError> {
    if let Some(kafka) = &sink.kafka {
        let topic = kafka.topic.as_deref().unwrap_or(default_topic);
        let client = client(config, name, kafka)?;
        // One producer a cluster, so that a mark covers every topic on it.
        let known = producers.open.iter().find(|(of, _)| *of == client).map(|(_, producer)| producer.clone());
        let producer = match known {
            Some(producer) => producer,
            None => {
                let transactional_id = producers.transactional_id.clone();
                let mut of_producer = client.clone();
                if producers.is_shared && !client.settings.iter().any(|(name, _)| name == TIMEOUT) {
                    of_producer.settings.push((TIMEOUT.to_owned(), SHARED_TIMEOUT_MS.to_owned()));
                }
                let made = KafkaProducer::open(ProducerOptions { client: of_producer, transactional_id })?;
                producers.open.push((client, made.clone()));
                made
            }
        };
        return Ok(Some(Sink::Kafka(Box::new(producer.topic(topic)?))));
    }
    if let Some(path) = &sink.file {
        return Ok(Some(Sink::Lines(LineSink::open(path, WriteMode::Append)?)));
    }
    Ok(sink.stdout.map(|_| stdout()))
}

/// Where dead letters are kept, so that they can be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LettersAt {
    /// A topic of a cluster.
    Topic(ClientOptions, String),
    /// A file.
    File(PathBuf),
    /// They are only told.
    Nowhere,
}

/// The place that `sinks.dead_letters` names.
///
/// # Errors
///
/// [`WiringError::NoBrokers`].
pub fn letters_at(config: &Config) -> Result<LettersAt, WiringError> {
    let sink = &config.sinks.dead_letters;
    if let Some(kafka) = &sink.kafka {
        let mut client = client(config, "dead_letters", kafka)?;
        client.settings = shared(&client.settings);
        let topic = kafka.topic.clone().unwrap_or_else(|| LETTERS_TOPIC.to_owned());
        return Ok(LettersAt::Topic(client, topic));
    }
    Ok(sink.file.clone().map_or(LettersAt::Nowhere, LettersAt::File))
}

/// How inputs are sent again to the topics that they came from.
pub fn resend_options(kafka: &config::KafkaSource) -> ProducerOptions {
    let settings: Vec<(String, String)> = kafka.properties.clone().into_iter().collect();
    let client = ClientOptions { brokers: kafka.brokers.clone(), settings: shared(&settings) };
    ProducerOptions { client, transactional_id: None }
}

/// The settings that hold for any client of a cluster: those of its security.
pub(super) fn shared(settings: &[(String, String)]) -> Vec<(String, String)> {
    let is_shared = |name: &str| ["security.", "sasl.", "ssl."].iter().any(|prefix| name.starts_with(prefix));
    settings.iter().filter(|(name, _)| is_shared(name)).cloned().collect()
}

pub(super) fn client(
    config: &Config,
    name: &'static str,
    sink: &config::KafkaSink,
) -> Result<ClientOptions, WiringError> {
    let first = config.sources.values().find_map(|source| source.kafka.as_ref());
    let (brokers, inherited) = match first {
        _ if !sink.brokers.is_empty() => (sink.brokers.clone(), BTreeMap::new()),
        Some(source) => (source.brokers.clone(), source.properties.clone()),
        None => return Err(WiringError::NoBrokers { sink: name }),
    };
    // What reaches the source's cluster reaches it for the sink too; what only a consumer knows is left out.
    let inherited: Vec<(String, String)> = inherited.into_iter().collect();
    let settings: BTreeMap<String, String> = shared(&inherited).into_iter().chain(sink.properties.clone()).collect();
    Ok(ClientOptions { brokers, settings: settings.into_iter().collect() })
}
