//! `refguard run --standby`: follows the one that judges, and takes its place once it is gone.
//!
//! Whether it is gone is the group's to say: a broker forgets a member that was not heard of for `session.timeout.ms`. That it
//! really is gone does not matter then. Taking over the name of the transactions ends whatever it has open, and lets it
//! commit nothing more; only then the last of what it has committed is read, and a new line begun. Tested in
//! `tests/exactly_once/standby.rs`; why so: docs/decisions/0014-standby.md.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::line::{self, JournalTopic};
use super::{clock, key};
use crate::stream::checkpoint::{CheckpointError, Owner};
use crate::stream::copies::{CopyError, Store};
use crate::stream::follow::{FollowError, Follower};
use crate::stream::journal::{Line, beginning};
use crate::stream::kafka::{GroupWatch, KafkaProducer, ProducerOptions, SourceOptions, Unfinished};
use crate::stream::{Fault, StreamError};

/// How long is waited for the next entry before others are looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How often the groups are asked.
const ASK: Duration = Duration::from_secs(1);
/// How often the store is asked for a newer copy, once there is one.
const ASK_STORE: Duration = Duration::from_secs(10);
/// How long is waited between two tries to begin a line, and how many there are.
const PAUSE: Duration = Duration::from_millis(200);
const TRIES_MAX: usize = 50;

/// What is followed, and by what it is known that it is to be followed no more.
#[derive(Debug)]
pub struct Followed<'a> {
    /// The folder that is filled.
    pub folder: &'a Path,
    /// Where copies of checkpoints are.
    pub store: Store,
    /// Where the journal is.
    pub topic: JournalTopic,
    /// The sources whose groups say whether somebody judges.
    pub sources: Vec<SourceOptions>,
    /// Whether a state begins with the first entry of its journal; else with history, which is in checkpoints alone.
    pub begins_empty: bool,
}

/// What is known of it outside, for metrics.
#[derive(Debug, Default)]
pub struct StandbyStatus {
    /// Whether it stands by.
    pub stands_by: AtomicBool,
    /// How many entries would be judged again if it took over now.
    pub behind: AtomicU64,
    /// Whether the store was away when it was asked last.
    pub is_store_away: AtomicBool,
}

/// How standing by ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The folder is that of the one that judged: a start goes on from it.
    TookOver,
    /// The end was asked for.
    Stopped,
}

/// Why it cannot stand by or take over.
#[derive(Debug, thiserror::Error)]
pub enum StandbyError {
    /// What it follows.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The key of the state is missing or another.
    #[error(transparent)]
    Key(#[from] key::KeyError),
}

impl From<StreamError> for StandbyError {
    fn from(error: StreamError) -> StandbyError {
        FollowError::from(error).into()
    }
}

impl From<CheckpointError> for StandbyError {
    fn from(error: CheckpointError) -> StandbyError {
        FollowError::from(error).into()
    }
}

/// Follows until nobody judges, and takes over; or until the end is asked for.
///
/// # Errors
///
/// [`StandbyError`] for what is wrong at the start, and for what does not heal later.
pub fn stand_by(
    followed: &Followed<'_>,
    status: &Arc<StandbyStatus>,
    stop: &AtomicBool,
) -> Result<Ended, StandbyError> {
    let Followed { folder, store, topic, sources, .. } = followed;
    std::fs::create_dir_all(folder).map_err(|source| CheckpointError::Io {
        doing: "making the folder",
        path: folder.to_path_buf(),
        source,
    })?;
    let _owner = Owner::of(folder)?;
    let own = line::of(folder)?;
    line::clear(folder)?;
    let mut follower = Follower::begin(folder, own, &topic.reader, &topic.topic)?;
    let groups = sources.iter().map(GroupWatch::open).collect::<Result<Vec<_>, StreamError>>()?;
    status.stands_by.store(true, Ordering::Release);
    let mut told = Told::default();
    let (mut asked, mut asked_store): (Option<Instant>, Option<Instant>) = (None, None);
    tracing::info!(topic = topic.topic, store = store.url(), "stands by");
    while !stop.load(Ordering::Acquire) {
        let is_at_end = waited(follower.follow(LOOK), &mut told)?.unwrap_or(false);
        let now = clock::monotonic();
        if !is_at_end || asked.is_some_and(|asked| now < asked + ASK) {
            continue;
        }
        asked = Some(now);
        if follower.base().is_none() || asked_store.is_none_or(|asked| now >= asked + ASK_STORE) {
            asked_store = Some(now);
            find_base(&mut follower, store, folder, status, &mut told)?;
        }
        status.behind.store(follower.behind(), Ordering::Relaxed);
        let members = groups.iter().map(GroupWatch::has_member).collect::<Result<Vec<bool>, StreamError>>();
        let Some(members) = waited(members.map_err(FollowError::from), &mut told)? else { continue };
        if !members.contains(&true) && (follower.is_whole(followed.begins_empty) || told.nothing_fits()) {
            // The nearer the checkpoint, the less is judged again.
            find_base(&mut follower, store, folder, status, &mut told)?;
            take_over(&mut follower, followed)?;
            status.stands_by.store(false, Ordering::Release);
            return Ok(Ended::TookOver);
        }
    }
    status.stands_by.store(false, Ordering::Release);
    Ok(Ended::Stopped)
}

/// What was told and need not be told at each look.
#[derive(Debug, Default)]
struct Told {
    waits: bool,
    store: bool,
    fits: bool,
}

impl Told {
    /// Nobody judges, and nothing that fits is there: it is told once, and waited for.
    fn nothing_fits(&mut self) -> bool {
        if !std::mem::replace(&mut self.fits, true) {
            let hint = "keep records of `state.journal_topic` for longer than copies are apart: docs/recovery.md";
            tracing::error!(
                hint,
                "nobody judges, and no copy of a checkpoint goes with what the topic has: waits for one"
            );
        }
        false
    }
}

/// What a broker that is away says is told once and waited for; `None`: it was so.
fn waited<T>(result: Result<T, FollowError>, told: &mut Told) -> Result<Option<T>, StandbyError> {
    match result {
        Ok(value) => {
            told.waits = false;
            Ok(Some(value))
        }
        Err(FollowError::Stream(error)) if error.fault() == Fault::Dependency => {
            if !std::mem::replace(&mut told.waits, true) {
                tracing::warn!(%error, "stands by, and waits for the cluster");
            }
            std::thread::park_timeout(LOOK);
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Takes a newer checkpoint if there is one; a store that is away is told once and waited for.
fn find_base(
    follower: &mut Follower,
    store: &Store,
    folder: &Path,
    status: &StandbyStatus,
    told: &mut Told,
) -> Result<(), StandbyError> {
    let found = follower.find_base(store).and_then(|()| Ok(take_names(store, folder)?));
    match found {
        Ok(()) => told.store = false,
        Err(FollowError::Copy(error)) => {
            if !std::mem::replace(&mut told.store, true) {
                tracing::warn!(%error, hint = error.hint(), "stands by without the newest copy");
            }
        }
        Err(error) => return Err(error.into()),
    }
    status.is_store_away.store(told.store, Ordering::Relaxed);
    Ok(())
}

/// Takes what is the same for all who have the state in turn: by what its key is known. Its name in consumer groups is each
/// folder's own: of two with one name the group drives out the one that came first, and a process that wakes up comes last.
///
/// # Errors
///
/// The store, or the disk.
pub fn take_names(store: &Store, folder: &Path) -> Result<(), CopyError> {
    for name in COPIED {
        let path = folder.join(name);
        if path.exists() {
            continue;
        }
        if let Some(text) = store.text(name)? {
            std::fs::write(&path, text).map_err(|source| CheckpointError::Io { doing: "writing", path, source })?;
        }
    }
    Ok(())
}

/// The files of a folder of state that are copied beside checkpoints.
pub const COPIED: [&str; 1] = [key::FINGERPRINT_FILE];

/// Lets nobody else commit, takes the last that was committed, and begins a line.
fn take_over(follower: &mut Follower, followed: &Followed<'_>) -> Result<(), StandbyError> {
    let Followed { folder, topic, .. } = followed;
    tracing::warn!("nobody judges: takes over");
    let (client, transactional_id) = (topic.writer.clone(), Some(topic.transactional_id.clone()));
    let producer = KafkaProducer::open(ProducerOptions { client, transactional_id })?;
    producer.take_over()?;
    follower.follow_to_end()?;
    let next = follower.end().map_or(0, |(_, next)| next);
    let line = line::made_up()?;
    begin_line(&producer, topic, line, next)?;
    line::set(folder, line)?;
    follower.forget_before()?;
    let base = follower.base().map_or(0, |base| base.position);
    tracing::info!(position = base, behind = follower.behind(), "took over");
    Ok(())
}

/// Begins a line in the topic: what others have that went on with the one before is behind from here on.
///
/// # Errors
///
/// What the cluster says; [`StreamError::Unreachable`] if it does not answer for some seconds.
pub fn begin_line(producer: &KafkaProducer, topic: &JournalTopic, line: Line, next: u64) -> Result<(), StreamError> {
    let sink = producer.topic(&topic.topic)?;
    let mut last = String::new();
    for _ in 0..TRIES_MAX {
        let begun = producer.begin().and_then(|()| {
            let written = sink.write_to(0, &[], &beginning(line, next));
            written.map_err(Unfinished::Ended)?;
            end(producer)
        });
        match begun {
            Ok(()) => return Ok(()),
            Err(Unfinished::Ended(error)) => return Err(error),
            Err(Unfinished::Again(why)) => last = why,
            Err(Unfinished::Lost(why)) => {
                last = why;
                if let Err(Unfinished::Ended(error)) = producer.undo() {
                    return Err(error);
                }
            }
        }
        std::thread::park_timeout(PAUSE);
    }
    Err(StreamError::Unreachable { brokers: topic.writer.brokers.join(","), detail: last })
}

/// Ends a transaction, whose end may have to be asked for again.
fn end(producer: &KafkaProducer) -> Result<(), Unfinished> {
    for _ in 0..TRIES_MAX {
        match producer.end() {
            Err(Unfinished::Again(_)) => std::thread::park_timeout(PAUSE),
            other => return other,
        }
    }
    producer.end()
}
