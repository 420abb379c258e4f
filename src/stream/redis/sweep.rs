//! Taking records away that no event can see any more, as event time passes: a cycle through the keys of every node.
//!
//! A record says until when it is of use. A step looks at a few hundred keys of one node, groups them by slot and lets a script
//! there compare and remove, so that what was written meanwhile stays. By the servers' clock records go too, later: that is for
//! a state that nobody judges over any more.

use std::collections::BTreeMap;

use super::error::RedisError;
use super::names::{kind_of, slot_of};
use super::store::Store;
use super::wire::{Commands, bytes, list, number};
use crate::engine::RecordKind;

/// How many keys a step looks at, about.
const STEP_KEYS: &[u8] = b"256";
/// A step for each so many events: at the beginning, at least, and at most. Where more than half of what a step looks at is over,
/// the next comes twice as soon, where less than a quarter is, half as soon: so what is held is about twice what is of use, and
/// where nothing is over the servers are hardly asked. At most that is 16 keys an event, which leaves a few.
const EVENTS_A_STEP: usize = 128;
const EVENTS_A_STEP_MIN: usize = 16;
const EVENTS_A_STEP_MAX: usize = 1024;

/// A key, the first and the last of the bytes of its record that say until when it is of use, and the instant before which
/// that is over.
type Ending = (Vec<u8>, [&'static [u8]; 2], [u8; 8]);

/// Where the cycle is.
#[derive(Debug)]
pub(super) struct Sweeper {
    node: usize,
    cursor: Vec<u8>,
    /// How many events lie between two steps.
    spacing: usize,
    /// How many came since the last.
    events: usize,
}

impl Default for Sweeper {
    fn default() -> Sweeper {
        Sweeper { node: 0, cursor: Vec::new(), spacing: EVENTS_A_STEP, events: 0 }
    }
}

impl Sweeper {
    /// How many steps are due after so many more events; one where none came, since then there is time.
    pub(super) fn due(&mut self, events: usize) -> usize {
        if events == 0 {
            return 1;
        }
        self.events += events;
        let steps = self.events / self.spacing;
        self.events %= self.spacing;
        steps
    }

    /// Looks at the next keys. `horizons` are what no event is judged before, and before which identities are forgotten.
    /// Answers how many went.
    pub(super) fn step(
        &mut self,
        store: &mut Store,
        (windows_ms, identities_ms): (i64, i64),
    ) -> Result<u64, RedisError> {
        if self.node >= store.nodes.len() {
            (self.node, self.cursor) = (0, Vec::new());
        }
        let (next, keys) = scan(store, self.node, &self.cursor)?;
        let (node, looked_at) = (self.node, keys.len() as u64);
        if next == b"0" {
            self.node += 1;
        }
        self.cursor = next;
        let ordered = |ms: i64| (ms as u64 ^ 1 << 63).to_be_bytes();
        let mut by_slot: BTreeMap<u16, Vec<Ending>> = BTreeMap::new();
        for key in keys {
            let ends: Option<([&'static [u8]; 2], i64)> = kind_of(&key).map(|kind| match kind {
                RecordKind::Windows | RecordKind::Decisions => ([&b"8"[..], &b"15"[..]], windows_ms),
                RecordKind::Identity => ([&b"0"[..], &b"7"[..]], identities_ms),
            });
            if let Some((at, until_ms)) = ends.filter(|(_, until_ms)| *until_ms > i64::MIN) {
                let slot = if store.nodes.is_cluster() { slot_of(&key) } else { 0 };
                by_slot.entry(slot).or_default().push((key, at, ordered(until_ms)));
            }
        }
        let mut commands: Vec<Commands> = (0..store.nodes.len()).map(|_| Commands::default()).collect();
        for keys in by_slot.values() {
            let of_node = &mut commands[node];
            of_node.begin(3 + 4 * keys.len());
            of_node.word(b"EVALSHA");
            of_node.word(&store.sweep);
            of_node.number(keys.len() as i64);
            keys.iter().for_each(|(key, ..)| of_node.word(key));
            for (_, [first, last], until) in keys {
                of_node.word(first);
                of_node.word(last);
                of_node.word(until);
            }
        }
        let mut gone = 0;
        for answer in store.nodes.exchange(&commands)?.into_iter().flatten() {
            gone += number(answer)?.unsigned_abs();
        }
        if 2 * gone > looked_at {
            self.spacing = (self.spacing / 2).max(EVENTS_A_STEP_MIN);
        } else if 4 * gone < looked_at {
            self.spacing = (self.spacing * 2).min(EVENTS_A_STEP_MAX);
        }
        Ok(gone)
    }
}

/// The next keys of a node, and the cursor behind them; `0` at the end of a cycle.
pub(super) fn scan(store: &mut Store, node: usize, cursor: &[u8]) -> Result<(Vec<u8>, Vec<Vec<u8>>), RedisError> {
    let cursor = if cursor.is_empty() { b"0" } else { cursor };
    let pattern = store.names.pattern();
    let said = store.nodes.ask(node, &[b"SCAN", cursor, b"MATCH", &pattern, b"COUNT", STEP_KEYS])?;
    let mut said = list(said)?.into_iter();
    let next = bytes(said.next().unwrap_or_default())?.unwrap_or_else(|| b"0".to_vec());
    let keys = list(said.next().unwrap_or_default())?;
    let keys = keys.into_iter().map(|key| Ok(bytes(key)?.unwrap_or_default())).collect::<Result<_, RedisError>>()?;
    Ok((next, keys))
}

/// Removes everything.
pub(super) fn remove_all(store: &mut Store) -> Result<(), RedisError> {
    for node in 0..store.nodes.len() {
        let mut cursor = Vec::new();
        loop {
            let (next, keys) = scan(store, node, &cursor)?;
            let mut commands: Vec<Commands> = (0..store.nodes.len()).map(|_| Commands::default()).collect();
            for key in &keys {
                commands[node].add(&[b"UNLINK", key]);
            }
            for answer in store.nodes.exchange(&commands)?.into_iter().flatten() {
                number(answer)?;
            }
            if next == b"0" {
                break;
            }
            cursor = next;
        }
    }
    Ok(())
}
