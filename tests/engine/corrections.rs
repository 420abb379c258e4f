//! What verdicts that were given are now by the word of a person, and that it is said.

use refguard::engine::{ActOutcome, EngineOptions, HoldState};
use refguard::event::{Act, ActSubject, Deed, EndHold, HoldEnding, PutOverride, SubjectKind, Verdict};
use serde_json::{Value, json};

use super::{HOUR_MS, START_MS, Story, by_word};

const RULES: &[(&str, &str)] =
    &[("held", "action: hold"), ("blocked", "action: block"), ("theirs", "action: hold, applies_to: referee")];

fn story() -> Story {
    Story::with(&by_word(RULES), EngineOptions { named_bytes: 1 << 20, ..EngineOptions::default() })
}

fn of(kind: SubjectKind, subject: &str) -> ActSubject {
    ActSubject { program: "default".to_owned(), kind, subject: subject.to_owned() }
}

fn ask(story: &mut Story, account: &str, at_ms: i64, channel: &str) -> Value {
    let data = json!({"account_id": account, "channel": channel, "order_id": "o", "reward_id": format!("r-{account}")});
    story.tell("reward.requested", at_ms, data)
}

/// What was said last, as `event was verdict why`.
fn corrected(story: &Story) -> Vec<String> {
    let said = story.replay.said().iter().map(|said| serde_json::from_slice::<Value>(&said.line).unwrap());
    let text = |line: &Value, name: &str| line["data"][name].as_str().unwrap_or("-").to_owned();
    let line = |line: &Value| ["event_id", "was", "verdict", "why"].map(|name| text(line, name)).join(" ");
    said.filter(|said| said["type"] == "verdict.corrected").map(|said| line(&said)).collect()
}

fn put(story: &mut Story, of: ActSubject, verdict: Verdict, ends_ms: Option<i64>) -> Vec<String> {
    let expires_ms = ends_ms.map(|ms| START_MS + ms);
    let put = PutOverride { of, verdict, reason: "looked at".to_owned(), expires_ms };
    assert!(matches!(story.act(Deed::PutOverride(put)), ActOutcome::Overridden(_)));
    corrected(story)
}

fn delete(story: &mut Story, of: ActSubject) -> Vec<String> {
    assert_eq!(story.act(Deed::DeleteOverride(of)), ActOutcome::Deleted);
    corrected(story)
}

/// What the verdict is now, of whom the name of an event is all that is known.
fn now(story: &mut Story, id: &str) -> String {
    let recalled = story.replay.engine().recall("default", "/shop", id).expect("it is remembered");
    let recalled: Value = serde_json::from_slice(&recalled).unwrap();
    recalled["current"].as_str().unwrap().to_owned()
}

#[test]
fn a_word_reaches_the_verdicts_that_were_given_and_says_so() {
    let mut story = story();
    for (account, channel) in [("a", ""), ("a", "held"), ("b", "blocked"), ("c", "")] {
        ask(&mut story, account, 0, channel);
    }
    // Where no value moves and nothing spoke against it, nobody pays.
    story.tell("login.succeeded", 0, json!({"account_id": "a"}));
    let account = || of(SubjectKind::Account, "a");
    assert_eq!(
        put(&mut story, account(), Verdict::Block, None),
        ["e1 allow block override.put", "e2 hold block override.put"]
    );
    assert_eq!(["e1", "e2", "e3", "e4"].map(|id| now(&mut story, id)), ["block", "block", "block", "allow"]);
    let order = || of(SubjectKind::Order, "o");
    assert_eq!(
        put(&mut story, order(), Verdict::Allow, None),
        ["e3 block allow override.put"],
        "of several the gravest counts"
    );
    assert_eq!(now(&mut story, "e3"), "allow");
    assert_eq!(delete(&mut story, account()), ["e1 block allow override.deleted", "e2 block allow override.deleted"]);
    assert_eq!(delete(&mut story, order()), ["e2 allow hold override.deleted", "e3 allow block override.deleted"]);
    assert_eq!(["e1", "e2", "e3", "e4"].map(|id| now(&mut story, id)), ["allow", "hold", "block", "allow"]);
    assert_eq!(story.act(Deed::DeleteOverride(order())), ActOutcome::NotFound);
    assert_eq!(corrected(&story), [""; 0], "nothing has changed");
}

#[test]
fn an_end_by_time_is_said_too() {
    let mut story = story();
    ask(&mut story, "a", 0, "held");
    ask(&mut story, "a", 0, "");
    let account = || of(SubjectKind::Account, "a");
    assert_eq!(put(&mut story, account(), Verdict::Allow, Some(HOUR_MS)), ["e1 hold allow override.put"]);
    let mut said = Vec::new();
    for at in 0..1024 {
        ask(&mut story, "b", 2 * HOUR_MS + at, "");
        said.extend(corrected(&story));
    }
    assert_eq!(said, ["e1 allow hold override.expired"]);
    assert_eq!(now(&mut story, "e1"), "hold");
}

#[test]
fn the_end_of_a_hold_changes_nothing_against_a_word() {
    let mut story = story();
    let told = ask(&mut story, "a", 0, "held");
    put(&mut story, of(SubjectKind::Account, "a"), Verdict::Allow, None);
    let hold = told["hold_id"].as_str().unwrap().to_owned();
    let end = EndHold { hold: hold.clone(), end: HoldEnding::Uphold, reason: "r".to_owned() };
    assert!(matches!(story.act(Deed::EndHold(end)), ActOutcome::Held(_)));
    assert_eq!(corrected(&story), [""; 0], "it is allow all the same");
    assert_eq!(now(&mut story, "e1"), "allow");
    assert_eq!(delete(&mut story, of(SubjectKind::Account, "a")), ["e1 allow block override.deleted"]);
    assert_eq!(story.replay.engine().hold(&hold).unwrap().state, HoldState::Upheld);
}

#[test]
fn an_event_that_nothing_stops_is_not_corrected() {
    let mut story = story();
    // What refguard said itself stands as it is.
    let data = json!({"account_id": "a", "reward_id": "r"});
    let event = json!({"specversion": "1.0", "id": "own", "source": "refguard", "type": "reward.released",
        "time": "2026-05-01T00:00:00.000Z", "data": data});
    assert_eq!(story.replay.judge(&format!("{event}\n")), []);
    assert_eq!(put(&mut story, of(SubjectKind::Account, "a"), Verdict::Block, None), [""; 0]);
}

#[test]
fn a_checkpoint_has_what_it_takes() {
    let options = || EngineOptions { named_bytes: 1 << 20, ..EngineOptions::default() };
    let mut first = story();
    ask(&mut first, "a", 0, "");
    ask(&mut first, "a", 0, "held");
    let mut segments = Vec::new();
    first.replay.engine().checkpoint(&mut |segment| segments.push(segment.to_vec()));
    let rules = std::sync::Arc::clone(first.replay.engine().rules());
    let mut restoring = refguard::engine::Restoring::new(rules, options());
    segments.iter().for_each(|segment| restoring.take(segment).unwrap());
    let (mut engine, _) = restoring.finish().unwrap();
    let mut said = refguard::engine::Judgements::default();
    let of = of(SubjectKind::Account, "a");
    let put = PutOverride { of, verdict: Verdict::Block, reason: "r".to_owned(), expires_ms: None };
    let act = Act { id: "act-1".to_owned(), at_ms: START_MS, by: "token:t".to_owned(), what: Deed::PutOverride(put) };
    engine.act(&act, &mut said);
    assert_eq!(said.said.len(), 2);
}
