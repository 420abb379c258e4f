//! What a rule has decided and held, undone by one call.

use serde_json::{Value, json};

use crate::support::http::{Served, referral};

fn lift(served: &Served, wanted: &Value) -> Value {
    let answer = served.ask("POST", "/v1/decisions/lift", &wanted.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn stands(served: &Served) -> String {
    let checked = served.ask("POST", "/v1/decisions/check", &json!({"account_id": "sara"}).to_string()).json();
    checked["verdict"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_lift_is_tried_first_and_holds_over_a_kill() {
    let mut served = Served::start("");
    let events: Vec<Value> = ["a", "b", "c"].iter().map(|account| referral(account, account, "d1")).collect();
    served.batch("/v1/evaluate", &events);
    assert_eq!(stands(&served), "hold");
    let mut wanted = json!({"rule": "device-farm", "reason": "it took a family for a farm"});
    let would = lift(&served, &wanted);
    assert_eq!((&would["dry_run"], &would["decisions"], &would["subjects"]), (&json!(true), &json!(1), &json!(1)));
    assert_eq!(stands(&served), "hold", "nothing was changed");
    wanted["dry_run"] = json!(false);
    let did = lift(&served, &wanted);
    assert_eq!((&did["dry_run"], &did["decisions"]), (&json!(false), &json!(1)), "{did}");
    assert_eq!(stands(&served), "allow");
    served.kill();
    served.restart();
    assert_eq!(stands(&served), "allow");
    assert_eq!(lift(&served, &wanted)["decisions"], 0, "again it finds nothing");
    let audit = served.ask("GET", "/v1/audit", "").body;
    assert_eq!(audit.matches("decisions.lift").count(), 2, "a trial leaves no record: {audit}");
}

#[test]
fn what_is_no_lift_is_told_why() {
    let served = Served::start("");
    let gold = served.token(&json!({"name": "g", "scopes": ["decisions:write"], "programs": ["gold"]}));
    let reader = served.token(&json!({"name": "r", "scopes": ["decisions:read"], "programs": ["*"]}));
    for (token, wanted, status, code) in [
        (&served.admin, json!({"reason": "r"}), 422, "bad_lift"),
        (&served.admin, json!({"rule": "x", "reason": " "}), 422, "bad_lift"),
        (&served.admin, json!({"from": "yesterday", "reason": "r"}), 422, "bad_lift"),
        (&served.admin, json!({"rule": "", "reason": "r"}), 422, "bad_lift"),
        (&served.admin, json!({"rule": "x"}), 422, "wrong_type"),
        (&gold, json!({"rule": "x", "reason": "r"}), 403, "program"),
        (&gold, json!({"rule": "x", "reason": "r", "program": "*"}), 403, "program"),
        (&reader, json!({"rule": "x", "reason": "r"}), 403, "scope"),
    ] {
        let headers = "content-type: application/json\r\n";
        let answer = served.ask_with("POST", "/v1/decisions/lift", token, headers, &wanted.to_string());
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{wanted}");
    }
    let wanted = json!({"rule": "x", "reason": "r", "program": "*"});
    assert_eq!(lift(&served, &wanted)["decisions"], 0);
}
