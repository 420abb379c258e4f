//! How a run's state is kept, as it is configured.

use std::time::Duration;

use crate::daemon::clock;
use crate::daemon::config::Config;
use crate::stream::disk::Folder;
use crate::stream::journal::PlaceName;
use crate::stream::pipeline::KeepOptions;

/// How a state is kept.
pub(super) fn options(config: &Config) -> KeepOptions {
    KeepOptions {
        folder: Folder::at(&config.state.path),
        interval: Duration::from_millis(config.state.checkpoint_interval.0.unsigned_abs()),
        wall_clock_ms: clock::wall_clock_ms,
        monotonic: clock::monotonic,
    }
}

/// Whether some source reads this place.
pub(super) fn is_read(config: &Config, place: &PlaceName) -> bool {
    let source = config.sources.get(&place.source);
    source.is_some_and(|source| match &source.kafka {
        Some(kafka) => kafka.topics.contains(&place.topic),
        None => place.topic.is_empty(),
    })
}
