//! A folder of packs, read and compiled, all or nothing.
//!
//! Files come through [`Files`], so that tests and the fuzzer need no disk; [`load`] is the one place of this module that
//! reads it. Invariant: the same paths and bytes make the same set and the same hash.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::diagnostic::{self, Diagnostic, SourceFile};
use super::program;
use super::program::RuleSet;
use super::yaml::{Reader, TEXT_BYTES_MAX};
use super::{compile, pack};
use crate::event::Attributes;

/// How long one list file is, in bytes.
const LIST_BYTES_MAX: u64 = 256 << 20;
/// How many files a folder of rules holds.
const FILES_MAX: usize = 10_000;
/// How deep folders nest.
const FOLDERS_DEEP_MAX: usize = 16;

/// Where packs and list files come from. Paths are relative to the folder of the rules, with `/` between.
pub trait Files {
    /// The paths of the packs: `*.yaml` and `*.yml` at any depth, but for the folder `lists`; sorted.
    ///
    /// # Errors
    ///
    /// In words, when the folder cannot be read.
    fn packs(&self) -> Result<Vec<String>, String>;

    /// The bytes of one file, at most `max_bytes`.
    ///
    /// # Errors
    ///
    /// In words, when it cannot be read or is longer.
    fn read(&self, path: &str, max_bytes: u64) -> Result<Vec<u8>, String>;

    /// The path as the user would type it, for diagnostics.
    fn shown(&self, path: &str) -> String {
        path.to_owned()
    }
}

/// What the configuration says that rules are checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Premises {
    /// The attributes of events that are declared.
    pub attributes: Attributes,
    /// How many entries a key of a feature keeps unless the feature says otherwise, from 1.
    pub max_entries: u32,
    /// The most that a rule may cost for one event: see [`cost`](super::cost).
    pub cost_max: u64,
    /// Whether several instances share the state: then some features cannot be.
    pub is_shared: bool,
}

impl Premises {
    /// What `cost_max` is unless it is configured.
    pub const COST_MAX: u64 = 200_000;
}

impl Default for Premises {
    fn default() -> Premises {
        let (attributes, max_entries) = (Attributes::default(), program::MAX_ENTRIES);
        Premises { attributes, max_entries, cost_max: Premises::COST_MAX, is_shared: false }
    }
}

/// A rule set that loaded, and what `check` has to say about it.
#[derive(Debug)]
pub struct Loaded {
    /// The rules, ready to run.
    pub set: RuleSet,
    /// Warnings, sorted.
    pub warnings: Vec<Diagnostic>,
    /// The files that it was read from, packs and lists, by path below the folder; sorted. The hash is over them.
    pub files: Vec<(String, Arc<SourceFile>)>,
}

/// Loads the packs of a folder.
///
/// # Errors
///
/// Everything that is wrong, sorted, warnings included, when at least one finding is an error.
pub fn load(folder: &Path, premises: &Premises) -> Result<Loaded, Vec<Diagnostic>> {
    load_under(&Folder { root: folder }, premises)
}

/// Loads packs from wherever they are, with nothing configured; see [`load`].
///
/// # Errors
///
/// As [`load`].
pub fn load_from(files: &dyn Files) -> Result<Loaded, Vec<Diagnostic>> {
    load_under(files, &Premises::default())
}

/// Loads packs from wherever they are; see [`load`].
///
/// # Errors
///
/// As [`load`].
pub fn load_under(files: &dyn Files, premises: &Premises) -> Result<Loaded, Vec<Diagnostic>> {
    let mut reader = Reader::default();
    let mut read: BTreeMap<String, Arc<SourceFile>> = BTreeMap::new();
    let mut packs = Vec::new();
    for path in pack_paths(files, &mut reader) {
        match source_file(files, &path, TEXT_BYTES_MAX as u64) {
            Ok(file) => {
                packs.extend(pack::read(&file, &mut reader));
                read.insert(path, file);
            }
            Err(why) => reader.push(nowhere(files.shown(&path).into(), why)),
        }
    }
    let mut list_file = |path: &str| {
        check_list_path(path)?;
        let file = source_file(files, path, LIST_BYTES_MAX)?;
        read.insert(path.to_owned(), Arc::clone(&file));
        Ok(file)
    };
    let mut set = compile::compile(packs, premises, &mut list_file, &mut reader);
    set.hash = hash(&read);
    let mut found = reader.found;
    diagnostic::sort(&mut found);
    if diagnostic::has_errors(&found) {
        Err(found)
    } else {
        Ok(Loaded { set, warnings: found, files: read.into_iter().collect() })
    }
}

/// Reads one pack from memory, list files absent. For fuzzing: it must never panic, whatever the text.
pub fn fuzz_rules(text: &str) {
    struct OnePack<'a>(&'a str);
    impl Files for OnePack<'_> {
        fn packs(&self) -> Result<Vec<String>, String> {
            Ok(vec!["fuzz.yaml".to_owned()])
        }
        fn read(&self, path: &str, _max_bytes: u64) -> Result<Vec<u8>, String> {
            if path == "fuzz.yaml" { Ok(self.0.as_bytes().to_vec()) } else { Err(format!("no file `{path}`")) }
        }
    }
    if let Err(found) = load_from(&OnePack(text)) {
        diagnostic::render(&found, false);
    }
}

/// One file as text, under the path that the user would type.
fn source_file(files: &dyn Files, path: &str, max_bytes: u64) -> Result<Arc<SourceFile>, String> {
    let text = String::from_utf8(files.read(path, max_bytes)?).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
        format!("`{}` is not UTF-8: see line {line}", files.shown(path))
    })?;
    Ok(Arc::new(SourceFile { path: files.shown(path).into(), text }))
}

fn pack_paths(files: &dyn Files, reader: &mut Reader) -> Vec<String> {
    match files.packs() {
        Ok(paths) if paths.len() > FILES_MAX => {
            let message = format!("the folder holds {} packs, more than {FILES_MAX}", paths.len());
            reader.push(nowhere(files.shown("").into(), message));
            Vec::new()
        }
        Ok(paths) if paths.is_empty() => {
            let finding = nowhere(files.shown("").into(), "the folder holds no rule pack".to_owned());
            reader.push(
                finding.hint("packs are files `*.yaml` or `*.yml`; to judge by no rule, write `mode: off` in a pack"),
            );
            Vec::new()
        }
        Ok(paths) => paths,
        Err(why) => {
            reader.push(nowhere(files.shown("").into(), why));
            Vec::new()
        }
    }
}

/// A finding about a file as a whole, whose text is not there to be shown.
fn nowhere(path: std::path::PathBuf, message: String) -> Diagnostic {
    Diagnostic::error("unreadable", &Arc::new(SourceFile { path, text: String::new() }), 0..0, message)
}

/// A list file lies below the folder of the rules: the hash of the set covers that folder alone.
fn check_list_path(path: &str) -> Result<(), String> {
    let inside = Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if inside { Ok(()) } else { Err(format!("`{path}` leads out of the folder of the rules")) }
}

/// First 12 hex digits of the SHA-256 over the sorted paths and bytes, each with its length before it.
fn hash(files: &BTreeMap<String, Arc<SourceFile>>) -> String {
    let mut hash = Sha256::new();
    for (path, file) in files {
        for part in [path.as_bytes(), file.text.as_bytes()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// A folder on disk.
struct Folder<'a> {
    root: &'a Path,
}

impl Folder<'_> {
    fn collect(&self, below: &str, depth: usize, paths: &mut Vec<String>) -> Result<(), String> {
        let folder = self.root.join(below);
        let why = |error: std::io::Error| format!("cannot read the folder `{}`: {error}", folder.display());
        for entry in std::fs::read_dir(&folder).map_err(why)? {
            let entry = entry.map_err(why)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // Editors keep notes and locks under such names, some of them links that lead nowhere.
            if name.starts_with('.') {
                continue;
            }
            let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            // Follows symbolic links: a folder mounted from a ConfigMap is made of them.
            let kind = std::fs::metadata(entry.path())
                .map_err(|error| format!("cannot read `{}`: {error}", entry.path().display()))?;
            if kind.is_dir() && path != "lists" && depth < FOLDERS_DEEP_MAX {
                self.collect(&path, depth + 1, paths)?;
            } else if kind.is_file() && (name.ends_with(".yaml") || name.ends_with(".yml")) {
                paths.push(path);
            }
        }
        Ok(())
    }
}

impl Files for Folder<'_> {
    fn packs(&self) -> Result<Vec<String>, String> {
        let mut paths = Vec::new();
        self.collect("", 0, &mut paths)?;
        paths.sort_unstable();
        Ok(paths)
    }

    fn read(&self, path: &str, max_bytes: u64) -> Result<Vec<u8>, String> {
        let full = self.root.join(path);
        let why = |error: std::io::Error| format!("cannot read `{}`: {error}", full.display());
        // A pipe would be waited for.
        if !std::fs::metadata(&full).map_err(why)?.is_file() {
            return Err(format!("`{}` is no file", full.display()));
        }
        let mut bytes = Vec::new();
        std::fs::File::open(&full).map_err(why)?.take(max_bytes + 1).read_to_end(&mut bytes).map_err(why)?;
        if bytes.len() as u64 > max_bytes {
            return Err(format!("`{}` is longer than {max_bytes} bytes", full.display()));
        }
        Ok(bytes)
    }

    fn shown(&self, path: &str) -> String {
        self.root.join(path).display().to_string()
    }
}
