//! Overrides by the API: they hold from the next event on, whatever happens to the process, and leave a record.

use serde_json::{Value, json};

use crate::support::http::{Answer, Served, event, referral};

fn put(served: &Served, kind: &str, id: &str, verdict: &str) -> Answer {
    let wanted = json!({"kind": kind, "id": id, "verdict": verdict, "reason": "ticket 4711"});
    served.ask("PUT", "/v1/overrides", &wanted.to_string())
}

fn standing(served: &Served) -> Vec<(String, String)> {
    let page = served.ask("GET", "/v1/overrides", "");
    assert_eq!(page.status, 200, "{page:?}");
    let page = page.json();
    let of =
        |of: &Value| (of["id"].as_str().unwrap_or_default().into(), of["verdict"].as_str().unwrap_or_default().into());
    page["overrides"].as_array().expect("they are a list").iter().map(of).collect()
}

fn judged(served: &Served, id: &str, account: &str) -> (String, String) {
    let mut event = event(id, "/shop", json!({"account_id": account, "email": format!("{account}@example.org")}));
    event["type"] = json!("reward.requested");
    event["data"]["reward_id"] = json!(id);
    event["data"]["reward_kind"] = json!("points");
    let told = served.ask("POST", "/v1/evaluate", &event.to_string());
    assert_eq!(told.status, 200, "{told:?}");
    let told = told.json();
    (told["verdict"].as_str().unwrap_or_default().into(), told["cause"].as_str().unwrap_or_default().into())
}

fn audited(served: &Served) -> Vec<(String, String)> {
    let records = served.ask("GET", "/v1/audit", "").json();
    let records = records.as_array().expect("it is a list").iter();
    let of = |of: &Value| {
        (of["action"].as_str().unwrap_or_default().into(), of["subject"].as_str().unwrap_or_default().into())
    };
    records.map(of).filter(|(action, _): &(String, String)| action.starts_with("override")).collect()
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

#[test]
fn what_a_person_says_holds_at_once_and_after_a_kill() {
    let mut served = Served::start("");
    assert_eq!(judged(&served, "e1", "a"), pair("allow", "none"));
    let blocked = put(&served, "account", "a", "block");
    assert_eq!(blocked.status, 200, "{blocked:?}");
    let stands = blocked.json();
    assert_eq!(
        (stands["by"].as_str().map(|by| by.starts_with("token:")), stands["expires"].is_null()),
        (Some(true), true)
    );
    assert_eq!(judged(&served, "e2", "a"), pair("block", "override"));
    // Nobody's rule looks at mailboxes.
    assert_eq!(put(&served, "email", "B+x@Example.org", "block").status, 200);
    assert_eq!(judged(&served, "e3", "b+y"), pair("block", "override"));
    // Said again: the same one stands.
    assert_eq!(put(&served, "account", "a", "block").json(), stands);

    for round in 0..3 {
        served.kill();
        served.restart();
        assert_eq!(standing(&served).len(), 2, "round {round}");
        assert_eq!(judged(&served, &format!("a{round}"), "a"), pair("block", "override"));
        assert_eq!(judged(&served, &format!("b{round}"), "b"), pair("block", "override"), "its mailbox is still read");
        let account = format!("c{round}");
        assert_eq!(put(&served, "account", &account, "block").status, 200);
        let gone = served.ask("DELETE", &format!("/v1/overrides?kind=account&id={account}"), "");
        assert_eq!(gone.status, 204, "{gone:?}");
    }
    // By the checkpoint of an orderly end too.
    served.stop();
    served.restart();
    assert_eq!(judged(&served, "e9", "a"), pair("block", "override"));
    let checked =
        served.ask("POST", "/v1/decisions/check", &json!({"account_id": "a", "device_id": "d"}).to_string()).json();
    assert_eq!(
        (&checked["verdict"], &checked["subjects"][0]["causes"][0]["reason"]),
        (&json!("block"), &json!("ticket 4711"))
    );
    assert_eq!(checked["subjects"][0]["causes"][0]["rule"], Value::Null);

    served.stop();
    let written = std::fs::read_to_string(served.folder.path().join("verdicts.jsonl")).expect("they are written");
    let by_person = written.lines().filter(|line| line.contains("\"cause\":\"override\"")).count();
    assert!(by_person >= 9, "{written}");
    let of_first = written.lines().filter(|line| line.contains("\"event_id\":\"e2\""));
    assert!(
        of_first.clone().count() > 0 && of_first.clone().all(|line| line.contains("\"block\"")),
        "judged again the same"
    );
}

#[test]
fn every_act_leaves_a_record_and_what_changes_nothing_leaves_none() {
    let served = Served::start("");
    put(&served, "account", "a", "allow");
    let missing = served.ask("DELETE", "/v1/overrides?kind=account&id=b", "");
    assert_eq!((missing.status, missing.code().as_str()), (404, "not_found"));
    assert_eq!(served.ask("DELETE", "/v1/overrides?kind=account&id=a", "").status, 204);
    assert_eq!(standing(&served), []);
    let expected = [pair("override.put", "default/account/a"), pair("override.delete", "default/account/a")];
    assert_eq!(audited(&served), expected);
}

#[test]
fn what_is_no_override_is_told_why() {
    let served = Served::start("");
    let valid = json!({"kind": "account", "id": "a", "verdict": "block", "reason": "r"});
    for (member, value, status, code) in [
        ("verdict", json!("hold"), 422, "bad_override"),
        ("kind", json!("person"), 422, "bad_override"),
        ("reason", json!("  "), 422, "bad_override"),
        ("reason", json!("r".repeat(4097)), 422, "bad_override"),
        ("id", json!(""), 422, "bad_override"),
        ("program", json!(""), 422, "bad_override"),
        ("expires", json!("2001-01-01T00:00:00Z"), 422, "bad_override"),
        ("expires", json!("tomorrow"), 422, "bad_override"),
        ("id", json!(7), 422, "wrong_type"),
        ("until", json!("x"), 422, "wrong_type"),
    ] {
        let mut wanted = valid.clone();
        wanted[member] = value;
        let answer = served.ask("PUT", "/v1/overrides", &wanted.to_string());
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{wanted}");
    }
    assert_eq!(put(&served, "ip", "no address", "block").code(), "bad_override");
    for (query, status) in [
        ("?kind=account&id=a", 404),
        ("?kind=account", 400),
        ("?kind=person&id=a", 422),
        ("?kind=account&id=a&x=y", 400),
    ] {
        assert_eq!(served.ask("DELETE", &format!("/v1/overrides{query}"), "").status, status, "{query}");
    }
    for query in ["?limit=0", "?limit=1001", "?id=a", "?kind=person", "?after=x"] {
        assert_eq!(served.ask("GET", &format!("/v1/overrides{query}"), "").status, 400, "{query}");
    }
    assert_eq!(audited(&served), [], "nothing was done");
    // A token is bound to its scope and programs.
    let reader = served.token(&json!({"name": "r", "scopes": ["decisions:read"], "programs": ["*"]}));
    let other = served.token(&json!({"name": "o", "scopes": ["decisions:write"], "programs": ["gold"]}));
    let json = "content-type: application/json\r\n";
    for (token, code) in [(&reader, "scope"), (&other, "program")] {
        let answer = served.ask_with("PUT", "/v1/overrides", token, json, &valid.to_string());
        assert_eq!((answer.status, answer.code().as_str()), (403, code));
        for method in ["GET", "DELETE"] {
            let answer = served.ask_with(method, "/v1/overrides?kind=account&id=a", token, json, "");
            assert_eq!((answer.status, answer.code().as_str()), (403, code), "{method}");
        }
    }
    let mut gold = valid;
    gold["program"] = json!("gold");
    assert_eq!(served.ask_with("PUT", "/v1/overrides", &other, json, &gold.to_string()).status, 200);
    let page = served.ask_with("GET", "/v1/overrides?program=gold&kind=account&id=a", &other, json, "").json();
    assert_eq!(page["overrides"].as_array().map(Vec::len), Some(1), "{page}");
}

#[test]
fn overrides_come_in_pages() {
    let served = Served::start("");
    for at in 0..7 {
        assert_eq!(put(&served, "account", &format!("a{at}"), "allow").status, 200);
    }
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = served.ask("GET", &format!("/v1/overrides?limit=3{after}"), "").json();
        found.extend(page["overrides"].as_array().expect("they are a list").iter().map(|of| of["id"].to_string()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 7, "{found:?}");
}

#[test]
fn an_override_that_ends_lets_rules_speak_again() {
    let served = Served::start("");
    let now = referral("", "", "")["time"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let soon = now.expect("a time is one") + jiff::SignedDuration::from_millis(300);
    let wanted = json!({"kind": "account", "id": "c", "verdict": "allow", "reason": "r", "expires": soon.to_string()});
    let put = served.ask("PUT", "/v1/overrides", &wanted.to_string());
    assert_eq!(put.status, 200, "{put:?}");
    let mut events: Vec<Value> = ["a", "b", "c"].iter().map(|account| referral(account, account, "d1")).collect();
    let last = events.len() - 1;
    // As of its event time, not of the clock.
    events[last]["time"] = json!((soon - jiff::SignedDuration::from_millis(1)).to_string());
    let told = served.batch("/v1/evaluate", &events).json();
    assert_eq!((&told[last]["verdict"], &told[last]["cause"]), (&json!("allow"), &json!("override")), "{told}");
    let mut after = referral("after", "c", "d1");
    after["time"] = json!(soon.to_string());
    let told = served.ask("POST", "/v1/evaluate", &after.to_string()).json();
    assert_eq!((&told["verdict"], &told["cause"]), (&json!("block"), &json!("rule")), "{told}");
}

#[test]
fn acts_take_effect_in_the_order_of_their_records() {
    const PEOPLE: usize = 8;
    const WORDS: usize = 16;
    let mut served = Served::start_with("{verdicts: {file: VERDICTS}, decisions: {file: VERDICTS.decisions}}", "");
    std::thread::scope(|scope| {
        for person in 0..PEOPLE {
            let served = &served;
            scope.spawn(move || {
                for word in 0..WORDS {
                    let reason = format!("{person}: {word}");
                    let wanted = json!({"kind": "account", "id": "a", "verdict": "block", "reason": reason});
                    let put = served.ask("PUT", "/v1/overrides", &wanted.to_string());
                    assert_eq!(put.status, 200, "{put:?}");
                }
            });
        }
    });
    let records = served.ask("GET", "/v1/audit", "").json();
    let records = records.as_array().expect("it is a list").iter().filter(|of| of["action"] == "override.put");
    let recorded: Vec<String> = records
        .map(|of| {
            let detail: Value = serde_json::from_str(of["detail"].as_str().expect("it is text")).expect("it is JSON");
            detail["reason"].as_str().expect("it is text").to_owned()
        })
        .collect();
    served.stop();
    let told = std::fs::read_to_string(served.folder.path().join("verdicts.jsonl.decisions")).expect("it is written");
    let told = told.lines().map(|line| serde_json::from_str::<Value>(line).expect("it is JSON"));
    let taken: Vec<String> = told.filter_map(|line| Some(line["causes"][0]["reason"].as_str()?.to_owned())).collect();
    assert_eq!(recorded.len(), PEOPLE * WORDS);
    assert_eq!(taken, recorded);
}

#[test]
fn a_word_is_what_the_verdicts_are_now_that_were_given() {
    let mut served = Served::start_with("{verdicts: {file: VERDICTS}, events: {file: VERDICTS.events}}", "");
    assert_eq!(judged(&served, "e1", "a"), pair("allow", "none"));
    assert_eq!(judged(&served, "e2", "b"), pair("allow", "none"));
    let current = |served: &Served, id: &str| {
        let found = served.ask("GET", &format!("/v1/verdicts/%2Fshop/{id}"), "").json();
        assert_eq!(found["verdict"], "allow", "a verdict is never revised: {found}");
        found["current"].as_str().unwrap_or_default().to_owned()
    };
    served.kill();
    served.restart();
    assert_eq!(put(&served, "account", "a", "block").status, 200);
    assert_eq!(["e1", "e2"].map(|id| current(&served, id)), ["block", "allow"]);
    // By the journal, and by the checkpoint of an orderly end.
    served.kill();
    served.restart();
    assert_eq!(["e1", "e2"].map(|id| current(&served, id)), ["block", "allow"]);
    served.stop();
    served.restart();
    assert_eq!(["e1", "e2"].map(|id| current(&served, id)), ["block", "allow"]);
    assert_eq!(served.ask("DELETE", "/v1/overrides?kind=account&id=a", "").status, 204);
    assert_eq!(current(&served, "e1"), "allow");
    served.stop();
    let said = std::fs::read_to_string(served.folder.path().join("verdicts.jsonl.events")).expect("it is written");
    let mut said: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    // What was out when the process was killed may come again, and is the same.
    said.dedup();
    let text = |line: &Value, name: &str| line["data"][name].as_str().unwrap_or("-").to_owned();
    let names = ["event_id", "account_id", "was", "verdict", "why"];
    let told: Vec<String> = said.iter().map(|line| names.map(|name| text(line, name)).join(" ")).collect();
    assert_eq!(told, ["e1 a allow block override.put", "e1 a block allow override.deleted"]);
}
