//! History for the features that a reload brought: what they would have counted, had they been there before.

use crossbeam_channel::{Receiver, Sender, TryRecvError};

use crate::daemon::history::Histories;
use crate::signals::{SignalConfig, Wanted};
use crate::stream::StreamError;
use crate::stream::kafka::HistoryEnd;
use crate::stream::pipeline::{Empty, Fill, HistoryCount};

/// Starts fills, and tells what came of them.
pub struct Filler {
    histories: Histories,
    /// The engine's thread.
    hand_over: Sender<Fill>,
    current: Option<(Empty, Receiver<Result<HistoryCount, StreamError>>)>,
}

impl Filler {
    /// Fills from these sources.
    pub fn new(histories: Histories, hand_over: Sender<Fill>) -> Filler {
        Filler { histories, hand_over, current: None }
    }

    /// Begins to fill features that are empty. A fill that is under way begins anew with these beside its own.
    pub(super) fn begin(&mut self, mut empty: Empty, wanted: Wanted, signals: &SignalConfig) {
        self.look();
        if let Some(source) = self.histories.gone() {
            tracing::info!(source, features = ?empty.features, "features begin empty: this source cannot be read again");
            return;
        }
        if let Some((unfinished, _)) = self.current.take() {
            empty.since_ms = empty.since_ms.min(unfinished.since_ms);
            empty.features.extend(unfinished.features);
            empty.features.sort_unstable();
            empty.features.dedup();
        }
        let opened = self.histories.readers(|_| empty.since_ms, HistoryEnd::HandedOver, wanted, signals);
        let started = opened.and_then(|(readers, since)| Ok(Fill::start(readers, empty.features.clone(), since)?));
        match started {
            Ok((fill, hears)) => {
                tracing::info!(features = ?empty.features, "counting history into features that are new or changed");
                // If the engine has ended, so will this.
                self.hand_over.send(fill).ok();
                self.current = Some((empty, hears));
            }
            Err(error) => tracing::error!(%error, features = ?empty.features, "features begin empty: no history"),
        }
    }

    /// Tells the end of a fill.
    pub(super) fn look(&mut self) {
        let Some((empty, hears)) = &self.current else { return };
        match hears.try_recv() {
            Err(TryRecvError::Empty) => return,
            Ok(Ok(count)) => {
                let HistoryCount { events, refused } = count;
                tracing::info!(features = ?empty.features, events, not_valid = refused, "history was counted");
            }
            Ok(Err(error)) => {
                tracing::error!(%error, features = ?empty.features, "history was counted in part: features stay incomplete");
            }
            Err(TryRecvError::Disconnected) => {}
        }
        self.current = None;
    }
}
