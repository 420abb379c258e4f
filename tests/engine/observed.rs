//! A program that is only observed: nobody is stopped there, also not by who reads the log of decisions.

use refguard::engine::{EngineOptions, Policy, ProgramPolicy, Restoring};
use refguard::lab::Replay;
use refguard::signals::SignalConfig;
use serde_json::{Value, json};

use super::{Story, by_word, pack};

const RULES: &[(&str, &str)] = &[("decide", "score: 0, decide: [{subject: account, verdict: block}]")];

fn options(observe_only: bool) -> EngineOptions {
    let gold = ProgramPolicy { observe_only, ..ProgramPolicy::default() };
    let policy = Policy { programs: vec![("gold".to_owned(), gold)], ..Policy::default() };
    EngineOptions { policy, tells_decisions: true, ..EngineOptions::default() }
}

/// What stands in the log, by key.
fn told(story: &mut Story) -> Vec<String> {
    story.replay.engine().decision_page(None, 10).records.into_iter().map(|record| record.key).collect()
}

fn changes(story: &Story) -> Vec<Value> {
    story.replay.changes().map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// Goes on after a restart under other options.
fn restarted(mut story: Story, options: EngineOptions) -> Story {
    let rules = pack::rules(&format!("version: 1\npack: story\nrules:\n{}", by_word(RULES)));
    let mut restoring = Restoring::new(rules.clone(), options.clone());
    story.replay.engine().checkpoint(&mut |segment| restoring.take(segment).unwrap());
    let mut replay = Replay::new(rules, &SignalConfig::default(), options).unwrap();
    replay.go_on_with(restoring.finish().unwrap().0, &SignalConfig::default()).unwrap();
    story.replay = replay;
    story
}

fn ask(story: &mut Story, program: &str, account: &str, channel: &str) -> Value {
    story.tell("login.succeeded", 0, json!({"program": program, "account_id": account, "channel": channel}))
}

#[test]
fn what_is_decided_there_is_told_to_nobody() {
    let mut story = Story::with(&by_word(RULES), options(true));
    ask(&mut story, "gold", "a", "decide");
    assert_eq!(changes(&story), [] as [Value; 0]);
    ask(&mut story, "default", "a", "decide");
    assert_eq!(changes(&story).len(), 1);
    assert_eq!(told(&mut story), ["default/account/a"]);
    assert_eq!(story.replay.engine().decisions().active_sets().map(|(name, _)| name).collect::<Vec<_>>(), ["default"]);
    assert_eq!(story.replay.engine().decisions().log_number(), 1, "numbers have no gap");
    // It stands all the same, or nobody could tell what would be.
    let next = ask(&mut story, "gold", "a", "");
    assert_eq!((&next["verdict"], &next["would_be"]), (&json!("allow"), &json!("block")));
}

#[test]
fn it_is_told_once_the_program_is_not_only_observed_and_ends_when_it_is_again() {
    let mut story = Story::with(&by_word(RULES), options(true));
    ask(&mut story, "gold", "a", "decide");
    let mut story = restarted(story, options(false));
    assert_eq!(told(&mut story), [""; 0], "not before the next event");
    ask(&mut story, "default", "b", "");
    let changed = changes(&story);
    assert_eq!((&changed[0]["id"], &changed[0]["verdict"]), (&json!("a"), &json!("block")), "{changed:?}");
    assert_eq!(told(&mut story), ["gold/account/a"]);
    let mut story = restarted(story, options(false));
    ask(&mut story, "default", "c", "");
    assert_eq!(changes(&story), [] as [Value; 0], "nothing is told twice");
    let mut story = restarted(story, options(true));
    ask(&mut story, "default", "d", "");
    let changed = changes(&story);
    assert_eq!(
        (&changed[0]["verdict"], &changed[0]["ended"]["why"]),
        (&json!(null), &json!("observed")),
        "{changed:?}"
    );
    assert_eq!(told(&mut story), [""; 0]);
    let counts: Vec<_> = story.replay.engine().decisions().active_sets().collect();
    assert!(counts.is_empty(), "{counts:?}");
}
