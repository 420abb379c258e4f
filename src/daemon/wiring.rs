//! From the configuration to the parts: options of the engine, signals, sources and sinks.
//!
//! The one place that knows both the configured form and the inner types. It reads the files that signals need, and opens
//! what the pipeline joins.

mod api;
mod recovery;
mod sinks;
mod telling;
mod together;

pub use api::{
    asked_options, bounds, connection_options, gateway, inbox_mapping, inbox_name, limits, stream_options, tls_files,
};
pub use recovery::{copy_options, groups, journal_topic, store};
pub use sinks::{LettersAt, Outlets, Standing, alert_options, letters_at, resend_options, shared_sinks, sinks, stdout};
pub use telling::{decision_hub, has_followers};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::clock;
use super::config::{self, Backend, Config};
use super::key::StateKey;
use super::recovery::Topics;
use crate::engine::{EngineOptions, EventQuota, Policy, ProgramPolicy, Quota, Rates, Thresholds};
use crate::event::mapping::Mapping;
use crate::event::{Attributes, ParseOptions, Parser};
use crate::lists::{List, ListKind};
use crate::ruleset::Premises;
use crate::ruleset::program::RuleSet;
use crate::signals::{CacheSizes, Deriver, SignalConfig, SignalError, Wanted};
use crate::state::Broken;
use crate::stream::StreamError;
use crate::stream::copies::CopyError;
use crate::stream::file::{LineOptions, LineSource};
use crate::stream::inbox::{ACTS, InboxSource};
use crate::stream::kafka::{ClientOptions, KafkaSource, PartitionName, SourceOptions};
use crate::stream::pipeline::{Input, Reader};

/// What programs without an entry may take of the state, where nothing is said: one part in so many.
const UNCONFIGURED_SHARE: u64 = 8;
/// How many seconds' events of a quota may come at once, where nothing is said.
const BURST_SECONDS: i64 = 60;

/// Why the parts cannot be joined. All are the operator's to mend, but for what a stream says of a service.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// A source or a sink.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// Signals refuse what is configured for them.
    #[error(transparent)]
    Signals(#[from] SignalError),
    /// Copies of checkpoints.
    #[error(transparent)]
    Copies(#[from] CopyError),
    /// The journal cannot go to a topic.
    #[error("state.journal_topic cannot be used: {why}")]
    JournalTopic {
        /// Why.
        why: String,
    },
    /// A file that signals need cannot be read.
    #[error("signals.{setting}: {path}: {source}")]
    Unreadable {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A list that signals need has a bad line.
    #[error("signals.{setting}: {path}:{line}: {reason}")]
    BadList {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Alerts of a checkpoint whose checksums are right, and that cannot be.
    #[error("the open alerts of the last checkpoint cannot be read: {0}")]
    OpenAlerts(#[from] Broken),
    /// Nothing to read.
    #[error("no source is configured")]
    NoSource,
    /// A source that is asked for by name, and not configured.
    #[error("there is no source {name} in the configuration")]
    UnknownSource {
        /// Its name.
        name: String,
    },
    /// A sink without brokers, and no Kafka source to take them from.
    #[error("sinks.{sink}.kafka has no brokers, and there is no Kafka source to take them from")]
    NoBrokers {
        /// The sink.
        sink: &'static str,
    },
}

impl WiringError {
    /// The setting whose value is at fault, where it is a file that people named.
    pub fn setting(&self) -> Option<Vec<&str>> {
        match self {
            WiringError::Unreadable { setting, .. } | WiringError::BadList { setting, .. } => {
                Some(vec!["signals", setting])
            }
            WiringError::Signals(SignalError::Database { of: "countries", .. }) => Some(vec!["signals", "country_db"]),
            WiringError::Signals(SignalError::Database { .. }) => Some(vec!["signals", "asn_db"]),
            WiringError::Signals(SignalError::Region { program, .. }) => Some(vec!["programs", program, "region"]),
            _ => None,
        }
    }
}

/// The engine's options.
pub fn engine_options(config: &Config, key: &StateKey) -> EngineOptions {
    EngineOptions {
        hash_key: key.windows(),
        allowed_lateness_ms: config.state.allowed_lateness.0,
        dedup_span_ms: config.dedup.span.0,
        dedup_max_entries: u32::try_from(config.dedup.max_entries.0).unwrap_or(u32::MAX),
        max_entries: u32::try_from(config.state.max_entries.0).unwrap_or(u32::MAX),
        retention_ms: config.state.retention.0,
        state_max_bytes: usize::try_from(config.state.max_bytes.0).unwrap_or(usize::MAX),
        evidence_bytes: 0,
        named_bytes: 0,
        every_rule_in_force: false,
        tells_decisions: config.sinks.decisions.is_some() || has_followers(config),
        review_within_ms: config.policy.review_within.0,
        policy: policy(config),
    }
}

/// Thresholds of the types that the configuration names; all others have those of their program. So it holds for any rule
/// set.
fn policy(config: &Config) -> Policy {
    let by_program = config.policy.programs.values().flat_map(|program| program.types.keys());
    let mut types: Vec<&String> = config.policy.types.keys().chain(by_program).collect();
    types.sort_unstable();
    types.dedup();
    let of = |name: &str| {
        let program = config.program(name);
        let thresholds = |event_type: &str| {
            let of = config.policy.thresholds_for(name, event_type);
            Thresholds { flag: of.flag.0, challenge: of.challenge.0, hold: of.hold.0, block: of.block.0 }
        };
        ProgramPolicy {
            thresholds: thresholds(""),
            by_type: types.iter().map(|event_type| ((*event_type).clone(), thresholds(event_type))).collect(),
            observe_only: program.observe_only,
            sandbox: program.sandbox,
            rates: Rates {
                base: program.base_currency.clone(),
                rates: program.rates.iter().map(|(name, rate)| (name.clone(), *rate)).collect(),
            },
            region: program.region.clone(),
            // Checked when the configuration was read.
            timezone: jiff::tz::TimeZone::get(&program.timezone).unwrap_or(jiff::tz::TimeZone::UTC),
            quota: quota(&program.quota),
        }
    };
    let mut named: Vec<String> = config.programs.keys().chain(config.policy.programs.keys()).cloned().collect();
    named.sort_unstable();
    named.dedup();
    let mut unnamed_quota = quota(&config.quota.unconfigured);
    let share_bytes = config.state.max_bytes.0 / UNCONFIGURED_SHARE;
    unnamed_quota.bytes.get_or_insert(usize::try_from(share_bytes).unwrap_or(usize::MAX));
    let programs = named.into_iter().map(|name| (name.clone(), of(&name))).collect();
    Policy { default: of("default"), programs, unnamed_quota }
}

fn quota(of: &config::Quota) -> Quota {
    let count = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
    let events = of.events_per_second.map(|per_second| EventQuota {
        per_second: count(per_second.0),
        burst: count(of.burst.map_or(per_second.0 * BURST_SECONDS, |burst| burst.0)),
    });
    Quota {
        events,
        keys: of.keys.and_then(|keys| usize::try_from(keys.0).ok()),
        bytes: of.bytes.and_then(|bytes| usize::try_from(bytes.0).ok()),
    }
}

/// What deriving needs, its files read.
///
/// # Errors
///
/// [`WiringError::Unreadable`], [`WiringError::BadList`].
pub fn signal_config(config: &Config, key: &StateKey) -> Result<SignalConfig, WiringError> {
    let wanted = &config.signals;
    let list =
        |setting, path: &Option<PathBuf>, kind| path.as_deref().map(|path| read_list(setting, path, kind)).transpose();
    let bytes = |setting, path: &Option<PathBuf>| path.as_deref().map(|path| read(setting, path)).transpose();
    let regions: BTreeMap<String, String> =
        config.programs.iter().map(|(name, program)| (name.clone(), program.region.clone())).collect();
    let mut signals = SignalConfig {
        device_key: key.devices(),
        region: config.program("default").region.clone(),
        regions,
        country_db: bytes("country_db", &wanted.country_db)?.map(Arc::from),
        asn_db: bytes("asn_db", &wanted.asn_db)?.map(Arc::from),
        carrier: list("carrier", &wanted.carrier, ListKind::Network)?,
        tor: list("tor", &wanted.tor, ListKind::Network)?,
        vpn: list("vpn", &wanted.vpn, ListKind::Network)?,
        relay: list("relay", &wanted.relay, ListKind::Network)?,
        datacenter: list("datacenter", &wanted.datacenter, ListKind::Network)?,
        attributes: Arc::new(attributes(config)),
        cache: CacheSizes {
            phones: wanted.cache.phones.0 as usize,
            user_agents: wanted.cache.user_agents.0 as usize,
            addresses: wanted.cache.addresses.0 as usize,
        },
        ..SignalConfig::default()
    };
    if let Some(disposable) = list("disposable", &wanted.disposable, ListKind::Domain)? {
        signals.disposable = Some(disposable);
    }
    Ok(signals)
}

/// The attributes that programs declare. A name has one type in all of them, which was checked when the configuration was
/// read.
fn attributes(config: &Config) -> Attributes {
    let declared = config.programs.values().flat_map(|program| &program.attributes);
    declared.map(|(name, of)| (name.clone(), (*of).into())).collect()
}

/// What rules are checked against.
pub fn premises(config: &Config) -> Premises {
    Premises {
        attributes: attributes(config),
        max_entries: u32::try_from(config.state.max_entries.0).unwrap_or(u32::MAX),
        cost_max: config.rules.max_cost.0.unsigned_abs(),
        is_shared: config.state.backend == Backend::Redis,
    }
}

/// The files of lists, by the names that metrics give them: those that packs declare, and `signals.NAME`.
pub fn list_files(config: &Config, rules: &RuleSet) -> Vec<(String, PathBuf)> {
    let declared = rules.lists.iter().filter_map(|list| {
        let file = list.file.as_ref()?;
        Some((list.name.clone(), config.rules.path.join(file)))
    });
    let files = &config.signals;
    let signals = [
        ("signals.disposable", &files.disposable),
        ("signals.carrier", &files.carrier),
        ("signals.tor", &files.tor),
        ("signals.vpn", &files.vpn),
        ("signals.relay", &files.relay),
        ("signals.datacenter", &files.datacenter),
    ];
    let signals = signals.into_iter().filter_map(|(name, file)| Some((name.to_owned(), file.clone()?)));
    declared.chain(signals).collect()
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, WiringError> {
    std::fs::read(path).map_err(|source| WiringError::Unreadable { setting, path: path.to_owned(), source })
}

fn read_list(setting: &'static str, path: &Path, kind: ListKind) -> Result<Arc<List>, WiringError> {
    let bytes = read(setting, path)?;
    let bad = |line, reason: String| WiringError::BadList { setting, path: path.to_owned(), line, reason };
    let text = String::from_utf8(bytes).map_err(|_| bad(1, "is not text in UTF-8".to_owned()))?;
    List::parse(kind, &text).map(Arc::new).map_err(|faults| {
        faults
            .first()
            .map_or_else(|| bad(1, "is not a list".to_owned()), |fault| bad(fault.line, fault.reason.to_string()))
    })
}

/// Whether there is something to read; opens nothing.
///
/// # Errors
///
/// [`WiringError::NoSource`].
pub fn check_sources(config: &Config) -> Result<(), WiringError> {
    if config.sources.is_empty() {
        return Err(WiringError::NoSource);
    }
    Ok(())
}

/// The mapping of a source that is asked for by name; without a name, none.
///
/// # Errors
///
/// [`WiringError::UnknownSource`].
pub fn mapping_of(config: &Config, source: Option<&str>) -> Result<Option<Mapping>, WiringError> {
    let Some(name) = source else { return Ok(None) };
    match config.sources.get(name) {
        Some(source) => Ok(source.mapping.as_ref().map(|mapping| mapping.0.clone())),
        None => Err(WiringError::UnknownSource { name: name.to_owned() }),
    }
}

/// The sources of `run`, opened; events of the API, and what people do by it, come by `inboxes`. What people do comes by the last
/// of them.
///
/// # Errors
///
/// [`WiringError::NoSource`], or what a source or the signals say.
pub fn readers(
    config: &Config,
    wanted: Wanted,
    signals: &SignalConfig,
    instance: &str,
    resume: &BTreeMap<String, Vec<(PartitionName, u64)>>,
    inboxes: Option<(InboxSource, InboxSource)>,
) -> Result<Vec<Reader>, WiringError> {
    check_sources(config)?;
    let (mut inbox, acts) = inboxes.unzip();
    let open = |(index, (name, source)): (usize, (&String, &config::Source))| {
        let resume = resume.get(name).cloned().unwrap_or_default();
        let input = match inbox.take_if(|_| source.http.is_some()) {
            Some(inbox) => Input::Inbox(inbox),
            None => input(config, source, instance, resume)?,
        };
        let mapping = source.mapping.as_ref().map(|mapping| mapping.0.clone());
        reader(index, name.clone(), input, mapping, wanted, signals, ParseOptions::default())
    };
    let mut readers = config.sources.iter().enumerate().map(open).collect::<Result<Vec<Reader>, WiringError>>()?;
    if let Some(acts) = acts {
        let input = Input::Acts(acts);
        let options = ParseOptions::default();
        readers.push(reader(readers.len(), ACTS.to_owned(), input, None, wanted, signals, options)?);
    }
    Ok(readers)
}

/// The sources of `run` over state that instances share: others may be in their groups, and places are the groups' alone.
///
/// # Errors
///
/// As [`readers`].
pub fn shared_readers(
    config: &Config,
    wanted: Wanted,
    signals: &SignalConfig,
    instance: &str,
) -> Result<Vec<Reader>, WiringError> {
    check_sources(config)?;
    let open = |(index, (name, source)): (usize, (&String, &config::Source))| {
        let input = match &source.kafka {
            Some(kafka) => {
                let mut options = kafka_options(config, kafka);
                (options.instance, options.is_shared) = (Some(instance.to_owned()), true);
                Input::Kafka(Arc::new(KafkaSource::open(&options)?))
            }
            None => input(config, source, instance, Vec::new())?,
        };
        let mapping = source.mapping.as_ref().map(|mapping| mapping.0.clone());
        reader(index, name.clone(), input, mapping, wanted, signals, ParseOptions::default())
    };
    config.sources.iter().enumerate().map(open).collect()
}

/// Refuses groups in which somebody else is. To be asked before [`sinks()`], which take over from whoever wrote before.
///
/// # Errors
///
/// What a cluster says.
pub fn only_owner(config: &Config, instance: &str) -> Result<(), WiringError> {
    for kafka in config.sources.values().filter_map(|source| source.kafka.as_ref()) {
        let options = SourceOptions { instance: Some(instance.to_owned()), ..kafka_options(config, kafka) };
        crate::stream::kafka::only_owner(&options)?;
    }
    Ok(())
}

/// The Kafka sources, as they are read and by the index of their reader.
pub fn topics(config: &Config) -> Vec<Topics> {
    let sources = config.sources.iter().enumerate();
    let topics = sources.filter_map(|(index, (name, source))| {
        let kafka = source.kafka.as_ref()?;
        let log = Arc::new(kafka_options(config, kafka));
        Some(Topics { index, name: name.clone(), log, has_history: kafka.history.0 > 0 })
    });
    topics.collect()
}

/// One source of the pipeline.
///
/// # Errors
///
/// [`WiringError::Signals`].
pub fn reader(
    index: usize,
    name: String,
    input: Input,
    mapping: Option<Mapping>,
    wanted: Wanted,
    signals: &SignalConfig,
    options: ParseOptions,
) -> Result<Reader, WiringError> {
    let deriver = Deriver::new(wanted, signals)?;
    let (wall_clock_ms, monotonic) = (clock::wall_clock_ms as fn() -> i64, clock::monotonic as fn() -> _);
    Ok(Reader {
        index,
        name,
        input,
        parser: Parser::new(options),
        mapping,
        deriver,
        wall_clock_ms,
        monotonic,
        ticks: true,
    })
}

fn input(
    config: &Config,
    source: &config::Source,
    instance: &str,
    resume: Vec<(PartitionName, u64)>,
) -> Result<Input, WiringError> {
    let lines = line_options(config);
    if let Some(kafka) = &source.kafka {
        let options = SourceOptions { instance: Some(instance.to_owned()), resume, ..kafka_options(config, kafka) };
        return Ok(Input::Kafka(Arc::new(KafkaSource::open(&options)?)));
    }
    match &source.file {
        Some(path) => Ok(Input::Lines(Box::new(LineSource::open(path, lines)?))),
        None if source.stdin.is_some() => Ok(Input::Lines(Box::new(LineSource::open(Path::new("-"), lines)?))),
        // It was handed over, and the configuration has no second one.
        None => Err(WiringError::NoSource),
    }
}

/// How topics are read.
pub fn kafka_options(config: &Config, kafka: &config::KafkaSource) -> SourceOptions {
    let client =
        ClientOptions { brokers: kafka.brokers.clone(), settings: kafka.properties.clone().into_iter().collect() };
    let mut options = SourceOptions::new(client, kafka.topics.clone(), kafka.group.clone());
    options.batch_records_max = line_options(config).lines_max;
    options
}

/// How many events a batch holds.
pub fn line_options(config: &Config) -> LineOptions {
    LineOptions { lines_max: config.engine.batch_events.0 as usize, ..LineOptions::default() }
}

/// How many batches of a source are under way at once.
pub fn works_per_source(config: &Config) -> usize {
    config.engine.queue_batches.0 as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::diagnostic::SourceFile;

    #[test]
    fn a_program_without_an_entry_has_the_policy_of_default() {
        let text =
            "policy: {programs: {default: {thresholds: {block: 95}}}}\nprograms: {default: {observe_only: true}}";
        let file = Arc::new(SourceFile { path: "c.yaml".into(), text: text.to_owned() });
        let config = config::parse(&file, std::iter::empty()).expect("it is valid").config;
        let policy = policy(&config);
        assert_eq!(policy.default.thresholds.block, 95);
        assert!(policy.default.observe_only);
        assert_eq!(policy.programs[0].1.thresholds.block, 95);
    }

    #[test]
    fn programs_without_an_entry_have_a_quota_and_others_what_they_are_given() {
        let text =
            "state: {max_bytes: 1GiB}\nprograms: {gold: {quota: {events_per_second: 7}}, tin: {quota: {keys: 9}}}";
        let file = Arc::new(SourceFile { path: "c.yaml".into(), text: text.to_owned() });
        let config = config::parse(&file, std::iter::empty()).expect("it is valid").config;
        let policy = policy(&config);
        assert_eq!(policy.unnamed_quota, Quota { bytes: Some(128 << 20), ..Quota::default() });
        let quotas: Vec<(&str, Quota)> = policy.programs.iter().map(|(name, of)| (name.as_str(), of.quota)).collect();
        let gold = Quota { events: Some(EventQuota { per_second: 7, burst: 420 }), ..Quota::default() };
        let tin = Quota { keys: Some(9), ..Quota::default() };
        assert_eq!(quotas, [("default", Quota::default()), ("gold", gold), ("tin", tin)]);
    }
}
