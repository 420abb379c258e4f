//! What leaves, and when: records go as event time passes them, by the servers' clock they go later, and nothing goes that an
//! engine which is behind may still see.

use std::sync::atomic::Ordering;

use super::judge::{HOUR_MS, Judge, Login, SPARE_MS};
use super::support::redis::{Cluster, Redis};

const RULES: &str = r#"
version: 1
pack: ageing
features:
  logins_2h: {on: [login.succeeded], key: [event.device_id], aggregate: count, window: 2h}
rules:
  - {id: all, on: [login.succeeded], when: logins_2h > 0, score: 1, message: "{logins_2h}"}
"#;
/// The longest window, in seconds.
const WINDOW_S: u64 = 7200;

fn login(account: u64, device: u64, at_s: u64) -> Login {
    Login { account: format!("a{account}"), device: format!("d{device}"), at_s }
}

fn count(verdict: &str) -> u64 {
    let message = verdict.split("\"message\":\"").nth(1).and_then(|rest| rest.split('"').next());
    message.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("a count: {verdict}"))
}

/// Every device is seen once, and event time goes on by days: what is held follows what is of use.
fn check_sweep(nodes: &[u16], keys: impl Fn() -> usize) {
    const BATCH: u64 = 64;
    const EVENTS: u64 = 512 * BATCH;
    const EVERY_S: u64 = 2;
    // A window is of use for two hours and one of lateness, an identity for an hour.
    let of_use = (WINDOW_S + 2 * HOUR_MS as u64 / 1000) / EVERY_S;
    let mut judge = Judge::new(nodes, RULES, 0);
    let mut most = 0;
    for batch in 0..EVENTS / BATCH {
        let logins: Vec<Login> =
            (batch * BATCH..(batch + 1) * BATCH).map(|number| login(number, number, EVERY_S * number)).collect();
        assert_eq!(count(&judge.judge(&logins)), 1);
        judge.idle();
        if batch % 16 == 15 {
            most = most.max(keys());
        }
    }
    let swept = judge.state.counts().swept.load(Ordering::Relaxed);
    assert!(swept > EVENTS, "{swept} records of {EVENTS} events went");
    assert!((most as u64) < 3 * of_use, "{most} keys at most, and {of_use} are of use");
    // Nothing comes any more: the rest that is over goes while there is time.
    for _ in 0..200 {
        judge.idle();
    }
    assert!((keys() as u64) < of_use + of_use / 4, "{} keys in the end, and {of_use} are of use", keys());
}

#[test]
fn records_go_as_event_time_passes_them() {
    let redis = Redis::start();
    check_sweep(&[redis.port], || redis.keys());
}

#[test]
fn records_go_as_event_time_passes_them_on_every_node_of_a_cluster() {
    let cluster = Cluster::start();
    let primaries = cluster.primaries();
    check_sweep(&[cluster.nodes[0].port], || primaries.iter().map(|at| cluster.nodes[*at].keys()).sum());
}

#[test]
fn by_the_servers_clock_every_record_goes_in_the_end() {
    let redis = Redis::start();
    let mut judge = Judge::new(&[redis.port], RULES, 0);
    // The first shows how far event time is.
    judge.judge(&[login(0, 0, 0)]);
    let logins: Vec<Login> = (1..50).map(|number| login(number, number % 7, number)).collect();
    judge.judge(&logins);
    let script = "local longest, least, all = 0, math.huge, 0
for _, key in ipairs(redis.call('KEYS', 'test:{default/*')) do
  local ttl = redis.call('PTTL', key)
  longest, least = math.max(longest, ttl), math.min(least, ttl)
  all = all + 1
end
return {tostring(least), tostring(longest), tostring(all)}";
    let told = redis.ask(&["EVAL", script, "0"]);
    let [least, longest, all]: [i64; 3] =
        told.lines().map(|ttl| ttl.parse::<f64>().unwrap() as i64).collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(all, 50 + 7, "an identity an event, a window a device");
    // An identity is of use for an hour, a window for two, both from an horizon that lies an hour back.
    assert!(least > SPARE_MS && least < SPARE_MS + 2 * HOUR_MS, "{least} ms");
    assert!(longest > SPARE_MS + 2 * HOUR_MS && longest <= SPARE_MS + 3 * HOUR_MS + 60_000, "{longest} ms");
}

#[test]
fn nothing_goes_that_an_engine_which_is_behind_may_still_see() {
    let redis = Redis::start();
    let (mut ahead, mut behind) = (Judge::new(&[redis.port], RULES, 0), Judge::new(&[redis.port], RULES, 1));
    behind.judge(&[login(0, 7, 0)]);
    (0..2).for_each(|_| behind.idle());
    ahead.judge(&[login(1, 7, 60)]);
    // One goes on by a day, and looks through everything many times over.
    for hour in 1..24 {
        ahead.judge(&[login(1, 100 + hour, 3600 * hour)]);
        (0..4).for_each(|_| ahead.idle());
    }
    // The other is still at the beginning: its window has all that was counted by either, and is not late.
    let told = behind.judge(&[login(2, 7, 120)]);
    assert_eq!(count(&told), 3, "{told}");
    assert!(!told.contains("\"late\""), "{told}");
    // Once it has come as far, what is over is over for both.
    behind.judge(&[login(2, 8, 23 * 3600)]);
    behind.idle();
    // While nothing comes it is told.
    behind.idle();
    ahead.idle();
    let told = ahead.judge(&[login(1, 7, 180)]);
    assert!(told.contains("\"late\":true"), "{told}");
}
