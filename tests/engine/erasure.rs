//! `account.erased`: what lies under the account's id goes at that place of the log, and nothing else.

use std::sync::Arc;

use refguard::engine::{Backfill, Engine, EngineOptions, HoldState, HoldsWanted, Restoring};
use refguard::event::{ActSubject, Deed, PutOverride, SubjectKind, Verdict};
use refguard::lab::Replay;
use refguard::signals::SignalConfig;
use serde_json::{Value, json};

use super::{HOUR_MS, Story, pack};

/// What is counted by an account, by whoever invited it, by a device and by a shop that has a number too.
const PACK: &str = r#"
version: 1
pack: story
features:
  logins: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 24h}
  devices: {on: [login.succeeded], key: [event.account_id], aggregate: set, value: event.device_id, window: 24h}
  month: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: month}
  invited: {on: [referral.completed], key: [event.referrer_id], aggregate: count, window: 24h}
  on_device: {on: [login.succeeded], key: [event.device_id], aggregate: distinct, value: event.account_id, window: 24h}
  at_shop: {on: [login.succeeded], key: [event.merchant_id], aggregate: count, window: 24h}
  everywhere: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 24h, scope: global}
rules:
  - {id: told, on: [login.succeeded], when: logins > 0, score: 0,
     message: "{logins} {size(devices)} {month} {on_device} {at_shop} {everywhere} {account.age} {account.referrer} {invited.at(event.account_id)}"}
  - {id: held, on: [reward.requested], when: event.channel == "web", action: hold}
  - {id: decided, on: [login.failed], when: event.result == "declined", score: 0, decide: [{subject: account, verdict: block}]}
"#;

const MIN_MS: i64 = 60_000;

fn login(story: &mut Story, account: &str, at_ms: i64) -> String {
    let data = json!({"account_id": account, "device_id": "d", "merchant_id": "7"});
    let told = story.tell("login.succeeded", at_ms, data);
    told["rules"][0]["message"].as_str().unwrap().to_owned()
}

/// Account 7 has done all that is remembered of an account, and 8 the same.
fn lived() -> Story {
    let options = EngineOptions { tells_decisions: true, ..EngineOptions::default() };
    let mut story = Story::with_pack(PACK, options);
    for account in ["7", "8"] {
        story.tell("referral.completed", 0, json!({"account_id": account, "referrer_id": "9"}));
        story.tell("referral.completed", 0, json!({"account_id": format!("{account}0"), "referrer_id": account}));
        login(&mut story, account, MIN_MS);
        let asked =
            json!({"account_id": account, "channel": "web", "reward_id": "r", "amount_minor": 5, "currency": "PTS"});
        story.tell("reward.requested", 2 * MIN_MS, asked);
        story.tell("login.failed", 3 * MIN_MS, json!({"account_id": account, "result": "declined"}));
    }
    story
}

fn knows(engine: &mut Engine, account: &str) -> bool {
    let dossier = engine.dossier("default", account, false);
    dossier.decision.is_some()
        || !dossier.facts.is_empty()
        || dossier.referrer.is_some()
        || !dossier.features.is_empty()
}

fn restored(engine: &Engine) -> Engine {
    let options = EngineOptions { tells_decisions: true, ..EngineOptions::default() };
    let mut restoring = Restoring::new(pack::rules(PACK), options);
    engine.checkpoint(&mut |segment| restoring.take(segment).unwrap());
    restoring.finish().unwrap().0
}

#[test]
fn what_lies_under_the_account_alone_goes_and_nothing_else() {
    let mut story = lived();
    assert_eq!(login(&mut story, "7", 4 * MIN_MS), "2 1 2 2 3 2 240s 9 1");
    let put = PutOverride {
        of: ActSubject { program: "default".to_owned(), kind: SubjectKind::Account, subject: "7".to_owned() },
        verdict: Verdict::Allow,
        reason: "looked at".to_owned(),
        expires_ms: None,
    };
    story.act(Deed::PutOverride(put));
    let erased = story.tell("account.erased", 5 * MIN_MS, json!({"account_id": "7"}));
    assert_eq!(erased["verdict"], "allow", "it is judged before it is forgotten: {erased}");
    let engine = story.replay.engine();
    assert!(!knows(engine, "7") && knows(engine, "8"));
    assert!(!knows(&mut restored(engine), "7") && knows(&mut restored(engine), "8"));
    // It begins anew; its device, its shop and what programs share have seen it, and go by their windows.
    assert_eq!(login(&mut story, "7", 6 * MIN_MS), "1 1 1 2 4 3 0s ? 0");
    assert_eq!(login(&mut story, "8", 6 * MIN_MS), "2 1 2 2 5 2 360s 9 1");
    assert_eq!(login(&mut story, "9", 6 * MIN_MS), "1 1 1 3 6 1 0s ? 2", "who invited it has done so");
}

#[test]
fn what_stands_on_it_ends_and_says_why() {
    let mut story = lived();
    story.tell("account.erased", 5 * MIN_MS, json!({"account_id": "7"}));
    let said: Vec<Value> = story.replay.said().iter().map(|said| serde_json::from_slice(&said.line).unwrap()).collect();
    let ended: Vec<&Value> = said.iter().filter(|line| line["type"] == "hold.ended").collect();
    assert_eq!(ended.len(), 1, "{said:?}");
    assert_eq!((&ended[0]["data"]["account_id"], &ended[0]["data"]["verdict"]), (&json!("7"), &json!("block")));
    assert!(!said.iter().any(|line| line["type"] == "reward.released"), "{said:?}");
    let hold = ended[0]["data"]["hold_id"].as_str().unwrap();
    let hold = story.replay.engine().hold(hold).unwrap().clone();
    assert_eq!((hold.state, &*hold.end.unwrap().reason), (HoldState::Expired, "the account was erased"));
    let wanted = HoldsWanted { program: "default".to_owned(), count: 9, ..HoldsWanted::default() };
    let (open, _) = story.replay.engine().open_holds(&wanted);
    assert_eq!(open.iter().map(|hold| &*hold.event.account).collect::<Vec<_>>(), ["8"]);
    let page = story.replay.engine().decision_page(None, 10);
    assert_eq!(page.records.iter().map(|of| of.key.as_str()).collect::<Vec<_>>(), ["default/account/8"]);
}

#[test]
fn the_log_of_decisions_says_that_it_was_erased() {
    let mut story = lived();
    story.tell("account.erased", 5 * MIN_MS, json!({"account_id": "7"}));
    let last: Value = serde_json::from_slice(story.replay.changes().last().unwrap()).unwrap();
    assert_eq!((&last["id"], &last["verdict"], &last["ended"]["why"]), (&json!("7"), &json!(null), &json!("erased")));
}

#[test]
fn a_repeat_of_it_forgets_nothing_and_another_program_keeps_its_own() {
    let mut story = lived();
    let gold = |story: &mut Story, at_ms: i64| {
        let told = story.tell("login.succeeded", at_ms, json!({"account_id": "7", "program": "gold"}));
        told["rules"][0]["message"].as_str().unwrap().to_owned()
    };
    assert!(gold(&mut story, 4 * MIN_MS).starts_with("1 "));
    let erased = json!({"account_id": "7"});
    story.tell_as("gone", "account.erased", 5 * MIN_MS, erased.clone()).unwrap();
    assert!(gold(&mut story, 6 * MIN_MS).starts_with("2 "));
    assert!(login(&mut story, "7", 6 * MIN_MS).starts_with("1 "));
    let again = story.tell_as("gone", "account.erased", 5 * MIN_MS, erased).unwrap();
    assert_eq!(again["duplicate"], true);
    assert!(login(&mut story, "7", 7 * MIN_MS).starts_with("2 "));
}

#[test]
fn however_the_log_is_cut_into_batches() {
    let line = |at: usize| {
        let account = at % 5;
        let kind = if at % 17 == 16 { "account.erased" } else { ["login.succeeded", "referral.completed"][at % 2] };
        let (minute, second) = (at / 60, at % 60);
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"e{at}\",\"source\":\"/s\",\"type\":\"{kind}\",\"time\":\"2026-05-01T00:{minute:02}:{second:02}Z\",\
             \"data\":{{\"account_id\":\"{account}\",\"referrer_id\":\"{}\",\"device_id\":\"d\",\"merchant_id\":\"7\"}}}}\n",
            (at + 1) % 5
        )
    };
    let lines: Vec<String> = (0..1500).map(line).collect();
    let judged = |size: usize| {
        let mut replay = Replay::new(pack::rules(PACK), &SignalConfig::default(), EngineOptions::default()).unwrap();
        let mut out = Vec::new();
        for batch in lines.chunks(size) {
            assert_eq!(replay.judge(&batch.concat()), []);
            replay.write(&mut out);
        }
        String::from_utf8(out).unwrap()
    };
    let one_by_one = judged(1);
    assert!(one_by_one.contains("\"1 1 1 1 "), "somebody began anew");
    for size in [7, 32, 1500] {
        assert!(judged(size) == one_by_one, "in batches of {size}");
    }
}

#[test]
fn a_checkpoint_that_is_under_way_has_what_was_there_when_it_began() {
    let mut story = lived();
    let rules = pack::rules(PACK);
    let options = EngineOptions { tells_decisions: true, ..EngineOptions::default() };
    let mut restoring = Restoring::new(Arc::clone(&rules), options);
    story.replay.engine().begin_checkpoint();
    story.tell("account.erased", 5 * MIN_MS, json!({"account_id": "7"}));
    while story.replay.engine().step_checkpoint(usize::MAX, &mut |segment| restoring.take(segment).unwrap())
        == refguard::engine::CheckpointStep::Unfinished
    {}
    assert!(knows(&mut restoring.finish().unwrap().0, "7"));
    assert!(!knows(story.replay.engine(), "7"));
}

#[test]
fn history_that_has_it_counts_nothing_before_it() {
    let mut story = Story::with_pack(PACK, EngineOptions::default());
    let line = |id: &str, kind: &str, minute: u32| {
        let data = json!({"account_id": "7", "device_id": "d", "merchant_id": "7"});
        let time = format!("2026-05-01T00:{minute:02}:00Z");
        json!({"specversion": "1.0", "id": id, "source": "/s", "type": kind, "time": time, "data": data}).to_string()
    };
    let lines = [line("h1", "login.succeeded", 0), line("h2", "account.erased", 1), line("h3", "login.succeeded", 2)];
    let lines = lines.join("\n") + "\n";
    story.replay.backfill(&lines, &mut Backfill::Whole);
    assert!(login(&mut story, "7", HOUR_MS).starts_with("2 "), "that after it, and this one");
    // Into a feature alone, which others do not notice.
    let mut story = Story::with_pack(PACK, EngineOptions::default());
    assert!(login(&mut story, "7", HOUR_MS).starts_with("1 1 1 "));
    let mut into = story.replay.engine().begin_backfill(&["logins".to_owned()]);
    story.replay.backfill(&lines, &mut into);
    assert!(login(&mut story, "7", HOUR_MS).starts_with("2 1 2 "), "what the daemon counted of it goes with the rest");
}
