//! The bodies of the fuzz targets for this module: any bytes in, no panic, and what must hold holds.
//!
//! They are functions here, so that a plain test replays the committed corpus through the very same code.

use super::mapping::{Mapping, MappingConfig};
use super::parse::both_ways_agree;
use super::{Event, EventBatch, Field, ParseOptions, Parser, Place, Reason, TIME_MAX_MS, TIME_MIN_MS};
use serde::Deserialize as _;

/// Reads the bytes as one event, as an array of events, and as a message in binary mode.
///
/// # Panics
///
/// If an event that was accepted breaks an invariant of [`Event`], or reads otherwise within an array.
pub fn fuzz_parse(bytes: &[u8]) {
    let mut parser = Parser::new(ParseOptions { allow_future: true });
    let mut batch = EventBatch::default();
    let Ok(range) = batch.push_input(bytes) else {
        return;
    };
    assert!(both_ways_agree(&batch.input), "the short way takes what the general way takes, and reads the same");
    let at = Place::default();
    let alone = parser.parse_structured(&mut batch, range.clone(), at);
    assert_eq!(batch.events.len(), usize::from(alone.is_ok()), "an event for an answer");
    check(&batch);

    let _ = parser.parse_array(&mut batch, range.clone(), at);
    check(&batch);
    let array = [b"[".as_slice(), bytes, b"]"].concat();
    if let (Ok(()), Ok(array)) = (&alone, batch.push_input(&array)) {
        let first = batch.events.len();
        let refused = parser.parse_array(&mut batch, array, at);
        assert_eq!(refused, Ok(vec![]), "an event reads within an array as it reads alone");
        assert_eq!(batch.events[first].fingerprint, batch.events[0].fingerprint, "and says the same");
    }

    let envelope = [
        ("ce_specversion", b"1.0".as_slice()),
        ("ce_id", b"1"),
        ("ce_source", b"/"),
        ("ce_type", bytes.split(|byte| *byte == b'"').next().unwrap_or_default()),
        ("ce_time", b"2026-05-01T10:00:00Z"),
    ];
    let _ = parser.parse_binary(&mut batch, envelope, range, at);
    check(&batch);
}

/// Reads the bytes as `{"mapping": ..., "event": ...}` and applies the one to the other.
///
/// # Panics
///
/// If what the mapping builds is no JSON, or an event that was accepted breaks an invariant of [`Event`].
pub fn fuzz_mapping(bytes: &[u8]) {
    let Ok(case) = serde_json::from_slice::<serde_json::Value>(bytes) else {
        return;
    };
    let Ok(config) = MappingConfig::deserialize(&case["mapping"]) else {
        return;
    };
    let mapping = match Mapping::compile(&config) {
        Ok(mapping) => mapping,
        Err(errors) => return assert!(!errors.is_empty(), "a refusal says why"),
    };
    let mut batch = EventBatch::default();
    let Ok(range) = batch.push_input(case["event"].to_string().as_bytes()) else {
        return;
    };
    let mut parser = Parser::new(ParseOptions { allow_future: true });
    let answer = parser.parse_mapped(&mut batch, &mapping, range, Place::default());
    // A foreign number that is no number of ours, and nesting, are all that the parser may find wrong with the syntax.
    if let Err(Reason::NotJson { problem, .. }) = &answer {
        assert!(problem.contains("number out of range") || problem.contains("nests deeper"), "{problem}");
    }
    assert_eq!(batch.events.len(), usize::from(answer.is_ok()), "an event for an answer");
    check(&batch);
}

/// Asserts what [`Event`] promises.
fn check(batch: &EventBatch) {
    for event in &batch.events {
        let texts = &Field::ALL[..Field::SPANS];
        assert!(texts.iter().all(|field| event.presence.has(*field) || batch.field(event, *field).is_empty()));
        let needed = [Field::Id, Field::Source, Field::Type, Field::Program].iter();
        let required = event.kind.spec().map_or(&[][..], |spec| spec.required).iter();
        assert!(
            needed.chain(required).all(|field| !batch.field(event, *field).is_empty()),
            "what is required is there"
        );
        assert!((TIME_MIN_MS..=TIME_MAX_MS).contains(&event.event_time_ms));
        assert!(places_are_on_earth(event));
        assert!(event.unreadable.iter().all(|field| !event.presence.has(field)));
    }
}

fn places_are_on_earth(event: &Event) -> bool {
    (-90.0..=90.0).contains(&event.latitude) && (-180.0..=180.0).contains(&event.longitude) && event.rating.is_finite()
}
