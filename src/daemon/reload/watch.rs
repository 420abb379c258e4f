//! Whether a folder has changed and is quiet again, by looking at it from time to time.
//!
//! Looking, and not being told by the kernel: a ConfigMap is swapped by symbolic links outside of what a watch follows, and
//! network file systems tell nothing of what others write (docs/decisions/0006). A look costs a system call a file.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// How deep folders are looked into: as deep as the loader does.
const FOLDERS_DEEP_MAX: usize = 16;

/// The files of a folder as a look finds them: whatever is written anew looks different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp(Vec<Seen>);

/// One file: its path, and what the file behind it has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    path: String,
    /// `None`: it cannot be read.
    file: Option<[i64; 7]>,
}

impl Stamp {
    /// Looks at every file below a folder, hidden ones apart. Symbolic links are followed.
    pub fn of(folder: &Path) -> Stamp {
        let mut stamp = Stamp::default();
        stamp.collect(folder, 0);
        stamp.0.sort_unstable();
        stamp
    }

    fn collect(&mut self, folder: &Path, depth: usize) {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return self.add(folder, None);
        };
        for entry in entries.flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            match std::fs::metadata(&path) {
                Ok(file) if file.is_dir() && depth < FOLDERS_DEEP_MAX => self.collect(&path, depth + 1),
                Ok(file) => self.add(&path, Some(&file)),
                Err(_) => self.add(&path, None),
            }
        }
    }

    fn add(&mut self, path: &Path, file: Option<&std::fs::Metadata>) {
        let file = file.map(|of| {
            let [device, inode, size] = [of.dev(), of.ino(), of.size()].map(u64::cast_signed);
            [device, inode, size, of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec()]
        });
        self.0.push(Seen { path: path.display().to_string(), file });
    }
}

/// What the looks at a folder have shown so far.
#[derive(Debug)]
pub struct Quiet {
    /// The files as they were when they were last read.
    examined: Stamp,
    /// The look before.
    last: Option<Stamp>,
    /// Somebody has asked that they be read, changed or not.
    asked: bool,
}

impl Quiet {
    /// Files that were read when they looked like this.
    pub fn new(examined: Stamp) -> Quiet {
        Quiet { examined, last: None, asked: false }
    }

    /// Has the files read at the next quiet look, changed or not.
    pub fn ask(&mut self) {
        self.asked = true;
    }

    /// Whether somebody has asked and not been answered yet.
    pub fn is_asked(&self) -> bool {
        self.asked
    }

    /// Takes a look in. Answers whether the files are to be read now: they have changed since they last were, or somebody
    /// has asked; and nothing has changed since the look before.
    pub fn look(&mut self, now: Stamp) -> bool {
        let is_still = self.last.as_ref() == Some(&now);
        let due = is_still && (self.asked || now != self.examined);
        if due {
            self.examined = now.clone();
            self.asked = false;
        }
        self.last = Some(now);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_files_written_one_after_the_other_are_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let look = || Stamp::of(folder.path());
        std::fs::create_dir(folder.path().join("lists")).unwrap();
        let mut quiet = Quiet::new(look());
        assert!(!quiet.look(look()) && !quiet.look(look()), "nothing has changed");
        for path in ["a.yaml", "b.yaml", "lists/c.txt", "d.yaml"] {
            std::fs::write(folder.path().join(path), path).unwrap();
            assert!(!quiet.look(look()), "{path} was just written");
        }
        assert!(quiet.look(look()), "quiet for the first time");
        assert!(!quiet.look(look()), "and read");
        std::fs::write(folder.path().join(".b.yaml.swp"), "an editor's").unwrap();
        assert!(!quiet.look(look()) && !quiet.look(look()), "hidden files are nobody's business");
        std::fs::remove_file(folder.path().join("b.yaml")).unwrap();
        assert!(!quiet.look(look()) && quiet.look(look()), "one that is gone is a change");
    }

    #[test]
    fn a_folder_whose_links_are_swapped_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        // As a ConfigMap is mounted.
        for version in ["..one", "..two"] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("a.yaml"), "same length").unwrap();
        }
        std::os::unix::fs::symlink("..one", at("..data")).unwrap();
        std::os::unix::fs::symlink("..data/a.yaml", at("a.yaml")).unwrap();
        let mut quiet = Quiet::new(Stamp::of(folder.path()));
        std::os::unix::fs::symlink("..two", at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
        let look = || Stamp::of(folder.path());
        assert!(!quiet.look(look()) && quiet.look(look()));
    }

    #[test]
    fn who_asks_is_answered_once_the_folder_is_quiet() {
        let folder = tempfile::tempdir().unwrap();
        let look = || Stamp::of(folder.path());
        let mut quiet = Quiet::new(look());
        quiet.ask();
        assert!(!quiet.look(look()), "the first look has nothing to compare with");
        std::fs::write(folder.path().join("a.yaml"), "").unwrap();
        assert!(!quiet.look(look()) && quiet.look(look()) && !quiet.is_asked());
        quiet.ask();
        assert!(quiet.look(look()), "unchanged, and asked for");
        assert!(!quiet.look(look()));
    }
}
