//! Where events come from and where verdicts go.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::setting::{Millis, Setting, Shape, settings};
use crate::event::mapping::MappingConfig;
use crate::ruleset::yaml::{Node, Reader};

settings! {
    /// One place that events come from: exactly one of `kafka`, `file`, `stdin` and `http`.
    Source "a source" {
        kafka: Option<KafkaSource> = "" eg "{brokers: [localhost:9092], topics: [loyalty.events], group: refguard}",
            "Topics of a Kafka cluster.";
        file: Option<PathBuf> = "" eg "events.jsonl",
            "A file with one structured event a line, plain or as gzip or zstd make it, whatever its name.";
        stdin: Option<Standard> = "" eg "{}",
            "One structured event a line on standard input.";
        http: Option<Standard> = "" eg "{}",
            "Events that are sent to the API: docs/http.md. At most one source.";
        mapping: Option<Mapping> = ""
            eg "{id: {pointer: /uuid}, source: {const: /shop}, type: {pointer: /kind, alias: {signup: account.created}}, time: {pointer: /at, format: unix_ms}}",
            "How to build our fields from a foreign shape; absent: the source sends CloudEvents.";
    }

    /// Topics of a Kafka cluster, read as a member of a consumer group.
    KafkaSource "a Kafka source" {
        brokers: Vec<String> = "[localhost:9092]",
            "Addresses to find the cluster by.";
        topics: Vec<String> = "[]" eg "[loyalty.events]",
            "The topics to read, at least one.";
        group: String = "refguard",
            "The consumer group.";
        history: Millis = "0s" eg "30d",
            "At a start without state, how much of what was judged before is counted again first, without being judged. `0s`: nothing.";
        properties: BTreeMap<String, String> = "{}" eg "{security.protocol: SASL_SSL}",
            "Further properties of librdkafka, as it spells them; those that refguard's guarantees rest on are refused. TLS and log-in: docs/operate.md.";
    }

    /// What leaves refguard.
    Sinks "`sinks`" {
        verdicts: Sink = "{stdout: {}}" eg "{kafka: {topic: refguard.verdicts}}",
            "A verdict for every event.";
        dead_letters: Sink = "{}" eg "{kafka: {topic: refguard.deadletter}}",
            "What could not be read, with its bytes, place and reason; without a way, a line each on stderr.";
        alerts: Option<Sink> = "" eg "{kafka: {topic: refguard.alerts}}",
            "What there is to tell of alerts: when one opens, grows, becomes worse, closes. Without it they are only counted.";
        events: Option<Sink> = "" eg "{kafka: {topic: refguard.events}}",
            "What refguard itself says: that a hold has ended, that a verdict was corrected, that a reward is released (docs/http.md). Without it nobody is told but who asks.";
        decisions: Option<Sink> = "" eg "{kafka: {topic: refguard.decisions}}",
            "The log of decisions: a record for each change of a subject, for a topic that is compacted, or a file. docs/decisions-log.md.";
    }

    /// One place that something goes to: at most one of `kafka`, `file` and `stdout`.
    Sink "a sink" {
        kafka: Option<KafkaSink> = "" eg "{topic: refguard.verdicts}",
            "A topic of a Kafka cluster.";
        file: Option<PathBuf> = "" eg "verdicts.jsonl",
            "A file, one line each, appended to.";
        stdout: Option<Standard> = "" eg "{}",
            "Standard output, one line each.";
    }

    /// A topic of a Kafka cluster.
    KafkaSink "a Kafka sink" {
        topic: Option<String> = "" eg "refguard.verdicts",
            "The topic; absent: `refguard.` and the sink's name (`refguard.deadletter` for dead letters).";
        brokers: Vec<String> = "[]" eg "[localhost:9092]",
            "Addresses to find the cluster by; empty: those of the first Kafka source by name.";
        properties: BTreeMap<String, String> = "{}" eg "{compression.type: zstd}",
            "Further properties of librdkafka, as it spells them.";
    }
}

/// A way that has nothing to set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standard;

impl Setting for Standard {
    fn read(reader: &mut Reader, node: &Node) -> Option<Standard> {
        reader.fields(node, "a way with nothing to set", &[]).map(|_| Standard)
    }
    fn shape() -> Shape {
        Shape::Section(super::setting::Section { doc: "Nothing to set.", keys: &[] })
    }
}

/// How to build our fields from a foreign shape, checked when it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping(pub crate::event::mapping::Mapping);

impl Setting for Mapping {
    fn read(reader: &mut Reader, node: &Node) -> Option<Mapping> {
        let written: MappingConfig = super::mapping::read(reader, node)?;
        match crate::event::mapping::Mapping::compile(&written) {
            Ok(mapping) => Some(Mapping(mapping)),
            Err(faults) => {
                faults.iter().for_each(|fault| super::mapping::report(reader, node, fault));
                None
            }
        }
    }
    fn shape() -> Shape {
        Shape::Free
    }
}
