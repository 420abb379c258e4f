//! A real broker that wants to know who comes: TLS, names and passwords by every mechanism, certificates of clients.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use support::kafka::{Kafka, unique};
use support::program::{Answer, Daemon, answer};
use support::{certificates, kcat, tokens};

/// A rule that nothing meets: verdicts are enough.
const RULES: &str = r#"
version: 1
pack: none
rules:
  - {id: never, on: [login.succeeded], when: "event.account_id == \"nobody\"", score: 1, message: "never"}
"#;

struct Secured {
    folder: tempfile::TempDir,
    kafka: Kafka,
}

fn secured() -> &'static Secured {
    static SECURED: OnceLock<Secured> = OnceLock::new();
    SECURED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        certificates::make(folder.path());
        tokens::make_keys(folder.path());
        let kafka = Kafka::start_secured(folder.path());
        Secured { folder, kafka }
    })
}

/// The properties of a client that goes by a mechanism over TLS.
fn sasl(mechanism: &str, password: &str, authority: &Path) -> Value {
    json!({
        "security.protocol": "SASL_SSL", "ssl.ca.location": authority, "sasl.mechanism": mechanism,
        "sasl.username": "alice", "sasl.password": password,
    })
}

/// Configures `run` from one topic to another on a port, with these properties of its clients.
fn configure(
    folder: &Path,
    port: u16,
    [input, verdicts, dead]: &[String; 3],
    properties: &Value,
) -> std::path::PathBuf {
    fs::create_dir_all(folder.join("rules")).unwrap();
    fs::write(folder.join("rules/none.yaml"), RULES).unwrap();
    let config = json!({
        "sources": {"logins": {"kafka": {
            "brokers": [format!("127.0.0.1:{port}")], "topics": [input], "group": unique("group"), "properties": properties,
        }}},
        // The sinks take brokers and security from the source.
        "sinks": {"verdicts": {"kafka": {"topic": verdicts}}, "dead_letters": {"kafka": {"topic": dead}}},
        "rules": {"path": folder.join("rules")},
        "state": {"path": folder.join("state"), "key_file": folder.join("state.key")},
        "metrics": {"listen": "127.0.0.1:0"},
    });
    let path = folder.join("refguard.yaml");
    fs::write(&path, config.to_string()).unwrap();
    path
}

/// One event goes in, and its verdict comes out.
fn judges(port: u16, properties: &Value) {
    let Secured { kafka, .. } = secured();
    let folder = tempfile::tempdir().unwrap();
    let topics = ["events", "verdicts", "dead"].map(|name| kafka.topic(name, 1));
    let event = json!({
        "specversion": "1.0", "id": "one", "source": "/test", "type": "login.succeeded", "time": "2025-05-01T10:00:00Z",
        "data": {"account_id": "a"},
    });
    kcat::produce(&kafka.address(), &topics[0], 0, &[], &[&event.to_string()]);
    let mut daemon = Daemon::start(&configure(folder.path(), port, &topics, properties));
    daemon.said("judging");
    let verdicts = kafka.consume(&topics[1], 1);
    let verdict: Value = serde_json::from_slice(&verdicts[0].payload).unwrap();
    assert_eq!(verdict["event_id"], "one");
    daemon.terminate();
    let (status, log) = daemon.ended();
    assert!(status.success(), "{log}");
}

/// A start that the broker refuses, and what it says.
fn refused(port: u16, properties: &Value) -> Answer {
    let folder = tempfile::tempdir().unwrap();
    let topics = ["events", "verdicts", "dead"].map(|name| secured().kafka.topic(name, 1));
    let config = configure(folder.path(), port, &topics, properties);
    answer(&["run", "--config", config.to_str().unwrap()])
}

#[test]
fn names_and_passwords_by_every_mechanism() {
    let Secured { folder, kafka } = secured();
    let authority = folder.path().join("ca.pem");
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        judges(kafka.secured().sasl, &sasl(mechanism, "alice-secret", &authority));
    }
}

/// The properties of a client that gets its tokens from an endpoint.
fn oauth(endpoint: &str, secret: &str, authority: &Path) -> Value {
    json!({
        "security.protocol": "SASL_SSL", "ssl.ca.location": authority, "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc", "sasl.oauthbearer.token.endpoint.url": endpoint,
        "sasl.oauthbearer.client.id": tokens::CLIENT.0, "sasl.oauthbearer.client.secret": secret,
        "sasl.oauthbearer.scope": "events",
    })
}

#[test]
fn tokens_of_an_endpoint() {
    let Secured { folder, kafka } = secured();
    let (endpoint, authority) = (tokens::serve(folder.path()), folder.path().join("ca.pem"));
    judges(kafka.secured().sasl, &oauth(&endpoint, tokens::CLIENT.1, &authority));
    let wrong = refused(kafka.secured().sasl, &oauth(&endpoint, "guessed", &authority));
    assert_eq!(wrong.code, Some(2), "{}", wrong.err);
    assert!(wrong.err.contains("invalid_client") && !wrong.err.contains("guessed"), "{}", wrong.err);
}

#[test]
fn a_certificate_of_the_client() {
    let Secured { folder, kafka } = secured();
    let at = |name: &str| folder.path().join(name);
    let mut properties = json!({
        "security.protocol": "SSL", "ssl.ca.location": at("ca.pem"),
        "ssl.certificate.location": at("client.pem"), "ssl.key.location": at("client.key"),
    });
    judges(kafka.secured().mutual, &properties);
    let all = properties.as_object_mut().unwrap();
    all.remove("ssl.certificate.location");
    all.remove("ssl.key.location");
    let without = refused(kafka.secured().mutual, &properties);
    assert_eq!(without.code, Some(3), "{}", without.err);
}

#[test]
fn who_is_not_let_in_is_told_why() {
    let Secured { folder, kafka } = secured();
    let port = kafka.secured().sasl;
    let wrong = refused(port, &sasl("SCRAM-SHA-512", "guessed", &folder.path().join("ca.pem")));
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.err.contains("Authentication failed") && wrong.err.contains("sasl."), "{}", wrong.err);
    assert!(!wrong.err.contains("guessed"), "passwords are not told: {}", wrong.err);

    let stranger = refused(port, &sasl("PLAIN", "alice-secret", &folder.path().join("other.pem")));
    assert_eq!(stranger.code, Some(2), "{}", stranger.err);
    assert!(stranger.err.contains("certificate verify failed"), "{}", stranger.err);
}

#[test]
fn a_file_that_is_not_there_is_a_wrong_setting() {
    let missing = refused(secured().kafka.secured().sasl, &sasl("PLAIN", "x", Path::new("gone.pem")));
    assert_eq!(missing.code, Some(2));
    assert!(missing.err.contains("ssl.ca.location") && missing.err.contains("hint: "), "{}", missing.err);
}
