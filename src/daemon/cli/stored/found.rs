//! What a look into a folder of state finds: checkpoints, and the journal. Nothing is locked, so a file that goes while it is
//! looked at is looked for again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::stream::checkpoint::{CheckpointError, Seals, Surveyed, checkpoints, survey};
use crate::stream::disk::Folder;
use crate::stream::journal::{self, PlaceName, Scan, Stored};

/// How often a folder is looked at again whose files go meanwhile.
const LOOKS_MAX: usize = 5;

/// A folder.
pub(super) struct Found {
    /// Its checkpoints, the newest first.
    pub checkpoints: Vec<(PathBuf, Result<Surveyed, CheckpointError>)>,
    /// Its journal.
    pub journal: Result<Journal, CheckpointError>,
}

/// A journal that is whole.
#[derive(Default)]
pub(super) struct Journal {
    /// Number of the first entry, path and length of each file.
    pub files: Vec<(u64, PathBuf, u64)>,
    /// The number of the next entry.
    pub next: u64,
    /// How many bytes at its end are torn: nothing came of them, or they are being written.
    pub torn_bytes: u64,
    /// What lies behind the newest whole checkpoint.
    pub behind: Behind,
}

/// What the newest whole checkpoint does not have.
#[derive(Default)]
pub(super) struct Behind {
    /// How many entries.
    pub entries: u64,
    /// How many records of topics.
    pub records: u64,
    /// How many lines.
    pub lines: u64,
    /// The hashes of rule sets that took over.
    pub rules: Vec<String>,
    /// From which record of a partition on, and up to before which.
    pub places: Vec<(PlaceName, u64, u64)>,
}

impl Found {
    /// Looks at everything in a folder; into checkpoints by these secrets.
    pub(super) fn of(folder: &Path, seals: Option<&Seals>) -> Result<Found, CheckpointError> {
        for _ in 1..LOOKS_MAX {
            let found = Found::look(folder, seals)?;
            if !found.has_gone() {
                return Ok(found);
            }
        }
        Found::look(folder, seals)
    }

    fn look(folder: &Path, seals: Option<&Seals>) -> Result<Found, CheckpointError> {
        let folder = &Folder::at(folder);
        let surveyed = checkpoints(folder)?.into_iter().map(|path| (path.clone(), survey(folder, &path, seals)));
        let checkpoints: Vec<_> = surveyed.collect();
        let newest = checkpoints.iter().find_map(|(_, surveyed)| surveyed.as_ref().ok());
        let journal = read_journal(folder, newest);
        Ok(Found { checkpoints, journal })
    }

    /// Whether a file went while it was looked at.
    fn has_gone(&self) -> bool {
        let errors = self.checkpoints.iter().filter_map(|(_, surveyed)| surveyed.as_ref().err());
        errors.chain(self.journal.as_ref().err()).any(
            |error| matches!(error, CheckpointError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound),
        )
    }
}

fn read_journal(folder: &Folder, newest: Option<&Surveyed>) -> Result<Journal, CheckpointError> {
    let mut files = Vec::new();
    for (first, path) in journal::segments(folder)? {
        let length = std::fs::metadata(&path).map_err(|source| CheckpointError::Io {
            doing: "reading",
            path: path.clone(),
            source,
        })?;
        files.push((first, path, length.len()));
    }
    let Some((first, path, _)) = files.first().cloned() else { return Ok(Journal::default()) };
    let companion = newest.and_then(|newest| newest.companion.as_ref());
    let position = companion.map_or(first, |companion| companion.position);
    if position < first {
        let detail = format!("entries from {position} on are missing before it, which the newest checkpoint needs");
        return Err(CheckpointError::Damaged { path, detail });
    }
    let mut places: Vec<PlaceName> = companion.iter().flat_map(|of| &of.places).map(|(name, _)| name.clone()).collect();
    let mut behind = Behind::default();
    let mut spans: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    let scan = Scan::of(folder, first, |(number, entry)| {
        if number >= position {
            behind.note(entry, &mut places, &mut spans);
        }
        Ok(())
    })?;
    if scan.next() < position {
        let path = files.pop().map_or(path, |(_, last, _)| last);
        let detail = format!("it ends before entry {position}, which the newest checkpoint knows of");
        return Err(CheckpointError::Damaged { path, detail });
    }
    let unknown = || PlaceName { source: "?".to_owned(), topic: String::new(), partition: 0 };
    let span = |(place, (first, next))| (places.get(place as usize).cloned().unwrap_or_else(unknown), first, next);
    behind.places = spans.into_iter().map(span).collect();
    Ok(Journal { files, next: scan.next(), torn_bytes: scan.torn_bytes(), behind })
}

impl Behind {
    fn note(&mut self, entry: Stored, places: &mut Vec<PlaceName>, spans: &mut BTreeMap<u32, (u64, u64)>) {
        // That outputs are written is nothing that is judged again.
        self.entries += u64::from(!matches!(entry, Stored::Written(_)));
        match entry {
            Stored::Place(_, name) => places.push(name),
            Stored::Records { runs, .. } => {
                for run in runs {
                    self.records += u64::from(run.records);
                    spans.entry(run.place).or_insert((run.first, run.next)).1 = run.next;
                }
            }
            Stored::Lines { lines, .. } => self.lines += lines.len() as u64,
            Stored::Rules { hash, .. } => self.rules.push(hash),
            Stored::Written(_) => {}
        }
    }
}
