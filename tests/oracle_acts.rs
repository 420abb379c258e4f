//! What people do among random events, against a recount: for each event everything that came before it is looked at again, by
//! the plainest way there is. The same inputs in batches of any size, and over a checkpoint at any place, say the same bytes.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;

use refguard::engine::{ActOutcome, CheckpointStep, Engine, EngineOptions, Judgements, Restoring, derived_id};
use refguard::event::{Act, ActSubject, Deed, EndHold, HoldEnding, Lift, PutOverride, SubjectKind, Verdict};
use refguard::lab::Replay;
use refguard::ruleset::program::RuleSet;
use refguard::signals::SignalConfig;
use serde_json::{Value, json};

#[path = "support/pack.rs"]
mod pack;
#[path = "support/random.rs"]
mod random;

use random::Random;

/// 2026-05-01T00:00:00Z.
const START_MS: i64 = 1_777_593_600_000;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// Time is looked at behind every so many events.
const LOOK_EVERY: usize = 1024;

const RULES: &str = r#"
version: 1
pack: acts
rules:
  - {id: blocks, on: [reward.requested], when: 'event.channel == "blocks"', action: block}
  - {id: holds, on: [reward.requested], when: 'event.channel == "holds"', action: hold}
  - {id: soon, on: [reward.requested], when: 'event.channel == "soon"', action: hold, decide: [{subject: order, verdict: hold, ttl: 1h, on_expiry: release}]}
  - {id: never, on: [reward.requested], when: 'event.channel == "never"', action: hold, decide: [{subject: order, verdict: hold, ttl: 2h, on_expiry: block}]}
  - {id: account, on: [reward.requested], when: 'event.channel == "account"', score: 0, decide: [{subject: account, verdict: hold, ttl: 1h}]}
  - {id: device, on: [reward.requested], when: 'event.channel == "device"', score: 0, decide: [{subject: device, verdict: block, ttl: 30m}]}
"#;
const WORDS: &[&str] = &["", "", "", "", "blocks", "holds", "soon", "soon", "never", "account", "device"];

/// An event of the history.
#[derive(Clone, Debug)]
struct Told {
    time_ms: i64,
    account: String,
    device: String,
    word: &'static str,
}

/// What is taken in.
#[derive(Clone, Debug)]
enum Input {
    Event(Told),
    /// The event at an earlier place, once more.
    Repeat(usize, Told),
    Act(Act),
}

fn line(number: usize, told: &Told) -> String {
    let time = jiff::Timestamp::from_millisecond(told.time_ms).unwrap();
    let data = json!({"account_id": told.account, "device_id": told.device, "channel": told.word});
    let event = json!({
        "specversion": "1.0", "id": format!("e{number}"), "source": "/shop", "type": "reward.requested",
        "time": format!("{time:.3}"), "data": data,
    });
    format!("{event}\n")
}

fn subject(random: &mut Random) -> ActSubject {
    let (kind, subject) = match random.below(3) {
        0 => (SubjectKind::Device, format!("d{}", random.below(4))),
        _ => (SubjectKind::Account, format!("a{}", random.below(6))),
    };
    ActSubject { program: "default".to_owned(), kind, subject }
}

/// An earlier event, not long ago.
fn earlier(random: &mut Random, inputs: &[Input]) -> Option<(usize, Told)> {
    let place = inputs.len().checked_sub(1 + random.below(300) as usize)?;
    match &inputs[place] {
        Input::Event(told) => Some((place, told.clone())),
        Input::Repeat(..) | Input::Act(_) => None,
    }
}

fn hold_id(place: usize) -> String {
    derived_id("hold", ["default", "/shop", &format!("e{place}")])
}

fn history(random: &mut Random, length: usize) -> Vec<Input> {
    let mut now_ms = START_MS;
    let mut inputs = Vec::new();
    for number in 0..length {
        now_ms += random.below(2 * MINUTE_MS as u64) as i64;
        if random.chance(20)
            && let Some((place, told)) = earlier(random, &inputs)
        {
            inputs.push(Input::Repeat(place, told));
            continue;
        }
        if random.chance(15) {
            let of = subject(random);
            let what = if random.chance(6) {
                let rule = ["holds", "soon", "account", "device"][random.below(4) as usize];
                let (program, rule, reason) = (None, Some(rule.to_owned()), "wrong".to_owned());
                Deed::Lift(Lift { program, rule, ruleset: None, from_ms: None, to_ms: None, reason })
            } else if random.chance(60)
                && let Some((place, _)) = earlier(random, &inputs)
            {
                let end = if random.chance(50) { HoldEnding::Release } else { HoldEnding::Uphold };
                Deed::EndHold(EndHold { hold: hold_id(place), end, reason: "seen".to_owned() })
            } else if random.below(3) == 0 {
                Deed::DeleteOverride(of)
            } else {
                let verdict = if random.below(2) == 0 { Verdict::Allow } else { Verdict::Block };
                let expires_ms = (random.below(3) > 0).then(|| now_ms + random.below(4 * HOUR_MS as u64) as i64);
                Deed::PutOverride(PutOverride { of, verdict, reason: format!("reason {number}"), expires_ms })
            };
            inputs.push(Input::Act(Act { id: format!("act-{number}"), at_ms: now_ms, by: "token:t".into(), what }));
            continue;
        }
        inputs.push(Input::Event(Told {
            // Out of order, and never late.
            time_ms: now_ms - random.below(30 * MINUTE_MS as u64) as i64,
            account: format!("a{}", random.below(6)),
            device: format!("d{}", random.below(4)),
            word: WORDS[random.below(WORDS.len() as u64) as usize],
        }));
    }
    inputs
}

/// The gravest word of a person on an event at an instant, by everything before a place.
fn word(inputs: &[Input], place: usize, of: &Told, as_of_ms: i64) -> Option<Verdict> {
    let names = [(SubjectKind::Account, &of.account), (SubjectKind::Device, &of.device)];
    let stands = |(kind, name): (SubjectKind, &String)| {
        let mut word = None;
        for input in &inputs[..place] {
            let Input::Act(act) = input else { continue };
            match &act.what {
                Deed::PutOverride(put) if put.of.kind == kind && put.of.subject == *name => {
                    word = Some((put.verdict, put.expires_ms));
                }
                Deed::DeleteOverride(gone) if gone.kind == kind && gone.subject == *name => word = None,
                _ => {}
            }
        }
        let lives = |end: Option<i64>| end.is_none_or(|end| as_of_ms < end);
        word.filter(|(_, end)| lives(*end)).map(|(verdict, _)| verdict)
    };
    names.into_iter().filter_map(stands).max()
}

/// The verdict on the event at a place and what made it so, by everything before it.
fn recount(inputs: &[Input], place: usize) -> (&'static str, &'static str) {
    let Input::Event(of) = &inputs[place] else { panic!("it is an event") };
    if let Some(verdict) = word(inputs, place, of, of.time_ms) {
        return (verdict.name(), "override");
    }
    let decided = |word: &str, ttl_ms: i64, is_same: &dyn Fn(&Told) -> bool| {
        inputs[..place].iter().enumerate().any(|(at, input)| match input {
            Input::Event(told) => {
                let counts = told.word == word && is_same(told) && of.time_ms < told.time_ms + ttl_ms;
                counts && !inputs[at..place].iter().any(|input| lifts(input, word))
            }
            Input::Repeat(..) | Input::Act(_) => false,
        })
    };
    let by_rule = match of.word {
        "blocks" => Verdict::Block,
        "holds" | "soon" | "never" => Verdict::Hold,
        _ => Verdict::Allow,
    };
    let mut by_decision = Verdict::Allow;
    if decided("account", HOUR_MS, &|told| told.account == of.account) {
        by_decision = Verdict::Hold;
    }
    if decided("device", 30 * MINUTE_MS, &|told| told.device == of.device) {
        by_decision = Verdict::Block;
    }
    match by_rule.max(by_decision) {
        Verdict::Allow => ("allow", "none"),
        verdict if verdict == by_rule => (verdict.name(), "rule"),
        verdict => (verdict.name(), "decision"),
    }
}

/// Whether what this rule has decided and held is undone.
fn lifts(input: &Input, rule: &str) -> bool {
    matches!(input, Input::Act(Act { what: Deed::Lift(of), .. }) if of.rule.as_deref() == Some(rule))
}

/// What the verdict on the event at a place is at a later place, where its hold has ended: by whoever came first.
fn after_review(inputs: &[Input], place: usize, at: usize) -> Verdict {
    let Input::Event(of) = &inputs[place] else { panic!("it is an event") };
    // A decision that stood on its account keeps it: such a hold is ended by people alone.
    let is_decided = inputs[..place].iter().enumerate().any(|(at, input)| match input {
        Input::Event(told) => {
            let counts = told.word == "account" && told.account == of.account && of.time_ms < told.time_ms + HOUR_MS;
            counts && !inputs[at..place].iter().any(|input| lifts(input, "account"))
        }
        Input::Repeat(..) | Input::Act(_) => false,
    });
    let (mut by_rule, mut by_decision) = (["holds", "soon", "never"].contains(&of.word), is_decided);
    let (within_ms, then) = match of.word {
        "soon" => (HOUR_MS, Verdict::Allow),
        "never" => (2 * HOUR_MS, Verdict::Block),
        _ => (0, Verdict::Hold),
    };
    let counts = |input: &Input| !matches!(input, Input::Act(_));
    let (mut events, mut watermark_ms, mut is_overdue) = (0, i64::MIN, is_decided || then == Verdict::Hold);
    for (now, input) in inputs[..at].iter().enumerate() {
        // An act is taken in behind the look at time, an event before it.
        let (is_look, seen) = match input {
            Input::Event(told) | Input::Repeat(_, told) => {
                watermark_ms = watermark_ms.max(told.time_ms);
                events += usize::from(counts(input));
                (events % LOOK_EVERY == 0, &inputs[..=now])
            }
            Input::Act(_) => (true, &inputs[..now]),
        };
        if now <= place {
            continue;
        }
        let now_ms = watermark_ms.max(of.time_ms);
        if is_look && !is_overdue && of.time_ms + within_ms <= watermark_ms {
            if then == Verdict::Block || !is_stopped(seen, of, now_ms) {
                return then;
            }
            is_overdue = true;
        }
        let is_blocked = word(seen, seen.len(), of, now_ms) == Some(Verdict::Block);
        let left = (by_rule && !lifts(input, of.word), by_decision && !lifts(input, "account"));
        match left {
            (false, false) if is_blocked => {}
            (false, false) => return Verdict::Allow,
            left => (by_rule, by_decision) = left,
        }
        if let Input::Act(Act { what: Deed::EndHold(end), .. }) = input
            && end.hold == hold_id(place)
        {
            match end.end {
                HoldEnding::Release if is_blocked => {}
                HoldEnding::Release => return Verdict::Allow,
                HoldEnding::Uphold => return Verdict::Block,
            }
        }
    }
    Verdict::Hold
}

/// Whether something that came behind an event keeps its hold from being released by time.
fn is_stopped(inputs: &[Input], of: &Told, now_ms: i64) -> bool {
    if let Some(word) = word(inputs, inputs.len(), of, now_ms) {
        return word == Verdict::Block;
    }
    inputs.iter().enumerate().any(|(at, input)| {
        let Input::Event(told) = input else { return false };
        let ttl_ms = match told.word {
            "account" if told.account == of.account => HOUR_MS,
            "device" if told.device == of.device => 30 * MINUTE_MS,
            _ => return false,
        };
        now_ms < told.time_ms + ttl_ms && !inputs[at..].iter().any(|input| lifts(input, told.word))
    })
}

/// What the verdict on the event at a place, which was this, is at a later place.
fn current(inputs: &[Input], place: usize, at: usize, verdict: &str) -> Verdict {
    let Input::Event(of) = &inputs[place] else { panic!("it is an event") };
    let times = inputs[..at].iter().filter_map(|input| match input {
        Input::Event(told) | Input::Repeat(_, told) => Some(told.time_ms),
        Input::Act(_) => None,
    });
    let now_ms = times.max().unwrap_or(of.time_ms).max(of.time_ms);
    match word(inputs, at, of, now_ms) {
        Some(word) => word,
        None if verdict == "hold" => after_review(inputs, place, at),
        None => Verdict::from_name(verdict).unwrap(),
    }
}

/// Every event is kept by name.
fn options() -> EngineOptions {
    EngineOptions { named_bytes: 1 << 20, ..EngineOptions::default() }
}

fn replay(rules: &Arc<RuleSet>) -> Replay {
    Replay::new(Arc::clone(rules), &SignalConfig::default(), options()).unwrap()
}

/// Judges some of the inputs in batches of at most so many events.
fn judge(replay: &mut Replay, inputs: &[Input], first: usize, batch: usize, out: &mut Vec<u8>) -> Vec<ActOutcome> {
    let (mut lines, mut events, mut outcomes) = (String::new(), 0, Vec::new());
    let told = |replay: &Replay, out: &mut Vec<u8>| {
        for said in replay.said() {
            out.extend_from_slice(b"said ");
            out.extend_from_slice(&said.line);
            out.push(b'\n');
        }
    };
    let flush = |replay: &mut Replay, lines: &mut String, out: &mut Vec<u8>| {
        assert_eq!(replay.judge(lines), []);
        replay.write(out);
        told(replay, out);
        lines.clear();
    };
    for (at, input) in inputs.iter().enumerate() {
        match input {
            Input::Event(told) | Input::Repeat(_, told) => {
                let number = if let Input::Repeat(place, _) = input { *place } else { first + at };
                lines.push_str(&line(number, told));
                events += 1;
                if events % batch == 0 {
                    flush(replay, &mut lines, out);
                }
            }
            Input::Act(act) => {
                flush(replay, &mut lines, out);
                outcomes.push(replay.act(&Act::read(&act.line()).unwrap()).unwrap());
                told(replay, out);
            }
        }
    }
    flush(replay, &mut lines, out);
    outcomes
}

/// Verdicts in their order, and then what was said: between which verdicts that stands, in a file, is the batch's to say.
fn sorted(out: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = out.split(|byte| *byte == b'\n').collect();
    lines.sort_by_key(|line| line.starts_with(b"said "));
    lines
}

#[test]
fn verdicts_are_those_of_a_recount_whatever_the_batch() {
    let rules = pack::rules(RULES);
    let mut seen = BTreeMap::<String, usize>::new();
    for seed in 1..13 {
        let inputs = history(&mut Random(seed), 1500);
        let mut whole = Vec::new();
        let outcomes = judge(&mut replay(&rules), &inputs, 0, 32, &mut whole);
        for batch in [1, 7, 1000] {
            let mut again = Vec::new();
            assert_eq!(judge(&mut replay(&rules), &inputs, 0, batch, &mut again), outcomes, "seed {seed}");
            assert!(sorted(&again) == sorted(&whole), "seed {seed}: batches of {batch}");
        }
        let text = String::from_utf8(whole).unwrap();
        let mut lines = text.lines().filter(|line| !line.starts_with("said "));
        for at in 0..inputs.len() {
            let (place, told) = match &inputs[at] {
                Input::Event(told) => (at, told),
                Input::Repeat(place, told) => (*place, told),
                Input::Act(_) => continue,
            };
            let line: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
            let said = (line["verdict"].as_str().unwrap(), line["cause"].as_str().unwrap());
            assert_eq!(said, recount(&inputs, place), "seed {seed}, input {place}: {told:?}\n{line}");
            assert_eq!(line["hold_id"] == hold_id(place), said.0 == "hold", "{line}");
            if place == at {
                *seen.entry(format!("{} by {}", said.0, said.1)).or_default() += 1;
                continue;
            }
            let now = current(&inputs, place, at, said.0).name();
            assert_eq!(line["current"], now, "seed {seed}, input {at} repeats {place}: {told:?}\n{line}");
            *seen.entry(format!("{} is {now}", said.0)).or_default() += 1;
        }
    }
    let all = ["allow by none", "allow by override", "block by decision", "block by override", "block by rule"];
    let more = ["hold by decision", "hold by rule", "hold is allow", "hold is block", "hold is hold", "block is allow"];
    assert!(all.iter().chain(&more).all(|case| seen.get(*case).is_some_and(|times| *times > 30)), "{seen:?}");
}

/// Follows what is said as corrected: each goes on from what was told before.
fn follow<'a>(
    said: impl Iterator<Item = &'a [u8]>,
    told: &mut BTreeMap<String, Vec<String>>,
    seen: &mut BTreeMap<String, usize>,
) {
    for said in said {
        let line: Value = serde_json::from_slice(said).unwrap();
        if line["type"] != "verdict.corrected" {
            continue;
        }
        let text = |name: &str| line["data"][name].as_str().unwrap().to_owned();
        let before = told.insert(text("event_id"), vec![text("verdict")]);
        assert!(before.is_some_and(|before| before.contains(&text("was"))), "{line}");
        *seen.entry(text("why")).or_default() += 1;
    }
}

#[test]
fn whoever_follows_what_is_said_knows_what_every_verdict_is_now() {
    let rules = pack::rules(RULES);
    let mut seen = BTreeMap::new();
    for seed in 40..48 {
        // Within the span in which events are remembered.
        let inputs = history(&mut Random(seed), 1200);
        let (mut replay, mut told, mut firsts) = (replay(&rules), BTreeMap::new(), BTreeMap::new());
        let now = |replay: &mut Replay, id: &str| {
            let recalled = replay.engine().recall("default", "/shop", id).unwrap();
            let recalled: Value = serde_json::from_slice(&recalled).unwrap();
            ["verdict", "current"].map(|name| recalled[name].as_str().unwrap().to_owned())
        };
        for (at, input) in inputs.iter().enumerate() {
            let mut out = Vec::new();
            judge(&mut replay, std::slice::from_ref(input), at, 1, &mut out);
            if matches!(input, Input::Event(_)) {
                let [verdict, current] = now(&mut replay, &format!("e{at}"));
                // An event of before the end of a word that was not looked at yet meets it still, and whoever asks does not.
                told.insert(format!("e{at}"), vec![verdict.clone(), current]);
                firsts.insert(at, verdict);
            }
            let said = out.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"said "));
            follow(said, &mut told, &mut seen);
        }
        let mut last = Judgements::default();
        replay.engine().pass_time(&mut last);
        replay.engine().end_holds(&mut last);
        follow(last.said.iter().map(|said| &*said.line), &mut told, &mut seen);
        for (place, verdict) in firsts {
            let id = format!("e{place}");
            let [_, current_] = now(&mut replay, &id);
            assert!(told[&id].contains(&current_), "seed {seed}, {id}, what was said last: {:?}", told[&id]);
            // Time is looked at once more behind the last input.
            let mut all = inputs.clone();
            all.push(Input::Act(Act {
                id: "end".into(),
                at_ms: 0,
                by: "token:t".into(),
                what: Deed::DeleteOverride(nobody()),
            }));
            assert_eq!(current_, current(&all, place, all.len(), &verdict).name(), "seed {seed}, {id}, by a recount");
        }
    }
    let whys = ["hold.released", "hold.upheld", "hold.expired", "hold.lifted"];
    let more = ["override.put", "override.deleted", "override.expired"];
    assert!(whys.iter().chain(&more).all(|why| seen.get(*why).is_some_and(|times| *times > 4)), "{seen:?}");
}

fn nobody() -> ActSubject {
    ActSubject { program: "default".to_owned(), kind: SubjectKind::Account, subject: "nobody".to_owned() }
}

fn restored(segments: &[Vec<u8>], rules: &Arc<RuleSet>) -> Engine {
    let mut restoring = Restoring::new(Arc::clone(rules), options());
    segments.iter().for_each(|segment| restoring.take(segment).unwrap());
    restoring.finish().unwrap().0
}

#[test]
fn a_checkpoint_at_any_place_goes_on_as_what_was_never_stopped() {
    let rules = pack::rules(RULES);
    for seed in 20..32 {
        let random = &mut Random(seed);
        let inputs = history(random, 1500);
        let mut whole = Vec::new();
        judge(&mut replay(&rules), &inputs, 0, 32, &mut whole);

        let (mut replay_, mut out, mut from) = (replay(&rules), Vec::new(), 0);
        while from < inputs.len() {
            let to = inputs.len().min(from + 1 + random.below(200) as usize);
            judge(&mut replay_, &inputs[from..to], from, 7, &mut out);
            let mut segments = Vec::new();
            let put = &mut |segment: &[u8]| segments.push(segment.to_vec());
            // At once, or a part at a time while more comes, which is then taken in again.
            let mut ahead = Vec::new();
            if random.below(2) == 0 {
                replay_.engine().checkpoint(put);
            } else {
                let budget = 1 + random.below(3000) as usize;
                let mut next = to;
                replay_.engine().begin_checkpoint();
                while replay_.engine().step_checkpoint(budget, put) == CheckpointStep::Unfinished {
                    let end = inputs.len().min(next + random.below(20) as usize);
                    judge(&mut replay_, &inputs[next..end], next, 3, &mut ahead);
                    next = end;
                }
            }
            let engine = restored(&segments, &rules);
            replay_ = replay(&rules);
            replay_.go_on_with(engine, &SignalConfig::default()).unwrap();
            from = to;
        }
        assert!(sorted(&out) == sorted(&whole), "seed {seed}");
    }
}
