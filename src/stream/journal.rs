//! The order in which inputs were taken in, on the disk: what a state needs to go on after any end of the process.
//!
//! What came of a source is nobody's choice: which partition was read when is an accident. So each work that is judged, each
//! tick and each other rule set is an entry here, in the order of judging. Of records of a topic only the places are kept, since
//! the topic has them; of lines their bytes. A journal is a row of files, each beginning at a checkpoint; entries are frames with
//! a number and a checksum. Invariants: entries are on the disk before the outputs that came of them are committed; a torn end
//! is what nobody was told of, and is cut off; any other byte that is not what was written is an error and never another count.
//! Why no store of others: docs/decisions/0011-journal.md.

mod entry;
mod read;
mod shipped;

pub use entry::{Entry, Mark, PlaceName, RuleFiles, Run, Stored};
pub(super) use entry::{read_files, store_files};
pub use read::{Again, Journaled, Scan};
pub(super) use shipped::records;
pub use shipped::{Assembly, Line, NotShipped, Shipped, beginning, end_of};

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::StreamError;
use super::checkpoint::CheckpointError;

/// What names of its files begin with; the number of the first entry follows.
const NAME: &str = "journal-";
/// What each begins with.
const MAGIC: &[u8; 12] = b"refguard jnl";
/// The format that is written, and the only one that is read.
const FORMAT: u32 = 1;
/// Magic, format, first number, checksum.
const HEAD_BYTES: usize = 12 + 4 + 8 + 8;
/// Length, number and checksum of a frame.
const FRAME_BYTES: usize = 4 + 8 + 8;
/// The longest entry: the files of a rule set with the largest lists.
const ENTRY_BYTES_MAX: usize = 1 << 30;
/// What is gathered before it is written, in bytes. It is written at each sync at the latest.
const BUFFER_BYTES: usize = 1 << 20;

fn head(first: u64) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&FORMAT.to_le_bytes());
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

fn segment_path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{NAME}{first:020}"))
}

/// The files of a journal: the number of the first entry of each, and its path, in order.
///
/// # Errors
///
/// The system.
pub fn segments(folder: &Path) -> Result<Vec<(u64, PathBuf)>, CheckpointError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(CheckpointError::io("listing", folder))? {
        let path = entry.map_err(CheckpointError::io("listing", folder))?.path();
        let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(NAME));
        if let Some(number) = number.and_then(|digits| digits.parse().ok()) {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// What is being written.
#[derive(Debug)]
struct Open {
    folder: PathBuf,
    /// First numbers of the files, and their lengths; the last is written to.
    segments: Vec<(u64, u64)>,
    file: Arc<File>,
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
    /// Entries below are on the disk.
    synced: AtomicU64,
    /// What came of entries below is delivered and committed.
    settled: AtomicU64,
    /// Entries below are in the topic.
    shipped: AtomicU64,
    bytes: AtomicU64,
}

impl Journal {
    /// Goes on behind what a scan has found, in a file of its own, or begins one.
    ///
    /// # Errors
    ///
    /// The system.
    pub fn open(folder: &Path, scan: &Scan) -> Result<Journal, CheckpointError> {
        scan.cut()?;
        let next = scan.next();
        let mut kept = Vec::new();
        for (first, path) in segments(folder)? {
            if first == next {
                // Nothing is in it.
                continue;
            }
            let length = fs::metadata(&path).map_err(CheckpointError::io("reading", &path))?.len();
            kept.push((first, length));
        }
        let file = begin(folder, next).map_err(CheckpointError::io("writing", &segment_path(folder, next)))?;
        kept.push((next, HEAD_BYTES as u64));
        let bytes = kept.iter().map(|(_, length)| length).sum();
        let (file, buffer) = (Arc::new(file), Vec::new());
        let open = Open { folder: folder.to_owned(), segments: kept, file, buffer, next, unshipped: None };
        Ok(Journal {
            open: Mutex::new(open),
            synced: AtomicU64::new(next),
            settled: AtomicU64::new(0),
            shipped: AtomicU64::new(0),
            bytes: AtomicU64::new(bytes),
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
            open.flush()?;
        }
        Ok(open.next)
    }

    /// Has everything that was added on the disk. Who adds meanwhile does not wait.
    ///
    /// # Errors
    ///
    /// [`StreamError::Write`]; then the journal is of no more use.
    pub fn sync(&self) -> Result<(), StreamError> {
        let mut open = self.lock();
        let next = open.next;
        if self.synced.load(Ordering::Acquire) >= next {
            return Ok(());
        }
        open.flush()?;
        let (file, name) = (Arc::clone(&open.file), open.name());
        drop(open);
        file.sync_data().map_err(|source| StreamError::Write { name, source })?;
        self.synced.fetch_max(next, Ordering::AcqRel);
        Ok(())
    }

    /// Entries with lower numbers are on the disk.
    pub fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
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
        let (mut again, mut unshipped) = (scan.again(from), VecDeque::new());
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
        self.sync()?;
        let mut open = self.lock();
        let next = open.next;
        if open.segments.last().is_some_and(|(first, _)| *first == next) {
            return Ok(next);
        }
        open.flush()?;
        let name = open.name();
        let failed = |source| StreamError::Write { name, source };
        open.file.sync_data().map_err(failed)?;
        let file = begin(&open.folder, next);
        let name = segment_path(&open.folder, next).display().to_string();
        open.file = Arc::new(file.map_err(|source| StreamError::Write { name, source })?);
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
            fs::remove_file(&path).map_err(CheckpointError::io("removing", &path))?;
            self.bytes.fetch_sub(length, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Open {
    fn name(&self) -> String {
        segment_path(&self.folder, self.segments.last().map_or(0, |(first, _)| *first)).display().to_string()
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        let written = (&*self.file).write_all(&self.buffer);
        written.map_err(|source| StreamError::Write { name: self.name(), source })?;
        self.buffer.clear();
        Ok(())
    }
}

/// Makes a file that begins with this number; it and its name are on the disk.
fn begin(folder: &Path, first: u64) -> io::Result<File> {
    let mut file = File::create(segment_path(folder, first))?;
    file.write_all(&head(first))?;
    file.sync_all()?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

#[cfg(test)]
#[path = "journal/tests.rs"]
mod tests;
