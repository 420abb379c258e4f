//! Another secret for checkpoints, with the real program and a real broker: nothing of what is said changes while it comes, at
//! whatever instant somebody is killed; and without it nothing is read.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use super::support::program::{Answer, answer, refguard};
use super::support::{kafka::Kafka, until};
use super::{Random, Setting, events, pass};

fn state(setting: &Setting, command: &str, arguments: &[&str]) -> Answer {
    let config = setting.config("state");
    answer(&[&["state", command, "--config", config.to_str().unwrap()], arguments].concat())
}

/// The lines of the key file, all of which are whole.
fn lines(setting: &Setting) -> Vec<String> {
    let text = fs::read_to_string(setting.folder.path().join("state.key")).unwrap();
    assert!(text.lines().all(|line| line.len() == 64) && text.ends_with('\n'), "{} bytes", text.len());
    text.lines().map(str::to_owned).collect()
}

fn put(setting: &Setting, lines: &[String]) {
    fs::write(setting.folder.path().join("state.key"), lines.join("\n")).unwrap();
}

/// The secrets of the checkpoints, the newest first.
fn secrets(setting: &Setting) -> Vec<String> {
    let shown = state(setting, "inspect", &[]);
    let shown: Value = serde_json::from_slice(&shown.out).unwrap();
    let checkpoints = shown["checkpoints"].as_array().unwrap().iter();
    checkpoints.map(|of| of["secret"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn secrets_change_while_events_are_judged_and_no_verdict_does() {
    let kafka = Kafka::shared();
    let setting = Setting::new(kafka);
    let all = events(&mut Random(80), 0, 1200);
    let mut daemon = setting.start("state");
    for (turn, part) in all.chunks(200).enumerate() {
        setting.produce(part);
        setting.verdicts(kafka, 200 * (turn + 1));
        let added = state(&setting, "rotate-key", &[]);
        assert_eq!(added.code, Some(0), "{}", added.err);
        assert_eq!(lines(&setting).len(), turn + 2);
        if turn % 2 == 1 && turn < 4 {
            daemon.kill();
            daemon = setting.start("state");
        }
    }
    setting.assert_once(&setting.verdicts(kafka, all.len()), &all);
    let more = events(&mut Random(81), all.len(), 200);
    let mut rest = more.chunks(5);
    let finished = until(|| {
        setting.produce(rest.next().unwrap_or_default());
        state(&setting, "rotate-key", &["--finish"]).code == Some(0)
    });
    assert!(finished, "{:?}", secrets(&setting));
    rest.for_each(|part| setting.produce(part));
    assert_eq!(lines(&setting).len(), 2, "the key and the newest secret");
    setting.assert_once(&setting.verdicts(kafka, 1400), &[all, more].concat());
    daemon.terminate();
    let (status, log) = daemon.ended();
    assert!(status.success() && log.contains("checkpoints are closed under another secret from here on"), "{log}");
}

#[test]
fn without_its_secret_a_state_is_refused_and_stays_as_it_is() {
    let kafka = Kafka::shared();
    let setting = Setting::new(kafka);
    let first = events(&mut Random(82), 0, 200);
    setting.produce(&first);
    let daemon = setting.start("state");
    setting.verdicts(kafka, 200);
    let stolen = lines(&setting);
    assert!(until(|| !secrets(&setting).is_empty()), "a checkpoint is there");
    // It writes no checkpoint meanwhile.
    daemon.signal("STOP");
    assert_eq!(state(&setting, "rotate-key", &[]).code, Some(0));
    let refused = state(&setting, "rotate-key", &["--finish"]);
    assert_eq!(refused.code, Some(1), "{}", refused.err);
    assert!(refused.err.contains("are closed under secrets of before\nhint: try again once"), "{}", refused.err);
    daemon.signal("CONT");
    daemon.terminate();
    assert!(daemon.ended().0.success());
    let (whole, newest) = (lines(&setting), secrets(&setting).remove(0));
    let other = [whole[0].clone(), "7".repeat(64)];
    for wrong in [&stolen[..], &other] {
        put(&setting, wrong);
        for command in [&["run"][..], &["state", "export"]] {
            let config = setting.config("state");
            let refused = answer(&[command, &["--config", config.to_str().unwrap()]].concat());
            assert_eq!(refused.code, Some(2), "{}", refused.err);
            let why = format!("is closed under secret {newest}, which state.key_file does not have");
            assert!(refused.err.contains(&why), "{}", refused.err);
            assert!(refused.err.contains("hint: put the line of that secret back"), "{}", refused.err);
        }
        // What can be said of it without the secret.
        assert_eq!(secrets(&setting)[0], newest);
        let checked = state(&setting, "verify", &[]);
        let told = String::from_utf8(checked.out).unwrap();
        assert!(checked.code == Some(0) && told.contains("only its checksums were looked at"), "{told}");
    }
    put(&setting, &["7".repeat(64), whole[1].clone()]);
    let foreign = state(&setting, "rotate-key", &[]);
    assert!(foreign.code == Some(2) && foreign.err.contains("is not the key that the state"), "{}", foreign.err);
    put(&setting, &whole);
    let second = events(&mut Random(83), 200, 100);
    setting.produce(&second);
    let daemon = setting.start("state");
    setting.assert_once(&setting.verdicts(kafka, 300), &[first, second].concat());
    daemon.terminate();
    assert!(daemon.ended().0.success());
}

#[test]
fn a_kill_in_the_middle_of_it_leaves_a_state_that_starts() {
    let kafka = Kafka::shared();
    let setting = Setting::new(kafka);
    let all = events(&mut Random(84), 0, 800);
    let mut random = Random(85);
    let (mut added, mut before) = (0, 1);
    for part in all.chunks(100) {
        setting.produce(part);
        let mut daemon = setting.start("state");
        daemon.said("judging");
        let config = setting.config("state");
        let mut rotating = refguard(&["state", "rotate-key", "--config", config.to_str().unwrap()]);
        let mut rotating = rotating.stderr(Stdio::null()).spawn().unwrap();
        pass(random.below(40));
        rotating.kill().unwrap();
        rotating.wait().unwrap();
        pass(random.below(400));
        daemon.kill();
        let now = lines(&setting).len();
        assert!(now == before || now == before + 1, "{before} lines became {now}");
        (added, before) = (added + now - before, now);
    }
    eprintln!("{added} of 8 secrets were added");
    let daemon = setting.start("state");
    setting.assert_once(&setting.verdicts(kafka, all.len()), &all);
    daemon.terminate();
    assert!(daemon.ended().0.success());
}
