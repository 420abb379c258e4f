//! A table that classes share is to each of them what a table of its own would be, and its counts are those of a recount.

use super::*;
use crate::state::{Aggregate, FeatureTable, Links, Number, Op, Reach, Reading, Readings, WindowSpec};

const CLASSES: u8 = 3;
const WINDOW_MS: i64 = 500;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn key(number: u64, class: Class) -> KeyHash {
    let mixed = (number * 256 + u64::from(class.0) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    KeyHash::from_bits(u128::from(mixed) << 64 | u128::from(mixed ^ mixed >> 29)).of_class(class)
}

fn table(aggregate: Aggregate, bucket_ms: Option<i64>) -> FeatureTable {
    let spec = WindowSpec::new(aggregate, Reach::Window(WINDOW_MS));
    let mut table = FeatureTable::new(WindowSpec { max_entries: 20, bucket_ms, ..spec });
    table.meter(usize::from(CLASSES));
    table
}

fn apply(table: &mut FeatureTable, op: &Op, links: &[KeyHash]) -> Reading {
    let (mut given, mut out) = (Links::default(), Readings::default());
    let mut op = *op;
    if !links.is_empty() {
        op.value = given.give(links.iter().copied(), "somebody");
        table.apply_links(&[op], &given, &mut out);
    } else {
        table.apply(&[op], &[[0; 16]], &mut out);
    }
    // Where members stand is no matter of values.
    match out.readings[0] {
        Reading { value: crate::state::Value::Set { size, kept, .. }, known, exact } => {
            Reading { value: crate::state::Value::Set { size, kept, start: None }, known, exact }
        }
        reading => reading,
    }
}

fn check(aggregate: Aggregate, bucket_ms: Option<i64>) {
    let mut random = Random(7);
    let mut shared = table(aggregate, bucket_ms);
    let mut own: Vec<FeatureTable> = (0..=CLASSES).map(|_| table(aggregate, bucket_ms)).collect();
    let (mut now_ms, mut refused) = (10_000_000_i64, ClassRefused::default());
    let is_component = matches!(aggregate, Aggregate::Component { .. });
    // Generations are minutes.
    let step_ms = if is_component { 900 } else { 4 };
    for step in 0..30_000_u64 {
        let class = Class(random.below(u64::from(CLASSES) + 1) as u8);
        now_ms += random.below(step_ms) as i64;
        // Some are busy, most are not.
        let number = if random.below(2) == 0 { random.below(3) } else { random.below(4000) };
        let op = Op {
            key: key(number, class),
            time_ms: now_ms - random.below(300) as i64,
            horizon_ms: now_ms - 200,
            event: step,
            value: random.below(100),
            add: random.below(5) > 0,
            ..Op::default()
        };
        let values: Vec<KeyHash> =
            if is_component { (0..2).map(|_| key(10_000 + random.below(900), class)).collect() } else { Vec::new() };
        let [seen, alone] = [&mut shared, &mut own[usize::from(class.0)]].map(|table| apply(table, &op, &values));
        assert_eq!(seen, alone, "{aggregate:?} at {step} for {class:?}");
        if step % 100 == 99 {
            let mut keys = 0;
            for class in (0..=CLASSES).map(Class) {
                let alone = &mut own[usize::from(class.0)];
                alone.sweep(now_ms - 200, usize::MAX);
                keys += alone.keys();
            }
            shared.sweep(now_ms - 200, usize::MAX);
            assert_eq!(shared.keys(), keys, "{aggregate:?} at {step}");
            for class in (1..=CLASSES).map(Class) {
                let alone = &mut own[usize::from(class.0)];
                assert_eq!(shared.class_use(class), alone.class_use(class), "{aggregate:?} at {step}");
                assert_eq!(shared.class_use(class).keys, alone.keys(), "{aggregate:?} at {step}");
                // The last class has as much room as it likes.
                let tight = class.0 < CLASSES;
                let room = ClassRoom {
                    keys: if tight { random.below(12) as usize } else { usize::MAX },
                    keys_for_bytes: random.below(2) == 0,
                    grown_bytes: if tight { random.below(2000) as usize } else { usize::MAX },
                };
                shared.allow_class(class, room);
                alone.allow_class(class, room);
                let of_class = shared.take_class_refused(class);
                assert_eq!(of_class, alone.take_class_refused(class), "{aggregate:?} at {step}");
                assert!(tight || of_class == ClassRefused::default(), "{aggregate:?} at {step}");
                refused.keys += of_class.keys;
                refused.bytes += of_class.bytes;
            }
            assert_eq!(shared.refused(), 0, "quotas are no want of memory");
        }
    }
    assert!(refused.keys > 100 && refused.bytes > 100, "{aggregate:?}: the test refused {refused:?}");
    let over = now_ms + 100 * WINDOW_MS + 10_000_000;
    (0..3).for_each(|_| shared.sweep(over, usize::MAX));
    assert_eq!(shared.keys(), 0);
    for class in (1..=CLASSES).map(Class) {
        assert_eq!(shared.class_use(class), ClassUse::default(), "{aggregate:?}: nothing is left of {class:?}");
    }
}

#[test]
fn a_shared_table_is_to_each_class_what_one_of_its_own_is() {
    for aggregate in [
        Aggregate::Count,
        Aggregate::Sum(Number::Int),
        Aggregate::Max(Number::Int),
        Aggregate::Distinct,
        Aggregate::Set,
        Aggregate::Previous,
        Aggregate::Rate { limit: 3, per_ms: 100, burst: 2 },
        Aggregate::Component { generation_ms: 60_000, hub: 5, lists_members: true },
    ] {
        check(aggregate, None);
    }
    check(Aggregate::Count, Some(10));
}
