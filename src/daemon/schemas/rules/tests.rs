//! The schema against the loader: every key that one knows, the other does.

use super::*;
use crate::ruleset::load::{Files, load_from};
use std::collections::BTreeSet;

struct OnePack(String);

impl Files for OnePack {
    fn packs(&self) -> Result<Vec<String>, String> {
        Ok(vec!["pack.yaml".to_owned()])
    }
    fn read(&self, _path: &str, _max_bytes: u64) -> Result<Vec<u8>, String> {
        Ok(self.0.clone().into_bytes())
    }
}

/// How many of the loader's findings say of this map that it has no such key.
fn unknown_keys(below: &str, keys: &[&str]) -> BTreeSet<String> {
    let map: Vec<String> = keys.iter().map(|key| format!("{key}: 1")).collect();
    let map = format!("{{{}}}", map.join(", "));
    let text = match below {
        "" => map,
        below => format!("version: 1\npack: p\n{}\n", below.replace("MAP", &map)),
    };
    let found = load_from(&OnePack(text)).err().unwrap_or_default();
    let unknown = found.iter().filter(|one| one.code == "unknown-key");
    unknown.map(|one| one.message.rsplit('`').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn the_schema_knows_the_keys_that_the_loader_knows() {
    let pack = pack();
    let rule = &pack["properties"]["rules"]["items"]["properties"];
    let test = &pack["properties"]["tests"]["items"]["properties"];
    let sections = [
        ("", &pack["properties"]),
        ("lists: {l: MAP}", &pack["properties"]["lists"]["additionalProperties"]["properties"]),
        ("features: {f: MAP}", &pack["properties"]["features"]["additionalProperties"]["properties"]),
        ("rules: [MAP]", rule),
        ("rules: [{breaker: MAP}]", &rule["breaker"]["properties"]),
        ("rules: [{decide: [MAP]}]", &rule["decide"]["items"]["properties"]),
        ("tests: [MAP]", test),
        ("tests: [{name: t, events: [MAP]}]", &test["events"]["items"]["properties"]),
        ("tests: [{name: t, expect: MAP}]", &test["expect"]["properties"]),
    ];
    // Keys of any section: each is known to the schema of a section if it is known to the loader there.
    let every: BTreeSet<&str> =
        sections.iter().flat_map(|(_, keys)| keys.as_object().unwrap().keys().map(String::as_str)).collect();
    for (below, keys) in sections {
        let keys = keys.as_object().unwrap();
        let foreign: Vec<&str> = every.iter().copied().filter(|key| !keys.contains_key(*key)).collect();
        let own: Vec<&str> = keys.keys().map(String::as_str).collect();
        assert_eq!(unknown_keys(below, &own), BTreeSet::new(), "{below}: the loader does not know these");
        let expected: BTreeSet<String> = foreign.iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(unknown_keys(below, &foreign), expected, "{below}: the schema does not know the others");
    }
}

/// The keys that the loader suggests where it knows none that is near.
fn suggested(below: &str) -> Option<BTreeSet<String>> {
    let text = format!("version: 1\npack: p\n{}\n", below.replace("MAP", "{zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz: 1}"));
    let found = load_from(&OnePack(text)).err().unwrap_or_default();
    let hint = found.iter().find(|one| one.code == "unknown-key")?.hint.clone()?;
    let keys = hint.strip_prefix("known are: ")?.split(", ").map(str::to_owned);
    Some(keys.collect())
}

#[test]
fn what_is_left_out_is_what_this_version_refuses() {
    let pack = pack();
    let rule = &pack["properties"]["rules"]["items"]["properties"];
    let feature = &pack["properties"]["features"]["additionalProperties"]["properties"];
    let left_out = |below: &str, keys: &Value| -> Vec<String> {
        let known: BTreeSet<String> = keys.as_object().unwrap().keys().cloned().collect();
        suggested(below).expect("the loader names its keys").difference(&known).cloned().collect()
    };
    assert_eq!(left_out("features: {f: MAP}", feature), [""; 0]);
    assert_eq!(left_out("rules: [MAP]", rule), [""; 0]);
    assert_eq!(left_out("rules: [{breaker: MAP}]", &rule["breaker"]["properties"]), [""; 0]);
    assert_eq!(left_out("rules: [{decide: [MAP]}]", &rule["decide"]["items"]["properties"]), [""; 0]);
}
