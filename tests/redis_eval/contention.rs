//! Two engines that count at the same keys at the same time: each is overtaken again and again, and no event is lost or counted
//! twice. On a server alone, where one call writes a chunk, and on a cluster, where each shard is written by itself.

use std::sync::atomic::Ordering;
use std::thread;

use super::judge::{Judge, Login};
use super::support::redis::{Cluster, Redis};

/// All at one device; windows that know their events, and some that do not.
const RULES: &str = r#"
version: 1
pack: contention
features:
  logins: {on: [login.succeeded], key: [event.device_id], aggregate: count, window: 24h}
  buckets: {on: [login.succeeded], key: [event.device_id], aggregate: count, window: 24h, bucket: 1h}
  spent: {on: [login.succeeded], key: [event.device_id], aggregate: sum, value: event.amount_minor, window: 24h}
  accounts: {on: [login.succeeded], key: [event.country], aggregate: distinct, value: event.account_id, window: 24h}
rules:
  - {id: all, on: [login.succeeded], when: logins > 0, score: 1, message: "{logins} {buckets} {spent} {accounts}"}
"#;

/// How many batches each judges, and events a batch.
const BATCHES: u64 = 60;
const EVENTS: u64 = 32;

fn login(partition: u32, number: u64) -> Login {
    Login { account: format!("a{partition}-{number}"), device: "d".to_owned(), at_s: 36_000 }
}

/// Two judge at once, and a third is told what they have counted.
fn check(nodes: &[u16]) {
    let conflicts: u64 = thread::scope(|scope| {
        let judged = [0, 1].map(|partition| {
            scope.spawn(move || {
                let mut judge = Judge::new(nodes, RULES, partition);
                for batch in 0..BATCHES {
                    let numbers = batch * EVENTS..(batch + 1) * EVENTS;
                    let logins: Vec<Login> = numbers.map(|number| login(partition, number)).collect();
                    judge.judge(&logins);
                }
                judge.state.counts().conflicts.load(Ordering::Relaxed)
            })
        });
        judged.into_iter().map(|judged| judged.join().unwrap()).sum()
    });
    assert!(conflicts > 10, "they met {conflicts} times: nothing was tried");
    let all = 2 * BATCHES * EVENTS + 1;
    let told = Judge::new(nodes, RULES, 2).judge(&[login(2, 0)]);
    assert!(told.contains(&format!("\"{all} {all} {all} {all}\"")), "of {all} events, {conflicts} conflicts: {told}");
}

#[test]
fn two_at_the_same_keys_lose_and_double_nothing_on_one_server() {
    let redis = Redis::start();
    check(&[redis.port]);
}

#[test]
fn two_at_the_same_keys_lose_and_double_nothing_on_a_cluster() {
    let cluster = Cluster::start();
    check(&[cluster.nodes[0].port]);
}

/// How many events of a partition are in doubt after it was assigned, and those of one chunk.
const CHUNK: u64 = 256;

/// One falls asleep, another goes on with its partition, and the first wakes up with events that it has already read: of these
/// nothing is counted twice.
fn check_zombie(nodes: &[u16]) {
    let logins = |numbers: std::ops::Range<u64>| -> Vec<Login> { numbers.map(|number| login(0, number)).collect() };
    let mut zombie = Judge::new(nodes, RULES, 0);
    // It knows its partition by then: of more events than are in doubt at first.
    zombie.judge(&logins(0..2 * CHUNK));
    let mut heir = Judge::new(nodes, RULES, 0);
    heir.judge(&logins(0..6 * CHUNK));
    zombie.judge(&logins(2 * CHUNK..6 * CHUNK));
    let all = 6 * CHUNK + 1;
    let told = heir.judge(&logins(6 * CHUNK..all));
    assert!(told.contains(&format!("\"{all} {all} {all} {all}\"")), "of {all} events: {told}");
}

#[test]
fn who_goes_on_with_a_partition_knows_first_how_far_the_others_are() {
    const AHEAD_S: u64 = 43_200;
    let redis = Redis::start();
    let at = |partition: u32, number: u64, at_s: u64| Login { at_s, ..login(partition, number) };
    let mut slow = Judge::new(&[redis.port], RULES, 1);
    slow.judge(&[at(1, 0, AHEAD_S - 7200)]);
    slow.idle();
    let mut ahead = Judge::new(&[redis.port], RULES, 0);
    ahead.judge(&[at(0, 0, AHEAD_S)]);
    ahead.idle();
    // An hour and a half is more than is allowed, and counts as long as the other partition is no further.
    let told = Judge::new(&[redis.port], RULES, 0).judge(&[at(0, 0, AHEAD_S), at(0, 1, AHEAD_S - 5400)]);
    assert!(!told.contains("\"late\":true"), "{told}");
}

#[test]
fn who_wakes_up_doubles_nothing_on_one_server() {
    let redis = Redis::start();
    check_zombie(&[redis.port]);
}

#[test]
fn who_wakes_up_doubles_nothing_on_a_cluster() {
    let cluster = Cluster::start();
    check_zombie(&[cluster.nodes[0].port]);
}
