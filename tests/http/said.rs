//! What refguard says goes in the transactions of the verdicts: none of it is lost, whatever the kills, and what comes again is the
//! same under the same id.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::holds::HELD;
use crate::support::http::{Served, configured, event};
use crate::support::kafka::{Kafka, unique};
use crate::support::until;

#[test]
fn what_is_said_is_there_whatever_the_kills() {
    let kafka = Kafka::shared();
    let [input, verdicts, dead, events] = ["orders", "verdicts", "dead", "events"].map(|name| kafka.topic(name, 1));
    let folder = tempfile::tempdir().expect("there is room");
    let (address, group) = (kafka.address(), unique("group"));
    let sources = format!(
        "{{inbox: {{http: {{}}}}, orders: {{kafka: {{brokers: [\"{address}\"], topics: [{input}], group: {group}}}}}}}"
    );
    let sink = |topic: &str| format!("{{kafka: {{topic: {topic}}}}}");
    let sinks = format!("{{verdicts: {}, dead_letters: {}, events: {}}}", sink(&verdicts), sink(&dead), sink(&events));
    let config = configured(folder.path(), &sources, &sinks, "");
    std::fs::write(folder.path().join("rules/telephone.yaml"), HELD).expect("there is room");
    let mut served = Served::of(folder, config);
    const HOLDS: usize = 5;
    for at in 0..HOLDS {
        let data = json!({"account_id": format!("a{at}"), "channel": "call_centre", "reward_id": format!("r{at}")});
        let mut asks = event(&format!("e{at}"), "/shop", data);
        asks["type"] = json!("reward.requested");
        let told = served.ask("POST", "/v1/evaluate", &asks.to_string()).json();
        let id = told["hold_id"].as_str().unwrap_or_else(|| panic!("it is held: {told}"));
        let released = served.ask("POST", &format!("/v1/holds/{id}/release"), r#"{"reason": "seen"}"#);
        assert_eq!(released.status, 200, "{released:?}");
        // At once: it is on the disk, and may not have been committed.
        served.kill();
        served.restart();
    }
    let mut by_id = BTreeMap::new();
    let is_whole = until(|| {
        for record in kafka.consume(&events, 3 * HOLDS) {
            let line: Value = serde_json::from_slice(&record.payload).expect("it is JSON");
            assert_eq!(record.key.as_deref(), line["data"]["account_id"].as_str(), "its key is the account");
            // That it was committed may not have been noted when the process was killed.
            let first = by_id.entry(line["id"].to_string()).or_insert_with(|| line.clone());
            assert_eq!(*first, line, "what comes again is the same");
        }
        by_id.len() >= 3 * HOLDS
    });
    assert!(is_whole && by_id.len() == 3 * HOLDS, "none is lost: {by_id:#?}");
}
