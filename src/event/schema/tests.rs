use super::*;
use crate::event::{EventBatch, ParseOptions, Parser, Place};

/// As much of JSON Schema as [`event_schema`] uses; any other keyword fails the test.
fn accepts(schema: &Value, value: &Value) -> bool {
    let all = |keyword: &str| schema[keyword].as_array().into_iter().flatten();
    schema.as_object().unwrap().iter().all(|(keyword, wanted)| match keyword.as_str() {
        "$schema" | "title" | "description" | "contentEncoding" | "contentMediaType" | "format" | "then" => true,
        "type" => match wanted {
            Value::Array(kinds) => kinds.iter().any(|kind| is_a(kind, value)),
            kind => is_a(kind, value),
        },
        "const" => value == wanted,
        "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= wanted.as_u64().unwrap()),
        "minimum" => value.as_i64().is_none_or(|number| number >= wanted.as_i64().unwrap()),
        "maximum" => value.as_i64().is_none_or(|number| number <= wanted.as_i64().unwrap()),
        "required" => all("required").all(|name| value.get(name.as_str().unwrap()).is_some()),
        "properties" => {
            let members = wanted.as_object().unwrap().iter();
            members.into_iter().all(|(name, inner)| value.get(name).is_none_or(|member| accepts(inner, member)))
        }
        "additionalProperties" => {
            value.as_object().is_none_or(|members| members.values().all(|member| accepts(wanted, member)))
        }
        "allOf" => all("allOf").all(|inner| accepts(inner, value)),
        "anyOf" => all("anyOf").any(|inner| accepts(inner, value)),
        "not" => !accepts(wanted, value),
        "if" => !accepts(wanted, value) || accepts(&schema["then"], value),
        other => panic!("the schema uses `{other}`, which this test does not know"),
    })
}

fn is_a(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "string" => value.is_string(),
        "null" => value.is_null(),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        other => panic!("no type of JSON: {other}"),
    }
}

fn parses(value: &Value) -> bool {
    let mut batch = EventBatch::default();
    let range = batch.push_input(value.to_string().as_bytes()).unwrap();
    Parser::new(ParseOptions { allow_future: true }).parse_structured(&mut batch, range, Place::default()).is_ok()
}

#[test]
fn the_schema_accepts_what_the_parser_does() {
    let schema = event_schema();
    let check = |event: &Value| {
        assert_eq!(accepts(&schema, event), parses(event), "{event}");
        parses(event)
    };
    let good =
        json!({"specversion": "1.0", "id": "1", "source": "s", "type": "otp.sent", "time": "2026-05-01T10:00:00Z"});
    assert!(check(&good));
    let values = [
        json!(null),
        json!(""),
        json!("x"),
        json!(5),
        json!(1.5),
        json!(true),
        json!([]),
        json!({}),
        json!({"a": "b"}),
        json!({"a": 1}),
        json!(u64::MAX),
        json!("2026-05-01T10:00:00Z"),
    ];
    for member in ["specversion", "id", "source", "type", "data", "nobody"] {
        let mut without = good.clone();
        without.as_object_mut().unwrap().remove(member);
        check(&without);
        for value in &values {
            let mut event = good.clone();
            event[member] = value.clone();
            check(&event);
        }
    }
    for field in Field::ALL.iter().filter(|field| !field.is_envelope()) {
        let taken = values.iter().filter(|value| {
            let mut event = good.clone();
            event["data"] = json!({field.name(): value});
            check(&event)
        });
        assert!((2..values.len()).contains(&taken.count()), "{field} takes null and something, and not everything");
    }
    for kind in KINDS {
        let mut event = good.clone();
        event["type"] = kind.name.into();
        assert_eq!(check(&event), kind.required.is_empty());
        event["data"] =
            Value::Object(kind.required.iter().map(|field| (field.name().to_owned(), "x".into())).collect());
        assert!(check(&event));
        for field in kind.required {
            let mut empty = event.clone();
            empty["data"][field.name()] = "".into();
            assert!(!check(&empty));
        }
    }
    let mut both = good.clone();
    both["data"] = json!({});
    both["data_base64"] = "e30=".into();
    assert!(!check(&both));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "whoever changes the table has the page written anew")]
fn docs_events_page_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/events.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, events_page()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == events_page(), "docs/events.md is not current: run UPDATE_DOCS=1 cargo test --lib docs");
}
