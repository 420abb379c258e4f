//! `refguard bench`, small: that its figures are there and can be true. No test looks at a time.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use serde_json::Value;
use std::time::Duration;
use support::kafka::Kafka;
use support::program::{Answer, answer};
use support::until;

const SMALL: [&str; 7] = ["bench", "--accounts", "1000", "--events", "3000", "--rounds", "1"];

/// The answer to `bench` with these arguments as well.
fn bench(arguments: &[&str]) -> Answer {
    let answer = answer(&[&SMALL[..], arguments].concat());
    assert_eq!(answer.code, Some(0), "{}", answer.err);
    answer
}

fn figures(arguments: &[&str]) -> Value {
    serde_json::from_slice(&bench(&[&["--json"], arguments].concat()).out).unwrap()
}

fn positive(value: &Value) -> f64 {
    let figure = value.as_f64().unwrap_or_else(|| panic!("{value} is no figure"));
    assert!(figure.is_finite() && figure > 0.0, "{figure}");
    figure
}

fn whole(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

/// The figures of a path: all there, and the share is not that of other figures.
fn assert_path(path: &Value, events: u64) {
    assert_eq!(whole(&path["events"]), events);
    assert!(whole(&path["line_bytes"]) > 200, "a verdict has a length: {path}");
    let (with, without) = (positive(&path["events_per_second"]), positive(&path["events_per_second_without_engine"]));
    assert!((positive(&path["share"]) - with / without).abs() < 1e-9, "there is one round: {path}");
}

#[test]
fn the_usual_parts_have_figures() {
    let report = figures(&[]);
    let population = &report["populations"][0];
    assert_eq!(whole(&population["accounts"]), 1000);
    assert_eq!(whole(&population["distinct"]["devices"]), 750);
    assert!(whole(&population["caches"]["user_agents"]["hits"]) > 2000, "400 user agents are soon known");
    positive(&population["engine_events_per_second"]);
    positive(&population["all_steps_events_per_second"]);
    for step in ["parse", "derive", "engine", "write"] {
        positive(&population["ns_per_event"][step]);
    }
    let features = population["features"].as_array().unwrap();
    assert!(features.len() >= 12);
    for feature in features {
        assert!(whole(&feature["bytes"]) > whole(&feature["keys"]) && whole(&feature["keys"]) > 0, "{feature}");
    }
    assert_path(&report["file_to_verdict_lines"], 3000);
    assert!(
        ["workload", "kafka_to_kafka", "growth", "aggregates", "links", "attack", "checkpoint"]
            .iter()
            .all(|part| report[part].is_null())
    );
}

#[test]
fn compiled_and_interpreted_conditions_say_the_same() {
    let conditions = &figures(&[])["conditions"];
    assert_eq!(whole(&conditions["differences"]), 0);
    assert!(whole(&conditions["compared"]) > 1000);
    let each = conditions["conditions"].as_array().unwrap();
    assert!(each.len() >= 10);
    let mut product = 1.0;
    for condition in each {
        let (compiled, interpreted) = (positive(&condition["compiled_ns"]), positive(&condition["interpreted_ns"]));
        assert!((positive(&condition["ratio"]) / (interpreted / compiled) - 1.0).abs() < 1e-9, "{condition}");
        product *= interpreted / compiled;
    }
    let mean = product.powf(1.0 / each.len() as f64);
    assert!((positive(&conditions["geometric_mean_ratio"]) / mean - 1.0).abs() < 1e-9);
}

#[test]
fn the_workload_counts_the_matches_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    let line = |at: usize| {
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{at}\",\"source\":\"/shop\",\"type\":\"account.created\",\
             \"time\":\"2026-01-01T00:00:00Z\",\"data\":{{\"program\":\"p1\",\"account_id\":\"a{at}\",\"device_id\":\"d\"}}}}\n"
        )
    };
    std::fs::write(&file, (0..10).map(line).collect::<String>() + "no event\n").unwrap();
    let report = figures(&["--alone", "--workload", file.to_str().unwrap()]);
    assert!(report["populations"].as_array().unwrap().is_empty() && report["conditions"].is_null());
    let workload = &report["workload"];
    assert_eq!((whole(&workload["events"]), whole(&workload["refused"])), (10, 1));
    positive(&workload["events_per_second"]);
    let matches = ["w1", "w2", "w3", "w4", "w5"].map(|rule| whole(&workload["matches"][rule]));
    assert_eq!(matches, [5, 0, 7, 0, 0], "the sixth sign-up and later ones; the fourth account and later ones");

    let made_up = &figures(&["--alone", "--workload"])["workload"];
    assert_eq!((whole(&made_up["events"]), whole(&made_up["refused"])), (3000, 0));
}

#[test]
fn growth_tells_of_memory_and_pauses() {
    let growth = &figures(&["--alone", "--growth", "5000"])["growth"];
    let tables = growth["tables"].as_array().unwrap();
    let names: Vec<&str> = tables.iter().map(|table| table["aggregate"].as_str().unwrap()).collect();
    assert_eq!(names, ["count", "distinct", "last", "set", "sum"]);
    for table in tables {
        assert_eq!(whole(&table["keys"]), 5000);
        assert!((20 * 5000..1000 * 5000).contains(&whole(&table["bytes"])), "{table}");
    }
    let batch = ["median", "p999", "longest", "longest_seen"].map(|of| positive(&growth["batch_us"][of]));
    assert!(batch.is_sorted(), "{batch:?}");
}

#[test]
fn checkpoints_tell_of_bytes_waits_and_recovery() {
    let report = &figures(&["--alone", "--checkpoint", "20000"])["checkpoint"];
    assert_eq!((whole(&report["keys"]), whole(&report["identities"])), (20_000, 4000));
    let key = positive(&report["bytes_per_key"]);
    assert!((20.0..=60.0).contains(&key), "{key}");
    assert_eq!(whole(&report["file_bytes"]) / 100_000, (key * 20_000.0 + 4000.0 * 32.0) as u64 / 100_000);
    for of in ["recovered_ms", "checked_ms", "written_at_once_ms", "begun_us", "longest_step_us", "events_per_second"] {
        positive(&report[of]);
    }
    assert!(whole(&report["steps"]) > 10, "{report}");
    for lane in ["without", "with"] {
        let waits = ["median", "p99", "p999", "longest"].map(|of| positive(&report["wait_us"][lane][of]));
        assert!(waits.is_sorted(), "{waits:?}");
    }
}

#[test]
fn every_aggregate_has_a_cost() {
    let report = &figures(&["--alone", "--aggregates", "4000"])["aggregates"];
    assert_eq!(whole(&report["keys"]), 4000);
    let costs = report["costs"].as_array().unwrap();
    assert_eq!(costs.len(), 14);
    for cost in costs {
        // Times are differences, and may be anything where there is so little to do.
        assert!(cost["ns_per_event"]["new_key"].is_f64() && cost["ns_per_event"]["known_key"].is_f64(), "{cost}");
        assert!((20.0..1500.0).contains(&positive(&cost["bytes"]["key"])), "{cost}");
    }
    let entry = |name: &str| {
        let found = costs.iter().find(|cost| cost["aggregate"] == name).unwrap();
        found["bytes"]["further_entry"].as_f64().unwrap()
    };
    assert!(entry("count") >= 8.0 && entry("set") >= entry("count"), "an entry is kept for each event");
    assert!(
        entry("rate").abs() < 1.0 && entry("count, bucket") < entry("count"),
        "and none where a number stands for all"
    );
}

#[test]
fn links_tell_of_every_shape() {
    let links = &figures(&["--alone", "--links", "2000"])["links"];
    let shapes: Vec<&Value> = links.as_array().unwrap().iter().collect();
    assert_eq!(shapes.len(), 4);
    for shape in &shapes {
        assert_eq!(whole(&shape["accounts"]), 2000);
        positive(&shape["events_per_second"]["made"]);
        positive(&shape["events_per_second"]["renewed"]);
        let batch = ["p999", "longest"].map(|of| positive(&shape["batch_us"][of]));
        assert!(batch.is_sorted(), "{batch:?}");
    }
    let nodes: Vec<u64> = shapes.iter().map(|shape| whole(&shape["nodes"])).collect();
    assert_eq!(nodes, [4000, 4000, 2106, 4000], "accounts, and the values that link them");
}

#[test]
fn an_attack_is_kept_below_the_bound() {
    let attack = &figures(&["--alone", "--attack", "400000", "--attack-mib", "16"])["attack"];
    assert!(whole(&attack["state_bytes_most"]) <= whole(&attack["max_bytes"]), "{attack}");
    assert!(whole(&attack["state_bytes_most"]) > whole(&attack["max_bytes"]) / 2, "{attack}");
    for part in attack["parts"].as_array().unwrap() {
        if part["part"].as_str().unwrap().starts_with("attack_device") {
            assert!(part["saturated"].as_bool().unwrap() && whole(&part["refused"]) > 300_000, "{part}");
        }
    }
    for honest in attack["honest"].as_array().unwrap() {
        assert_eq!((whole(&honest["different"]), whole(&honest["known_not_exact"])), (0, 0), "{honest}");
        assert!(whole(&honest["known"]) >= 2000 && whole(&honest["later"]) >= 500, "{honest}");
        assert_eq!(whole(&honest["later"]), whole(&honest["later_not_exact"]), "refused, and said so: {honest}");
    }
    for of in ["before", "after"] {
        positive(&attack["events_per_second"][of]);
    }
}

#[test]
fn the_tables_name_every_part_and_what_was_left_out() {
    let text = String::from_utf8(bench(&["--workload", "--growth", "2000", "--links", "2000"]).out).unwrap();
    for part in [
        "engine events/s",
        "user agents",
        "geometric mean",
        "file to verdict lines: ",
        "w5 ",
        "longest ",
        "stars of 19 ",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    assert!(text.contains("topic to topic: not measured; `--kafka HOST:PORT` does it"), "{text}");
}

#[test]
fn what_cannot_be_measured_is_told() {
    let told = |arguments: &[&str]| {
        let answer = answer(&[&SMALL[..1], arguments].concat());
        assert_eq!(answer.code, Some(2), "{}", answer.err);
        answer.err
    };
    assert!(told(&["--alone"]).contains("hint: add `--workload`"));
    assert!(told(&["--accounts", "10"]).contains("too few"));
    assert!(told(&["--growth", "10"]).contains("too few"));
    assert!(told(&["--links", "10"]).contains("too few"));
    assert!(told(&["--alone", "--workload", "nowhere.jsonl"]).contains("nowhere.jsonl"));
}

#[test]
fn topic_to_topic_has_figures_and_leaves_no_topic() {
    let kafka = Kafka::shared();
    let path = &figures(&["--alone", "--kafka", &kafka.address()])["kafka_to_kafka"];
    assert_path(path, 3000);

    let mut client = ClientConfig::new();
    let consumer: BaseConsumer = client.set("bootstrap.servers", kafka.address()).create().unwrap();
    let gone = until(|| {
        let metadata = consumer.fetch_metadata(None, Duration::from_secs(10)).unwrap();
        !metadata.topics().iter().any(|topic| topic.name().starts_with("refguard-bench-"))
    });
    assert!(gone, "the topics were removed");
}

#[test]
fn the_api_is_measured_beside_a_call_that_answers_a_constant() {
    let answer = answer(&["bench", "http", "--connections", "4", "--seconds", "1", "--rounds", "1", "--json"]);
    assert_eq!(answer.code, Some(0), "{}", answer.err);
    let report: Value = serde_json::from_slice(&answer.out).unwrap();
    assert_eq!(whole(&report["connections"]), 4);
    let [evaluate, constant] = ["evaluate", "constant"].map(|call| {
        let call = &report[call];
        for wait in ["median_ms", "p99_ms", "longest_ms"] {
            positive(&call["at_half_load"][wait]);
        }
        positive(&call["answers_per_second"])
    });
    assert!((positive(&report["share"]) - evaluate / constant).abs() < 1e-9, "there is one round: {report}");
    positive(&report["p99_ratio"]);
    positive(&report["syncs_per_second"]);
    assert!(report["backlog"].is_null());
    let none = support::program::answer(&["bench", "http", "--accounts", "1000"]);
    assert_eq!(none.code, Some(2), "what measures engines measures no API: {}", none.err);
}

#[test]
fn the_stream_is_measured_to_its_last_subscriber() {
    let answer = answer(&["bench", "stream", "--subscribers", "300", "--changes", "3", "--json"]);
    assert_eq!(answer.code, Some(0), "{}", answer.err);
    let report: Value = serde_json::from_slice(&answer.out).unwrap();
    assert_eq!((whole(&report["subscribers"]), whole(&report["changes"])), (300, 3));
    let took = &report["asked_to_last"];
    assert!(positive(&took["median_ms"]) <= positive(&took["longest_ms"]));
    assert!(
        report["verdict_to_last"]["longest_ms"].as_f64() < took["longest_ms"].as_f64(),
        "the verdict comes between"
    );
    positive(&report["bytes_per_subscriber"]);
}
