//! Reads a journal: once to see that it is whole and where it ends, and again to follow it.

use std::fs::{self, File};
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::entry::Stored;
use super::{ENTRY_BYTES_MAX, FORMAT, FRAME_BYTES, HEAD_BYTES, MAGIC, head, segments};
use crate::stream::checkpoint::CheckpointError;

/// How far entries may lie behind one that is not whole, for it to be taken for damaged: no more are written between two syncs.
const AHEAD_MAX: u64 = 1 << 32;

/// What a look at a whole journal found.
#[derive(Debug, Default)]
pub struct Scan {
    /// The files, in order: first number, path.
    files: Vec<(u64, PathBuf)>,
    next: u64,
    /// The last file, and how long what is whole of it is; `None`: it has no head and goes.
    end: Option<(PathBuf, Option<u64>)>,
    torn_bytes: u64,
}

/// An entry with its number.
pub type Journaled = (u64, Stored);

impl Scan {
    /// Looks at every entry from this number on; `each` is told of it.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Damaged`] if a byte is not what was written, or entries are missing; the system. An end that is torn
    /// is no error: nothing of it was committed.
    pub fn of(
        folder: &Path,
        from: u64,
        mut each: impl FnMut(Journaled) -> Result<(), CheckpointError>,
    ) -> Result<Scan, CheckpointError> {
        let all = segments(folder)?;
        let begins = all.iter().rposition(|(first, _)| *first <= from);
        let Some(begins) = begins else {
            return match all.first() {
                None => Ok(Scan { next: from, ..Scan::default() }),
                Some((_, path)) => Err(damaged(path, format!("entries from {from} on are missing before it"))),
            };
        };
        let mut scan = Scan { files: all[begins..].to_vec(), next: all[begins].0, end: None, torn_bytes: 0 };
        for at in begins..all.len() {
            let (first, path) = &all[at];
            let is_last = at + 1 == all.len();
            if *first != scan.next {
                return Err(damaged(path, format!("entries from {} on are missing before it", scan.next)));
            }
            let mut entries = Entries::open(path, *first, is_last)?;
            while let Some(entry) = entries.next()? {
                if entry.0 >= from {
                    each(entry)?;
                }
            }
            scan.next = entries.number;
            if is_last {
                let whole = (!entries.has_no_head).then_some(entries.at);
                scan.torn_bytes = entries.bytes - whole.unwrap_or(0);
                scan.end = Some((path.clone(), whole));
            }
        }
        if scan.next < from {
            let (_, path) = &all[all.len() - 1];
            return Err(damaged(path, format!("it ends before entry {from}, which a checkpoint knows of")));
        }
        Ok(scan)
    }

    /// The number of the next entry.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// How many bytes at its end were torn.
    pub fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// Reads the entries again.
    pub fn again(&self, from: u64) -> Again {
        Again { files: self.files.clone(), from, next: self.next, current: None }
    }

    /// Cuts off the torn end.
    pub(super) fn cut(&self) -> Result<(), CheckpointError> {
        match &self.end {
            Some((path, None)) => fs::remove_file(path).map_err(CheckpointError::io("removing", path)),
            Some((path, Some(whole))) if self.torn_bytes > 0 => {
                let cut = File::options().write(true).open(path).and_then(|file| {
                    file.set_len(*whole)?;
                    file.sync_all()
                });
                cut.map_err(CheckpointError::io("writing", path))
            }
            _ => Ok(()),
        }
    }
}

/// The bytes of an entry, with its number.
pub(super) type Written = (u64, Vec<u8>);

/// Entries of a journal that was looked at.
#[derive(Debug)]
pub struct Again {
    files: Vec<(u64, PathBuf)>,
    from: u64,
    next: u64,
    current: Option<Entries>,
}

impl Again {
    /// The next entry; `None` at the end that was found.
    ///
    /// # Errors
    ///
    /// As [`Scan::of`].
    pub fn read_next(&mut self) -> Result<Option<Journaled>, CheckpointError> {
        self.read(Entries::next)
    }

    /// The bytes of the next entry; `None` at the end that was found.
    ///
    /// # Errors
    ///
    /// As [`Scan::of`].
    pub fn read_written(&mut self) -> Result<Option<Written>, CheckpointError> {
        self.read(Entries::next_written)
    }

    fn read<T>(
        &mut self,
        next: impl Fn(&mut Entries) -> Result<Option<(u64, T)>, CheckpointError>,
    ) -> Result<Option<(u64, T)>, CheckpointError> {
        loop {
            if let Some(entries) = &mut self.current {
                match next(entries)? {
                    Some((number, _)) if number < self.from => continue,
                    Some((number, _)) if number >= self.next => return Ok(None),
                    Some(entry) => return Ok(Some(entry)),
                    None => self.current = None,
                }
            }
            if self.files.is_empty() {
                return Ok(None);
            }
            let (first, path) = self.files.remove(0);
            if first >= self.next {
                return Ok(None);
            }
            self.current = Some(Entries::open(&path, first, self.files.is_empty())?);
        }
    }
}

/// The entries of one file.
#[derive(Debug)]
struct Entries {
    path: PathBuf,
    input: BufReader<File>,
    bytes: u64,
    at: u64,
    number: u64,
    is_last: bool,
    has_no_head: bool,
}

impl Entries {
    fn open(path: &Path, first: u64, is_last: bool) -> Result<Entries, CheckpointError> {
        let file = File::open(path).map_err(CheckpointError::io("opening", path))?;
        let bytes = file.metadata().map_err(CheckpointError::io("reading", path))?.len();
        let input = BufReader::with_capacity(1 << 20, file);
        let mut entries =
            Entries { path: path.to_owned(), input, bytes, at: 0, number: first, is_last, has_no_head: false };
        if bytes < HEAD_BYTES as u64 && is_last {
            // The power went while it was made: nothing was in it.
            entries.has_no_head = true;
            return Ok(entries);
        }
        let mut found = [0; HEAD_BYTES];
        entries.fill(&mut found)?;
        if !found.starts_with(MAGIC) {
            return Err(damaged(path, "it is no journal".to_owned()));
        }
        let format = u32::from_le_bytes([found[12], found[13], found[14], found[15]]);
        if format > FORMAT {
            return Err(CheckpointError::Newer { path: path.to_owned(), found: format, known: FORMAT });
        }
        if found != *head(first) {
            return Err(damaged(path, "its head is not what was written".to_owned()));
        }
        entries.at = HEAD_BYTES as u64;
        Ok(entries)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CheckpointError> {
        self.input.read_exact(bytes).map_err(CheckpointError::io("reading", &self.path))
    }

    fn next(&mut self) -> Result<Option<Journaled>, CheckpointError> {
        let at = self.at;
        let Some((number, payload)) = self.next_written()? else { return Ok(None) };
        let entry = Stored::read(&payload);
        let entry = entry.map_err(|broken| damaged(&self.path, format!("{broken}, at byte {at}")))?;
        Ok(Some((number, entry)))
    }

    fn next_written(&mut self) -> Result<Option<Written>, CheckpointError> {
        let left = self.bytes - self.at;
        if self.has_no_head || left == 0 {
            return Ok(None);
        }
        if left < FRAME_BYTES as u64 {
            return self.not_whole();
        }
        let mut begin = [0; 12];
        self.fill(&mut begin)?;
        let length = u64::from(u32::from_le_bytes([begin[0], begin[1], begin[2], begin[3]]));
        if length > ENTRY_BYTES_MAX as u64 || length + FRAME_BYTES as u64 > left {
            return self.not_whole();
        }
        let mut frame = vec![0; length as usize + FRAME_BYTES];
        frame[..12].copy_from_slice(&begin);
        self.fill(&mut frame[12..])?;
        let Some(payload) = payload(&frame, self.number) else { return self.not_whole() };
        let payload = payload.to_vec();
        self.at += frame.len() as u64;
        self.number += 1;
        Ok(Some((self.number - 1, payload)))
    }

    /// An entry is not whole. If one that is lies behind it, bytes were changed; else the end is torn.
    fn not_whole<T>(&mut self) -> Result<Option<T>, CheckpointError> {
        let what = format!("entry {} is not what was written, at byte {}", self.number, self.at);
        if !self.is_last {
            return Err(damaged(&self.path, what));
        }
        let bytes = fs::read(&self.path).map_err(CheckpointError::io("reading", &self.path))?;
        let rest = bytes.get(self.at as usize..).unwrap_or_default();
        if (1..rest.len()).any(|at| follows(&rest[at..], self.number)) {
            return Err(damaged(&self.path, what));
        }
        Ok(None)
    }
}

/// Whether a whole frame begins here, with a number behind this one.
fn follows(bytes: &[u8], number: u64) -> bool {
    let Some(begin) = bytes.get(..12) else { return false };
    let length = u32::from_le_bytes([begin[0], begin[1], begin[2], begin[3]]) as usize;
    let mut found = [0; 8];
    found.copy_from_slice(&begin[4..12]);
    let found = u64::from_le_bytes(found);
    if found <= number || found - number > AHEAD_MAX || length > ENTRY_BYTES_MAX {
        return false;
    }
    bytes.get(..length + FRAME_BYTES).is_some_and(|frame| payload(frame, found).is_some())
}

/// What is in a whole frame; `None` if it is not what was written.
fn payload(frame: &[u8], number: u64) -> Option<&[u8]> {
    let (begin, checksum) = frame.split_at_checked(frame.len().checked_sub(8)?)?;
    let payload = begin.get(12..)?;
    let is_whole = begin[4..12] == number.to_le_bytes() && xxh3_64_with_seed(begin, number).to_le_bytes() == checksum;
    is_whole.then_some(payload)
}

fn damaged(path: &Path, detail: String) -> CheckpointError {
    CheckpointError::Damaged { path: path.to_owned(), detail }
}
