//! The log of decisions as a reader of committed records sees it: every change once, in order, and sums that are true.

use std::time::Duration;

use refguard::engine::{ActiveSet, Engine};
use refguard::stream::Sink;
use refguard::stream::decision_log::Head;
use refguard::stream::log::Topic;
use refguard::stream::pipeline::{Telling, TellingClocks, TellingOptions};
use serde_json::Value;

use crate::clock;
use crate::disk::lock;
use crate::followed::Followed;
use crate::outside::World;

/// The number of the last change that is out.
fn through(seen: &[Vec<u8>]) -> u64 {
    let number = |line: &Vec<u8>| serde_json::from_slice::<Value>(line).ok()?["number"].as_u64();
    seen.iter().rev().find_map(number).unwrap_or(0)
}

/// Tells from here on, into a topic.
pub(crate) fn telling(world: &World, engine: &Engine, topic: Box<dyn Topic>) -> Telling {
    Telling::new(TellingOptions {
        sink: Some(Sink::Kafka(topic)),
        out_through: Some(through(&lock(&world.cluster).outputs[3])),
        heartbeat: Duration::from_millis(world.settings.heartbeat_ms),
        clocks: TellingClocks { wall_ms: clock::wall_clock_ms, monotonic: clock::monotonic },
        head: head(engine),
        hub: None,
    })
}

/// What stands before the first input.
fn head(engine: &Engine) -> Head {
    let mut set = ActiveSet::default();
    for (_, of) in engine.decisions().active_sets() {
        set.count += of.count;
        set.checksum = set.checksum.wrapping_add(of.checksum);
    }
    Head { number: engine.decisions().log_number(), set }
}

/// The changes, without what says in between what stands. `Err`: that is not true.
pub(crate) fn changes(seen: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, String> {
    let (mut changes, mut followed) = (Vec::new(), Followed::default());
    for line in seen {
        let read: Value = serde_json::from_slice(line).unwrap_or_default();
        if read["heartbeat"].is_null() {
            followed.take(&read);
            changes.push(line.clone());
        } else if !followed.is_as(&read) {
            return Err(format!("{read} is told where {followed:?} stands"));
        }
    }
    Ok(changes)
}
