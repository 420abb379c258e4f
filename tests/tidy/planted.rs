//! Planted faults: each check finds what it is there for.

use super::*;

/// Files from pairs of path and text.
fn planted(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

/// Whether exactly these places, `path:line`, are found.
fn assert_found(wrong: Vec<String>, places: &[&str]) {
    let found: Vec<String> =
        wrong.iter().map(|wrong| wrong.split(": ").next().unwrap_or_default().to_owned()).collect();
    assert_eq!(found, places, "{wrong:#?}");
}

#[test]
fn a_path_that_goes_up_is_found() {
    let files = planted(&[
        (
            "src/engine/plan.rs",
            "//! P.\nuse crate::{\n    event::Event,\n    state::{Table, Key},\n    stream::Sink,\n};\n",
        ),
        (
            "src/event/mod.rs",
            "//! E.\n// crate::engine is above\nfn f() { crate::engine::run() }\n#[cfg(test)]\nmod tests {\n    use crate::engine;\n}\n",
        ),
        ("src/state/table.rs", "//! T.\nuse super::super::engine;\nuse super::window;\n"),
        ("src/state/mod.rs", "//! S.\nuse crate::event::Event;\nuse crate::ruleset::Pack;\n"),
        ("src/attic.rs", "//! A.\n"),
        ("src/main.rs", "//! M.\nuse refguard::daemon;\n"),
    ]);
    let places =
        ["src/attic.rs:1", "src/engine/plan.rs:2", "src/event/mod.rs:3", "src/state/mod.rs:3", "src/state/table.rs:2"];
    assert_found(floors(&files), &places);
}

#[test]
fn an_outside_in_the_core_is_found_and_an_exception_that_is_not_needed() {
    let files = planted(&[
        ("src/engine/clock.rs", "//! C.\nuse std::time::Duration;\nfn now() { std::time::SystemTime::now(); }\n"),
        ("src/ruleset/load.rs", "//! L.\nuse std::fs;\n"),
        ("src/state/table.rs", "//! T. Not std::fs.\n"),
        ("src/stream/file.rs", "//! F.\nuse std::fs;\n"),
    ]);
    let exceptions = [("src/ruleset/load.rs", "std::fs"), ("src/state/table.rs", "std::fs")];
    assert_found(purity(&files, &exceptions), &["src/engine/clock.rs:3", "src/state/table.rs:1"]);
}

#[test]
fn a_long_file_is_found_and_an_exception_that_grew_or_shrank() {
    let lines = |count: usize| "x\n".repeat(count);
    let tested = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", lines(600), lines(900));
    let files = planted(&[
        ("src/a.rs", &lines(601)),
        ("src/b.rs", &tested),
        ("src/c.rs", &lines(800)),
        ("src/d.rs", &lines(700)),
        ("src/e.rs", &lines(650)),
        ("src/f/tests.rs", &lines(2000)),
    ]);
    let exceptions = [("src/c.rs", 750), ("src/d.rs", 750), ("src/e.rs", 650), ("src/gone.rs", 700)];
    assert_found(sizes(&files, &exceptions), &["src/a.rs:600", "src/c.rs:750", "src/d.rs:1", "src/gone.rs:1"]);
}

#[test]
fn a_module_without_a_word_is_found() {
    let files = planted(&[("src/a.rs", "use x;\n"), ("src/a/tests.rs", "use x;\n"), ("tests/b.rs", "//! B.\n")]);
    assert_found(module_docs(&files), &["src/a.rs:1"]);
}

#[test]
fn unfinished_work_is_found() {
    let later = |index: usize| format!("{}{}", UNFINISHED[index].0, UNFINISHED[index].1);
    let source = format!("//! A.\n// {} later\nfn f() {{ {}x); g().unwrap() }}\n", later(0), later(3));
    let files = planted(&[
        ("src/a.rs", &source),
        ("docs/a.md", &format!("{}S is another word\nsay {}\n", later(0), later(1))),
        ("tests/a.rs", "//! A.\nfn f() { g().unwrap() }\n"),
    ]);
    assert_found(unfinished(&files), &["docs/a.md:2", "src/a.rs:2", "src/a.rs:3", "src/a.rs:3"]);
}

#[test]
fn a_name_that_says_nothing_is_found() {
    let files = planted(&[("src/a.rs", "pub struct StateManager;\nenum Kind {}\nmod util;\nfn helper() {}\n")]);
    assert_found(names(&files), &["src/a.rs:1", "src/a.rs:3"]);
}

#[test]
fn unclean_text_is_found() {
    let files = planted(&[
        ("Makefile", "all:\n\ttrue\n"),
        ("a.md", "one \ntwo\tthree\nfour"),
        ("b.toml", "x = 1\n\n"),
        ("c.jsonl", "{}\t \n\n"),
    ]);
    assert_found(whitespace(&files), &["a.md:1", "a.md:2", "a.md:3", "b.toml:2"]);
}

#[test]
fn a_document_that_names_what_is_not_there_is_found() {
    let files = planted(&[
        (
            "README.md",
            "see `src/a.rs`, `src/`,\n`src/b.rs`, `src/*.rs`, `docs/NAME.md`, `cargo test src/c.rs`\n`src/a`\n",
        ),
        ("src/a.rs", ""),
    ]);
    assert_found(named_paths(&files), &["README.md:2", "README.md:3"]);
}

#[test]
fn a_link_to_nowhere_is_found() {
    let files = planted(&[
        ("README.md", "[a](docs/a.md#two-words) [b](docs/b.md)\n[c](docs/a.md#three) [d](https://example.com/x)\n"),
        ("docs/a.md", "## Two words!\n[up](../README.md) [here](#two-words) [no](README.md)\n```\n[x](y)\n```\n"),
    ]);
    assert_found(links(&files), &["README.md:1", "README.md:2", "docs/a.md:2"]);
}

#[test]
fn a_document_that_nothing_leads_to_is_found() {
    let files = planted(&[
        ("README.md", "[docs](docs/)\n"),
        ("docs/README.md", "[a](a.md)\n"),
        ("docs/a.md", "[b](deep/b.md#x)\n"),
        ("docs/deep/b.md", "b\n"),
        ("docs/lost.md", "[a](a.md)\n"),
    ]);
    assert_found(reachable(&files), &["docs/lost.md:1"]);
}
