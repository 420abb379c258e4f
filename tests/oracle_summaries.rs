//! Keys past their bound of entries: how far a summarised value may be from a recount, and what it costs.

use std::collections::{BTreeMap, VecDeque};

use refguard::state::{Aggregate, FeatureTable, KeyHash, Number, Op, Reach, Reading, Readings, Value, WindowSpec};

#[path = "support/random.rs"]
mod random;

use random::Random;

const WINDOW_MS: i64 = 64_000;
/// A window is cut into 64 buckets.
const BUCKET_MS: i64 = WINDOW_MS / 64;
const ENTRIES_MAX: u32 = 500;
const EVENTS: usize = 40_000;

struct Fed {
    table: FeatureTable,
    out: Readings,
    events: u64,
}

impl Fed {
    fn new(aggregate: Aggregate) -> Fed {
        let spec = WindowSpec::new(aggregate, Reach::Window(WINDOW_MS));
        let table = FeatureTable::new(WindowSpec { max_entries: ENTRIES_MAX, ..spec });
        Fed { table, out: Readings::default(), events: 0 }
    }

    fn add(&mut self, time_ms: i64, value: u64) -> Reading {
        self.events += 1;
        let horizon_ms = time_ms - WINDOW_MS / 8;
        let key = KeyHash::from_bits(7);
        let op = Op { key, time_ms, horizon_ms, event: self.events, value, add: true, members: true, ..Op::default() };
        self.apply(op, horizon_ms)
    }

    /// What an event of this time would read that is counted elsewhere; as of the horizon at the least.
    fn read(&mut self, time_ms: i64) -> Reading {
        let op = Op { key: KeyHash::from_bits(7), time_ms, horizon_ms: time_ms, ..Op::default() };
        self.apply(op, time_ms)
    }

    fn apply(&mut self, op: Op, horizon_ms: i64) -> Reading {
        self.out.clear();
        self.table.apply(&[op], &[[0; 16]], &mut self.out);
        if self.events.is_multiple_of(1000) {
            self.table.sweep(horizon_ms, self.table.slots());
        }
        *self.out.readings.last().expect("one operation, one reading")
    }
}

/// Times and values of a busy key: 2000 events in a window on average, with bursts and pauses.
fn events() -> impl Iterator<Item = (i64, u64)> {
    let (mut random, mut now_ms) = (Random(1), 0);
    (0..EVENTS).map(move |step| {
        now_ms += if step % 5000 < 500 { 1 } else { random.below(72) as i64 };
        if step % 9000 == 8999 {
            now_ms += WINDOW_MS + 1;
        }
        (now_ms, random.below(1000))
    })
}

/// A recount of (events, sum) in the windows of 64 and 65 buckets that end with the newest event.
#[derive(Default)]
struct Recount(VecDeque<(i64, u64)>);

impl Recount {
    fn add(&mut self, time_ms: i64, value: u64) -> [(f64, f64); 2] {
        self.0.push_back((time_ms, value));
        while self.0.front().is_some_and(|(oldest_ms, _)| *oldest_ms <= time_ms - WINDOW_MS - BUCKET_MS) {
            self.0.pop_front();
        }
        [WINDOW_MS, WINDOW_MS + BUCKET_MS].map(|reach_ms| {
            let within = self.0.iter().filter(|(at_ms, _)| *at_ms > time_ms - reach_ms);
            within.fold((0.0, 0.0), |(count, sum), (_, value)| (count + 1.0, sum + *value as f64))
        })
    }
}

fn number(reading: &Reading) -> f64 {
    match reading.value {
        Value::Int(value) => value as f64,
        Value::Double(value) => value,
        other => panic!("{other:?} is no number"),
    }
}

#[test]
fn counts_and_sums_are_off_by_one_bucket_at_most() {
    let mut count = Fed::new(Aggregate::Count);
    let (mut sum, mut mean) = (Fed::new(Aggregate::Sum(Number::Int)), Fed::new(Aggregate::Avg(Number::Int)));
    let mut doubles = Fed::new(Aggregate::Sum(Number::Double));
    let mut one_key = Fed::new(Aggregate::Count);
    one_key.add(0, 0);
    let (mut recount, mut summarised) = (Recount::default(), 0);
    for (time_ms, value) in events() {
        let [least, most] = recount.add(time_ms, value);
        let counted = count.add(time_ms, 0);
        assert!((least.0..=most.0).contains(&number(&counted)), "{counted:?} at {time_ms}: {least:?} to {most:?}");
        for (fed, bits) in [(&mut sum, value), (&mut doubles, (value as f64).to_bits())] {
            let told = fed.add(time_ms, bits);
            assert!((least.1..=most.1).contains(&number(&told)), "{told:?} at {time_ms}: {least:?} to {most:?}");
        }
        let told = mean.add(time_ms, value);
        assert!((number(&told) - least.1 / least.0).abs() < 25.0, "{told:?} at {time_ms}: {least:?}");
        assert_eq!(counted.exact, least.0 <= f64::from(ENTRIES_MAX), "{least:?} at {time_ms}");
        summarised += u32::from(!counted.exact);
    }
    assert!(summarised > 20_000, "{summarised}");
    let bytes = count.table.bytes() - one_key.table.bytes();
    assert!(bytes < 16 << 10, "{bytes} bytes for {ENTRIES_MAX} entries and 65 buckets");
}

#[test]
fn distinct_values_are_estimated_within_the_promised_error() {
    let (mut distinct, mut set) = (Fed::new(Aggregate::Distinct), Fed::new(Aggregate::Set));
    let (mut random, mut now_ms) = (Random(2), 0);
    let mut last: BTreeMap<u64, i64> = BTreeMap::new();
    let (mut errors, mut samples) = (0.0, 0);
    for step in 0..200_000u64 {
        now_ms += i64::from(step % 3 == 0);
        // A third of the values come again.
        let value = if random.chance(33) { step / 2 } else { step };
        last.insert(value, now_ms);
        let (told, members) = (distinct.add(now_ms, value), set.add(now_ms, value));
        if step % 2003 != 0 {
            continue;
        }
        last.retain(|_, time_ms| *time_ms > now_ms - WINDOW_MS);
        let truth = last.len() as f64;
        let error = number(&told) / truth - 1.0;
        assert_eq!(told.exact, last.len() <= ENTRIES_MAX as usize, "{truth}");
        assert!(error.abs() < 0.08, "{told:?}, not {truth}");
        let Value::Set { size, kept, .. } = members.value else { panic!("{members:?}") };
        assert_eq!((f64::from(size), members.exact), (number(&told), told.exact));
        let latest = set.out.set(&members);
        assert_eq!((latest.len(), kept), (last.len().min(ENTRIES_MAX as usize), latest.len() as u32));
        assert!(latest.iter().all(|value| last.contains_key(value)) && latest.contains(&value));
        if !told.exact {
            errors += error * error;
            samples += 1;
        }
        // An event of the middle of the window sees what its own window has, and at most what came later beside it.
        let late_ms = now_ms - WINDOW_MS / 8;
        let late = number(&distinct.read(late_ms));
        let least = last.values().filter(|time_ms| **time_ms <= late_ms).count() as f64;
        assert!(late >= least * 0.92, "{late} as of {late_ms}, and {least} are there");
    }
    assert!(samples > 90 && last.len() > 50_000, "{samples} samples, {} values", last.len());
    // One sketch, so its samples are not independent; the error of many is tested beside it.
    assert!((errors / f64::from(samples)).sqrt() < 0.05);
    assert!(distinct.table.bytes() < 1 << 20, "{} bytes", distinct.table.bytes());
}

/// A busy key by buckets is as large as its window is long, and nothing of it is summarised.
#[test]
fn buckets_bound_the_memory_of_a_key() {
    for aggregate in
        [Aggregate::Count, Aggregate::Sum(Number::Int), Aggregate::Avg(Number::Double), Aggregate::Max(Number::Int)]
    {
        let spec = WindowSpec::new(aggregate, Reach::Window(WINDOW_MS));
        let spec = WindowSpec { bucket_ms: Some(BUCKET_MS), max_entries: ENTRIES_MAX, ..spec };
        let mut fed = Fed { table: FeatureTable::new(spec), out: Readings::default(), events: 0 };
        fed.add(0, 1);
        let before = fed.table.bytes();
        for step in 0..200_000 {
            assert!(fed.add(step, 1).exact, "{aggregate:?} at {step}");
        }
        // 64 buckets of the window, those of an eighth of it in which events may be late, and room to grow.
        let grown = fed.table.bytes() - before;
        assert!((1..=74 * 32 * 3).contains(&grown), "{aggregate:?}: {grown} bytes");
        assert_eq!(fed.table.truncated_keys(), 0, "{aggregate:?}");
        fed.table.sweep(200_000 + 2 * WINDOW_MS, fed.table.slots());
        assert_eq!(fed.table.keys(), 0, "{aggregate:?}");
    }
}

/// A key that is busy no more gives the memory back, and is exact again.
#[test]
fn what_is_summarised_leaves_with_its_window() {
    for aggregate in [Aggregate::Count, Aggregate::Distinct, Aggregate::Sum(Number::Double)] {
        let mut fed = Fed::new(aggregate);
        fed.add(0, 0);
        let before = fed.table.bytes();
        for step in 0..5000 {
            fed.add(step / 10, step as u64);
        }
        assert_eq!(fed.table.truncated_keys(), 1, "{aggregate:?}");
        assert!(!fed.add(WINDOW_MS, 1).exact && fed.add(WINDOW_MS + 500, 2).exact, "{aggregate:?}");
        fed.table.sweep(WINDOW_MS + 500, fed.table.slots());
        assert_eq!(fed.table.truncated_keys(), 0, "{aggregate:?}");
        fed.table.sweep(4 * WINDOW_MS, fed.table.slots());
        assert_eq!(fed.table.keys(), 0, "{aggregate:?}");
        let after = fed.table.bytes();
        assert!(after <= before, "{aggregate:?}: {before} bytes before, {after} after");
    }
}
