//! Events as they come: compressed, under any name, with a byte-order mark, nested deeper than is read.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::fs;
use std::io::Write as _;

use serde_json::{Value, json};
use support::program::{Answer, answer_to, refguard};

fn event(id: &str, data: &Value) -> String {
    let event = json!({
        "specversion": "1.0", "id": id, "source": "/s", "type": "login.succeeded", "time": "2026-05-01T10:00:00Z", "data": data,
    });
    format!("{event}\n")
}

/// The ids of the events that were judged.
fn judged(of: &Answer) -> Vec<String> {
    assert_eq!(of.code, Some(0), "{}", of.err);
    let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["event_id"].as_str().unwrap().to_owned();
    std::str::from_utf8(&of.out).unwrap().lines().map(id).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_is_compressed_is_read_from_standard_input_and_under_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let account = json!({"account_id": "a"});
    let marked = format!("\u{feff}{}{}", event("1", &account), event("2", &account)).into_bytes();
    for bytes in [marked.clone(), gzip(&marked), zstd::encode_all(&marked[..], 1).unwrap()] {
        let piped = answer_to(refguard(&["eval", "-"]), &bytes);
        assert_eq!(judged(&piped), ["1", "2"], "{}", piped.err);
        assert_eq!(piped.err.matches("not_json").count(), 0, "{}", piped.err);
        for name in ["one.JSONL", "events"] {
            let path = folder.path().join(name);
            fs::write(&path, &bytes).unwrap();
            assert_eq!(judged(&answer_to(refguard(&["eval", path.to_str().unwrap()]), b"")), ["1", "2"], "{name}");
        }
    }
    let path = folder.path().join("one.JSONL.GZ");
    fs::write(&path, gzip(&marked)).unwrap();
    assert_eq!(judged(&answer_to(refguard(&["eval", path.to_str().unwrap()]), b"")), ["1", "2"]);
}

#[test]
fn what_nests_too_deep_is_told_so_and_not_that_it_is_no_json() {
    let text = |levels: usize| {
        let nested = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        let data = json!({"account_id": "a", "attributes": {"deep": "PLACE"}});
        event(&levels.to_string(), &data).replace("\"PLACE\"", &nested)
    };
    // The map itself is one level.
    let answer = answer_to(refguard(&["eval", "-"]), format!("{}{}", text(126), text(127)).as_bytes());
    assert_eq!(judged(&answer), ["126"], "{}", answer.err);
    assert!(answer.err.contains("nests deeper than 127 levels"), "{}", answer.err);
    assert!(!answer.err.contains("not JSON"), "{}", answer.err);
}
