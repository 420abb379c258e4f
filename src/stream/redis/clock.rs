//! Event time over all engines that share a state: how far each partition has come, and the watermark of whoever reads it.
//!
//! Each engine tells both of its partitions, and hears of the others. The highest watermark that any has reached is everybody's,
//! since it never goes back; windows forget only what the lowest one has passed, so that nobody finds them emptied of what it
//! may still see: what was heard of either is never too late, only early. A partition that nobody reads holds everybody back until
//! somebody does: what it will show counts where it falls.

use std::collections::HashMap;

use super::error::RedisError;
use super::store::Store;
use super::wire::{bytes, list};

/// What there is once.
const CLOCK: &str = "clock";

/// How far a partition has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Its newest event time; `i64::MIN`: it has shown none.
    pub(super) newest_ms: i64,
    /// The watermark of who reads it; `i64::MIN`: there is none yet.
    pub(super) watermark_ms: i64,
}

/// By hash of a partition's name.
pub(super) type Shown = HashMap<u64, Pace>;

/// Tells of partitions, and hears of all.
pub(super) fn exchange(store: &mut Store, own: &[(u64, Pace)]) -> Result<Shown, RedisError> {
    let words = |(partition, pace): &(u64, Pace)| {
        [partition.to_be_bytes(), ordered(pace.newest_ms), ordered(pace.watermark_ms)]
    };
    let words: Vec<[u8; 8]> = own.iter().flat_map(words).collect();
    let arguments: Vec<&[u8]> = words.iter().map(<[u8; 8]>::as_slice).collect();
    let script = store.clock.clone();
    let mut said = list(store.run_once(&script, CLOCK, &arguments)?)?.into_iter();
    let damaged =
        || RedisError::refused("its clock is damaged", "something else writes keys below `state.redis.prefix`");
    let mut shown = Shown::new();
    while let (Some(partition), Some(pace)) = (said.next(), said.next()) {
        let partition: [u8; 8] = bytes(partition)?.unwrap_or_default().try_into().map_err(|_| damaged())?;
        let pace: [u8; 16] = bytes(pace)?.unwrap_or_default().try_into().map_err(|_| damaged())?;
        let (newest, watermark) = pace.split_at(8);
        let pace = Pace { newest_ms: instant(newest), watermark_ms: instant(watermark) };
        shown.insert(u64::from_be_bytes(partition), pace);
    }
    Ok(shown)
}

/// An instant so that it sorts.
fn ordered(ms: i64) -> [u8; 8] {
    (ms as u64 ^ 1 << 63).to_be_bytes()
}

fn instant(ordered: &[u8]) -> i64 {
    let bits = ordered.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    (bits ^ 1 << 63) as i64
}
