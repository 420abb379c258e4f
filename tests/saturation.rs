//! Memory near `state.max_bytes`: what is refused, what stays exact, and that it ends.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use std::collections::BTreeMap;

use refguard::engine::{EngineOptions, FeatureSize, StateSize};
use refguard::lab::Replay;
use refguard::signals::SignalConfig;
use refguard::state::Limit;
use serde_json::{Value, json};

#[path = "support/pack.rs"]
mod pack;

/// 2026-05-01T00:00:00Z.
const START_MS: i64 = 1_777_593_600_000;
const HOUR_MS: i64 = 3_600_000;
const MAX_BYTES: usize = 12 << 20;

const PACK: &str = "
version: 1
pack: saturation
features:
  by_device: {on: [login.succeeded], key: [device.id], aggregate: count, window: 1h}
  by_account: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 1h}
  spent: {on: [order.placed], key: [event.account_id], aggregate: sum, value: event.amount_minor, window: 1h}
rules:
  - {id: any, on: [login.succeeded], when: by_device >= 0 && by_account >= 0, score: 1}
  - {id: known-to-be-first, on: [login.succeeded], when: by_device <= 1 && exact(by_device), score: 1}
  - {id: spends, on: [order.placed], when: spent >= 0, score: 1}
";

fn options() -> EngineOptions {
    EngineOptions { state_max_bytes: MAX_BYTES, dedup_span_ms: HOUR_MS, ..EngineOptions::default() }
}

struct World {
    replay: Replay,
    sent: u64,
    most_bytes: usize,
}

impl World {
    fn new(text: &str, options: EngineOptions) -> World {
        World {
            replay: Replay::new(pack::rules(text), &SignalConfig::default(), options).unwrap(),
            sent: 0,
            most_bytes: 0,
        }
    }

    fn line(&mut self, kind: &str, at_ms: i64, data: &Value) -> String {
        self.sent += 1;
        let time = jiff::Timestamp::from_millisecond(START_MS + at_ms).unwrap();
        let event = json!({
            "specversion": "1.0", "id": self.sent.to_string(), "source": "/shop", "type": kind,
            "time": format!("{time:.3}"), "data": data,
        });
        format!("{event}\n")
    }

    /// Judges lines; the verdicts.
    fn judge(&mut self, lines: &str) -> Vec<u8> {
        assert_eq!(self.replay.judge(lines), []);
        self.most_bytes = self.most_bytes.max(self.size().bytes());
        let mut out = Vec::new();
        self.replay.write(&mut out);
        out
    }

    fn tell(&mut self, kind: &str, at_ms: i64, data: &Value) -> Value {
        let line = self.line(kind, at_ms, data);
        serde_json::from_slice(&self.judge(&line)).unwrap()
    }

    fn login(&mut self, at_ms: i64, account: &str, device: &str) -> Value {
        self.tell("login.succeeded", at_ms, &json!({"account_id": account, "device_id": device}))
    }

    /// So many logins of one account, each at a device of its own, a millisecond apart.
    fn flood(&mut self, from_ms: i64, events: u64) {
        let mut lines = String::new();
        for at in 0..events {
            let data = json!({"account_id": "attacker", "device_id": format!("random-{}", self.sent)});
            lines += &self.line("login.succeeded", from_ms + at as i64, &data);
            if at % 512 == 511 || at + 1 == events {
                self.judge(&std::mem::take(&mut lines));
            }
        }
    }

    fn size(&mut self) -> StateSize {
        self.replay.engine().size()
    }

    fn part(&mut self, name: &str) -> FeatureSize {
        let size = self.size();
        size.features.into_iter().chain(size.others).find(|part| part.feature == name).unwrap()
    }
}

/// Value and exactness of a feature, as the verdict shows them.
fn evidence<'v>(verdict: &'v Value, feature: &str) -> (&'v Value, bool) {
    let of = verdict["evidence"].as_array().unwrap().iter().find(|of| of["feature"] == feature).unwrap();
    (&of["value"], of["exact"].as_bool().unwrap())
}

fn matched(verdict: &Value, rule: &str) -> bool {
    verdict["rules"].as_array().unwrap().iter().any(|of| of["id"] == rule)
}

#[test]
fn a_flood_of_devices_is_refused_and_nothing_else_and_it_ends() {
    let mut world = World::new(PACK, options());
    let mut recount: BTreeMap<u32, i64> = BTreeMap::new();
    let honest = |world: &mut World, at_ms: i64, recount: &mut BTreeMap<u32, i64>| {
        for account in 0..50 {
            let verdict = world.login(at_ms, &format!("honest-{account}"), &format!("home-{account}"));
            let count = recount.entry(account).or_default();
            *count += 1;
            for feature in ["by_device", "by_account"] {
                assert_eq!(evidence(&verdict, feature), (&json!(*count), true), "{account} at {at_ms}");
            }
            world.tell(
                "order.placed",
                at_ms,
                &json!({"account_id": format!("honest-{account}"), "amount_minor": 5, "currency": "SAR"}),
            );
        }
    };
    honest(&mut world, 0, &mut recount);
    world.flood(1, 150_000);
    honest(&mut world, 200_000, &mut recount);
    world.flood(200_001, 50_000);
    honest(&mut world, 300_000, &mut recount);

    assert!(world.most_bytes <= MAX_BYTES, "{}", world.most_bytes);
    let device = world.part("by_device");
    assert!(device.saturated && device.keys > 10_000, "{device:?}");
    assert!(device.refused > 100_000 && device.refused + device.keys as u64 >= 200_000, "{device:?}");
    for feature in ["by_account", "spent", "state.decisions"] {
        let part = world.part(feature);
        assert!(!part.saturated && part.refused == 0, "what did not grow refuses nothing: {part:?}");
    }
    let changes = world.replay.engine().take_saturation_changes();
    assert!(changes.iter().any(|change| change.part == "by_device" && change.limit == Limit::Keys), "{changes:?}");
    assert!(changes.iter().all(|change| change.state_bytes > MAX_BYTES / 2), "{changes:?}");

    // A refused key is not counted, and says so: nobody takes it for a first sight.
    for _ in 0..2 {
        let verdict = world.login(300_001, "late-comer", "never-seen");
        assert_eq!(evidence(&verdict, "by_device"), (&json!(0), false));
        assert!(!matched(&verdict, "known-to-be-first"));
    }
    assert_eq!(evidence(&world.login(300_002, "late-comer", "never-seen"), "by_account"), (&json!(3), true));

    // The flood leaves its window (the horizon is an hour behind): sweeps find that, and new keys are taken again.
    let quiet = |world: &mut World, at_ms: i64| {
        let lines: String =
            (0..1024).map(|_| world.line("order.placed", at_ms, &json!({"account_id": "quiet"}))).collect();
        world.judge(&lines);
    };
    // Ten minutes apart, so that their own identities do not fill the memory.
    (0..600).for_each(|turn| quiet(&mut world, 3 * HOUR_MS + turn * 600_000));
    for part in ["by_device", "by_account", "spent", "state.identities"] {
        assert!(!world.part(part).saturated, "{part}");
    }
    assert!(world.part("by_device").keys < 100, "the flood has left");
    let changes = world.replay.engine().take_saturation_changes();
    assert!(changes.iter().any(|change| change.part == "by_device" && change.limit == Limit::None), "{changes:?}");
    let verdict = world.login(104 * HOUR_MS, "late-comer", "never-seen");
    assert_eq!(evidence(&verdict, "by_device"), (&json!(1), true));
    assert!(matched(&verdict, "known-to-be-first"));
}

#[test]
fn what_is_refused_does_not_depend_on_batches() {
    let mut writer = World::new(PACK, options());
    let lines: Vec<String> = (0..60_000)
        .map(|at| {
            let (account, device) = if at % 50 == 0 {
                (format!("honest-{}", at % 700), format!("home-{}", at % 700))
            } else {
                (format!("attacker-{}", at % 20), format!("random-{at}"))
            };
            writer.line("login.succeeded", at, &json!({"account_id": account, "device_id": device}))
        })
        .collect();
    let verdicts = |size: usize| {
        let mut world = World::new(PACK, EngineOptions { state_max_bytes: 5 << 20, ..options() });
        let verdicts: Vec<u8> = lines.chunks(size).flat_map(|lines| world.judge(&lines.concat())).collect();
        assert!(world.part("by_device").refused > 1000 && world.part("state.identities").refused > 1000);
        verdicts
    };
    let whole = verdicts(1000);
    for size in [1, 7, 32] {
        assert!(verdicts(size) == whole, "batches of {size}");
    }
}

#[test]
fn busy_keys_stop_growing_and_those_with_few_entries_go_on() {
    let mut world = World::new(PACK, EngineOptions { state_max_bytes: 6 << 20, ..options() });
    let mut lines = String::new();
    let (mut count, mut exact_few) = (0i64, 0);
    for at in 0..200_000 {
        let account = format!("busy-{}", at % 300);
        lines += &world.line("login.succeeded", at, &json!({"account_id": account, "device_id": "one"}));
        if at % 10_000 == 9_999 {
            world.judge(&std::mem::take(&mut lines));
            count += 1;
            let verdict = world.login(at, "honest", "home");
            exact_few += i64::from(evidence(&verdict, "by_account") == (&json!(count), true));
        }
    }
    assert!(world.most_bytes <= 6 << 20, "{}", world.most_bytes);
    assert_eq!((exact_few, count), (20, 20));
    let part = world.part("by_account");
    assert!(part.saturated && part.refused > 1000, "{part:?}");
    let verdict = world.login(200_000, "busy-1", "one");
    let (value, exact) = evidence(&verdict, "by_account");
    assert!(!exact && value.as_i64().unwrap() > 32, "{verdict}");
}

#[test]
fn decisions_are_not_made_without_end() {
    let text = "version: 1\npack: decisions\nrules:\n  - {id: all, on: [login.succeeded], when: 'true', action: block, \
                decide: [{subject: device, verdict: block}]}\n";
    let mut world = World::new(text, EngineOptions { state_max_bytes: 8 << 20, ..options() });
    world.flood(0, 60_000);
    assert!(world.most_bytes <= 8 << 20, "{}", world.most_bytes);
    let decisions = world.part("state.decisions");
    assert!(decisions.saturated && decisions.refused > 1000 && decisions.keys > 1000, "{decisions:?}");
    let refused = world.login(60_000, "a", "never-decided");
    assert_eq!(
        (&refused["verdict"], &refused["created"]),
        (&json!("block"), &json!([])),
        "the event's own verdict stands"
    );
    let known = world.login(60_001, "a", "random-0");
    assert_eq!(known["decisions"].as_array().unwrap().len(), 1, "a decision that was made stays");
}
