//! Every aggregate against a recount: random histories with equal timestamps, window edges, late and repeated events,
//! reads at other keys and any progress of the horizon must read what counting all events anew gives.

use std::collections::{BTreeMap, BTreeSet};

use refguard::state::{
    Aggregate, FeatureTable, KeyHash, Limit, Number, Op, Reach, Reading, Readings, Value, WindowSpec,
};

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

fn key(number: u64) -> KeyHash {
    let mut random = Random(number);
    KeyHash::from_bits(u128::from(random.next()) << 64 | u128::from(random.next()))
}

const IDS: usize = 64;

fn ids() -> Vec<[u8; 16]> {
    (0..IDS as u128).map(|number| (number * 0x0123_4567_89ab_cdef_0123).to_be_bytes()).collect()
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    events: usize,
    keys: u64,
    values: u64,
    window_ms: i64,
    /// Times are multiples of this, as the window is: edges and ties are met often.
    grid_ms: i64,
    lateness_ms: i64,
}

/// Operations in event order: a mix of new events, repeats, late ones, and reads.
fn history(shape: Shape, random: &mut Random, value: impl Fn(u64) -> u64) -> Vec<Op> {
    let mut ops: Vec<Op> = Vec::new();
    let (mut now_ms, mut horizon_ms) = (1_000_000i64, i64::MIN);
    while ops.len() < shape.events {
        now_ms += shape.grid_ms * [0, 0, 1, 1, 2, 5][random.below(6) as usize];
        if random.chance(2) {
            now_ms += random.below(3) as i64 * shape.window_ms / 2;
        }
        // The watermark follows at times at once and at times not at all.
        if random.chance(30) {
            horizon_ms = horizon_ms.max(now_ms - shape.lateness_ms);
        }
        let mut time_ms = now_ms;
        if random.chance(30) {
            time_ms -= shape.grid_ms * random.below((shape.lateness_ms / shape.grid_ms) as u64 + 2) as i64;
        }
        let event = random.next();
        let op = Op {
            key: key(random.below(shape.keys)),
            time_ms,
            horizon_ms,
            event,
            value: value(random.below(shape.values)),
            id: random.below(IDS as u64) as u32,
            add: !random.chance(25),
            again: false,
            members: random.chance(80),
            compare: false,
        };
        let repeated = if random.chance(8) { ops.get(random.below(ops.len() as u64 + 1) as usize) } else { None };
        ops.push(repeated.map_or(op, |earlier| Op { horizon_ms, ..*earlier }));
    }
    ops
}

/// All events counted at one key, in the order of arrival.
#[derive(Default)]
struct Recount {
    events: Vec<Op>,
}

impl Recount {
    fn add(&mut self, op: &Op) {
        if !self.events.iter().any(|event| (event.time_ms, event.event) == (op.time_ms, op.event)) {
            self.events.push(*op);
        }
    }

    fn window(&self, time_ms: i64, reach_ms: i64) -> Vec<Op> {
        self.events
            .iter()
            .filter(|event| event.time_ms > time_ms - reach_ms && event.time_ms <= time_ms)
            .copied()
            .collect()
    }

    fn read(&self, spec: &WindowSpec, op: &Op, ids: &[[u8; 16]]) -> (Value, bool, Vec<u64>) {
        let (Reach::Window(reach_ms) | Reach::Retention(reach_ms)) = spec.reach;
        let mut events = self.window(op.time_ms, reach_ms);
        let known = !events.is_empty();
        let ints = || events.iter().map(|event| i128::from(event.value as i64));
        let values: BTreeSet<u64> = events.iter().map(|event| event.value).collect();
        let value = match spec.aggregate {
            Aggregate::Count => Value::Int(events.len() as i64),
            Aggregate::Sum(Number::Int) => i64::try_from(ints().sum::<i128>()).map_or(Value::Overflow, Value::Int),
            Aggregate::Distinct => Value::Int(values.len() as i64),
            Aggregate::Set => {
                let members: Vec<u64> = values.into_iter().collect();
                let start = (op.members && known).then_some(0);
                let size = members.len() as u32;
                return (Value::Set { size, kept: size, start }, known, members);
            }
            Aggregate::Sum(Number::Double) | Aggregate::Avg(Number::Double) => {
                events.sort_by_key(|event| (event.time_ms, ids[event.id as usize], event.event));
                let sum = events.iter().fold(0.0, |sum, event| sum + f64::from_bits(event.value));
                match spec.aggregate {
                    Aggregate::Sum(_) => Value::Double(sum),
                    _ if !known => Value::Unknown,
                    _ => Value::Double(sum / events.len() as f64),
                }
            }
            Aggregate::Last | Aggregate::Previous => return self.latest(spec.aggregate, op, reach_ms),
            Aggregate::First if spec.reach == Reach::Retention(reach_ms) => return self.since_idle(op, reach_ms),
            _ if !known => Value::Unknown,
            Aggregate::Avg(Number::Int) => Value::Double(ints().sum::<i128>() as f64 / events.len() as f64),
            Aggregate::Min(Number::Int) => Value::Int(ints().min().expect("there is one") as i64),
            Aggregate::Max(Number::Int) => Value::Int(ints().max().expect("there is one") as i64),
            Aggregate::Min(Number::Double) => Value::Double(doubles(&events)[0]),
            Aggregate::Max(Number::Double) => Value::Double(*doubles(&events).last().expect("there is one")),
            Aggregate::First => Value::Time(events.iter().map(|event| event.time_ms).min().expect("there is one")),
            Aggregate::Rate { .. } | Aggregate::Sequence(_) | Aggregate::Component { .. } => {
                unreachable!("they have oracles of their own")
            }
        };
        (value, known, Vec::new())
    }

    /// The latest event before this one, by time, then arrival.
    fn latest(&self, aggregate: Aggregate, op: &Op, reach_ms: i64) -> (Value, bool, Vec<u64>) {
        let is_own = |event: &Op| op.add && (event.time_ms, event.event) == (op.time_ms, op.event);
        let own = self.events.iter().position(is_own).unwrap_or(usize::MAX);
        let before =
            self.events.iter().enumerate().filter(|(arrival, event)| (event.time_ms, *arrival) < (op.time_ms, own));
        let latest = before.max_by_key(|(arrival, event)| (event.time_ms, *arrival)).map(|(_, event)| event);
        match latest.filter(|event| event.time_ms > op.time_ms - reach_ms) {
            None => (Value::Unknown, false, Vec::new()),
            Some(event) if aggregate == Aggregate::Last => (Value::Time(event.time_ms), true, Vec::new()),
            Some(event) => (Value::Scalar(event.value), true, Vec::new()),
        }
    }

    /// The first event since the key was last idle for as long as its retention.
    fn since_idle(&self, op: &Op, retention_ms: i64) -> (Value, bool, Vec<u64>) {
        let mut times: Vec<i64> =
            self.events.iter().map(|event| event.time_ms).filter(|time| *time <= op.time_ms).collect();
        times.sort_unstable();
        times.push(op.time_ms);
        let mut start = times[0];
        for pair in times.windows(2) {
            if pair[1] - pair[0] >= retention_ms {
                start = pair[1];
            }
        }
        let known = times.len() > 1 && times[times.len() - 1] - times[times.len() - 2] < retention_ms;
        (if known { Value::Time(start) } else { Value::Unknown }, known, Vec::new())
    }
}

fn doubles(events: &[Op]) -> Vec<f64> {
    let mut values: Vec<f64> = events.iter().map(|event| f64::from_bits(event.value)).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// As the engine promises: what is before the horizon is not counted and reads as of the horizon.
fn clamped(op: &Op) -> Op {
    Op { add: op.add && op.time_ms >= op.horizon_ms, time_ms: op.time_ms.max(op.horizon_ms), ..*op }
}

fn same(left: Value, right: Value) -> bool {
    match (left, right) {
        (Value::Double(left), Value::Double(right)) => left.to_bits() == right.to_bits(),
        (Value::Set { size: left, kept, start: from }, Value::Set { size: right, kept: all, start: to }) => {
            (left, kept, from.is_some()) == (right, all, to.is_some())
        }
        (left, right) => left == right,
    }
}

/// Runs operations in batches of random sizes with sweeps between.
fn run(spec: WindowSpec, ops: &[Op], random: &mut Random, sweeps: bool) -> (Readings, FeatureTable) {
    let (mut table, mut out, ids) = (FeatureTable::new(spec), Readings::default(), ids());
    let mut rest = ops;
    while !rest.is_empty() {
        let size = [1, 7, 32, 33, 1000][random.below(5) as usize].min(rest.len());
        let (batch, after) = rest.split_at(size);
        table.apply(batch, &ids, &mut out);
        if sweeps && random.chance(50) {
            table.sweep(batch[size - 1].horizon_ms, random.below(9000) as usize);
        }
        rest = after;
    }
    (out, table)
}

fn check(spec: WindowSpec, shape: Shape, seed: u64, value: impl Fn(u64) -> u64) {
    let mut random = Random(seed);
    let ops = history(shape, &mut random, value);
    let (out, _) = run(spec, &ops, &mut random, true);
    let (mut keys, ids) = (BTreeMap::<KeyHash, Recount>::new(), ids());
    for (place, (op, reading)) in ops.iter().map(clamped).zip(&out.readings).enumerate() {
        let recount = keys.entry(op.key).or_default();
        if op.add {
            recount.add(&op);
        }
        let (value, known, members) = recount.read(&spec, &op, &ids);
        let fits = same(reading.value, value)
            && reading.known == known
            && reading.exact
            && (!op.members || out.set(reading) == members);
        assert!(fits, "{spec:?} {shape:?} seed {seed}, operation {place}: {reading:?}, recount {value:?} {known}");
    }
}

const WINDOW_MS: i64 = 1000;

fn shapes() -> [Shape; 5] {
    let long = Shape { events: 2500, keys: 12, values: 9, window_ms: WINDOW_MS, grid_ms: 50, lateness_ms: 500 };
    [
        long,
        Shape { keys: 1, values: 60, grid_ms: 1, lateness_ms: 200, ..long },
        Shape { keys: 2, values: 200, grid_ms: 5, lateness_ms: 3000, ..long },
        Shape { keys: 400, grid_ms: 250, lateness_ms: 0, ..long },
        Shape { events: 60, keys: 2, values: 3, grid_ms: 250, lateness_ms: 1000, ..long },
    ]
}

/// The long shapes once or twice, the short one, which finds edges, many times.
fn check_all(spec: WindowSpec, value: impl Fn(u64) -> u64 + Copy) {
    for (number, shape) in shapes().into_iter().enumerate() {
        let rounds = if shape.events < 100 { 150 } else { 2 };
        for round in 0..rounds {
            check(spec, shape, number as u64 * 1000 + round, value);
        }
    }
}

fn window(aggregate: Aggregate) -> WindowSpec {
    WindowSpec::new(aggregate, Reach::Window(WINDOW_MS))
}

fn int(number: u64) -> u64 {
    (number as i64 - 3).wrapping_mul(1_000_003) as u64
}

/// Sums of a few of these overflow.
fn huge(number: u64) -> u64 {
    [i64::MAX, i64::MIN, i64::MAX / 2, 1, -1, 1 << 42][number as usize % 6] as u64
}

/// Not associative: the order of addition shows.
fn double(number: u64) -> u64 {
    [1e16f64, -1e16, 0.1, 3.5, -0.0, 1e-3, 7e15][number as usize % 7].to_bits()
}

#[test]
fn count_is_a_recount() {
    check_all(window(Aggregate::Count), int);
}

#[test]
fn sums_and_means_of_ints_are_a_recount() {
    for aggregate in [Aggregate::Sum(Number::Int), Aggregate::Avg(Number::Int)] {
        check_all(window(aggregate), int);
        check_all(window(aggregate), huge);
    }
}

#[test]
fn sums_and_means_of_doubles_are_a_recount_in_the_order_of_time_and_id() {
    check_all(window(Aggregate::Sum(Number::Double)), double);
    check_all(window(Aggregate::Avg(Number::Double)), double);
}

#[test]
fn least_and_greatest_are_a_recount() {
    check_all(window(Aggregate::Min(Number::Int)), huge);
    check_all(window(Aggregate::Max(Number::Int)), int);
    check_all(window(Aggregate::Min(Number::Double)), double);
    check_all(window(Aggregate::Max(Number::Double)), double);
}

#[test]
fn distinct_and_set_are_a_recount() {
    check_all(window(Aggregate::Distinct), int);
    check_all(window(Aggregate::Set), huge);
    check_all(window(Aggregate::Set), int);
}

#[test]
fn first_is_a_recount() {
    check_all(window(Aggregate::First), int);
    check_all(WindowSpec::new(Aggregate::First, Reach::Retention(150)), int);
    check_all(WindowSpec::new(Aggregate::First, Reach::Retention(WINDOW_MS)), int);
}

#[test]
fn last_and_previous_are_a_recount() {
    for reach in [Reach::Window(WINDOW_MS), Reach::Retention(150), Reach::Retention(100_000)] {
        check_all(WindowSpec::new(Aggregate::Last, reach), int);
        check_all(WindowSpec::new(Aggregate::Previous, reach), huge);
    }
}

/// The algorithm as the standard writes it, with the theoretical arrival time in units of 1 / limit milliseconds.
#[test]
fn rate_is_the_generic_cell_rate_algorithm() {
    let (limit, per_ms, burst) = (7u32, 1000i64, 3u32);
    let spec = window(Aggregate::Rate { limit, per_ms, burst });
    let mut exceeded = 0;
    for (number, shape) in shapes().into_iter().enumerate() {
        let mut random = Random(number as u64);
        let ops = history(shape, &mut random, int);
        let (out, _) = run(spec, &ops, &mut random, true);
        let mut keys = BTreeMap::<KeyHash, (i128, i128)>::new();
        for (op, reading) in ops.iter().map(clamped).zip(&out.readings) {
            let (clock, arrival) = keys.get(&op.key).copied().unwrap_or((i128::MIN, i128::MIN));
            let now = clock.max(i128::from(op.time_ms) * i128::from(limit));
            let arrival = arrival.max(now);
            let too_early = arrival - now > i128::from(per_ms) * i128::from(burst - 1);
            let next = if too_early { arrival } else { arrival + i128::from(per_ms) };
            if op.add {
                keys.insert(op.key, (now, next));
            }
            assert_eq!(reading.value, Value::Flag(too_early));
            assert_eq!(reading.known, op.add || arrival > now);
            exceeded += usize::from(too_early);
        }
    }
    assert!(exceeded > 100, "{exceeded}");
}

fn every_aggregate() -> Vec<WindowSpec> {
    let mut specs: Vec<WindowSpec> = [
        Aggregate::Count,
        Aggregate::Sum(Number::Int),
        Aggregate::Avg(Number::Double),
        Aggregate::Max(Number::Int),
        Aggregate::Distinct,
        Aggregate::Set,
        Aggregate::First,
        Aggregate::Last,
        Aggregate::Previous,
        Aggregate::Rate { limit: 5, per_ms: 700, burst: 2 },
    ]
    .map(window)
    .to_vec();
    specs.push(WindowSpec::new(Aggregate::First, Reach::Retention(300)));
    specs
}

fn assert_same(left: &Readings, right: &Readings, what: &dyn std::fmt::Debug) {
    assert_eq!(left.readings.len(), right.readings.len());
    for (place, (one, other)) in left.readings.iter().zip(&right.readings).enumerate() {
        let fits = same(one.value, other.value)
            && (one.known, one.exact) == (other.known, other.exact)
            && left.set(one) == right.set(other);
        assert!(fits, "operation {place}: {one:?} {other:?}, {what:?}");
    }
}

/// Bounds small enough to bite included: neither sweeps nor the cutting of batches may show.
#[test]
fn sweeps_and_batch_sizes_are_invisible() {
    for spec in every_aggregate() {
        for (number, shape) in shapes().into_iter().enumerate() {
            for max_entries in [3, 40, WindowSpec::MAX_ENTRIES] {
                let spec = WindowSpec { max_entries, ..spec };
                let ops = history(shape, &mut Random(number as u64), int);
                let (swept, _) = run(spec, &ops, &mut Random(1), true);
                let (kept, table) = run(spec, &ops, &mut Random(2), false);
                let (again, other) = run(spec, &ops, &mut Random(3), false);
                assert_same(&swept, &kept, &(spec, shape));
                assert_same(&again, &kept, &(spec, shape));
                assert_eq!(table.digest(), other.digest(), "{spec:?} {shape:?}");
                assert_eq!(table.bytes(), other.bytes(), "{spec:?} {shape:?}");
            }
        }
    }
}

/// The same events, but no horizon ever lets anything be dropped.
#[test]
fn physical_expiry_is_invisible() {
    for spec in every_aggregate() {
        for (number, shape) in shapes().into_iter().enumerate() {
            let ops: Vec<Op> = history(shape, &mut Random(number as u64 + 77), int).iter().map(clamped).collect();
            let forever: Vec<Op> = ops.iter().map(|op| Op { horizon_ms: i64::MIN, ..*op }).collect();
            let (expired, _) = run(spec, &ops, &mut Random(1), true);
            let (kept, _) = run(spec, &forever, &mut Random(2), true);
            assert_same(&expired, &kept, &(spec, shape));
        }
    }
}

#[test]
fn order_of_arrival_does_not_matter_to_exact_windows() {
    for spec in every_aggregate() {
        if matches!(spec.aggregate, Aggregate::Rate { .. } | Aggregate::Last | Aggregate::Previous) {
            continue;
        }
        let mut random = Random(5);
        let mut ops = history(shapes()[0], &mut random, int);
        ops.retain(|op| op.add);
        ops.iter_mut().for_each(|op| op.horizon_ms = i64::MIN);
        let (_, table) = run(spec, &ops, &mut random, false);
        for place in (1..ops.len()).rev() {
            ops.swap(place, random.below(place as u64 + 1) as usize);
        }
        let (_, shuffled) = run(spec, &ops, &mut random, false);
        assert_eq!(table.digest(), shuffled.digest(), "{spec:?}");
    }
}

/// A reading that calls itself exact is a recount even where entries were dropped, and one that does not is at a key that
/// had more live events than the bound within two windows.
#[test]
fn past_the_bound_a_reading_is_exact_or_says_that_it_is_not() {
    for spec in every_aggregate() {
        if matches!(spec.aggregate, Aggregate::Rate { .. }) {
            continue;
        }
        for (number, shape) in shapes().into_iter().enumerate() {
            let spec = WindowSpec { max_entries: 6, ..spec };
            let mut random = Random(number as u64 + 9);
            let ops = history(shape, &mut random, int);
            let (out, _) = run(spec, &ops, &mut random, true);
            let (mut keys, ids) = (BTreeMap::<KeyHash, Recount>::new(), ids());
            for (place, (op, reading)) in ops.iter().map(clamped).zip(&out.readings).enumerate() {
                let recount = keys.entry(op.key).or_default();
                if op.add {
                    recount.add(&op);
                }
                let (value, ..) = recount.read(&spec, &op, &ids);
                let truth = same(reading.value, value);
                assert!(truth || !reading.exact, "{spec:?} operation {place}: {reading:?} {value:?}");
                assert!(reading.exact || recount.events.len() > 6, "{spec:?} operation {place}: nothing was dropped");
            }
        }
    }
}

#[test]
fn the_oldest_are_summarised_and_the_mark_leaves_with_them() {
    let spec = WindowSpec { max_entries: 3, ..window(Aggregate::Count) };
    let (mut table, mut out) = (FeatureTable::new(spec), Readings::default());
    let op = |time_ms: i64| Op {
        key: key(1),
        time_ms,
        horizon_ms: time_ms - 100,
        event: time_ms as u64,
        add: true,
        ..Op::default()
    };
    let mut read = |op: Op, table: &mut FeatureTable| {
        table.apply(&[op], &[], &mut out);
        out.readings.pop().expect("there is one")
    };
    for (time_ms, count, exact) in [(0, 1, true), (10, 2, true), (20, 3, true), (30, 4, false), (40, 5, false)] {
        assert_eq!(read(op(time_ms), &mut table), Reading { value: Value::Int(count), known: true, exact });
    }
    assert_eq!(table.truncated_keys(), 1);
    // 0 and 10 are summarised: the window that has left both is exact again.
    let look = |time_ms: i64| Op { add: false, ..op(time_ms) };
    assert!(!read(look(WINDOW_MS + 9), &mut table).exact);
    assert_eq!(read(look(WINDOW_MS + 10), &mut table), Reading { value: Value::Int(3), known: true, exact: true });
    table.sweep(WINDOW_MS + 10, table.slots());
    assert_eq!((table.truncated_keys(), table.keys()), (0, 1));
    table.sweep(WINDOW_MS + 40, table.slots());
    assert_eq!(table.keys(), 0);
}

#[test]
fn a_saturated_table_refuses_new_keys_and_keeps_the_old() {
    let mut table = FeatureTable::new(window(Aggregate::Count));
    let mut out = Readings::default();
    let op = |number: u64, add: bool| Op { key: key(number), time_ms: 5, event: 9, add, ..Op::default() };
    table.apply(&[op(1, true)], &[], &mut out);
    table.set_limit(Limit::Keys);
    assert_eq!((table.limit(), table.keys_max()), (Limit::Keys, 1));
    table.apply(&[op(2, true), op(2, false), Op { event: 8, ..op(1, true) }], &[], &mut out);
    let reading = |count, known, exact| Reading { value: Value::Int(count), known, exact };
    let expected = [reading(1, true, true), reading(0, false, false), reading(0, false, false), reading(2, true, true)];
    assert_eq!(out.readings, expected);
    assert_eq!(table.nothing(), reading(0, false, true));
    assert_eq!(table.keys(), 1);

    // Accepted again, the refused key is not exact until the refused event would have left; the old key always is.
    table.set_limit(Limit::None);
    out.clear();
    let at = |op: Op, time_ms: i64| Op { time_ms, event: time_ms as u64, ..op };
    let ops =
        [at(op(2, true), 6), at(op(2, false), 4 + WINDOW_MS), at(op(2, false), 5 + WINDOW_MS), at(op(1, false), 6)];
    table.apply(&ops, &[], &mut out);
    let expected = [reading(1, true, false), reading(1, true, false), reading(1, true, true), reading(2, true, true)];
    assert_eq!(out.readings, expected);
    assert_eq!(table.truncated_keys(), 0);
    table.sweep(6 + WINDOW_MS, table.slots());
    assert_eq!(table.keys(), 0);
}

#[test]
fn idle_keys_leave_and_their_memory_with_them() {
    for spec in every_aggregate() {
        let (mut table, mut out) = (FeatureTable::new(spec), Readings::default());
        let empty = table.bytes();
        for event in 0..60_000u64 {
            let op = Op {
                key: key(event / 3),
                time_ms: event as i64 % 100,
                event,
                value: event,
                add: true,
                ..Op::default()
            };
            table.apply(&[op], &[[0; 16]], &mut out);
            out.clear();
        }
        assert_eq!(table.keys(), 20_000);
        for _ in 0..=table.slots() / 1000 {
            table.sweep(200_000, 1000);
        }
        assert_eq!(table.keys(), 0, "{spec:?}");
        assert!(table.bytes() < empty + 40_000, "{spec:?}: {}", table.bytes());
    }
}

#[test]
fn a_key_with_one_event_fits_its_bound() {
    let bounds = [
        (Aggregate::Count, 80),
        (Aggregate::Sum(Number::Int), 80),
        (Aggregate::Last, 80),
        (Aggregate::Set, 112),
        (Aggregate::Distinct, 112),
    ];
    for (aggregate, bound) in bounds {
        let (mut table, mut out) = (FeatureTable::new(window(aggregate)), Readings::default());
        for number in 0..1_000_000u64 {
            let op = Op { key: key(number), time_ms: 5, event: number, value: 7, add: true, ..Op::default() };
            table.apply(&[op], &[], &mut out);
            out.clear();
        }
        let bytes = table.bytes() as f64 / table.keys() as f64;
        assert!(bytes <= f64::from(bound), "{aggregate:?}: {bytes} bytes a key");
    }
}

#[test]
fn times_and_values_at_the_ends_of_their_range_do_no_harm() {
    let ends = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
    for spec in every_aggregate() {
        for reach_ms in [i64::MIN, 0, 1, i64::MAX] {
            let reach = match spec.reach {
                Reach::Window(_) => Reach::Window(reach_ms),
                Reach::Retention(_) => Reach::Retention(reach_ms),
            };
            for max_entries in [0, 2, u32::MAX] {
                let (mut table, mut out) =
                    (FeatureTable::new(WindowSpec { reach, max_entries, ..spec }), Readings::default());
                for (event, time_ms) in ends.iter().chain(ends.iter().rev()).enumerate() {
                    for horizon_ms in [i64::MIN, i64::MAX] {
                        let op = Op {
                            time_ms: *time_ms,
                            horizon_ms,
                            event: event as u64,
                            value: u64::MAX,
                            add: true,
                            ..Op::default()
                        };
                        table.apply(&[op, Op { add: false, members: true, ..op }], &[], &mut out);
                    }
                    table.sweep(*time_ms, usize::MAX);
                }
            }
        }
    }
}
