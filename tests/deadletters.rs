//! Dead letters are listed, and sent again once their cause was mended: from a file, and from a real broker.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use support::kafka::{Kafka, unique};
use support::kcat;
use support::program::{Answer, Daemon, answer, answer_to, refguard};

/// A rule that nothing meets: verdicts are enough.
const RULES: &str = r#"
version: 1
pack: none
rules:
  - {id: never, on: [login.succeeded], when: "event.account_id == \"nobody\"", score: 1, message: "never"}
"#;

/// The mapping as it was written first, and mended.
const BROKEN: &str = "/when";
const MENDED: &str = "/at";

/// A configuration whose source takes foreign events by a mapping with this pointer to their time.
fn configured(folder: &Path, time: &str, input: &str, letters: &str) -> PathBuf {
    let at = |name: &str| folder.join(name).display().to_string();
    fs::create_dir_all(folder.join("rules")).unwrap();
    fs::write(folder.join("rules/none.yaml"), RULES).unwrap();
    let text = format!(
        "sources:\n  shop:\n    {input}\n    mapping: {{id: {{pointer: /uuid}}, source: {{const: /shop}}, \
         type: {{const: login.succeeded}}, time: {{pointer: {time}, format: unix_ms}}, account_id: {{pointer: /user}}}}\n\
         sinks: {{verdicts: {{file: {}}}, dead_letters: {letters}}}\n\
         rules: {{path: {}}}\n\
         state: {{path: {}, key_file: {}}}\n\
         metrics: {{listen: \"127.0.0.1:0\"}}\n",
        at("verdicts.jsonl"),
        at("rules"),
        at("state"),
        at("state.key"),
    );
    let path = folder.join("refguard.yaml");
    fs::write(&path, text).unwrap();
    path
}

fn foreign(uuid: &str) -> String {
    json!({"uuid": uuid, "at": 1_700_000_000_000_i64, "user": "نورة"}).to_string()
}

fn letters_of(config: &Path, command: &str, arguments: &[&str]) -> Answer {
    let mut all = vec!["deadletters", command, "--config", config.to_str().unwrap()];
    all.extend(arguments);
    answer(&all)
}

fn values(bytes: &[u8]) -> Vec<Value> {
    std::str::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn lines_come_out_again_once_the_mapping_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let dead = folder.path().join("dead.jsonl");
    let letters = format!("{{file: {}}}", dead.display());
    let config = configured(folder.path(), BROKEN, "stdin: {}", &letters);
    let path = config.to_str().unwrap();
    let eval = |file: &str, input: &str| {
        let arguments = ["eval", "--config", path, "--source", "shop", "--dead-letters", file];
        answer_to(refguard(&arguments), input.as_bytes())
    };
    let input = format!("{}\n{{\"uuid\"\n{}\n", foreign("u1"), foreign("u2"));
    let judged = eval(dead.to_str().unwrap(), &input);
    assert_eq!((judged.code, judged.out.len()), (Some(0), 0), "{}", judged.err);

    let all = letters_of(&config, "list", &[]);
    assert_eq!(all.code, Some(0), "{}", all.err);
    assert_eq!(all.out, fs::read(&dead).unwrap(), "the lines as they are");
    assert_eq!(all.err, "3 dead letters: 2 missing_time, 1 not_json\n");
    let one =
        letters_of(&config, "list", &["--reason", "missing_time", "--position", "line 3", dead.to_str().unwrap()]);
    assert_eq!(values(&one.out).len(), 1, "{}", one.err);

    for (arguments, hint) in [
        (["--reason", "missing_tim"], "did you mean `missing_time`?"),
        (["--reason", "nope"], "known are: "),
        (["--source", "shp"], "did you mean `shop`?"),
        (["--source", "nope"], "known are: shop"),
    ] {
        for command in ["list", "retry"] {
            let refused = letters_of(&config, command, &arguments);
            assert_eq!((refused.code, refused.out.len()), (Some(2), 0), "{arguments:?}: {}", refused.err);
            assert!(refused.err.contains(arguments[1]) && refused.err.contains(hint), "{}", refused.err);
        }
    }
    let none = letters_of(&config, "list", &["--reason", "future", "--source", "shop"]);
    assert_eq!((none.code, none.err.as_str()), (Some(0), "0 dead letters\n"), "there is such a reason");

    // As long as the mapping is what it was, nothing is sent.
    let early = letters_of(&config, "retry", &[]);
    assert_eq!((early.code, early.out.len()), (Some(1), 0), "{}", early.err);
    assert!(early.err.contains("line 1 of shop: still not valid: ") && early.err.ends_with("0 sent again, 3 not\n"));

    configured(folder.path(), MENDED, "stdin: {}", &letters);
    let tried = letters_of(&config, "retry", &["--dry-run"]);
    assert_eq!((tried.code, tried.out.len()), (Some(1), 0));
    assert!(tried.err.ends_with("2 would be sent again, 1 not\n"), "{}", tried.err);
    let twice = [fs::read(&dead).unwrap(), fs::read(&dead).unwrap()].concat();
    let again =
        answer_to(refguard(&["deadletters", "retry", "--config", path, "--reason", "missing_time", "-"]), &twice);
    assert_eq!(again.code, Some(0), "{}", again.err);
    assert_eq!(again.out, format!("{}\n{}\n", foreign("u1"), foreign("u2")).into_bytes(), "each once");
    let judged = eval("/dev/null", std::str::from_utf8(&again.out).unwrap());
    let ids: Vec<Value> = values(&judged.out).iter().map(|verdict| verdict["event_id"].clone()).collect();
    assert_eq!(ids, ["u1", "u2"], "the same ids: {}", judged.err);
}

#[test]
fn what_is_no_dead_letter_or_was_changed_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path(), MENDED, "stdin: {}", "{}");
    let nowhere = letters_of(&config, "list", &[]);
    assert_eq!(nowhere.code, Some(2));
    assert!(nowhere.err.contains("no place where dead letters are kept") && nowhere.err.contains("hint: "));
    let gone = letters_of(&config, "list", &["gone.jsonl"]);
    assert_eq!(gone.code, Some(2), "{}", gone.err);

    let dead = folder.path().join("dead.jsonl");
    fs::write(&dead, "\n{\"reason\": 1}\n").unwrap();
    let bad = letters_of(&config, "list", &[dead.to_str().unwrap()]);
    assert_eq!(bad.code, Some(2));
    assert!(bad.err.contains("dead.jsonl:2: this is no dead letter"), "{}", bad.err);

    let letter = |reason: &str, source: &str, position: &str, raw: &str| {
        json!({
            "reason": reason, "detail": "", "source": source, "position": position, "ingest_time": "", "length": 2,
            "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "raw": raw,
        })
        .to_string()
    };
    let lines = [
        letter("mapping", "shop", "line 1", "{]"),
        letter("mapping", "gone", "line 2", "{}"),
        letter("id_reused", "shop", "line 3", "{}"),
        letter("too_large", "shop", "line 4", "{"),
    ];
    fs::write(&dead, lines.join("\n")).unwrap();
    let held = letters_of(&config, "retry", &[dead.to_str().unwrap()]);
    assert_eq!((held.code, held.out.len()), (Some(1), 0));
    let told: Vec<&str> = held.err.lines().collect();
    for (line, why) in
        told.iter().zip(["checksum differs", "no source gone", "id of its own", "first 1 of its 2 bytes"])
    {
        assert!(line.contains(why), "{line}");
    }
    assert_eq!(told.len(), 5, "{}", held.err);
}

#[test]
fn records_go_back_to_their_partition_with_their_headers() {
    let kafka = Kafka::shared();
    let folder = tempfile::tempdir().unwrap();
    let (input, dead, group) = (kafka.topic("in", 3), kafka.topic("dead", 1), unique("group"));
    let address = kafka.address();
    let source = format!("kafka: {{brokers: [\"{address}\"], topics: [{input}], group: {group}}}");
    let letters = format!("{{kafka: {{topic: {dead}}}}}");
    let config = configured(folder.path(), BROKEN, &source, &letters);
    let header = OsString::from("trace=a \u{e9}");
    kcat::produce_bytes(&address, &input, 2, &[header], foreign("u1").as_bytes());
    kcat::produce_bytes(&address, &input, 1, &[], foreign("u2").as_bytes());
    let daemon = Daemon::start(&config);
    assert_eq!(kafka.consume(&dead, 2).len(), 2);
    daemon.terminate();
    let (status, log) = daemon.ended();
    assert!(status.success(), "{log}");

    let listed = letters_of(&config, "list", &[]);
    assert!(listed.err.ends_with("2 dead letters: 2 missing_time\n"), "{}", listed.err);
    configured(folder.path(), MENDED, &source, &letters);
    let sent = letters_of(&config, "retry", &["--source", "shop"]);
    assert_eq!(sent.code, Some(0), "{}", sent.err);
    assert!(sent.err.ends_with("2 sent again, 0 not\n"), "{}", sent.err);

    let records = kafka.consume(&input, 4);
    for (partition, headers) in [(1, vec![]), (2, vec![("trace".to_owned(), "a \u{e9}".as_bytes().to_vec())])] {
        let there: Vec<_> = records.iter().filter(|record| record.partition == partition).collect();
        assert_eq!(there.len(), 2, "partition {partition}");
        assert!(there.iter().all(|record| record.payload == there[0].payload && record.headers == headers));
    }
    let daemon = Daemon::start(&config);
    let verdicts = folder.path().join("verdicts.jsonl");
    let judged = || fs::read_to_string(&verdicts).unwrap_or_default();
    assert!(support::until(|| judged().lines().count() >= 2), "{}", judged());
    daemon.terminate();
    let mut ids: Vec<Value> = values(judged().as_bytes()).iter().map(|verdict| verdict["event_id"].clone()).collect();
    ids.sort_by_key(Value::to_string);
    assert_eq!(ids, ["u1", "u2"]);
}
