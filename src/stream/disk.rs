//! What journals and checkpoints need of a file system, so that a test can stand where the disk is.
//!
//! Small on purpose: files are written at their end, read from their beginning, and given names. What a disk promises is what
//! POSIX does: bytes are there after [`DiskFile::sync`], names after [`Disk::sync_folder`], and before that anything may be
//! lost, torn or out of order. The disk of a test that takes every such liberty: `tests/sim/disk.rs`.

use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// A file system.
pub trait Disk: Debug + Send + Sync {
    /// What is in a folder, in no order.
    ///
    /// # Errors
    ///
    /// The system, as all of these.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    /// An empty file of this name, whatever was there.
    ///
    /// # Errors
    ///
    /// The system.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// A file to be read from its beginning.
    ///
    /// # Errors
    ///
    /// The system.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>>;

    /// How long a file is, in bytes.
    ///
    /// # Errors
    ///
    /// The system.
    fn length(&self, path: &Path) -> io::Result<u64>;

    /// Cuts a file to a length, and has that on the disk.
    ///
    /// # Errors
    ///
    /// The system.
    fn cut(&self, path: &Path, length: u64) -> io::Result<()>;

    /// Has the bytes of a file on the disk, whoever wrote them.
    ///
    /// # Errors
    ///
    /// The system.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name, whatever had that.
    ///
    /// # Errors
    ///
    /// The system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes a file away.
    ///
    /// # Errors
    ///
    /// The system.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Has the names of a folder on the disk.
    ///
    /// # Errors
    ///
    /// The system.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Does work that waits for this disk beside the caller.
    fn beside(&self, job: Box<dyn Job>) -> Box<dyn Beside>;
}

/// A file that is written at its end.
pub trait DiskFile: Debug + Send + Sync {
    /// Adds bytes; all of them, or an unknown part if it fails.
    ///
    /// # Errors
    ///
    /// The system.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Has its bytes on the disk, and its length; not its name.
    ///
    /// # Errors
    ///
    /// The system. Then nobody knows what of it is there.
    fn sync(&self) -> io::Result<()>;
}

impl Write for Box<dyn DiskFile> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Work that is done a part at a time.
pub trait Job: Send {
    /// Does the next part, and waits for it if it has to come first. Answers whether more may come.
    fn step(&mut self) -> bool;

    /// Whether [`Job::step`] has something to do by now.
    fn is_ready(&self) -> bool;
}

/// Work that is under way.
pub trait Beside: Debug + Send {
    /// Whether it came to its end.
    fn is_finished(&self) -> bool;

    /// Waits for its end.
    fn join(self: Box<Self>);
}

impl Beside for JoinHandle<()> {
    fn is_finished(&self) -> bool {
        JoinHandle::is_finished(self)
    }

    fn join(self: Box<Self>) {
        JoinHandle::join(*self).expect("writing to the disk does not panic");
    }
}

/// An empty file of this name that only refguard's user can read: journals and copies have events in them as they came.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// The file systems of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(create_private(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(path)?))
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn cut(&self, path: &Path, length: u64) -> io::Result<()> {
        let file = File::options().write(true).open(path)?;
        file.set_len(length)?;
        file.sync_all()
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn beside(&self, mut job: Box<dyn Job>) -> Box<dyn Beside> {
        Box::new(thread::spawn(move || while job.step() {}))
    }
}

impl DiskFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// A folder of a disk.
#[derive(Clone, Debug)]
pub struct Folder {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl Folder {
    /// A folder of this machine.
    pub fn at(path: impl Into<PathBuf>) -> Folder {
        Folder::on(Arc::new(SystemDisk), path)
    }

    /// A folder of another disk.
    pub fn on(disk: Arc<dyn Disk>, path: impl Into<PathBuf>) -> Folder {
        Folder { disk, path: path.into() }
    }

    /// The disk that it is on.
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// The files in it whose names begin with this and go on with a number: the number and the path of each, in order.
    ///
    /// # Errors
    ///
    /// The system.
    pub(super) fn numbered(&self, prefix: &str) -> io::Result<Vec<(u64, PathBuf)>> {
        let number = |path: &Path| path.file_name()?.to_str()?.strip_prefix(prefix)?.parse().ok();
        let all = self.disk.list(&self.path)?.into_iter();
        let mut found: Vec<(u64, PathBuf)> = all.filter_map(|path| Some((number(&path)?, path))).collect();
        found.sort_unstable();
        Ok(found)
    }

    /// Has its names on the disk.
    ///
    /// # Errors
    ///
    /// The system.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.disk.sync_folder(&self.path)
    }
}

impl From<&Path> for Folder {
    fn from(path: &Path) -> Folder {
        Folder::at(path)
    }
}
