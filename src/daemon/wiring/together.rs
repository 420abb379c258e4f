//! Whether outputs and the places of their inputs can be committed in one transaction.

use std::collections::BTreeSet;

use super::sinks::client;
use crate::daemon::config::{self, Config};
use crate::stream::kafka::ClientOptions;

/// The name of the transactions in which outputs and places are committed together; why they cannot be, where they cannot.
pub(super) fn transactional_id(config: &Config) -> Result<String, String> {
    let sources: Vec<&config::KafkaSource> =
        config.sources.values().filter_map(|source| source.kafka.as_ref()).collect();
    if sources.is_empty() {
        return Err("no source is a topic".to_owned());
    }
    let sinks = &config.sinks;
    let unset = |sink: &config::Sink| sink.kafka.is_none() && sink.file.is_none() && sink.stdout.is_none();
    let letters = Some(&sinks.dead_letters).filter(|letters| !unset(letters));
    // What of decisions is out of a file is told by their numbers, whatever is committed.
    let decisions = sinks.decisions.as_ref().filter(|decisions| decisions.kafka.is_some());
    let named = [
        ("verdicts", Some(&sinks.verdicts)),
        ("dead_letters", letters),
        ("alerts", sinks.alerts.as_ref()),
        ("decisions", decisions),
        ("events", sinks.events.as_ref()),
    ];
    let mut clients: Vec<ClientOptions> = Vec::new();
    for (name, sink) in named.into_iter().filter_map(|(name, sink)| Some((name, sink?))) {
        let Some(kafka) = &sink.kafka else { return Err(format!("sinks.{name} is no topic")) };
        clients.push(client(config, name, kafka).map_err(|error| error.to_string())?);
    }
    if clients.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err("the sinks have different brokers or properties".to_owned());
    }
    let brokers = |of: &[String]| of.iter().cloned().collect::<BTreeSet<String>>();
    let one = clients.first().map(|client| brokers(&client.brokers));
    if sources.iter().any(|source| Some(brokers(&source.brokers)) != one) {
        return Err("sources and sinks name different brokers".to_owned());
    }
    let groups: BTreeSet<&str> = sources.iter().map(|source| source.group.as_str()).collect();
    Ok(format!("refguard-{}", groups.into_iter().collect::<Vec<_>>().join("+")))
}
