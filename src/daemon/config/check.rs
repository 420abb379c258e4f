//! What no single key can tell: thresholds that ascend, zones and currencies that exist, one way for a source.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::sections::{AttributeType, Config, Program, ProgramPolicy, Quota, Score, SomeThresholds, Thresholds};
use super::stream::{KafkaSource, Sink, Source};
use super::{customer, gateway, redis};
use crate::engine::QUOTAS_MAX;
use crate::event::{POINTS, currencies, is_currency, nearest, nearest_type};
use crate::ruleset::diagnostic::{Diagnostic, Severity};
use crate::ruleset::yaml::{Entry, Kind, Node, Reader, suggest};
use crate::stream::inbox::ACTS;

/// Properties of librdkafka that refguard sets itself, and what sets them.
const OWN_PROPERTIES: &[(&str, &str)] = &[
    ("bootstrap.servers", "`brokers` sets it"),
    ("metadata.broker.list", "`brokers` sets it"),
    ("group.id", "`group` sets it"),
    ("group.instance.id", "refguard derives it from the state"),
    ("transactional.id", "refguard derives it from the group"),
    ("enable.auto.commit", "refguard commits an offset after its verdict is out"),
    ("enable.auto.offset.store", "refguard commits an offset after its verdict is out"),
];

/// The least that `state.max_bytes` can be.
const STATE_BYTES_MIN: u64 = 1 << 20;

pub(super) fn check(config: &Config, root: &Node, reader: &mut Reader) {
    let mut check = Check { root, reader };
    for (name, source) in &config.sources {
        check.source(name, source);
    }
    check.http(config);
    check.customer_texts(config);
    check.sinks(config);
    check.state(config);
    check.policy(config);
    for (name, program) in &config.programs {
        check.program(name, program);
    }
    check.attributes(config);
    check.quotas(config);
    check.later(config);
}

/// The deepest entry on a path that the file or environment has; `None` when not even its first key is there.
fn entry<'n>(root: &'n Node, path: &[&str]) -> Option<&'n Entry> {
    let mut found = None;
    let mut node = root;
    for key in path {
        let Kind::Map(entries) = &node.kind else { break };
        let Some(entry) = entries.iter().find(|entry| entry.key == *key) else { break };
        found = Some(entry);
        node = &entry.value;
    }
    found
}

/// A finding at the value that a path leads to, or at the nearest key above it.
pub(super) fn error_at(root: &Node, path: &[&str], code: &'static str, message: impl Into<String>) -> Diagnostic {
    match entry(root, path) {
        Some(entry) if path.last() == Some(&entry.key.as_str()) && scalar(&entry.value) => {
            entry.value.error(code, message)
        }
        Some(entry) => Diagnostic::error(code, &entry.value.file, entry.key_span.clone(), message),
        None => Diagnostic::error(code, &root.file, 0..0, message),
    }
}

struct Check<'a> {
    root: &'a Node,
    reader: &'a mut Reader,
}

impl Check<'_> {
    fn entry(&self, path: &[&str]) -> Option<&Entry> {
        entry(self.root, path)
    }

    fn error(&self, path: &[&str], code: &'static str, message: impl Into<String>) -> Diagnostic {
        error_at(self.root, path, code, message)
    }

    /// Adds a finding, but not to a value that already has an error: its default would be blamed.
    fn report(&mut self, finding: Diagnostic) {
        let blamed = self.reader.found.iter().any(|found| {
            found.severity == Severity::Error
                && found.span.start == finding.span.start
                && Arc::ptr_eq(&found.file, &finding.file)
                && found.code != finding.code
        });
        if !blamed {
            self.reader.push(finding);
        }
    }

    fn source(&mut self, name: &str, source: &Source) {
        let path = ["sources", name];
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if name.is_empty() || !name.bytes().all(fits) {
            let diagnostic = self.error(&path, "bad-name", format!("`{}` is no name of a source", name.escape_debug()));
            self.report(diagnostic.hint("use letters, digits, `-` and `_`: it stands in metrics"));
        }
        if name == ACTS {
            let diagnostic = self.error(&path, "bad-name", format!("the name `{ACTS}` is that of what people do"));
            self.report(diagnostic.hint("give the source another name"));
        }
        let ways = [source.kafka.is_some(), source.file.is_some(), source.stdin.is_some(), source.http.is_some()];
        if ways.into_iter().filter(|there| *there).count() != 1 {
            let diagnostic = self.error(&path, "source", format!("the source `{name}` needs one way that events come"));
            self.report(diagnostic.hint("write one of `kafka`, `file`, `stdin` and `http`"));
        }
        if let Some(kafka) = &source.kafka {
            self.kafka(name, kafka);
        }
    }

    /// There is one inbox, and certificates come with their key.
    fn http(&mut self, config: &Config) {
        let mut names = config.sources.iter().filter(|(_, source)| source.http.is_some()).map(|(name, _)| name);
        if let (Some(_), Some(second)) = (names.next(), names.next()) {
            let diagnostic = self.error(&["sources", second], "source", "a second source is `http`".to_owned());
            self.report(
                diagnostic.hint("the API has one inbox: tell its senders apart by the `source` of their events"),
            );
        }
        for (tls, path) in
            [(&config.http.tls, ["http", "tls"].as_slice()), (&config.http.grpc.tls, &["http", "grpc", "tls"])]
        {
            if tls.certificate.is_some() != tls.key.is_some() || tls.client_ca.is_some() && tls.key.is_none() {
                let message = "a certificate and a key belong together".to_owned();
                let diagnostic = self.error(path, "tls", message);
                self.report(diagnostic.hint("name both `certificate` and `key`; `client_ca` may stand beside them"));
            }
        }
        for gateway::Fault { path, message, hint } in gateway::faults(config) {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let diagnostic = self.error(&path, "gateway", message);
            self.report(diagnostic.hint(hint));
        }
    }

    fn customer_texts(&mut self, config: &Config) {
        for (path, message, hint) in customer::texts(config).1 {
            let diagnostic = self.error(&path, "customer-text", message);
            self.report(diagnostic.hint(hint));
        }
    }

    fn kafka(&mut self, name: &str, kafka: &KafkaSource) {
        for (key, values) in [("brokers", &kafka.brokers), ("topics", &kafka.topics)] {
            if values.is_empty() {
                let message = format!("the source `{name}` names no {key}");
                let diagnostic = self.error(&["sources", name, "kafka", key], "missing-key", message);
                self.report(diagnostic.hint(format!("such as `{key}: [{}]`", example(key))));
            }
        }
        self.properties(&["sources", name, "kafka", "properties"], kafka.properties.keys());
    }

    fn properties<'k>(&mut self, path: &[&str], keys: impl Iterator<Item = &'k String>) {
        for key in keys {
            if let Some((_, why)) = OWN_PROPERTIES.iter().find(|(own, _)| own == key) {
                let path: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
                let diagnostic = self.error(&path, "property", format!("the property `{key}` cannot be set here"));
                self.report(diagnostic.hint(*why));
            }
        }
    }

    fn sinks(&mut self, config: &Config) {
        let sinks = &config.sinks;
        let optional = [("alerts", &sinks.alerts), ("events", &sinks.events), ("decisions", &sinks.decisions)];
        let optional = optional.into_iter().filter_map(|(name, sink)| sink.as_ref().map(|sink| (name, sink)));
        for (name, sink) in
            [("verdicts", &sinks.verdicts), ("dead_letters", &sinks.dead_letters)].into_iter().chain(optional)
        {
            self.sink(name, sink, config);
        }
        let verdicts = &sinks.verdicts;
        if verdicts.kafka.is_none() && verdicts.file.is_none() && verdicts.stdout.is_none() {
            let diagnostic = self.error(&["sinks", "verdicts"], "sink", "the verdicts need a way out");
            self.report(diagnostic.hint("write one of `kafka`, `file` and `stdout`"));
        }
    }

    fn sink(&mut self, name: &str, sink: &Sink, config: &Config) {
        let ways = [sink.kafka.is_some(), sink.file.is_some(), sink.stdout.is_some()];
        if ways.into_iter().filter(|there| *there).count() > 1 {
            let diagnostic =
                self.error(&["sinks", name], "sink", format!("the sink `{name}` has more than one way out"));
            self.report(diagnostic.hint("write one of `kafka`, `file` and `stdout`"));
        }
        let Some(kafka) = &sink.kafka else { return };
        if kafka.brokers.is_empty() && !config.sources.values().any(|source| source.kafka.is_some()) {
            let message = format!("the sink `{name}` does not know its cluster");
            let diagnostic = self.error(&["sinks", name, "kafka"], "missing-key", message);
            self.reader
                .push(diagnostic.hint("write `brokers: [localhost:9092]`: there is no Kafka source to take it from"));
        }
        self.properties(&["sinks", name, "kafka", "properties"], kafka.properties.keys());
    }

    fn state(&mut self, config: &Config) {
        for (path, code, message, hint) in redis::faults(config) {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let diagnostic = self.error(&path, code, message);
            self.report(diagnostic.hint(hint));
        }
        if config.state.max_bytes.0 < STATE_BYTES_MIN {
            let diagnostic = self.error(&["state", "max_bytes"], "type", "state needs at least 1MiB");
            self.report(diagnostic);
        }
        let (alerts, state) = (&config.alerts, &config.state);
        for (path, span) in [
            (["state", "retention"], state.retention),
            (["state", "checkpoint_interval"], state.checkpoint_interval),
            (["engine", "commit_interval"], config.engine.commit_interval),
            (["dedup", "span"], config.dedup.span),
            (["alerts", "quiet"], alerts.quiet),
            (["alerts", "interval"], alerts.interval),
            (["policy", "review_within"], config.policy.review_within),
        ] {
            if span.0 == 0 {
                let diagnostic = self.error(&path, "type", format!("`{}` must be longer than zero", path[1]));
                self.report(diagnostic);
            }
        }
        if config.state.allowed_lateness > config.state.retention {
            let message = "`allowed_lateness` is longer than `retention`: what is that late was forgotten";
            let diagnostic = self.error(&["state", "allowed_lateness"], "type", message);
            self.report(diagnostic);
        }
    }

    fn policy(&mut self, config: &Config) {
        let policy = &config.policy;
        self.ascending(&["policy", "thresholds"], &policy.thresholds, [true; 4]);
        for (name, of) in &policy.types {
            self.event_type(&["policy", "types", name], name);
            let path = ["policy", "types", name, "thresholds"];
            self.ascending(&path, &policy.thresholds_for("", name), given(&of.thresholds));
        }
        for (program, of) in &policy.programs {
            if !config.programs.contains_key(program) {
                let message = format!("`programs` has no `{program}`");
                let diagnostic = self.error(&["policy", "programs", program], "unknown-value", message);
                let known = config.programs.keys().map(String::as_str);
                self.report(diagnostic.hint(suggest(program, known)));
            }
            let path = ["policy", "programs", program, "thresholds"];
            self.ascending(&path, &policy.thresholds_for(program, ""), given(&of.thresholds));
            for (name, of) in &of.types {
                self.event_type(&["policy", "programs", program, "types", name], name);
                let path = ["policy", "programs", program, "types", name, "thresholds"];
                self.ascending(&path, &policy.thresholds_for(program, name), given(&of.thresholds));
            }
            self.merged(config, program, of);
        }
    }

    /// Reports what descends only where the thresholds of a program meet those of a type that it says nothing of.
    fn merged(&mut self, config: &Config, program: &str, of: &ProgramPolicy) {
        let policy = &config.policy;
        for name in policy.types.keys().filter(|name| !of.types.contains_key(*name)) {
            let apart = [policy.thresholds_for("", name), policy.thresholds_for(program, "")];
            let together = neighbours(&policy.thresholds_for(program, name)).into_iter().enumerate();
            for (index, [(lower, low), (upper, high)]) in together {
                let told = apart.iter().any(|of| {
                    let [(_, low), (_, high)] = neighbours(of)[index];
                    low > high
                });
                if low > high && !told {
                    let message = format!(
                        "thresholds of `{program}` descend for `{name}`: `{lower}` is {} and `{upper}` is {}",
                        low.0, high.0
                    );
                    let diagnostic = self.error(&["policy", "programs", program, "thresholds"], "thresholds", message);
                    let hint = format!("say under `policy.programs.{program}.types.{name}` what holds there");
                    self.report(diagnostic.hint(hint));
                }
            }
        }
    }

    /// Reports neighbours that descend; of those only where one was `given` here, lest one fault be told twice.
    fn ascending(&mut self, path: &[&str], of: &Thresholds, given: [bool; 4]) {
        for (index, [(lower, low), (upper, high)]) in neighbours(of).into_iter().enumerate() {
            if low > high && (given[index] || given[index + 1]) {
                let at = [upper, lower].into_iter().find(|key| {
                    let path: Vec<&str> = path.iter().copied().chain([*key]).collect();
                    self.entry(&path).is_some_and(|entry| entry.key == *key)
                });
                let path: Vec<&str> = path.iter().copied().chain(at).collect();
                let message = format!("thresholds descend: `{lower}` is {} and `{upper}` is {}", low.0, high.0);
                let diagnostic = self.error(&path, "thresholds", message);
                self.report(diagnostic.hint("a heavier verdict needs at least the score of a lighter one"));
            }
        }
    }

    /// Other types than ours are accepted; one that is nearly ours is probably misspelt.
    fn event_type(&mut self, path: &[&str], name: &str) {
        if let Some(known) = nearest_type(name) {
            let message = format!("`{name}` is no event type that refguard knows");
            let warning = Diagnostic { severity: Severity::Warning, ..self.error(path, "unknown-type", message) };
            self.report(warning.hint(format!("did you mean `{known}`?")));
        }
    }

    fn program(&mut self, name: &str, program: &Program) {
        let path = |key| ["programs", name, key];
        if program.region.parse::<phonenumber::country::Id>().is_err() {
            let message = format!("`{}` is no region", program.region.escape_debug());
            let diagnostic = self.error(&path("region"), "unknown-value", message);
            self.report(diagnostic.hint("use a code of ISO 3166-1 alpha-2 in capitals, such as `SA`"));
        }
        if jiff::tz::TimeZone::get(&program.timezone).is_err() {
            let message = format!("`{}` is no time zone", program.timezone.escape_debug());
            let zones: Vec<String> = jiff::tz::db().available().map(|zone| zone.as_str().to_owned()).collect();
            let near = nearest(&program.timezone, zones.iter().map(String::as_str));
            let hint = near.map_or("use a name of the IANA database, such as `Asia/Riyadh`".to_owned(), |near| {
                format!("did you mean `{near}`?")
            });
            let diagnostic = self.error(&path("timezone"), "unknown-value", message);
            self.report(diagnostic.hint(hint));
        }
        if program.base_currency == POINTS || !is_currency(&program.base_currency) {
            let message = format!("`{}` is no currency", program.base_currency.escape_debug());
            let diagnostic = self.error(&path("base_currency"), "unknown-value", message);
            self.report(diagnostic.hint(currency_hint(&program.base_currency)));
        }
        for (code, rate) in &program.rates {
            let path = ["programs", name, "rates", code];
            if !is_currency(code) {
                let message = format!("`{}` is no currency", code.escape_debug());
                let diagnostic = self.error(&path, "unknown-value", message);
                self.report(diagnostic.hint(currency_hint(code)));
            }
            if *rate <= 0.0 {
                let diagnostic = self.error(&path, "type", format!("the rate of `{code}` must be more than zero"));
                self.report(diagnostic);
            }
        }
        self.quota(&["programs", name, "quota"], &program.quota);
        for attribute in program.attributes.keys() {
            let identifier = attribute.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && attribute.bytes().next().is_some_and(|first| !first.is_ascii_digit());
            if !identifier {
                let path = ["programs", name, "attributes", attribute];
                let message = format!("`{}` cannot be read in a rule", attribute.escape_debug());
                let diagnostic = self.error(&path, "bad-name", message);
                self.report(diagnostic.hint("use letters, digits and `_`"));
            }
        }
    }

    fn quota(&mut self, path: &[&str], quota: &Quota) {
        let at = |key| path.iter().copied().chain([key]).collect::<Vec<&str>>();
        if quota.burst.is_some() && quota.events_per_second.is_none() {
            let diagnostic = self.error(&at("burst"), "missing-key", "`burst` needs `events_per_second`");
            self.report(diagnostic.hint("write how many events a second there may be"));
        }
        if quota.bytes.is_some_and(|bytes| bytes.0 < STATE_BYTES_MIN) {
            let diagnostic = self.error(&at("bytes"), "type", "a quota needs at least 1MiB");
            self.report(diagnostic);
        }
    }

    /// Quotas are told apart by a few bits of each key.
    fn quotas(&mut self, config: &Config) {
        self.quota(&["quota", "unconfigured"], &config.quota.unconfigured);
        let mut with_quota = config.programs.iter().filter(|(_, program)| program.quota != Quota::default());
        if let Some((name, _)) = with_quota.nth(QUOTAS_MAX) {
            let message = format!("more than {QUOTAS_MAX} programs have a quota");
            let diagnostic = self.error(&["programs", name, "quota"], "type", message);
            self.report(
                diagnostic.hint("take it from some: programs without an entry share one, `quota.unconfigured`"),
            );
        }
    }

    /// An attribute has one type in all programs, so that a rule for all of them can be checked.
    fn attributes(&mut self, config: &Config) {
        let mut known: BTreeMap<&str, (&str, AttributeType)> = BTreeMap::new();
        for (program, declared) in &config.programs {
            for (name, of) in &declared.attributes {
                let (first, other) = *known.entry(name).or_insert((program, *of));
                if other != *of {
                    let path = ["programs", program, "attributes", name];
                    let message = format!("the attribute `{name}` has another type in the program `{first}`");
                    let diagnostic = self.error(&path, "type", message);
                    self.report(
                        diagnostic.hint("an attribute has one type in all programs: give one of them another name"),
                    );
                }
            }
        }
    }

    fn not_acted_upon(&mut self, path: &[&str]) {
        let message = format!("`{}` is checked, and not acted upon by this version", path.join("."));
        let finding = self.error(path, "not-acted-upon", message);
        self.report(Diagnostic { severity: Severity::Warning, ..finding });
    }

    /// What is read for later parts, and has no effect in this version: a warning where it is not the default.
    fn later(&mut self, config: &Config) {
        let default = Config::default();
        let changed: [(&[&str], bool); 3] = [
            (&["notify"], config.notify != default.notify),
            (&["mfa"], config.mfa != default.mfa),
            (&["lists"], config.lists != default.lists),
        ];
        for (path, _) in changed.into_iter().filter(|(_, changed)| *changed) {
            self.not_acted_upon(path);
        }
    }
}

/// Thresholds with their names, each beside the next.
fn neighbours(of: &Thresholds) -> [[(&'static str, Score); 2]; 3] {
    let named = [("flag", of.flag), ("challenge", of.challenge), ("hold", of.hold), ("block", of.block)];
    [[named[0], named[1]], [named[1], named[2]], [named[2], named[3]]]
}

/// Which thresholds are said anew.
fn given(of: &SomeThresholds) -> [bool; 4] {
    [of.flag.is_some(), of.challenge.is_some(), of.hold.is_some(), of.block.is_some()]
}

fn scalar(node: &Node) -> bool {
    matches!(node.kind, Kind::Scalar(_))
}

fn example(key: &str) -> &'static str {
    if key == "brokers" { "localhost:9092" } else { "loyalty.events" }
}

fn currency_hint(code: &str) -> String {
    match nearest(code, currencies()) {
        Some(near) => format!("did you mean `{near}`? Points are `{POINTS}`"),
        None => format!("use a code of ISO 4217, such as `SAR`; points are `{POINTS}`"),
    }
}
