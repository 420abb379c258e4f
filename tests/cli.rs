//! The commands from outside: what goes in, what comes out, what is told, and the exit code.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "cli/packs.rs"]
mod packs;
mod support;
#[path = "cli/terminal.rs"]
mod terminal;

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use support::program::{Answer, Daemon, ROOT, answer, answer_to, get, lines, refguard, take};

const TRAFFIC: &str = "examples/traffic.jsonl";

/// The day of example traffic.
fn traffic() -> String {
    fs::read_to_string(Path::new(ROOT).join(TRAFFIC)).unwrap()
}

/// The verdicts on it.
fn verdicts() -> &'static [u8] {
    static VERDICTS: OnceLock<Vec<u8>> = OnceLock::new();
    VERDICTS.get_or_init(|| done(answer(&["eval", TRAFFIC])).out)
}

/// An answer that must be a good one.
fn done(answer: Answer) -> Answer {
    assert_eq!(answer.code, Some(0), "{}", answer.err);
    answer
}

fn eval(arguments: &[&str], input: &[u8]) -> Answer {
    let mut command = refguard(&["eval"]);
    command.args(arguments);
    answer_to(command, input)
}

/// JSON, a line each.
fn values(lines: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(lines).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "whole lines");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn login(id: &str, time: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/test", "type": "login.succeeded", "time": time,
        "data": {"account_id": "a", "device_id": "d"},
    })
}

/// A configuration of `run` in a folder: state, verdicts and dead letters there, metrics on a free port.
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

/// The same, with verdicts on standard output.
fn to_stdout(folder: &Path, source: &str) -> PathBuf {
    let path = configured(folder, source);
    let file = format!("{{file: {}}}", folder.join("verdicts.jsonl").display());
    fs::write(&path, fs::read_to_string(&path).unwrap().replace(&file, "{stdout: {}}")).unwrap();
    path
}

fn example_source() -> String {
    format!("{{file: {ROOT}/{TRAFFIC}}}")
}

#[test]
fn the_same_file_gives_the_same_bytes() {
    assert_eq!(done(answer(&["eval", TRAFFIC])).out, verdicts());
}

#[test]
fn verdicts_do_not_depend_on_batches() {
    for batch in ["1", "7", "32", "1000"] {
        let mut command = refguard(&["eval", TRAFFIC]);
        command.env("REFGUARD_ENGINE__BATCH_EVENTS", batch);
        assert!(done(answer_to(command, b"")).out == verdicts(), "batches of {batch}");
    }
}

#[test]
fn compressed_files_and_standard_input_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let text = traffic();
    let gz = folder.path().join("traffic.jsonl.gz");
    let mut encoder = flate2::write::GzEncoder::new(fs::File::create(&gz).unwrap(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap();
    let zst = folder.path().join("traffic.jsonl.zst");
    fs::write(&zst, zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
    for path in [&gz, &zst] {
        assert!(done(answer(&["eval", path.to_str().unwrap()])).out == verdicts(), "{}", path.display());
    }
    assert!(done(eval(&["-"], text.as_bytes())).out == verdicts(), "-");
    assert!(done(eval(&[], text.as_bytes())).out == verdicts(), "no file is standard input");

    let cut = fs::read(&gz).unwrap();
    fs::write(&gz, &cut[..cut.len() / 2]).unwrap();
    let damaged = answer(&["eval", gz.to_str().unwrap()]);
    assert_eq!(damaged.code, Some(2));
    assert!(damaged.err.contains("does not decompress") && damaged.err.contains("hint: "), "{}", damaged.err);
}

#[test]
fn every_valid_event_gets_one_verdict_in_the_order_of_the_file() {
    let ids = |lines: &[u8], key: &str| -> Vec<String> {
        values(lines).iter().map(|value| value[key].as_str().unwrap().to_owned()).collect()
    };
    let events = ids(traffic().as_bytes(), "id");
    assert!(events.len() > 300);
    assert_eq!(ids(verdicts(), "event_id"), events);
    let found: Vec<Value> = values(verdicts()).into_iter().filter(|verdict| verdict["verdict"] != "allow").collect();
    assert!(!found.is_empty(), "the example shows fraud");
    assert!(found.iter().all(|verdict| verdict["cause"] != "none"), "and says why");
}

#[test]
fn invalid_lines_become_dead_letters_and_nothing_else_changes() {
    let text = traffic();
    let no_id = r#"{"specversion":"1.0","source":"/s","type":"t","time":"2026-05-01T00:00:00Z"}"#;
    let long = format!("{{\"x\":\"{}\"}}", "y".repeat(70_000));
    let invalid: [(&[u8], &str); 5] = [
        (b"not json", "not_json"),
        (no_id.as_bytes(), "missing_id"),
        (b"\xff\xfe", "not_utf8"),
        (long.as_bytes(), "too_large"),
        (br#"{"specversion":"1.0","id":7,"source":"/s","type":"t","time":"2026-05-01T00:00:00Z"}"#, "wrong_type"),
    ];
    let mut input = Vec::new();
    let mut expected = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if number % 50 == 0
            && let Some((raw, reason)) = invalid.get(number / 50)
        {
            input.extend_from_slice(raw);
            input.push(b'\n');
            expected.push((format!("line {}", number + number / 50 + 1), *reason, raw.len() as u64));
        }
        input.extend_from_slice(line.as_bytes());
        input.push(b'\n');
    }
    let letters = |lines: &[u8]| -> Vec<(String, String, u64)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let letter =
            |letter: Value| (text(&letter["position"]), text(&letter["reason"]), letter["length"].as_u64().unwrap());
        values(lines).into_iter().map(letter).collect()
    };
    let expected: Vec<(String, String, u64)> =
        expected.into_iter().map(|(position, reason, length)| (position, reason.to_owned(), length)).collect();

    let on_stderr = done(eval(&[], &input));
    assert!(on_stderr.out == verdicts());
    assert_eq!(letters(on_stderr.err.as_bytes()), expected);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dead.jsonl");
    fs::write(&file, "what an earlier call left").unwrap();
    let in_file = done(eval(&["--dead-letters", file.to_str().unwrap()], &input));
    assert!(in_file.out == verdicts());
    assert_eq!(in_file.err, "");
    assert_eq!(letters(&fs::read(&file).unwrap()), expected);
}

#[test]
fn an_array_on_a_line_is_judged_event_by_event() {
    let events: Vec<Value> = values(traffic().as_bytes());
    let mut text = String::new();
    for some in events.chunks(5) {
        writeln!(text, " {}", Value::from(some.to_vec())).unwrap();
    }
    assert!(done(eval(&[], text.as_bytes())).out == verdicts(), "as if each stood on a line of its own");

    let one = login("one", "2026-05-01T00:00:00Z");
    let mut other = one.clone();
    other["data"]["account_id"] = json!("b");
    let text = format!("{}\n[{one}, {{}}, {other}, 5]\n[,]\n", login("first", "2026-05-01T00:00:00Z"));
    let ended = done(eval(&[], text.as_bytes()));
    assert_eq!(values(&ended.out).len(), 2);
    let letters: Vec<(Value, Value, Value)> = values(ended.err.as_bytes())
        .into_iter()
        .map(|letter| (letter["position"].clone(), letter["reason"].clone(), letter["raw"].clone()))
        .collect();
    let letter = |position, reason, raw: &str| (json!(position), json!(reason), json!(raw));
    let expected = [
        letter("line 2, event 2", "bad_specversion", "{}"),
        letter("line 2, event 3", "id_reused", &other.to_string()),
        letter("line 2, event 4", "wrong_type", "5"),
        letter("line 3", "not_json", "[,]"),
    ];
    assert_eq!(letters, expected);
}

#[test]
fn events_of_the_future_are_refused_unless_allowed() {
    let event = login("tomorrow", "2999-01-01T00:00:00Z").to_string();
    let refused = done(eval(&[], event.as_bytes()));
    assert_eq!(refused.out, b"");
    assert_eq!(values(refused.err.as_bytes())[0]["reason"], "future");
    let allowed = done(eval(&["--allow-future"], event.as_bytes()));
    assert_eq!(values(&allowed.out)[0]["event_id"], "tomorrow");
    assert_eq!(allowed.err, "");
}

#[test]
fn a_repeat_is_marked_and_the_same_id_with_other_data_is_refused() {
    let event = login("once", "2026-05-01T00:00:00Z");
    let mut other = event.clone();
    other["data"]["account_id"] = json!("b");
    let answer = done(eval(&[], format!("{event}\n{event}\n{other}\n").as_bytes()));
    let told = values(&answer.out);
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].get("duplicate"), None);
    assert_eq!(told[1]["duplicate"], true);
    assert_eq!(told[1]["verdict"], told[0]["verdict"]);
    let letters = values(answer.err.as_bytes());
    assert_eq!((&letters[0]["reason"], &letters[0]["position"]), (&json!("id_reused"), &json!("line 3")));

    let doubled = traffic().lines().fold(String::new(), |mut text, line| {
        writeln!(text, "{line}\n{line}").unwrap();
        text
    });
    let doubled = done(eval(&[], doubled.as_bytes())).out;
    let firsts = doubled.split_inclusive(|byte| *byte == b'\n').step_by(2).collect::<Vec<_>>().concat();
    assert!(firsts == verdicts(), "repeats change no state");
}

#[test]
fn run_says_what_eval_says() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path(), &example_source());
    let (status, log) = Daemon::start(&config).ended();
    assert!(status.success(), "{log}");
    assert!(fs::read(folder.path().join("verdicts.jsonl")).unwrap() == verdicts());
    assert_eq!(fs::read(folder.path().join("dead.jsonl")).unwrap(), b"");
    let with_key = done(answer(&["eval", "--config", config.to_str().unwrap(), TRAFFIC]));
    assert!(with_key.out == verdicts(), "whichever key");
}

#[test]
fn without_a_named_configuration_the_key_is_that_of_the_one_found() {
    const RULES: &str = "version: 1\npack: p\nrules:\n  - {id: any, on: [login.succeeded], when: device.id != '', \
                         message: '{device.id}', mode: enforce, score: 1}\n";
    let folder = tempfile::tempdir().unwrap();
    for name in ["config", "secrets", "rules"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("rules/p.yaml"), RULES).unwrap();
    let mut event = login("e", "2026-05-01T10:00:00Z");
    event["data"] = json!({"account_id": "a", "device": {"model": "x"}});
    let device = |arguments: &[&str]| {
        let mut command = refguard(&["eval"]);
        command.args(arguments).current_dir(folder.path());
        let verdicts = values(&done(answer_to(command, format!("{event}\n").as_bytes())).out);
        verdicts[0]["rules"][0]["message"].as_str().unwrap().to_owned()
    };
    let without = device(&[]);
    fs::write(folder.path().join("secrets/state.key"), "5".repeat(64)).unwrap();
    assert_eq!(device(&[]), without, "no configuration: the documented constant");
    fs::write(folder.path().join("config/refguard.yaml"), "state: {key_file: secrets/state.key}\n").unwrap();
    let named = device(&["--config", "config/refguard.yaml"]);
    assert_ne!(named, without);
    assert_eq!(device(&[]), named, "the configuration that is found is as good as the one that is named");
}

#[test]
fn a_killed_run_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path(), &example_source());
    let mut killed = Daemon::start_with(&config, &["--linger"]);
    let address = killed.address();
    killed.said("every source has ended; metrics stay until a signal comes");
    assert_eq!(get(&address, "/readyz"), (200, "ready\n".to_owned()));
    let metrics = get(&address, "/metrics").1;
    let counted: u64 = metrics
        .lines()
        .filter(|line| line.starts_with("refguard_events_total{"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(counted, traffic().lines().count() as u64);
    for of_the_engine in ["refguard_ruleset_info{", "refguard_state_entries{", "refguard_rule_matches_total{"] {
        assert!(metrics.contains(of_the_engine), "the first scrape after the end has {of_the_engine}: {metrics}");
    }
    let matches = metrics.lines().filter(|line| line.starts_with("refguard_rule_matches_total{"));
    assert!(matches.into_iter().any(|line| !line.ends_with(" 0")), "as of the end: {metrics}");
    killed.kill();

    let (status, log) = Daemon::start(&config).ended();
    assert!(status.success(), "{log}");
    let written = fs::read(folder.path().join("verdicts.jsonl")).unwrap();
    let (first, second) = written.split_at(verdicts().len());
    assert!(first == verdicts(), "appended to what the first has written");
    // The first had come to the end of its sources: a checkpoint has all of it.
    let bare = |of: &[u8]| -> Vec<[Value; 2]> {
        values(of).into_iter().map(|verdict| ["event_id", "verdict"].map(|name| verdict[name].clone())).collect()
    };
    assert_eq!(bare(second), bare(first));
    assert!(values(second).iter().all(|verdict| verdict["duplicate"] == true));
}

#[test]
fn state_without_its_key_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path(), &example_source());
    let run = || done_or_not(Daemon::start(&config));
    assert_eq!(run().0, Some(0));
    let key = folder.path().join("secrets/state.key");
    let kept = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    let (code, told) = run();
    assert_eq!(code, Some(2));
    assert!(told.contains("state.key is missing, but ") && told.contains("hint: restore the key"), "{told}");
    assert!(!key.exists(), "no other is made");
    fs::write(&key, "0".repeat(64)).unwrap();
    let (code, told) = run();
    assert_eq!(code, Some(2));
    assert!(told.contains("is not the key that the state in") && told.contains("hint: "), "{told}");
    fs::write(&key, "secret word").unwrap();
    let (code, told) = run();
    assert_eq!(code, Some(2));
    assert!(told.contains("holds 11 characters, not 64 hex digits") && !told.contains("secret word"), "{told}");
    fs::write(&key, kept).unwrap();
    assert_eq!(run().0, Some(0));
}

fn done_or_not(daemon: Daemon) -> (Option<i32>, String) {
    let (status, log) = daemon.ended();
    (status.code(), log)
}

#[test]
fn a_signal_ends_a_run_whose_input_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(&to_stdout(folder.path(), "{stdin: {}}"));
    let (mut stdin, stdout) = (daemon.stdin(), lines(daemon.stdout()));
    stdin.write_all(traffic().as_bytes()).unwrap();
    let expected: Vec<&str> = std::str::from_utf8(verdicts()).unwrap().lines().collect();
    assert_eq!(take(&stdout, expected.len()), expected, "verdicts come while the input stays open");
    daemon.terminate();
    let (status, log) = daemon.ended();
    assert!(status.success(), "{log}");
    assert!(log.contains("\"stopped\""), "{log}");
    drop(stdin);
}

/// So much traffic that no pipe holds its verdicts.
fn long_traffic(folder: &Path) -> PathBuf {
    let path = folder.join("long.jsonl");
    let mut file = fs::File::create(&path).unwrap();
    for round in 0..60 {
        file.write_all(traffic().replace("\"id\":\"day-", &format!("\"id\":\"r{round}-")).as_bytes()).unwrap();
    }
    path
}

#[test]
fn a_signal_ends_a_run_after_what_was_read_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let long = long_traffic(folder.path());
    let all = done(answer(&["eval", long.to_str().unwrap()])).out;
    let mut daemon = Daemon::start(&to_stdout(folder.path(), &format!("{{file: {}}}", long.display())));
    let mut stdout = daemon.stdout();
    // One byte is there: the pipe fills up, and everything before it waits.
    let mut written = vec![0];
    stdout.read_exact(&mut written).unwrap();
    daemon.terminate();
    let mut log = String::new();
    std::thread::scope(|scope| {
        let rest = scope.spawn(|| stdout.read_to_end(&mut written));
        let (status, told) = daemon.ended();
        assert!(status.success(), "{told}");
        log = told;
        rest.join().unwrap().unwrap();
    });
    assert!(written.ends_with(b"\n") && all.starts_with(&written), "whole verdicts, none left out");
    assert!(written.len() < all.len(), "it did not read on");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let long = long_traffic(folder.path());
    let script = format!("\"$1\" eval {} | head -n 1; echo \"${{PIPESTATUS[0]}}\"", long.display());
    let mut command = std::process::Command::new("bash");
    command.current_dir(ROOT).args(["-c", &script, "bash", env!("CARGO_BIN_EXE_refguard")]);
    let ended = answer_to(command, b"");
    assert_eq!(ended.err, "");
    let out = String::from_utf8(ended.out).unwrap();
    let mut lines = out.lines();
    assert!(lines.next().unwrap().starts_with("{\"specversion\":\"1\",\"event_id\":\"r0-00000\""), "{out}");
    assert_eq!(lines.next(), Some("0"), "{out}");

    let mut quiet = refguard(&["eval"]);
    quiet.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut quiet = quiet.spawn().unwrap();
    let mut stdin = quiet.stdin.take().unwrap();
    drop(quiet.stdout.take());
    stdin.write_all(format!("{}\n", login("one", "2026-05-01T00:00:00Z")).as_bytes()).unwrap();
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(quiet.wait().unwrap().code()));
    let code = ended.recv_timeout(std::time::Duration::from_secs(30));
    assert_eq!(code, Ok(Some(0)), "it ends although its input stays open");
    drop(stdin);
}

#[test]
fn a_full_disk_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path(), &example_source());
    let text = fs::read_to_string(&config).unwrap();
    let file = folder.path().join("verdicts.jsonl").display().to_string();
    fs::write(&config, text.replace(&file, "/dev/full")).unwrap();
    let (code, told) = done_or_not(Daemon::start(&config));
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("error: cannot write to /dev/full: ") && told.contains("hint: free space"), "{told}");

    let mut command = refguard(&["eval", "--dead-letters", "/dev/full"]);
    command.arg("-");
    let ended = answer_to(command, b"not json\n");
    assert_eq!(ended.code, Some(3), "{}", ended.err);
}

/// A folder of rules with one pack.
fn pack(folder: &Path, text: &str) -> String {
    fs::write(folder.join("pack.yaml"), text).unwrap();
    folder.to_str().unwrap().to_owned()
}

const PACK: &str = "\
version: 1
pack: small
rules:
  - id: any-login
    on: [login.succeeded]
    when: event.account_id != \"\"
    score: 20
tests:
  - name: a login is seen
    events:
      - {type: login.succeeded, at: 0s, account_id: a}
    expect: {verdict: flag, rules: [any-login]}
";

#[test]
fn check_says_what_is_wrong_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("bad.yaml");
    fs::write(&config, "state:\n  max_bytes: 4GB\n").unwrap();
    let path = config.to_str().unwrap();
    for command in ["check", "test", "run", "eval"] {
        let refused = answer(&[command, "--config", path]);
        assert_eq!(refused.code, Some(1), "{command}: {}", refused.err);
        assert!(refused.err.starts_with(&format!("{path}:2:14: error[type]: ")), "{command}: {}", refused.err);
        assert_eq!(refused.out, b"");
    }
    let rules = pack(folder.path(), &PACK.replace("event.account_id", "event.acount_id"));
    fs::remove_file(&config).unwrap();
    let refused = answer(&["check", "--rules", &rules]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.starts_with(&format!("{rules}/pack.yaml:6:17: error[unknown-field]: ")), "{}", refused.err);
    assert!(refused.err.contains("hint: did you mean `account_id`?"), "{}", refused.err);

    let absent = answer(&["check", "--config", path]);
    assert_eq!(absent.code, Some(2));
    assert!(absent.err.contains(path), "{}", absent.err);
    let good = done(answer(&["check"]));
    assert!(good.err.contains(" 0 failed\n"), "{}", good.err);
}

#[test]
fn a_file_of_signals_that_cannot_be_used_is_told_at_its_setting() {
    let folder = tempfile::tempdir().unwrap();
    let rules = pack(folder.path(), &PACK.replace("event.account_id != \"\"", "ip.tor || ip.country == \"SA\""));
    let at = |name: &str| folder.path().join(name).display().to_string();
    let config = at("signals.yml.txt");
    fs::write(at("tor.txt"), "198.51.100.7\nnot a network\n").unwrap();
    for (setting, file, said) in [
        ("tor", "nope.txt", "nope.txt: No such file"),
        ("tor", "tor.txt", "tor.txt:2: "),
        ("country_db", "tor.txt", "the database of countries cannot be used"),
    ] {
        fs::write(&config, format!("signals:\n  {setting}: {}\n", at(file))).unwrap();
        for command in ["check", "test", "eval"] {
            let refused = answer(&[command, "--rules", &rules, "--config", &config]);
            assert_eq!(refused.code, Some(1), "{command}: {}", refused.err);
            let place = format!("{config}:2:{}: error[unusable]: ", setting.len() + 5);
            assert!(refused.err.starts_with(&place) && refused.err.contains(said), "{command}: {}", refused.err);
        }
    }
}

#[test]
fn a_run_without_a_source_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path(), "{}");
    let text = fs::read_to_string(&config).unwrap().replacen("sources: {day: {}}", "sources: {}", 1);
    let path = folder.path().join("without.yaml");
    fs::write(&path, text).unwrap();
    let (code, told) = done_or_not(Daemon::start(&path));
    assert_eq!(code, Some(2), "{told}");
    assert!(!told.contains("metrics and probes"), "{told}");
    assert!(!folder.path().join("secrets/state.key").exists(), "no key is made for nothing: {told}");
}

#[test]
fn a_wrong_call_is_exit_code_2() {
    for arguments in [&["--no-such-flag"][..], &["no-such-command"], &["schema", "no-such-thing"], &[]] {
        assert_eq!(answer(arguments).code, Some(2), "{arguments:?}");
    }
    let missing = answer(&["eval", "no/such/file.jsonl"]);
    assert_eq!(missing.code, Some(2));
    assert!(
        missing.err.contains("cannot open no/such/file.jsonl") && missing.err.contains("hint: "),
        "{}",
        missing.err
    );
    for wrong in [&["eval", "."][..], &["eval", "--rules", "no/such/rules"], &["check", "--rules", "Cargo.toml"]] {
        let ended = answer(wrong);
        assert_eq!(ended.code, Some(2), "{wrong:?}: {}", ended.err);
        assert!(ended.err.contains(wrong[wrong.len() - 1]) && ended.err.contains("hint: "), "{wrong:?}: {}", ended.err);
    }
    let source = answer(&["eval", "--source", "nobody", TRAFFIC]);
    assert_eq!(source.code, Some(2), "{}", source.err);
    assert_eq!(answer(&["--help"]).code, Some(0));
    assert!(answer(&["--version"]).out.starts_with(b"refguard "));
}

#[test]
fn a_cluster_that_is_away_is_exit_code_3() {
    // A port that was free a moment ago: nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let source = format!("{{kafka: {{brokers: [\"127.0.0.1:{port}\"], topics: [events]}}}}");
    let (code, told) = done_or_not(Daemon::start(&configured(folder.path(), &source)));
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains(&format!("no Kafka broker answers at 127.0.0.1:{port}")), "{told}");
    assert!(told.contains("hint: check that the brokers run"), "{told}");
}

#[test]
fn schemas_are_json_schemas() {
    for of in ["event", "verdict", "alert", "config", "rules"] {
        let schema: Value = serde_json::from_slice(&done(answer(&["schema", of])).out).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{of}");
        assert_eq!(schema["type"], "object", "{of}");
        assert!(schema["properties"].as_object().is_some_and(|keys| keys.len() > 4), "{of}");
    }
    let schema: Value = serde_json::from_slice(&answer(&["schema", "verdict"]).out).unwrap();
    for verdict in values(verdicts()) {
        let keys = schema["properties"].as_object().unwrap();
        assert!(verdict.as_object().unwrap().keys().all(|key| keys.contains_key(key)), "{verdict}");
        assert!(schema["required"].as_array().unwrap().iter().all(|key| verdict.get(key.as_str().unwrap()).is_some()));
    }
}

#[test]
fn memory_is_asked_for_in_huge_pages_unless_the_operator_says_otherwise() {
    let said = |conf: &str| {
        let mut command = refguard(&["--version"]);
        command.env("_RJEM_MALLOC_CONF", format!("confirm_conf:true{conf}"));
        let told = answer_to(command, b"").err;
        told.lines().filter_map(|line| line.split("Set conf value: thp:").nth(1)).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(said(""), ["always"]);
    assert_eq!(said(",thp:default"), ["always", "default"], "the last one counts");
}
