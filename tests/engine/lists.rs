//! Managed lists: entries count for the events after them, until they end, whatever the rule set is meanwhile.

use std::sync::Arc;

use refguard::engine::{Engine, EntryRefused, Restoring};
use refguard::lists::{ManagedEntry, canonical};
use refguard::ruleset::program::RuleSet;
use serde_json::{Value, json};

use super::{EngineOptions, HOUR_MS, START_MS, Story, matched, pack};

const PACK: &str = "\
version: 1
pack: p
lists:
  agents: {kind: string, managed: true}
  offices: {kind: cidr, managed: true}
  mail: {kind: domain, managed: true}
  holidays: {kind: date, managed: true}
  fixed: {kind: string, values: [f]}
features:
  outside: {on: [login.succeeded], where: '!(event.account_id in lists.agents)', key: [event.device_id], aggregate: count, window: 1d}
rules:
  - {id: agent, on: [login.succeeded], when: event.account_id in lists.agents, score: 1}
  - {id: office, on: [login.succeeded], when: 'in_network(ip.address, lists.offices)', score: 1}
  - {id: mail, on: [login.succeeded], when: email.domain in lists.mail, score: 1}
  - {id: holiday, on: [login.succeeded], when: event.time in lists.holidays, score: 1}
  - {id: many, on: [login.succeeded], when: outside > 1, score: 1}
  - {id: fixed, on: [login.succeeded], when: event.account_id in lists.fixed, score: 1}
";

fn entry(expires_ms: Option<i64>) -> ManagedEntry {
    ManagedEntry { owner: "ops".into(), reason: "asked for".into(), by: "token:t".into(), created_ms: 0, expires_ms }
}

fn put(engine: &mut Engine, list: &str, value: &str, expires_ms: Option<i64>) {
    let kind = engine.managed_kind(list).expect("the rules name it");
    let value = canonical(kind, value).expect("it is of the kind");
    assert_eq!(engine.put_entry(list, &value, entry(expires_ms)), Ok(()));
}

fn login(story: &mut Story, at_ms: i64) -> Vec<String> {
    let data = json!({"account_id": "a", "device_id": "d", "ip": "192.0.2.7", "email": "a@mail.example.org"});
    let verdict = story.tell("login.succeeded", at_ms, data);
    matched(&verdict).into_iter().map(|(id, _)| id.to_owned()).collect()
}

#[test]
fn entries_of_every_kind_count_from_the_next_event_until_they_end() {
    let mut story = Story::with_pack(PACK, EngineOptions::default());
    assert_eq!(login(&mut story, 0), [""; 0]);
    let engine = story.replay.engine();
    put(engine, "agents", "a", Some(START_MS + HOUR_MS));
    put(engine, "offices", "192.0.2.0/24", None);
    put(engine, "mail", "Example.org", None);
    put(engine, "holidays", "2026-05-01", None);
    assert_eq!(login(&mut story, 1), ["agent", "holiday", "mail", "office"], "nor is the agent's login counted");
    assert_eq!(login(&mut story, HOUR_MS - 1), ["agent", "holiday", "mail", "office"]);
    assert_eq!(
        login(&mut story, HOUR_MS),
        ["holiday", "mail", "many", "office"],
        "it ends at an instant of event time"
    );
    // An earlier event that is not late is judged as of its own time.
    assert_eq!(login(&mut story, HOUR_MS - 2), ["agent", "holiday", "mail", "office"]);
    let engine = story.replay.engine();
    assert!(engine.delete_entry("offices", "192.0.2.0/24") && !engine.delete_entry("offices", "192.0.2.0/24"));
    assert_eq!(login(&mut story, HOUR_MS + 1), ["holiday", "mail", "many"]);
    let engine = story.replay.engine();
    assert_eq!(engine.put_entry("fixed", "x", entry(None)), Err(EntryRefused::NoSuchList), "it is the file's");
    assert_eq!(engine.put_entry("nothing", "x", entry(None)), Err(EntryRefused::NoSuchList));
    let told: Vec<_> = engine.managed_lists().into_iter().map(|list| (list.name, list.entries)).collect();
    let told: Vec<_> = told.iter().map(|(name, entries)| (name.as_str(), *entries)).collect();
    assert_eq!(told, [("agents", 1), ("holidays", 1), ("mail", 1), ("offices", 0)]);
    let (living, more) = engine.managed_entries("agents", None, 10, START_MS).expect("the rules name it");
    assert_eq!((living.len(), more), (1, false));
    assert_eq!(engine.managed_entries("agents", None, 10, START_MS + HOUR_MS).map(|(living, _)| living.len()), Some(0));
}

fn restored(engine: &Engine, rules: &Arc<RuleSet>) -> Engine {
    let mut restoring = Restoring::new(Arc::clone(rules), EngineOptions::default());
    engine.checkpoint(&mut |segment| restoring.take(segment).expect("it was written whole"));
    restoring.finish().expect("it was written whole").0
}

#[test]
fn entries_stay_over_a_checkpoint_and_over_rules_that_do_not_name_their_list() {
    let mut story = Story::with_pack(PACK, EngineOptions::default());
    login(&mut story, 0);
    put(story.replay.engine(), "agents", "a", Some(START_MS + HOUR_MS));
    put(story.replay.engine(), "offices", "192.0.2.7", None);
    let rules = pack::rules(PACK);
    let mut read = restored(story.replay.engine(), &rules);
    let listed = |engine: &mut Engine| -> Vec<(String, usize)> {
        engine.managed_lists().into_iter().map(|list| (list.name, list.entries)).collect()
    };
    assert_eq!(listed(&mut read), listed(story.replay.engine()));
    let without = PACK.replace("agents: {kind: string, managed: true}", "agents: {kind: string, values: [b]}");
    let without = pack::rules(&without);
    let mut other = restored(&read, &without);
    assert_eq!(other.managed_kind("agents"), None, "a list of the files has no entries of people");
    let (living, _) = {
        other.reload(Arc::clone(&rules));
        other.managed_entries("agents", None, 10, START_MS).expect("it is named again")
    };
    assert_eq!(living[0].0, "a");
    // In the running engine too.
    story.replay.engine().reload(without);
    assert_eq!(login_of(&mut story, 1), ["office"]);
    story.replay.engine().reload(rules);
    assert_eq!(login_of(&mut story, 2), ["agent", "office"]);
}

fn login_of(story: &mut Story, at_ms: i64) -> Vec<String> {
    let data: Value = json!({"account_id": "a", "ip": "192.0.2.7"});
    let verdict = story.tell("login.succeeded", at_ms, data);
    matched(&verdict).into_iter().map(|(id, _)| id.to_owned()).collect()
}
