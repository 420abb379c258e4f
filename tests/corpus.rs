//! Replays the committed corpus of every fuzz target through the body of that target, so that what fuzzing found once
//! stays found without nightly tools.

use std::fs;
use std::path::Path;

/// Runs a target's body over its corpus, in the order of names.
fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).expect("the corpus is there");
    let mut inputs: Vec<_> = entries.map(|entry| entry.expect("the folder is readable").path()).collect();
    inputs.sort();
    assert!(inputs.len() >= 15, "{} holds a corpus", folder.display());
    for input in inputs {
        // A panic does not say which input it was about; the captured output of the test does.
        eprintln!("{}", input.display());
        body(&fs::read(&input).expect("an input is readable"));
    }
}

#[test]
fn events() {
    replay("parse", refguard::event::fuzz_parse);
}

#[test]
fn mappings() {
    replay("mapping", refguard::event::fuzz_mapping);
}

/// The body of a target that takes text: what is no text is never handed to it.
fn of_text(bytes: &[u8], body: fn(&str)) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        body(text);
    }
}

#[test]
fn rules() {
    replay("rules", |bytes| of_text(bytes, refguard::ruleset::load::fuzz_rules));
}

#[test]
fn conditions() {
    replay("cel", |bytes| of_text(bytes, refguard::ruleset::cel::fuzz::fuzz_compile));
}
