//! Pages that are made or run: docs/reference.md is what the tables say, and docs/tutorial.md does what it shows.
//!
//! `cargo test --test pages -- --ignored` writes the reference and the outputs in the tutorial anew.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use refguard::daemon::reference;
use support::program::{ROOT, answer_to, refguard};

fn page(name: &str) -> PathBuf {
    Path::new(ROOT).join("docs").join(name)
}

/// A page with the output of each command put in, and how many commands there were.
///
/// A block of YAML is a rule file, whose first line names it; one of JSON is `events.jsonl`; one of `sh` is a command, and
/// the `text` behind it what it prints.
fn with_outputs(tutorial: &str, folder: &Path) -> (String, usize) {
    let mut page = String::new();
    let (mut output, mut commands) = (None, 0);
    let mut rest = tutorial;
    while let Some((before, fenced)) = rest.split_once("```") {
        let (block, after) = fenced.split_once("\n```").expect("a block ends");
        let (kind, text) = block.split_once('\n').unwrap_or((block, ""));
        let text = match kind {
            "yaml" => {
                let path = folder.join(text.lines().next().unwrap().trim_start_matches("# "));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
                text.to_owned()
            }
            "json" => {
                fs::write(folder.join("events.jsonl"), format!("{text}\n")).unwrap();
                text.to_owned()
            }
            "sh" => {
                let words: Vec<&str> = text.split_whitespace().collect();
                assert_eq!(words[0], "refguard", "{text}");
                let mut command = refguard(&words[1..]);
                command.current_dir(folder);
                let answer = answer_to(command, b"");
                output = Some(answer.err + std::str::from_utf8(&answer.out).unwrap());
                commands += 1;
                text.to_owned()
            }
            "text" => output.take().expect("a command stands before its output").trim_end().to_owned(),
            other => panic!("what is a block of {other}?"),
        };
        page.push_str(before);
        page.push_str(&format!("```{kind}\n{text}\n```"));
        rest = after;
    }
    page.push_str(rest);
    (page, commands)
}

#[test]
fn the_tutorial_prints_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let written = fs::read_to_string(page("tutorial.md")).unwrap();
    let (run, commands) = with_outputs(&written, folder.path());
    assert_eq!(run, written);
    assert!(commands >= 6, "{commands} commands");
    assert!(run.contains("4 passed, 0 failed"), "the last pack passes its tests");
}

#[test]
fn the_reference_is_current() {
    let current = fs::read_to_string(page("reference.md")).unwrap_or_default() == reference::markdown();
    assert!(current, "docs/reference.md is out of date: cargo test --test pages -- --ignored writes it anew");
}

#[test]
#[ignore = "writes docs/reference.md and docs/tutorial.md"]
fn write_the_pages() {
    fs::write(page("reference.md"), reference::markdown()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (run, _) = with_outputs(&fs::read_to_string(page("tutorial.md")).unwrap(), folder.path());
    fs::write(page("tutorial.md"), run).unwrap();
}
