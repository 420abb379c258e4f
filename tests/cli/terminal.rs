//! What `check` says on a terminal, and of a folder that would keep it waiting.

use std::fs;
use std::process::Command;

use super::support::program::{ROOT, answer, answer_to};

/// A folder whose one rule is wrong.
fn wrong() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rule =
        "version: 1\npack: p\nrules:\n  - {id: r, on: [login.succeeded], when: event.emial == \"x\", score: 1}\n";
    fs::write(folder.path().join("a.yaml"), rule).unwrap();
    folder
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let folder = wrong();
    let line = format!("'{}' check --rules '{}'", env!("CARGO_BIN_EXE_refguard"), folder.path().display());
    for (name, value, coloured) in
        [("LANG", "C", true), ("NO_COLOR", "1", false), ("NO_COLOR", "", true), ("TERM", "dumb", false)]
    {
        let mut terminal = Command::new("script");
        terminal.current_dir(ROOT).args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        terminal.env_remove("NO_COLOR").env("TERM", "xterm").env(name, value);
        let told = answer_to(terminal, b"");
        let out = String::from_utf8(told.out).unwrap();
        assert!(out.contains("emial") && out.contains("did you mean"), "{out}");
        assert_eq!(out.contains('\u{1b}'), coloured, "{name}={value}: {out:?}");
        assert_eq!(told.code, Some(1), "{out}");
    }
}

#[test]
fn a_list_that_is_a_pipe_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pack = "version: 1\npack: p\nlists: {words: {kind: string, file: lists/words.txt}}\n\
                rules:\n  - {id: r, on: [login.succeeded], when: event.channel in lists.words, score: 1}\n";
    fs::write(folder.path().join("a.yaml"), pack).unwrap();
    fs::create_dir(folder.path().join("lists")).unwrap();
    let pipe = folder.path().join("lists/words.txt");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let told = answer(&["check", "--rules", folder.path().to_str().unwrap()]);
    assert_eq!(told.code, Some(1), "{}", told.err);
    assert!(told.err.contains("is no file") && told.err.contains("words.txt"), "{}", told.err);
}
