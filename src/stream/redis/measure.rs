//! What a measurement asks for: the calls of a run, to be made again with nothing between them, and what servers spend on them.

use std::time::Duration;

use super::error::RedisError;
use super::judge::{SharedState, connected};
use super::names::kind_of;
use super::nodes::section;
use super::store::Store;
use super::sweep;
use super::wire::{Commands, bytes, number};
use crate::engine::RecordKind;
use crate::stream::StreamError;

/// Calls as they were sent: which were on their way together, by node.
#[derive(Debug, Default)]
pub struct Recording {
    pub(super) exchanges: Vec<Vec<Commands>>,
}

impl Recording {
    /// How many times answers were waited for.
    pub fn exchanges(&self) -> usize {
        self.exchanges.len()
    }
}

/// What the servers have spent and hold, all nodes together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Time of processors, since they were started.
    pub cpu: Duration,
    /// Memory for data, in bytes.
    pub memory_bytes: u64,
}

/// Records of one kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    /// How many there are.
    pub records: u64,
    /// How many bytes they take, by what a sample of them takes.
    pub bytes: u64,
}

/// One record in so many is asked for its size.
const SAMPLED: u64 = 16;

impl SharedState {
    /// Records the calls from here on.
    pub fn record(&mut self) {
        if let Some(store) = &mut self.store {
            store.nodes.recording = Some(Recording::default());
        }
    }

    /// The calls since; none where the servers were away meanwhile.
    pub fn recorded(&mut self) -> Recording {
        self.store.as_mut().and_then(|store| store.nodes.recording.take()).unwrap_or_default()
    }

    /// Makes calls again. On an empty state they find and leave what they did when they were recorded.
    ///
    /// # Errors
    ///
    /// [`StreamError::RedisAway`], [`StreamError::RedisRefused`].
    pub fn replay(&mut self, recording: &Recording) -> Result<(), StreamError> {
        let nodes = &mut connected(&mut self.store)?.nodes;
        for commands in &recording.exchanges {
            nodes.exchange(commands)?;
        }
        Ok(())
    }

    /// Calls a script once for each line of arguments, so many on their way together, on the first node. Answers the sum of its answers.
    ///
    /// # Errors
    ///
    /// As [`SharedState::replay`].
    pub fn call_script(&mut self, script: &str, calls: &[Vec<Vec<u8>>], together: usize) -> Result<i64, StreamError> {
        let nodes = &mut connected(&mut self.store)?.nodes;
        let name = bytes(nodes.ask(0, &[b"SCRIPT", b"LOAD", script.as_bytes()])?)?.unwrap_or_default();
        let mut sum = 0_i64;
        for calls in calls.chunks(together.max(1)) {
            let mut commands = Commands::default();
            for call in calls {
                commands.begin(3 + call.len());
                [&b"EVALSHA"[..], &name, b"0"].iter().for_each(|word| commands.word(word));
                call.iter().for_each(|word| commands.word(word));
            }
            for answer in nodes.exchange(&[commands])?.into_iter().flatten() {
                sum = sum.saturating_add(number(answer)?);
            }
        }
        Ok(sum)
    }

    /// How many nodes hold the state.
    pub fn nodes(&self) -> usize {
        self.store.as_ref().map_or(0, |store| store.nodes.len())
    }

    /// What they have spent and hold.
    ///
    /// # Errors
    ///
    /// As [`SharedState::replay`].
    pub fn usage(&mut self) -> Result<Usage, StreamError> {
        let nodes = &mut connected(&mut self.store)?.nodes;
        let mut usage = Usage::default();
        for node in 0..nodes.len() {
            let cpu = section(nodes, node, b"cpu")?;
            let seconds = |name: &str| cpu.get(name).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
            usage.cpu += Duration::from_secs_f64((seconds("used_cpu_user") + seconds("used_cpu_sys")).max(0.0));
            let memory = section(nodes, node, b"memory")?;
            usage.memory_bytes += memory.get("used_memory_dataset").and_then(|text| text.parse().ok()).unwrap_or(0_u64);
        }
        Ok(usage)
    }

    /// What is held, by kind of record: windows, and identities with their first verdicts.
    ///
    /// # Errors
    ///
    /// As [`SharedState::replay`].
    pub fn held(&mut self) -> Result<[Held; 2], StreamError> {
        let store = connected(&mut self.store)?;
        let mut held = [Held::default(); 2];
        for (held, kind) in held.iter_mut().zip([RecordKind::Windows, RecordKind::Identity]) {
            *held = held_of(store, kind)?;
        }
        Ok(held)
    }

    /// Takes all of it away.
    ///
    /// # Errors
    ///
    /// As [`SharedState::replay`].
    pub fn clear(&mut self) -> Result<(), StreamError> {
        Ok(sweep::remove_all(connected(&mut self.store)?)?)
    }
}

fn held_of(store: &mut Store, kind: RecordKind) -> Result<Held, RedisError> {
    let (mut records, mut sampled, mut bytes) = (0_u64, 0_u64, 0_u64);
    for node in 0..store.nodes.len() {
        let mut cursor = Vec::new();
        loop {
            let (next, keys) = sweep::scan(store, node, &cursor)?;
            for key in keys.iter().filter(|key| kind_of(key) == Some(kind)) {
                if records.is_multiple_of(SAMPLED) {
                    sampled += 1;
                    bytes += number(store.nodes.ask(node, &[b"MEMORY", b"USAGE", key])?)?.unsigned_abs();
                }
                records += 1;
            }
            if next == b"0" {
                break;
            }
            cursor = next;
        }
    }
    Ok(Held { records, bytes: (bytes as f64 / sampled.max(1) as f64 * records as f64) as u64 })
}
