//! Quotas of programs: what one may take, that another does not feel it, and that made-up names gain nothing.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use std::collections::{BTreeMap, BTreeSet};

use refguard::engine::{
    Backfill, EngineOptions, EventQuota, Policy, ProgramPolicy, Quota, QuotaChange, QuotaOf, QuotaUse, Restoring,
};
use refguard::lab::Replay;
use refguard::signals::SignalConfig;
use serde_json::{Value, json};

#[path = "support/pack.rs"]
mod pack;
#[path = "support/random.rs"]
mod random;

/// 2026-05-01T00:00:00Z.
const START_MS: i64 = 1_777_593_600_000;
const HOUR_MS: i64 = 3_600_000;

const PACK: &str = "
version: 1
pack: quotas
features:
  by_device: {on: [login.succeeded], key: [device.id], aggregate: count, window: 1h}
  by_account: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 1h}
  devices: {on: [login.succeeded], key: [event.account_id], aggregate: distinct, value: device.id, window: 1h}
  ring: {on: [login.succeeded], key: [event.account_id], aggregate: component, links: [device.id], window: 1h, generation: 10m}
rules:
  - {id: any, on: [login.succeeded], when: by_device >= 0 && by_account >= 0 && devices >= 0 && ring >= 0, score: 1}
  - {id: many, on: [login.succeeded], when: by_account > 3, score: 30, decide: [{subject: account, verdict: hold}]}
  - {id: aged, on: [login.succeeded], when: account.age > duration('10m') && account.new_device, score: 5}
  - {id: first, on: [login.succeeded], when: by_device <= 1 && exact(by_device), score: 1}
";
/// The same with one feature less, one more, and one changed.
const CHANGED: &str = "
version: 1
pack: quotas
features:
  by_device: {on: [login.succeeded], key: [device.id], aggregate: count, window: 1h}
  by_account: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 2h}
  by_both: {on: [login.succeeded], key: [event.account_id, device.id], aggregate: count, window: 1h}
rules:
  - {id: any, on: [login.succeeded], when: by_device >= 0 && by_account >= 0 && by_both >= 0, score: 1}
";

fn keys(keys: usize) -> Quota {
    Quota { keys: Some(keys), ..Quota::default() }
}

fn options(named: &[(&str, Quota)], unnamed_quota: Quota) -> EngineOptions {
    let of = |(name, quota): &(&str, Quota)| {
        ((*name).to_owned(), ProgramPolicy { quota: *quota, ..ProgramPolicy::default() })
    };
    let policy = Policy { programs: named.iter().map(of).collect(), unnamed_quota, ..Policy::default() };
    EngineOptions { policy, dedup_span_ms: HOUR_MS, ..EngineOptions::default() }
}

fn replay(options: EngineOptions) -> Replay {
    Replay::new(pack::rules(PACK), &SignalConfig::default(), options).unwrap()
}

fn login(id: u64, program: &str, at_ms: i64, account: &str, device: &str) -> String {
    let time = jiff::Timestamp::from_millisecond(START_MS + at_ms).unwrap();
    let data = json!({"program": program, "account_id": account, "device_id": device});
    let event = json!({
        "specversion": "1.0", "id": id.to_string(), "source": "/shop", "type": "login.succeeded",
        "time": format!("{time:.3}"), "data": data,
    });
    format!("{event}\n")
}

/// Verdict lines, judged so many events at once.
fn judge(replay: &mut Replay, lines: &[String], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for lines in lines.chunks(size) {
        assert_eq!(replay.judge(&lines.concat()), []);
        replay.write(&mut out);
    }
    out
}

fn verdicts(out: &[u8]) -> Vec<Value> {
    out.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

fn tell(replay: &mut Replay, line: &str) -> Value {
    verdicts(&judge(replay, &[line.to_owned()], 1)).remove(0)
}

fn of<'u>(uses: &'u [QuotaUse], program: Option<&str>, kind: QuotaOf) -> &'u QuotaUse {
    uses.iter().find(|of| of.program.as_deref() == program && of.of == kind).unwrap()
}

/// How many keys there are in all tables.
fn all_keys(replay: &mut Replay) -> usize {
    let size = replay.engine().size();
    let tables = size.others.iter().filter(|part| part.feature.starts_with("account."));
    size.features.iter().chain(tables).map(|part| part.keys).sum()
}

/// How many keys a quota was last seen to have.
fn counted_keys(replay: &mut Replay, program: Option<&str>, quota: usize) -> usize {
    let uses = replay.engine().quota_uses();
    (of(&uses, program, QuotaOf::Keys).used * quota as f64).round() as usize
}

fn is_inexact(verdict: &Value) -> bool {
    verdict["evidence"].as_array().unwrap().iter().any(|of| of["exact"] == false)
}

/// Honest logins of one program, and between them what makes up accounts and devices in another.
fn flooded() -> Vec<String> {
    let mut random = random::Random(11);
    let mut lines = Vec::new();
    for at in 0..12_000_u64 {
        let at_ms = at as i64 * 100;
        let line = if at % 12 == 0 {
            let account = format!("honest-{}", random.below(120));
            let device =
                if random.chance(80) { account.replace("honest", "home") } else { format!("d{}", random.below(500)) };
            login(at, "gold", at_ms, &account, &device)
        } else {
            login(at, "noisy", at_ms, &format!("a{}", random.below(3000)), &format!("random-{at}"))
        };
        lines.push(line);
    }
    lines
}

/// What is said to be exact is what a recount gives over the events that were within the quota of events. Answers how often it was said.
fn recount(lines: &[String], said: &[Value]) -> usize {
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    let mut devices: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut exact = 0;
    for (line, verdict) in lines.iter().zip(said) {
        let data = &serde_json::from_str::<Value>(line).unwrap()["data"];
        let [program, account, device] =
            ["program", "account_id", "device_id"].map(|name| data[name].as_str().unwrap());
        let (of_account, of_device) = (format!("{program} account {account}"), format!("{program} device {device}"));
        if verdict.get("over_quota").is_none() {
            *counts.entry(of_account.clone()).or_default() += 1;
            *counts.entry(of_device.clone()).or_default() += 1;
            devices.entry(of_account.clone()).or_default().insert(device.to_owned());
        }
        let count = |of: &String| counts.get(of).copied().unwrap_or(0);
        let distinct = devices.get(&of_account).map_or(0, BTreeSet::len) as i64;
        let expected = [("by_account", count(&of_account)), ("by_device", count(&of_device)), ("devices", distinct)];
        for of in verdict["evidence"].as_array().unwrap().iter().filter(|of| of["exact"] == true) {
            if let Some((_, value)) = expected.iter().find(|(feature, _)| of["feature"] == *feature) {
                assert_eq!(of["value"], *value, "{of} of {line}");
                exact += 1;
            }
        }
    }
    exact
}

#[test]
fn a_flood_of_one_program_is_not_felt_in_another_and_batches_do_not_matter() {
    let quota =
        Quota { events: Some(EventQuota { per_second: 6, burst: 400 }), keys: Some(4000), bytes: Some(2 << 20) };
    let options =
        options(&[("gold", Quota { bytes: Some(64 << 20), ..keys(1_000_000) }), ("noisy", quota)], Quota::default());
    let lines = flooded();
    let is_gold = |line: &[u8]| String::from_utf8_lossy(line).contains("\"program\":\"gold\"");
    let gold_of = |out: &[u8]| -> Vec<u8> {
        out.split_inclusive(|byte| *byte == b'\n').filter(|line| is_gold(line)).flatten().copied().collect()
    };

    let mut alone = replay(options.clone());
    let honest: Vec<String> = lines.iter().filter(|line| is_gold(line.as_bytes())).cloned().collect();
    let expected = judge(&mut alone, &honest, 100);
    assert!(verdicts(&expected).iter().any(|verdict| verdict["verdict"] == "flag"), "honest traffic is worth judging");

    let mut first: Option<Vec<u8>> = None;
    for size in [1000, 1, 7, 32] {
        let mut both = replay(options.clone());
        let out = judge(&mut both, &lines, size);
        assert!(gold_of(&out) == expected, "in batches of {size}");
        assert!(*first.get_or_insert_with(|| out.clone()) == out, "in batches of {size}");

        let uses = both.engine().quota_uses();
        for kind in QuotaOf::ALL {
            let noisy = of(&uses, Some("noisy"), kind);
            assert!(noisy.used <= 1.0, "{noisy:?}");
            assert!(kind == QuotaOf::Bytes || noisy.used > 0.9 && noisy.refused > 100, "{noisy:?}");
        }
        assert_eq!(of(&uses, Some("gold"), QuotaOf::Keys).refused, 0);
        let said = verdicts(&out);
        let exact = recount(&lines, &said);
        assert!((6000..30_000).contains(&exact), "{exact} of 36,000 values are exact");
        let noisy: Vec<&Value> = said.iter().filter(|verdict| verdict["program"] == "noisy").collect();
        let over = noisy.iter().filter(|verdict| verdict["over_quota"] == true).count();
        assert_eq!(over as u64, of(&uses, Some("noisy"), QuotaOf::Events).refused);
        assert!(noisy.iter().filter(|verdict| is_inexact(verdict)).count() > 1000, "what was refused says so");
        let changes = both.engine().take_quota_changes();
        let begun = |of| QuotaChange { program: Some("noisy".into()), of, refuses: true };
        assert_eq!(changes, [begun(QuotaOf::Keys), begun(QuotaOf::Events)]);
    }
    // Without the quota the flood takes what it likes.
    let mut free = replay(self::options(&[("gold", keys(1_000_000)), ("noisy", keys(1_000_000))], Quota::default()));
    judge(&mut free, &lines, 1000);
    assert!(counted_keys(&mut free, Some("noisy"), 1_000_000) > 20_000);
}

#[test]
fn made_up_names_share_one_quota_and_stay_under_it() {
    const QUOTA: usize = 3000;
    let mut replay = replay(options(&[("default", Quota::default()), ("gold", keys(100_000))], keys(QUOTA)));
    let mut most = 0;
    for round in 0..40_u64 {
        let made_up = |at: u64| {
            login(round * 1000 + at, &format!("name-{round}-{at}"), (round * 1000 + at) as i64, "a", &format!("d{at}"))
        };
        let lines: Vec<String> = (0..900).map(made_up).collect();
        judge(&mut replay, &lines, 300);
        // Those that are configured are counted as ever, `default` and what says no program too.
        for program in ["gold", "default", ""] {
            let id = round * 1000 + 950 + program.len() as u64;
            let verdict = tell(
                &mut replay,
                &login(id, program, (round * 1000 + 950) as i64, &format!("{program}{round}"), &format!("{round}")),
            );
            assert!(!is_inexact(&verdict), "{verdict}");
        }
        most = most.max(all_keys(&mut replay));
    }
    let known = counted_keys(&mut replay, Some("gold"), 100_000);
    assert!(known >= 4 * 38, "{known}");
    let refused = of(&replay.engine().quota_uses(), None, QuotaOf::Keys).refused;
    assert!(refused > 10_000, "{refused}");
    let counted = counted_keys(&mut replay, None, QUOTA);
    assert!((QUOTA * 9 / 10..=QUOTA).contains(&counted), "{counted}");
    // Beside them there are only those of 40 rounds of three events in known programs.
    assert!(most <= QUOTA + 40 * 3 * 12, "{most}");
}

#[test]
fn a_quota_frees_when_keys_leave() {
    const QUOTA: usize = 2000;
    let mut replay = replay(options(&[("gold", keys(QUOTA))], Quota::default()));
    let flood = |from: u64, at_ms: i64, events: u64| -> Vec<String> {
        (from..from + events).map(|id| login(id, "gold", at_ms, "somebody", &format!("random-{id}"))).collect()
    };
    judge(&mut replay, &flood(0, 0, 8192), 1000);
    assert!(is_inexact(&tell(&mut replay, &login(10_000, "gold", 1, "new", "new"))), "it is full");
    assert!(counted_keys(&mut replay, Some("gold"), QUOTA) <= QUOTA);
    // Another program moves the time on, and the log to the places where keys are swept; facts about accounts are kept.
    let others: Vec<String> = (0..60_000)
        .map(|at| login(20_000 + at, "tin", 4 * HOUR_MS + at as i64, &format!("t{}", at % 50), "t"))
        .collect();
    judge(&mut replay, &others, 1000);
    let left = counted_keys(&mut replay, Some("gold"), QUOTA);
    assert!(left < QUOTA / 2, "{left} keys are left");
    let verdict = tell(&mut replay, &login(90_000, "gold", 5 * HOUR_MS, "newer", "newer"));
    assert!(!is_inexact(&verdict), "{verdict}");
    let changes: Vec<(QuotaOf, bool)> =
        replay.engine().take_quota_changes().iter().map(|change| (change.of, change.refuses)).collect();
    assert_eq!(changes, [(QuotaOf::Keys, true), (QuotaOf::Keys, false)]);
}

#[test]
fn bytes_bound_the_windows_of_few_keys_too() {
    const QUOTA: usize = 1 << 20;
    let quota = Quota { bytes: Some(QUOTA), ..Quota::default() };
    let mut replay = replay(options(&[("gold", quota)], Quota::default()));
    let before = replay.engine().size().bytes();
    // Few accounts with many devices each: what grows are their windows.
    for round in 0..60_u64 {
        let line = |at: u64| {
            let id = round * 1000 + at;
            login(id, "gold", id as i64 * 10, &format!("a{}", id % 40), &format!("d{}", id % 20_000))
        };
        judge(&mut replay, &(0..1000).map(line).collect::<Vec<_>>(), 250);
        let bytes = of(&replay.engine().quota_uses(), Some("gold"), QuotaOf::Bytes).used;
        // The last window to grow does so by a step.
        assert!(bytes <= 1.02, "{bytes}");
    }
    let bytes = of(&replay.engine().quota_uses(), Some("gold"), QuotaOf::Bytes).clone();
    assert!(bytes.used > 0.8 && bytes.refused > 1000, "{bytes:?}");
    let size = replay.engine().size();
    let tables = size.bytes() - size.identity_bytes - size.decision_bytes;
    // Memory comes in chunks of 4096 slots a table; a few of those are not the program's fault.
    assert!(tables < before + QUOTA + (8 << 20), "{tables}");
    let last = verdicts(&judge(&mut replay, &[login(99_999, "gold", 600_000, "a1", "never-seen")], 1)).remove(0);
    assert!(is_inexact(&last), "{last}");
}

/// The generic cell rate algorithm as I.371 draws it, in nanoseconds of a virtual clock.
fn conforms(arrival_ns: &mut i128, at_ms: i64, per_second: i128, burst: i128) -> bool {
    let (now_ns, share_ns) = (i128::from(at_ms) * 1_000_000, 1_000_000_000 / per_second);
    let arrives_ns = (*arrival_ns).max(now_ns);
    let fits = arrives_ns - now_ns <= share_ns * (burst - 1);
    if fits {
        *arrival_ns = arrives_ns + share_ns;
    }
    fits
}

#[test]
fn events_past_a_quota_are_those_of_a_recount_and_repeats_and_late_ones_use_nothing() {
    let quota = Quota { events: Some(EventQuota { per_second: 8, burst: 30 }), ..Quota::default() };
    let mut replay = replay(options(&[("gold", quota)], quota));
    let mut random = random::Random(5);
    let mut arrivals: BTreeMap<bool, i128> = BTreeMap::new();
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    let (mut now_ms, mut over) = (4 * HOUR_MS, 0);
    for id in 0..6000_u64 {
        now_ms += random.below(80) as i64;
        let named = random.chance(50);
        let program = if named { "gold".to_owned() } else { format!("made-up-{}", random.below(10)) };
        let account = format!("a{}", random.below(4));
        let line = login(id, &program, now_ms, &account, "d");
        let verdict = tell(&mut replay, &line);
        let fits = conforms(arrivals.entry(named).or_insert(i128::MIN), now_ms, 8, 30);
        assert_eq!(verdict.get("over_quota"), (!fits).then_some(&Value::Bool(true)), "event {id} of {program}");
        over += u64::from(!fits);
        // It is judged, reads what was counted, and is not counted.
        let count = counts.entry(format!("{program}/{account}")).or_default();
        *count += i64::from(fits);
        let evidence = verdict["evidence"].as_array().unwrap();
        let by_account = evidence.iter().find(|of| of["feature"] == "by_account").unwrap();
        assert_eq!((&by_account["value"], &by_account["exact"]), (&json!(*count), &json!(true)), "event {id}");
        if random.chance(20) {
            let repeat = tell(&mut replay, &line);
            assert_eq!((&repeat["duplicate"], repeat.get("over_quota")), (&json!(true), verdict.get("over_quota")));
        }
        if random.chance(20) {
            let late = tell(&mut replay, &login(100_000 + id, &program, 0, &account, "d"));
            assert_eq!((&late["late"], late.get("over_quota")), (&json!(true), None));
        }
        // Windows are an hour: start anew before anything leaves.
        assert!(now_ms < 5 * HOUR_MS);
    }
    assert!(over > 500, "{over}");
    let uses = replay.engine().quota_uses();
    assert_eq!(over, of(&uses, None, QuotaOf::Events).refused + of(&uses, Some("gold"), QuotaOf::Events).refused);
}

#[test]
fn counts_are_those_of_a_recount_through_reloads_and_history() {
    const QUOTA: usize = 100_000;
    let options = options(&[("gold", keys(QUOTA))], keys(QUOTA));
    let lines: Vec<String> = (0..8192_u64)
        .map(|at| {
            let program = if at % 3 == 0 { "gold" } else { "tin" };
            login(at, program, at as i64 * 400, &format!("a{}", at % 900), &format!("d{}", at % 2100))
        })
        .collect();
    let (mut judged, mut history) = (replay(options.clone()), replay(options));
    let counted = |replay: &mut Replay| [Some("gold"), None].map(|program| counted_keys(replay, program, QUOTA));
    judge(&mut judged, &lines[..4096], 100);
    lines[..4096].chunks(70).for_each(|lines| history.backfill(&lines.concat(), &mut Backfill::Whole));
    let [gold, tin] = counted(&mut judged);
    assert!(gold > 1000 && tin > 1000, "{gold}, {tin}");
    assert_eq!(gold + tin, all_keys(&mut judged));
    assert_eq!(counted(&mut history), [gold, tin]);

    for replay in [&mut judged, &mut history] {
        replay.reload(pack::rules(CHANGED), &SignalConfig::default()).unwrap();
        let [gold, tin] = counted(replay);
        assert_eq!(gold + tin, all_keys(replay), "what a reload took along is not counted");
        // History for what is new, as a daemon reads it beside the events.
        let mut filling = replay.engine().begin_backfill(&["by_both".to_owned(), "by_account".to_owned()]);
        lines[..4096].chunks(512).for_each(|lines| replay.backfill(&lines.concat(), &mut filling));
        judge(replay, &lines[4096..], 100);
        let [gold_now, tin_now] = counted(replay);
        assert_eq!(gold_now + tin_now, all_keys(replay));
        assert!(gold_now > gold && tin_now > tin);
    }
    assert_eq!(counted(&mut judged), counted(&mut history));
}

#[test]
fn history_for_some_features_uses_no_quota_of_the_events_beside_it() {
    let quota = Quota { events: Some(EventQuota { per_second: 1, burst: 5 }), ..Quota::default() };
    let mut replay = replay(options(&[("gold", quota)], Quota::default()));
    assert_eq!(tell(&mut replay, &login(1, "gold", HOUR_MS, "a", "d")).get("over_quota"), None);
    let mut filling = replay.engine().begin_backfill(&["by_account".to_owned()]);
    let history: Vec<String> = (10..40).map(|id| login(id, "gold", HOUR_MS / 2 + id as i64, "a", "d")).collect();
    replay.backfill(&history.concat(), &mut filling);
    for id in 100..104 {
        assert_eq!(tell(&mut replay, &login(id, "gold", HOUR_MS, "a", "d")).get("over_quota"), None, "event {id}");
    }
    let verdict = tell(&mut replay, &login(104, "gold", HOUR_MS, "a", "d"));
    assert_eq!(verdict["over_quota"], true);
    // 5 that came, and 5 of the history.
    let evidence = verdict["evidence"].as_array().unwrap();
    assert_eq!(evidence.iter().find(|of| of["feature"] == "by_account").unwrap()["value"], 10);
}

/// Goes on with what a checkpoint of the machine holds, under these options.
fn restart(replay: &mut Replay, options: EngineOptions) {
    let mut restoring = Restoring::new(pack::rules(PACK), options);
    replay.engine().checkpoint(&mut |segment| restoring.take(segment).unwrap());
    let (engine, _) = restoring.finish().unwrap();
    replay.go_on_with(engine, &SignalConfig::default()).unwrap();
}

#[test]
fn a_restart_changes_nothing_under_quotas() {
    let lines = flooded();
    let quota = Quota { events: Some(EventQuota { per_second: 6, burst: 40 }), ..keys(3000) };
    let options = options(&[("gold", keys(100_000))], quota);
    let all = judge(&mut replay(options.clone()), &lines, 64);
    let refused = verdicts(&all).iter().filter(|verdict| is_inexact(verdict)).count();
    assert!(refused > 1000, "{refused}");
    // Where memory is looked at, a restart gives each table the room that it would have had.
    for at in [1024, 5 * 1024] {
        let mut replay = replay(options.clone());
        let mut out = judge(&mut replay, &lines[..at], 64);
        restart(&mut replay, options.clone());
        out.extend(judge(&mut replay, &lines[at..], 64));
        assert!(out == all, "restarted after {at} events");
    }
}

#[test]
fn keys_count_for_their_program_whatever_its_place_in_the_configuration() {
    const QUOTA: usize = 100_000;
    let named = |names: &[&str]| {
        let programs: Vec<(&str, Quota)> = names.iter().map(|name| (*name, keys(QUOTA))).collect();
        options(&programs, keys(QUOTA))
    };
    let mut replay = replay(named(&["gold", "tin"]));
    let lines: Vec<String> = (0..3072_u64)
        .map(|at| {
            let program = ["gold", "gold", "gold", "tin", "tin", "made-up"][at as usize % 6];
            login(at, program, at as i64 * 100, &format!("a{at}"), &format!("d{at}"))
        })
        .collect();
    judge(&mut replay, &lines, 100);
    let count = |replay: &mut Replay, names: &[Option<&str>]| -> Vec<usize> {
        names.iter().map(|name| counted_keys(replay, *name, QUOTA)).collect()
    };
    let before = count(&mut replay, &[Some("gold"), Some("tin"), None]);
    assert!(before[0] > before[1] && before[1] > before[2] && before[2] > 1000, "{before:?}");
    assert_eq!(before.iter().sum::<usize>(), all_keys(&mut replay));
    restart(&mut replay, named(&["copper", "tin", "gold"]));
    assert_eq!(count(&mut replay, &[Some("gold"), Some("tin"), None, Some("copper")]), [&before[..], &[0]].concat());
    // One that is no longer configured counts with all that are not.
    restart(&mut replay, named(&["gold"]));
    assert_eq!(count(&mut replay, &[Some("gold"), None]), [before[0], before[1] + before[2]]);
    assert_eq!(tell(&mut replay, &lines[0])["duplicate"], true, "its keys are the ones they were");
}
