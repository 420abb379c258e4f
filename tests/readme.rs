//! What a newcomer types: the README's rule and commands do what it says, and `make run` says the same however often.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;
use support::program::{ROOT, answer, answer_to, refguard};

fn readme() -> String {
    fs::read_to_string(format!("{ROOT}/README.md")).unwrap()
}

/// The blocks of a kind.
fn blocks<'a>(page: &'a str, kind: &str) -> Vec<&'a str> {
    let fence = format!("```{kind}\n");
    page.split(&fence).skip(1).map(|rest| rest.split_once("\n```").unwrap().0).collect()
}

#[test]
fn its_rule_and_commands_do_what_it_says() {
    let page = readme();
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("my-rules");
    fs::create_dir(&rules).unwrap();
    fs::write(rules.join("first.yaml"), blocks(&page, "yaml")[0]).unwrap();
    let commands: Vec<&str> = blocks(&page, "sh").into_iter().flat_map(str::lines).collect();
    let commands: Vec<&str> = commands.into_iter().filter(|line| line.starts_with("refguard ")).collect();
    assert!(commands.len() >= 5, "{commands:?}");
    for line in commands {
        let words: Vec<&str> = line.split_once('#').unwrap().0.split_whitespace().skip(1).collect();
        // Without a broker the daemon waits: what it is given is checked.
        let words = if words[0] == "run" { vec!["check", "--config", words[2]] } else { words };
        let rules = rules.to_str().unwrap();
        let words: Vec<&str> = words.into_iter().map(|word| if word == "my-rules" { rules } else { word }).collect();
        let answer = answer_to(refguard(&words), b"");
        assert_eq!(answer.code, Some(0), "{line}: {}", answer.err);
    }
}

#[test]
fn its_verdict_is_the_one_that_make_run_prints() {
    let page = readme();
    let shown: Value = serde_json::from_str(blocks(&page, "json")[0]).unwrap();
    let judged = answer(&["eval", "--config", "examples/refguard.yaml", "examples/traffic.jsonl"]);
    let lines = String::from_utf8(judged.out).unwrap();
    let id = shown["event_id"].as_str().unwrap();
    let line = lines.lines().find(|line| line.contains(&format!("\"{id}\""))).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    for name in ["source", "type", "verdict", "cause"] {
        assert_eq!(shown[name], line[name], "{name}");
    }
    let rule = &shown["rules"][0];
    let rules = line["rules"].as_array().unwrap();
    assert!(rules.iter().any(|of| of["id"] == rule["id"] && of["message"] == rule["message"]), "{line}");
}

/// The verdicts that `make run` prints, once it is built.
#[expect(clippy::disallowed_methods, reason = "the script finds its tools where this test does")]
fn run(target: &str, events: usize) -> Vec<String> {
    let mut command = Command::new("sh");
    command.args(["examples/run.sh", env!("CARGO_BIN_EXE_refguard")]).current_dir(ROOT).env_clear();
    command.env("PATH", std::env::var("PATH").unwrap()).env("CARGO_TARGET_DIR", target);
    command.env("REFGUARD_HTTP__LISTEN", "127.0.0.1:0").env("REFGUARD_METRICS__LISTEN", "127.0.0.1:0");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().take(events).map(Result::unwrap).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    lines
}

#[test]
fn make_run_says_the_same_each_time() {
    let traffic = fs::read_to_string(format!("{ROOT}/examples/traffic.jsonl")).unwrap();
    let events = traffic.lines().count();
    let target = tempfile::tempdir().unwrap();
    let first = run(target.path().to_str().unwrap(), events);
    let again = run(target.path().to_str().unwrap(), events);
    assert_eq!(first.len(), events);
    assert_eq!(first, again);
    for verdict in ["allow", "challenge", "hold", "block"] {
        assert!(first.iter().any(|line| line.contains(&format!("\"verdict\":\"{verdict}\""))), "{verdict}");
    }
    assert!(!first.iter().any(|line| line.contains("\"duplicate\":true") || line.contains("\"late\":true")));
}
