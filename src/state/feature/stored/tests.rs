//! Every aggregate to bytes and back: what is remembered, refused and lost, and how many bytes a key takes.

use super::*;
use crate::state::{KeyHash, Limit, Links, Op, Readings, Steps};

const HOUR_MS: i64 = 3_600_000;

fn specs() -> Vec<WindowSpec> {
    use Aggregate::*;
    use Number::{Double, Int};
    let window = |aggregate| WindowSpec { max_entries: 5, ..WindowSpec::new(aggregate, Reach::Window(HOUR_MS)) };
    let kept = |aggregate| WindowSpec::new(aggregate, Reach::Retention(HOUR_MS));
    let buckets = |aggregate| WindowSpec { bucket_ms: Some(60_000), ..window(aggregate) };
    let sums = [Sum(Int), Sum(Double), Avg(Int), Avg(Double), Min(Int), Max(Double), Count];
    let others = [Distinct, Set, First, Sequence(Steps::new([1, 2])), Rate { limit: 3, per_ms: 60_000, burst: 4 }];
    let rings = [false, true].map(|lists_members| Component { generation_ms: 600_000, hub: 4, lists_members });
    let windows = sums.iter().chain(&others).chain(&rings).map(|of| window(*of));
    windows.chain(sums.map(buckets)).chain([First, Last, Previous].map(kept)).collect()
}

fn key(number: u64) -> KeyHash {
    KeyHash { low: number.wrapping_mul(0x9e37_79b9_7f4a_7c15), high: number.wrapping_mul(0xd134_2543_de82_ef95) }
}

/// Counts events of so many keys, the last of them within an hour of the first.
fn fill(table: &mut FeatureTable, keys: u64, events: u64) {
    let mut links = Links::default();
    let is_component = matches!(table.spec().aggregate, Aggregate::Component { .. });
    let ops = |links: &mut Links| -> Vec<Op> {
        let op = |number: u64| {
            let time_ms = (number * HOUR_MS as u64 / events) as i64;
            let value = if is_component { links.give([key(1000 + number % 7)], "name") } else { number % 9 };
            Op { key: key(number % keys), time_ms, event: number, value, add: true, ..Op::default() }
        };
        (0..events).map(op).collect()
    };
    let ops = ops(&mut links);
    table.apply_links(&ops, &links, &mut Readings::default());
}

fn stored(table: &FeatureTable) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut head = ByteWriter::default();
    table.store_head(&mut head);
    let mut keys = Vec::new();
    table.store_keys(&[0], &mut |segment| keys.push(segment.to_vec()));
    (head.as_bytes().to_vec(), keys)
}

fn restored(spec: WindowSpec, (head, keys): &(Vec<u8>, Vec<Vec<u8>>)) -> FeatureTable {
    let mut table = FeatureTable::new(spec);
    assert_eq!(table.restore_head(&mut ByteReader::new(head)), Ok(true));
    keys.iter().for_each(|keys| assert_eq!(table.restore_keys(&mut ByteReader::new(&keys[1..])), Ok(())));
    assert_eq!(table.restored(), Ok(()));
    table
}

#[test]
fn every_table_is_read_as_it_was_with_what_it_lost_and_refuses() {
    for spec in specs() {
        let mut table = FeatureTable::new(spec);
        fill(&mut table, 40, 2000);
        table.set_limit(Limit::Busy);
        fill(&mut table, 60, 300);
        let written = stored(&table);
        let mut read = restored(spec, &written);
        let of = |table: &FeatureTable| {
            (table.digest(), table.keys(), table.truncated_keys(), table.refused(), table.limit(), table.keys_max())
        };
        assert_eq!(of(&read), of(&table), "{spec:?}");
        assert!(table.refused() > 0, "{spec:?}");
        assert!(stored(&read) == written, "{spec:?}");
        // Both go on alike.
        for table in [&mut table, &mut read] {
            table.set_limit(Limit::None);
            fill(table, 80, 500);
        }
        assert_eq!(of(&read), of(&table), "{spec:?}");
    }
}

#[test]
fn a_table_of_something_else_is_not_read() {
    let specs = specs();
    for (at, spec) in specs.iter().enumerate() {
        let (head, _) = stored(&FeatureTable::new(*spec));
        for (other, of) in specs.iter().enumerate() {
            let taken = FeatureTable::new(*of).restore_head(&mut ByteReader::new(&head));
            assert_eq!(taken, Ok(at == other), "{spec:?} and {of:?}");
        }
    }
}

#[test]
fn a_key_with_one_entry_takes_at_most_60_bytes() {
    for spec in specs() {
        let mut table = FeatureTable::new(spec);
        fill(&mut table, 900, 900);
        let bytes: usize = stored(&table).1.iter().map(Vec::len).sum();
        assert!(bytes <= 60 * table.keys(), "{spec:?}: {bytes} bytes for {} keys", table.keys());
    }
}

/// Writes keys as of a cut while operations and sweeps go on, in steps of so many bytes.
#[test]
fn a_cut_has_what_was_there_whatever_comes_while_it_is_written() {
    for spec in specs() {
        for step_bytes in [1, 90, 500] {
            let mut table = FeatureTable::new(spec);
            fill(&mut table, 400, 3000);
            table.sweep(HOUR_MS / 2, 100);
            let mut head = ByteWriter::default();
            table.store_head(&mut head);
            let then = (table.digest(), table.keys(), table.truncated_keys());
            table.begin_cut(&[0]);
            let (mut keys, mut round) = (Vec::new(), 0);
            while !table.store_cut(&mut step_bytes.clone(), &mut |segment| keys.push(segment.to_vec())) {
                round += 1;
                match round % 40 {
                    1 => fill(&mut table, 50 * round, 200),
                    2 => table.sweep(HOUR_MS + round as i64 * 40_000, 60),
                    _ => {}
                }
            }
            assert!(round > 10, "{spec:?}: the cut has parts");
            let read = restored(spec, &(head.as_bytes().to_vec(), keys));
            assert_eq!(
                (read.digest(), read.keys(), read.truncated_keys()),
                then,
                "{spec:?}, {step_bytes} bytes a step"
            );
        }
    }
}
