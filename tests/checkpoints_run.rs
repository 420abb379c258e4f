//! State over restarts and by history, with the real program: what is known, what is told, who owns it.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use support::program::{Answer, Daemon, ROOT, answer, get, lines, take};

/// The day of example traffic.
fn traffic() -> Vec<String> {
    let text = fs::read_to_string(Path::new(ROOT).join("examples/traffic.jsonl")).unwrap();
    text.lines().map(|line| format!("{line}\n")).collect()
}

/// A configuration in a folder with this source; state, verdicts and dead letters are there too.
fn configured(folder: &Path, source: &str) -> PathBuf {
    let at = |name: &str| folder.join(name).display().to_string();
    let text = format!(
        "sources: {{day: {source}}}\n\
         sinks: {{verdicts: {{file: {}}}, dead_letters: {{file: {}}}}}\n\
         state: {{path: {}, key_file: {}}}\n\
         metrics: {{listen: \"127.0.0.1:0\"}}\n",
        at("verdicts.jsonl"),
        at("dead.jsonl"),
        at("state"),
        at("secrets/state.key"),
    );
    let path = folder.join("refguard.yaml");
    fs::write(&path, text).unwrap();
    path
}

/// A configuration whose source is a file with these lines.
fn with_lines(folder: &Path, lines: &[String]) -> PathBuf {
    let path = folder.join("part.jsonl");
    fs::write(&path, lines.concat()).unwrap();
    configured(folder, &format!("{{file: {}}}", path.display()))
}

fn run(config: &Path) -> String {
    let (status, log) = Daemon::start(config).ended();
    assert!(status.success(), "{log}");
    log
}

fn done(answer: Answer) -> Answer {
    assert_eq!(answer.code, Some(0), "{}", answer.err);
    answer
}

/// The verdicts that `eval` gives on the whole day, under the key of this configuration.
fn eval(config: &Path) -> Vec<u8> {
    done(answer(&["eval", "--config", config.to_str().unwrap(), "examples/traffic.jsonl"])).out
}

fn checkpoints(folder: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(folder.join("state")).unwrap().map(|of| of.unwrap().path());
    let mut found: Vec<_> =
        found.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("checkpoint-")).collect();
    found.sort();
    found
}

#[test]
fn a_day_with_restarts_is_a_day_without() {
    let folder = tempfile::tempdir().unwrap();
    let day = traffic();
    let parts = [&day[..150], &day[150..151], &day[151..300], &day[300..]];
    let mut config = PathBuf::new();
    for (at, part) in parts.iter().enumerate() {
        config = with_lines(folder.path(), part);
        let log = run(&config);
        assert!(at == 0 || log.contains("state is that of "), "{log}");
        assert!(log.matches("\"wrote ").count() == 1 && !log.contains("\"ERROR\""), "each is told once: {log}");
        assert_eq!(checkpoints(folder.path()).len(), (at + 1).min(2), "the last two are kept");
    }
    let written = fs::read(folder.path().join("verdicts.jsonl")).unwrap();
    assert!(written == eval(&config), "byte for byte");
}

/// By event: what its verdict rests on.
fn evidence(verdicts: &[u8]) -> Vec<(String, Value)> {
    let lines = std::str::from_utf8(verdicts).unwrap().lines();
    let of = |line: &str| {
        let verdict: Value = serde_json::from_str(line).unwrap();
        (verdict["event_id"].as_str().unwrap().to_owned(), verdict["evidence"].clone())
    };
    lines.map(of).collect()
}

#[test]
fn what_is_judged_after_a_backfill_knows_the_history() {
    let folder = tempfile::tempdir().unwrap();
    let day = traffic();
    let split = day.len() / 2;
    let history = folder.path().join("history.jsonl.zst");
    // One of them comes twice, and one is no event.
    let text = day[..split].concat() + &day[split - 1] + "{\"specversion\":\"1.0\",\"id\":\"broken\"}\n";
    fs::write(&history, zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
    let config = with_lines(folder.path(), &day[split..]);
    let letters = folder.path().join("letters.jsonl");
    let backfill = ["backfill", "--config", config.to_str().unwrap(), "--source", "day", "--dead-letters"];
    let arguments = [&backfill[..], &[letters.to_str().unwrap(), history.to_str().unwrap()]].concat();
    let told = done(answer(&arguments));
    assert!(told.out.is_empty(), "no verdict");
    assert!(
        told.err.contains(&format!("counted {split} events, from "))
            && told.err.contains("; 1 were invalid, 1 were repeats"),
        "{}",
        told.err
    );
    assert_eq!(fs::read_to_string(&letters).unwrap().lines().count(), 1);
    run(&config);
    let known = fs::read(folder.path().join("verdicts.jsonl")).unwrap();
    let whole = eval(&config);
    let expected = evidence(&whole).split_off(split);
    assert_eq!(evidence(&known), expected);
    // Without it, it does not.
    let empty = tempfile::tempdir().unwrap();
    run(&with_lines(empty.path(), &day[split..]));
    assert!(evidence(&fs::read(empty.path().join("verdicts.jsonl")).unwrap()) != expected);
    // What is older than what is known by then comes too late, and that is said.
    let again = done(answer(&arguments));
    assert!(again.err.contains("events were older than what the state had seen"), "{}", again.err);
}

#[test]
fn who_was_killed_knows_what_it_judged() {
    let folder = tempfile::tempdir().unwrap();
    let day = traffic();
    run(&with_lines(folder.path(), &day[..100]));
    let pipe = configured(folder.path(), "{stdin: {}}");
    let text = fs::read_to_string(&pipe).unwrap();
    let file = format!("{{file: {}}}", folder.path().join("verdicts.jsonl").display());
    fs::write(&pipe, text.replace(&file, "{stdout: {}}")).unwrap();
    let mut daemon = Daemon::start(&pipe);
    let (mut stdin, stdout) = (daemon.stdin(), lines(daemon.stdout()));
    stdin.write_all(day[100..200].concat().as_bytes()).unwrap();
    let judged = take(&stdout, 100);
    daemon.kill();
    // The same source, since what it sent is in the journal under its name; it has nothing new at first.
    let mut daemon = Daemon::start(&pipe);
    let (mut stdin, stdout) = (daemon.stdin(), lines(daemon.stdout()));
    daemon.said("what the last run judged after its checkpoint was judged again");
    stdin.write_all(day[200..].concat().as_bytes()).unwrap();
    drop(stdin);
    let (status, log) = daemon.ended();
    assert!(status.success() && !log.contains("\"ERROR\""), "{log}");
    let rest: Vec<String> = stdout.iter().collect();
    let whole = String::from_utf8(eval(&pipe)).unwrap();
    let whole: Vec<&str> = whole.lines().collect();
    assert_eq!(judged, whole[100..200]);
    // What was not known to be out may come twice, and says the same.
    assert_eq!(rest[rest.len() - (day.len() - 200)..], whole[200..]);
    assert!(rest[..rest.len() - (day.len() - 200)].iter().all(|line| judged.contains(line)));
}

#[test]
fn a_state_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path(), "{stdin: {}}");
    let mut daemon = Daemon::start(&config);
    let address = daemon.address();
    daemon.said("judging");
    for command in ["backfill", "run"] {
        let refused = answer(&[command, "--config", config.to_str().unwrap()]);
        assert_eq!(refused.code, Some(2), "{}", refused.err);
        assert!(
            refused.err.contains("another refguard owns this state") && refused.err.contains("hint: stop it first")
        );
    }
    assert_eq!(get(&address, "/readyz").0, 200, "the first goes on");
    daemon.terminate();
    assert!(daemon.ended().0.success());
    assert_eq!(checkpoints(folder.path()).len(), 1, "a signal is a clean end");
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_it_used() {
    let folder = tempfile::tempdir().unwrap();
    let day = traffic();
    for part in [&day[..100], &day[100..200]] {
        run(&with_lines(folder.path(), part));
    }
    let newest = checkpoints(folder.path()).pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, bytes).unwrap();
    let config = with_lines(folder.path(), &day[200..300]);
    let log = run(&config);
    assert!(log.contains(&format!("{}: is damaged: a segment is not what was written", newest.display())), "{log}");
    assert!(log.contains("\"ERROR\"") && log.contains("after 100 events"), "{log}");
    for path in checkpoints(folder.path()) {
        fs::write(path, "").unwrap();
    }
    let refused = answer(&["run", "--config", config.to_str().unwrap()]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("no checkpoint is whole") && refused.err.contains("hint: restore the folder"));
}

/// The verdicts on the first so many events are what `eval` says. What was not known to be out may come twice, and says the same.
fn assert_verdicts(folder: &Path, config: &Path, events: usize) {
    let (written, whole) = (fs::read_to_string(folder.join("verdicts.jsonl")).unwrap(), eval(config));
    let whole = String::from_utf8(whole).unwrap();
    let mut seen = BTreeSet::new();
    let firsts: Vec<&str> = written.lines().filter(|line| seen.insert(*line)).collect();
    assert_eq!(firsts.len(), events);
    assert!(firsts.into_iter().eq(whole.lines().take(events)), "a verdict is another one");
}

#[test]
fn whatever_bytes_of_the_newest_are_damaged_no_count_is_another() {
    let day = traffic();
    // Cut short, or with a flipped bit: in its head, in what anybody reads, in what is closed, in its end.
    let damages: [fn(&mut Vec<u8>); 6] = [
        |bytes| bytes.truncate(10),
        |bytes| bytes.truncate(bytes.len() / 3),
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| bytes[30] ^= 1,
        |bytes| bytes[200] ^= 128,
        |bytes| *bytes.last_mut().unwrap() ^= 1,
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        run(&with_lines(folder.path(), &day[..100]));
        run(&with_lines(folder.path(), &day[100..200]));
        let newest = checkpoints(folder.path()).pop().unwrap();
        let mut bytes = fs::read(&newest).unwrap();
        damage(&mut bytes);
        fs::write(&newest, bytes).unwrap();
        let config = with_lines(folder.path(), &day[200..300]);
        let log = run(&config);
        assert!(log.contains("is set aside as") && log.contains("after 100 events"), "{number}: {log}");
        assert_verdicts(folder.path(), &config, 300);
    }
}

#[test]
fn a_disk_that_is_full_for_checkpoints_is_told_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let day = traffic();
    run(&with_lines(folder.path(), &day[..100]));
    // A device that is always full stands where the next one is written.
    let full = folder.path().join("state/checkpoint.new");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let (status, log) = Daemon::start(&with_lines(folder.path(), &day[100..200])).ended();
    assert_eq!(status.code(), Some(3), "{log}");
    assert!(log.contains("hint: free space on the disk; the checkpoints of before are all there"), "{log}");
    assert_eq!(checkpoints(folder.path()).len(), 1);
    fs::remove_file(&full).unwrap();
    let config = with_lines(folder.path(), &day[200..300]);
    run(&config);
    assert_verdicts(folder.path(), &config, 300);
}

/// The bytes of a file with another number of its format, and the checksum of that in its head. `rest`: what of the head comes
/// behind the number.
fn of_format(mut bytes: Vec<u8>, format: u32, rest: usize) -> Vec<u8> {
    bytes[12..16].copy_from_slice(&format.to_le_bytes());
    let head = 16 + rest;
    let checksum = xxhash_rust::xxh3::xxh3_64_with_seed(&bytes[..head], 0);
    bytes[head..head + 8].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

#[test]
fn files_of_a_newer_version_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let day = traffic();
    run(&with_lines(folder.path(), &day[..100]));
    run(&with_lines(folder.path(), &day[100..200]));
    let config = with_lines(folder.path(), &day[200..300]);
    let journals = fs::read_dir(folder.path().join("state")).unwrap().map(|of| of.unwrap().path());
    let journal = journals.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("journal-")).max();
    for (path, rest) in [(checkpoints(folder.path()).pop().unwrap(), 0), (journal.unwrap(), 8)] {
        let whole = fs::read(&path).unwrap();
        let newer = of_format(whole.clone(), 99, rest);
        fs::write(&path, &newer).unwrap();
        let refused = answer(&["run", "--config", config.to_str().unwrap()]);
        assert_eq!(refused.code, Some(2), "{}", refused.err);
        assert!(refused.err.contains("has format 99, and this version reads up to"), "{}", refused.err);
        assert!(refused.err.contains("hint: start the version of refguard that wrote it"), "{}", refused.err);
        assert!(fs::read(&path).unwrap() == newer, "it is as it was");
        fs::write(&path, whole).unwrap();
    }
    run(&config);
    let (written, whole) = (fs::read(folder.path().join("verdicts.jsonl")).unwrap(), eval(&config));
    assert!(written.len() > 10_000 && whole.starts_with(&written));
}

#[test]
fn a_folder_that_cannot_be_written_to_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_lines(folder.path(), &traffic()[..10]);
    let text = fs::read_to_string(&config).unwrap();
    // Nobody can make a file there, whoever runs the tests.
    let state = folder.path().join("state").display().to_string();
    fs::write(&config, text.replace(&format!("path: {state},"), "path: /sys/kernel,")).unwrap();
    let refused = answer(&["run", "--config", config.to_str().unwrap()]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("/sys/kernel"), "{}", refused.err);
    assert!(
        refused.err.contains("hint: check that the path is right and that refguard's user may use it"),
        "{}",
        refused.err
    );
    assert!(
        !folder.path().join("verdicts.jsonl").exists()
            || fs::read(folder.path().join("verdicts.jsonl")).unwrap().is_empty()
    );
}
