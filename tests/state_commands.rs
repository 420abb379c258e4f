//! `refguard state`: what a folder holds is shown, checked and taken out, while it is used too.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::program::{Answer, Daemon, ROOT, answer, lines, take};

/// The day of example traffic.
fn traffic() -> Vec<String> {
    let text = fs::read_to_string(Path::new(ROOT).join("examples/traffic.jsonl")).unwrap();
    text.lines().map(|line| format!("{line}\n")).collect()
}

/// A configuration with this source and sink, whose state and key are in a folder.
fn configured(folder: &Path, source: &str, sink: &str) -> PathBuf {
    let at = |name: &str| folder.join(name).display().to_string();
    let text = format!(
        "sources: {{day: {source}}}\nsinks: {{verdicts: {sink}}}\nstate: {{path: {}, key_file: {}}}\n\
         metrics: {{listen: \"127.0.0.1:0\"}}\n",
        at("state"),
        at("state.key"),
    );
    let path = folder.join("refguard.yaml");
    fs::write(&path, text).unwrap();
    path
}

/// Judges lines, and answers the configuration.
fn judged(folder: &Path, lines: &[String]) -> PathBuf {
    let part = folder.join("part.jsonl");
    fs::write(&part, lines.concat()).unwrap();
    let sink = format!("{{file: {}}}", folder.join("verdicts.jsonl").display());
    let config = configured(folder, &format!("{{file: {}}}", part.display()), &sink);
    let (status, log) = Daemon::start(&config).ended();
    assert!(status.success(), "{log}");
    config
}

fn state(command: &str, config: &Path) -> Answer {
    answer(&["state", command, "--config", config.to_str().unwrap()])
}

fn inspected(config: &Path) -> Value {
    let shown = state("inspect", config);
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    serde_json::from_slice(&shown.out).unwrap()
}

/// The files of a state whose names begin so, sorted.
fn files(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let found = fs::read_dir(folder.join("state")).unwrap().map(|of| of.unwrap().path());
    let mut found: Vec<_> =
        found.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix)).collect();
    found.sort();
    found
}

#[test]
fn a_folder_shows_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let day = traffic();
    judged(folder.path(), &day[..100]);
    let config = judged(folder.path(), &day[100..300]);
    let shown = inspected(&config);
    assert_eq!(shown["checkpoints"].as_array().unwrap().len(), 2);
    let newest = &shown["checkpoints"][0];
    assert_eq!((&newest["events"], &newest["format"], &newest["damage"]), (&300.into(), &5.into(), &Value::Null));
    assert_eq!(newest["bytes"], fs::metadata(files(folder.path(), "checkpoint-").pop().unwrap()).unwrap().len());
    assert_eq!(newest["watermark"].as_str().unwrap().split('T').next(), Some("2026-05-01"), "{newest}");
    assert_eq!(shown["key"], fs::read_to_string(folder.path().join("state/key.id")).unwrap().trim());
    let parts = newest["parts"].as_array().unwrap();
    let part =
        |name: &str| parts.iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("{name}: {newest}"));
    assert_eq!(part("state.identities")["keys"], 300, "each event has an identity");
    assert_eq!(part("state.identities")["bytes"].as_u64().unwrap() / 300, 32);
    assert!(part("account.first_seen")["keys"].as_u64().unwrap() > 50, "{newest}");
    assert!(part("state.alerts")["keys"].as_u64().unwrap() > 0, "{newest}");
    assert_eq!(shown["journal"]["behind"]["entries"], 0, "an end leaves nothing behind it");
    assert!(shown["journal"]["next"].as_u64() >= newest["position"].as_u64());
}

#[test]
fn a_folder_is_shown_while_it_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let day = traffic();
    judged(folder.path(), &day[..50]);
    let config = configured(folder.path(), "{stdin: {}}", "{stdout: {}}");
    let mut daemon = Daemon::start(&config);
    let (mut stdin, stdout) = (daemon.stdin(), lines(daemon.stdout()));
    stdin.write_all(day[50..120].concat().as_bytes()).unwrap();
    take(&stdout, 70);
    let shown = inspected(&config);
    assert_eq!(shown["checkpoints"][0]["events"], 50);
    let behind = &shown["journal"]["behind"];
    assert!(behind["lines"] == 70 && behind["entries"].as_u64() > Some(0), "{shown}");
    let checked = state("verify", &config);
    assert_eq!(checked.code, Some(0), "{}", checked.err);
    daemon.kill();
    assert_eq!(inspected(&config)["journal"]["behind"]["lines"], 70, "a kill loses nothing of it");
}

#[test]
fn damage_is_told_with_its_file_and_place_and_is_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let day = traffic();
    for part in [&day[..100], &day[100..200]] {
        judged(folder.path(), part);
    }
    let config = folder.path().join("refguard.yaml");
    let whole = state("verify", &config);
    assert_eq!((whole.code, whole.err.as_str()), (Some(0), ""));
    let told = String::from_utf8(whole.out).unwrap();
    assert!(told.contains("whole: format 5, 200 events") && told.contains("whole: format 5, 100 events"), "{told}");
    for prefix in ["checkpoint-", "journal-"] {
        let path = files(folder.path(), prefix).remove(0);
        let bytes = fs::read(&path).unwrap();
        for at in [3, 20, bytes.len() / 2, bytes.len() - 30] {
            let mut flipped = bytes.clone();
            flipped[at] ^= 8;
            fs::write(&path, &flipped).unwrap();
            let checked = state("verify", &config);
            let place = format!("error: {}: is damaged: ", path.display());
            assert_eq!(checked.code, Some(1), "{prefix} at {at}: {}", checked.err);
            assert!(checked.err.contains(&place) && checked.err.contains("hint: restore"), "{at}: {}", checked.err);
            let shown = inspected(&config);
            assert!(shown.to_string().contains("is damaged"), "{shown}");
            assert_eq!(fs::read(&path).unwrap(), flipped, "nothing is changed");
        }
        // The middle of a checkpoint lies in a frame that begins before it.
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 8;
        fs::write(&path, &flipped).unwrap();
        let checked = state("verify", &config).err;
        let byte = checked.split("at byte ").nth(1).and_then(|rest| rest.split(['\n', ' ']).next()).unwrap();
        let byte: usize = byte.parse().unwrap();
        assert!(byte <= bytes.len() / 2 && byte + (400 << 10) > bytes.len() / 2, "{checked}");
        fs::write(&path, &bytes).unwrap();
    }
    // An end that was torn is what nothing came of.
    let last = files(folder.path(), "journal-").pop().unwrap();
    fs::OpenOptions::new().append(true).open(&last).unwrap().write_all(&[7; 9]).unwrap();
    let torn = state("verify", &config);
    assert_eq!(torn.code, Some(0), "{}", torn.err);
    assert!(String::from_utf8(torn.out).unwrap().contains("9 bytes at the end of the journal are torn"));
}

#[test]
fn a_newer_format_is_told_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let config = judged(folder.path(), &traffic()[..20]);
    let path = files(folder.path(), "checkpoint-").remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[12..16].copy_from_slice(&9u32.to_le_bytes());
    let checksum = xxhash_rust::xxh3::xxh3_64_with_seed(&bytes[..16], 0).to_le_bytes();
    bytes[16..24].copy_from_slice(&checksum);
    fs::write(&path, bytes).unwrap();
    for command in ["verify", "export"] {
        let refused = state(command, &config);
        assert_ne!(refused.code, Some(0));
        assert!(refused.err.contains("has format 9, and this version reads up to 5"), "{}", refused.err);
        assert!(refused.err.contains("hint: start the version of refguard that wrote it"), "{}", refused.err);
    }
}

#[test]
fn what_is_known_is_taken_out_as_lines() {
    let folder = tempfile::tempdir().unwrap();
    let config = judged(folder.path(), &traffic());
    let exported = state("export", &config);
    assert_eq!(exported.code, Some(0), "{}", exported.err);
    let read = |bytes: &[u8]| -> Vec<Value> {
        std::str::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = read(&exported.out);
    let created: usize = fs::read_to_string(folder.path().join("verdicts.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["created"].as_array().unwrap().len())
        .sum();
    let decisions: Vec<&Value> = all.iter().filter(|line| line.get("decision").is_some()).collect();
    assert!(
        created > 0 && decisions.iter().all(|line| line["id"].is_string() && line["causes"][0]["rule"].is_string())
    );
    let shown = inspected(&config);
    let parts = shown["checkpoints"][0]["parts"].as_array().unwrap();
    let keys = |name: &str| parts.iter().find(|part| part["name"] == name).unwrap()["keys"].as_u64().unwrap();
    assert_eq!(decisions.len() as u64, keys("state.decisions"));
    let facts = all.iter().filter(|line| line["fact"] == "account.first_seen");
    assert_eq!(facts.count() as u64, keys("account.first_seen"));
    let hashes = all.iter().filter_map(|line| line["key_hash"].as_str());
    assert!(hashes.clone().count() > 100 && hashes.clone().all(|hash| hash.len() == 30), "keys are hashes");
    assert!(!String::from_utf8_lossy(&exported.out).contains("@example.com"), "no address is told");
    let only = answer(&["state", "export", "--config", config.to_str().unwrap(), "--only", "decisions"]);
    assert_eq!(read(&only.out).len(), decisions.len());
}

#[test]
fn a_folder_that_is_not_there_is_a_wrong_call() {
    for command in ["inspect", "verify"] {
        let refused = answer(&["state", command, "nowhere"]);
        assert_eq!(refused.code, Some(2), "{}", refused.err);
        assert!(refused.err.contains("cannot open the state nowhere") && refused.err.contains("hint: "));
    }
}
