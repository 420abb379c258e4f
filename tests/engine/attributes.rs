//! Declared attributes: what rules read of them, what an absent one is, and what does not fit.

use std::sync::Arc;

use refguard::event::{AttributeType, Attributes, EventBatch, Field, ParseOptions, Parser, Place};
use refguard::lab::Replay;
use refguard::ruleset::diagnostic;
use refguard::ruleset::load::{Files, Premises, load_under};
use refguard::signals::{Deriver, SignalConfig, Wanted};
use serde_json::{Value, json};

use super::{EngineOptions, HOUR_MS, Story, matched};

struct One(&'static str);

impl Files for One {
    fn packs(&self) -> Result<Vec<String>, String> {
        Ok(vec!["p.yaml".to_owned()])
    }

    fn read(&self, _path: &str, _max_bytes: u64) -> Result<Vec<u8>, String> {
        Ok(self.0.as_bytes().to_vec())
    }
}

fn declared() -> Attributes {
    use AttributeType::{Bool, Double, Int, Text, Timestamp};
    let declared = [("tier", Text), ("visits", Int), ("weight", Double), ("vip", Bool), ("since", Timestamp)];
    declared.into_iter().map(|(name, of)| (name.to_owned(), of)).collect()
}

fn premises() -> Premises {
    Premises { attributes: declared(), ..Premises::default() }
}

const PACK: &str = "\
version: 1
pack: p
features:
  tiers: {on: [order.placed], key: [event.account_id], aggregate: set, value: event.attributes.tier, window: 1h}
  visits: {on: [order.placed], key: [event.attributes.tier], aggregate: sum, value: event.attributes.visits, window: 1h}
  weight: {on: [order.placed], key: [event.account_id], aggregate: max, value: event.attributes.weight, window: 1h}
  first: {on: [order.placed], where: event.attributes.vip, key: [event.account_id], aggregate: count, window: 1h}
rules:
  - id: all
    on: [order.placed]
    when: 'true'
    score: 1
    message: '{event.attributes.tier}|{event.attributes.visits}|{event.attributes.weight}|{event.attributes.vip}|{event.attributes.since}|{has(event.attributes.tier)}{has(event.attributes.visits)}{known(event.attributes.weight)}{has(event.attributes.vip)}{has(event.attributes.since)}|{size(tiers)}|{visits}|{weight}|{first}'
  - {id: gold, on: [order.placed], when: 'event.attributes.tier == \"gold\" && event.attributes[\"visits\"] >= 3', score: 1}
  - {id: young, on: [order.placed], when: 'event.time - event.attributes.since < days(1)', score: 1}
  - {id: heavy, on: [order.placed], when: 'event.attributes.weight * 2.0 > 3.0 && event.attributes.tier in [\"gold\", \"silver\"]', score: 1}
";

fn story() -> Story {
    let loaded = load_under(&One(PACK), &premises());
    let set = loaded.unwrap_or_else(|found| panic!("{}", diagnostic::render(&found, false))).set;
    let signals = SignalConfig { attributes: Arc::new(declared()), ..SignalConfig::default() };
    Story { replay: Replay::new(Arc::new(set), &signals, EngineOptions::default()).unwrap(), events: 0 }
}

fn message(verdict: &Value) -> &str {
    let all = verdict["rules"].as_array().unwrap().iter().find(|rule| rule["id"] == "all");
    all.unwrap()["message"].as_str().unwrap()
}

#[test]
fn a_declared_attribute_reads_as_its_type_and_an_absent_one_as_absent() {
    let mut story = story();
    let whole = json!({"tier": "gold", "visits": 3, "weight": 1.75, "vip": true, "since": "2026-04-30T12:00:00Z"});
    let verdict = story.tell("order.placed", 0, json!({"account_id": "a", "attributes": whole}));
    assert_eq!(message(&verdict), "gold|3|1.75|true|2026-04-30T12:00:00.000Z|truetruetruetruetrue|1|3|1.75|1");
    assert_eq!(matched(&verdict).iter().map(|(id, _)| *id).collect::<Vec<_>>(), ["all", "gold", "heavy", "young"]);
    let verdict = story.tell("order.placed", 1, json!({"account_id": "b"}));
    assert_eq!(message(&verdict), "|0|0|false|?|falsefalsefalsefalsefalse|0|0|?|0");
    assert_eq!(matched(&verdict).len(), 1, "an instant that is absent is no instant");
    // Of another type, and beside what is not declared.
    let odd = json!({"tier": 5, "visits": "3", "weight": null, "vip": "yes", "since": "yesterday", "other": [1]});
    let verdict = story.tell("order.placed", 2, json!({"account_id": "c", "attributes": odd}));
    assert_eq!(message(&verdict), "|0|0|false|?|falsefalsefalsefalsefalse|0|0|?|0");
    // A whole number in another notation, and an int where a double is declared.
    let same = json!({"tier": "gold", "visits": 4.0, "weight": 2});
    let verdict = story.tell("order.placed", HOUR_MS / 2, json!({"account_id": "d", "attributes": same}));
    assert_eq!(message(&verdict), "gold|4|2|false|?|truetruetruefalsefalse|1|7|2|0");
}

#[test]
fn what_does_not_fit_is_noted_where_some_rule_reads_attributes() {
    let noted = |attributes: &str, read: bool| {
        let line = format!(
            "{{\"specversion\":\"1.0\",\"id\":\"e\",\"source\":\"/s\",\"type\":\"order.placed\",\"time\":\"2026-05-01T00:00:00Z\",\
             \"data\":{{\"account_id\":\"a\",\"attributes\":{attributes}}}}}"
        );
        let mut wanted = Wanted::default();
        if read {
            wanted.fields.insert(Field::Attributes);
        }
        let signals = SignalConfig { attributes: Arc::new(declared()), ..SignalConfig::default() };
        let mut deriver = Deriver::new(wanted, &signals).unwrap();
        let mut batch = EventBatch::default();
        let range = batch.push_input(line.as_bytes()).unwrap();
        Parser::new(ParseOptions { allow_future: true }).parse_structured(&mut batch, range, Place::default()).unwrap();
        deriver.derive(&mut batch, &mut Vec::new());
        let event = &batch.events[0];
        assert!(event.presence.has(Field::Attributes), "the others stand");
        event.unreadable.has(Field::Attributes)
    };
    for (attributes, misfit) in [
        ("{\"tier\":\"gold\",\"visits\":3}", false),
        ("{\"tier\":5}", true),
        ("{\"x\":1,\"vip\":1}", true),
        ("{\"since\":\"2026-13-01T00:00:00Z\"}", true),
        ("{\"tier\":null}", false),
        ("{\"undeclared\":{\"tier\":5}}", false),
    ] {
        assert_eq!(noted(attributes, true), misfit, "{attributes}");
        assert!(!noted(attributes, false), "{attributes}: no rule reads it");
    }
}
