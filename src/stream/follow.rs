//! Follows the state of another process: its journal by a topic, its checkpoints by their copies, into a folder of one's own.
//!
//! The folder is at any time what that of the other would be after a crash at its last commit: a checkpoint, and the journal from
//! there on. So whoever takes over starts as one starts after a crash. Knows topics, stores, checkpoints and journals; who takes
//! over when is for others to say. Invariants: only what is committed is followed; a checkpoint belongs to the line of the
//! journal that lies behind it, and all entries from it on are there, or it is not used. Tested in `tests/exactly_once/standby.rs`.

mod chain;

pub use chain::{Chain, Step};

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::StreamError;
use super::checkpoint::{self, CheckpointError};
use super::copies::{CopyError, CopyName, Store};
use super::disk::Folder;
use super::journal::{Assembly, Journal, Line, Scan, Shipped, Stored, segments};
use super::kafka::{ClientOptions, TailStart, TopicTail};

/// Where a checkpoint and a journal go that may not fit.
const BEFORE: &str = "before";
/// How many records are taken before others are let look.
const RECORDS_MAX: usize = 10_000;

/// Why following cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The topic.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The copies.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The folder.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// The checkpoint from which a start would go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// The line that it belongs to.
    pub line: Line,
    /// The number of the first entry that is not in it.
    pub position: u64,
    /// How many events had been taken in: history counts too, and has no entry.
    pub events: u64,
}

/// A state that is followed.
#[derive(Debug)]
pub struct Follower {
    folder: PathBuf,
    at: Folder,
    client: ClientOptions,
    topic: String,
    tail: TopicTail,
    assembly: Assembly,
    chain: Chain,
    journal: Option<Journal>,
    base: Option<Base>,
    /// The line of what lies in [`BEFORE`].
    before: Option<Line>,
}

impl Follower {
    /// Begins to follow a topic, into a folder that is owned. What is there lies aside until it is known to fit; `line` is that
    /// of what is there.
    ///
    /// # Errors
    ///
    /// [`FollowError`].
    pub fn begin(
        folder: &Path,
        line: Option<Line>,
        client: &ClientOptions,
        topic: &str,
    ) -> Result<Follower, FollowError> {
        let tail = TopicTail::open(client, topic, TailStart::Beginning)?;
        lay_aside(folder)?;
        Ok(Follower {
            folder: folder.to_owned(),
            at: Folder::at(folder),
            client: client.clone(),
            topic: topic.to_owned(),
            tail,
            assembly: Assembly::default(),
            chain: Chain::default(),
            journal: None,
            base: None,
            before: line,
        })
    }

    /// Takes what the topic has by now, and waits for so long at most if it has nothing new. Whether that was its end.
    ///
    /// # Errors
    ///
    /// [`FollowError`]: what is in the topic is no journal, or the disk.
    pub fn follow(&mut self, wait: Duration) -> Result<bool, FollowError> {
        let mut wait = wait;
        for _ in 0..RECORDS_MAX {
            let Some(record) = self.tail.next_value(wait)? else {
                self.sync()?;
                return Ok(self.tail.is_at_end());
            };
            wait = Duration::ZERO;
            self.take(&record)?;
        }
        Ok(false)
    }

    /// Takes everything that is committed: nobody commits any more.
    ///
    /// # Errors
    ///
    /// [`FollowError`].
    pub fn follow_to_end(&mut self) -> Result<(), FollowError> {
        // A client that was at the end may not know that there is more.
        self.tail = TopicTail::open(&self.client, &self.topic, TailStart::At(self.tail.next_offset()))?;
        while let Some(record) = self.tail.before_end()? {
            self.take(&record)?;
        }
        self.sync()
    }

    fn sync(&self) -> Result<(), FollowError> {
        self.journal.iter().try_for_each(|journal| Ok(journal.sync()?))
    }

    fn take(&mut self, record: &[u8]) -> Result<(), FollowError> {
        let broken = |detail: String| {
            let hint = "give `state.journal_topic` a topic that nobody else writes to";
            StreamError::Recovery { detail: format!("topic {}: {detail}", self.topic), hint }
        };
        let Some(shipped) = self.assembly.take(record).map_err(|error| broken(error.to_string()))? else {
            return Ok(());
        };
        if let Some(payload) = &shipped.payload {
            // What could not be read later is refused now.
            Stored::check(payload).map_err(|error| broken(error.to_string()))?;
        }
        if self.chain.take(&shipped) == Step::Restarted {
            self.restart()?;
        }
        let Shipped { payload: Some(payload), .. } = shipped else { return Ok(()) };
        let journal = self.journal()?;
        journal.add_written(payload)?;
        Ok(())
    }

    /// The numbers begin anew: what was there before does not go on.
    fn restart(&mut self) -> Result<(), FollowError> {
        (self.journal, self.base) = (None, None);
        for path in checkpoint::checkpoints(&self.at)?.into_iter().chain(journals(&self.at)?) {
            fs::remove_file(&path).map_err(io("removing", &path))?;
        }
        Ok(())
    }

    fn journal(&mut self) -> Result<&Journal, FollowError> {
        if self.journal.is_none() {
            // The entry that comes is counted already.
            let first = self.chain.first();
            let scan = Scan::of(&self.at, first, |_| Ok(()))?;
            self.journal = Some(Journal::open(&self.at, &scan)?);
        }
        Ok(self.journal.as_ref().expect("it was just opened"))
    }

    /// Takes the best checkpoint that fits, of those that lay in the folder and those of a store, if it is better than the one that
    /// is there. To be called at the end of the topic.
    ///
    /// # Errors
    ///
    /// [`FollowError`]; what the store has and cannot be used is told as an error of the store after all others were tried.
    pub fn find_base(&mut self, store: &Store) -> Result<(), FollowError> {
        self.take_before()?;
        let mut copies = store.list()?;
        if self.chain.is_empty()
            && let Some(newest) = copies.first()
            && let Some(line) = Line::read(&newest.line)
        {
            // The topic has dropped everything that is in it.
            self.chain.seed(line, newest.position);
        }
        copies.retain(|copy| self.is_better(copy));
        copies.sort_by_key(|copy| std::cmp::Reverse((copy.position, copy.events)));
        let mut failed = None;
        for copy in copies {
            match store.fetch(&copy, &self.folder) {
                Ok(_) => {
                    let line = Line::read(&copy.line).expect("only copies of known lines are better");
                    return self.based_on(Base { line, position: copy.position, events: copy.events });
                }
                // An older one may be whole.
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    fn is_better(&self, copy: &CopyName) -> bool {
        let fits = Line::read(&copy.line).is_some_and(|line| self.chain.fits(line, copy.position));
        let of = (copy.position, copy.events);
        fits && self.base.as_ref().is_none_or(|base| of > (base.position, base.events))
    }

    /// Takes the newest checkpoint of before that fits.
    fn take_before(&mut self) -> Result<(), FollowError> {
        let Some(line) = self.before.take() else { return Ok(()) };
        let before = Folder::at(self.folder.join(BEFORE));
        for path in checkpoint::checkpoints(&before)? {
            let position = match checkpoint::position(&before, &path) {
                Ok(Some(position)) if self.chain.fits(line, position) && checkpoint::check(&before, &path).is_ok() => {
                    position
                }
                _ => continue,
            };
            let to = self.folder.join(path.file_name().unwrap_or_default());
            fs::rename(&path, &to).map_err(io("naming", &to))?;
            let events = checkpoint::events(&path).unwrap_or(0);
            return self.based_on(Base { line, position, events });
        }
        Ok(())
    }

    /// Removes what lay in the folder before and did not fit: it is behind for good.
    ///
    /// # Errors
    ///
    /// The system.
    pub fn forget_before(&self) -> Result<(), CheckpointError> {
        let before = self.folder.join(BEFORE);
        fs::remove_dir_all(&before).map_err(io("removing", &before))
    }

    fn based_on(&mut self, base: Base) -> Result<(), FollowError> {
        tracing::info!(position = base.position, behind = self.chain.next() - base.position, "follows a checkpoint");
        self.base = Some(base);
        checkpoint::prune(&self.at)?;
        let oldest = checkpoint::oldest_position(&self.at)?;
        let journal = self.journal()?;
        journal.roll()?;
        if let Some(oldest) = oldest {
            journal.forget(oldest)?;
        }
        Ok(())
    }

    /// The checkpoint from which a start would go on.
    pub fn base(&self) -> Option<&Base> {
        self.base.as_ref()
    }

    /// Whether a start could go on: from a checkpoint or, where a state begins empty, from the very first entry.
    pub fn is_whole(&self, begins_empty: bool) -> bool {
        self.base.is_some() || self.chain.is_empty() || begins_empty && self.chain.first() == 0
    }

    /// How many entries lie behind the checkpoint.
    pub fn behind(&self) -> u64 {
        self.chain.next() - self.base.as_ref().map_or(self.chain.first(), |base| base.position)
    }

    /// The line that was followed last, and the number of its next entry; `None`: there was none.
    pub fn end(&self) -> Option<(Line, u64)> {
        self.chain.last().map(|line| (line, self.chain.next()))
    }
}

/// The files of a journal, in order.
fn journals(folder: &Folder) -> Result<impl Iterator<Item = PathBuf>, CheckpointError> {
    Ok(segments(folder)?.into_iter().map(|(_, path)| path))
}

/// Puts what a folder has aside, in the place of what was there.
fn lay_aside(folder: &Path) -> Result<(), CheckpointError> {
    let (at, before) = (Folder::at(folder), folder.join(BEFORE));
    let found: Vec<PathBuf> = checkpoint::checkpoints(&at)?.into_iter().chain(journals(&at)?).collect();
    if found.is_empty() && before.is_dir() {
        return Ok(());
    }
    if before.is_dir() {
        fs::remove_dir_all(&before).map_err(io("removing", &before))?;
    }
    fs::create_dir(&before).map_err(io("making the folder", &before))?;
    for path in found {
        let to = before.join(path.file_name().unwrap_or_default());
        fs::rename(&path, &to).map_err(io("setting aside", &path))?;
    }
    Ok(())
}

fn io<'p>(doing: &'static str, path: &'p Path) -> impl FnOnce(std::io::Error) -> CheckpointError + use<'p> {
    move |source| CheckpointError::Io { doing, path: path.to_owned(), source }
}
