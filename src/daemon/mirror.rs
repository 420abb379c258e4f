//! The thread that keeps decisions in Redis as they stand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::Sender;

use super::config::Config;
use super::metrics::Metrics;
use super::shared;
use crate::stream::StreamError;
use crate::stream::decision_log::DecisionHub;
use crate::stream::pipeline::Question;
use crate::stream::redis::{Mirror, MirrorOptions};

/// The setting that configures it.
pub const SETTING: &str = "decisions.redis";

/// A mirror at work. It ends when this is dropped, once what is committed is written, if somebody answers.
#[derive(Debug)]
pub struct Mirroring {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Starts it, where it is configured. That nobody answers is no reason not to: it waits.
///
/// # Errors
///
/// [`StreamError::Open`] and [`StreamError::RedisRefused`] for files that cannot be read, and for a thread that cannot start.
pub fn start(
    config: &Config,
    hub: Option<&Arc<DecisionHub>>,
    ask: Sender<Question>,
    metrics: &Metrics,
) -> Result<Option<Mirroring>, StreamError> {
    let (Some(redis), Some(hub)) = (&config.decisions.redis, hub) else { return Ok(None) };
    let is_up = Arc::new(AtomicBool::new(false));
    let shown = Arc::clone(&is_up);
    metrics.depend(SETTING, move || Some(shown.load(Ordering::Relaxed)));
    let redis = shared::decisions_options(redis)?;
    let mirror = Mirror::new(MirrorOptions { redis, hub: Arc::clone(hub), ask, is_up });
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    let thread = std::thread::Builder::new().name("mirror".to_owned()).spawn(move || mirror.run(&asked));
    let thread = thread.map_err(|source| StreamError::Write { name: SETTING.to_owned(), source })?;
    Ok(Some(Mirroring { stop, thread: Some(thread) }))
}

impl Drop for Mirroring {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has panicked at worst, which has been told; there is nothing to add.
            drop(thread.join());
        }
    }
}
