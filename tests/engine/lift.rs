//! What rules have decided and held, undone together.

use refguard::engine::{ActOutcome, HoldState, LiftCount};
use refguard::event::{ActSubject, Deed, Lift, PutOverride, SubjectKind, Verdict};
use serde_json::{Value, json};

use super::{HOUR_MS, START_MS, Story, by_word};

const RULES: &[(&str, &str)] = &[
    ("held", "action: hold"),
    ("also", "action: hold"),
    ("flagged", "action: flag"),
    ("s30", "score: 30"),
    ("s35", "score: 35"),
    ("decides", "score: 0, decide: [{subject: account, verdict: hold}, {subject: device, verdict: block}]"),
];

fn lift(rule: Option<&str>) -> Lift {
    let rule = rule.map(str::to_owned);
    Lift { program: None, rule, ruleset: None, from_ms: None, to_ms: None, reason: "the rule was wrong".to_owned() }
}

/// Lifts, after it was asked what that would do; what it did.
fn lifted(story: &mut Story, of: Lift) -> LiftCount {
    let would = story.replay.engine().would_lift(&of);
    let again = story.replay.engine().would_lift(&of);
    assert_eq!(would, again, "who asks changes nothing");
    match story.act(Deed::Lift(of)) {
        ActOutcome::Lifted(count) => assert_eq!(count, would),
        other => panic!("{other:?}"),
    }
    would
}

fn count(decisions: usize, subjects: usize, holds: usize, holds_kept: usize) -> LiftCount {
    LiftCount { decisions, subjects, holds, holds_kept }
}

fn ask(story: &mut Story, account: &str, at_ms: i64, channel: &str) -> Value {
    story.tell("reward.requested", at_ms, json!({"account_id": account, "channel": channel, "device_id": account}))
}

fn state(story: &mut Story, verdict: &Value) -> (HoldState, Verdict) {
    let hold = story.replay.engine().hold(verdict["hold_id"].as_str().unwrap()).unwrap();
    (hold.state, hold.now)
}

#[test]
fn what_a_rule_decided_ends_and_the_rest_stands() {
    let mut story = Story::of(&by_word(RULES));
    for account in ["a", "b"] {
        ask(&mut story, account, 0, "decides");
    }
    let of = ActSubject { program: "default".to_owned(), kind: SubjectKind::Account, subject: "a".to_owned() };
    let put = PutOverride { of, verdict: Verdict::Block, reason: "r".to_owned(), expires_ms: None };
    story.act(Deed::PutOverride(put));
    assert_eq!(lifted(&mut story, lift(Some("held"))), count(0, 0, 0, 0));
    assert_eq!(lifted(&mut story, lift(Some("decides"))), count(4, 4, 0, 0));
    assert_eq!(lifted(&mut story, lift(Some("decides"))), count(0, 0, 0, 0), "again it finds nothing");
    assert_eq!(ask(&mut story, "b", 0, "")["verdict"], "allow");
    assert_eq!(ask(&mut story, "a", 0, "")["cause"], "override", "a person's word is not lifted");
    assert_eq!(story.replay.engine().decisions().len(), 1);
}

#[test]
fn a_hold_ends_where_nothing_holds_its_event_any_more() {
    for (channel, rule, ends, now) in [
        ("held", "held", true, Verdict::Allow),
        ("held flagged", "held", true, Verdict::Flag),
        ("held also", "held", false, Verdict::Hold),
        ("s30 s35", "s30", true, Verdict::Flag),
        ("s30 s35 held", "held", false, Verdict::Hold),
    ] {
        let mut story = Story::of(&by_word(RULES));
        let told = ask(&mut story, "a", 0, channel);
        assert_eq!(told["verdict"], "hold");
        let expected = if ends { count(0, 0, 1, 0) } else { count(0, 0, 0, 1) };
        assert_eq!(lifted(&mut story, lift(Some(rule))), expected, "{channel}");
        let said = story.replay.said().len();
        let (after, verdict) = state(&mut story, &told);
        assert_eq!((after == HoldState::Lifted, verdict), (ends, now), "{channel}");
        assert_eq!(said, if ends { 3 } else { 0 }, "{channel}");
        if !ends {
            // What is left of it is lifted too.
            let rest = if channel.contains("also") { "also" } else { "s35" };
            assert_eq!(lifted(&mut story, lift(Some(rest))), count(0, 0, 1, 0), "{channel}");
        }
    }
}

#[test]
fn a_hold_by_a_decision_ends_with_it() {
    let mut story = Story::of(&by_word(&[("decides", "score: 0, decide: [{subject: account, verdict: hold}]")]));
    story.tell("login.succeeded", 0, json!({"account_id": "a", "channel": "decides"}));
    let told = story.tell("reward.requested", 0, json!({"account_id": "a"}));
    assert_eq!(told["verdict"], "hold");
    assert_eq!(lifted(&mut story, lift(Some("decides"))), count(1, 1, 1, 0));
    assert_eq!(state(&mut story, &told), (HoldState::Lifted, Verdict::Allow));
}

#[test]
fn time_rule_set_and_program_bound_what_is_lifted() {
    let told = || {
        let mut story = Story::of(&by_word(RULES));
        for hour in 0..4 {
            ask(&mut story, &format!("a{hour}"), hour * HOUR_MS / 8, "held");
        }
        story
    };
    let at = |eighths: i64| Some(START_MS + eighths * HOUR_MS / 8);
    for (from_ms, to_ms, holds) in [(at(0), None, 4), (at(1), None, 3), (at(1), at(3), 2), (None, at(1), 1)] {
        let mut story = told();
        let of = Lift { from_ms, to_ms, ..lift(None) };
        assert_eq!(lifted(&mut story, of), count(0, 0, holds, 0), "{from_ms:?} {to_ms:?}");
    }
    let mut story = told();
    let hash = story.replay.engine().rules().hash.clone();
    for (ruleset, program, holds) in [("other", "default", 0), (&*hash, "gold", 0), (&*hash, "default", 4)] {
        let of = Lift { ruleset: Some(ruleset.to_owned()), program: Some(program.to_owned()), ..lift(None) };
        assert_eq!(lifted(&mut story, of), count(0, 0, holds, 0), "{ruleset} {program}");
    }
}
