//! Records of alerts are what their JSON Schema says.

use refguard::daemon::schemas;
use serde_json::Value;

/// Holds a record against `refguard schema alert`, by the keywords that it uses.
pub(crate) fn assert_true(record: &Value) {
    let faults = faults("", record, &schemas::alert());
    assert!(faults.is_empty(), "{faults:?} in {record:#}");
}

fn faults(at: &str, value: &Value, schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (keyword, said) in schema.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "type" => match said {
                Value::Array(types) => types.iter().any(|of| is_of(value, of.as_str().unwrap())),
                one => is_of(value, one.as_str().unwrap()),
            },
            "enum" => said.as_array().unwrap().contains(value),
            "const" => said == value,
            "minimum" => value.as_i64() >= said.as_i64(),
            "maximum" => value.as_i64() <= said.as_i64(),
            "maxItems" => value.as_array().unwrap().len() as u64 <= said.as_u64().unwrap(),
            "required" => said.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some()),
            "format" => value.as_str().unwrap().parse::<jiff::Timestamp>().is_ok(),
            "pattern" => {
                let (length, before) = if at.ends_with("id") { (16, "alert-") } else { (12, "") };
                let hex = value.as_str().unwrap().strip_prefix(before).unwrap_or_default();
                said.as_str().unwrap() == format!("^{before}[0-9a-f]{{{length}}}$")
                    && hex.len() == length
                    && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            }
            "items" => {
                let items = value.as_array().unwrap().iter();
                found.extend(items.flat_map(|item| faults(&format!("{at}[]"), item, said)));
                true
            }
            "additionalProperties" => {
                let known = schema.get("properties");
                let rest =
                    value.as_object().unwrap().iter().filter(|(key, _)| known.and_then(|of| of.get(key)).is_none());
                match said {
                    Value::Bool(more) => *more || rest.count() == 0,
                    said => {
                        found.extend(rest.flat_map(|(key, value)| faults(&format!("{at}.{key}"), value, said)));
                        true
                    }
                }
            }
            "properties" => {
                for (key, said) in said.as_object().unwrap() {
                    found.extend(
                        value.get(key).into_iter().flat_map(|value| faults(&format!("{at}.{key}"), value, said)),
                    );
                }
                true
            }
            "$schema" | "title" => true,
            other => panic!("the test does not know the keyword `{other}`"),
        };
        if !holds {
            found.push(format!("{at}: {keyword}"));
        }
    }
    found
}

fn is_of(value: &Value, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the test does not know the type `{other}`"),
    }
}

#[test]
fn the_check_finds_what_is_wrong() {
    let mut story = super::Story::of(&super::by_word(&[("flag", "action: flag")]));
    let record = story.tell("login.succeeded", 0, super::login("a", "flag")).remove(0);
    for (key, wrong) in [
        ("id", serde_json::json!("alert-1")),
        ("count", serde_json::json!(0)),
        ("state", serde_json::json!("new")),
        ("closed_by", serde_json::json!("nobody")),
        ("first_event", serde_json::json!({"id": "e1"})),
        ("accounts", serde_json::json!(vec!["a"; 21])),
        ("group", serde_json::json!({"event.account_id": 5})),
        ("more", serde_json::json!(1)),
    ] {
        let mut broken = record.clone();
        broken[key] = wrong;
        assert_ne!(faults("", &broken, &schemas::alert()), Vec::<String>::new(), "{key}");
    }
}
