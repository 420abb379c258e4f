//! The house rules that a compiler cannot check: who may import whom, sizes, documents that are true.
//!
//! Each check is a function from the files to what is wrong with them, so that `tidy/planted.rs` can prove, on planted
//! faults, that it finds them. CONTRIBUTING.md has the rules in words.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path;
use std::process::Command;

#[path = "tidy/planted.rs"]
mod planted;

/// The files of the repository: path from its root, with `/`, and text.
type Files = BTreeMap<String, String>;

/// Which modules each module may name with `crate::`, from the ground floor up. A module that is not here fails.
const FLOORS: &[(&str, &[&str])] = &[
    ("event", &[]),
    ("lists", &[]),
    ("signals", GROUND),
    ("ruleset", GROUND),
    ("state", GROUND),
    ("mfa", GROUND),
    ("engine", &["event", "lists", "signals", "ruleset", "state", "mfa"]),
    ("alerts", MACHINE),
    ("stream", JUDGED),
    ("records", JUDGED),
    ("serve", OUTSIDE),
    ("lab", OUTSIDE),
    (
        "daemon",
        &[
            "event", "lists", "signals", "ruleset", "state", "mfa", "engine", "stream", "records", "alerts", "serve",
            "lab",
        ],
    ),
];
const GROUND: &[&str] = &["event", "lists"];
const MACHINE: &[&str] = &["event", "lists", "signals", "ruleset", "state", "mfa", "engine"];
const JUDGED: &[&str] = &["event", "lists", "signals", "ruleset", "state", "mfa", "engine", "alerts"];
const OUTSIDE: &[&str] =
    &["event", "lists", "signals", "ruleset", "state", "mfa", "engine", "stream", "records", "alerts"];

/// The modules without I/O, clock, thread, metric or log.
const PURE: &[&str] = &["event", "lists", "signals", "ruleset", "state", "mfa", "engine", "alerts"];

/// What has no business in them.
const IMPURE: &[&str] = &[
    "std::env",
    "std::fs",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "std::process",
    "std::thread",
    "std::time",
    "println!",
    "eprintln!",
    "prometheus::",
    "rdkafka::",
    "tokio::",
    "tracing::",
];

/// Files that may still break a rule, with what they break it by. The list may only shrink.
const IMPURE_EXCEPTIONS: &[(&str, &str)] = &[("src/ruleset/load.rs", "std::fs")];

/// The most lines of a source file, tests not counted.
const LINES_MAX: usize = 600;

/// Files that are longer, with their lines. The list and its numbers may only shrink.
const LONG_FILES: &[(&str, usize)] = &[];

/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &["Manager", "Handler", "Processor", "Helper", "Util", "Utils", "Info"];

/// Words of unfinished work, in two pieces so that this file may name them.
const UNFINISHED: &[(&str, &str)] =
    &[("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("db", "g!("), ("unimpl", "emented!("), ("to", "do!(")];

/// Where documents of the repository live, as people name them in backticks.
const PLACES: &[&str] =
    &[".ci/", "benches/", "config/", "deploy/", "docs/", "examples/", "fuzz/", "rules/", "scripts/", "src/", "tests/"];

/// Files that tests read, right and wrong ones: of these only the names are looked at.
const INPUTS: &[&str] = &["fuzz/corpus/", "tests/diagnostics/"];

// -- the checks ---------------------------------------------------------------------------------------------------

/// Every `crate::` path goes down.
fn floors(files: &Files) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in sources(files) {
        let Some(module) = module_of(path) else { continue };
        let Some((_, allowed)) = FLOORS.iter().find(|(name, _)| *name == module) else {
            wrong
                .push(format!("{path}:1: module `{module}` has no floor; add it to tests/tidy.rs and ARCHITECTURE.md"));
            continue;
        };
        let code = code_of(text);
        for (line, name) in crate_paths(&code) {
            let known = FLOORS.iter().any(|(known, _)| *known == name);
            if known && name != module && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{path}:{line}: `{module}` must not know `{name}`"));
            }
        }
        // `src/a.rs` and `src/a/mod.rs` are one step from the root, `src/a/b.rs` two.
        let depth = path.trim_end_matches("/mod.rs").matches('/').count();
        let escape = "super::".repeat(depth);
        for (line, text) in numbered(&code) {
            if text.contains(&escape) {
                wrong.push(format!("{path}:{line}: `{escape}` leaves the module; write `crate::`"));
            }
        }
    }
    wrong
}

/// The core has no I/O, clock, thread, metric or log.
fn purity(files: &Files, exceptions: &[(&str, &str)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for (path, text) in sources(files) {
        if !module_of(path).is_some_and(|module| PURE.contains(&module)) {
            continue;
        }
        for (line, text) in numbered(&code_of(text)) {
            for impure in
                IMPURE.iter().filter(|impure| text.contains(**impure) && !text.contains("std::time::Duration"))
            {
                if exceptions.contains(&(path, impure)) {
                    used.insert((path, *impure));
                } else {
                    wrong.push(format!("{path}:{line}: `{impure}` in a module without I/O; pass it in from above"));
                }
            }
        }
    }
    let unused = exceptions.iter().filter(|exception| !used.contains(*exception));
    wrong.extend(unused.map(|(path, impure)| format!("{path}:1: no longer uses `{impure}`; drop its exception")));
    wrong
}

/// No source file is long.
fn sizes(files: &Files, exceptions: &[(&str, usize)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in sources(files) {
        let lines = untested(text).lines().count();
        match exceptions.iter().find(|(long, _)| *long == path) {
            None if lines > LINES_MAX => {
                wrong.push(format!("{path}:{LINES_MAX}: {lines} lines, and {LINES_MAX} are the most; split it"));
            }
            Some((_, known)) if lines > *known => {
                wrong.push(format!("{path}:{known}: grew from {known} to {lines} lines"))
            }
            Some((_, known)) if lines < *known => {
                wrong.push(format!("{path}:1: has {lines} lines by now; set that in tests/tidy.rs"));
            }
            _ => {}
        }
    }
    let gone = exceptions.iter().filter(|(path, _)| !files.contains_key(*path));
    wrong.extend(gone.map(|(path, _)| format!("{path}:1: is gone; drop its exception")));
    wrong
}

/// Every module says what it is.
fn module_docs(files: &Files) -> Vec<String> {
    let programs = files.iter().filter(|(path, _)| path.ends_with(".rs") && !is_test_module(path));
    let silent = programs.filter(|(_, text)| !text.starts_with("//! "));
    silent.map(|(path, _)| format!("{path}:1: begin with `//! ` and one sentence")).collect()
}

/// Nothing is left for later, and nothing panics by default.
fn unfinished(files: &Files) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| is_written_by_hand(path)) {
        for (line, text) in numbered(text) {
            for (head, tail) in UNFINISHED {
                let word = format!("{head}{tail}");
                if has_word(text, &word) {
                    wrong.push(format!("{path}:{line}: `{word}`: do it, or file an issue"));
                }
            }
        }
    }
    for (path, text) in sources(files) {
        for (line, text) in numbered(&code_of(text)) {
            if text.contains(".unwrap()") {
                wrong.push(format!("{path}:{line}: `.unwrap()`: say in `expect` which invariant holds"));
            }
        }
    }
    wrong
}

/// Types are named by what they are.
fn names(files: &Files) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in sources(files) {
        for (line, text) in numbered(&code_of(text)) {
            let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            for pair in words.windows(2) {
                let names_type = ["struct", "enum", "trait", "type", "mod"].contains(&pair[0]);
                let empty =
                    EMPTY_NAMES.iter().find(|empty| pair[1].ends_with(**empty) || pair[1] == empty.to_lowercase());
                if let (true, Some(empty)) = (names_type, empty) {
                    wrong.push(format!("{path}:{line}: `{}`: `{empty}` says nothing; name what it is", pair[1]));
                }
            }
        }
    }
    wrong
}

/// Text is clean: no tabs but in a Makefile, nothing behind the end of a line, one line feed at the end.
fn whitespace(files: &Files) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| is_written_by_hand(path)) {
        for (line, text) in numbered(text) {
            if text.contains('\t') && !path.ends_with("Makefile") {
                wrong.push(format!("{path}:{line}: a tab"));
            }
            if text.ends_with([' ', '\t', '\r']) {
                wrong.push(format!("{path}:{line}: blanks at the end"));
            }
        }
        if !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n")) {
            wrong.push(format!("{path}:{}: end with one line feed", text.lines().count()));
        }
    }
    wrong
}

/// Paths that documents name in backticks exist.
fn named_paths(files: &Files) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in documents(files) {
        for (line, text) in numbered(text) {
            for name in text.split('`').skip(1).step_by(2) {
                let looks_like_one = PLACES.iter().any(|place| name.starts_with(place))
                    && !name.contains([' ', '*', '{', '<', '>', '$'])
                    && !name
                        .split(['/', '.'])
                        .any(|part| part.len() > 1 && part.chars().all(|c| c.is_ascii_uppercase()));
                if looks_like_one && !exists(files, name) {
                    wrong.push(format!("{path}:{line}: `{name}` is not there"));
                }
            }
        }
    }
    wrong
}

/// Links between documents lead somewhere, to a heading too.
fn links(files: &Files) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in documents(files) {
        for (line, target) in link_targets(text) {
            let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
            let file = if file.is_empty() { path.to_owned() } else { resolve(path, file) };
            if !exists(files, &file) {
                wrong.push(format!("{path}:{line}: links to `{target}`, which is not there"));
            } else if !heading.is_empty() && files.get(&file).is_some_and(|text| !headings(text).contains(heading)) {
                wrong.push(format!("{path}:{line}: {file} has no heading for `#{heading}`"));
            }
        }
    }
    wrong
}

/// Every document can be found from the README.
fn reachable(files: &Files) -> Vec<String> {
    let mut seen = BTreeSet::from(["README.md".to_owned()]);
    let mut queue = VecDeque::from(["README.md".to_owned()]);
    while let Some(path) = queue.pop_front() {
        let Some(text) = files.get(&path) else { continue };
        for (_, target) in link_targets(text) {
            let file = resolve(&path, target.split('#').next().unwrap_or_default());
            // A link to a folder shows its README.
            for file in [file.clone(), format!("{}/README.md", file.trim_end_matches('/'))] {
                if file.ends_with(".md") && files.contains_key(&file) && seen.insert(file.clone()) {
                    queue.push_back(file);
                }
            }
        }
    }
    let lost = files.keys().filter(|path| path.starts_with("docs/") && path.ends_with(".md") && !seen.contains(*path));
    lost.map(|path| format!("{path}:1: no chain of links leads here from README.md")).collect()
}

// -- what the checks read -----------------------------------------------------------------------------------------

/// Source files without test modules, in order.
fn sources(files: &Files) -> impl Iterator<Item = (&str, &str)> {
    let sources = files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    sources.filter(|(path, _)| path.starts_with("src/") && path.ends_with(".rs") && !is_test_module(path))
}

fn documents(files: &Files) -> impl Iterator<Item = (&str, &str)> {
    let documents = files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    // The changelog tells of what was, too.
    documents.filter(|(path, _)| path.ends_with(".md") && *path != "CHANGELOG.md")
}

/// A file that only tests compile, inside a module.
fn is_test_module(path: &str) -> bool {
    path.starts_with("src/") && (path.ends_with("/tests.rs") || path.contains("/tests/"))
}

fn is_written_by_hand(path: &str) -> bool {
    let endings = [".rs", ".md", ".toml", ".yaml", ".yml", ".xml", ".sh", "Makefile", ".ci/run", "scripts/setup"];
    endings.iter().any(|ending| path.ends_with(ending)) && path != "LICENSE"
}

/// The top-level module that a file belongs to; none for `lib.rs` and `main.rs`.
fn module_of(path: &str) -> Option<&str> {
    let name = path.strip_prefix("src/")?.split('/').next()?;
    let name = name.strip_suffix(".rs").unwrap_or(name);
    (!matches!(name, "lib" | "main")).then_some(name)
}

/// The part of a file before its tests.
fn untested(text: &str) -> &str {
    let tests = ["\n#[cfg(test)]\nmod tests {", "\n#[cfg(test)]\nmod test {"];
    let end = tests.iter().filter_map(|tests| text.find(tests)).min();
    end.map_or(text, |end| &text[..=end])
}

/// The part of a file before its tests with comments blanked out. Lines stay where they are.
fn code_of(text: &str) -> String {
    let lines = untested(text).lines().map(|line| {
        let comment = line.trim_start().starts_with("//");
        let code = if comment { "" } else { line.split_once(" // ").map_or(line, |(code, _)| code) };
        format!("{code}\n")
    });
    lines.collect()
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.split('\n'))
}

/// The first name of every `crate::` path, and of each branch of `crate::{…}`.
fn crate_paths(code: &str) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    for (at, found) in code.match_indices("crate::") {
        let line = 1 + code[..at].matches('\n').count();
        let rest = &code[at + found.len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut starts = true;
            for (offset, character) in group.char_indices() {
                match character {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => starts = true,
                    _ if starts && !character.is_whitespace() => {
                        paths.push((line, identifier(&group[offset..])));
                        starts = false;
                    }
                    _ => {}
                }
            }
        } else {
            paths.push((line, identifier(rest)));
        }
    }
    paths
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let open = !word.ends_with(part) || !text[at + word.len()..].starts_with(part);
        open && !text[..at].ends_with(part)
    })
}

/// Whether a file, or a folder with files in it, is there.
fn exists(files: &Files, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    files.contains_key(path)
        || files.range(format!("{path}/")..).next().is_some_and(|(file, _)| file.starts_with(&format!("{path}/")))
}

/// The targets of links inside the repository.
fn link_targets(text: &str) -> Vec<(usize, String)> {
    let mut targets = Vec::new();
    let mut in_code = false;
    for (line, text) in numbered(text) {
        in_code ^= text.trim_start().starts_with("```");
        if in_code {
            continue;
        }
        for (at, found) in text.match_indices("](") {
            let target = text[at + found.len()..].split(')').next().unwrap_or_default();
            let outside = target.contains("://") || target.starts_with("mailto:");
            if !outside && !target.is_empty() {
                targets.push((line, target.to_owned()));
            }
        }
    }
    targets
}

/// A relative path, as seen from a file.
fn resolve(from: &str, path: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchors of a document's headings: lower case, spaces to hyphens, punctuation dropped.
fn headings(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    });
    headings.collect()
}

/// Reads the repository, without what is built, made or foreign.
fn repository() -> Files {
    fn walk(root: &Path, folder: &str, files: &mut Files) {
        for entry in fs::read_dir(root.join(folder)).expect("the repository can be read") {
            let name = entry.expect("the repository can be read").file_name();
            let path = format!("{folder}{}", name.to_str().expect("names in the repository are UTF-8"));
            let skipped = ["target", "data", "secrets", ".git", "fuzz/target", "fuzz/artifacts"];
            if skipped.contains(&path.as_str()) {
                continue;
            }
            if root.join(&path).is_dir() {
                walk(root, &format!("{path}/"), files);
            } else if INPUTS.iter().any(|inputs| path.starts_with(inputs)) {
                files.insert(path, String::new());
            } else {
                // A file that is not text is only known to be there.
                files.insert(path.clone(), fs::read_to_string(root.join(&path)).unwrap_or_default());
            }
        }
    }
    let mut files = Files::new();
    walk(Path::new(env!("CARGO_MANIFEST_DIR")), "", &mut files);
    files
}

fn assert_none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{} found:\n{}\n", wrong.len(), wrong.join("\n"));
}

// -- the repository -----------------------------------------------------------------------------------------------

/// A link leads to somewhere on the machine of who made it. Outside a checkout, as in an archive, nothing can add one.
#[test]
fn no_link_is_checked_in() {
    let listed = Command::new("git").args(["ls-files", "--stage"]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let listed = listed.map(|listed| String::from_utf8_lossy(&listed.stdout).into_owned()).unwrap_or_default();
    assert_none(listed.lines().filter(|line| line.starts_with("120000 ")).map(str::to_owned).collect());
}

#[test]
fn modules_import_only_what_is_below_them() {
    assert_none(floors(&repository()));
}

#[test]
fn the_core_has_no_outside() {
    assert_none(purity(&repository(), IMPURE_EXCEPTIONS));
}

#[test]
fn no_source_file_is_long() {
    assert_none(sizes(&repository(), LONG_FILES));
}

#[test]
fn every_module_says_what_it_is() {
    assert_none(module_docs(&repository()));
}

#[test]
fn nothing_is_left_for_later() {
    assert_none(unfinished(&repository()));
}

#[test]
fn types_are_named_by_what_they_are() {
    assert_none(names(&repository()));
}

#[test]
fn text_is_clean() {
    assert_none(whitespace(&repository()));
}

#[test]
fn paths_in_documents_exist() {
    assert_none(named_paths(&repository()));
}

#[test]
fn links_in_documents_lead_somewhere() {
    assert_none(links(&repository()));
}

#[test]
fn every_document_can_be_found() {
    assert_none(reachable(&repository()));
}
