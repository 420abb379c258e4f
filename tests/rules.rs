//! Rule files from outside: the shipped pack loads, broken ones say what is wrong, and no text makes the loader panic.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use refguard::ruleset::diagnostic;
use refguard::ruleset::load::{Files, Loaded, load, load_from};

/// Files in memory.
struct Memory(BTreeMap<&'static str, String>);

impl Files for Memory {
    fn packs(&self) -> Result<Vec<String>, String> {
        let packs = self.0.keys().filter(|path| path.ends_with(".yaml"));
        Ok(packs.map(|path| (*path).to_owned()).collect())
    }

    fn read(&self, path: &str, _max_bytes: u64) -> Result<Vec<u8>, String> {
        self.0.get(path).map(|text| text.clone().into_bytes()).ok_or_else(|| format!("no file `{path}`"))
    }
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn loaded(files: &[(&'static str, &str)]) -> Loaded {
    let files = Memory(files.iter().map(|(path, text)| (*path, (*text).to_owned())).collect());
    load_from(&files).unwrap_or_else(|found| panic!("{}", diagnostic::render(&found, false)))
}

#[test]
fn the_shipped_pack_loads_without_a_finding() {
    let loaded = load(&repository("rules")).unwrap_or_else(|found| panic!("{}", diagnostic::render(&found, false)));
    assert_eq!(diagnostic::render(&loaded.warnings, false), "");
    assert!(loaded.set.rules.len() >= 10 && loaded.set.features.len() >= 12);
}
