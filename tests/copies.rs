//! Copies of checkpoints in a folder and in S3: written while events are judged, checked, the last ones kept, restored.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use support::moto::Moto;
use support::program::{Answer, Daemon, ROOT, answer, get, lines, take};
use support::until;

/// The day of example traffic.
fn traffic() -> Vec<String> {
    let text = fs::read_to_string(Path::new(ROOT).join("examples/traffic.jsonl")).unwrap();
    text.lines().map(|line| format!("{line}\n")).collect()
}

/// A configuration that judges standard input, whose state is in this folder, with these copies.
fn configured(folder: &Path, state: &str, copies: &str) -> PathBuf {
    let at = |name: &str| folder.join(name).display().to_string();
    let text = format!(
        "sources: {{day: {{stdin: {{}}}}}}\nsinks: {{verdicts: {{stdout: {{}}}}}}\n\
         state: {{path: {}, key_file: {}, checkpoint_interval: 200ms, copies: {copies}}}\n\
         metrics: {{listen: \"127.0.0.1:0\"}}\n",
        at(state),
        at("state.key"),
    );
    let path = folder.join(format!("{state}.yaml"));
    fs::write(&path, text).unwrap();
    path
}

/// Judges lines to a clean end, and answers the verdicts.
fn judge(config: &Path, events: &[String]) -> (Vec<String>, String) {
    let mut daemon = Daemon::start(config);
    let (mut stdin, stdout) = (daemon.stdin(), lines(daemon.stdout()));
    stdin.write_all(events.concat().as_bytes()).unwrap();
    drop(stdin);
    let (status, log) = daemon.ended();
    assert!(status.success(), "{log}");
    (stdout.iter().collect(), log)
}

/// The verdicts of a run that was never disturbed.
fn undisturbed(config: &Path) -> Vec<String> {
    let said = answer(&["eval", "--config", config.to_str().unwrap(), "examples/traffic.jsonl"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    String::from_utf8(said.out).unwrap().lines().map(str::to_owned).collect()
}

fn restore(config: &Path, from: &str) -> Answer {
    answer(&["state", "restore", "--config", config.to_str().unwrap(), "--from", from])
}

/// The copies in a folder, oldest first.
fn copies(folder: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(folder).unwrap().map(|of| of.unwrap().path());
    let mut found: Vec<PathBuf> =
        found.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("checkpoint-")).collect();
    found.sort();
    found
}

/// The last of a metric's samples.
fn metric(address: &str, sample: &str) -> Option<f64> {
    let (_, text) = get(address, "/metrics");
    text.lines().rfind(|line| line.starts_with(sample))?.rsplit(' ').next()?.parse().ok()
}

#[test]
fn a_state_comes_back_from_its_copies_when_its_disk_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("copies");
    let config = configured(folder.path(), "state", &format!("{{url: {}, keep: 2}}", at.display()));
    let day = traffic();
    for part in [&day[..100], &day[100..180], &day[180..250]] {
        let (_, log) = judge(&config, part);
        assert!(log.contains("copied a checkpoint"), "{log}");
    }
    assert_eq!(copies(&at).len(), 2, "the last ones stay");
    fs::remove_dir_all(folder.path().join("state")).unwrap();
    let restored = restore(&config, at.to_str().unwrap());
    assert_eq!(restored.code, Some(0), "{}", restored.err);
    assert!(restored.err.contains("a checkpoint after 250 events"), "{}", restored.err);
    let (verdicts, _) = judge(&config, &day[250..]);
    assert_eq!(verdicts, undisturbed(&config)[250..], "as if nothing had been");
    // Nothing is put over a state.
    let refused = restore(&config, at.to_str().unwrap());
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("has checkpoints or a journal") && refused.err.contains("hint: "), "{}", refused.err);
}

#[test]
fn a_copy_that_is_damaged_is_never_used() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("copies");
    let config = configured(folder.path(), "state", &format!("{{url: \"file://{}\"}}", at.display()));
    let day = traffic();
    judge(&config, &day[..100]);
    judge(&config, &day[100..200]);
    let newest = copies(&at).pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, &bytes).unwrap();
    let other = configured(folder.path(), "other", "{}");
    let restored = restore(&other, at.to_str().unwrap());
    assert_eq!(restored.code, Some(0), "{}", restored.err);
    assert!(restored.err.contains("warning: ") && restored.err.contains("is not what was written"), "{}", restored.err);
    assert!(restored.err.contains("a checkpoint after 100 events"), "{}", restored.err);
    for copy in copies(&at) {
        fs::write(copy, &bytes[..bytes.len() / 3]).unwrap();
    }
    let third = configured(folder.path(), "third", "{}");
    let refused = restore(&third, at.to_str().unwrap());
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("no copy of a checkpoint that can be used") && refused.err.contains("cut short"));
    // Another key is found at the start.
    fs::write(folder.path().join("state.key"), format!("{}\n", "7".repeat(64))).unwrap();
    let foreign = answer(&["run", "--config", other.to_str().unwrap()]);
    assert_eq!(foreign.code, Some(2), "{}", foreign.err);
    assert!(foreign.err.contains("is not the key that the state"), "{}", foreign.err);
}

#[test]
fn a_store_that_is_away_holds_nothing_up_and_is_caught_up_with() {
    const BUCKET: &str = "refguard";
    let mut moto = Moto::start(BUCKET);
    let folder = tempfile::tempdir().unwrap();
    let options = format!(
        "{{aws_endpoint: \"{}\", aws_allow_http: \"true\", aws_region: us-east-1, aws_access_key_id: a, aws_secret_access_key: b}}",
        moto.endpoint()
    );
    let url = format!("s3://{BUCKET}/state");
    let config = configured(folder.path(), "state", &format!("{{url: \"{url}\", options: {options}, keep: 2}}"));
    let day = traffic();
    let mut daemon = Daemon::start(&config);
    let address = daemon.address();
    let (mut stdin, stdout) = (daemon.stdin(), lines(daemon.stdout()));
    let mut judge = |events: &[String]| {
        stdin.write_all(events.concat().as_bytes()).unwrap();
        take(&stdout, events.len())
    };
    let up = "refguard_dependency_up{name=\"state.copies\"}";
    let mut verdicts = judge(&day[..100]);
    assert!(until(|| metric(&address, "refguard_copies_total") > Some(0.0)));
    assert_eq!(metric(&address, up), Some(1.0));
    moto.kill();
    verdicts.extend(judge(&day[100..200]));
    assert!(until(|| metric(&address, up) == Some(0.0)), "it is told");
    assert!(metric(&address, "refguard_copy_failures_total") > Some(0.0));
    assert!(metric(&address, "refguard_copy_lag_seconds") > Some(0.0));
    assert_eq!(get(&address, "/readyz").0, 200, "events are judged all the same");
    verdicts.extend(judge(&day[200..250]));
    moto.restart(BUCKET);
    assert!(until(|| metric(&address, up) == Some(1.0)), "it recovers by itself");
    daemon.terminate();
    let (status, log) = daemon.ended();
    assert!(status.success(), "{log}");
    let names = moto.objects(BUCKET);
    assert!(names.contains(&"state/key.id".to_owned()), "{names:?}");
    let other = configured(folder.path(), "other", &format!("{{url: \"{url}\", options: {options}}}"));
    let restored = restore(&other, &url);
    assert_eq!(restored.code, Some(0), "{}", restored.err);
    assert!(restored.err.contains("a checkpoint after 250 events"), "{}", restored.err);
    verdicts.extend(self::judge(&other, &day[250..]).0);
    assert_eq!(verdicts, undisturbed(&other), "byte for byte");
}

#[test]
fn what_is_configured_wrongly_is_told_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("{url: \"ftp://there/is\"}", "names no object store"),
        ("{url: \"s3://bucket\", options: {aws_regoin: x}}", "`aws_regoin` is no option of this store"),
        ("{url: copies, options: {aws_region: x}}", "`aws_region` is no option of this store"),
    ];
    for (copies, what) in cases {
        let config = configured(folder.path(), "state", copies);
        let refused = answer(&["run", "--config", config.to_str().unwrap()]);
        assert_eq!(refused.code, Some(2), "{}", refused.err);
        assert!(refused.err.contains(what) && refused.err.contains("hint: "), "{}", refused.err);
        assert!(!folder.path().join("state").exists());
    }
    let at = format!("{{url: {}}}", folder.path().join("copies").display());
    let config = configured(folder.path(), "state", &at);
    let alone = answer(&["run", "--standby", "--config", config.to_str().unwrap()]);
    assert_eq!(alone.code, Some(2), "{}", alone.err);
    assert!(alone.err.contains("--standby needs `state.copies` and `state.journal_topic`"), "{}", alone.err);
    let text = fs::read_to_string(&config).unwrap().replace(&format!("copies: {at}"), "journal_topic: j");
    fs::write(&config, text).unwrap();
    let refused = answer(&["run", "--config", config.to_str().unwrap()]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("state.journal_topic cannot be used: no source is a topic"), "{}", refused.err);
}
