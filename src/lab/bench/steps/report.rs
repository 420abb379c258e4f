//! The figures of the steps.

use std::time::Duration;

use crate::signals::CacheCounts;

/// How long the steps of one round took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Steps {
    /// Text to events.
    pub parse: Duration,
    /// Events to signals.
    pub derive: Duration,
    /// Events and signals to judgements: the engine alone.
    pub judge: Duration,
    /// Judgements to lines.
    pub write: Duration,
    /// Events in the round.
    pub events: usize,
}

impl Steps {
    /// All steps one after the other on one core.
    pub fn all(&self) -> Duration {
        self.parse + self.derive + self.judge + self.write
    }

    /// How long one event takes, in nanoseconds.
    pub fn nanos(&self, step: Duration) -> f64 {
        step.as_nanos() as f64 / self.events.max(1) as f64
    }

    /// How many events a second there are.
    pub fn per_second(&self, step: Duration) -> f64 {
        self.events as f64 / step.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// The memory of one feature.
#[derive(Clone, Debug)]
pub struct Size {
    /// Its name.
    pub feature: String,
    /// Keys.
    pub keys: usize,
    /// Bytes, everything counted.
    pub bytes: usize,
}

/// What was measured of one population.
#[derive(Clone, Debug)]
pub struct StepsReport {
    /// Accounts.
    pub accounts: u64,
    /// Events that one of them sends in a day of event time, on average.
    pub daily: f64,
    /// Different devices it can show.
    pub devices: u64,
    /// Different addresses it can show.
    pub addresses: u64,
    /// Different user agents it can show.
    pub user_agents: u64,
    /// Rounds measured; the figures are those of the middle one by the engine's time.
    pub rounds: usize,
    /// The middle round.
    pub steps: Steps,
    /// How often a remembered raw value could be used.
    pub caches: CacheCounts,
    /// By feature.
    pub sizes: Vec<Size>,
    /// Identities remembered.
    pub identities: usize,
    /// Their bytes.
    pub identity_bytes: usize,
    /// Bytes of the whole state.
    pub state_bytes: usize,
}

impl StepsReport {
    /// Keys of all features together.
    pub fn keys(&self) -> usize {
        self.sizes.iter().map(|size| size.keys).sum()
    }
}
