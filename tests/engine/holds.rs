//! Holds: made by every verdict `hold`, ended by people and by time, and told as what the verdict is now.

use refguard::engine::{
    ActOutcome, EngineOptions, EventQuota, Hold, HoldState, HoldsWanted, Policy, ProgramPolicy, Quota,
};
use refguard::event::{ActSubject, Deed, EndHold, HoldEnding, PutOverride, SubjectKind, Verdict};
use refguard::lab::Replay;
use refguard::ruleset::program::OnExpiry;
use serde_json::{Value, json};

use super::{HOUR_MS, START_MS, Story, by_word};

const DAY_MS: i64 = 24 * HOUR_MS;

const RULES: &[(&str, &str)] = &[
    ("held", "action: hold, customer: review"),
    ("soon", "action: hold, decide: [{subject: order, verdict: hold, ttl: 2h, on_expiry: release}]"),
    ("never", "action: hold, decide: [{subject: order, verdict: hold, ttl: 3h, on_expiry: block}]"),
    ("kept", "action: hold, decide: [{subject: order, verdict: hold, ttl: 4h, on_expiry: keep}]"),
    ("scored", "score: 60"),
    ("decides", "score: 0, decide: [{subject: account, verdict: hold, ttl: 5h, on_expiry: release}]"),
    ("ours", "action: hold, applies_to: referrer"),
    ("theirs", "action: hold, applies_to: referee"),
    ("bad", "action: block, applies_to: referee"),
    ("inviter", "score: 35, applies_to: referrer"),
    ("invited", "score: 35, applies_to: referee"),
];

fn requested(story: &mut Story, at_ms: i64, channel: &str) -> Value {
    let data = json!({"account_id": "a", "channel": channel, "reward_id": "r1", "reward_kind": "points",
        "amount_minor": 500, "currency": "PTS"});
    story.tell("reward.requested", at_ms, data)
}

fn hold(replay: &mut Replay, verdict: &Value) -> Hold {
    replay.engine().hold(verdict["hold_id"].as_str().unwrap()).unwrap().clone()
}

fn open(story: &mut Story) -> Vec<Hold> {
    let wanted = HoldsWanted { program: "default".to_owned(), count: 99, ..HoldsWanted::default() };
    story.replay.engine().open_holds(&wanted).0
}

fn said(replay: &Replay) -> Vec<Value> {
    replay.said().iter().map(|said| serde_json::from_slice(&said.line).unwrap()).collect()
}

fn end(story: &mut Story, verdict: &Value, end: HoldEnding) -> ActOutcome {
    let hold = verdict["hold_id"].as_str().unwrap().to_owned();
    story.act(Deed::EndHold(EndHold { hold, end, reason: "looked at".to_owned() }))
}

/// The same event once more.
fn again(story: &mut Story, first: &Value, at_ms: i64, channel: &str) -> Value {
    let data = json!({"account_id": "a", "channel": channel, "reward_id": "r1", "reward_kind": "points",
        "amount_minor": 500, "currency": "PTS"});
    let told = story.tell_as(first["event_id"].as_str().unwrap(), "reward.requested", at_ms, data).unwrap();
    assert_eq!((&told["verdict"], &told["duplicate"]), (&first["verdict"], &json!(true)));
    told
}

#[test]
fn a_hold_is_reviewed_by_what_held_it_and_does_what_all_of_that_says() {
    for (channel, within_ms, on_expiry) in [
        ("held", 7 * DAY_MS, OnExpiry::Keep),
        ("scored", 7 * DAY_MS, OnExpiry::Keep),
        ("soon", 2 * HOUR_MS, OnExpiry::Release),
        ("never", 3 * HOUR_MS, OnExpiry::Block),
        ("kept", 4 * HOUR_MS, OnExpiry::Keep),
        ("soon never", 2 * HOUR_MS, OnExpiry::Block),
        ("soon kept", 2 * HOUR_MS, OnExpiry::Keep),
        ("soon held", 2 * HOUR_MS, OnExpiry::Keep),
        ("soon scored", 2 * HOUR_MS, OnExpiry::Keep),
    ] {
        let mut story = Story::of(&by_word(RULES));
        let told = requested(&mut story, 0, channel);
        let hold = hold(&mut story.replay, &told);
        assert_eq!((hold.review_by_ms - START_MS, hold.on_expiry), (within_ms, on_expiry), "{channel}");
        assert_eq!((hold.state, hold.now), (HoldState::Open, Verdict::Hold));
        assert_eq!((&*hold.event.reward, hold.event.amount_minor), ("r1", Some(500)));
    }
    // By a decision: until that ends, and as it says.
    let mut story = Story::of(&by_word(RULES));
    requested(&mut story, 0, "decides");
    let told = requested(&mut story, HOUR_MS, "");
    let hold = hold(&mut story.replay, &told);
    assert_eq!((hold.review_by_ms - START_MS, hold.on_expiry), (5 * HOUR_MS, OnExpiry::Release));
    assert_eq!((hold.rules.len(), hold.decisions.len(), &*hold.decisions[0].rule), (0, 1, "decides"));
}

#[test]
fn a_hold_says_whose_reward_it_keeps_back() {
    for (channel, party) in [
        ("ours", "referrer"),
        ("theirs", "referee"),
        ("held", "both"),
        ("ours theirs", "both"),
        // Neither side is held by itself: the event as a whole is.
        ("inviter invited", "both"),
    ] {
        let mut story = Story::of(&by_word(RULES));
        let data = json!({"account_id": "b", "referrer_id": "a", "channel": channel});
        let told = story.tell("referral.completed", 0, data);
        assert_eq!(hold(&mut story.replay, &told).party.name(), party, "{channel}");
    }
    let mut story = Story::of(&by_word(RULES));
    let told = requested(&mut story, 0, "held");
    let hold = hold(&mut story.replay, &told);
    assert_eq!((hold.party.name(), &*hold.rules[0].id, &*hold.rules[0].customer), ("account", "held", "review"));
}

#[test]
fn a_person_ends_a_hold_once_and_it_is_said() {
    for (ending, state, now, words) in [
        (
            HoldEnding::Release,
            HoldState::Released,
            "allow",
            &["hold.ended", "verdict.corrected", "reward.released"][..],
        ),
        (HoldEnding::Uphold, HoldState::Upheld, "block", &["hold.ended", "verdict.corrected"]),
    ] {
        let mut story = Story::of(&by_word(RULES));
        let told = requested(&mut story, 0, "held");
        assert_eq!(again(&mut story, &told, 0, "held")["current"], "hold");
        let ActOutcome::Held(ended) = end(&mut story, &told, ending) else { panic!("it is open") };
        assert_eq!((ended.state, ended.now.name()), (state, now));
        let lines = said(&story.replay);
        let types: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
        assert_eq!(types, words);
        for line in &lines {
            assert_eq!((&line["source"], &line["data"]["event_id"]), (&json!("refguard"), &told["event_id"]), "{line}");
        }
        assert_eq!(lines[0]["data"]["reason"], "looked at");
        assert_eq!((&lines[1]["data"]["was"], &lines[1]["data"]["verdict"]), (&json!("hold"), &json!(now)));
        // Said again it changes nothing, and is not said again.
        let ActOutcome::Held(same) = end(&mut story, &told, ending) else { panic!("it ended so") };
        assert_eq!((same, said(&story.replay).len()), (ended, 0));
        let other = if ending == HoldEnding::Release { HoldEnding::Uphold } else { HoldEnding::Release };
        assert!(matches!(end(&mut story, &told, other), ActOutcome::EndedBefore(_)));
        assert_eq!(again(&mut story, &told, 0, "held")["current"], now);
        assert_eq!(open(&mut story), []);
        let recalled = story.replay.engine().recall("default", "/shop", told["event_id"].as_str().unwrap()).unwrap();
        let recalled: Value = serde_json::from_slice(&recalled).unwrap();
        assert_eq!((&recalled["verdict"], &recalled["current"]), (&json!("hold"), &json!(now)));
    }
    let mut story = Story::of(&by_word(RULES));
    let nobody = json!({"hold_id": "hold-0123456789abcdef"});
    assert_eq!(end(&mut story, &nobody, HoldEnding::Release), ActOutcome::NotFound);
}

#[test]
fn what_is_released_can_be_read_back_as_an_event() {
    let mut story = Story::of(&by_word(RULES));
    let told = requested(&mut story, 0, "held");
    end(&mut story, &told, HoldEnding::Release);
    let line = String::from_utf8(story.replay.said()[2].line.clone()).unwrap();
    assert_eq!(story.replay.judge(&format!("{line}\n")), [], "it is a valid event");
    let mut out = Vec::new();
    story.replay.write(&mut out);
    let verdict: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&verdict["type"], &verdict["account_id"]), (&json!("reward.released"), &json!("a")));
    // What moves no value releases no reward.
    let told = story.tell("login.succeeded", 0, json!({"account_id": "a", "channel": "held"}));
    end(&mut story, &told, HoldEnding::Release);
    assert_eq!(said(&story.replay).len(), 2);
}

#[test]
fn time_ends_a_hold_as_it_says_and_a_person_comes_too_late() {
    for (channel, hours, state, now) in [
        ("soon", 2, HoldState::Expired, "allow"),
        ("never", 3, HoldState::Expired, "block"),
        ("kept", 4, HoldState::Open, "hold"),
    ] {
        let mut story = Story::of(&by_word(RULES));
        let told = requested(&mut story, 0, channel);
        // Nothing happens between the places of the log at which time is looked at.
        story.tell("login.succeeded", hours * HOUR_MS - 1, json!({"account_id": "b"}));
        story.act(Deed::DeleteOverride(ActSubject {
            program: "default".to_owned(),
            kind: SubjectKind::Account,
            subject: "x".to_owned(),
        }));
        assert_eq!(hold(&mut story.replay, &told).state, HoldState::Open, "{channel}");
        story.tell("login.succeeded", hours * HOUR_MS, json!({"account_id": "b"}));
        let came = end(&mut story, &told, HoldEnding::Uphold);
        let hold = hold(&mut story.replay, &told);
        if state == HoldState::Open {
            assert!(matches!(came, ActOutcome::Held(_)), "what is kept waits on: {came:?}");
            continue;
        }
        assert!(matches!(came, ActOutcome::EndedBefore(_)), "{came:?}");
        assert_eq!((hold.state, hold.now.name()), (state, now), "{channel}");
        assert_eq!(said(&story.replay)[0]["data"]["state"], "expired");
        assert_eq!(again(&mut story, &told, 0, channel)["current"], now);
    }
    let mut story = Story::of(&by_word(RULES));
    let told = requested(&mut story, 0, "kept");
    story.tell("login.succeeded", 4 * HOUR_MS, json!({"account_id": "b"}));
    for _ in 0..1024 {
        story.tell("login.succeeded", 4 * HOUR_MS, json!({"account_id": "b"}));
    }
    assert!(hold(&mut story.replay, &told).is_overdue);
    let holds = story.replay.engine().holds();
    assert_eq!((holds.open(), holds.overdue()), (1, 1));
    end(&mut story, &told, HoldEnding::Release);
    let holds = story.replay.engine().holds();
    assert_eq!((holds.open(), holds.overdue()), (0, 0));
}

#[test]
fn an_ended_hold_is_forgotten_as_facts_about_accounts_are() {
    let options = EngineOptions { retention_ms: 2 * DAY_MS, ..EngineOptions::default() };
    let mut story = Story::with(&by_word(RULES), options);
    let told = requested(&mut story, 0, "held");
    end(&mut story, &told, HoldEnding::Release);
    for _ in 0..1100 {
        story.tell("login.succeeded", 2 * DAY_MS - 1, json!({"account_id": "b"}));
    }
    assert_eq!(story.replay.engine().holds().len(), 1);
    for _ in 0..1100 {
        story.tell("login.succeeded", 2 * DAY_MS, json!({"account_id": "b"}));
    }
    let holds = story.replay.engine().holds();
    assert_eq!((holds.len(), holds.bytes()), (0, 0));
}

#[test]
fn what_is_late_or_only_observed_makes_no_hold() {
    let mut story = Story::of(&by_word(RULES));
    story.tell("login.succeeded", 5 * HOUR_MS, json!({"account_id": "b"}));
    let late = requested(&mut story, 0, "held");
    assert_eq!((&late["verdict"], &late["late"], &late["hold_id"]), (&json!("hold"), &json!(true), &Value::Null));
    let policy = ProgramPolicy { observe_only: true, ..ProgramPolicy::default() };
    let policy = Policy { default: policy, ..Policy::default() };
    let mut observed = Story::with(&by_word(RULES), EngineOptions { policy, ..EngineOptions::default() });
    assert_eq!(requested(&mut observed, 0, "held")["would_be"], "hold");
    for story in [&mut story, &mut observed] {
        assert!(story.replay.engine().holds().is_empty());
    }
}

#[test]
fn holds_are_listed_by_their_reviews_in_pages() {
    let mut story = Story::of(&by_word(RULES));
    for (at, channel) in ["held", "soon", "never", "kept", "soon"].iter().enumerate() {
        requested(&mut story, at as i64, channel);
    }
    let other = story.tell("reward.requested", 9, json!({"account_id": "z", "channel": "held", "program": "gold"}));
    let reviews: Vec<i64> = open(&mut story).iter().map(|hold| hold.review_by_ms).collect();
    assert!(reviews.len() == 5 && reviews.is_sorted(), "{reviews:?}");
    let engine = story.replay.engine();
    let (mut found, mut behind) = (Vec::new(), None);
    loop {
        let wanted = HoldsWanted { program: "default".to_owned(), behind, count: 2, ..HoldsWanted::default() };
        let (page, next) = engine.open_holds(&wanted);
        found.extend(page.iter().map(|hold| hold.review_by_ms));
        let Some(next) = next else { break };
        behind = Some(next);
    }
    assert_eq!(found, reviews);
    let of = |account: &str, program: &str| {
        let wanted =
            HoldsWanted { program: program.to_owned(), account: Some(account.to_owned()), count: 9, behind: None };
        engine.open_holds(&wanted).0.iter().map(Hold::id).collect::<Vec<_>>()
    };
    assert_eq!(of("z", "gold"), [other["hold_id"].as_str().unwrap()]);
    assert_eq!((of("z", "default").len(), of("a", "default").len()), (0, 5));
}

#[test]
fn where_there_is_no_room_ended_holds_go_first_and_then_none_is_made() {
    let options = EngineOptions { state_max_bytes: 1 << 20, ..EngineOptions::default() };
    let mut story = Story::with(&by_word(RULES), options);
    let mut held = 0;
    let refused = loop {
        let told = requested(&mut story, 0, "held");
        assert_eq!(told["verdict"], "hold");
        if told["hold_id"].is_null() {
            break told;
        }
        held += 1;
    };
    assert!(held > 50, "{held}");
    assert_eq!(story.replay.engine().holds().refused(), 1);
    assert_eq!(again(&mut story, &refused, 0, "held")["hold_id"], Value::Null);
    let first = open(&mut story).remove(0);
    let first = json!({"hold_id": first.id()});
    end(&mut story, &first, HoldEnding::Release);
    assert!(requested(&mut story, 0, "held")["hold_id"].is_string(), "the ended one has left");
    assert!(story.replay.engine().hold(first["hold_id"].as_str().unwrap()).is_none());
}

fn account(subject: &str) -> ActSubject {
    ActSubject { program: "default".to_owned(), kind: SubjectKind::Account, subject: subject.to_owned() }
}

fn put(story: &mut Story, subject: &str, verdict: Verdict) {
    let put = PutOverride { of: account(subject), verdict, reason: "known".to_owned(), expires_ms: None };
    assert!(matches!(story.act(Deed::PutOverride(put)), ActOutcome::Overridden(_)));
}

/// Event time goes on to an instant, and is looked at.
fn pass(story: &mut Story, at_ms: i64) {
    story.tell("login.succeeded", at_ms, json!({"account_id": "nobody"}));
    story.act(Deed::DeleteOverride(account("nobody")));
}

#[test]
fn who_asks_again_after_the_span_is_told_of_the_hold() {
    for (ending, now) in [(None, "hold"), (Some(HoldEnding::Uphold), "block"), (Some(HoldEnding::Release), "allow")] {
        let mut story = Story::of(&by_word(RULES));
        let told = requested(&mut story, 0, "held decides");
        if let Some(ending) = ending {
            end(&mut story, &told, ending);
        }
        pass(&mut story, 30 * DAY_MS);
        // Nothing of what held it stands any more: judged afresh it would be let through.
        let afresh = requested(&mut story, 0, "");
        assert_eq!((&afresh["verdict"], &afresh["late"]), (&json!("allow"), &json!(true)));
        for round in 0..3 {
            let again = again(&mut story, &told, 0, "held decides");
            for name in ["hold_id", "cause", "score", "decisions", "parties"] {
                assert_eq!(again[name], told[name], "{name}");
            }
            assert_eq!((&again["current"], &again["late"]), (&json!(now), &Value::Null), "round {round}");
            assert_eq!(again["rules"][1]["id"], "held");
        }
        assert_eq!(story.replay.engine().holds().len(), 1);
    }
}

#[test]
fn another_event_of_the_same_name_has_a_hold_of_its_own() {
    let data = |account: &str| json!({"account_id": account, "channel": "held"});
    let mut story = Story::of(&by_word(RULES));
    let first = story.tell_as("e", "reward.requested", 0, data("a")).unwrap();
    pass(&mut story, 2 * DAY_MS);
    let second = story.tell_as("e", "reward.requested", 2 * DAY_MS, data("b")).unwrap();
    assert_eq!((&second["verdict"], &second["duplicate"]), (&json!("hold"), &Value::Null));
    assert_ne!(first["hold_id"], second["hold_id"]);
    assert_eq!(
        (&*hold(&mut story.replay, &first).event.account, &*hold(&mut story.replay, &second).event.account),
        ("a", "b")
    );
    end(&mut story, &second, HoldEnding::Release);
    let again = story.tell_as("e", "reward.requested", 2 * DAY_MS, data("b")).unwrap();
    assert_eq!((&again["hold_id"], &again["current"]), (&second["hold_id"], &json!("allow")));
    let recalled = story.replay.engine().recall("default", "/shop", "e").unwrap();
    let recalled: Value = serde_json::from_slice(&recalled).unwrap();
    assert_eq!((&recalled["hold_id"], &recalled["current"]), (&second["hold_id"], &json!("allow")));
    assert_eq!(hold(&mut story.replay, &first).state, HoldState::Open);
}

#[test]
fn each_side_that_was_held_is_released_by_its_own_account() {
    for (channel, sides) in [
        ("ours", &[("a", "referrer", None)][..]),
        ("theirs", &[("b", "referee", Some("a"))]),
        ("held", &[("a", "referrer", None), ("b", "referee", Some("a"))]),
    ] {
        let mut story = Story::of(&by_word(RULES));
        let data = json!({"account_id": "b", "referrer_id": "a", "channel": channel});
        let told = story.tell("reward.requested", 0, data);
        end(&mut story, &told, HoldEnding::Release);
        let keys: Vec<String> = story.replay.said()[2..].iter().map(|said| said.key.to_string()).collect();
        let mut lines = said(&story.replay).split_off(2);
        let of = |line: &Value| ["account_id", "party", "referrer_id"].map(|name| line["data"][name].clone());
        let expected: Vec<[Value; 3]> = sides.iter().map(|(a, side, by)| [json!(a), json!(side), json!(by)]).collect();
        assert_eq!(lines.iter().map(of).collect::<Vec<_>>(), expected, "{channel}");
        assert_eq!(keys, sides.iter().map(|side| side.0).collect::<Vec<_>>(), "{channel}");
        lines.dedup_by_key(|line| line["id"].clone());
        assert_eq!(lines.len(), sides.len(), "each is an event of its own");
    }
}

#[test]
fn a_side_that_is_held_has_a_hold_though_the_event_is_blocked() {
    let mut story = Story::of(&by_word(RULES));
    let data = || json!({"account_id": "b", "referrer_id": "a", "channel": "ours bad"});
    let told = story.tell_as("e", "reward.requested", 0, data()).unwrap();
    assert_eq!(
        (&told["verdict"], &told["parties"]),
        (&json!("block"), &json!({"referrer": "hold", "referee": "block"}))
    );
    assert_eq!(hold(&mut story.replay, &told).party.name(), "referrer");
    end(&mut story, &told, HoldEnding::Release);
    let types: Vec<(Value, Value)> =
        said(&story.replay).iter().map(|line| (line["type"].clone(), line["data"]["account_id"].clone())).collect();
    assert_eq!(types, [(json!("hold.ended"), json!("b")), (json!("reward.released"), json!("a"))]);
    let again = story.tell_as("e", "reward.requested", 0, data()).unwrap();
    assert_eq!(
        (&again["current"], &again["hold_id"]),
        (&json!("block"), &told["hold_id"]),
        "the referee stays blocked"
    );
}

#[test]
fn time_releases_nothing_against_what_was_decided_meanwhile() {
    for (case, state) in [
        ("nothing", HoldState::Expired),
        ("decided", HoldState::Open),
        ("decided and over", HoldState::Expired),
        ("blocked", HoldState::Open),
        ("decided and allowed", HoldState::Expired),
        ("held again", HoldState::Expired),
    ] {
        let mut story = Story::of(&by_word(RULES));
        let told = requested(&mut story, 0, "soon");
        match case {
            "decided" => drop(requested(&mut story, HOUR_MS, "decides")),
            "decided and over" => drop(requested(&mut story, -3 * HOUR_MS, "decides")),
            "held again" => drop(requested(&mut story, HOUR_MS, "soon")),
            "blocked" => put(&mut story, "a", Verdict::Block),
            "decided and allowed" => {
                requested(&mut story, HOUR_MS, "decides");
                put(&mut story, "a", Verdict::Allow);
            }
            _ => {}
        }
        pass(&mut story, 2 * HOUR_MS);
        let hold = hold(&mut story.replay, &told);
        assert_eq!((hold.state, hold.is_overdue), (state, state == HoldState::Open), "{case}");
        if state == HoldState::Open {
            pass(&mut story, 20 * HOUR_MS);
            assert_eq!(story.replay.engine().holds().overdue(), 1, "{case}: it is a person's to release");
        }
    }
}

#[test]
fn a_person_releases_nothing_against_an_override() {
    let mut story = Story::of(&by_word(RULES));
    let told = requested(&mut story, 0, "held");
    put(&mut story, "a", Verdict::Block);
    let ActOutcome::Blocked(word) = end(&mut story, &told, HoldEnding::Release) else { panic!("it is blocked") };
    assert_eq!((&*word.subject, word.verdict, said(&story.replay).len()), ("a", Verdict::Block, 0));
    assert_eq!(hold(&mut story.replay, &told).state, HoldState::Open);
    assert_eq!(story.act(Deed::DeleteOverride(account("a"))), ActOutcome::Deleted);
    assert!(matches!(end(&mut story, &told, HoldEnding::Release), ActOutcome::Held(_)));
}

#[test]
fn what_refguard_says_is_not_held_again() {
    let mut story = Story::of(&by_word(RULES));
    requested(&mut story, 0, "decides");
    let told = requested(&mut story, 1, "");
    assert_eq!((&told["verdict"], &told["cause"]), (&json!("hold"), &json!("decision")));
    end(&mut story, &told, HoldEnding::Release);
    let line = String::from_utf8(story.replay.said()[2].line.clone()).unwrap();
    assert_eq!(story.replay.judge(&format!("{line}\n")), []);
    let mut out = Vec::new();
    story.replay.write(&mut out);
    let verdict: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&verdict["type"], &verdict["verdict"]), (&json!("reward.released"), &json!("allow")));
    assert_eq!((&verdict["cause"], &verdict["hold_id"]), (&json!("none"), &Value::Null));
    assert_eq!(story.replay.engine().holds().open(), 0);
}

#[test]
fn one_program_takes_no_room_from_another() {
    let programs = vec![("gold".to_owned(), ProgramPolicy::default())];
    let policy = Policy { programs, ..Policy::default() };
    let mut story =
        Story::with(&by_word(RULES), EngineOptions { state_max_bytes: 2 << 20, policy, ..EngineOptions::default() });
    let ask = |story: &mut Story, program: &str| {
        let data = json!({"account_id": "a", "channel": "held", "program": program});
        story.tell("reward.requested", 0, data)
    };
    let gold = ask(&mut story, "gold");
    end(&mut story, &gold, HoldEnding::Uphold);
    // Made-up names have one share together.
    let flood = (0..9999).find(|at| ask(&mut story, &format!("p{at}"))["hold_id"].is_null());
    assert!(flood.is_some_and(|held| held > 50), "{flood:?}");
    assert_eq!(hold(&mut story.replay, &gold).state, HoldState::Upheld, "no other program's flood forgets it");
    assert!(ask(&mut story, "gold")["hold_id"].is_string());
}

#[test]
fn what_is_over_quota_makes_no_hold() {
    let quota = Quota { events: Some(EventQuota { per_second: 1, burst: 1 }), ..Quota::default() };
    let programs = vec![("gold".to_owned(), ProgramPolicy { quota, ..ProgramPolicy::default() })];
    let policy = Policy { programs, ..Policy::default() };
    let mut story = Story::with(&by_word(RULES), EngineOptions { policy, ..EngineOptions::default() });
    let data = || json!({"account_id": "a", "channel": "held", "program": "gold"});
    assert!(story.tell("reward.requested", 0, data())["hold_id"].is_string());
    let over = story.tell("reward.requested", 0, data());
    assert_eq!((&over["over_quota"], &over["verdict"], &over["hold_id"]), (&json!(true), &json!("hold"), &Value::Null));
}
