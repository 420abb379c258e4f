//! An engine that judges over records which somebody else keeps says what one says that keeps all by itself, byte for byte:
//! over made-up histories with repeats, late events, referrals that come after what they decide, and partitions; whatever the
//! batches; and where writes are lost, done by half, or overtaken by others.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use refguard::engine::{
    Change, Engine, EngineOptions, Judgements, Next, Origin, RecordKind, RecordName, SharedChunk, Terms, write_verdict,
};
use refguard::event::{EventBatch, ParseOptions, Parser, Place, Position};
use refguard::ruleset::program::RuleSet;
use refguard::signals::{Deriver, SignalConfig};

#[path = "support/pack.rs"]
mod pack;
#[path = "support/partitions.rs"]
mod partitions;
#[path = "support/random.rs"]
mod random;

use random::Random;

/// Every aggregate that can be shared, facts about accounts, chains of referrers, keys that wait for a referral, decisions.
const RULES: &str = r#"
version: 1
pack: shared
features:
  logins_1h: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 1h}
  few_logins: {on: [login.succeeded], key: [event.country], aggregate: count, window: 10h, max_entries: 4}
  buckets: {on: [login.succeeded], key: [event.device_id], aggregate: count, window: 2h, bucket: 5m}
  spent: {on: [reward.redeemed], key: [event.account_id], aggregate: sum, value: event.amount_minor, window: 2h}
  mean: {on: [reward.redeemed], key: [event.device_id], aggregate: avg, value: event.rating, window: 2h}
  most: {on: [reward.redeemed], key: [event.account_id], aggregate: max, value: event.amount_minor, window: 3h}
  least_before: {on: [reward.redeemed], key: [event.account_id], aggregate: min, value: event.amount_minor, window: 2h, offset: 30m}
  accounts: {on: [login.succeeded, referral.completed], key: [event.device_id], aggregate: distinct, value: event.account_id, window: 5h}
  few_accounts: {on: [login.succeeded], key: [event.country], aggregate: distinct, value: event.account_id, window: 9h, max_entries: 3}
  devices: {on: [login.succeeded, referral.completed], key: [event.account_id], aggregate: set, value: event.device_id, window: 5h}
  first: {on: [login.succeeded], key: [event.account_id], aggregate: first, retention: 4h}
  last: {on: [login.succeeded, reward.redeemed], key: [event.account_id], aggregate: last, window: 3h}
  country: {on: [login.succeeded], key: [event.account_id], aggregate: previous, value: event.country, window: 3h}
  fast: {on: [login.succeeded], key: [event.device_id], aggregate: rate, limit: 4, per: 1h, burst: 3}
  steps:
    key: [event.account_id]
    aggregate: sequence
    within: 2h
    steps: [{on: [login.succeeded], min: 2}, {on: [reward.redeemed]}]
  day: {on: [reward.redeemed], key: [event.account_id], aggregate: count, window: day}
  everywhere: {on: [login.succeeded], key: [event.device_id], aggregate: distinct, value: event.account_id, window: 4h, scope: global}
  earned: {on: [reward.redeemed], key: [account.referrer], aggregate: sum, value: event.amount_minor, window: 4h}
rules:
  - {id: a-counts, on: [login.succeeded], when: logins_1h > 2, score: 7, message: "{logins_1h} {few_logins} {buckets}"}
  - {id: b-few, on: [login.succeeded], when: few_logins % 3 == 0 || few_accounts % 2 == 1, score: 3}
  - {id: c-money, on: [reward.redeemed], when: spent > 900 || most > 400, score: 9, message: "{spent} {most} {day}"}
  - {id: d-mean, on: [reward.redeemed], when: known(mean) && mean > 2.0, score: 5}
  - {id: e-least, on: [reward.redeemed], when: known(least_before) && least_before < 100, score: 4}
  - {id: f-devices, on: [referral.completed], when: "overlap(devices, devices.at(event.referrer_id)) > 0", action: block, applies_to: both,
     decide: [{subject: referrer, verdict: hold, ttl: 2h}, {subject: device, verdict: block, ttl: 1h}]}
  - {id: g-fast, on: [login.succeeded], when: fast, score: 20, decide: [{subject: account, verdict: challenge, ttl: 30m, on: [login.succeeded]}]}
  - {id: h-steps, on: [reward.redeemed], when: steps == 2, score: 11, breaker: {share: 30%, over: 1h, rearm: 1h, min_events: 20}}
  - {id: i-moved, on: [login.succeeded], when: known(country) && country != event.country, score: 6}
  - {id: j-dormant, on: [login.succeeded], when: known(last) && event.time - last > duration("1h"), score: 2}
  - {id: k-new, on: [login.succeeded], when: account.new_device && account.age < duration("2h"), score: 1}
  - {id: l-all, on: [login.succeeded], when: everywhere > 3 && accounts > 2, score: 8}
  - {id: m-earned, on: [reward.redeemed], when: earned.at(event.account_id) > 500, score: 10,
     decide: [{subject: account, id: account.referrer, verdict: flag, ttl: 1h}]}
  - {id: n-chain, on: [referral.completed], when: "referral_depth(event.account_id) > 2 || referral_cycle(event.referrer_id, event.account_id)", score: 12}
  - {id: o-whole, on: [login.succeeded], when: complete(logins_1h) && known(first), score: 1}
"#;

fn rules() -> Arc<RuleSet> {
    pack::rules(RULES)
}

fn options() -> EngineOptions {
    const HOUR_MS: i64 = 3_600_000;
    EngineOptions {
        allowed_lateness_ms: HOUR_MS,
        dedup_span_ms: 6 * HOUR_MS,
        retention_ms: 8 * HOUR_MS,
        state_max_bytes: usize::MAX,
        ..EngineOptions::default()
    }
}

/// Events with their partitions, in the order of arrival.
fn history(seed: u64, events: usize) -> Vec<(u32, String)> {
    let mut random = Random(seed);
    let mut log: Vec<(u32, String)> = Vec::new();
    for at in 0..events {
        if !log.is_empty() && random.chance(6) {
            let back = (random.below(300) as usize).min(log.len() - 1);
            let again = log[log.len() - 1 - back].clone();
            log.push((random.below(3) as u32, again.1));
            continue;
        }
        // Time goes on by about 20 s an event; some are late, some too late.
        let back_s = if random.chance(15) { random.below(5400) } else { random.below(90) };
        let at_s = (20 * at as u64).saturating_sub(back_s);
        let time =
            format!("2026-05-{:02}T{:02}:{:02}:{:02}Z", 1 + at_s / 86_400, at_s / 3600 % 24, at_s / 60 % 60, at_s % 60);
        let (account, other) = (random.below(25), random.below(25));
        let device = random.below(9);
        let kind =
            ["login.succeeded", "reward.redeemed", "referral.completed", "login.succeeded"][random.below(4) as usize];
        let kind = if random.chance(2) { "account.erased" } else { kind };
        let program = ["default", "gold"][usize::from(random.chance(30))];
        let mut data = format!(
            r#""program":"{program}","account_id":"a{account}","device_id":"d{device}","country":"{}","amount_minor":{},"rating":{}.5"#,
            ["SA", "AE", "EG"][random.below(3) as usize],
            random.below(500),
            random.below(5),
        );
        if kind == "referral.completed" {
            data.push_str(&format!(r#","referrer_id":"a{other}""#));
        }
        let id = if random.chance(1) { random.below(at as u64 + 1) } else { at as u64 };
        let line = format!(
            r#"{{"specversion":"1.0","id":"e{id}","source":"/s","type":"{kind}","time":"{time}","data":{{{data}}}}}"#
        );
        log.push((random.below(3) as u32, line));
    }
    log
}

type Name = (RecordKind, Option<String>, u128);

fn owned(name: &RecordName<'_>) -> Name {
    (name.kind, name.program.map(str::to_owned), name.key)
}

/// A record as it is to be: its name, what it must begin with, what it is to hold.
type Wanted = (Name, Vec<u8>, Vec<u8>);

/// Keeps records, in shards, and writes each shard whole or not at all.
#[derive(Clone, Default)]
struct Keeper {
    records: BTreeMap<Name, Vec<u8>>,
    /// By shard and partition.
    places: HashMap<(u128, u64), u64>,
}

impl Keeper {
    fn shard(name: &Name) -> u128 {
        name.2 >> 64 & 3 | u128::from(name.1.is_some()) << 8
    }

    /// Writes some of the shards, by `chosen`; answers whether all are written.
    fn write<'c>(
        &mut self,
        changes: impl Iterator<Item = Change<'c>>,
        origins: &[Origin],
        chosen: impl Fn(u128) -> bool,
    ) -> bool {
        let mut by_shard: BTreeMap<u128, Vec<Wanted>> = BTreeMap::new();
        for change in changes {
            let name = owned(&change.name);
            by_shard.entry(Keeper::shard(&name)).or_default().push((
                name,
                change.expected.to_vec(),
                change.value.to_vec(),
            ));
        }
        let mut is_all = true;
        for (shard, changes) in by_shard {
            let as_read = |(name, expected, _): &Wanted| match self.records.get(name) {
                Some(held) => !expected.is_empty() && held.starts_with(expected),
                None => expected.is_empty(),
            };
            if !chosen(shard) || !changes.iter().all(as_read) {
                is_all = false;
                continue;
            }
            for (name, _, value) in changes {
                if value.is_empty() {
                    self.records.remove(&name)
                } else {
                    self.records.insert(name, value)
                };
            }
            for origin in origins {
                let place = self.places.entry((shard, origin.partition)).or_default();
                *place = (*place).max(origin.offset);
            }
        }
        is_all
    }
}

/// Tells the engine the terms of a state that begins.
fn share(engine: &mut Engine) {
    let tables = engine.shared_tables().len() as u32;
    let terms = Terms {
        sections: (2..tables + 2).collect(),
        since_ms: vec![None; engine.rules().features.len()],
        started_ms: None,
        subjects: engine.rules().decided_subjects(),
    };
    engine.share(terms);
}

/// What goes wrong with the writes of a chunk.
type Trouble<'a> = &'a mut dyn FnMut(&mut Keeper) -> Option<u128>;

struct World {
    rules: Arc<RuleSet>,
    engine: Engine,
    deriver: Deriver,
    token: u64,
}

impl World {
    fn new() -> World {
        let rules = rules();
        let mut engine = Engine::new(Arc::clone(&rules), options());
        share(&mut engine);
        let deriver = Deriver::new(engine.wanted(), &SignalConfig::default()).unwrap();
        World { rules, engine, deriver, token: 0 }
    }

    /// Judges events; `trouble` answers the bits of the shards that a try writes, if not all.
    fn judge(
        &mut self,
        keeper: &RefCell<Keeper>,
        (first, events): (u64, &[(u32, String)]),
        in_doubt: bool,
        trouble: Trouble<'_>,
        out: &mut Vec<u8>,
    ) {
        let (mut batch, mut signals, mut judgements) = (EventBatch::default(), Vec::new(), Judgements::default());
        let parser = &mut Parser::new(ParseOptions { allow_future: true });
        for (at, (partition, line)) in events.iter().enumerate() {
            let start = batch.input.len();
            batch.input.push_str(line);
            let position = Position { partition: *partition, offset: first + at as u64, item: 0 };
            let range = start..batch.input.len();
            parser.parse_structured(&mut batch, range, Place { position, ingest_time_ms: 0 }).unwrap();
        }
        self.deriver.derive(&mut batch, &mut signals);
        let origin = |at: Position| Origin { partition: u64::from(at.partition) + 7, offset: at.offset };
        let origins: Vec<Origin> = batch.events.iter().map(|event| origin(event.position)).collect();
        let mut from = 0;
        while from < batch.events.len() {
            let size = self.engine.next_chunk(&batch.events[from..]);
            let (part, of_part) = (from..from + size, &origins[from..from + size]);
            let mut chunk = SharedChunk::open(&mut self.engine, &batch, &signals, (part, of_part), &mut judgements);
            let mut in_doubt = in_doubt;
            loop {
                self.token += 1;
                let applied = |name: RecordName<'_>, origin: Origin| {
                    let shard = Keeper::shard(&owned(&name));
                    in_doubt
                        && keeper.borrow().places.get(&(shard, origin.partition)).is_some_and(|at| *at >= origin.offset)
                };
                loop {
                    let values: Vec<Option<Vec<u8>>> =
                        chunk.wanted().map(|name| keeper.borrow().records.get(&owned(&name)).cloned()).collect();
                    if chunk.give(values.iter().map(Option::as_deref), &applied, self.token).unwrap() == Next::Write {
                        break;
                    }
                }
                let chosen = trouble(&mut keeper.borrow_mut());
                let writes = |shard: u128| chosen.is_none_or(|chosen| chosen >> (shard & 3) & 1 == 1);
                let mut kept = keeper.borrow_mut();
                if kept.write(chunk.state_changes(), of_part, writes)
                    && kept.write(chunk.verdict_changes(), of_part, |_| true)
                {
                    break;
                }
                drop(kept);
                in_doubt = true;
                chunk.again();
            }
            chunk.finish();
            from += size;
        }
        for (event, judgement) in batch.events.iter().zip(&judgements.events) {
            write_verdict(out, &batch, event, judgement, &judgements, &self.rules.hash);
            out.push(b'\n');
        }
    }
}

/// Verdicts over shared records, in batches of a size.
fn shared(log: &[(u32, String)], size: usize, trouble: Trouble<'_>) -> (String, RefCell<Keeper>, World) {
    let keeper = RefCell::new(Keeper::default());
    let (mut world, mut out) = (World::new(), Vec::new());
    for (number, events) in log.chunks(size).enumerate() {
        world.judge(&keeper, ((number * size) as u64, events), false, trouble, &mut out);
    }
    (String::from_utf8(out).unwrap(), keeper, world)
}

/// The values of features in verdict lines. Not what breakers, which are each engine's own, make of them.
fn values(lines: &[u8]) -> String {
    let text = String::from_utf8(lines.to_vec()).unwrap();
    let of = |line: &str| {
        let (values, _) = line.split_once("\"evidence\":").unwrap().1.split_once("\"decisions\":").unwrap();
        values.to_owned() + "\n"
    };
    text.lines().map(of).collect()
}

/// Compares verdicts but for what holds are for: over shared records nothing is reviewed, so an event whose name was forgotten
/// is judged anew there, and answered by its hold where there is one.
fn assert_alike(shared: &str, embedded: &str, of: &str) {
    let is_repeat = |line: &str| line.contains("\"duplicate\":true");
    let id = |line: &str| line.split(',').find(|part| part.starts_with("\"event_id\":")).map(str::to_owned);
    let without_current = |line: &str| match line.split_once(",\"current\":") {
        Some((before, _)) => before.to_owned(),
        None => line.trim_end_matches('}').to_owned(),
    };
    let mut held = BTreeSet::new();
    for (at, (one, other)) in shared.lines().zip(embedded.lines()).enumerate() {
        if is_repeat(one) != is_repeat(other) {
            assert!(
                one.contains("\"late\":true") || other.contains("\"late\":true"),
                "{of}: event {at}: {one}, {other}"
            );
            held.extend(id(one));
        }
        if id(one).is_none_or(|id| !held.contains(&id)) {
            assert_eq!(without_current(one), without_current(other), "{of}: event {at}");
        }
    }
    assert_eq!(shared.lines().count(), embedded.lines().count(), "{of}");
}

#[test]
fn verdicts_are_those_of_an_engine_that_keeps_all_by_itself() {
    for seed in 0..6 {
        let log = history(seed, 1500);
        let embedded = partitions::verdicts(&rules(), options(), &log, 100);
        for word in [
            "\"duplicate\":true",
            "\"late\":true",
            "\"exact\":false",
            "\"verdict\":\"block\"",
            "\"cause\":\"decision\"",
        ] {
            assert!(embedded.contains(word), "a history has {word}");
        }
        for size in [1500, 256, 13] {
            let (shared, ..) = shared(&log, size, &mut |_| None);
            assert_alike(&shared, &embedded, &format!("seed {seed}, batches of {size}"));
        }
    }
}

#[test]
fn a_second_delivery_gets_the_first_verdicts_and_counts_nothing() {
    let log = history(11, 1200);
    let (log, after) = log.split_at(900);
    let keeper = RefCell::new(Keeper::default());
    let (mut first, mut again) = (Vec::new(), Vec::new());
    let mut world = World::new();
    world.judge(&keeper, (0, log), false, &mut |_| None, &mut first);
    let once = RefCell::new(keeper.borrow().clone());
    let newest: Vec<(u32, i64)> = (0..3).filter_map(|of| Some((of, world.engine.clock().newest_ms(of)?))).collect();
    // Another process goes on where the first one had committed: event 500.
    let mut heir = World::new();
    // All of them first: one alone would take event time past the others.
    newest.iter().for_each(|(partition, _)| heir.engine.assign(*partition));
    for (partition, newest_ms) in newest {
        heir.engine.resume(partition, newest_ms);
    }
    heir.judge(&keeper, (500, &log[500..]), true, &mut |_| None, &mut again);
    let first = String::from_utf8(first).unwrap();
    let expected: String = first.lines().skip(500).map(|line| format!("{line}\n")).collect();
    assert_alike(&String::from_utf8(again).unwrap(), &expected, "the second delivery");
    // What comes then is judged as if there had been none.
    let (mut one, mut other) = (Vec::new(), Vec::new());
    world.judge(&once, (900, after), false, &mut |_| None, &mut one);
    heir.judge(&keeper, (900, after), false, &mut |_| None, &mut other);
    assert_alike(&values(&other), &values(&one), "what follows");
}

#[test]
fn what_a_try_has_written_by_half_counts_once() {
    for seed in 20..26 {
        let log = history(seed, 1500);
        let (log, after) = log.split_at(1200);
        let (_, undisturbed, mut steady) = shared(log, 256, &mut |_| None);
        let (mut random, mut tries) = (Random(seed), 0);
        let (verdicts, disturbed, mut shaken) = shared(log, 256, &mut |_| {
            tries += 1;
            // Some of the four shards, twice in three tries.
            random.chance(66).then(|| u128::from(random.below(15)))
        });
        assert!(tries > 6, "tries are repeated: {tries}");
        assert_eq!(verdicts.lines().count(), log.len());
        // What comes then reads the same values.
        let (mut one, mut other) = (Vec::new(), Vec::new());
        steady.judge(&undisturbed, (1200, after), false, &mut |_| None, &mut one);
        shaken.judge(&disturbed, (1200, after), false, &mut |_| None, &mut other);
        assert_alike(&values(&other), &values(&one), &format!("seed {seed}"));
    }
}
