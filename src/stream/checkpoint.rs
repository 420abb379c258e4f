//! Checkpoints as files below the folder of the state: written aside, synced, renamed, and read back with every byte checked.
//!
//! A file is a head (what it is, which version of the format, a checksum of these), then frames of a length, a segment and
//! its checksum, and an empty frame at the end of each part: what the engine knows, and open alerts. Checksums are XXH3 seeded with the number of the frame, so that a frame in
//! another's place is found too. It knows nothing of what is in a segment: that is the engine's. Invariants: a file under
//! its name is whole unless the disk damaged it; a damaged one is set aside, and the one before it used; never more memory
//! is taken for a frame than the file has bytes. Why this format: docs/decisions/0010-checkpoints.md.

mod companion;
mod error;
mod frame;
mod owner;
mod seal;
mod survey;

pub use companion::Companion;
pub use error::CheckpointError;
pub use owner::Owner;
pub use seal::{Seal, SealName, Sealing, Seals};
pub use survey::{Surveyed, checkpoints, survey};

use std::io::{BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use super::disk::{DiskFile, Folder};
use crate::engine::{Engine, EngineOptions, RestoreError, Restored, Restoring};
use crate::ruleset::program::RuleSet;
use crate::state::Broken;

/// What names of checkpoints begin with; the number of events follows.
const NAME: &str = "checkpoint-";
/// What names of damaged ones begin with.
const DAMAGED: &str = "damaged-";
/// Where one is written before it has its name.
const ASIDE: &str = "checkpoint.new";
/// How many are kept.
const KEPT: usize = 2;
/// What is gathered before it is written, in bytes.
const BUFFER_BYTES: usize = 1 << 20;
/// How many segments are read ahead of the engine that takes them.
const SEGMENTS_AHEAD: usize = 8;

/// A checkpoint that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its file.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
}

/// An engine that was read.
#[derive(Debug)]
pub struct Loaded {
    /// The engine.
    pub engine: Engine,
    /// The file.
    pub path: PathBuf,
    /// Where its inputs end; `None` in one of a format that did not say.
    pub companion: Option<Companion>,
    /// The alerts that were open.
    pub alerts: Vec<Vec<u8>>,
    /// What became of what was in it.
    pub restored: Restored,
}

/// What a folder of state holds.
#[derive(Debug)]
pub struct Found {
    /// The newest whole checkpoint; `None`: there was none at all.
    pub loaded: Option<Loaded>,
    /// Newer ones that are damaged, each with what is wrong, and where it lies now.
    pub damaged: Vec<(CheckpointError, PathBuf)>,
}

/// A checkpoint that is being written aside, by whatever thread has it: the one that judges need not wait for the disk.
pub struct Writing {
    folder: Folder,
    out: frame::Writer<BufWriter<Box<dyn DiskFile>>>,
}

impl std::fmt::Debug for Writing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writing").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// One that is on the disk and has no name yet: it does not count before it is named.
#[derive(Debug)]
pub struct Aside {
    folder: Folder,
    bytes: u64,
}

impl Writing {
    /// Begins one under a secret, beside what it says of its inputs.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Io`], as all of these: then the ones before are all there.
    pub fn begin(folder: &Folder, companion: &Companion, seal: &Seal) -> Result<Writing, CheckpointError> {
        let aside = folder.join(ASIDE);
        let begun = folder.disk().create(&aside).and_then(|file| {
            let mut salt = [0; seal::SALT_BYTES];
            getrandom::fill(&mut salt).map_err(std::io::Error::other)?;
            let out = BufWriter::with_capacity(BUFFER_BYTES, file);
            frame::Writer::begin(out, seal, &salt, companion.written().as_bytes())
        });
        let out = begun.map_err(CheckpointError::io("writing", &aside))?;
        Ok(Writing { folder: folder.clone(), out })
    }

    /// Adds a segment.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Io`].
    pub fn put(&mut self, segment: &[u8]) -> Result<(), CheckpointError> {
        self.out.put(segment).map_err(CheckpointError::io("writing", &self.folder.join(ASIDE)))
    }

    /// Ends it with the open alerts, and has it on the disk.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Io`].
    pub fn end(self, alerts: &[Vec<u8>]) -> Result<Aside, CheckpointError> {
        let Writing { folder, mut out } = self;
        let written = out.end_part().and_then(|()| {
            alerts.iter().try_for_each(|segment| out.put(segment))?;
            out.end_part()
        });
        let ended = written.and_then(|()| {
            let (mut out, bytes) = out.into_inner();
            out.flush()?;
            out.get_ref().sync()?;
            Ok(bytes)
        });
        let bytes = ended.map_err(CheckpointError::io("writing", &folder.join(ASIDE)))?;
        Ok(Aside { folder, bytes })
    }
}

impl Aside {
    /// Lets it count: it was made after so many events. Of the ones before, the last stays.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Io`]: then the ones before are all there.
    pub fn name(self, events: u64) -> Result<Written, CheckpointError> {
        let Aside { folder, bytes } = self;
        let path = take_in(&folder, &folder.join(ASIDE), events)?;
        prune(&folder)?;
        Ok(Written { path, bytes })
    }
}

/// Gives a whole file that lies in a folder the name of the checkpoint after so many events. Answers its path.
///
/// # Errors
///
/// [`CheckpointError::Io`].
pub fn take_in(folder: &Folder, aside: &Path, events: u64) -> Result<PathBuf, CheckpointError> {
    let path = folder.join(format!("{NAME}{events:020}"));
    folder.disk().rename(aside, &path).map_err(CheckpointError::io("naming", &path))?;
    folder.sync().map_err(CheckpointError::io("syncing", folder.path()))?;
    Ok(path)
}

/// Removes all checkpoints of a folder but the last two.
///
/// # Errors
///
/// [`CheckpointError::Io`].
pub fn prune(folder: &Folder) -> Result<(), CheckpointError> {
    for old in named(folder)?.into_iter().skip(KEPT) {
        folder.disk().remove(&old).map_err(CheckpointError::io("removing", &old))?;
    }
    Ok(())
}

/// Writes a checkpoint aside, whole and at once, with the alerts that are open.
///
/// # Errors
///
/// [`CheckpointError::Io`]: then the ones before are all there.
pub fn write_aside(
    folder: &Folder,
    engine: &Engine,
    companion: &Companion,
    alerts: &[Vec<u8>],
    seal: &Seal,
) -> Result<Aside, CheckpointError> {
    let mut writing = Writing::begin(folder, companion, seal)?;
    let mut put = Ok(());
    engine.checkpoint(&mut |segment| {
        if put.is_ok() {
            put = writing.put(segment);
        }
    });
    put?;
    writing.end(alerts)
}

/// Writes a checkpoint below a folder, and has it on the disk when it returns. Of the ones before, the last stays.
///
/// # Errors
///
/// [`CheckpointError::Io`]: then the ones before are all there.
pub fn write(
    folder: &Folder,
    engine: &Engine,
    companion: &Companion,
    alerts: &[Vec<u8>],
    seal: &Seal,
) -> Result<Written, CheckpointError> {
    write_aside(folder, engine, companion, alerts, seal)?.name(engine.taken_in())
}

/// Reads a file and checks every checksum, and looks at nothing else: what reading costs at least. It needs no secret. Answers its length.
///
/// # Errors
///
/// It is damaged, or newer; or the system.
pub fn check(folder: &Folder, path: &Path) -> Result<u64, CheckpointError> {
    let (mut frames, _) = begin(folder, path)?;
    let (mut segment, mut bytes) = (Vec::new(), 0);
    while !frames.is_over() {
        while frames.next(&mut segment)? {
            bytes += segment.len() as u64;
        }
    }
    Ok(bytes)
}

/// The secret that a checkpoint is closed under; `None`: it is of a format that was not.
///
/// # Errors
///
/// It is damaged at its beginning, or newer; or the system.
pub fn seal_of(folder: &Folder, path: &Path) -> Result<Option<SealName>, CheckpointError> {
    Ok(begin(folder, path)?.0.seal())
}

/// After how many events a checkpoint was made, by its name; `None`: it is none.
pub fn events(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix(NAME)?.parse().ok()
}

/// The place in the journal where the inputs of a checkpoint end; `None` in one of a format that did not say.
///
/// # Errors
///
/// It is damaged at its beginning, or newer; or the system.
pub fn position(folder: &Folder, path: &Path) -> Result<Option<u64>, CheckpointError> {
    Ok(begin(folder, path)?.1.map(|companion| companion.position))
}

/// The place in the journal from which on the oldest checkpoint that can be used needs it; `None` without one.
///
/// # Errors
///
/// The system. One that cannot be read is passed over.
pub fn oldest_position(folder: &Folder) -> Result<Option<u64>, CheckpointError> {
    let mut oldest = None;
    for path in named(folder)? {
        if let Ok((_, Some(companion))) = begin(folder, &path) {
            oldest = Some(oldest.map_or(companion.position, |known: u64| known.min(companion.position)));
        }
    }
    Ok(oldest)
}

/// Says by which rules a checkpoint with this companion is read.
pub type RulesOf<'a> = dyn FnMut(Option<&Companion>) -> Result<Arc<RuleSet>, CheckpointError> + 'a;

/// Reads the newest whole checkpoint below a folder into an engine of the rules that `rules` says, and these options. Damaged
/// ones are set aside.
///
/// # Errors
///
/// Made by a newer version, under another key or secret, or all of them damaged; or the system.
pub fn load(
    folder: &Folder,
    rules: &mut RulesOf<'_>,
    options: &EngineOptions,
    seals: &Seals,
) -> Result<Found, CheckpointError> {
    let mut damaged: Vec<(CheckpointError, PathBuf)> = Vec::new();
    for path in named(folder)? {
        match read(folder, &path, rules, options, seals) {
            Ok(loaded) => return Ok(Found { loaded: Some(loaded), damaged: set_aside(folder, damaged)? }),
            // One that speaks of another file is the journal's: older checkpoints need more of that.
            Err(error) if error.is_damage_of(&path) => damaged.push((error, path)),
            Err(error) => return Err(error),
        }
    }
    match damaged.into_iter().next() {
        None => Ok(Found { loaded: None, damaged: Vec::new() }),
        Some((newest, _)) => {
            Err(CheckpointError::NoneWhole { folder: folder.path().to_owned(), newest: Box::new(newest) })
        }
    }
}

/// A checkpoint's frames behind its companion, which one of the first format has not.
type Begun = (frame::Reader<BufReader<Box<dyn Read + Send>>>, Option<Companion>);

fn begin(folder: &Folder, path: &Path) -> Result<Begun, CheckpointError> {
    let file = folder.disk().open(path).map_err(CheckpointError::io("opening", path))?;
    let mut frames = frame::Reader::begin(BufReader::with_capacity(BUFFER_BYTES, file), path)?;
    if frames.format() < frame::FORMAT_WITH_COMPANION {
        return Ok((frames, None));
    }
    let mut segment = Vec::new();
    let companion = if frames.next(&mut segment)? {
        Companion::read(&segment)
    } else {
        Err(Broken("it does not say where its inputs end"))
    };
    let damaged = |broken: Broken| CheckpointError::Damaged { path: path.to_owned(), detail: broken.to_string() };
    Ok((frames, Some(companion.map_err(damaged)?)))
}

/// Reads one checkpoint of a folder into an engine of the rules that `rules` says, and these options. The file is read and checked
/// by a thread of its own, a few segments ahead.
///
/// # Errors
///
/// It is damaged, made by a newer version or under another key or secret; or the system.
pub fn read(
    folder: &Folder,
    path: &Path,
    rules: &mut RulesOf<'_>,
    options: &EngineOptions,
    seals: &Seals,
) -> Result<Loaded, CheckpointError> {
    let (mut frames, companion) = begin(folder, path)?;
    frames.open(seals)?;
    let restoring = Restoring::new(rules(companion.as_ref())?, options.clone());
    let (full, parts) = mpsc::sync_channel::<Result<Part, CheckpointError>>(SEGMENTS_AHEAD);
    let (empty, emptied) = mpsc::channel::<Vec<u8>>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut of: fn(Vec<u8>) -> Part = Part::Engine;
            while !frames.is_over() {
                let mut segment = emptied.try_recv().unwrap_or_default();
                let read = match frames.next(&mut segment) {
                    Ok(true) => Ok(of(segment)),
                    Ok(false) => {
                        of = Part::Alerts;
                        continue;
                    }
                    Err(error) => Err(error),
                };
                let is_last = read.is_err();
                // Nobody wants more of what is broken.
                if full.send(read).is_err() || is_last {
                    break;
                }
            }
        });
        let mut alerts = Vec::new();
        let (engine, restored) = take(path, restoring, parts, &empty, &mut alerts)?;
        Ok(Loaded { engine, path: path.to_owned(), companion, alerts, restored })
    })
}

/// A segment, and of what it is.
enum Part {
    Engine(Vec<u8>),
    Alerts(Vec<u8>),
}

fn take(
    path: &Path,
    mut restoring: Restoring,
    parts: mpsc::Receiver<Result<Part, CheckpointError>>,
    empty: &mpsc::Sender<Vec<u8>>,
    alerts: &mut Vec<Vec<u8>>,
) -> Result<(Engine, Restored), CheckpointError> {
    let of_engine = |error| match error {
        RestoreError::ForeignKey => CheckpointError::ForeignKey { path: path.to_owned() },
        RestoreError::Broken(broken) => CheckpointError::Damaged { path: path.to_owned(), detail: broken.to_string() },
    };
    for part in parts {
        match part? {
            Part::Engine(segment) => {
                restoring.take(&segment).map_err(of_engine)?;
                // At the end nobody fills it again.
                drop(empty.send(segment));
            }
            Part::Alerts(segment) => alerts.push(segment),
        }
    }
    restoring.finish().map_err(of_engine)
}

/// Gives damaged files other names, so that they are looked at once and do not count among those that are kept.
fn set_aside(
    folder: &Folder,
    damaged: Vec<(CheckpointError, PathBuf)>,
) -> Result<Vec<(CheckpointError, PathBuf)>, CheckpointError> {
    let moved = damaged.into_iter().map(|(error, path)| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let aside = path.with_file_name(format!("{DAMAGED}{name}"));
        folder.disk().rename(&path, &aside).map_err(CheckpointError::io("setting aside", &path))?;
        Ok((error, aside))
    });
    moved.collect()
}

/// The checkpoints of a folder, the newest first.
fn named(folder: &Folder) -> Result<Vec<PathBuf>, CheckpointError> {
    let found = folder.numbered(NAME).map_err(CheckpointError::io("listing", folder.path()))?;
    Ok(found.into_iter().rev().map(|(_, path)| path).collect())
}

#[cfg(test)]
#[path = "checkpoint/tests.rs"]
mod tests;
