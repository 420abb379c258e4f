//! Runs the tests inside rule files: each from empty state, judged by the verdict on its last event, with rollout at 100 %
//! and expiry ignored.
//!
//! A test says what its rules do, so it holds if it does once all of them are enforced: whoever switches a rule off in an
//! emergency need not touch its tests.

use std::sync::Arc;

use serde_json::Value;

use super::replay::Replay;
use crate::engine::EngineOptions;
use crate::ruleset::program::{RuleSet, TestCase};
use crate::signals::{SignalConfig, SignalError};

/// What became of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestOutcome {
    /// Place in the rule set's tests.
    pub test: usize,
    /// What was not as expected; empty: it passed.
    pub failures: Vec<String>,
    /// It passed with every rule enforced, and not as the rules' modes are.
    pub once_enforced: bool,
}

/// Runs every test of a rule set.
///
/// # Errors
///
/// If a database or list that signals need is broken.
pub fn run(
    rules: &Arc<RuleSet>,
    signals: &SignalConfig,
    options: &EngineOptions,
) -> Result<Vec<TestOutcome>, SignalError> {
    let mut enforced = None;
    let outcome = |(test, case)| {
        let failures = run_one(rules, signals, options, case)?;
        if failures.is_empty() {
            return Ok(TestOutcome { test, failures, once_enforced: false });
        }
        let enforced = enforced.get_or_insert_with(|| rules.as_enforced().map(Arc::new));
        let once_enforced = match enforced {
            Some(enforced) => run_one(enforced, signals, options, case)?.is_empty(),
            None => false,
        };
        let failures = if once_enforced { Vec::new() } else { failures };
        Ok(TestOutcome { test, failures, once_enforced })
    };
    rules.tests.iter().enumerate().map(outcome).collect()
}

fn run_one(
    rules: &Arc<RuleSet>,
    signals: &SignalConfig,
    options: &EngineOptions,
    case: &TestCase,
) -> Result<Vec<String>, SignalError> {
    let lateness_ms = options.allowed_lateness_ms;
    let options = EngineOptions { every_rule_in_force: true, ..options.clone() };
    let mut replay = Replay::new(Arc::clone(rules), signals, options)?;
    let mut failures = Vec::new();
    let mut last = Vec::new();
    for (number, event) in case.events.iter().enumerate() {
        for (_, reason) in replay.judge(event) {
            failures.push(format!("an event of the test is not valid: {reason}"));
        }
        last.clear();
        replay.write(&mut last);
        if serde_json::from_slice::<Value>(&last).is_ok_and(|verdict| verdict["late"] == true) {
            let number = number + 1;
            failures.push(format!(
                "event {number} is older than one before it by more than `state.allowed_lateness` ({} s), so it counts nothing: \
                 put it further up, or give it a later `at`",
                lateness_ms / 1000
            ));
        }
    }
    if !failures.is_empty() {
        return Ok(failures);
    }
    match serde_json::from_slice::<Value>(&last) {
        Ok(verdict) => compare(case, &verdict, &mut failures),
        Err(_) => failures.push("the last event was refused, because its id was used before".to_owned()),
    }
    Ok(failures)
}

fn compare(case: &TestCase, verdict: &Value, failures: &mut Vec<String>) {
    let matched: Vec<&str> =
        verdict["rules"].as_array().into_iter().flatten().filter_map(|rule| rule["id"].as_str()).collect();
    let found = || if matched.is_empty() { "no rule".to_owned() } else { matched.join(", ") };
    if let Some(expected) = case.expect.verdict
        && verdict["verdict"] != expected.name()
    {
        let actual = verdict["verdict"].as_str().unwrap_or_default();
        failures.push(format!("expected verdict {expected}, got {actual} ({} matched)", found()));
    }
    if let Some(expected) = case.expect.score
        && verdict["score"] != expected
    {
        failures.push(format!("expected score {expected}, got {} ({} matched)", verdict["score"], found()));
    }
    for rule in case.expect.rules.iter().filter(|rule| !matched.contains(&rule.as_str())) {
        failures.push(format!("expected rule {rule} to match; {} did", found()));
    }
    for rule in case.expect.not_rules.iter().filter(|rule| matched.contains(&rule.as_str())) {
        failures.push(format!("expected rule {rule} not to match"));
    }
}
