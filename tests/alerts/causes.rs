//! Which matches call for an alert.

use super::*;

#[test]
fn a_rule_alerts_by_its_action_its_decisions_or_the_score_of_fraud() {
    let rules = by_word(&[
        ("a-flag", "action: flag"),
        ("b-allow", "action: allow, score: 5"),
        ("c-s15", "score: 15"),
        ("d-s15", "score: 15"),
        ("e-s25", "score: 25"),
        ("f-limit", "action: block, kind: limit, score: 100"),
        ("g-decide", "decide: [{subject: account, verdict: hold, ttl: 1h, on: [payout.requested]}]"),
        ("h-shadow", "action: block, score: 100, mode: shadow"),
        ("i-nobody", "action: block, score: 100, rollout: 0%"),
        ("j-block", "action: block"),
    ]);
    for (channel, alerts, verdict) in [
        ("", &[][..], ""),
        ("a-flag", &["a-flag"], "flag"),
        ("b-allow", &[], ""),
        ("c-s15", &[], ""),
        ("c-s15 d-s15", &["c-s15"], "flag"),
        ("c-s15 d-s15 e-s25", &["e-s25"], "challenge"),
        ("a-flag e-s25", &["a-flag", "e-s25"], "flag"),
        ("f-limit", &[], ""),
        ("f-limit c-s15", &[], ""),
        ("f-limit e-s25", &["e-s25"], "block"),
        ("g-decide", &["g-decide"], "hold"),
        ("h-shadow i-nobody", &[], ""),
        ("h-shadow a-flag j-block", &["a-flag", "j-block"], "block"),
    ] {
        let told = Story::of(&rules).tell("login.succeeded", 0, login("a", channel));
        let opened: Vec<(&str, &str)> = alerts.iter().map(|rule| (*rule, "opened")).collect();
        assert_eq!(changes(&told), opened, "{channel}");
        assert!(told.iter().all(|record| record["verdict"] == verdict && record["observed"] == false), "{channel}");
    }
}

#[test]
fn a_program_that_is_only_observed_alerts_by_what_would_be() {
    let policy = ProgramPolicy { observe_only: true, ..ProgramPolicy::default() };
    let policy = Policy { programs: vec![("trial".to_owned(), policy)], ..Policy::default() };
    let options = EngineOptions { policy, ..EngineOptions::default() };
    let mut story = Story::with(&by_word(&[("hold", "action: hold")]), options, AlertOptions::default());
    let told = story.tell("login.succeeded", 0, json!({"account_id": "a", "channel": "hold", "program": "trial"}));
    assert_eq!(
        (&told[0]["verdict"], &told[0]["observed"], &told[0]["program"]),
        (&json!("hold"), &json!(true), &json!("trial"))
    );
}

#[test]
fn a_decision_in_force_alerts_no_second_time_and_a_repeat_not_at_all() {
    let mut story = Story::of(&by_word(&[("hold", "action: hold, decide: [{subject: account, verdict: block}]")]));
    assert_eq!(story.tell_as("e1", "login.succeeded", 0, login("a", "hold")).len(), 1);
    assert_eq!(story.tell_as("e1", "login.succeeded", 0, login("a", "hold")), [] as [Value; 0], "a repeat");
    assert_eq!(story.tell_as("e2", "login.succeeded", 1, login("a", "")), [] as [Value; 0], "blocked by the decision");
    let told = story.tell_as("e3", "login.succeeded", 2, login("a", "hold"));
    assert_eq!((changes(&told), &told[0]["count"]), (vec![("hold", "grown")], &json!(2)));
}

#[test]
fn a_rule_whose_breaker_leaves_it_nothing_alerts_no_more() {
    let rules = by_word(&[("flag", "action: flag, breaker: {share: 10%, over: 1h, rearm: 1h, min_events: 1}")]);
    let mut story = Story::of(&rules);
    let told: Vec<Value> = (0..20).flat_map(|at| story.tell("login.succeeded", at, login("a", "flag"))).collect();
    let counts: Vec<_> = told.iter().map(|record| record["count"].as_i64().unwrap()).collect();
    assert_eq!(counts, [1, 2, 4, 8], "it opens at the tenth match");
    assert_eq!(story.end()[0]["count"], 10);
}
