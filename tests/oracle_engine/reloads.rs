//! Rule sets that take each other's place in the middle of a history: what is kept, and what starts empty.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use refguard::ruleset::program::RuleSet;
use refguard::signals::SignalConfig;
use serde_json::Value;

use crate::compare::is_repeat;
use crate::random::Random;
use crate::{History, pack, replay, world};

const RULES: &str = include_str!("../data/oracle/oracle.yaml");

/// The rules with another window of `count_device`, another condition over it, without one rule and with a new one.
pub(crate) fn changed() -> Arc<RuleSet> {
    let window = "    key: [device.id]\n    aggregate: count\n    window: 10s\n";
    let member = RULES.find("  - id: c-member\n").unwrap()..RULES.find("  - id: c-overlap\n").unwrap();
    let text = RULES.replace(&RULES[member], "").replace(window, &window.replace("10s", "15s"));
    let text = text.replace("when: count_device > 3", "when: count_device > 2");
    let new = "  - {id: d-new, on: [login.succeeded, custom.kind], when: fresh > 2, score: 4}\n";
    let feature = "  fresh: {on: [login.succeeded], key: [ip.site], aggregate: count, window: 10s}\n";
    let text = text.replace("features:\n", &format!("features:\n{feature}"));
    pack::rules(&format!("{text}{new}"))
}

/// Verdict lines of a history in batches of this size, with these rule sets from these places on; and what was counted of
/// rules at the end.
fn told(history: &History, size: usize, reloads: &[(usize, Arc<RuleSet>)]) -> (Vec<String>, String) {
    let mut replay = replay(&pack::rules(RULES));
    let mut out = Vec::new();
    let mut from = 0;
    for (to, rules) in reloads.iter().map(|(at, rules)| (*at, Some(rules))).chain([(history.len(), None)]) {
        for batch in history[from..to].chunks(size) {
            replay.judge(&batch.iter().map(|(line, _)| line.as_str()).collect::<String>());
            replay.write(&mut out);
        }
        from = to;
        if let Some(rules) = rules {
            replay.reload(Arc::clone(rules), &SignalConfig::default()).unwrap();
        }
    }
    let tally = format!("{:?}", replay.engine().tally());
    (String::from_utf8(out).unwrap().lines().map(str::to_owned).collect(), tally)
}

#[test]
fn the_same_rules_again_change_no_byte_and_no_tally() {
    for seed in 200..203 {
        let history = world::history(&mut Random(seed), 3000);
        let plain = told(&history, 32, &[]);
        let again: Vec<_> = [0, 1, 700, 1024, 1025, 2222].map(|at| (at, pack::rules(RULES))).into();
        assert!(told(&history, 32, &again) == plain, "seed {seed}");
    }
}

#[test]
fn a_reload_is_an_input_whatever_the_batch_size() {
    let history = world::history(&mut Random(300), 4000);
    let reloads = [(777, changed()), (1500, pack::rules(RULES)), (2601, changed())];
    let one = told(&history, 1, &reloads);
    for size in [7, 32, 1000] {
        assert!(told(&history, size, &reloads) == one, "batches of {size}");
    }
    assert!(told(&history, 1, &reloads[..2]) != one, "the reloads are felt");
}

/// What a line says of rules and features, by name, but for those that are not the same in both sets.
fn of_others(line: &str) -> BTreeMap<String, Value> {
    let verdict: Value = serde_json::from_str(line).unwrap();
    let part = |list: &str, name: &str| -> Vec<(String, Value)> {
        let elements = verdict[list].as_array().unwrap().iter();
        elements.map(|one| (one[name].as_str().unwrap().to_owned(), one.clone())).collect()
    };
    let apart = ["c-count-device", "c-member", "d-new", "count_device", "fresh"];
    let told = part("rules", "id").into_iter().chain(part("evidence", "feature"));
    told.filter(|(name, _)| !apart.contains(&name.as_str())).collect()
}

#[test]
fn no_reload_changes_what_is_said_of_other_rules_and_features() {
    for seed in 400..403 {
        let history = world::history(&mut Random(seed), 3000);
        let plain = told(&history, 100, &[]).0;
        let reloads = [(500, changed()), (1400, pack::rules(RULES)), (1401, changed()), (2500, pack::rules(RULES))];
        let reloaded = told(&history, 100, &reloads).0;
        assert_eq!(reloaded.len(), plain.len(), "no event is dropped");
        // What made a hold under one rule set is answered by it when its name is forgotten, and judged as late under the other.
        let mut held = BTreeSet::new();
        for (one, other) in reloaded.iter().zip(&plain) {
            let id = serde_json::from_str::<Value>(one).unwrap()["event_id"].to_string();
            if is_repeat(one) != is_repeat(other) {
                held.insert(id.clone());
            }
            if held.contains(&id) {
                continue;
            }
            assert_eq!(of_others(one), of_others(other), "seed {seed}: {one}");
        }
        let new = reloaded.iter().filter(|line| line.contains("\"d-new\"")).count();
        assert!(new > 20 && reloaded != plain, "{new} matches of the new rule");
    }
}

#[test]
fn every_verdict_names_the_rules_that_were_in_force() {
    let history = world::history(&mut Random(500), 300);
    let lines_before: usize = told(&history[..100].to_vec(), 7, &[]).0.len();
    let (lines, _) = told(&history, 7, &[(100, changed())]);
    for (at, line) in lines.iter().enumerate() {
        let hash = if at < lines_before { pack::rules(RULES).hash.clone() } else { changed().hash.clone() };
        assert!(line.contains(&format!("\"ruleset\":\"{hash}\"")), "line {at}: {line}");
    }
}
