//! The configuration from outside: defaults, environment, generated files, and what is said of broken ones.

use std::path::Path;
use std::sync::Arc;

use refguard::daemon::config::{self, Config, Millis, OnStateUnavailable, Whole};
use refguard::ruleset::diagnostic::{self, SourceFile};

fn file(text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile { path: "refguard.yaml".into(), text: text.to_owned() })
}

fn with_environment(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    match config::parse(&file(text), environment) {
        Ok(loaded) => Ok(loaded.config),
        Err(found) => Err(diagnostic::render(&found, false)),
    }
}

fn read(text: &str) -> Config {
    with_environment(text, &[]).expect("the configuration is valid")
}

fn repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The generated files and their current text.
fn generated() -> [(&'static str, String); 2] {
    [("docs/configuration.md", config::markdown()), ("config/refguard.yaml", config::yaml_file())]
}

#[test]
fn generated_files_are_current() {
    for (path, expected) in generated() {
        let found = std::fs::read_to_string(repository(path)).unwrap_or_default();
        assert!(found == expected, "{path} is out of date: cargo test --test config -- --ignored writes it anew");
    }
}

#[test]
#[ignore = "writes docs/configuration.md and config/refguard.yaml"]
fn write_generated_files() {
    for (path, text) in generated() {
        std::fs::write(repository(path), text).expect("the repository can be written");
    }
}

#[test]
fn the_shipped_file_says_the_defaults() {
    let shipped = config::load(&repository("config/refguard.yaml"), std::iter::empty()).expect("it is valid");
    assert_eq!(shipped.config, Config::default());
    assert!(shipped.warnings.is_empty(), "{}", diagnostic::render(&shipped.warnings, false));
    assert_eq!(read(""), Config::default());
    assert_eq!(read("# nothing\n"), Config::default());
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = Config::default();
    assert_eq!(config.state.max_bytes.0, 4 << 30);
    assert_eq!(config.state.allowed_lateness, Millis(3_600_000));
    assert_eq!(config.state.retention, Millis(400 * 86_400_000));
    assert_eq!(config.dedup.max_entries, Whole(50_000_000));
    assert_eq!(config.policy.on_state_unavailable, OnStateUnavailable::FailClosed);
    let thresholds = config.policy.thresholds_for("default", "reward.requested");
    assert_eq!([thresholds.flag.0, thresholds.challenge.0, thresholds.hold.0, thresholds.block.0], [20, 40, 60, 80]);
    let program = config.program("unknown");
    assert_eq!((program.region.as_str(), program.timezone.as_str()), ("SA", "Asia/Riyadh"));
    assert_eq!(program.rates.get("PTS"), Some(&0.01));
}

#[test]
fn the_example_of_the_contract_is_read() {
    let config = read(
        "sources: {orders: {kafka: {brokers: [k:9092], topics: [t], group: refguard}}, inbox: {http: {}}, replay: {file: events.jsonl}}\n\
         sinks: {verdicts: {kafka: {topic: refguard.verdicts}}}\n\
         records: {url: \"sqlite:data/refguard.db\"}\n\
         http: {listen: 127.0.0.1:8080, tls: {}}\n\
         notify: {}\nlists: {}\n\
         mfa: {key_file: secrets/mfa.key, issuer: refguard}\n",
    );
    assert_eq!(config.sources.len(), 3);
    assert_eq!(config.sinks.verdicts.kafka.and_then(|kafka| kafka.topic).as_deref(), Some("refguard.verdicts"));
    assert!(config.sinks.verdicts.stdout.is_none(), "a way that is named replaces the default one");
}

#[test]
fn thresholds_go_from_the_general_to_the_particular() {
    let config = read(
        "programs: {gold: {}}\n\
         policy:\n  types: {reward.requested: {thresholds: {flag: 10, hold: 50}}}\n\
         \x20 programs: {gold: {thresholds: {hold: 55}, types: {reward.requested: {thresholds: {block: 95}}}}}\n",
    );
    let of = |program, kind| {
        let thresholds = config.policy.thresholds_for(program, kind);
        [thresholds.flag.0, thresholds.challenge.0, thresholds.hold.0, thresholds.block.0]
    };
    assert_eq!(of("default", "order.placed"), [20, 40, 60, 80]);
    assert_eq!(of("default", "reward.requested"), [10, 40, 50, 80]);
    assert_eq!(of("gold", "order.placed"), [20, 40, 55, 80]);
    assert_eq!(of("gold", "reward.requested"), [10, 40, 55, 95]);
}

#[test]
fn the_environment_goes_over_the_file() {
    let config = with_environment(
        "state: {path: here}\nsources: {orders: {kafka: {topics: [a]}}}\n",
        &[
            ("REFGUARD_STATE__PATH", "/var/lib/refguard: x"),
            ("REFGUARD_DEDUP__SPAN", "2h"),
            ("REFGUARD_SOURCES__ORDERS__KAFKA__BROKERS", "[k1:9092, k2:9092]"),
            ("REFGUARD_SOURCES__LATE__FILE", "x.jsonl"),
            ("REFGUARD_SIGNALS__TOR", "tor.txt"),
            ("HOME", "/root"),
        ],
    )
    .expect("it is valid");
    assert_eq!(config.state.path, Path::new("/var/lib/refguard: x"));
    assert_eq!(config.dedup.span, Millis(7_200_000));
    assert_eq!(config.sources["orders"].kafka.as_ref().map(|kafka| kafka.brokers.len()), Some(2));
    assert_eq!(config.sources["late"].file.as_deref(), Some(Path::new("x.jsonl")));
    assert_eq!(config.signals.tor.as_deref(), Some(Path::new("tor.txt")));
}

#[test]
fn a_faulty_variable_is_reported_under_its_name() {
    let error = with_environment("", &[("REFGUARD_STATE__PAHT", "x"), ("REFGUARD_DEDUP__SPAN", "soon")])
        .expect_err("they are faulty");
    insta::assert_snapshot!(error, @r"
    REFGUARD_DEDUP__SPAN:1:1: error[type]: expected a span of time, found `soon`
      |
    1 | soon
      | ^^^^
    hint: write a number with s, m, h or d, such as `30s` or `7d`

    REFGUARD_STATE__PAHT:1:1: error[unknown-key]: the environment variable `REFGUARD_STATE__PAHT` sets nothing that there is
      |
    1 | x
      | ^
    hint: did you mean `REFGUARD_STATE__PATH`?
    ");
}

#[test]
fn the_schema_accepts_what_the_reader_does() {
    let schema = config::json_schema();
    assert_eq!(schema["properties"]["state"]["properties"]["max_bytes"]["default"], "4GiB");
    assert_eq!(schema["properties"]["policy"]["properties"]["thresholds"]["properties"]["hold"]["default"], 60);
    assert_eq!(schema["additionalProperties"], false);
}
