//! The body of the fuzz target for expressions: any text is compiled against a rich scope and evaluated, and nothing
//! may panic. A plain function, so that ordinary tests replay the corpus.

use std::path::PathBuf;
use std::sync::Arc;

use super::{
    Element, Facts, FeatureDecl, FeatureIndex, ListDecl, ListIndex, ListKind, Position, ReadIndex, ReadTable, Reading,
    ReadingValue, Scope, Source, Template, Type, Wanted, compile,
};
use crate::event::{AttributeType, Field, Signal};
use crate::ruleset::diagnostic::SourceFile;

/// Compiles a text as a condition, as a message and as a key, and evaluates what compiles.
pub fn fuzz_compile(text: &str) {
    let scope = demo_scope();
    let source = source(text);
    for (position, wanted) in [(Position::Condition, Wanted::Bool), (Position::Feature, Wanted::Scalar)] {
        let mut reads = ReadTable::default();
        if let Ok(compiled) = compile(&source, &scope, &mut reads, position, wanted) {
            let facts = DemoFacts { reads: &reads };
            let tested = compiled.test(&facts);
            let scalar = compiled.scalar(&facts);
            let condition = *compiled.result() == Type::Bool;
            assert!(!condition || tested.is_ok() == scalar.is_ok(), "one program gives one answer");
        }
    }
    let mut reads = ReadTable::default();
    if let Ok(template) = Template::compile(&source, &scope, &mut reads) {
        template.render(&DemoFacts { reads: &reads }, &mut String::new());
    }
}

/// A text as the whole of a file.
pub fn source(text: &str) -> Source {
    let file = SourceFile { path: PathBuf::from("rule.yaml"), text: text.to_owned() };
    Source::verbatim(&Arc::new(file), 0, text)
}

/// A scope with a feature of every type, a list of every kind, and macros.
///
/// Features, all by account: `logins` (int), `spend` (double), `burst` (bool), `seen` (timestamp), `gap` (duration),
/// `place` (a hashed string), `devices` (a set of strings), `amounts` (a set of ints), `ring` (a component); and `pairs` (int, by
/// string and int). Attributes of every type: `tier`, `visits`, `weight`, `vip`, `joined`, and `shop`, which is absent. Lists: `words`, `networks`, `domains`, `holidays`. Macros: `is_web`, `busy`.
pub fn demo_scope() -> Scope {
    let mut scope = Scope::new();
    let features = [
        ("logins", Type::Int, vec![Type::Text]),
        ("spend", Type::Double, vec![Type::Text]),
        ("burst", Type::Bool, vec![Type::Text]),
        ("seen", Type::Timestamp, vec![Type::Text]),
        ("gap", Type::Duration, vec![Type::Text]),
        ("place", Type::Hashed(Element::Text), vec![Type::Text]),
        ("devices", Type::Set(Element::Text), vec![Type::Text]),
        ("amounts", Type::Set(Element::Int), vec![Type::Text]),
        ("pairs", Type::Int, vec![Type::Text, Type::Int]),
        ("ring", Type::Component, vec![Type::Text]),
    ];
    for (index, (name, result, key)) in features.into_iter().enumerate() {
        scope.add_feature(name, FeatureDecl { index: FeatureIndex(index as u32), result, key });
    }
    let lists = [
        ("words", ListKind::Text),
        ("networks", ListKind::Network),
        ("domains", ListKind::Domain),
        ("holidays", ListKind::Date),
    ];
    for (index, (name, kind)) in lists.into_iter().enumerate() {
        scope.add_list(name, ListDecl { index: ListIndex(index as u32), kind });
    }
    let attributes = [("tier", AttributeType::Text), ("visits", AttributeType::Int), ("weight", AttributeType::Double)];
    let more = [("vip", AttributeType::Bool), ("joined", AttributeType::Timestamp), ("shop", AttributeType::Text)];
    scope.set_attributes(attributes.into_iter().chain(more).map(|(name, of)| (name.to_owned(), of)).collect());
    scope.add_macro("is_web", source("event.channel == \"web\""));
    scope.add_macro("busy", source("logins > 3 && is_web"));
    scope
}

/// Facts of one made-up event: every field and signal has a value, and every reading follows from its feature.
#[derive(Clone, Copy, Debug)]
pub struct DemoFacts<'a> {
    /// The table that the expression was compiled into.
    pub reads: &'a ReadTable,
}

/// FNV-1a, for a hash that is the same everywhere. Public domain, by Fowler, Noll and Vo.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

impl Facts for DemoFacts<'_> {
    fn has(&self, field: Field) -> bool {
        field != Field::Label
    }
    fn text(&self, field: Field) -> &str {
        match field {
            Field::Type => "login.succeeded",
            Field::AccountId => "alice",
            Field::ReferrerId => "bob",
            Field::Channel => "web",
            Field::Device => r#"{"model": "A1", "os": "x\ny"}"#,
            Field::Attributes => {
                r#"{"tier": "gold", "visits": 3, "weight": 1.5, "vip": true, "joined": "2026-01-01T00:00:00Z"}"#
            }
            Field::Label => "",
            other => other.name(),
        }
    }
    fn int(&self, _: Field) -> i64 {
        1250
    }
    fn double(&self, _: Field) -> f64 {
        8.5
    }
    fn timestamp_ms(&self, _: Field) -> i64 {
        1_777_630_000_250
    }
    fn amount_base(&self) -> Option<f64> {
        Some(12.5)
    }
    fn program(&self) -> &str {
        "default"
    }
    fn signal_text(&self, signal: Signal) -> &str {
        match signal {
            Signal::IpAddress => "198.51.100.7",
            Signal::EmailDomain => "mail.example.com",
            Signal::DeviceId => "d1",
            other => other.name(),
        }
    }
    fn signal_int(&self, _: Signal) -> i64 {
        4
    }
    fn signal_double(&self, _: Signal) -> f64 {
        0.25
    }
    fn signal_flag(&self, signal: Signal) -> bool {
        signal == Signal::DeviceBot
    }
    fn reading(&self, read: ReadIndex) -> Reading {
        use super::{AccountFact, ReadKey, ReadSource, Referral};
        let value = match &self.reads.get(read).source {
            ReadSource::Feature { key: ReadKey::Same(_), .. } => ReadingValue::Bool(true),
            ReadSource::Feature { feature, .. } => match feature.0 {
                0 => ReadingValue::Int(5),
                1 => ReadingValue::Double(99.5),
                2 => ReadingValue::Bool(true),
                3 => ReadingValue::TimestampMs(1_777_000_000_000),
                4 => ReadingValue::DurationMs(90_000),
                5 => ReadingValue::Hash(self.hash_text("SA")),
                6 | 7 => ReadingValue::Set { size: self.set_members(read).len() as u64 },
                _ => ReadingValue::Int(2),
            },
            ReadSource::Account { fact, .. } => match fact {
                AccountFact::Age => ReadingValue::DurationMs(86_400_000),
                AccountFact::NewDevice | AccountFact::NewCountry => ReadingValue::Bool(true),
                AccountFact::Referrer => ReadingValue::Text,
                AccountFact::LastActive => ReadingValue::Unknown,
                _ => ReadingValue::TimestampMs(1_777_000_000_000),
            },
            ReadSource::Geo(_) => ReadingValue::Double(12.0),
            ReadSource::Referral(Referral::Depth(_)) => ReadingValue::Int(1),
            ReadSource::Referral(Referral::Cycle(_)) => ReadingValue::Bool(false),
        };
        Reading { exact: read.0.is_multiple_of(2), ..Reading::of(value) }
    }
    fn set_members(&self, read: ReadIndex) -> &[u64] {
        use std::sync::LazyLock;
        static TEXTS: LazyLock<Vec<u64>> = LazyLock::new(|| sorted(vec![fnv(b"d1"), fnv(b"d2"), fnv(b"d3")]));
        static INTS: LazyLock<Vec<u64>> =
            LazyLock::new(|| sorted(vec![fnv(&1i64.to_le_bytes()), fnv(&1250i64.to_le_bytes())]));
        match &self.reads.get(read).source {
            super::ReadSource::Feature { feature: FeatureIndex(7), .. } => &INTS,
            _ => &TEXTS,
        }
    }
    fn reading_text(&self, _: ReadIndex) -> &str {
        "bob"
    }
    fn hash_text(&self, text: &str) -> u64 {
        fnv(text.as_bytes())
    }
    fn hash_int(&self, value: i64) -> u64 {
        fnv(&value.to_le_bytes())
    }
    fn hash_double(&self, value: f64) -> u64 {
        fnv(&value.to_bits().to_le_bytes())
    }
    fn hash_bool(&self, value: bool) -> u64 {
        fnv(&[u8::from(value)])
    }
    fn in_text_list(&self, _: ListIndex, text: &str) -> bool {
        text == "alice"
    }
    fn in_domain_list(&self, _: ListIndex, domain: &str) -> bool {
        domain.ends_with("example.com")
    }
    fn in_network_list(&self, _: ListIndex, address: &str) -> bool {
        address.starts_with("198.51.100.")
    }
    fn in_date_list(&self, _: ListIndex, _: i64) -> bool {
        true
    }
}

fn sorted(mut hashes: Vec<u64>) -> Vec<u64> {
    hashes.sort_unstable();
    hashes
}
