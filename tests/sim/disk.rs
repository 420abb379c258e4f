//! A disk that takes every liberty that a real one has.
//!
//! Fault model. Between two syncs of a file, what was written to it may after a power cut be there, be lost, be torn at any byte,
//! have holes of zeros at the size of a sector, or be zeros up to its new length; what was synced is there. Names that were made,
//! changed or taken away since the last sync of the folder are there up to some point and then no more, whatever their files
//! have: a file that is synced may be found under its old name, or under none. A process that is killed leaves everything as it
//! wrote it. A write may find the disk full, with a part of it done; a sync may fail, after which what was not synced is lost.
//! A byte at rest may change. Not modelled: a sync that lies, a synced byte that a later write of another place changes.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use refguard::stream::disk::{Beside, Disk, DiskFile, Job};

use crate::life::{Life, Touch};
use crate::random::Random;

/// What is written at once, whatever happens.
const SECTOR_BYTES: usize = 64;

#[derive(Clone, Debug, Default)]
struct Inode {
    bytes: Vec<u8>,
    synced: usize,
}

/// A change of names that is not synced.
#[derive(Clone, Debug)]
enum Naming {
    Link(PathBuf, u64),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Naming::Link(path, inode) => drop(names.insert(path.clone(), *inode)),
            Naming::Unlink(path) => drop(names.remove(path)),
            Naming::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
        }
    }
}

/// What outlives processes.
#[derive(Clone)]
pub(crate) struct Platter {
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<PathBuf, u64>,
    synced_names: BTreeMap<PathBuf, u64>,
    unsynced: Vec<Naming>,
    next: u64,
    random: Random,
    /// Bytes until it is full; `None`: it never is.
    pub(crate) room: Option<usize>,
    /// Syncs until one fails; `None`: none does.
    pub(crate) syncs: Option<u64>,
    /// Something failed that was not the process's fault.
    pub(crate) has_failed: bool,
}

impl Platter {
    pub(crate) fn new(random: Random) -> Platter {
        Platter {
            inodes: BTreeMap::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            unsynced: Vec::new(),
            next: 0,
            random,
            room: None,
            syncs: None,
            has_failed: false,
        }
    }

    /// The power goes.
    pub(crate) fn cut_power(&mut self) {
        let kept = self.random.below(self.unsynced.len() as u64 + 1) as usize;
        let mut names = std::mem::take(&mut self.synced_names);
        self.unsynced.drain(..).take(kept).for_each(|naming| naming.apply(&mut names));
        let random = &mut self.random;
        self.inodes.retain(|inode, _| names.values().any(|named| named == inode));
        self.inodes.values_mut().for_each(|inode| inode.lose(random));
        (self.synced_names, self.names) = (names.clone(), names);
    }

    /// The files whose names begin with this, the newest last.
    pub(crate) fn named(&self, prefix: &str) -> Vec<PathBuf> {
        let is_so = |path: &&PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
        self.names.keys().filter(is_so).cloned().collect()
    }

    /// Changes a bit of a file, and answers the number of that.
    pub(crate) fn flip(&mut self, path: &Path, at: usize) -> Option<u64> {
        let number = *self.names.get(path)?;
        self.flip_back(number, at);
        Some(number)
    }

    /// Changes it back, if the file is still there.
    pub(crate) fn flip_back(&mut self, inode: u64, at: usize) {
        if let Some(byte) = self.inodes.get_mut(&inode).and_then(|inode| inode.bytes.get_mut(at)) {
            *byte ^= 1 << (at % 8);
        }
    }

    pub(crate) fn length(&self, path: &Path) -> usize {
        self.inodes[&self.names[path]].bytes.len()
    }

    fn inode(&mut self, path: &Path) -> io::Result<&mut Inode> {
        let number = self.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.inodes.get_mut(number).expect("a name has a file"))
    }

    fn name(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.unsynced.push(naming);
    }

    fn sync(&mut self, inode: u64) -> io::Result<()> {
        let fails = self.syncs == Some(0);
        self.syncs = self.syncs.map(|left| left.saturating_sub(1));
        let random = &mut self.random;
        let Some(inode) = self.inodes.get_mut(&inode) else { return Ok(()) };
        if fails {
            self.has_failed = true;
            inode.lose(random);
            return Err(io::Error::other("the disk does not answer"));
        }
        inode.synced = inode.bytes.len();
        Ok(())
    }
}

impl Inode {
    /// What was not synced is lost, or not, in one of the ways in which that happens.
    fn lose(&mut self, random: &mut Random) {
        let unsynced = self.bytes.len() - self.synced;
        match random.below(5) {
            _ if unsynced == 0 => {}
            0 => self.bytes.truncate(self.synced),
            1 => {}
            2 => self.bytes.truncate(self.synced + random.below(unsynced as u64) as usize),
            3 => self.bytes[self.synced..].chunks_mut(SECTOR_BYTES).for_each(|sector| {
                if random.chance(50) {
                    sector.fill(0);
                }
            }),
            _ => self.bytes[self.synced..].fill(0),
        }
        self.synced = self.bytes.len();
    }
}

/// What one process has of a platter.
#[derive(Clone)]
struct Reach {
    platter: Arc<Mutex<Platter>>,
    life: Arc<Life>,
}

/// The disk as one process sees it.
pub(crate) struct SimDisk {
    reach: Reach,
    jobs: Mutex<Vec<Arc<Mutex<Running>>>>,
}

struct Running {
    job: Box<dyn Job>,
    is_finished: bool,
}

/// A job that somebody waits for.
struct Handle(Arc<Mutex<Running>>);

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimDisk")
    }
}

impl std::fmt::Debug for SimFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimFile")
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle")
    }
}

pub(crate) fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().expect("nobody panics while it holds a part of the world")
}

fn cut_off() -> io::Error {
    io::Error::other("the process is cut off")
}

impl Reach {
    /// Lets something happen, if the process still lives.
    fn touch<T>(&self, does: impl FnOnce(&mut Platter) -> io::Result<T>) -> io::Result<T> {
        match self.life.touch() {
            Touch::Void => Err(cut_off()),
            Touch::Counts => does(&mut lock(&self.platter)),
            Touch::CountsUnseen => does(&mut lock(&self.platter)).and(Err(cut_off())),
        }
    }

    fn look<T>(&self, sees: impl FnOnce(&mut Platter) -> io::Result<T>) -> io::Result<T> {
        if self.life.is_over() { Err(cut_off()) } else { sees(&mut lock(&self.platter)) }
    }
}

impl SimDisk {
    pub(crate) fn new(platter: Arc<Mutex<Platter>>, life: Arc<Life>) -> SimDisk {
        SimDisk { reach: Reach { platter, life }, jobs: Mutex::default() }
    }

    /// Goes on with something that is done beside. `false`: there is nothing.
    pub(crate) fn work(&self) -> bool {
        let ready = lock(&self.jobs).iter().find(|job| lock(job).is_ready()).cloned();
        let Some(job) = ready else { return false };
        lock(&job).step();
        lock(&self.jobs).retain(|job| !lock(job).is_finished);
        true
    }
}

impl Running {
    fn is_ready(&self) -> bool {
        !self.is_finished && self.job.is_ready()
    }

    fn step(&mut self) {
        self.is_finished |= !self.job.step();
    }
}

impl Beside for Handle {
    fn is_finished(&self) -> bool {
        lock(&self.0).is_finished
    }

    fn join(self: Box<Self>) {
        let mut running = lock(&self.0);
        while !running.is_finished {
            running.step();
        }
    }
}

impl Disk for SimDisk {
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.reach
            .look(|platter| Ok(platter.names.keys().filter(|path| path.parent() == Some(folder)).cloned().collect()))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inode = self.reach.touch(|platter| {
            platter.next += 1;
            let inode = platter.next;
            platter.inodes.insert(inode, Inode::default());
            platter.name(Naming::Link(path.to_owned(), inode));
            Ok(inode)
        })?;
        Ok(Box::new(SimFile { reach: self.reach.clone(), inode }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        self.reach.look(|platter| Ok(Box::new(Cursor::new(platter.inode(path)?.bytes.clone())) as Box<dyn Read + Send>))
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        self.reach.look(|platter| Ok(platter.inode(path)?.bytes.len() as u64))
    }

    fn cut(&self, path: &Path, length: u64) -> io::Result<()> {
        self.reach.touch(|platter| {
            let inode = platter.inode(path)?;
            inode.bytes.truncate(length as usize);
            inode.synced = inode.bytes.len();
            Ok(())
        })
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.reach.touch(|platter| {
            let inode = *platter.names.get(path).ok_or(io::ErrorKind::NotFound)?;
            platter.sync(inode)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.reach.touch(|platter| {
            platter.inode(from)?;
            platter.name(Naming::Rename(from.to_owned(), to.to_owned()));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.reach.touch(|platter| {
            platter.inode(path)?;
            platter.name(Naming::Unlink(path.to_owned()));
            Ok(())
        })
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        self.reach.touch(|platter| {
            platter.unsynced.clear();
            platter.synced_names.clone_from(&platter.names);
            Ok(())
        })
    }

    fn beside(&self, job: Box<dyn Job>) -> Box<dyn Beside> {
        let running = Arc::new(Mutex::new(Running { job, is_finished: false }));
        lock(&self.jobs).push(Arc::clone(&running));
        Box::new(Handle(running))
    }
}

/// A file that is written.
struct SimFile {
    reach: Reach,
    inode: u64,
}

impl DiskFile for SimFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.reach.touch(|platter| {
            let taken = platter.room.map_or(bytes.len(), |room| room.min(bytes.len()));
            platter.room = platter.room.map(|room| room - taken);
            if let Some(inode) = platter.inodes.get_mut(&self.inode) {
                inode.bytes.extend_from_slice(&bytes[..taken]);
            }
            if taken < bytes.len() {
                platter.has_failed = true;
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.reach.touch(|platter| platter.sync(self.inode))
    }
}
