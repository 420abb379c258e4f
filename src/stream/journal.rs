//! The order in which inputs were taken in, on the disk: what a state needs to go on after any end of the process.
//!
//! What came of a source is nobody's choice: which partition was read when is an accident. So each work that is judged, each
//! tick and each other rule set is an entry here, in the order of judging. Of records of a topic only the places are kept, since
//! the topic has them; of lines their bytes. A journal is a row of files, each beginning at a checkpoint; entries are frames with
//! a number and a checksum. A frame without an entry is a *seal*: entries before it were on the disk when it was written. What
//! is not sealed a power cut may leave in any order, with holes. Invariants: entries are on the disk before the outputs that came
//! of them are committed; a torn end is what nobody was told of, and is cut off; any other byte that is not what was written is
//! an error and never another count. Why no store of others: docs/decisions/0011-journal.md.

mod entry;
mod read;
mod shipped;

pub use entry::{Entry, Mark, PlaceName, RuleFiles, Run, Stored};
pub(super) use entry::{read_files, store_files};
pub use read::{Again, Journaled, Scan};
pub(super) use shipped::records;
pub use shipped::{Assembly, Line, NotShipped, Shipped, beginning, end_of};

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::StreamError;
use super::checkpoint::CheckpointError;
use super::disk::{DiskFile, Folder};
use crate::state::planted::{Defect, is_planted};

/// What names of its files begin with; the number of the first entry follows.
const NAME: &str = "journal-";
/// What each begins with.
const MAGIC: &[u8; 12] = b"refguard jnl";
/// The format that is written, and the newest that is read. In the first one nothing was sealed.
const FORMAT: u32 = 2;
/// From this one on there are seals.
const FORMAT_WITH_SEALS: u32 = 2;
/// Magic, format, first number, checksum.
const HEAD_BYTES: usize = 12 + 4 + 8 + 8;
/// Length, number and checksum of a frame.
const FRAME_BYTES: usize = 4 + 8 + 8;
/// The longest entry: the files of a rule set with the largest lists.
const ENTRY_BYTES_MAX: usize = 1 << 30;
/// What is gathered before it is written, in bytes. It is written at each sync at the latest.
const BUFFER_BYTES: usize = 1 << 20;

fn head(format: u32, first: u64) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&format.to_le_bytes());
    head.extend_from_slice(&first.to_le_bytes());
    let checksum = xxh3_64_with_seed(&head, 0);
    head.extend_from_slice(&checksum.to_le_bytes());
    head
}

/// Adds an entry in its frame.
fn frame(out: &mut Vec<u8>, number: u64, payload: &[u8]) {
    let start = out.len();
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(payload);
    let checksum = xxh3_64_with_seed(&out[start..], number);
    out.extend_from_slice(&checksum.to_le_bytes());
}

fn segment_path(folder: &Folder, first: u64) -> PathBuf {
    folder.join(format!("{NAME}{first:020}"))
}

/// The files of a journal: the number of the first entry of each, and its path, in order.
///
/// # Errors
///
/// The system.
pub fn segments(folder: &Folder) -> Result<Vec<(u64, PathBuf)>, CheckpointError> {
    folder.numbered(NAME).map_err(CheckpointError::io("listing", folder.path()))
}

/// What is being written.
#[derive(Debug)]
struct Open {
    folder: Folder,
    /// First numbers of the files, and their lengths; the last is written to.
    segments: Vec<(u64, u64)>,
    file: Arc<dyn DiskFile>,
    buffer: Vec<u8>,
    /// The number of the next entry.
    next: u64,
    /// Entries that are not in the topic; `None`: none goes there.
    unshipped: Option<VecDeque<(u64, Vec<u8>)>>,
}

/// A journal that is written to: by the engine's thread, which adds, and the writer's, which waits for the disk.
#[derive(Debug)]
pub struct Journal {
    open: Mutex<Open>,
    /// Held while the disk is waited for: it tells one caller of a failure, and the next must not take its silence for success.
    syncing: Mutex<()>,
    /// Entries below are on the disk.
    synced: AtomicU64,
    /// What came of entries below is delivered and committed.
    settled: AtomicU64,
    /// Entries below are in the topic.
    shipped: AtomicU64,
    /// The number of the entry behind the newest one with what a person does.
    acted: AtomicU64,
    bytes: AtomicU64,
    /// A write or a sync has failed: nobody knows what is on the disk, and nothing is told of it any more.
    is_broken: AtomicBool,
}

impl Journal {
    /// Goes on behind what a scan has found, in a file of its own, or begins one.
    ///
    /// # Errors
    ///
    /// The system.
    pub fn open(folder: &Folder, scan: &Scan) -> Result<Journal, CheckpointError> {
        scan.cut(folder)?;
        let next = scan.next();
        let mut kept = Vec::new();
        for (first, path) in segments(folder)? {
            if first == next {
                // Nothing is in it.
                continue;
            }
            let length = folder.disk().length(&path).map_err(CheckpointError::io("reading", &path))?;
            kept.push((first, length));
        }
        let file = begin(folder, next).map_err(CheckpointError::io("writing", &segment_path(folder, next)))?;
        kept.push((next, HEAD_BYTES as u64));
        let bytes = kept.iter().map(|(_, length)| length).sum();
        let (file, buffer) = (Arc::from(file), Vec::new());
        let open = Open { folder: folder.clone(), segments: kept, file, buffer, next, unshipped: None };
        Ok(Journal {
            open: Mutex::new(open),
            syncing: Mutex::new(()),
            synced: AtomicU64::new(next),
            settled: AtomicU64::new(0),
            shipped: AtomicU64::new(0),
            acted: AtomicU64::new(0),
            bytes: AtomicU64::new(bytes),
            is_broken: AtomicBool::new(false),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().expect("no thread panics while it writes the journal")
    }

    /// Adds an entry and answers the number of the one that comes after it. It is on the disk after the next [`Journal::sync`].
    ///
    /// # Errors
    ///
    /// [`StreamError::Write`]; then the journal is of no more use.
    pub fn add(&self, entry: &Entry<'_>) -> Result<u64, StreamError> {
        self.add_written(entry.written().into_bytes())
    }

    /// The same for the bytes of an entry, such as came from a topic.
    ///
    /// # Errors
    ///
    /// As [`Journal::add`].
    pub fn add_written(&self, payload: Vec<u8>) -> Result<u64, StreamError> {
        if payload.len() > ENTRY_BYTES_MAX {
            let source = io::Error::other("an entry is longer than can be read");
            return Err(StreamError::Write { name: "the journal".to_owned(), source });
        }
        let mut open = self.lock();
        let before = open.buffer.len();
        let number = open.next;
        frame(&mut open.buffer, number, &payload);
        if let Some(unshipped) = &mut open.unshipped {
            unshipped.push_back((number, payload));
        }
        let added = (open.buffer.len() - before) as u64;
        open.next += 1;
        open.segments.last_mut().expect("a journal has a file").1 += added;
        self.bytes.fetch_add(added, Ordering::Relaxed);
        if open.buffer.len() >= BUFFER_BYTES {
            self.write(&mut open)?;
        }
        self.trust(&open)?;
        Ok(open.next)
    }

    /// Has everything that was added on the disk. Who adds meanwhile does not wait.
    ///
    /// # Errors
    ///
    /// [`StreamError::Write`]; then the journal is of no more use.
    pub fn sync(&self) -> Result<(), StreamError> {
        let _syncing = self.syncing.lock().expect("no thread panics while it waits for the disk");
        self.sync_alone()
    }

    fn sync_alone(&self) -> Result<(), StreamError> {
        let mut open = self.lock();
        let next = open.next;
        if self.synced.load(Ordering::Acquire) >= next {
            return Ok(());
        }
        self.write(&mut open)?;
        let (file, name) = (Arc::clone(&open.file), open.name());
        drop(open);
        if !is_planted(Defect::SyncSkipped) {
            file.sync().map_err(|source| self.broken(name, source))?;
        }
        self.synced.fetch_max(next, Ordering::AcqRel);
        self.seal(next)
    }

    /// Writes what was gathered.
    fn write(&self, open: &mut Open) -> Result<(), StreamError> {
        self.trust(open)?;
        open.file.append(&open.buffer).map_err(|source| self.broken(open.name(), source))?;
        open.buffer.clear();
        Ok(())
    }

    /// Refuses to go on once something has failed: a second sync would vouch for what the first one has lost.
    fn trust(&self, open: &Open) -> Result<(), StreamError> {
        if !self.is_broken.load(Ordering::Acquire) {
            return Ok(());
        }
        let source = io::Error::other("it could not be written before, and nobody knows what of it is there");
        Err(StreamError::Write { name: open.name(), source })
    }

    fn broken(&self, name: String, source: io::Error) -> StreamError {
        self.is_broken.store(true, Ordering::Release);
        StreamError::Write { name, source }
    }

    /// Says in the journal that entries below this number are on the disk. The seal itself need not be.
    fn seal(&self, number: u64) -> Result<(), StreamError> {
        let mut open = self.lock();
        let before = open.buffer.len();
        frame(&mut open.buffer, number, &[]);
        let added = (open.buffer.len() - before) as u64;
        open.segments.last_mut().expect("a journal has a file").1 += added;
        self.bytes.fetch_add(added, Ordering::Relaxed);
        self.write(&mut open)
    }

    /// Entries with lower numbers are on the disk.
    pub fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Notes that what a person does is in an entry below a number, and in none behind it.
    pub fn note_act(&self, number: u64) {
        self.acted.fetch_max(number, Ordering::AcqRel);
    }

    /// What people have done is in entries below.
    pub fn acted(&self) -> u64 {
        self.acted.load(Ordering::Acquire)
    }

    /// The number of the next entry.
    pub fn next(&self) -> u64 {
        self.lock().next
    }

    /// Notes that what came of entries with lower numbers is delivered and committed.
    pub fn settle(&self, number: u64) {
        self.settled.fetch_max(number, Ordering::AcqRel);
    }

    /// What came of entries with lower numbers is delivered and committed.
    pub fn settled(&self) -> u64 {
        self.settled.load(Ordering::Acquire)
    }

    /// From here on entries are kept for a topic that has those below a number, until they are shipped: those that a scan, with
    /// which this was opened, has found from there on are the first.
    ///
    /// # Errors
    ///
    /// As [`Scan::of`].
    pub fn ship(&self, scan: &Scan, from: u64) -> Result<(), CheckpointError> {
        let (mut again, mut unshipped) = (scan.again(&self.lock().folder.clone(), from), VecDeque::new());
        while let Some(entry) = again.read_written()? {
            unshipped.push_back(entry);
        }
        let mut open = self.lock();
        let first = unshipped.front().map_or(open.next, |(number, _)| *number);
        self.shipped.store(first, Ordering::Release);
        open.unshipped = Some(unshipped);
        Ok(())
    }

    /// The entries below a number that are not in the topic, oldest first.
    pub fn unshipped(&self, below: u64) -> Vec<(u64, Vec<u8>)> {
        let open = self.lock();
        let unshipped = open.unshipped.iter().flatten();
        unshipped.take_while(|(number, _)| *number < below).cloned().collect()
    }

    /// Notes that the topic has the entries below a number.
    pub fn note_shipped(&self, below: u64) {
        let mut open = self.lock();
        if let Some(unshipped) = &mut open.unshipped {
            let shipped = unshipped.iter().take_while(|(number, _)| *number < below).count();
            unshipped.drain(..shipped);
            self.shipped.fetch_max(below, Ordering::AcqRel);
        }
    }

    /// Whether whoever reads the topic has all entries below a number: also where none goes there.
    pub fn has_shipped(&self, below: u64) -> bool {
        self.lock().unshipped.is_none() || self.shipped.load(Ordering::Acquire) >= below
    }

    /// How long its files are together.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What is added from here on goes into another file, which begins with this number.
    ///
    /// # Errors
    ///
    /// [`StreamError::Write`].
    pub fn roll(&self) -> Result<u64, StreamError> {
        let _syncing = self.syncing.lock().expect("no thread panics while it waits for the disk");
        self.sync_alone()?;
        let mut open = self.lock();
        let next = open.next;
        if open.segments.last().is_some_and(|(first, _)| *first == next) {
            return Ok(next);
        }
        self.write(&mut open)?;
        open.file.sync().map_err(|source| self.broken(open.name(), source))?;
        let name = segment_path(&open.folder, next).display().to_string();
        // A file that was made in part stands behind the one that is written: what is added to that would look misplaced.
        let file = begin(&open.folder, next).map_err(|source| self.broken(name, source))?;
        open.file = Arc::from(file);
        open.segments.push((next, HEAD_BYTES as u64));
        self.bytes.fetch_add(HEAD_BYTES as u64, Ordering::Relaxed);
        self.synced.fetch_max(next, Ordering::AcqRel);
        Ok(next)
    }

    /// Removes the files whose entries are all below this number.
    ///
    /// # Errors
    ///
    /// The system.
    pub fn forget(&self, below: u64) -> Result<(), CheckpointError> {
        let mut open = self.lock();
        while open.segments.len() > 1 && open.segments[1].0 <= below {
            let (first, length) = open.segments.remove(0);
            let path = segment_path(&open.folder, first);
            open.folder.disk().remove(&path).map_err(CheckpointError::io("removing", &path))?;
            self.bytes.fetch_sub(length, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Open {
    fn name(&self) -> String {
        segment_path(&self.folder, self.segments.last().map_or(0, |(first, _)| *first)).display().to_string()
    }
}

/// Makes a file that begins with this number; it and its name are on the disk.
fn begin(folder: &Folder, first: u64) -> io::Result<Box<dyn DiskFile>> {
    let file = folder.disk().create(&segment_path(folder, first))?;
    file.append(&head(FORMAT, first))?;
    file.sync()?;
    folder.sync()?;
    Ok(file)
}

#[cfg(test)]
#[path = "journal/tests.rs"]
mod tests;
