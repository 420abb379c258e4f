//! What is answered while the cluster is away that verdicts wait for, and a backlog of a topic that delays nobody.

use serde_json::{Value, json};

use crate::holds::HELD;
use crate::support::http::{Served, configured, event, referral};
use crate::support::kafka::{Kafka, unique};
use crate::support::{kcat, until};

/// A daemon between topics, with the API.
fn between_topics(kafka: &Kafka, input: &str, more: &str) -> Served {
    let folder = tempfile::tempdir().expect("there is room");
    let soon = "{session.timeout.ms: \"6000\", heartbeat.interval.ms: \"300\", reconnect.backoff.max.ms: \"500\"}";
    let (address, group) = (kafka.address(), unique("group"));
    let sources = format!(
        "{{inbox: {{http: {{}}}}, orders: {{kafka: {{brokers: [\"{address}\"], topics: [{input}], group: {group}, properties: {soon}}}}}}}"
    );
    let (verdicts, dead) = (kafka.topic("verdicts", 1), kafka.topic("dead", 1));
    let sinks = format!("{{verdicts: {{kafka: {{topic: {verdicts}}}}}, dead_letters: {{kafka: {{topic: {dead}}}}}}}");
    let config = configured(folder.path(), &sources, &sinks, more);
    Served::of(folder, config)
}

#[test]
fn while_the_cluster_is_away_the_policy_answers_and_the_rules_later() {
    for (policy, expected) in [("fail_closed", "hold"), ("fail_open", "allow")] {
        let mut kafka = Kafka::start();
        let input = kafka.topic("orders", 1);
        let more = format!("http: {{degraded_after: 300ms}}\npolicy: {{on_state_unavailable: {policy}}}");
        let served = between_topics(&kafka, &input, &more);
        let before = served.ask("POST", "/v1/evaluate", &referral("before", "a", "d1").to_string());
        assert_eq!((before.status, before.json()["verdict"].as_str()), (200, Some("allow")), "{before:?}");
        assert!(until(|| served.metric("refguard_commits_total") > Some(0.0)), "places and outputs are committed");
        kafka.kill();
        let mut degraded = Vec::new();
        // Commits come every tenth of a second, so that soon one of them is stuck; that the cluster is away is known in seconds.
        let is_degraded = until(|| {
            let event = referral(&format!("e{}", degraded.len()), "b", "d1");
            let answer = served.ask("POST", "/v1/evaluate", &event.to_string());
            assert!(
                [200, 504].contains(&answer.status),
                "{answer:?}: {:#?}",
                served.with(|daemon| (daemon.says_soon("never"), daemon.told().to_vec()))
            );
            let answered = answer.json();
            let is_degraded = answered["degraded"] == json!(true);
            degraded.push((event, answered));
            is_degraded
        });
        assert!(is_degraded, "{degraded:#?}");
        let (event, answered) = degraded.last().expect("there is one");
        assert_eq!(
            (answered["verdict"].as_str(), answered["cause"].as_str()),
            (Some(expected), Some("none")),
            "{answered}"
        );
        assert!(answered["rules"].as_array().is_some_and(Vec::is_empty) && answered["event_id"] == event["id"]);
        let ready = crate::support::program::get(&served.metrics, "/readyz");
        assert_eq!(ready.0, 200, "answers can be given: {}", ready.1);
        kafka.restart();
        let url = format!("/v1/verdicts/%2Fshop/{}", event["id"].as_str().expect("an id is a text"));
        assert!(until(|| served.ask("GET", &url, "").status == 200), "the event waited to be judged");
        assert!(until(|| {
            let again = served.ask("POST", "/v1/evaluate", &event.to_string()).json();
            again["duplicate"] == json!(true) && again.get("degraded").is_none()
        }));
        let (_, page) = crate::support::program::get(&served.metrics, "/metrics");
        assert!(page.lines().any(|line| line.starts_with("refguard_degraded_answers_total{cause=\"s")), "{page}");
    }
}

#[test]
fn what_is_told_of_an_act_is_on_the_disk_though_its_own_answer_is_stuck() {
    let mut kafka = Kafka::start();
    let input = kafka.topic("orders", 1);
    let mut served = between_topics(&kafka, &input, "http: {degraded_after: 300ms, answer_timeout: 2s}");
    std::fs::write(served.folder.path().join("rules/telephone.yaml"), HELD).expect("there is room");
    served.stop();
    served.restart();
    let mut asks = event("e1", "/shop", json!({"account_id": "a", "channel": "call_centre", "reward_id": "r1"}));
    asks["type"] = json!("reward.requested");
    let hold = served.ask("POST", "/v1/evaluate", &asks.to_string()).json()["hold_id"].clone();
    let release = format!("/v1/holds/{}/release", hold.as_str().expect("it is held"));
    let block = json!({"kind": "account", "id": "z", "verdict": "block", "reason": "r"}).to_string();
    assert_eq!(served.ask("PUT", "/v1/overrides", &block).status, 200);
    assert!(until(|| served.metric("refguard_commits_total") > Some(0.0)), "places and outputs are committed");
    kafka.kill();
    let mut asked = 0;
    assert!(until(|| {
        asked += 1;
        let answer = served.ask("POST", "/v1/evaluate", &referral(&format!("x{asked}"), "b", "d1").to_string());
        answer.status == 200 && answer.json()["degraded"] == json!(true)
    }));
    // Nobody writes them to the disk while a commit is stuck, and whoever acted is told that it is not known.
    for (method, path, body) in
        [("POST", release.as_str(), r#"{"reason": "r"}"#), ("DELETE", "/v1/overrides?kind=account&id=z", "")]
    {
        let stuck = served.ask(method, path, body);
        assert_eq!((stuck.status, stuck.code().as_str()), (504, "deadline"), "{method} {path}");
    }
    let again = served.ask("POST", &release, r#"{"reason": "r"}"#);
    assert_eq!((again.status, &again.json()["state"]), (200, &json!("released")), "{again:?}");
    assert_eq!(served.ask("DELETE", "/v1/overrides?kind=account&id=z", "").status, 404, "it is gone");
    served.kill();
    kafka.restart();
    served.restart();
    let again = served.ask("POST", &release, r#"{"reason": "r"}"#);
    assert_eq!((again.status, &again.json()["state"]), (200, &json!("released")), "{again:?}");
    let now = served.ask("GET", "/v1/verdicts/%2Fshop/e1", "").json();
    assert_eq!(now["current"], "allow", "{now}");
    assert_eq!(served.ask("GET", "/v1/overrides", "").json()["overrides"], json!([]));
    let released = served.ask("GET", "/v1/audit", "").body.matches("hold.release").count();
    assert_eq!(released, 1, "it was done once");
}

#[test]
fn a_backlog_of_a_topic_delays_nobody_who_asks() {
    let kafka = Kafka::shared();
    let input = kafka.topic("orders", 1);
    let events = 200_000;
    let lines: Vec<Value> = (0..1000).map(|at| referral("ID", &format!("a{at}"), &format!("d{at}"))).collect();
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    let backlog: Vec<String> =
        (0..events).map(|at| lines[at % 1000].replace("\"ID\"", &format!("\"b{at}\""))).collect();
    let records: Vec<&str> = backlog.iter().map(String::as_str).collect();
    kcat::produce(&kafka.address(), &input, 0, &[], &records);
    let served = between_topics(kafka, &input, "");
    let lag = || served.metric("refguard_source_lag_events{source=\"orders\"}").unwrap_or(f64::from(events as u32));
    let mut asked = 0;
    while asked < 100 && lag() > 0.0 {
        let answer = served.ask_with(
            "POST",
            "/v1/evaluate",
            &served.admin,
            "content-type: application/json\r\nrefguard-deadline-ms: 5000\r\n",
            &referral(&format!("q{asked}"), "x", &format!("q{asked}")).to_string(),
        );
        assert_eq!(answer.status, 200, "question {asked} with {} to go: {answer:?}", lag());
        asked += 1;
    }
    assert!(asked > 0, "the backlog was worked off before anybody asked");
}
