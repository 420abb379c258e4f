//! The sequences that paying services are tested with: refguard answers what they say.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::http::{Served, event};
use crate::support::program::ROOT;
use crate::support::until;

/// Whether a value has everything of another: members of objects, and otherwise the same.
fn has(value: &Value, wanted: &Value) -> bool {
    match wanted {
        Value::Object(wanted) => wanted.iter().all(|(name, wanted)| has(&value[name], wanted)),
        wanted => value == wanted,
    }
}

/// Goes through one sequence; answers what is wrong.
fn play(served: &Served, sequence: &Value) -> Result<(), String> {
    let steps = sequence["steps"].as_array().ok_or("it has no steps")?;
    let (mut body, mut hold) = (String::new(), String::new());
    for (at, step) in steps.iter().enumerate() {
        let send = &step["send"];
        let (method, path) =
            send["call"].as_str().and_then(|call| call.split_once(' ')).ok_or("a call has a method and a path")?;
        match &send["body"] {
            Value::Null => body.clear(),
            Value::String(text) if text == "AGAIN" => {}
            Value::String(text) => body.clone_from(text),
            object => {
                body =
                    object.to_string().replace("NOW", event("", "", Value::Null)["time"].as_str().unwrap_or_default())
            }
        }
        let path = &path.replace("HOLD", &hold);
        let token = send["token"].as_str().unwrap_or(&served.admin);
        let answer = served.ask_with(method, path, token, "content-type: application/json\r\n", &body);
        let (status, told) = (answer.status, serde_json::from_str(&answer.body).unwrap_or(Value::Null));
        if Some(u64::from(status)) != step["answer"]["status"].as_u64()
            || !has(&told, &step["answer"]["body"]) && !step["answer"]["body"].is_null()
        {
            return Err(format!("step {at} is answered {status} {told}"));
        }
        if let Some(id) = told["hold_id"].as_str() {
            id.clone_into(&mut hold);
        }
        let comes = &step["comes"];
        let has_come = || said(served).iter().any(|line| has(line, comes));
        if !comes.is_null() && !until(has_come) {
            return Err(format!("after step {at} {comes} does not come"));
        }
        let known = ["pays", "paid", "waits", "challenges", "refuses", "tells a person"];
        if !step["service"].as_str().is_some_and(|service| known.contains(&service)) {
            return Err(format!("step {at} does not say what the service does"));
        }
    }
    Ok(())
}

/// What refguard has said of itself.
fn said(served: &Served) -> Vec<Value> {
    let text = fs::read_to_string(served.folder.path().join("verdicts.jsonl.events")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn every_recorded_sequence_comes_out_as_written() {
    let sinks = "{verdicts: {file: VERDICTS}, events: {file: VERDICTS.events}}";
    let served = Served::start_with(sinks, "programs: {sandbox: {sandbox: true}}\n");
    let mut played = 0;
    for file in fs::read_dir(Path::new(ROOT).join("examples/conformance")).expect("it is there") {
        let path = file.expect("it can be listed").path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("it can be read");
        let sequence: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(sequence["about"].is_string(), "{}", path.display());
        if let Err(wrong) = play(&served, &sequence) {
            panic!("{}: {wrong}", path.display());
        }
        // What it says is looked at: another answer would be found out.
        let other = text.replace("\"status\": 2", "\"status\": 3").replace("\"status\": 4", "\"status\": 5");
        let other: Value = serde_json::from_str(&other).expect("it is still JSON");
        assert!(play(&served, &other).is_err(), "{}", path.display());
        played += 1;
    }
    assert!(played >= 12, "{played} sequences");
}
