//! A copy of the last rules that were good, for a start at which those in the folder are not.
//!
//! The copy is a folder of its own, named by the hash of its rules, and a symbolic link says which one counts: so it is
//! whole or the one before it, whenever the power goes. What was read is what is kept, not what the folder holds by then.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::ruleset::diagnostic::SourceFile;

/// The link, in the folder of the state.
const LINK: &str = "rules-last-good";
/// What the names of the copies begin with.
const COPY: &str = "rules-good-";

/// Where the copy is kept.
#[derive(Clone, Debug)]
pub struct LastGood {
    state: PathBuf,
}

impl LastGood {
    /// Below the folder of the state.
    pub fn below(state: &Path) -> LastGood {
        LastGood { state: state.to_owned() }
    }

    /// The folder with the last good rules; `None` while there is none.
    pub fn folder(&self) -> Option<PathBuf> {
        let link = self.state.join(LINK);
        link.is_dir().then_some(link)
    }

    /// Whether rules of this hash, read from [`LastGood::folder`], are the ones that were kept there.
    pub fn is_whole(&self, hash: &str) -> bool {
        let copy = fs::read_link(self.state.join(LINK));
        copy.is_ok_and(|copy| copy.as_os_str() == format!("{COPY}{hash}").as_str())
    }

    /// Keeps these files, and drops the copy before them.
    ///
    /// # Errors
    ///
    /// What the system says: then the copy before stays.
    pub fn keep(&self, hash: &str, files: &[(String, Arc<SourceFile>)]) -> io::Result<()> {
        if self.is_whole(hash) {
            return Ok(());
        }
        let name = format!("{COPY}{hash}");
        let (copy, aside) = (self.state.join(&name), self.state.join(format!("{name}.new")));
        remove(&aside)?;
        fs::create_dir_all(&aside)?;
        for (path, file) in files {
            write(&aside, Path::new(path), file.text.as_bytes())?;
        }
        sync(&aside)?;
        remove(&copy)?;
        fs::rename(&aside, &copy)?;
        let link = self.state.join(format!("{LINK}.new"));
        remove(&link)?;
        std::os::unix::fs::symlink(&name, &link)?;
        fs::rename(&link, self.state.join(LINK))?;
        sync(&self.state)?;
        self.drop_others(&name)
    }

    fn drop_others(&self, name: &str) -> io::Result<()> {
        for entry in fs::read_dir(&self.state)? {
            let entry = entry?;
            let other = entry.file_name().to_str().is_some_and(|other| other.starts_with(COPY) && other != name);
            if other {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// Writes a file below a folder, and has it on the disk when it returns.
fn write(below: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    if !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a path that leads out of the folder of the rules"));
    }
    let path = below.join(path);
    let parents: Vec<&Path> = path.ancestors().skip(1).take_while(|parent| *parent != below).collect();
    for parent in parents.iter().rev() {
        fs::create_dir_all(parent)?;
    }
    let mut file = File::create(&path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    parents.into_iter().try_for_each(sync)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes a file, a link or a folder; that it is not there is no fault.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(of) if of.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(of: &[(&str, &str)]) -> Vec<(String, Arc<SourceFile>)> {
        let file = |(path, text): &(&str, &str)| {
            let file = SourceFile { path: "elsewhere".into(), text: (*text).to_owned() };
            ((*path).to_owned(), Arc::new(file))
        };
        of.iter().map(file).collect()
    }

    #[test]
    fn the_last_copy_counts_and_is_the_only_one() {
        let state = tempfile::tempdir().unwrap();
        let kept = LastGood::below(state.path());
        assert_eq!(kept.folder(), None);
        kept.keep("aa", &files(&[("a.yaml", "1"), ("deep/er/b.yaml", "2"), ("lists/c.txt", "3")])).unwrap();
        let read = |path: &str| fs::read_to_string(kept.folder().unwrap().join(path)).ok();
        assert_eq!([read("a.yaml"), read("deep/er/b.yaml"), read("lists/c.txt")].map(Option::unwrap), ["1", "2", "3"]);
        assert!(kept.is_whole("aa") && !kept.is_whole("bb"));
        // What a power cut may have left.
        fs::create_dir(state.path().join("rules-good-bb.new")).unwrap();
        fs::write(state.path().join("rules-good-bb.new/half.yaml"), "").unwrap();
        fs::write(state.path().join("rules-last-good.new"), "").unwrap();
        kept.keep("bb", &files(&[("a.yaml", "4")])).unwrap();
        assert_eq!((read("a.yaml").as_deref(), read("deep/er/b.yaml"), read("half.yaml")), (Some("4"), None, None));
        let mut names: Vec<_> = fs::read_dir(state.path()).unwrap().map(|of| of.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["rules-good-bb", "rules-last-good"]);
        kept.keep("bb", &files(&[("a.yaml", "not written again")])).unwrap();
        assert_eq!(read("a.yaml").as_deref(), Some("4"));
    }

    #[test]
    fn no_path_leads_out_of_the_copy() {
        let state = tempfile::tempdir().unwrap();
        let kept = LastGood::below(&state.path().join("state"));
        assert!(kept.keep("aa", &files(&[("../out.yaml", "1")])).is_err());
        assert!(!state.path().join("state/out.yaml").exists() && kept.folder().is_none());
    }
}
