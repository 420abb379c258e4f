//! What is said of broken files, word for word: each `tests/diagnostics/NAME.yaml` beside its `NAME.txt`.
//!
//! Files named `rules-*` are read as packs, `config-*` as configurations; of `tests-*` the tests inside are run. Packs find their
//! lists beside them, in `lists/`, and can read the attributes `tier` (a string) and `visits` (an int). `cargo test --test diagnostics -- --ignored`
//! writes the texts anew; read the difference before you commit it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use refguard::daemon::config;
use refguard::engine::EngineOptions;
use refguard::event::AttributeType;
use refguard::lab::pack_tests;
use refguard::ruleset::diagnostic::{self, Diagnostic, SourceFile};
use refguard::ruleset::load::{Files, Premises, load_under};
use refguard::ruleset::program::RuleSet;
use refguard::signals::SignalConfig;

/// One pack, shown under its file's name.
struct One {
    name: String,
    text: String,
}

impl Files for One {
    fn packs(&self) -> Result<Vec<String>, String> {
        Ok(vec![self.name.clone()])
    }

    fn read(&self, path: &str, _max_bytes: u64) -> Result<Vec<u8>, String> {
        if path == self.name {
            return Ok(self.text.clone().into_bytes());
        }
        std::fs::read(folder().join(path)).map_err(|_| format!("no file `{path}`"))
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics")
}

/// The cases: names and what is said of each.
fn cases() -> Vec<(String, String)> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .expect("the folder is there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned))
        .collect();
    names.sort();
    names.into_iter().map(|name| (said_of(&name), name)).map(|(said, name)| (name, said)).collect()
}

fn said_of(name: &str) -> String {
    let text = std::fs::read_to_string(folder().join(format!("{name}.yaml"))).expect("the case can be read");
    let file_name = format!("{name}.yaml");
    let found: Vec<Diagnostic> = if name.starts_with("config-") {
        let file = Arc::new(SourceFile { path: file_name.into(), text });
        config::parse(&file, std::iter::empty()).map_or_else(|found| found, |loaded| loaded.warnings)
    } else {
        let attributes = [("tier", AttributeType::Text), ("visits", AttributeType::Int)];
        let attributes = attributes.into_iter().map(|(name, of)| (name.to_owned(), of)).collect();
        let premises = Premises { attributes, ..Premises::default() };
        match load_under(&One { name: file_name, text }, &premises) {
            Ok(loaded) if name.starts_with("tests-") => return failures(&Arc::new(loaded.set)),
            loaded => loaded.map_or_else(|found| found, |loaded| loaded.warnings),
        }
    };
    assert!(!found.is_empty(), "{name}: nothing is said of it");
    diagnostic::render(&found, false)
}

/// What is said of the tests that fail.
fn failures(set: &Arc<RuleSet>) -> String {
    let outcomes =
        pack_tests::run(set, &SignalConfig::default(), &EngineOptions::default()).expect("no file is needed");
    let failed = outcomes.into_iter().filter(|outcome| !outcome.failures.is_empty()).map(|outcome| {
        let case = &set.tests[outcome.test];
        format!("{}: error[test]: {}\n  {}\n", case.place, case.name, outcome.failures.join("\n  "))
    });
    failed.collect()
}

#[test]
fn every_broken_file_is_explained_as_before() {
    let cases = cases();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    for (name, said) in cases {
        let expected = std::fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap_or_default();
        assert_eq!(said, expected, "{name}: cargo test --test diagnostics -- --ignored writes it anew");
    }
}

#[test]
#[ignore = "writes tests/diagnostics/*.txt"]
fn write_what_is_said() {
    for (name, said) in cases() {
        std::fs::write(folder().join(format!("{name}.txt")), said).expect("the repository can be written");
    }
}
