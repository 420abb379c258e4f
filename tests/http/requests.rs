//! What takes a second person: one asks, another agrees, and only then is it done.

use std::fs;

use serde_json::{Value, json};

use crate::support::http::{Answer, Served, configured, event};

const LISTS: &str = "
version: 1
pack: lists
lists: {agents: {kind: string, managed: true}}
rules: [{id: agent, on: [login.succeeded], when: event.account_id in lists.agents, score: 1}]
";

fn served() -> Served {
    let folder = tempfile::tempdir().expect("there is room");
    let more = "policy: {four_eyes: [override, list]}\n";
    let config = configured(folder.path(), "{inbox: {http: {}}}", "{verdicts: {file: VERDICTS}}", more);
    fs::write(folder.path().join("rules/lists.yaml"), LISTS).expect("there is room");
    Served::of(folder, config)
}

fn desk(served: &Served, name: &str, program: &str) -> String {
    served.token(&json!({"name": name, "scopes": ["decisions:write", "lists:write"], "programs": [program]}))
}

fn ask(served: &Served, token: &str, method: &str, path: &str, body: &str) -> Answer {
    served.ask_with(method, path, token, "content-type: application/json\r\n", body)
}

fn verdict(served: &Served, id: &str) -> String {
    let mut asks = event(id, "/shop", json!({"account_id": "sara", "reward_id": id, "reward_kind": "points"}));
    asks["type"] = json!("reward.requested");
    served.ask("POST", "/v1/evaluate", &asks.to_string()).json()["verdict"].as_str().unwrap_or_default().to_owned()
}

const BLOCK: &str = r#"{"kind": "account", "id": "sara", "verdict": "block", "reason": "ticket 7"}"#;

#[test]
fn an_override_waits_for_a_second_person() {
    let mut served = served();
    let (one, other) = (desk(&served, "one", "*"), desk(&served, "other", "default"));
    let asked = ask(&served, &one, "PUT", "/v1/overrides", BLOCK);
    assert_eq!((asked.status, asked.header("content-type")), (202, Some("application/json")), "{asked:?}");
    let id = asked.json()["request"].as_str().expect("it has an id").to_owned();
    assert_eq!(verdict(&served, "r1"), "allow", "nothing is done yet");
    served.kill();
    served.restart();
    let waiting = ask(&served, &other, "GET", "/v1/requests", "").json();
    let request = &waiting[0];
    assert_eq!(
        (&request["id"], &request["action"], &request["state"]),
        (&json!(id), &json!("override.put"), &json!("waiting"))
    );
    assert_eq!(
        (&request["detail"]["reason"], &request["subject"]),
        (&json!("ticket 7"), &json!("default/account/sara"))
    );

    let decide = |token: &str, what: &str| ask(&served, token, "POST", &format!("/v1/requests/{id}/{what}"), "");
    for what in ["approve", "reject"] {
        let own = decide(&one, what);
        assert_eq!((own.status, own.code().as_str()), (403, "second_person"), "nobody is two people");
    }
    let done = decide(&other, "approve");
    assert_eq!((done.status, &done.json()["state"]), (200, &json!("done")), "{done:?}");
    assert_eq!(verdict(&served, "r2"), "block");
    for what in ["approve", "reject"] {
        assert_eq!(decide(&other, what).code(), "decided", "it is done once");
    }
    let standing = ask(&served, &other, "GET", "/v1/overrides", "").json();
    let by = standing["overrides"][0]["by"].as_str().expect("somebody said so").to_owned();
    assert_eq!(by.matches("token:").count(), 2, "both answer for it: {by}");
    let trail = served.ask("GET", "/v1/audit", "").json();
    let actions: Vec<&str> =
        trail.as_array().expect("it is a list").iter().filter_map(|of| of["action"].as_str()).collect();
    assert_eq!(
        actions.iter().filter(|of| !of.starts_with("token.")).copied().collect::<Vec<_>>(),
        ["request.override.put", "request.approve", "override.put"]
    );
}

#[test]
fn what_is_refused_or_not_theirs_is_never_done() {
    let served = served();
    let (one, gold) = (desk(&served, "one", "*"), desk(&served, "gold", "gold"));
    let other = desk(&served, "other", "*");
    let id =
        ask(&served, &one, "PUT", "/v1/overrides", BLOCK).json()["request"].as_str().unwrap_or_default().to_owned();
    let entry = r#"{"value": "sara", "owner": "o", "reason": "r"}"#;
    let entry = ask(&served, &one, "PUT", "/v1/lists/agents/entries", entry).json()["request"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    // Another program's desk neither sees nor decides.
    assert_eq!(ask(&served, &gold, "GET", "/v1/requests", "").json(), json!([]));
    for request in [&id, &entry] {
        let answer = ask(&served, &gold, "POST", &format!("/v1/requests/{request}/approve"), "");
        assert_eq!(answer.code(), "program", "{answer:?}");
    }
    let refused = ask(&served, &other, "POST", &format!("/v1/requests/{id}/reject"), "");
    assert_eq!(refused.json()["state"], "rejected", "{refused:?}");
    assert_eq!(ask(&served, &other, "POST", &format!("/v1/requests/{id}/approve"), "").code(), "decided");
    assert_eq!(verdict(&served, "r1"), "allow");
    assert_eq!(ask(&served, &other, "POST", "/v1/requests/req-0/approve", "").code(), "not_found");
    assert_eq!(ask(&served, &other, "GET", "/v1/requests?state=open", "").code(), "bad_query");
    // The entry is let in.
    let done = ask(&served, &other, "POST", &format!("/v1/requests/{entry}/approve"), "");
    assert_eq!(done.status, 200, "{done:?}");
    let entries = ask(&served, &other, "GET", "/v1/lists/agents/entries", "").json();
    assert_eq!(entries["entries"][0]["value"], "sara");
    let listed: Vec<Value> = ["waiting", "done", "rejected"]
        .map(|state| {
            json!(
                ask(&served, &other, "GET", &format!("/v1/requests?state={state}"), "").json().as_array().map(Vec::len)
            )
        })
        .to_vec();
    assert_eq!(listed, [json!(0), json!(1), json!(1)]);
}
