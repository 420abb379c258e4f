//! Managed lists: what people put in counts from the next event on, and outlives the process.

use std::fs;

use serde_json::{Value, json};

use crate::support::http::{Answer, Served, configured, event};

const LISTS: &str = r#"
version: 1
pack: lists
lists:
  agents: {kind: string, managed: true}
  offices: {kind: cidr, managed: true}
  fixed: {kind: string, values: [f]}
rules:
  - {id: agent, on: [login.succeeded], when: event.account_id in lists.agents, score: 1}
  - {id: office, on: [login.succeeded], when: ip.address in lists.offices || event.account_id in lists.fixed, score: 1}
"#;

fn served() -> Served {
    let folder = tempfile::tempdir().expect("there is room");
    let config = configured(folder.path(), "{inbox: {http: {}}}", "{verdicts: {file: VERDICTS}}", "");
    fs::write(folder.path().join("rules/lists.yaml"), LISTS).expect("there is room");
    Served::of(folder, config)
}

/// The rules that match a login of this id.
fn login(served: &Served, id: &str) -> Vec<String> {
    let mut login = event(id, "/shop", json!({"account_id": "agent-7", "ip": "192.0.2.7"}));
    login["type"] = json!("login.succeeded");
    let judged = served.ask("POST", "/v1/evaluate", &login.to_string());
    assert_eq!(judged.status, 200, "{judged:?}");
    let judged = judged.json();
    let rules = judged["rules"].as_array().expect("they are a list").iter();
    rules.filter_map(|rule| Some(rule["id"].as_str()?.to_owned())).collect()
}

fn put(served: &Served, list: &str, entry: &Value) -> Answer {
    served.ask("PUT", &format!("/v1/lists/{list}/entries"), &entry.to_string())
}

fn entry(value: &str) -> Value {
    json!({"value": value, "owner": "operations", "reason": "they book for others"})
}

#[test]
fn an_entry_counts_from_the_next_event_on_and_after_a_kill() {
    let mut served = served();
    assert_eq!(login(&served, "l1"), [""; 0]);
    let put_in = put(&served, "agents", &entry(" agent-7 "));
    assert_eq!(put_in.status, 200, "{put_in:?}");
    let put_in = put_in.json();
    assert_eq!(
        (&put_in["value"], &put_in["owner"], &put_in["expires"]),
        (&json!("agent-7"), &json!("operations"), &Value::Null)
    );
    assert!(
        put_in["by"].as_str().is_some_and(|by| by.starts_with("token:")) && put_in["created"].is_string(),
        "{put_in}"
    );
    assert_eq!(put(&served, "offices", &entry("::ffff:192.0.2.0/120")).json()["value"], "192.0.2.0/24");
    assert_eq!(login(&served, "l2"), ["agent", "office"]);
    served.kill();
    served.restart();
    assert_eq!(login(&served, "l3"), ["agent", "office"], "the journal has it");
    let gone = served.ask("DELETE", "/v1/lists/offices/entries?value=192.0.2.0%2F24", "");
    assert_eq!(gone.status, 204, "{gone:?}");
    assert_eq!(login(&served, "l4"), ["agent"]);
    served.stop();
    served.restart();
    assert_eq!(login(&served, "l5"), ["agent"], "the checkpoint has it");
    let lists = served.ask("GET", "/v1/lists", "").json();
    assert_eq!(
        lists,
        json!([{"name": "agents", "kind": "string", "entries": 1}, {"name": "offices", "kind": "cidr", "entries": 0}])
    );
    // Every change has a record.
    let trail = served.ask("GET", "/v1/audit", "").json();
    let acts = trail
        .as_array()
        .expect("it is a list")
        .iter()
        .filter(|record| record["action"].as_str().is_some_and(|of| of.starts_with("list.")));
    let acts: Vec<(&str, &str)> =
        acts.filter_map(|record| Some((record["action"].as_str()?, record["subject"].as_str()?))).collect();
    assert_eq!(acts, [("list.put", "agents"), ("list.put", "offices"), ("list.delete", "offices")]);
}

#[test]
fn entries_are_listed_page_by_page_and_end() {
    let served = served();
    for number in 0..25 {
        assert_eq!(put(&served, "agents", &entry(&format!("agent-{number:02}"))).status, 200);
    }
    let mut expiring = entry("agent-03");
    expiring["expires"] = json!("2999-01-01T00:00:00Z");
    assert_eq!(
        put(&served, "agents", &expiring).json()["expires"],
        "2999-01-01T00:00:00.000Z",
        "it is changed, and not another"
    );
    let (mut values, mut next) = (Vec::new(), String::new());
    loop {
        let page = served.ask("GET", &format!("/v1/lists/agents/entries?limit=10{next}"), "").json();
        values.extend(page["entries"].as_array().expect("they are a list").iter().map(|entry| entry["value"].clone()));
        match page["next"].as_str() {
            Some(cursor) => next = format!("&after={cursor}"),
            None => break,
        }
    }
    let expected: Vec<Value> = (0..25).map(|number| json!(format!("agent-{number:02}"))).collect();
    assert_eq!(values, expected);
}

#[test]
fn what_is_no_entry_or_not_the_callers_is_refused() {
    let served = served();
    let with = |member: &str, value: Value| {
        let mut entry = entry("192.0.2.0/24");
        entry[member] = value;
        entry
    };
    for (list, body, status, code) in [
        ("offices", entry("not a network"), 422, "bad_entry"),
        ("offices", entry("192.0.2.7/24"), 422, "bad_entry"),
        ("offices", with("owner", json!(" ")), 422, "bad_entry"),
        ("offices", with("reason", json!("")), 422, "bad_entry"),
        ("offices", with("reason", json!("x".repeat(4097))), 422, "bad_entry"),
        ("offices", with("expires", json!("2020-01-01T00:00:00Z")), 422, "bad_entry"),
        ("offices", with("expires", json!("tomorrow")), 422, "bad_entry"),
        ("offices", with("more", json!(1)), 422, "wrong_type"),
        ("fixed", entry("x"), 404, "not_found"),
        ("nothing", entry("x"), 404, "not_found"),
        ("%FF", entry("x"), 400, "bad_path"),
    ] {
        let answer = put(&served, list, &body);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{list}: {body}");
    }
    let delete = |path: &str| served.ask("DELETE", path, "");
    assert_eq!(delete("/v1/lists/offices/entries?value=192.0.2.0%2F24").code(), "not_found");
    assert_eq!(delete("/v1/lists/offices/entries?value=x").code(), "bad_entry");
    assert_eq!(delete("/v1/lists/offices/entries").code(), "bad_query");
    // Lists hold for all programs: whoever speaks for one changes none.
    let one = served.token(&json!({"name": "one", "scopes": ["lists:write"], "programs": ["default"]}));
    let none = served.token(&json!({"name": "none", "scopes": ["rules:read"], "programs": ["*"]}));
    for (token, code) in [(&one, "program"), (&none, "scope")] {
        let body = entry("192.0.2.0/24").to_string();
        for (method, path, body) in [
            ("GET", "/v1/lists", ""),
            ("GET", "/v1/lists/offices/entries", ""),
            ("PUT", "/v1/lists/offices/entries", body.as_str()),
            ("DELETE", "/v1/lists/offices/entries?value=192.0.2.0%2F24", ""),
        ] {
            let answer = served.ask_with(method, path, token, "content-type: application/json\r\n", body);
            assert_eq!((answer.status, answer.code().as_str()), (403, code), "{method} {path}");
        }
    }
    let trail = served.ask("GET", "/v1/audit", "").json();
    let noted = trail
        .as_array()
        .expect("it is a list")
        .iter()
        .filter(|record| record["action"].as_str().is_some_and(|of| of.starts_with("list.")));
    assert_eq!(noted.count(), 0, "what was refused left no record");
}
