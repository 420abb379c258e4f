//! Components against a search over the whole graph of links, hubs counted by hand.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const WINDOW_MS: i64 = 3000;
const GENERATION_MS: i64 = 1000;
const HUB: u32 = 4;
const LATENESS_MS: i64 = 1500;
const RULE: ComponentRule =
    ComponentRule { window_ms: WINDOW_MS, generation_ms: GENERATION_MS, hub: HUB, lists_members: true };

fn account(number: u8) -> KeyHash {
    key(1, number)
}

fn value(number: u8) -> KeyHash {
    key(2, number)
}

fn key(kind: u64, number: u8) -> KeyHash {
    let mixed = (kind << 8 | u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    KeyHash { low: mixed ^ mixed >> 29, high: mixed }
}

/// An event that was counted: at this time, this account with these values.
#[derive(Clone, Debug)]
struct Event {
    time_ms: i64,
    account: u8,
    values: Vec<u8>,
    /// Of them, those that linked.
    linking: Vec<u8>,
}

#[derive(Default)]
struct Model {
    events: Vec<Event>,
}

/// When the window of a reading begins.
fn start_ms(time_ms: i64) -> i64 {
    time_ms.div_euclid(GENERATION_MS) * GENERATION_MS - WINDOW_MS
}

impl Model {
    fn count(&mut self, time_ms: i64, account: u8, values: &[u8]) {
        let linking = |value: &u8| {
            let seen = self.events.iter().filter(|event| event.time_ms >= start_ms(time_ms));
            let accounts = seen.filter(|event| event.values.contains(value)).map(|event| event.account);
            accounts.chain([account]).collect::<BTreeSet<u8>>().len() < HUB as usize
        };
        let linking = values.iter().copied().filter(linking).collect();
        self.events.push(Event { time_ms, account, values: values.to_vec(), linking });
    }

    /// The accounts that are linked with one, itself included; none if it was not seen.
    fn component(&self, time_ms: i64, account: u8) -> BTreeSet<u8> {
        let events = || self.events.iter().filter(|event| event.time_ms >= start_ms(time_ms));
        let mut accounts = BTreeSet::new();
        if !events().any(|event| event.account == account) {
            return accounts;
        }
        accounts.insert(account);
        loop {
            let of_them = events().filter(|event| accounts.contains(&event.account));
            let values: BTreeSet<u8> = of_them.flat_map(|event| event.linking.iter().copied()).collect();
            let linked = events().filter(|event| event.linking.iter().any(|value| values.contains(value)));
            let before = accounts.len();
            accounts.extend(linked.map(|event| event.account));
            if accounts.len() == before {
                return accounts;
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Step {
    passed_ms: i64,
    back_ms: i64,
    account: u8,
    values: Vec<u8>,
    other: u8,
    sweep: usize,
}

fn step() -> impl Strategy<Value = Step> {
    let passed = prop_oneof![4 => 0..100i64, 2 => 0..900i64, 1 => Just(0), 1 => 0..5000i64];
    let back = prop_oneof![3 => Just(0), 1 => 0..1800i64];
    (passed, back, 0..9u8, prop::collection::vec(0..7u8, 0..3), 0..9u8, 0..30usize).prop_map(
        |(passed_ms, back_ms, account, values, other, sweep)| Step {
            passed_ms,
            back_ms,
            account,
            values,
            other,
            sweep,
        },
    )
}

fn check(steps: &[Step], batch: usize) {
    let mut components = Components::new(RULE);
    let mut model = Model::default();
    let mut now_ms = 1_000_000;
    for steps in steps.chunks(batch) {
        let (mut ops, mut links, mut wanted) = (Vec::new(), Links::default(), Vec::new());
        for step in steps {
            now_ms += step.passed_ms;
            let (time_ms, horizon_ms) = (now_ms - step.back_ms, now_ms - LATENESS_MS);
            let as_of_ms = time_ms.max(horizon_ms);
            if time_ms >= horizon_ms {
                model.count(time_ms, step.account, &step.values);
            }
            let name = format!("account {}", step.account);
            let brought = links.give(step.values.iter().map(|number| value(*number)), &name);
            let op = Op { key: account(step.account), time_ms, horizon_ms, ..Op::default() };
            ops.push(Op { value: brought, add: true, members: true, ..op });
            ops.push(Op { key: account(step.other), ..op });
            let compared = links.give([account(step.other)], "");
            ops.push(Op { value: compared, compare: true, ..op });
            let [own, other] = [step.account, step.other].map(|account| model.component(as_of_ms, account));
            wanted.push((own, other, step.other));
        }
        let mut out = Readings::default();
        components.apply_links(&ops, &links, &mut out);
        for (readings, (own, other, number)) in out.readings.chunks(3).zip(&wanted) {
            assert!(readings.iter().all(|reading| reading.exact));
            assert_eq!(readings[0].known, !own.is_empty());
            match readings[0].value {
                Value::Set { size, .. } => assert_eq!(size as usize, own.len()),
                value => assert!(own.is_empty() && value == Value::Int(0), "{value:?}"),
            }
            let mut members: Vec<&str> =
                out.set(&readings[0]).iter().map(|member| components.member_name(*member)).collect();
            members.sort_unstable();
            let names: Vec<String> = own.iter().map(|account| format!("account {account}")).collect();
            assert_eq!(members, names);
            assert_eq!(readings[1].value, Value::Int(other.len() as i64));
            assert_eq!(readings[2].value, Value::Flag(own.contains(number)));
        }
        let before = components.digest();
        components.sweep(now_ms - LATENESS_MS, steps[0].sweep);
        if steps[0].sweep == 0 {
            assert_eq!(components.digest(), before);
        }
    }
    components.sweep(now_ms + 2 * WINDOW_MS, usize::MAX);
    assert_eq!((components.keys(), components.forest.spilled, components.name_bytes), (0, 0, 0), "nothing is left");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn is_what_a_search_over_all_links_finds(
        steps in prop::collection::vec(step(), 1..150),
        batch in prop_oneof![Just(1usize), Just(7), Just(40)],
    ) {
        check(&steps, batch);
    }
}

/// Counts one event and reads.
fn see(components: &mut Components, time_ms: i64, of: u8, values: &[u8]) -> Reading {
    let (mut links, mut out) = (Links::default(), Readings::default());
    let brought = links.give(values.iter().map(|number| value(*number)), "");
    let op = Op { key: account(of), time_ms, horizon_ms: time_ms, value: brought, add: true, ..Op::default() };
    components.apply_links(&[op], &links, &mut out);
    out.readings[0]
}

#[test]
fn what_is_refused_is_told_until_it_would_have_left() {
    let mut components = Components::new(RULE);
    see(&mut components, 0, 1, &[1]);
    components.set_limit(Limit::Keys);
    let known = see(&mut components, 10, 1, &[1]);
    assert_eq!((known.value, known.exact), (Value::Int(1), true), "what is known goes on");
    let refused = see(&mut components, 20, 2, &[1]);
    assert_eq!((refused.value, refused.known, refused.exact), (Value::Int(0), false, false));
    components.set_limit(Limit::None);
    let later = see(&mut components, 30, 3, &[1]);
    assert_eq!((later.value, later.exact), (Value::Int(2), false));
    assert!(!see(&mut components, WINDOW_MS + GENERATION_MS - 1, 1, &[]).exact, "a link of then still counts");
    assert!(see(&mut components, WINDOW_MS + GENERATION_MS, 1, &[]).exact);
}
