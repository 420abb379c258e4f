//! The conformance cases of the CEL specification: those without variables, messages and extensions.

use refguard::ruleset::cel::fuzz::{DemoFacts, demo_scope, source};
use refguard::ruleset::cel::{Position, ReadTable, Wanted, compile};
use serde_json::Value;

/// What a text evaluates to as a condition: its value, `fault CODE`, or `refused CODE`.
fn outcome(text: &str) -> String {
    let mut reads = ReadTable::default();
    match compile(&source(text), &demo_scope(), &mut reads, Position::Condition, Wanted::Bool) {
        Ok(compiled) => match compiled.test(&DemoFacts { reads: &reads }) {
            Ok(value) => value.to_string(),
            Err(fault) => format!("fault {}", fault.code()),
        },
        Err(diagnostics) => format!("refused {}: {}", diagnostics[0].code, diagnostics[0].message),
    }
}

/// What is wrong with one case; `None` when it conforms.
fn fault(case: &Value) -> Option<String> {
    let expr = case["expr"].as_str().expect("a case has an expression");
    let unchecked = case["unchecked"] == true;
    let (text, wanted) = match case["value"].as_str() {
        Some(value) => (format!("({expr}\n) == ({value})"), "true"),
        None => (format!("dyn({expr}\n) == 0"), "fault or refused"),
    };
    let got = outcome(&text);
    let refused = got.starts_with("refused");
    let conforms = match case["error"] == true {
        true => refused || got.starts_with("fault"),
        // Cases for evaluators that skip the type check may be refused: we never skip it.
        false => got == "true" || unchecked && refused,
    };
    (!conforms).then(|| format!("{}: {text}: wanted {wanted}, got {got}", case["name"]))
}

#[test]
fn the_specifications_cases_pass() {
    let cases = include_str!("conformance.jsonl").lines().skip(1);
    let cases: Vec<Value> = cases.map(|line| serde_json::from_str(line).expect("a case is JSON")).collect();
    assert!(cases.len() > 600, "the table is whole");
    let faults: Vec<String> = cases.iter().filter_map(fault).collect();
    assert!(faults.is_empty(), "{} of {} cases differ:\n{}", faults.len(), cases.len(), faults.join("\n"));
}
