//! What producers read: the JSON Schema of an event and the page docs/events.md, both made from the tables of fields,
//! types and reasons, so that they cannot say anything else than the parser does.

use super::reason::EVENT_BYTES_MAX;
use super::{Field, FieldType, KINDS, Reason};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// The JSON Schema (draft 2020-12) of an event in structured mode. A text that passes is an event, unless it is longer
/// than 64 KiB, names a member twice, wraps something else in `data_base64`, or has a time that does not exist or lies
/// ahead: that, no schema can say.
pub fn event_schema() -> Value {
    let rules: Vec<Value> = KINDS
        .iter()
        .filter(|kind| !kind.required.is_empty())
        .map(|kind| {
            let required: Vec<&str> = kind.required.iter().map(|field| field.name()).collect();
            let properties: Map<String, Value> =
                required.iter().map(|name| ((*name).to_owned(), json!({"type": "string", "minLength": 1}))).collect();
            json!({
                "if": {"properties": {"type": {"const": kind.name}}, "required": ["type"]},
                "then": {
                    "properties": {"data": {"type": "object", "properties": properties, "required": required}},
                    "anyOf": [{"required": ["data"]}, {"required": ["data_base64"]}],
                },
            })
        })
        .collect();
    let fields: Map<String, Value> = Field::ALL
        .iter()
        .filter(|field| !field.is_envelope())
        .map(|field| (field.name().to_owned(), nullable(*field)))
        .collect();
    let envelope = |field: Field| {
        let mut schema = value_schema(field);
        schema["description"] = field.doc().into();
        schema["minLength"] = 1.into();
        schema
    };
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Event",
        "description": "A CloudEvent of a loyalty or referral program, in structured mode",
        "type": "object",
        "required": ["specversion", "id", "source", "type", "time"],
        "properties": {
            "specversion": {"const": "1.0", "description": "version of CloudEvents"},
            "id": envelope(Field::Id),
            "source": envelope(Field::Source),
            "type": envelope(Field::Type),
            "time": envelope(Field::Time),
            "data": {"type": ["object", "null"], "properties": fields},
            "data_base64": {"type": ["string", "null"], "contentEncoding": "base64", "contentMediaType": "application/json"},
        },
        "not": {"required": ["data", "data_base64"]},
        "allOf": rules,
    })
}

/// The schema of a field's value.
fn value_schema(field: Field) -> Value {
    match field.field_type() {
        FieldType::Text => json!({"type": "string"}),
        FieldType::Int => json!({"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX}),
        FieldType::Double => json!({"type": "number"}),
        FieldType::Timestamp => json!({"type": "string", "format": "date-time"}),
        FieldType::Map if field == Field::Device => {
            json!({"type": "object", "additionalProperties": {"type": "string"}})
        }
        FieldType::Map => json!({"type": "object"}),
    }
}

/// The schema of a field in `data`, where `null` is the same as absent.
fn nullable(field: Field) -> Value {
    let mut schema = value_schema(field);
    schema["type"] = json!([schema["type"], "null"]);
    schema["description"] = field.doc().into();
    schema
}

/// The page docs/events.md.
pub fn events_page() -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str("\n## Fields\n\n| field | type | meaning |\n| --- | --- | --- |\n");
    for field in Field::ALL.iter().filter(|field| !field.is_envelope()) {
        let kind = match field.field_type() {
            FieldType::Text => "string",
            FieldType::Int => "int64",
            FieldType::Double => "number",
            FieldType::Timestamp => "RFC 3339",
            FieldType::Map if *field == Field::Device => "map of string",
            FieldType::Map => "map",
        };
        line(&mut page, format_args!("| `{field}` | {kind} | {} |", field.doc()));
    }
    page.push_str(VALUES);
    page.push_str("\n## Types\n\n");
    page.push_str(TYPES);
    page.push_str(
        "\n| type | required | who the accounts are | active | moves value |\n| --- | --- | --- | --- | --- |\n",
    );
    for kind in KINDS {
        let required: Vec<String> = kind.required.iter().map(|field| format!("`{field}`")).collect();
        let [active, moves] = [kind.active, kind.moves_value].map(|is| if is { "yes" } else { "" });
        let (name, accounts) = (kind.name, kind.accounts);
        line(&mut page, format_args!("| `{name}` | {} | {accounts} | {active} | {moves} |", required.join(", ")));
    }
    page.push_str("\n## Dead letters\n\n");
    page.push_str(DEAD_LETTERS);
    page.push_str("\n| reason | when |\n| --- | --- |\n");
    for (code, meaning) in Reason::CODES {
        line(&mut page, format_args!("| `{code}` | {meaning} |"));
    }
    page
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(page, "{text}").expect("a write into a string does not fail");
}

const _: () = assert!(EVENT_BYTES_MAX == 65_536, "the texts below say 64 KiB");

const INTRODUCTION: &str = "\
<!-- Made from the tables in src/event by `UPDATE_DOCS=1 cargo test --lib docs`; a test compares it. -->
# Events

refguard reads JSON in a [CloudEvents 1.0](https://cloudevents.io) envelope. `refguard schema event` prints the same as a
JSON Schema, and [mapping.md](mapping.md) tells how events of another shape are read.

```json
{\"specversion\": \"1.0\", \"id\": \"e2\", \"source\": \"/shop\", \"type\": \"referral.completed\",
 \"time\": \"2026-05-01T10:05:00Z\", \"data\": {\"account_id\": \"b\", \"referrer_id\": \"a\", \"device_id\": \"d1\"}}
```

| member | meaning |
| --- | --- |
| `specversion` | `1.0` |
| `id` | name of the event, unique within its source |
| `source` | who says so: a URI reference |
| `type` | what happened |
| `time` | when it happened, by the producer's clock, in RFC 3339 |
| `data` | the fields below, flat; may be absent if the type requires none |
| `data_base64` | instead of `data`: the same as the base64 of its JSON |

Other members of the envelope are ignored. A Kafka message whose `content-type` header starts with
`application/cloudevents`, or that has no `ce_*` header, holds the whole event; any other has the envelope in `ce_*`
headers and `data` as its value.

A file or standard input holds an event a line, plain or as gzip or zstd make it, which the first bytes tell whatever the
name; a byte-order mark before the first line is left out. Such a line, or a Kafka message in structured mode, may also hold a JSON array of at most 1000
events; the header `content-type: application/cloudevents-batch+json` says so, and without one the `[` does. Each event
stands for itself: one that is not valid is a dead letter with its number, such as `line 7, event 2`, and the others are
judged. A line or message is at most 64 KiB as a whole, whatever it holds. A source with a mapping takes one event a line.

Within a program, source and id name an event. The same pair again with the same content, in whatever notation, order of
members or mode, is a repeat; with another content it is refused.
";

const VALUES: &str = "
Every field is optional but for what the type requires. `null` is the same as absent, and an unknown member is ignored.
A required text that is empty is missing. An `int64` is written without a fraction or exponent: `5`, not `5.0` or `\"5\"`.
A member may not stand in an event twice.

A value of the wrong type makes the event a dead letter. A value of the right type that its field cannot use reads as
absent, is counted by field, and the event is judged: a `latitude` beyond 90 or a `longitude` beyond 180 degrees, an
`account_created_at` that is no instant. An `ip`, `email` or `phone` is looked at only where a loaded rule reads what is derived
of it: without one, what is wrong with it is not counted.

Instants have the form `YYYY-MM-DDTHH:MM:SS[.fraction]` and `Z` or an offset `±hh:mm`, in the years 0001 to 9999. They are
kept to the millisecond, the rest is cut; a leap second `:60` reads as `:59`.
";

const TYPES: &str = "\
Another type is accepted, and rules can name it. *Active* types are made by a customer and make an account active; where
*value moves*, a remembered challenge or hold counts by default.
";

const DEAD_LETTERS: &str = "\
What is not a valid event never stops the stream: it goes to the dead letters as a line of JSON with `reason` (below),
`detail` (what exactly, and where), `source`, `position`, `ingest_time`, `length` and `sha256` of the whole, and its first
64 KiB as `raw`, or as `raw_base64` where they are not text. A reason is told for the first fault found: what is no JSON
has no wrong field.
";

#[cfg(test)]
mod tests;
