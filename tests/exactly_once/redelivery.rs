//! The same events again over a real broker, as producers, rebalances and restarts bring them: no count moves.

use serde_json::{Value, json};

use super::support::kafka::Kafka;
use super::{Random, Setting, events, pass};

/// Verdicts on what came for the first time are those of a run in which nothing came twice; what came again is answered as that.
fn assert_unmoved(setting: &Setting, verdicts: &[String], events: &[Value]) -> usize {
    let is_repeat = |line: &&String| line.contains("\"duplicate\":true");
    let (repeats, firsts): (Vec<&String>, Vec<&String>) = verdicts.iter().partition(is_repeat);
    let firsts: Vec<String> = firsts.into_iter().cloned().collect();
    setting.assert_once(&firsts, events);
    let verdict = |line: &String| {
        let said: Value = serde_json::from_str(line).unwrap();
        (said["event_id"].to_string(), said["verdict"].to_string())
    };
    let known: std::collections::BTreeMap<String, String> = firsts.iter().map(verdict).collect();
    for (id, said) in repeats.iter().map(|line| verdict(line)) {
        assert_eq!(known.get(&id), Some(&said), "{id}");
    }
    repeats.len()
}

#[test]
fn the_same_ids_in_any_order_after_rebalances_and_restarts_move_no_count() {
    let kafka = Kafka::shared();
    let setting = Setting { session_ms: 2000, ..Setting::new(kafka) };
    let mut random = Random(90);
    let all = events(&mut random, 0, 600);
    let mut daemon = setting.start("state");
    let mut sent = 0;
    for (turn, part) in all.chunks(150).enumerate() {
        let passed = &all[..150 * (turn + 1)];
        // A, B, A.
        let mut batch: Vec<Value> =
            part.windows(2).flat_map(|two| [two[0].clone(), two[1].clone(), two[0].clone()]).collect();
        batch.extend((0..100).map(|_| passed[random.below(passed.len() as u64) as usize].clone()));
        setting.produce(&batch);
        sent += batch.len();
        setting.verdicts(kafka, sent);
        match turn {
            // The group forgets a member that is silent for longer than its session, and takes it in again.
            0 => {
                daemon.signal("STOP");
                pass(4000);
                daemon.signal("CONT");
            }
            1 => {
                daemon.kill();
                daemon = setting.start("state");
            }
            _ => {
                daemon.terminate();
                assert!(daemon.ended().0.success());
                daemon = setting.start("state");
            }
        }
    }
    // All of it once more, from a producer that begins anew: each event in another partition than before.
    let moved: Vec<Value> = all.iter().rev().cloned().collect();
    let keys: Vec<String> = (0..moved.len()).map(|at| format!("again {at}")).collect();
    let texts: Vec<String> = moved.iter().map(Value::to_string).collect();
    let records: Vec<(&str, &str)> = keys.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
    super::kcat::produce_keyed(&setting.address, &setting.input, &records);
    sent += moved.len();
    let verdicts = setting.verdicts(kafka, sent);
    let repeats = assert_unmoved(&setting, &verdicts, &all);
    assert_eq!(repeats, sent - all.len());
    daemon.terminate();
    assert!(daemon.ended().0.success());
}

#[test]
fn what_comes_again_hours_later_and_across_the_edge_of_a_window_moves_no_count() {
    let kafka = Kafka::shared();
    let setting = Setting::new(kafka);
    let start_ms = super::now_ms() - 6 * 3_600_000;
    let login = |at: usize, minutes: i64| -> Value {
        let time = jiff::Timestamp::from_millisecond(start_ms + minutes * 60_000).unwrap();
        json!({
            "specversion": "1.0", "id": format!("hours-{at}"), "source": "/test", "type": "login.succeeded",
            "time": time.to_string(), "data": {"account_id": "a", "device_id": "d", "country": "SA"},
        })
    };
    // One account for six hours: its window of an hour has some at its edge all the time.
    let all: Vec<Value> = (0..72).map(|at| login(at, 5 * at as i64)).collect();
    let mut sent: Vec<Value> = Vec::new();
    for (at, event) in all.iter().enumerate() {
        sent.push(event.clone());
        // Just inside of the window, on its edge, just out of it, and hours ago.
        sent.extend([11, 12, 13, 40].iter().filter_map(|back| Some(all[at.checked_sub(*back)?].clone())));
    }
    let daemon = setting.start("state");
    setting.produce(&sent);
    let verdicts = setting.verdicts(kafka, sent.len());
    let repeats = assert_unmoved(&setting, &verdicts, &all);
    assert_eq!(repeats, sent.len() - all.len());
    daemon.terminate();
    assert!(daemon.ended().0.success());
}
