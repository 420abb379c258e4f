//! Reads a journal: once to see that it is whole and where it ends, and again to follow it.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::entry::Stored;
use super::{BUFFER_BYTES, ENTRY_BYTES_MAX, FORMAT, FORMAT_WITH_SEALS, FRAME_BYTES, HEAD_BYTES, MAGIC, head, segments};
use crate::stream::checkpoint::CheckpointError;
use crate::stream::disk::Folder;

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
        folder: &Folder,
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
            let mut entries = Entries::open(folder, path, *first, is_last)?;
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

    /// Reads the entries again, from the same folder.
    pub fn again(&self, folder: &Folder, from: u64) -> Again {
        Again { folder: folder.clone(), files: self.files.clone(), from, next: self.next, current: None }
    }

    /// Cuts off the torn end, and has what is before it on the disk: a process that was killed may have left it in memory alone.
    pub(super) fn cut(&self, folder: &Folder) -> Result<(), CheckpointError> {
        match &self.end {
            Some((path, None)) => folder.disk().remove(path).map_err(CheckpointError::io("removing", path)),
            Some((path, Some(whole))) if self.torn_bytes > 0 => {
                folder.disk().cut(path, *whole).map_err(CheckpointError::io("writing", path))
            }
            Some((path, _)) => folder.disk().sync(path).map_err(CheckpointError::io("syncing", path)),
            None => Ok(()),
        }
    }
}

/// Entries of a journal that was looked at.
#[derive(Debug)]
pub struct Again {
    folder: Folder,
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
        loop {
            if let Some(entries) = &mut self.current {
                match entries.next()? {
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
            self.current = Some(Entries::open(&self.folder, &path, first, self.files.is_empty())?);
        }
    }
}

/// The entries of one file.
struct Entries {
    folder: Folder,
    path: PathBuf,
    input: BufReader<Box<dyn Read + Send>>,
    format: u32,
    bytes: u64,
    at: u64,
    number: u64,
    is_last: bool,
    has_no_head: bool,
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entries").field("path", &self.path).field("number", &self.number).finish_non_exhaustive()
    }
}

impl Entries {
    fn open(folder: &Folder, path: &Path, first: u64, is_last: bool) -> Result<Entries, CheckpointError> {
        let bytes = folder.disk().length(path).map_err(CheckpointError::io("reading", path))?;
        let file = folder.disk().open(path).map_err(CheckpointError::io("opening", path))?;
        let (folder, path) = (folder.clone(), path.to_owned());
        let input = BufReader::with_capacity(BUFFER_BYTES, file);
        let mut entries =
            Entries { folder, path, input, format: FORMAT, bytes, at: 0, number: first, is_last, has_no_head: false };
        entries.has_no_head = !entries.read_head(first)?;
        Ok(entries)
    }

    /// Reads the head. `false`: the power went while the file was made, so that nothing was in it.
    fn read_head(&mut self, first: u64) -> Result<bool, CheckpointError> {
        let mut found = [0; HEAD_BYTES];
        let length = HEAD_BYTES.min(usize::try_from(self.bytes).unwrap_or(HEAD_BYTES));
        self.fill(&mut found[..length])?;
        let format = u32::from_le_bytes([found[12], found[13], found[14], found[15]]);
        if found == *head(format, first) && found.starts_with(MAGIC) && format > 0 {
            if format > FORMAT {
                return Err(CheckpointError::Newer { path: self.path.clone(), found: format, known: FORMAT });
            }
            self.format = format;
            self.at = HEAD_BYTES as u64;
            return Ok(true);
        }
        // It was synced before anything else was written: so this is all of it, and what is missing was never there.
        let is_torn = |format| found.iter().zip(head(format, first)).all(|(found, head)| *found == 0 || *found == head);
        if self.is_last && self.bytes <= HEAD_BYTES as u64 && (1..=FORMAT).any(is_torn) {
            return Ok(false);
        }
        let what = if found.starts_with(MAGIC) { "its head is not what was written" } else { "it is no journal" };
        Err(damaged(&self.path, what.to_owned()))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CheckpointError> {
        self.input.read_exact(bytes).map_err(CheckpointError::io("reading", &self.path))
    }

    fn next(&mut self) -> Result<Option<Journaled>, CheckpointError> {
        loop {
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
            match payload(&frame) {
                Some((number, [])) if number <= self.number && self.format >= FORMAT_WITH_SEALS => {
                    self.at += frame.len() as u64;
                }
                Some((number, payload)) if number == self.number => {
                    let entry = Stored::read(payload).map_err(|broken| damaged(&self.path, broken.to_string()))?;
                    self.at += frame.len() as u64;
                    self.number += 1;
                    return Ok(Some((number, entry)));
                }
                _ => return self.not_whole(),
            }
        }
    }

    /// An entry is not whole. If it was on the disk once, bytes were changed; else the end is torn.
    fn not_whole(&mut self) -> Result<Option<Journaled>, CheckpointError> {
        let what = format!("entry {} is not what was written", self.number);
        if !self.is_last {
            return Err(damaged(&self.path, what));
        }
        let mut bytes = Vec::new();
        let read = self.folder.disk().open(&self.path).and_then(|mut file| file.read_to_end(&mut bytes));
        read.map_err(CheckpointError::io("reading", &self.path))?;
        let rest = bytes.get(self.at as usize..).unwrap_or_default();
        if (0..rest.len()).any(|at| self.was_sealed_by(&rest[at..])) {
            return Err(damaged(&self.path, what));
        }
        Ok(None)
    }

    /// Whether a whole frame begins here that says that the entry which comes next was on the disk. Without seals any that lies
    /// behind it is taken to say so.
    fn was_sealed_by(&self, bytes: &[u8]) -> bool {
        let Some(begin) = bytes.first_chunk::<4>() else { return false };
        let length = u32::from_le_bytes(*begin) as usize;
        if length > ENTRY_BYTES_MAX || length > 0 && self.format >= FORMAT_WITH_SEALS {
            return false;
        }
        let found = bytes.get(..length + FRAME_BYTES).and_then(payload);
        found.is_some_and(|(number, _)| number > self.number && number - self.number <= AHEAD_MAX)
    }
}

/// The number of a frame, and what is in it; `None` if it is not what was written.
fn payload(frame: &[u8]) -> Option<(u64, &[u8])> {
    let (begin, checksum) = frame.split_last_chunk::<8>()?;
    let (_, rest) = begin.split_first_chunk::<4>()?;
    let (number, payload) = rest.split_first_chunk::<8>()?;
    let number = u64::from_le_bytes(*number);
    (xxh3_64_with_seed(begin, number).to_le_bytes() == *checksum).then_some((number, payload))
}

fn damaged(path: &Path, detail: String) -> CheckpointError {
    CheckpointError::Damaged { path: path.to_owned(), detail }
}
