//! Events and verdicts over HTTP, by the real daemon.

#[path = "http/accounts.rs"]
mod accounts;
#[path = "http/away.rs"]
mod away;
#[path = "http/conformance.rs"]
mod conformance;
#[path = "http/decisions.rs"]
mod decisions;
#[path = "http/explain.rs"]
mod explain;
#[path = "http/ext_authz.rs"]
mod ext_authz;
#[path = "support/followed.rs"]
mod followed;
#[path = "http/holds.rs"]
mod holds;
#[path = "http/hostile.rs"]
mod hostile;
#[path = "http/lift.rs"]
mod lift;
#[path = "support/listener.rs"]
mod listener;
#[path = "http/lists.rs"]
mod lists;
#[path = "http/overrides.rs"]
mod overrides;
#[path = "support/random.rs"]
#[expect(dead_code, reason = "a part of it is used")]
mod random;
#[path = "http/requests.rs"]
mod requests;
#[path = "http/said.rs"]
mod said;
#[path = "http/schema.rs"]
mod schema;
#[path = "http/stream.rs"]
mod stream;
mod support;
#[path = "http/tls.rs"]
mod tls;
#[path = "http/tokens.rs"]
mod tokens;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::thread;

use serde_json::{Value, json};
use support::http::{Served, event, referral};

#[test]
fn a_verdict_is_answered_once_and_again_and_found_later() {
    let served = Served::start("");
    for (id, account) in [("e1", "a"), ("e2", "b")] {
        let judged = served.ask("POST", "/v1/evaluate", &referral(id, account, "d1").to_string());
        assert_eq!((judged.status, judged.json()["verdict"].as_str()), (200, Some("allow")), "{judged:?}");
    }
    let third = referral("e3", "c", "d1");
    let judged = served.ask("POST", "/v1/evaluate", &third.to_string()).json();
    assert_eq!((judged["verdict"].as_str(), judged["cause"].as_str()), (Some("block"), Some("rule")), "{judged}");
    assert_eq!(judged["rules"][0]["message"], "c is one of 3 accounts on a device");
    assert!(judged.get("duplicate").is_none());

    // Asked again: the first verdict, and nothing is counted.
    let again = served.ask("POST", "/v1/evaluate", &third.to_string()).json();
    assert_eq!((again["verdict"].as_str(), again["duplicate"].as_bool()), (Some("block"), Some(true)), "{again}");
    assert_eq!(again["created"], judged["created"]);
    // The same name for another fact.
    let reused = served.ask("POST", "/v1/evaluate", &referral("e3", "d", "d1").to_string());
    assert_eq!((reused.status, reused.code().as_str()), (409, "id_reused"));

    let found = served.ask("GET", "/v1/verdicts/%2Fshop/e3", "");
    assert_eq!(found.status, 200, "{found:?}");
    let found = found.json();
    for member in ["event_id", "source", "program", "verdict", "cause", "score", "created", "decisions", "hold_id"] {
        assert_eq!(found[member], judged[member], "{member}");
    }
    assert_eq!(found["current"], "block");
    for (path, status) in [
        ("/v1/verdicts/%2Fshop/e1", 200),
        ("/v1/verdicts/%2Fshop/e9", 404),
        ("/v1/verdicts/shop/e3", 404),
        ("/v1/verdicts/%2Fshop/e3?program=other", 404),
        ("/v1/verdicts/%2Fshop/e3?programme=other", 400),
        ("/v1/verdicts/%FF/e3", 400),
    ] {
        assert_eq!(served.ask("GET", path, "").status, status, "{path}");
    }
    assert_eq!(served.metric("refguard_duplicates_total{source=\"inbox\"}"), Some(1.0));
    assert_eq!(served.metric("refguard_evaluate_latency_seconds_count"), Some(5.0));
}

#[test]
fn a_batch_answers_for_each_of_its_events() {
    let served = Served::start("");
    let mut missing = referral("", "x", "d");
    missing.as_object_mut().expect("an event is an object").remove("id");
    let events =
        [referral("e1", "a", "d1"), missing, referral("e1", "a2", "d1"), referral("e2", "b", "d1"), json!([1])];
    let answer = served.batch("/v1/evaluate", &events);
    assert_eq!(answer.status, 200, "{answer:?}");
    let answers = answer.json();
    let told =
        |at: usize| (answers[at]["status"].as_u64(), answers[at]["code"].as_str(), answers[at]["verdict"].as_str());
    assert_eq!(told(0), (None, None, Some("allow")));
    assert_eq!(told(1), (Some(422), Some("missing_id"), None));
    assert_eq!(told(2), (Some(409), Some("id_reused"), None));
    assert_eq!(told(3), (None, None, Some("allow")));
    assert_eq!(told(4).1, Some("wrong_type"));

    let receipts = served.batch("/v1/events", &[referral("e2", "b", "d1"), referral("e3", "c", "d1"), json!({})]);
    assert_eq!(receipts.status, 202, "{receipts:?}");
    let receipts = receipts.json();
    let statuses: Vec<&str> = (0..3).filter_map(|at| receipts[at]["status"].as_str()).collect();
    // A repeat has another time here, and so is another fact.
    assert_eq!(statuses, ["refused", "accepted", "refused"], "{receipts}");

    for (body, code) in [("[]", "wrong_type"), ("{}", "wrong_type"), ("[1", "not_json"), ("", "not_json")] {
        let headers = "content-type: application/cloudevents-batch+json\r\n";
        assert_eq!(served.ask_with("POST", "/v1/evaluate", &served.admin, headers, body).code(), code, "{body}");
    }
    let many: Vec<Value> = (0..1001).map(|at| referral(&format!("m{at}"), "a", "d2")).collect();
    assert_eq!(served.batch("/v1/evaluate", &many).status, 422);
    let most = served.batch("/v1/evaluate", &many[..1000]);
    assert_eq!(most.json().as_array().map(Vec::len), Some(1000));
}

#[test]
fn what_is_no_event_is_told_why() {
    let served = Served::start("");
    let valid = referral("e1", "a", "d1");
    let with = |member: &str, value: Value| {
        let mut event = valid.clone();
        event[member] = value;
        event.to_string()
    };
    let large = with("data", json!({"account_id": "a", "referrer_id": "b", "user_agent": "x".repeat(65_536)}));
    for (body, status, code) in [
        ("not json".to_owned(), 400, "not_json"),
        (format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000)), 413, "too_large"),
        // What is nested deeply is passed over, and the rest is looked at.
        (format!("{{\"other\":{}1{}}}", "[".repeat(20_000), "]".repeat(20_000)), 422, "bad_specversion"),
        ("[]".to_owned(), 422, "wrong_type"),
        (with("time", json!("yesterday")), 422, "bad_time"),
        (with("time", json!("2999-01-01T00:00:00Z")), 422, "future"),
        (with("specversion", json!("0.3")), 422, "bad_specversion"),
        (with("data", json!({})), 422, "missing_field"),
        (with("data", json!({"account_id": 7})), 422, "wrong_type"),
        (large, 413, "too_large"),
    ] {
        let answer = served.ask("POST", "/v1/evaluate", &body);
        let start = &body[..body.len().min(60)];
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{start}");
    }
    let media =
        served.ask_with("POST", "/v1/events", &served.admin, "content-type: text/plain\r\n", &valid.to_string());
    assert_eq!((media.status, media.code().as_str()), (415, "unsupported_media_type"));
    let bytes = served.ask_with("POST", "/v1/events", &served.admin, "", &valid.to_string());
    assert_eq!(bytes.status, 415, "no type is no type");
    // Nothing of it was judged, and nothing is a dead letter: whoever sent it knows.
    let (_, page) = support::program::get(&served.metrics, "/metrics");
    let counted = |name: &str| page.lines().any(|line| line.starts_with(name) && !line.ends_with(" 0"));
    assert!(!counted("refguard_events_total{") && !counted("refguard_dead_letters_total{"), "{page}");
}

#[test]
fn what_was_answered_is_found_after_a_kill_and_counted_once() {
    let mut served = Served::start("");
    let mut answered = BTreeMap::new();
    for round in 0..8 {
        // Of one time: what is counted at it does not depend on who came first.
        let time = referral("", "", "")["time"].clone();
        thread::scope(|scope| {
            let asked: Vec<_> = (0..4)
                .map(|worker| {
                    let (served, id, time) = (&served, format!("r{round}w{worker}"), time.clone());
                    scope.spawn(move || {
                        let mut event = referral(&id, &id, &format!("d{round}"));
                        event["time"] = time;
                        let answer = served.ask("POST", "/v1/evaluate", &event.to_string());
                        assert_eq!(answer.status, 200, "{answer:?}");
                        (id, (event, answer.json()))
                    })
                })
                .collect();
            answered.extend(asked.into_iter().map(|asked| asked.join().expect("it was answered")));
        });
        // At once: what was answered a moment ago is on the disk.
        served.kill();
        served.restart();
        for (id, (event, verdict)) in &answered {
            let found = served.ask("GET", &format!("/v1/verdicts/%2Fshop/{id}"), "").json();
            for member in ["verdict", "cause", "score", "created", "hold_id"] {
                assert_eq!(found[member], verdict[member], "round {round}, {id}");
            }
            let again = served.ask("POST", "/v1/evaluate", &event.to_string()).json();
            assert_eq!((&again["verdict"], &again["duplicate"]), (&verdict["verdict"], &json!(true)), "{id}");
        }
    }
    let blocked = answered.values().filter(|(_, verdict)| verdict["verdict"] == "block").count();
    assert_eq!(
        blocked, 16,
        "two of four accounts on each device are too many: counts survive and nothing counts twice"
    );
    // Every verdict that was written is the one that was answered.
    served.stop();
    let written = std::fs::read_to_string(served.folder.path().join("verdicts.jsonl")).expect("they are written");
    for line in written.lines() {
        let written: Value = serde_json::from_str(line).expect("a verdict is JSON");
        let (_, verdict) = &answered[written["event_id"].as_str().expect("it has an id")];
        assert_eq!(written["verdict"], verdict["verdict"]);
    }
}

#[test]
fn a_deadline_passes_and_the_verdict_can_be_fetched_later() {
    // Nobody reads the verdicts, so that the pipe fills and everything stands.
    let mut served = Served::start_with("{verdicts: {stdout: {}}}", "");
    let events: Vec<Value> = (0..1000).map(|at| referral(&format!("f{at}"), &format!("a{at}"), "d")).collect();
    let body = Value::from(events).to_string();
    let headers = "content-type: application/cloudevents-batch+json\r\nrefguard-deadline-ms: 2000\r\n";
    let stands = served.ask_with("POST", "/v1/evaluate", &served.admin, headers, &body);
    assert_eq!((stands.status, stands.code().as_str()), (504, "deadline"), "{stands:?}");

    let headers = "content-type: application/json\r\nrefguard-deadline-ms: 50\r\n";
    let late =
        served.ask_with("POST", "/v1/evaluate", &served.admin, headers, &referral("late/1", "z", "e").to_string());
    assert_eq!((late.status, late.code().as_str()), (504, "deadline"));
    let url = late.json()["verdict_url"].as_str().expect("it says where").to_owned();
    assert_eq!(url, "/v1/verdicts/%2Fshop/late%2F1");

    let mut out = served.with(|daemon| daemon.stdout());
    let reader = thread::spawn(move || out.read_to_string(&mut String::new()));
    assert!(support::until(|| served.ask("GET", &url, "").status == 200), "it is judged all the same");
    served.stop();
    reader.join().expect("it reads to the end").expect("verdicts are text");

    let served = Served::start("");
    for wrong in ["0", "-1", "60001", "1s", "", "1\r\nrefguard-deadline-ms: 2"] {
        let headers = format!("content-type: application/json\r\nrefguard-deadline-ms: {wrong}\r\n");
        let answer =
            served.ask_with("POST", "/v1/evaluate", &served.admin, &headers, &referral("e", "a", "d").to_string());
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_deadline"), "{wrong}");
    }
}

#[test]
fn what_is_asked_for_at_the_end_is_answered_or_refused_and_never_lost() {
    let mut served = Served::start("");
    let mut answered: Vec<String> = Vec::new();
    thread::scope(|scope| {
        let asked: Vec<_> = (0..8)
            .map(|worker| {
                let served = &served;
                scope.spawn(move || {
                    let mut answered = Vec::new();
                    for at in 0.. {
                        let id = format!("w{worker}n{at}");
                        let event = referral(&id, "a", "d").to_string();
                        let answer = served.ask("POST", "/v1/evaluate", &event);
                        if answer.status != 200 {
                            assert!([0, 503].contains(&answer.status), "{answer:?}");
                            break;
                        }
                        answered.push(id);
                    }
                    answered
                })
            })
            .collect();
        assert!(support::until(|| served.metric("refguard_evaluate_latency_seconds_count").unwrap_or(0.0) > 50.0));
        served.with(|daemon| daemon.terminate());
        for asked in asked {
            answered.extend(asked.join().expect("it ends"));
        }
    });
    served.ended();
    served.restart();
    for id in answered {
        assert_eq!(served.ask("GET", &format!("/v1/verdicts/%2Fshop/{id}"), "").status, 200, "{id}");
    }
}

#[test]
fn foreign_shapes_are_mapped() {
    let folder = tempfile::tempdir().expect("there is room");
    let sources = "{inbox: {http: {}, mapping: {id: {pointer: /uuid}, source: {const: /till}, type: {const: login.succeeded}, \
                   time: {pointer: /at, format: unix_s}, account_id: {pointer: /user}}}}";
    let config = support::http::configured(folder.path(), sources, "{verdicts: {file: VERDICTS}}", "");
    let served = Served::of(folder, config);
    let now = refguard::event::parse_time_ms(event("", "", json!({}))["time"].as_str().expect("a time is a text"));
    let foreign = json!({"uuid": "u1", "at": now.expect("it is a time") / 1000, "user": "نورة"});
    let judged = served.ask("POST", "/v1/evaluate", &foreign.to_string());
    assert_eq!(judged.status, 200, "{judged:?}");
    let judged = judged.json();
    assert_eq!((judged["source"].as_str(), judged["account_id"].as_str()), (Some("/till"), Some("نورة")));
    let wrong = served.ask("POST", "/v1/evaluate", r#"{"uuid": "u2", "user": "نورة"}"#);
    assert_eq!(wrong.status, 422, "{wrong:?}");
    assert_eq!(served.ask("GET", "/v1/verdicts/%2Ftill/u1", "").status, 200);
}

#[test]
fn programs_are_apart() {
    let served = Served::start("");
    let of = |id: &str, program: &str, account: &str| {
        event(id, "/shop", json!({"program": program, "account_id": account, "referrer_id": "s", "device_id": "d"}))
            .to_string()
    };
    for (at, (program, account)) in [("gold", "a"), ("gold", "b"), ("tin", "c"), ("tin", "d")].into_iter().enumerate() {
        let judged = served.ask("POST", "/v1/evaluate", &of(&format!("e{at}"), program, account)).json();
        assert_eq!(judged["verdict"], "allow", "{judged}");
    }
    assert_eq!(served.ask("POST", "/v1/evaluate", &of("e9", "gold", "e")).json()["verdict"], "block");
    assert_eq!(served.ask("GET", "/v1/verdicts/%2Fshop/e9", "").status, 404);
    assert_eq!(served.ask("GET", "/v1/verdicts/%2Fshop/e9?program=gold", "").status, 200);
}

#[test]
fn the_example_is_answered() {
    let served = Served::start("");
    let token = served.folder.path().join("admin.token");
    let url = format!("http://{}", served.address);
    let asked = std::process::Command::new("sh").arg("examples/ask.sh").arg(&url).arg(token).output();
    let asked = asked.expect("sh runs");
    let said = String::from_utf8(asked.stdout).expect("an answer is text");
    assert!(asked.status.success(), "{said}{}", String::from_utf8_lossy(&asked.stderr));
    let verdict: Value = serde_json::from_str(&said).expect("a verdict is JSON");
    assert_eq!((verdict["verdict"].as_str(), verdict["type"].as_str()), (Some("allow"), Some("reward.requested")));
}
