//! Holds by the API: reviewed once, durable when it is answered, and said to whoever reads what refguard says.

use serde_json::{Value, json};

use crate::support::http::{Served, event, referral};

/// One more rule: what somebody asks for by telephone is held.
pub(crate) const HELD: &str = r#"
version: 1
pack: telephone
rules:
  - id: by-telephone
    title: Somebody asks by telephone
    on: [reward.requested]
    when: event.channel == "call_centre"
    action: hold
    customer: under_review
"#;

/// A daemon whose rules hold, and whose own events are written.
fn served() -> Served {
    let mut served = Served::start_with("{verdicts: {file: VERDICTS}, events: {file: VERDICTS.events}}", "");
    std::fs::write(served.folder.path().join("rules/telephone.yaml"), HELD).expect("there is room");
    served.stop();
    served.restart();
    served
}

fn asked(served: &Served, id: &str, account: &str) -> (Value, Value) {
    let data = json!({"account_id": account, "channel": "call_centre", "reward_id": format!("r-{id}"),
        "reward_kind": "points", "amount_minor": 500, "currency": "PTS"});
    let mut event = event(id, "/shop", data);
    event["type"] = json!("reward.requested");
    let told = served.ask("POST", "/v1/evaluate", &event.to_string());
    assert_eq!(told.status, 200, "{told:?}");
    (event, told.json())
}

fn end(served: &Served, verdict: &Value, how: &str) -> crate::support::http::Answer {
    let id = verdict["hold_id"].as_str().expect("it is held");
    served.ask("POST", &format!("/v1/holds/{id}/{how}"), r#"{"reason": "she called back"}"#)
}

fn waiting(served: &Served, query: &str) -> Vec<String> {
    let page = served.ask("GET", &format!("/v1/holds{query}"), "");
    assert_eq!(page.status, 200, "{page:?}");
    let page = page.json();
    let holds = page["holds"].as_array().expect("they are a list").iter();
    holds.map(|hold| hold["event"]["id"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_review_holds_over_kills_and_is_said_once() {
    let mut served = served();
    let (event, verdict) = asked(&served, "e1", "a");
    assert_eq!((&verdict["verdict"], &verdict["rules"][0]["customer"]), (&json!("hold"), &json!("under_review")));
    let (_, upheld) = asked(&served, "e2", "b");
    asked(&served, "e3", "c");
    assert_eq!(waiting(&served, ""), ["e1", "e2", "e3"]);
    assert_eq!(waiting(&served, "?account_id=b"), ["e2"]);
    assert_eq!(served.metric("refguard_holds_open"), Some(3.0));
    served.kill();
    served.restart();
    assert_eq!(waiting(&served, "").len(), 3);
    let released = end(&served, &verdict, "release");
    assert_eq!(released.status, 200, "{released:?}");
    let released = released.json();
    assert_eq!((&released["state"], &released["verdict"]), (&json!("released"), &json!("allow")));
    assert_eq!(end(&served, &upheld, "uphold").status, 200);
    for round in 0..2 {
        let again = served.ask("POST", "/v1/evaluate", &event.to_string()).json();
        assert_eq!((&again["verdict"], &again["current"]), (&json!("hold"), &json!("allow")), "round {round}: {again}");
        for (id, now) in [("e1", "allow"), ("e2", "block"), ("e3", "hold")] {
            let found = served.ask("GET", &format!("/v1/verdicts/%2Fshop/{id}"), "").json();
            assert_eq!((&found["verdict"], &found["current"]), (&json!("hold"), &json!(now)), "round {round}: {found}");
        }
        assert_eq!(waiting(&served, ""), ["e3"], "round {round}");
        // Said again, it is as it was; otherwise it is too late.
        assert_eq!(end(&served, &verdict, "release").json(), released, "round {round}");
        let late = end(&served, &verdict, "uphold");
        assert_eq!((late.status, late.code().as_str()), (409, "ended"));
        served.kill();
        served.restart();
    }
    served.stop();
    let said = std::fs::read_to_string(served.folder.path().join("verdicts.jsonl.events")).expect("it is written");
    let mut said: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    // What was out when the process was killed may come again, and is the same.
    said.sort_by_key(|line| line["id"].to_string());
    said.dedup();
    let mut types: Vec<(&str, &str)> =
        said.iter().filter_map(|line| Some((line["data"]["event_id"].as_str()?, line["type"].as_str()?))).collect();
    types.sort_unstable();
    let expected = [
        ("e1", "hold.ended"),
        ("e1", "reward.released"),
        ("e1", "verdict.corrected"),
        ("e2", "hold.ended"),
        ("e2", "verdict.corrected"),
    ];
    assert_eq!(types, expected);
    let released = said.iter().find(|line| line["type"] == "reward.released").expect("it is there");
    assert_eq!((&released["data"]["reward_id"], &released["data"]["amount_minor"]), (&json!("r-e1"), &json!(500)));
}

#[test]
fn an_end_is_said_once_where_nobody_is_killed() {
    let mut served = served();
    let (_, released) = asked(&served, "e1", "a");
    let (_, upheld) = asked(&served, "e2", "b");
    asked(&served, "e3", "c");
    for _ in 0..3 {
        assert_eq!(end(&served, &released, "release").status, 200);
        assert_eq!(end(&served, &upheld, "uphold").status, 200);
    }
    // What an orderly end has written does not come again.
    served.stop();
    served.restart();
    assert_eq!(end(&served, &released, "release").status, 200);
    served.stop();
    let said = std::fs::read_to_string(served.folder.path().join("verdicts.jsonl.events")).expect("it is written");
    let said: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    let text = |line: &Value, name: &str| line["data"][name].as_str().unwrap_or("-").to_owned();
    let names = ["event_id", "account_id", "reward_id", "was", "verdict", "why", "state", "reason"];
    let told: Vec<String> = said
        .iter()
        .map(|line| {
            format!("{} {}", line["type"].as_str().unwrap_or("-"), names.map(|name| text(line, name)).join(" "))
        })
        .collect();
    let expected = [
        "hold.ended e1 a r-e1 - allow - released she called back",
        "verdict.corrected e1 a r-e1 hold allow hold.released - -",
        "reward.released e1 a r-e1 - - - - -",
        "hold.ended e2 b r-e2 - block - upheld she called back",
        "verdict.corrected e2 b r-e2 hold block hold.upheld - -",
    ];
    assert_eq!(told, expected);
}

#[test]
fn who_may_not_end_a_hold_learns_nothing_of_it() {
    let served = served();
    let (_, verdict) = asked(&served, "e1", "a");
    let id = verdict["hold_id"].as_str().expect("it is held").to_owned();
    let reader = served.token(&json!({"name": "r", "scopes": ["decisions:read"], "programs": ["*"]}));
    let other = served.token(&json!({"name": "o", "scopes": ["decisions:write"], "programs": ["gold"]}));
    let json = "content-type: application/json\r\n";
    let reason = r#"{"reason": "r"}"#;
    for (token, path, status, code) in [
        (&reader, format!("/v1/holds/{id}/release"), 403, "scope"),
        (&other, format!("/v1/holds/{id}/release"), 404, "not_found"),
        (&served.admin, "/v1/holds/hold-0123456789abcdef/release".to_owned(), 404, "not_found"),
        (&served.admin, "/v1/holds/HOLD-1/uphold".to_owned(), 404, "not_found"),
    ] {
        let answer = served.ask_with("POST", &path, token, json, reason);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
    }
    for body in [r#"{"reason": " "}"#, "{}", r#"{"reason": "r", "x": 1}"#] {
        assert_eq!(served.ask("POST", &format!("/v1/holds/{id}/release"), body).status, 422, "{body}");
    }
    assert_eq!(served.ask_with("GET", "/v1/holds", &other, json, "").code(), "program");
    assert_eq!(served.ask_with("GET", "/v1/holds?program=gold", &other, json, "").status, 200);
    for query in ["?limit=0", "?after=x", "?x=y"] {
        assert_eq!(served.ask("GET", &format!("/v1/holds{query}"), "").status, 400, "{query}");
    }
    let audit = served.ask("GET", "/v1/audit", "").body;
    assert!(!audit.contains("hold.release"), "nothing was done: {audit}");
    assert_eq!(end(&served, &verdict, "release").status, 200);
    let audit = served.ask("GET", "/v1/audit", "").body;
    assert!(audit.contains("hold.release") && audit.contains("default//shop/e1"), "{audit}");
}

#[test]
fn reviews_come_in_pages_in_their_order() {
    let served = served();
    for at in 0..7 {
        asked(&served, &format!("e{at}"), "a");
    }
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = served.ask("GET", &format!("/v1/holds?limit=3{after}"), "").json();
        let holds = page["holds"].as_array().expect("they are a list").iter();
        found.extend(holds.map(|hold| hold["review_by"].as_str().unwrap_or_default().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert!(found.len() == 7 && found.is_sorted(), "{found:?}");
    // What refers nobody is not held by the other rules.
    assert_eq!(served.ask("POST", "/v1/evaluate", &referral("x", "a", "d").to_string()).json()["hold_id"], Value::Null);
}
