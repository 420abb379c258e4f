//! docs/reference.md: everything that a rule file can say, from the tables that parser, checker and state use.
//!
//! So it is never stale: a test compares the page with what this makes. What things mean in full is in docs/rules.md.

use std::fmt::Write as _;

use serde_json::Value;

use super::schemas;
use crate::event::{Field, FieldType, Signal, SignalKind};
use crate::ruleset::cel::{AccountFact, GeoFact, functions};
use crate::ruleset::load::{Files, load_from};
use crate::ruleset::program::{self, Feature};
use crate::ruleset::{AggregateDoc, aggregates, cost};
use crate::state::{self, FeatureTable, Number, Steps, WindowSpec};

const INTRODUCTION: &str = "\
# Reference of rule files

Everything that a rule file can say, in tables. [rules.md](rules.md) says what it means, [cel.md](cel.md) has the language of conditions line by
line, [tutorial.md](tutorial.md) goes from a first rule to a tested pack. This page is generated from the tables that refguard itself uses.

";

/// The page.
pub fn markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    let pack = schemas::pack();
    section(&mut page, "A pack", &["key", "", "what it says"], keys(&pack));
    section(
        &mut page,
        "Lists",
        &["key", "", "what it says"],
        keys(&pack["properties"]["lists"]["additionalProperties"]),
    );
    section(
        &mut page,
        "Features",
        &["key", "", "what it says"],
        keys(&pack["properties"]["features"]["additionalProperties"]),
    );
    section(
        &mut page,
        "Aggregates",
        &["aggregate", "what it computes", "read as", "needs", "by `bucket`", "a key keeps", "reading walks through"],
        aggregates().iter().map(aggregate).collect(),
    );
    page.push_str(
        "\nEntries and bytes are those beside the key itself, which takes some 50 to 100 bytes; of a `component` for every account and every value. A reading walks\n\
         through so many entries at most, for an event that is late; for one in order it is a few. `max_entries` is 4096 unless configured.\n",
    );
    section(&mut page, "Rules", &["key", "", "what it says"], keys(&pack["properties"]["rules"]["items"]));
    let rule = &pack["properties"]["rules"]["items"]["properties"];
    section(&mut page, "Decisions", &["key of `decide`", "", "what it says"], keys(&rule["decide"]["items"]));
    section(&mut page, "Breakers", &["key of `breaker`", "", "what it says"], keys(&rule["breaker"]));
    let test = &pack["properties"]["tests"]["items"];
    section(&mut page, "Tests", &["key", "", "what it says"], keys(test));
    let expect = &test["properties"]["expect"];
    section(&mut page, "Expectations", &["key of `expect`", "", "what it says"], keys(expect));
    section(&mut page, "Fields of an event", &["name", "type", "what it says"], fields());
    section(&mut page, "Signals", &["name", "type", "what it says"], signals());
    section(&mut page, "Facts about accounts and places", &["name", "type", "what it says"], facts());
    section(&mut page, "Functions and macros", &["name", "how to call it", "what it says", "example"], calls());
    page
}

fn section(page: &mut String, title: &str, head: &[&str], rows: Vec<Vec<String>>) {
    let _ = write!(page, "\n## {title}\n\n| {} |\n|{}\n", head.join(" | "), " --- |".repeat(head.len()));
    for row in rows {
        let _ = writeln!(page, "| {} |", row.join(" | "));
    }
}

/// The keys of a section of the schema: name, form, meaning.
fn keys(schema: &Value) -> Vec<Vec<String>> {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let row = |(name, key): (&String, &Value)| {
        let mut form = form(key);
        if required.contains(&name.as_str()) {
            form.push_str(", required");
        }
        let default = &key["default"];
        if !default.is_null() {
            let _ =
                write!(form, ", `{}` by default", default.as_str().map_or_else(|| default.to_string(), str::to_owned));
        }
        vec![format!("`{name}`"), form, key["description"].as_str().unwrap_or_default().replace('|', "\\|")]
    };
    properties.map(row).collect()
}

/// What a value looks like, in words.
fn form(key: &Value) -> String {
    if let Some(words) = key["enum"].as_array() {
        let words: Vec<String> = words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        return words.join(", ");
    }
    if let Some(forms) = key["anyOf"].as_array() {
        return forms.iter().map(form).collect::<Vec<_>>().join(", or ");
    }
    let bounds = |from: &str, to: &str| match (key[from].as_u64(), key[to].as_u64()) {
        (Some(from), Some(to)) => format!(" of {from} to {to}"),
        _ => String::new(),
    };
    if key["maxLength"] == schemas::EXPRESSION_BYTES_MAX {
        return "CEL".to_owned();
    }
    match key["type"].as_str() {
        Some("integer") => format!("int{}", bounds("minimum", "maximum")),
        Some("array") => format!("list{}", bounds("minItems", "maxItems")),
        Some("object") => "map".to_owned(),
        Some("boolean") => "bool".to_owned(),
        Some("string") if key["format"] == "date" => "date".to_owned(),
        Some("string") if key["pattern"] == schemas::SPAN => "span, such as `24h`".to_owned(),
        Some("string") if key["pattern"] == schemas::SHARE => "share, such as `2.5%`".to_owned(),
        Some(other) => other.to_owned(),
        None if !key["const"].is_null() => format!("`{}`", key["const"]),
        // What YAML may read as a number or a bool is a text all the same.
        None => "text".to_owned(),
    }
}

fn aggregate(of: &AggregateDoc) -> Vec<String> {
    let feature = sample(of, "");
    let mut needs: Vec<String> = Vec::new();
    needs.extend(of.has_value.then(|| "`value`".to_owned()));
    needs.extend(of.needs_window.then(|| "`window`".to_owned()));
    let least = REQUIRED.iter().filter(|key| of.own_keys.contains(*key)).map(|key| format!("`{key}`"));
    needs.extend(least);
    let keeps = match (entry_bytes(&feature), of.name) {
        (0, _) => "one number".to_owned(),
        (bytes, "distinct" | "set") => format!("{bytes} bytes a value"),
        (bytes, "first") => {
            format!("{bytes} bytes, with a `window` {} an event", entry_bytes(&sample(of, ", window: 1h")))
        }
        (bytes, "component") => format!("{bytes} bytes an account and a value"),
        (bytes, _) => format!("{bytes} bytes an event"),
    };
    let (bucket, keeps) = match of.by_bucket {
        true => {
            let bytes = entry_bytes(&sample(of, ", bucket: 1m"));
            ("yes".to_owned(), format!("{keeps}, or {bytes} a bucket"))
        }
        false => (String::new(), keeps),
    };
    let walks = match cost::entries(&feature, program::MAX_ENTRIES) {
        1 => "1",
        _ => "`max_entries`",
    };
    vec![
        format!("`{}`", of.name),
        of.meaning.to_owned(),
        of.result.to_owned(),
        needs.join(", "),
        bucket,
        keeps,
        walks.to_owned(),
    ]
}

/// Keys of single aggregates that have no default.
const REQUIRED: &[&str] = &["limit", "per", "within", "steps", "links"];

/// One pack in memory.
struct One(String);

impl Files for One {
    fn packs(&self) -> Result<Vec<String>, String> {
        Ok(vec!["sample.yaml".to_owned()])
    }

    fn read(&self, _path: &str, _max_bytes: u64) -> Result<Vec<u8>, String> {
        Ok(self.0.clone().into_bytes())
    }
}

/// A feature with this aggregate and as little else as it needs.
fn sample(of: &AggregateDoc, more: &str) -> Feature {
    let mut keys = format!("key: [event.account_id], aggregate: {}{more}", of.name);
    keys.push_str(if of.has_value { ", value: event.amount_minor" } else { "" });
    keys.push_str(if of.needs_window { ", window: 30d" } else { "" });
    keys.push_str(match of.name {
        "rate" => ", on: [order.placed], limit: 3, per: 1h",
        "sequence" => ", within: 1h, steps: [{on: [order.placed]}]",
        "component" => ", on: [order.placed], links: [device.id]",
        _ => ", on: [order.placed]",
    });
    let text = format!("version: 1\npack: sample\nfeatures:\n  f: {{{keys}}}\n");
    let mut set = load_from(&One(text)).expect("every aggregate has a sample that loads; a test makes each").set;
    set.features.remove(0)
}

/// Bytes of one entry.
fn entry_bytes(feature: &Feature) -> usize {
    use program::Aggregate as Of;
    let aggregate = match feature.aggregate {
        Of::Count => state::Aggregate::Count,
        Of::Sum(_) => state::Aggregate::Sum(Number::Int),
        Of::Avg(_) => state::Aggregate::Avg(Number::Int),
        Of::Min(_) => state::Aggregate::Min(Number::Int),
        Of::Max(_) => state::Aggregate::Max(Number::Int),
        Of::Distinct => state::Aggregate::Distinct,
        Of::Set => state::Aggregate::Set,
        Of::First => state::Aggregate::First,
        Of::Last => state::Aggregate::Last,
        Of::Previous => state::Aggregate::Previous,
        Of::Rate(rate) => state::Aggregate::Rate { limit: rate.limit, per_ms: rate.per_ms, burst: rate.burst },
        Of::Sequence => state::Aggregate::Sequence(Steps::new([1])),
        Of::Component(of) => {
            state::Aggregate::Component { generation_ms: of.generation_ms, hub: of.hub, lists_members: false }
        }
    };
    let reach = match feature.reach {
        program::Reach::Retention(ms) => state::Reach::Retention(ms),
        reach => state::Reach::Window(reach.longest_ms()),
    };
    FeatureTable::new(WindowSpec { bucket_ms: feature.bucket_ms, ..WindowSpec::new(aggregate, reach) }).entry_bytes()
}

fn fields() -> Vec<Vec<String>> {
    let row = |field: &Field| {
        let kind = match field.field_type() {
            FieldType::Text => "string",
            FieldType::Int => "int",
            FieldType::Double => "double",
            FieldType::Timestamp => "timestamp",
            FieldType::Map if *field == Field::Device => "map of string",
            FieldType::Map => "map, by declared types",
        };
        let of = if field.field_type() == FieldType::Map { ".NAME" } else { "" };
        vec![format!("`event.{field}{of}`"), kind.to_owned(), field.doc().to_owned()]
    };
    let computed = [
        ["`event.amount_base`", "double", "the amount in the program's base currency, by the configured rates"],
        ["`program`", "string", "the program's name"],
    ];
    let computed = computed.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect());
    Field::ALL.iter().map(row).chain(computed).collect()
}

fn signals() -> Vec<Vec<String>> {
    let row = |signal: &Signal| {
        let kind = match signal.kind() {
            SignalKind::Text => "string",
            SignalKind::Flag => "bool",
            SignalKind::Int => "int",
            SignalKind::Double => "double",
        };
        vec![format!("`{}.{}`", signal.group(), signal.name()), kind.to_owned(), signal.doc().to_owned()]
    };
    let mut all: Vec<Vec<String>> = Signal::ALL.iter().map(row).collect();
    all.sort();
    all
}

fn facts() -> Vec<Vec<String>> {
    let id = "`account.id`, `referrer.id`, `recipient.id`: the fields `account_id`, `referrer_id`, `recipient_id`";
    let account = AccountFact::ALL
        .iter()
        .map(|fact| vec![format!("`account.{}`", fact.name()), fact.ty().to_string(), fact.doc().to_owned()]);
    let geo = GeoFact::ALL
        .iter()
        .map(|fact| vec![format!("`geo.{}`", fact.name()), "double".to_owned(), fact.doc().to_owned()]);
    let first = vec!["`account.id`".to_owned(), "string".to_owned(), id.to_owned()];
    let others = "the same of the account that invites, and of the one that receives".to_owned();
    let kin = vec!["`referrer.NAME`, `recipient.NAME`".to_owned(), String::new(), others];
    std::iter::once(first).chain(account).chain([kin]).chain(geo).collect()
}

fn calls() -> Vec<Vec<String>> {
    functions()
        .into_iter()
        .map(|of| {
            let cell = |text: &str| format!("`{}`", text.replace('|', "\\|"));
            let signatures: Vec<String> = of.signatures.iter().map(|signature| cell(signature)).collect();
            vec![cell(of.name), signatures.join("<br>"), of.meaning.to_owned(), cell(of.example)]
        })
        .collect()
}
