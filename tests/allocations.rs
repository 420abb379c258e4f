//! Counts allocations: a plain event costs none once the memory has grown to what the traffic needs.
#![expect(unsafe_code, reason = "a counting allocator has to be one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use refguard::engine::EngineOptions;
use refguard::event::Verdict;
use refguard::lab::Replay;
use refguard::ruleset::program::RuleSet;
use refguard::ruleset::{Premises, load};
use refguard::signals::SignalConfig;

#[path = "support/pack.rs"]
mod pack;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator; what a thread asks for is counted there.
struct Counting;

fn count() {
    ALLOCATIONS.with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call goes to the system's allocator as it came; the counter allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the system's.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are the system's.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often this thread allocated while `work` ran.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

const ACCOUNTS: usize = 100;
/// How often every account acts a day, so that no key is idle for as long as the shortest window.
const ROUNDS: usize = 360;
/// Until the windows of seven days, and what is kept for the events that may come late, are full.
const WARM_DAYS: usize = 8;

/// One day of an honest crowd: each account at its own device and address, with whoever invited it another one each time.
fn day(number: usize) -> String {
    let mut lines = String::new();
    for event in 0..ACCOUNTS * ROUNDS {
        let (round, account) = (event / ACCOUNTS, event % ACCOUNTS);
        let second = 1_767_225_600 + number * 86_400 + round * 240 + account * 2;
        let at = jiff::Timestamp::from_second(second as i64).expect("the made-up days lie within the calendar");
        let kind =
            ["login.succeeded", "reward.redeemed", "login.succeeded", "referral.completed"][(account + round) % 4];
        let referrer = (account + 1 + round % 50) % ACCOUNTS;
        writeln!(
            lines,
            "{{\"specversion\":\"1.0\",\"id\":\"{number}-{event}\",\"source\":\"/shop\",\"type\":\"{kind}\",\"time\":\"{at:.3}\",\
             \"data\":{{\"account_id\":\"acc_{account:08}\",\"referrer_id\":\"acc_{referrer:08}\",\"device_id\":\"dev_{account}\",\
             \"ip\":\"10.{account}.0.7\",\"email\":\"user{account}@example.com\",\"payment_fingerprint\":\"p{account}\",\
             \"user_agent\":\"Mozilla/5.0 (Linux; Android 13; Pixel 7) Chrome/120.0.0.0 Mobile\",\"amount_minor\":100}}}}"
        )
        .expect("writing to a string cannot fail");
    }
    lines
}

/// Judges some days until all windows are full, and counts from then on.
fn check(rules: Arc<RuleSet>) {
    let mut replay = Replay::new(rules, &SignalConfig::default(), EngineOptions::default())
        .expect("the default signals need no file");
    let mut out = Vec::new();
    let (mut events, mut plain, mut counts) = (0, 0, [0; 4]);
    for number in 0..WARM_DAYS + 2 {
        let text = day(number);
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        for batch in lines.chunks(500).map(<[&str]>::concat) {
            out.clear();
            let steps = [
                allocations(|| assert_eq!(replay.parse(&batch), [])),
                allocations(|| replay.derive()),
                allocations(|| replay.decide()),
                allocations(|| replay.write(&mut out)),
            ];
            if number >= WARM_DAYS {
                events += replay.events();
                plain += replay.judgements().iter().filter(|judgement| judgement.verdict == Verdict::Allow).count();
                counts.iter_mut().zip(steps).for_each(|(count, step)| *count += step);
            }
        }
    }
    assert_eq!((events, plain), (2 * ACCOUNTS * ROUNDS, events), "all of them are allowed");
    assert_eq!(counts, [0; 4], "allocations of parse, derive, decide and write over {events} events");
}

#[test]
fn a_plain_event_costs_no_allocation() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/pack");
    check(Arc::new(load(&folder, &Premises::default()).expect("the pack loads").set));
}

#[test]
fn links_that_are_made_and_renewed_cost_no_allocation() {
    // Everybody invites fifty others, so values become hubs, and everybody is linked with everybody.
    check(pack::rules(
        "version: 1
pack: links
features:
  ring: {on: [login.succeeded, referral.completed], key: [event.account_id], aggregate: component, links: [event.account_id, event.referrer_id], window: 3d}
  near: {on: [referral.completed], key: [event.account_id], aggregate: component, links: [event.referrer_id], hub: 5, window: 12h, generation: 1h}
rules:
  - {id: ring, on: [login.succeeded], when: 'ring > 1000 || near > 1000 || same(ring, event.account_id, event.referrer_id) && false', score: 1}
",
    ));
}
