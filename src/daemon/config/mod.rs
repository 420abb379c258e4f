//! The configuration: one YAML file, every key with a default, each overridable as `REFGUARD_SECTION__KEY`.
//!
//! Sections are declared in `sections` and `stream`, once: reader, defaults, docs, schema and the shipped file come from
//! there. Relative paths count from the working directory of the process. May import `ruleset`'s YAML and diagnostics,
//! `event`, and what checks a value where it is used. The environment is an argument: nothing here reads it by itself. Invariant: a configuration that loaded has
//! passed every cross check. Tested in `tests/config.rs`.

mod check;
mod customer;
mod document;
mod environment;
mod gateway;
mod http;
mod mapping;
mod redis;
mod sections;
mod setting;
mod stream;

use std::path::Path;
use std::sync::Arc;

pub use customer::CustomerWords;
pub use document::{json_schema, markdown, yaml_file};
pub use environment::PREFIX;
pub use http::{Http, HttpAllowance, HttpGrpc, HttpGrpcDeny, HttpGrpcOrigin, HttpLimits, HttpTls};
pub use redis::RedisUrl;
pub use sections::{
    Alerts, AttributeType, Backend, Cache, CacheSize, Config, Copies, Decisions, DecisionsRedis, Dedup, Engine,
    FourEyes, Log, LogFormat, LogLevel, Metrics, Mfa, OnStateUnavailable, Policy, Program, ProgramPolicy, Quota,
    Quotas, Records, Redis, Rules, Score, Signals, SomeThresholds, State, Thresholds, TypePolicy,
};
pub use setting::{Address, Bytes, Key, Later, Millis, Scalar, Section, Setting, Shape, Whole};
pub use stream::{KafkaSink, KafkaSource, Mapping, Sink, Sinks, Source, Standard};

use crate::ruleset::diagnostic::{self, Diagnostic, SourceFile};
use crate::ruleset::yaml::{self, Kind, Node, Reader};

/// A configuration that loaded, and what `check` has to say about it.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Warnings, sorted.
    pub warnings: Vec<Diagnostic>,
    /// What was written, with its places.
    root: Node,
}

impl Loaded {
    /// An error at the setting that these keys lead to, or at the nearest key above it that was written.
    pub fn error_at(&self, path: &[&str], code: &'static str, message: impl Into<String>) -> Diagnostic {
        check::error_at(&self.root, path, code, message)
    }
}

/// Reads a configuration file and applies the variables of the environment that begin with [`PREFIX`].
///
/// # Errors
///
/// Everything that is wrong, sorted, warnings included, when at least one finding is an error.
pub fn load(path: &Path, environment: impl Iterator<Item = (String, String)>) -> Result<Loaded, Vec<Diagnostic>> {
    let unreadable = |why: String| {
        let file = Arc::new(SourceFile { path: path.to_owned(), text: String::new() });
        let diagnostic = Diagnostic::error("unreadable", &file, 0..0, why);
        vec![diagnostic.hint("name the file with `--config`; `config/refguard.yaml` shows every key")]
    };
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(format!("cannot be read: {error}")))?;
    parse(&Arc::new(SourceFile { path: path.to_owned(), text }), environment)
}

/// The defaults, with the variables of the environment applied.
///
/// # Errors
///
/// As [`load`].
pub fn defaults(environment: impl Iterator<Item = (String, String)>) -> Result<Loaded, Vec<Diagnostic>> {
    parse(&Arc::new(SourceFile { path: "defaults".into(), text: String::new() }), environment)
}

/// Reads a configuration from memory; see [`load`].
///
/// # Errors
///
/// As [`load`].
pub fn parse(
    file: &Arc<SourceFile>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, Vec<Diagnostic>> {
    let mut reader = Reader::default();
    let root = yaml::parse(file, &mut reader.found);
    let (mut config, mut written) = (None, None);
    if !reader.failed() {
        // A file with nothing but comments is a configuration of defaults.
        let empty = Node { kind: Kind::Map(Vec::new()), file: Arc::clone(file), span: 0..0 };
        let mut root = root.unwrap_or(empty);
        environment::apply(&mut root, environment, &mut reader);
        config = Config::read(&mut reader, &root);
        if let Some(config) = &mut config {
            config.programs.entry("default".to_owned()).or_default();
            check::check(config, &root, &mut reader);
        }
        written = Some(root);
    }
    let mut found = reader.found;
    diagnostic::sort(&mut found);
    match (config, written) {
        (Some(config), Some(root)) if !diagnostic::has_errors(&found) => Ok(Loaded { config, warnings: found, root }),
        _ => Err(found),
    }
}

impl Policy {
    /// The thresholds for a program and an event type: what the program says of the type, else the program, else the
    /// type, else the general ones; each threshold by itself.
    pub fn thresholds_for(&self, program: &str, event_type: &str) -> Thresholds {
        let mut thresholds = self.thresholds.clone();
        let program = self.programs.get(program);
        let layers = [
            self.types.get(event_type).map(|policy| &policy.thresholds),
            program.map(|policy| &policy.thresholds),
            program.and_then(|policy| policy.types.get(event_type)).map(|policy| &policy.thresholds),
        ];
        for layer in layers.into_iter().flatten() {
            thresholds.flag = layer.flag.unwrap_or(thresholds.flag);
            thresholds.challenge = layer.challenge.unwrap_or(thresholds.challenge);
            thresholds.hold = layer.hold.unwrap_or(thresholds.hold);
            thresholds.block = layer.block.unwrap_or(thresholds.block);
        }
        thresholds
    }
}

impl Config {
    /// The settings of a program; those of `default` for one without an entry.
    pub fn program(&self, name: &str) -> &Program {
        let program = self.programs.get(name).or_else(|| self.programs.get("default"));
        program.expect("a configuration always has the program `default`")
    }
}
