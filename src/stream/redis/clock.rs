//! Event time over all engines that share a state: how far each partition has come, by whoever reads it.
//!
//! What a window may forget depends on the partition that is furthest behind, and that may be another engine's. So each
//! engine tells how far its partitions have come, and hears of the others; what it heard last is never too late, only
//! early, and holds back a little longer. A partition that nobody reads holds everybody back until somebody does: what it
//! will show counts where it falls.

use std::collections::HashMap;

use super::error::RedisError;
use super::store::Store;
use super::wire::{bytes, list};

/// What there is once.
const CLOCK: &str = "clock";

/// How far partitions have come: hash of the name, newest event time.
pub(super) type Shown = HashMap<u64, i64>;

/// Tells of partitions, and hears of all.
pub(super) fn exchange(store: &mut Store, own: &[(u64, i64)]) -> Result<Shown, RedisError> {
    let words: Vec<[u8; 8]> =
        own.iter().flat_map(|(partition, newest_ms)| [partition.to_be_bytes(), ordered(*newest_ms)]).collect();
    let arguments: Vec<&[u8]> = words.iter().map(<[u8; 8]>::as_slice).collect();
    let script = store.clock.clone();
    let mut said = list(store.run_once(&script, CLOCK, &arguments)?)?.into_iter();
    let mut shown = Shown::new();
    while let (Some(partition), Some(newest)) = (said.next(), said.next()) {
        let word = |value| -> Result<[u8; 8], RedisError> {
            bytes(value)?.unwrap_or_default().try_into().map_err(|_| {
                RedisError::refused("its clock is damaged", "something else writes keys below `state.redis.prefix`")
            })
        };
        let newest_ms = (u64::from_be_bytes(word(newest)?) ^ 1 << 63) as i64;
        shown.insert(u64::from_be_bytes(word(partition)?), newest_ms);
    }
    Ok(shown)
}

/// An instant so that it sorts.
fn ordered(ms: i64) -> [u8; 8] {
    (ms as u64 ^ 1 << 63).to_be_bytes()
}
