//! The example in `examples/envoy`: what can be known of it without an Envoy. Its filter is what Envoy publishes, and the two
//! configurations speak of the same things.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost_reflect::DynamicMessage;
use refguard::daemon::config::{self, HttpGrpcOrigin};
use refguard::event::EventKind;
use refguard::ruleset::diagnostic::SourceFile;
use refguard::ruleset::yaml::{self, Kind, Node, Style};
use refguard::serve::{PROGRAM_EXTENSION, TYPE_EXTENSION};
use serde_json::{Map, Value};

use super::gateway::published;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/envoy").join(name)
}

/// What YAML says, as JSON.
fn json(node: &Node) -> Value {
    match &node.kind {
        Kind::Map(entries) => {
            Value::Object(entries.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect())
        }
        Kind::List(items) => Value::Array(items.iter().map(json).collect()),
        Kind::Scalar(scalar) if matches!(scalar.style, Style::Plain) => {
            serde_json::from_str(&scalar.text).unwrap_or_else(|_| Value::String(scalar.text.clone()))
        }
        Kind::Scalar(scalar) => Value::String(scalar.text.clone()),
    }
}

fn envoy() -> Value {
    let path = example("envoy.yaml");
    let text = fs::read_to_string(&path).expect("it is there");
    let mut found = Vec::new();
    let node = yaml::parse(&Arc::new(SourceFile { path, text }), &mut found);
    assert!(found.is_empty(), "{found:?}");
    json(&node.expect("it says something"))
}

/// Every map in a value, the outer first.
fn maps<'a>(value: &'a Value, found: &mut Vec<&'a Map<String, Value>>) {
    match value {
        Value::Object(map) => {
            found.push(map);
            map.values().for_each(|value| maps(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| maps(item, found)),
        _ => {}
    }
}

#[test]
fn the_filter_is_what_envoy_publishes() {
    let envoy = envoy();
    let mut all = Vec::new();
    maps(&envoy, &mut all);
    let mut filters = 0;
    for map in all {
        let Some(name) = map.get("@type").and_then(Value::as_str) else { continue };
        let Some(name) = name.strip_prefix("type.googleapis.com/") else { panic!("{name} is no type") };
        if !name.starts_with("envoy.extensions.filters.http.ext_authz.") {
            continue;
        }
        let descriptor = published().get_message_by_name(name).unwrap_or_else(|| panic!("{name} is not published"));
        let mut fields = map.clone();
        fields.remove("@type");
        let read = DynamicMessage::deserialize(descriptor, Value::Object(fields.clone()));
        read.unwrap_or_else(|error| panic!("{name}: {error}: {fields:?}"));
        filters += 1;
    }
    assert_eq!(filters, 4, "the filter, and three routes with their own word");
}

#[test]
fn both_configurations_speak_of_the_same_things() {
    let envoy = envoy();
    let mut all = Vec::new();
    maps(&envoy, &mut all);
    let texts =
        |key: &str| -> BTreeSet<&str> { all.iter().filter_map(|map| map.get(key)).filter_map(Value::as_str).collect() };
    let loaded = config::load(&example("refguard.yaml"), std::iter::empty()).expect("it is a configuration");
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let grpc = &loaded.config.http.grpc;
    // The address, the service whose health is asked for, and a token as the configuration calls for one.
    let port = grpc.listen.as_ref().and_then(|listen| listen.0.rsplit_once(':')?.1.parse::<u64>().ok());
    assert!(all.iter().any(|map| map.get("port_value").and_then(Value::as_u64) == port), "{port:?}");
    assert!(texts("service_name").contains("envoy.service.auth.v3.Authorization"));
    assert!(all.iter().any(|map| map.get("key").is_some_and(|key| key == "authorization")
        && map.get("value").and_then(Value::as_str).is_some_and(|value| value.starts_with("Bearer rfg_"))));
    // Envoy sets the headers that refguard trusts.
    let headers: Vec<&str> =
        grpc.fields.values().filter_map(|origin: &HttpGrpcOrigin| origin.header.as_deref()).collect();
    assert!(!headers.is_empty() && headers.iter().all(|header| texts("header_name").contains(header)), "{headers:?}");
    // What routes say is what refguard reads.
    let extensions: Vec<&Map<String, Value>> =
        all.iter().filter_map(|map| map.get("context_extensions")?.as_object()).collect();
    assert_eq!(extensions.len(), 2);
    for (name, value) in extensions.into_iter().flatten() {
        assert!([PROGRAM_EXTENSION, TYPE_EXTENSION].contains(&name.as_str()), "{name}");
        let value = value.as_str().expect("it is a text");
        if name == TYPE_EXTENSION {
            let spec = EventKind::from_name(value).spec().unwrap_or_else(|| panic!("{value} is a type of event"));
            assert!(spec.moves_value, "the example stops who is held: {value}");
        }
    }
    // Envoy waits for longer than the engine may take.
    let timeout = texts("timeout").into_iter().filter_map(|span| span.strip_suffix('s')?.parse::<f64>().ok());
    let shortest = timeout.fold(f64::MAX, f64::min);
    assert!(shortest * 1000.0 > grpc.answer_timeout.0 as f64, "{shortest} s");
}
