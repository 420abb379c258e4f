//! Overrides: what a person says of a subject beats rules, scores and decisions, until it ends.

use refguard::engine::{ActOutcome, OverridesWanted};
use refguard::event::{Act, ActSubject, Deed, PutOverride, SubjectKind, Verdict};
use serde_json::{Value, json};

use super::{HOUR_MS, START_MS, Story, by_word, summary};

const RULES: &[(&str, &str)] = &[
    ("blocked", "action: block"),
    ("scored", "score: 60"),
    ("decided", "score: 0, decide: [{subject: account, verdict: hold}]"),
    ("device", "score: 0, decide: [{subject: device, verdict: block}]"),
    ("ours", "action: block, applies_to: referrer"),
];

fn of(kind: SubjectKind, subject: &str) -> ActSubject {
    ActSubject { program: "default".to_owned(), kind, subject: subject.to_owned() }
}

impl Story {
    pub(crate) fn act(&mut self, what: Deed) -> ActOutcome {
        self.events += 1;
        let act = Act { id: format!("act-{}", self.events), at_ms: START_MS, by: "token:t".to_owned(), what };
        let line = act.line();
        self.replay.act(&Act::read(&line).unwrap()).unwrap()
    }

    /// Puts an override that ends so many milliseconds from the start; its id.
    fn put(&mut self, of: ActSubject, verdict: Verdict, ends_ms: Option<i64>) -> String {
        let expires_ms = ends_ms.map(|ms| START_MS + ms);
        let put = PutOverride { of, verdict, reason: "looked at".to_owned(), expires_ms };
        match self.act(Deed::PutOverride(put)) {
            ActOutcome::Overridden(stands) => stands.id,
            other => panic!("{other:?}"),
        }
    }

    fn ask(&mut self, account: &str, channel: &str) -> Value {
        self.tell("reward.requested", 0, json!({"account_id": account, "channel": channel, "device_id": "d"}))
    }
}

#[test]
fn an_override_beats_rules_scores_and_decisions() {
    let mut story = Story::of(&by_word(RULES));
    story.ask("a", "decided");
    let put = story.put(of(SubjectKind::Account, "a"), Verdict::Allow, None);
    for channel in ["", "blocked", "scored", "scored blocked"] {
        let told = story.ask("a", channel);
        assert_eq!((told["verdict"].as_str(), told["cause"].as_str()), (Some("allow"), Some("override")), "{channel}");
        assert_eq!(told["hold_id"], Value::Null);
        let played = told["decisions"].as_array().unwrap();
        assert!(played.contains(&json!(put)) && played.len() == 2, "{told}");
    }
    assert_eq!(summary(&story.ask("b", "blocked")), ("block", "rule", 0), "somebody else");
    story.put(of(SubjectKind::Account, "a"), Verdict::Block, None);
    assert_eq!(summary(&story.ask("a", "")), ("block", "override", 0), "another word takes the place of the first");
    assert_eq!(story.act(Deed::DeleteOverride(of(SubjectKind::Account, "a"))), ActOutcome::Deleted);
    assert_eq!(summary(&story.ask("a", "")), ("hold", "decision", 0), "what a rule decided stands again");
    assert_eq!(story.act(Deed::DeleteOverride(of(SubjectKind::Account, "a"))), ActOutcome::NotFound);
    assert_eq!(story.act(Deed::DeleteOverride(of(SubjectKind::Device, "a"))), ActOutcome::NotFound);
}

#[test]
fn of_several_overrides_the_gravest_counts() {
    let mut story = Story::of(&by_word(RULES));
    story.put(of(SubjectKind::Account, "a"), Verdict::Allow, None);
    story.put(of(SubjectKind::Device, "d"), Verdict::Block, None);
    let told = story.ask("a", "");
    assert_eq!(summary(&told), ("block", "override", 0));
    assert_eq!(told["decisions"].as_array().map(Vec::len), Some(2));
}

#[test]
fn each_side_of_a_referral_meets_the_word_on_it() {
    let mut story = Story::of(&by_word(RULES));
    let invite = |story: &mut Story, channel: &str| {
        let data = json!({"account_id": "b", "referrer_id": "a", "channel": channel, "device_id": "d"});
        let told = story.tell("referral.completed", 0, data);
        let side = |name: &str| told["parties"][name].as_str().unwrap().to_owned();
        (told["verdict"].as_str().unwrap().to_owned(), side("referrer"), side("referee"))
    };
    let three = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
    assert_eq!(invite(&mut story, "ours"), three("block", "block", "allow"));
    story.put(of(SubjectKind::Account, "b"), Verdict::Allow, None);
    assert_eq!(invite(&mut story, "ours"), three("allow", "block", "allow"), "the referrer is not whom it is about");
    story.put(of(SubjectKind::Account, "a"), Verdict::Allow, None);
    assert_eq!(invite(&mut story, "ours"), three("allow", "allow", "allow"));
    story.put(of(SubjectKind::Account, "b"), Verdict::Block, None);
    assert_eq!(invite(&mut story, ""), three("block", "allow", "block"));
    story.act(Deed::DeleteOverride(of(SubjectKind::Account, "b")));
    story.put(of(SubjectKind::Device, "d"), Verdict::Block, None);
    assert_eq!(invite(&mut story, ""), three("block", "block", "block"), "a thing is of both");
}

#[test]
fn an_override_ends_at_its_instant_of_event_time() {
    let mut story = Story::of(&by_word(RULES));
    story.put(of(SubjectKind::Account, "a"), Verdict::Block, Some(HOUR_MS));
    let at = |story: &mut Story, ms: i64| {
        story.tell("reward.requested", ms, json!({"account_id": "a"}))["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(at(&mut story, HOUR_MS - 1), "block");
    assert_eq!(at(&mut story, HOUR_MS), "allow");
    let wanted = OverridesWanted { program: "default".to_owned(), count: 9, ..OverridesWanted::default() };
    assert_eq!(story.replay.engine().overrides(&wanted).0.len(), 1, "an event that comes out of order may meet it");
    for _ in 0..1024 {
        at(&mut story, 3 * HOUR_MS);
    }
    assert_eq!(story.replay.engine().decisions().len(), 0, "it leaves with its time");
}

#[test]
fn what_has_ended_by_the_clock_and_still_counts_is_shown_and_can_be_taken_away() {
    let mut story = Story::of(&by_word(RULES));
    // Its end has come by the clock of who acts, and a backlog of events is older.
    story.put(of(SubjectKind::Account, "a"), Verdict::Block, Some(-1));
    let ask =
        |story: &mut Story| story.tell("reward.requested", -HOUR_MS, json!({"account_id": "a"}))["verdict"].clone();
    assert_eq!(ask(&mut story), "block");
    let wanted = OverridesWanted { program: "default".to_owned(), count: 9, ..OverridesWanted::default() };
    assert_eq!(story.replay.engine().overrides(&wanted).0.len(), 1);
    assert_eq!(story.act(Deed::DeleteOverride(of(SubjectKind::Account, "a"))), ActOutcome::Deleted);
    assert_eq!(ask(&mut story), "allow");
}

#[test]
fn one_question_looks_at_so_many_overrides_at_most() {
    let mut story = Story::of(&by_word(RULES));
    for at in 0..5000 {
        let program = "other".to_owned();
        let of = ActSubject { program, kind: SubjectKind::Account, subject: format!("a{at}") };
        story.put(of, Verdict::Block, None);
    }
    story.put(of(SubjectKind::Account, "a"), Verdict::Block, None);
    let (mut pages, mut found, mut behind) = (0, 0, None);
    loop {
        let wanted = OverridesWanted { program: "default".to_owned(), behind, count: 9, ..OverridesWanted::default() };
        let (page, next) = story.replay.engine().overrides(&wanted);
        (pages, found) = (pages + 1, found + page.len());
        let Some(next) = next else { break };
        behind = Some(next);
    }
    assert_eq!((pages, found), (2, 1));
}

#[test]
fn an_override_stands_on_what_no_rule_looks_at() {
    let rules = "  - {id: r, on: [login.succeeded], when: 'event.channel == \"x\"', action: flag}\n";
    for (kind, spelt, field, value) in [
        (SubjectKind::Email, "ab@gmail.com", "email", "A.b+tag@gmail.com"),
        (SubjectKind::Phone, "+966501234567", "phone", "050 123 4567"),
        (SubjectKind::Ip, "198.51.100.7", "ip", "::ffff:198.51.100.7"),
        (SubjectKind::IpPrefix, "198.51.100.0/24", "ip", "198.51.100.9"),
        (SubjectKind::Payment, "p1", "payment_fingerprint", "p1"),
    ] {
        let mut story = Story::of(rules);
        assert_eq!(story.replay.engine().spelt("default", kind, value).as_deref(), Some(spelt));
        story.put(of(kind, spelt), Verdict::Block, None);
        let told = story.tell("reward.requested", 0, json!({"account_id": "a", field: value}));
        assert_eq!(summary(&told), ("block", "override", 0), "{kind}");
    }
    let mut story = Story::of(rules);
    assert_eq!(story.replay.engine().spelt("default", SubjectKind::Ip, "no address"), None);
}

#[test]
fn saying_it_again_changes_nothing() {
    let mut story = Story::of(&by_word(RULES));
    let first = story.put(of(SubjectKind::Account, "a"), Verdict::Block, Some(HOUR_MS));
    assert_eq!(story.put(of(SubjectKind::Account, "a"), Verdict::Block, Some(HOUR_MS)), first);
    assert_ne!(story.put(of(SubjectKind::Account, "a"), Verdict::Block, None), first);
}

#[test]
fn a_program_that_is_only_observed_tells_what_it_would_be() {
    use refguard::engine::{EngineOptions, Policy, ProgramPolicy};
    let default = ProgramPolicy { observe_only: true, ..ProgramPolicy::default() };
    let policy = Policy { default, ..Policy::default() };
    let mut story = Story::with(&by_word(RULES), EngineOptions { policy, ..EngineOptions::default() });
    story.put(of(SubjectKind::Account, "a"), Verdict::Block, None);
    let told = story.ask("a", "");
    assert_eq!((told["verdict"].as_str(), told["would_be"].as_str()), (Some("allow"), Some("block")));
}
