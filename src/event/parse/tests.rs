//! Good inputs field by field, bad inputs reason by reason, and properties over random events.

use super::*;
use crate::event::{EventKind, FieldType, json};
use proptest::prelude::*;

mod random;

const AT: Place = Place { position: Position { partition: 2, offset: 7, item: 0 }, ingest_time_ms: 1_777_629_900_000 };

fn parse(text: &str) -> Result<EventBatch, Reason> {
    let mut batch = EventBatch::default();
    let range = batch.push_input(text.as_bytes())?;
    Parser::default().parse_structured(&mut batch, range, AT)?;
    Ok(batch)
}

/// A message of Kafka with these headers.
fn message(headers: &[(&str, &str)], value: &str) -> Result<EventBatch, Reason> {
    let mut batch = EventBatch::default();
    let value = batch.push_input(value.as_bytes())?;
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let mode = MessageMode::of(headers.iter().copied(), &batch.input[value.clone()]);
    let mut parser = Parser::default();
    match mode {
        MessageMode::Structured => parser.parse_structured(&mut batch, value, AT)?,
        MessageMode::Binary => parser.parse_binary(&mut batch, headers, value, AT)?,
        MessageMode::Array => {
            let refused = parser.parse_array(&mut batch, value, AT)?;
            assert_eq!(refused, []);
        }
    }
    Ok(batch)
}

/// A valid event with this `data`.
fn with_data(data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"e1","source":"/shop","type":"otp.sent","time":"2026-05-01T10:05:00Z","data":{data}}}"#
    )
}

fn fingerprint(text: &str) -> u64 {
    parse(text).unwrap().events[0].fingerprint
}

#[test]
fn reads_a_structured_event() {
    let text = r#" {"specversion":"1.0","id":"e\"1","source":"/shop","type":"referral.completed","subject":"x",
        "time":"2026-05-01T12:05:00.1239+02:00","datacontenttype":"application/json",
        "data":{"account_id":"b","referrer_id":"\u0061\n","amount_minor":-5,"latitude":24.5,"longitude":-180,
        "unknown":[1,{}],"id":"not this","email":null,"phone":"","account_created_at":"2020-01-01T00:00:00Z",
        "rating":9,"device":{"os":"ios"},"attributes":{"vip":true,"n":[1]}}} "#;
    let batch = parse(text).unwrap();
    let event = &batch.events[0];
    assert_eq!(batch.field(event, Field::Id), "e\"1");
    assert_eq!(batch.field(event, Field::AccountId), "b");
    assert_eq!(batch.field(event, Field::ReferrerId), "a\n");
    assert_eq!(batch.field(event, Field::Program), "default");
    assert_eq!(batch.field(event, Field::Device), r#"{"os":"ios"}"#);
    assert_eq!(batch.field(event, Field::Attributes), r#"{"vip":true,"n":[1]}"#);
    assert_eq!(event.kind, EventKind::from_name("referral.completed"));
    assert_eq!((event.amount_minor, event.latitude, event.longitude, event.rating), (-5, 24.5, -180.0, 9.0));
    assert_eq!(event.event_time_ms, 1_777_629_900_123);
    assert_eq!(event.account_created_at_ms, 1_577_836_800_000);
    assert_eq!((event.position, event.ingest_time_ms), (AT.position, AT.ingest_time_ms));
    assert_eq!(batch.text(event.raw), text);
    assert!(event.unreadable.is_empty());
    assert!(event.presence.has(Field::Phone), "an empty text that was given is there");
    assert!(!event.presence.has(Field::Email), "null is absent");
}

#[test]
fn reads_an_unknown_type_and_no_data() {
    for data in ["", r#","data":null"#, r#","data":{}"#, r#","data_base64":null"#] {
        let text = format!(
            r#"{{"specversion":"1.0","id":"1","source":"s","type":"moon.landed","time":"1969-07-20T20:17:40Z"{data}}}"#
        );
        assert_eq!(parse(&text).unwrap().events[0].kind, EventKind::OTHER, "{text}");
    }
}

#[test]
fn values_that_their_field_cannot_use_read_as_absent() {
    let text = with_data(r#"{"latitude":90.5,"longitude":-180.1,"account_created_at":"in May","account_id":"a"}"#);
    let batch = parse(&text).unwrap();
    let event = &batch.events[0];
    let unreadable: Vec<Field> = event.unreadable.iter().collect();
    assert_eq!(unreadable, [Field::AccountCreatedAt, Field::Latitude, Field::Longitude]);
    assert!(unreadable.iter().all(|field| !event.presence.has(*field)));
    assert_eq!((event.latitude, event.longitude, event.account_created_at_ms), (0.0, 0.0, 0));
    assert_eq!(event.fingerprint, fingerprint(&with_data(r#"{"account_id":"a"}"#)));
}

#[test]
fn the_headers_tell_the_mode() {
    let structured = with_data(r#"{"email":"a@b"}"#);
    let envelope = [
        ("ce_specversion", "1.0"),
        ("CE_Id", "e1"),
        ("ce_source", "/shop"),
        ("ce_type", "otp.sent"),
        ("ce_time", "2026-05-01T10:05:00Z"),
        ("traceparent", "00-x"),
        ("ce_subject", "ignored"),
    ];
    let of = |content_type: &'static str| [&[("Content-Type", content_type)], &envelope[..]].concat();
    for (headers, value) in [
        (vec![], structured.as_str()),
        (vec![("traceparent", "00-x")], structured.as_str()),
        (vec![("content-type", "application/cloudevents+json; charset=utf-8")], structured.as_str()),
        (of("Application/CloudEvents+JSON"), structured.as_str()),
        (envelope.to_vec(), r#"{"email":"a@b"}"#),
        (of("application/json"), r#"{"email":"a@b"}"#),
        (vec![], format!(" [{structured}]").as_str()),
        (of("application/cloudevents-batch+json; charset=utf-8"), format!("[{structured}]").as_str()),
    ] {
        let batch = message(&headers, value).unwrap_or_else(|reason| panic!("{headers:?}: {reason}"));
        assert_eq!(batch.field(&batch.events[0], Field::Id), "e1");
        assert_eq!(batch.field(&batch.events[0], Field::Email), "a@b");
        assert_eq!(batch.events[0].fingerprint, fingerprint(&structured));
    }
    assert!(!message(&envelope, "").unwrap().events[0].presence.has(Field::Email), "no value is no data");
    let not_text = [("ce_id", b"\xff".as_slice())];
    let mut batch = EventBatch::default();
    let reason = Parser::default().parse_binary(&mut batch, not_text, 0..0, AT);
    assert_eq!(reason, Err(Reason::NotUtf8 { offset: 0 }));
    assert!(batch.events.is_empty());
    for (headers, value, code) in [
        (&envelope[1..], "{}", "bad_specversion"),
        (&[("ce_specversion", "0.3")], "{}", "bad_specversion"),
        (&[("ce_id", "1"), ("ce_id", "1")], "{}", "duplicate_field"),
        (&envelope[..], "[]", "wrong_type"),
        (&envelope[..], "{} {}", "not_json"),
        (&envelope[..4], "{}", "missing_time"),
        (&[("ce_time", "today")], "{}", "bad_time"),
        (&[("ce_type", &"x".repeat(EVENT_BYTES_MAX))], "{}", "too_large"),
    ] {
        assert_eq!(message(headers, value).map(|_| ()).unwrap_err().code(), code, "{headers:?} {value}");
    }
}

#[test]
fn an_array_is_read_event_by_event() {
    let text = format!("[{}, 5,\n{} ]", with_data("{}"), with_data(r#"{"email":"x"}"#));
    let mut batch = EventBatch::default();
    batch.input.push_str("before");
    let range = batch.push_input(text.as_bytes()).unwrap();
    let refused = Parser::default().parse_array(&mut batch, range, AT).unwrap();
    assert_eq!(refused.len(), 1);
    assert_eq!((refused[0].item, &batch.input[refused[0].range.clone()]), (2, "5"));
    assert_eq!(refused[0].reason, Reason::WrongType { member: "event", expected: "an object" });
    assert_eq!(batch.text(batch.events[0].raw), with_data("{}"));
    assert_eq!(batch.field(&batch.events[1], Field::Email), "x");
    assert_eq!(batch.events[0].position, Position { item: 1, ..AT.position });
    assert_eq!(batch.events[1].position, Position { item: 3, ..AT.position });
    let many = format!("[{}0]", "0,".repeat(ARRAY_EVENTS_MAX));
    for (text, code) in [
        ("{}", "wrong_type"),
        ("[1,]", "not_json"),
        ("[] []", "not_json"),
        ("", "not_json"),
        (many.as_str(), "wrong_type"),
    ] {
        let range = batch.push_input(text.as_bytes()).unwrap();
        assert_eq!(Parser::default().parse_array(&mut batch, range, AT).unwrap_err().code(), code, "{text}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, a line a case")]
fn every_bad_input_has_its_one_reason() {
    let envelope = |from: &str, to: &str| with_data("{}").replace(from, to);
    let nested = format!("{}{}", "[".repeat(60_000), "]".repeat(5));
    for (text, reason) in [
        (String::new(), "cannot be read as JSON: EOF while parsing a value at line 1 column 0, byte 0"),
        ("{\n \"id\": }".into(), "cannot be read as JSON: expected value at line 2 column 8, byte 9"),
        (with_data("{}") + "x", "cannot be read as JSON: trailing characters at line 1 column 107, byte 106"),
        (
            with_data("{}").replace("}}", "}"),
            "cannot be read as JSON: EOF while parsing an object at line 1 column 105, byte 105",
        ),
        (
            with_data(r#"{"email":"\ud800"}"#),
            "cannot be read as JSON: unexpected end of hex escape at line 1 column 120, byte 119",
        ),
        (
            with_data("{\"email\":\"\t\"}"),
            "cannot be read as JSON: control character (\\u0000-\\u001F) found while parsing a string at line 1 column 114, byte 113",
        ),
        (
            with_data(r#"{"latitude":1e999}"#),
            "cannot be read as JSON: number out of range at line 1 column 120, byte 119",
        ),
        (with_data(r#"{"amount_minor":01}"#), "cannot be read as JSON: invalid number at line 1 column 121, byte 120"),
        (with_data(&format!(r#"{{"attributes":{{"a":{nested}}}}}"#)), "cannot be read as JSON: "),
        ("x".repeat(EVENT_BYTES_MAX + 1), "the event has 65537 bytes, and 65536 are the most"),
        ("5".into(), "event must be an object"),
        ("[]".into(), "event must be an object"),
        ("null".into(), "event must be an object"),
        (nested.clone(), "event must be an object"),
        (envelope(r#""specversion":"1.0","#, ""), "specversion must be \"1.0\""),
        (envelope(r#""1.0""#, r#""1.1""#), "specversion must be \"1.0\""),
        (envelope(r#""1.0""#, "null"), "specversion must be \"1.0\""),
        (envelope(r#""1.0""#, "1.0"), "specversion must be a string"),
        (envelope(r#""id":"e1","#, ""), "the event has no id"),
        (envelope(r#""e1""#, r#""""#), "the event has no id"),
        (envelope(r#""e1""#, "null"), "the event has no id"),
        (envelope(r#""e1""#, "7"), "id must be a string"),
        (envelope(r#""/shop""#, r#""""#), "the event has no source"),
        (envelope(r#""otp.sent""#, r#""""#), "the event has no type"),
        (envelope(r#""2026-05-01T10:05:00Z""#, "null"), "the event has no time"),
        (envelope(r#""2026-05-01T10:05:00Z""#, "1777629900"), "time must be a string in RFC 3339"),
        (envelope("05:00Z", "05:00"), "time is not RFC 3339: it has no offset: end it with Z or ±hh:mm"),
        (
            envelope("10:05:00Z", "10:10:00.001Z"),
            "the event's time is 300001 ms later than its ingest time, and 300000 are the most",
        ),
        (envelope("otp.sent", "account.created"), "account.created needs account_id"),
        (
            with_data(r#"{"referrer_id":"","account_id":"a"}"#).replace("otp.sent", "referral.completed"),
            "referral.completed needs referrer_id",
        ),
        (with_data("[]"), "data must be an object"),
        (with_data(r#""text""#), "data must be an object"),
        (with_data(r#"{"account_id":5}"#), "account_id must be a string"),
        (with_data(r#"{"account_id":{"a":1}}"#), "account_id must be a string"),
        (
            with_data(r#"{"amount_minor":1.0}"#),
            "amount_minor must be an integer of 64 bits, written without a fraction or exponent",
        ),
        (
            with_data(r#"{"amount_minor":9223372036854775808}"#),
            "amount_minor must be an integer of 64 bits, written without a fraction or exponent",
        ),
        (
            with_data(r#"{"amount_minor":"5"}"#),
            "amount_minor must be an integer of 64 bits, written without a fraction or exponent",
        ),
        (with_data(r#"{"latitude":"5"}"#), "latitude must be a number"),
        (with_data(r#"{"account_created_at":5}"#), "account_created_at must be a string in RFC 3339"),
        (with_data(r#"{"device":"d"}"#), "device must be an object of strings"),
        (with_data(r#"{"device":{"cores":6}}"#), "device must be an object of strings"),
        (with_data(r#"{"attributes":[]}"#), "attributes must be an object"),
        (with_data(r#"{"device":{"a":"1","\u0061":"2"}}"#), "device stands in the event twice"),
        (with_data(r#"{"email":null,"email":"x"}"#), "email stands in the event twice"),
        (envelope(r#""id":"e1","#, r#""id":"e1","id":"e1","#), "id stands in the event twice"),
        (envelope(r#""1.0","#, r#""1.0","specversion":"1.0","#), "specversion stands in the event twice"),
        (envelope(r#""data":{}"#, r#""data":{},"data_base64":"e30=""#), "data stands in the event twice"),
        (envelope(r#""data":{}"#, r#""data_base64":"e30""#), "data_base64 must be the base64 of an object in JSON"),
        (envelope(r#""data":{}"#, r#""data_base64":"/w==""#), "data_base64 must be the base64 of an object in JSON"),
        (
            envelope(r#""data":{}"#, r#""data_base64":"e30gfQ==""#),
            "cannot be read as JSON: trailing characters at line 1 column 4, byte 3",
        ),
        (envelope(r#""data":{}"#, r#""data_base64":7"#), "data_base64 must be the base64 of an object in JSON"),
    ] {
        let mut batch = EventBatch::default();
        batch.input.push_str(&text);
        let answer = Parser::default().parse_structured(&mut batch, 0..text.len(), AT);
        let shown = answer.expect_err(&text).to_string();
        assert!(shown == reason || reason.ends_with(": ") && shown.starts_with(reason), "{text}\n{shown}\n{reason}");
        assert!(batch.events.is_empty());
    }
}

#[test]
fn the_first_reason_is_told() {
    assert_eq!(parse("{}").map(|_| ()), Err(Reason::BadSpecversion));
    assert_eq!(parse(r#"{"specversion":"1.0"}"#).map(|_| ()), Err(Reason::MissingId));
}

#[test]
fn made_up_traffic_may_lie_ahead() {
    let mut batch = EventBatch::default();
    let text = with_data("{}").replace("2026", "2031");
    let range = batch.push_input(text.as_bytes()).unwrap();
    let refused = Parser::default().parse_structured(&mut batch, range.clone(), AT);
    assert_eq!(refused.unwrap_err().code(), "future");
    Parser::new(ParseOptions { allow_future: true }).parse_structured(&mut batch, range, AT).unwrap();
}

#[test]
fn the_payload_may_be_wrapped_in_base64() {
    let plain = with_data(r#"{"account_id":"a","amount_minor":5,"device":{"a":"b"}}"#);
    let wrapped = plain.replace(
        r#""data":{"account_id":"a","amount_minor":5,"device":{"a":"b"}}"#,
        r#""data_base64":"eyJhY2NvdW50X2lkIjoiYSIsImFtb3VudF9taW5vciI6NSwiZGV2aWNlIjp7ImEiOiJiIn19""#,
    );
    let batch = parse(&wrapped).unwrap();
    assert_eq!(batch.field(&batch.events[0], Field::AccountId), "a");
    assert_eq!(batch.field(&batch.events[0], Field::Device), r#"{"a":"b"}"#);
    assert_eq!(batch.events[0].fingerprint, fingerprint(&plain));
}

#[test]
fn a_fingerprint_is_of_what_is_said_not_how() {
    let same = [
        r#"{"account_id":"a","latitude":0,"attributes":{"x":1,"y":[1,2],"z":{"p":null,"q":"é"}}}"#,
        r#"{ "latitude":-0.0, "nobody":1, "attributes":{"z":{"q":"\u00e9","p":null},"y":[1.0,2e0],"x":1},"account_id":"\u0061" }"#,
        r#"{"account_id":"a","latitude":0.0,"email":null,"program":"default","attributes":{"y":[1,2],"x":10e-1,"z":{"p":null,"q":"é"}}}"#,
        r#"{"account_id":"a","latitude":0.0,"program":"","attributes":{"y":[1,2],"x":1,"z":{"p":null,"q":"é"}}}"#,
    ];
    for data in same {
        assert_eq!(fingerprint(&with_data(data)), fingerprint(&with_data(same[0])), "{data}");
    }
    let later = with_data(same[0]).replace("10:05:00Z", "12:05:00.000+02:00").replace("\"e1\"", "\"e2\"");
    assert_eq!(fingerprint(&later), fingerprint(&with_data(same[0])));
    let mut others = vec![
        with_data(same[0]).replace("10:05:00Z", "10:05:00.001Z"),
        with_data(same[0]).replace("otp.sent", "otp.sant"),
        with_data(r#"{"referrer_id":"a"}"#),
        with_data(r#"{"account_id":"b"}"#),
        with_data(r#"{"account_id":"a"}"#),
        with_data(r#"{"account_id":"a","email":""}"#),
    ];
    for map in [
        r#"{"x":1}"#,
        r#"{"x":"1"}"#,
        r#"{"x":[1,2]}"#,
        r#"{"x":[2,1]}"#,
        r#"{"x":[[1],2]}"#,
        r#"{"x":null}"#,
        r#"{"x":true}"#,
        r#"{"x":1.5}"#,
        r#"{"x":{}}"#,
        "{}",
    ] {
        others.push(with_data(&format!(r#"{{"attributes":{map}}}"#)));
    }
    let mut prints: Vec<u64> = others.iter().map(|text| fingerprint(text)).collect();
    prints.push(fingerprint(&with_data(same[0])));
    prints.sort_unstable();
    prints.dedup();
    assert_eq!(prints.len(), others.len() + 1);
}

/// What a parser says of a text: the event, or the reason.
fn read_by(parser: &mut Parser, text: &str) -> Result<Event, Reason> {
    let mut batch = EventBatch::default();
    let range = batch.push_input(text.as_bytes())?;
    parser.parse_structured(&mut batch, range, AT)?;
    Ok(batch.events.remove(0))
}

#[test]
fn what_was_read_before_changes_nothing() {
    let member_twice = r#"{"account_id":"a","account_id":"b"}"#;
    let texts = [
        with_data(r#"{"account_id":"a","ip":"10.0.0.1","device_id":"d"}"#),
        with_data(r#"{"account_id":"a","device_id":"d","ip":"10.0.0.1"}"#),
        with_data(r#"{"account_id":"a", "device_id" : "d","ip":null}"#),
        with_data(r#"{"unknown":1,"id":"not this","account_id":"a","other":{},"time":"x"}"#),
        with_data(r#"{"unknown":1}"#),
        with_data("{}"),
        with_data("null"),
        with_data(member_twice),
        with_data(r#"{"account_id":"a",}"#),
        with_data(r#"{"account_id":"a" "ip":"10.0.0.1"}"#),
        with_data(r#"{,"account_id":"a"}"#),
        with_data(r#"{"account_id":"a"\u0020}"#),
        r#"{"id":"e1","unknown":1,"source":"/shop","account_id":"not this","type":"otp.sent","specversion":"1.0"}"#.into(),
        r#"{"data":{"account_id":"a"},"id":"e1","source":"/shop","type":"otp.sent","time":"2026-05-01T10:05:00Z","specversion":"1.0"}"#.into(),
    ];
    for first in &texts {
        for then in &texts {
            let mut parser = Parser::default();
            let _ = read_by(&mut parser, first);
            let _ = read_by(&mut parser, then);
            for text in [then, first, then] {
                let fresh = read_by(&mut Parser::default(), text);
                assert_eq!(read_by(&mut parser, text), fresh, "{text} behind {first} and {then}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn an_event_reads_back_in_every_form(event in random::event(), shuffle in any::<u64>()) {
        let structured = parse(&event.structured(shuffle)).map_err(|reason| TestCaseError::fail(reason.to_string()))?;
        event.check(&structured)?;
        let (headers, value) = event.binary(shuffle.rotate_left(17));
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let binary = message(&headers, &value).map_err(|reason| TestCaseError::fail(reason.to_string()))?;
        event.check(&binary)?;
        prop_assert_eq!(structured.events[0].fingerprint, binary.events[0].fingerprint);
        prop_assert_eq!(structured.events[0].kind, binary.events[0].kind);
    }

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        crate::event::fuzz_parse(&bytes);
    }

    // A valid event with a few bytes changed reaches deeper than random bytes do.
    #[test]
    fn damaged_events_never_panic(
        event in random::event(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = event.structured(1).into_bytes();
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        crate::event::fuzz_parse(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        crate::event::fuzz_parse(&bytes);
    }
}
