//! How a run's state is kept, as it is configured.

use std::time::Duration;

use crossbeam_channel::Sender;

use crate::daemon::clock;
use crate::daemon::config::Config;
use crate::daemon::key::{KeyFile, StateKey};
use crate::daemon::wiring;
use crate::stream::copies::Due;
use crate::stream::disk::Folder;
use crate::stream::inbox::ACTS;
use crate::stream::journal::PlaceName;
use crate::stream::pipeline::KeepOptions;

/// How a state is kept; `ship_from` is the first entry that a topic does not have, `copies` who is told of checkpoints.
pub(super) fn options(
    config: &Config,
    key: &StateKey,
    ship_from: Option<u64>,
    copies: Option<Sender<Due>>,
) -> KeepOptions {
    KeepOptions {
        folder: Folder::at(&config.state.path),
        sealing: Box::new(KeyFile::new(&config.state.key_file, key)),
        interval: Duration::from_millis(config.state.checkpoint_interval.0.unsigned_abs()),
        wall_clock_ms: clock::wall_clock_ms,
        monotonic: clock::monotonic,
        ship_from,
        copies,
    }
}

/// Whether some source reads this place.
pub(super) fn is_read(config: &Config, place: &PlaceName) -> bool {
    if place.source == ACTS {
        return wiring::inbox_name(config).is_some();
    }
    let source = config.sources.get(&place.source);
    source.is_some_and(|source| match &source.kafka {
        Some(kafka) => kafka.topics.contains(&place.topic),
        None => place.topic.is_empty(),
    })
}
