//! What a consumer and a producer share: settings, the words for the client's errors, its log.

use crate::stream::StreamError;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use std::sync::Mutex;
use std::time::Duration;

/// How long a start waits for a broker's answer.
const START_WAIT: Duration = Duration::from_secs(10);

/// How to reach a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientOptions {
    /// Bootstrap addresses, `host:port`. At least one.
    pub brokers: Vec<String>,
    /// Settings of librdkafka by name, for what has no option here: security, buffers. They win over refguard's own;
    /// one that its guarantees rest on is refused.
    pub settings: Vec<(String, String)>,
}

impl ClientOptions {
    /// The client's settings: `defaults`, then the user's, then what must hold, which the user cannot set.
    pub(super) fn config(
        &self,
        defaults: &[(&str, &str)],
        fixed: &[(&str, &str)],
    ) -> Result<ClientConfig, StreamError> {
        let mut config = ClientConfig::new();
        config.set("client.id", "refguard");
        for (name, value) in defaults {
            config.set(*name, *value);
        }
        for (name, value) in &self.settings {
            if let Some((_, fixed)) = fixed.iter().find(|(fixed, _)| fixed == name) {
                let detail = format!("{name}: refguard needs `{fixed}` here and sets it by itself");
                return Err(StreamError::KafkaSettings { detail });
            }
            config.set(name, value);
        }
        for (name, value) in fixed {
            config.set(*name, *value);
        }
        config.set("bootstrap.servers", self.brokers.join(","));
        config.set_log_level(RDKafkaLogLevel::Info);
        Ok(config)
    }

    /// Asks the cluster for topics and answers with an error for the first that is not there. A broker that makes topics
    /// by itself makes them.
    pub(super) fn check_topics<'t>(
        &self,
        topics: impl IntoIterator<Item = &'t str>,
        fetch: impl Fn(&str, Duration) -> Result<Metadata, KafkaError>,
    ) -> Result<(), StreamError> {
        for topic in topics {
            let metadata = fetch(topic, START_WAIT).map_err(|error| StreamError::Unreachable {
                brokers: self.brokers.join(","),
                detail: detail(&error),
            })?;
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            match found.map(|found| found.error().map(RDKafkaErrorCode::from)) {
                // A topic that was made this moment has no leader yet; clients wait for one.
                Some(None | Some(RDKafkaErrorCode::LeaderNotAvailable)) => {}
                Some(Some(RDKafkaErrorCode::TopicAuthorizationFailed)) => {
                    return Err(StreamError::Denied {
                        doing: format!("to use topic {topic}"),
                        detail: RDKafkaErrorCode::TopicAuthorizationFailed.to_string(),
                    });
                }
                _ => return Err(StreamError::UnknownTopic { topic: topic.to_owned() }),
            }
        }
        Ok(())
    }
}

/// The last error that a client told by itself: what its calls answer at a start, `Transport`, says much less.
#[derive(Debug, Default)]
pub(super) struct LastError(Mutex<Option<(RDKafkaErrorCode, String)>>);

impl LastError {
    /// Notes and logs an error. That all brokers are down follows from others, and says nothing of why.
    pub(super) fn note(&self, error: &KafkaError, reason: &str) {
        tracing::warn!(target: "kafka", "{}: {reason}", detail(error));
        if let Some(code) = error.rdkafka_error_code().filter(|code| *code != RDKafkaErrorCode::AllBrokersDown) {
            *self.0.lock().expect("no thread panics while it holds the error") = Some((code, reason.to_owned()));
        }
    }

    /// Why no broker could be reached, as far as it is known.
    pub(super) fn explain(&self, error: StreamError) -> StreamError {
        let last = self.0.lock().expect("no thread panics while it holds the error").take();
        match (error, last) {
            (
                StreamError::Unreachable { brokers, .. },
                Some((RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL, detail)),
            ) => StreamError::Refused { brokers, detail },
            (StreamError::Unreachable { brokers, .. }, Some((_, detail))) => {
                StreamError::Unreachable { brokers, detail }
            }
            (error, _) => error,
        }
    }
}

/// The place of a record as people read it: `topic/partition/offset`.
pub fn record_position(topic: &str, partition: i32, offset: u64) -> String {
    format!("{topic}/{partition}/{offset}")
}

/// What a client says of a setting or of its creation.
pub(super) fn settings_error(error: &KafkaError) -> StreamError {
    let detail = match error {
        // The client repeats values in its own words too.
        KafkaError::ClientConfig(_, what, name, value) if is_secret(name) && !value.is_empty() => {
            format!("{name}: {}", what.replace(value.as_str(), "***"))
        }
        KafkaError::ClientConfig(_, what, name, value) => format!("{name}: {value}: {what}"),
        other => detail(other),
    };
    StreamError::KafkaSettings { detail }
}

/// Whether a property's value may not be told: passwords, keys and what is signed by them.
fn is_secret(property: &str) -> bool {
    ["password", "secret", "pem", "assertion", "oauthbearer.config"].iter().any(|part| property.contains(part))
}

/// The client's own words, on one line, without the name of the call.
pub(super) fn detail(error: &KafkaError) -> String {
    error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string())
}

/// Forwards a line of the client's log, under the target `kafka`.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::error!(target: "kafka", facility, "{message}");
        }
        RDKafkaLogLevel::Warning => tracing::warn!(target: "kafka", facility, "{message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(target: "kafka", facility, "{message}"),
        RDKafkaLogLevel::Debug => tracing::debug!(target: "kafka", facility, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::types::RDKafkaConfRes;

    #[test]
    fn the_value_of_a_secret_is_not_told() {
        let error = |name: &str| {
            let what = format!("Property \"{name}\" takes no \"geheim\"");
            let invalid = RDKafkaConfRes::RD_KAFKA_CONF_INVALID;
            settings_error(&KafkaError::ClientConfig(invalid, what, name.to_owned(), "geheim".to_owned())).to_string()
        };
        for name in ["sasl.password", "sasl.oauthbearer.client.secret", "ssl.key.pem", "sasl.oauthbearer.config"] {
            assert!(error(name).contains(name) && !error(name).contains("geheim"), "{}", error(name));
        }
        assert!(error("compression.type").contains("geheim"));
    }
}
