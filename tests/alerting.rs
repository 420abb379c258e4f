//! The alerts that are shipped for Prometheus: that they are valid, fire when they must, and speak of what exists.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use refguard::daemon::metrics::TABLE;
use refguard::ruleset::diagnostic::SourceFile;
use refguard::ruleset::yaml::{self, Kind, Node};

const RULES: &str = "deploy/prometheus/refguard.rules.yml";
const TESTS: &str = "deploy/prometheus/refguard.rules.test.yml";

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Prometheus's own tool, with nothing to complain of.
fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool").current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("promtool: {error}\nhint: run `make setup`"));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

fn member<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Kind::Map(entries) = &node.kind else { return None };
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
}

fn scalar<'n>(node: &'n Node, path: &[&str]) -> &'n str {
    let found = path.iter().try_fold(node, |node, key| member(node, key));
    match found.map(|node| &node.kind) {
        Some(Kind::Scalar(scalar)) => &scalar.text,
        _ => "",
    }
}

fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.kind) {
        Some(Kind::List(items)) => items,
        _ => &[],
    }
}

/// The alerts of the shipped file.
fn alerts() -> Vec<Node> {
    let file = Arc::new(SourceFile { path: RULES.into(), text: text(RULES) });
    let mut found = Vec::new();
    let root = yaml::parse(&file, &mut found).unwrap();
    assert!(found.is_empty(), "{found:?}");
    let groups = items(member(&root, "groups")).iter();
    let alerts: Vec<Node> = groups.flat_map(|group| items(member(group, "rules")).to_vec()).collect();
    assert!(alerts.len() >= 8, "{}", alerts.len());
    alerts
}

#[test]
fn the_alerts_are_valid() {
    promtool(&["check", "rules", RULES]);
}

#[test]
fn the_alerts_fire_when_they_must_and_else_do_not() {
    promtool(&["test", "rules", TESTS]);
    let tests = text(TESTS);
    for alert in alerts() {
        let name = scalar(&alert, &["alert"]);
        let told = tests.split("alertname: ").filter(|part| part.lines().next() == Some(name));
        assert!(told.clone().any(|part| part.contains("exp_alerts:")), "no test in which {name} fires");
    }
}

#[test]
fn every_alert_says_how_grave_it_is_and_what_to_do() {
    let page = text("docs/operate.md");
    let anchors: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### ").or_else(|| line.strip_prefix("## ")))
        .map(|heading| heading.to_lowercase().replace(' ', "-"))
        .collect();
    for alert in alerts() {
        let name = scalar(&alert, &["alert"]);
        assert!(["page", "ticket"].contains(&scalar(&alert, &["labels", "severity"])), "{name}");
        for annotation in ["summary", "description"] {
            assert!(!scalar(&alert, &["annotations", annotation]).is_empty(), "{name} has no {annotation}");
        }
        let section = scalar(&alert, &["annotations", "runbook"]).strip_prefix("docs/operate.md#");
        let section = section.unwrap_or_else(|| panic!("{name} names no section of docs/operate.md"));
        assert!(anchors.contains(section), "docs/operate.md has no section `{section}`: {anchors:?}");
    }
}

#[test]
fn the_alerts_speak_of_metrics_that_exist() {
    let known: BTreeSet<&str> = TABLE.iter().map(|metric| metric.name).collect();
    let mut named = BTreeSet::new();
    for text in alerts().iter().map(|alert| scalar(alert, &["expr"])) {
        let words = text.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_');
        let metrics = words.filter(|word| word.starts_with("refguard_")).map(str::to_owned);
        named.extend(metrics);
    }
    assert!(named.len() >= 7, "{named:?}");
    assert!(named.iter().all(|name| known.contains(name.as_str())), "{named:?}");
    let tests = text(TESTS);
    assert!(named.iter().all(|name| tests.contains(name.as_str())), "a metric that no test of the alerts gives");
}
