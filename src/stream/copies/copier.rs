//! Copies checkpoints as they come, in a thread of its own: the newest one that is due, and again until it is there.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::{CopyError, CopyName, Store};
use crate::stream::checkpoint::CheckpointError;

/// How long is waited after a failure at first, and at most.
const PAUSE_LEAST: Duration = Duration::from_millis(500);
const PAUSE_MOST: Duration = Duration::from_secs(30);
/// How often the thread looks whether what waits can be copied by now.
const LOOK: Duration = Duration::from_millis(100);

/// A checkpoint that has its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its file.
    pub path: PathBuf,
    /// How many events had been taken in.
    pub events: u64,
    /// The number of the first entry of the journal that is not in it.
    pub position: u64,
}

/// How checkpoints are copied.
pub struct CopyOptions {
    /// How many copies stay.
    pub keep: usize,
    /// How long there is between two copies at least.
    pub interval: Duration,
    /// The line of journals that they belong to.
    pub line: String,
    /// Short texts that are left beside the copies, by their names.
    pub texts: Vec<(String, String)>,
    /// Whether a checkpoint with this position may be copied: everything before it is where a standby finds it.
    pub may_copy: Box<dyn Fn(u64) -> bool + Send>,
    /// The clocks of the process.
    pub wall_clock_ms: fn() -> i64,
    /// For what lies between two copies.
    pub monotonic: fn() -> Instant,
}

impl std::fmt::Debug for CopyOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopyOptions").field("keep", &self.keep).field("line", &self.line).finish_non_exhaustive()
    }
}

/// What is known of copies outside the thread, for metrics.
#[derive(Debug, Default)]
pub struct Copied {
    /// How many were made.
    pub made: AtomicU64,
    /// How many tries failed.
    pub failed: AtomicU64,
    /// Since when a checkpoint waits to be copied, in milliseconds since the Unix epoch; 0: none does.
    pub waits_since_ms: AtomicI64,
    /// Whether the last try failed for the store's sake.
    pub is_away: AtomicBool,
}

/// The thread that copies.
#[derive(Debug)]
pub struct Copier {
    copied: Arc<Copied>,
    thread: JoinHandle<()>,
    ended: Receiver<()>,
    give_up: Arc<AtomicBool>,
}

impl Copier {
    /// Begins to wait for checkpoints. It ends when nobody can tell of others any more, and the last is copied.
    pub fn start(store: Store, options: CopyOptions, dues: Receiver<Due>) -> Copier {
        let (end, ended) = bounded(0);
        let (copied, give_up) = (Arc::new(Copied::default()), Arc::new(AtomicBool::new(false)));
        let copying = Copying {
            store,
            options,
            copied: Arc::clone(&copied),
            waiting: None,
            not_before: None,
            pause: PAUSE_LEAST,
            is_named: false,
        };
        let is_given_up = Arc::clone(&give_up);
        let thread = thread::spawn(move || {
            copying.run(&dues, &is_given_up);
            // Whoever waits is told by its going.
            drop(end);
        });
        Copier { copied, thread, ended, give_up }
    }

    /// What there is to know of it outside.
    pub fn copied(&self) -> &Arc<Copied> {
        &self.copied
    }

    /// Waits until the last checkpoint is copied, but not for longer than so long; whether it is. Nobody may tell of others
    /// any more.
    pub fn finish(self, patience: Duration) -> bool {
        let Copier { copied, thread, ended, give_up } = self;
        if ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            // A call that is under way ends with the process.
            give_up.store(true, Ordering::Release);
        } else {
            thread.join().expect("copying does not panic");
        }
        copied.waits_since_ms.load(Ordering::Acquire) == 0
    }
}

struct Copying {
    store: Store,
    options: CopyOptions,
    copied: Arc<Copied>,
    waiting: Option<Due>,
    not_before: Option<Instant>,
    pause: Duration,
    /// The store has the texts.
    is_named: bool,
}

impl Copying {
    fn run(mut self, dues: &Receiver<Due>, is_given_up: &AtomicBool) {
        let mut is_last = false;
        while !(is_last && (self.waiting.is_none() || is_given_up.load(Ordering::Acquire))) {
            let told = if is_last { Err(RecvTimeoutError::Disconnected) } else { dues.recv_timeout(LOOK) };
            match told {
                Ok(due) => self.wait_for(due),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) if is_last => thread::park_timeout(LOOK),
                // The last one does not wait for its time.
                Err(RecvTimeoutError::Disconnected) => (is_last, self.not_before) = (true, None),
            }
            dues.try_iter().for_each(|due| self.wait_for(due));
            self.look();
        }
    }

    fn wait_for(&mut self, due: Due) {
        let now_ms = (self.options.wall_clock_ms)();
        // Since the first of them that is not there.
        let since = &self.copied.waits_since_ms;
        let _ = since.compare_exchange(0, now_ms.max(1), Ordering::AcqRel, Ordering::Acquire);
        self.waiting = Some(due);
    }

    fn look(&mut self) {
        let now = (self.options.monotonic)();
        if self.not_before.is_some_and(|at| now < at) {
            return;
        }
        let Some(due) = self.waiting.take_if(|due| (self.options.may_copy)(due.position)) else { return };
        match self.copy(&due) {
            Ok(copied) => {
                if let Some(bytes) = copied {
                    let path = due.path.display();
                    tracing::info!(%path, bytes, store = self.store.url(), "copied a checkpoint");
                    self.copied.made.fetch_add(1, Ordering::Relaxed);
                }
                self.copied.is_away.store(false, Ordering::Relaxed);
                self.settle();
                (self.pause, self.not_before) = (PAUSE_LEAST, Some(now + self.options.interval));
            }
            Err(error) => self.failed(due, &error, now),
        }
    }

    fn failed(&mut self, due: Due, error: &CopyError, now: Instant) {
        if let CopyError::Checkpoint(CheckpointError::Io { source, .. }) = error
            && source.kind() == io::ErrorKind::NotFound
        {
            // Two newer ones took its place: those are on their way here.
            self.settle();
            return;
        }
        // A store that comes back may have lost what was in it.
        self.is_named = false;
        self.copied.failed.fetch_add(1, Ordering::Relaxed);
        let was_away = self.copied.is_away.swap(error.is_outside(), Ordering::Relaxed);
        if was_away {
            tracing::debug!(%error, "the checkpoint is not copied yet");
        } else {
            tracing::error!(%error, hint = error.hint(), "a checkpoint was not copied: it is tried again");
        }
        self.waiting = Some(due);
        self.not_before = Some(now + self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MOST);
    }

    /// Nothing waits any more.
    fn settle(&self) {
        self.copied.waits_since_ms.store(0, Ordering::Release);
    }

    /// Answers how long the copy is; `None`: it was there, as after a start.
    fn copy(&mut self, due: &Due) -> Result<Option<u64>, CopyError> {
        if !self.is_named {
            self.options.texts.iter().try_for_each(|(name, text)| self.store.set_text(name, text))?;
            self.is_named = true;
        }
        let at_ms = u64::try_from((self.options.wall_clock_ms)()).unwrap_or(0);
        let line = self.options.line.clone();
        let name = CopyName { at_ms, position: due.position, events: due.events, line };
        if self.store.list()?.iter().any(|copy| copy.is_of(&name)) {
            return Ok(None);
        }
        let bytes = self.store.copy(&due.path, &name)?;
        self.store.keep(self.options.keep)?;
        Ok(Some(bytes))
    }
}
