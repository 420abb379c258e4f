use super::*;
use crate::event::{EventBatch, Parser, Place, Position, Reason};
use serde_json::{Value, json};

const AT: Place = Place { position: Position { partition: 0, offset: 1, item: 0 }, ingest_time_ms: 1_777_629_900_000 };

fn compile(mapping: &Value) -> Result<Mapping, Vec<String>> {
    let config = MappingConfig::deserialize(mapping).unwrap();
    Mapping::compile(&config).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// An event built by a mapping of these fields, beside an envelope that is always the same.
fn apply(fields: &Value, foreign: &Value) -> Result<EventBatch, Reason> {
    let mut mapping = json!({
        "id": {"const": "e1"}, "source": {"const": "/shop"}, "type": {"const": "otp.sent"},
        "time": {"const": "2026-05-01T10:00:00Z"},
    });
    mapping.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let mapping = compile(&mapping).unwrap();
    let mut batch = EventBatch::default();
    let range = batch.push_input(foreign.to_string().as_bytes()).unwrap();
    Parser::default().parse_mapped(&mut batch, &mapping, range, AT)?;
    assert_eq!(batch.text(batch.events[0].raw), foreign.to_string(), "the raw event is theirs");
    Ok(batch)
}

#[test]
fn numbers_whose_digits_are_lost_are_no_ids() {
    let read = |number: &str| {
        let foreign: Value = serde_json::from_str(&format!("{{\"n\":{number}}}")).unwrap();
        let whole = json!({"account_id": {"concat": ["a-", {"pointer": "/n"}]}, "device_id": {"pointer": "/n"}});
        let part = |name: &str| json!({name: whole[name]});
        let field = |name: &str, field| {
            apply(&part(name), &foreign).map(|batch| batch.field(&batch.events[0], field).to_owned())
        };
        (field("account_id", Field::AccountId), field("device_id", Field::DeviceId))
    };
    for kept in ["18446744073709551615", "-9223372036854775808", "12.5"] {
        assert_eq!(read(kept), (Ok(format!("a-{kept}")), Ok(kept.to_owned())));
    }
    for lost in ["18446744073709551616", "100000000000000000000", "0.12345678901234567"] {
        let (concatenated, alone) = read(lost);
        for refused in [concatenated.unwrap_err(), alone.unwrap_err()] {
            let text = refused.to_string();
            assert!(text.ends_with("it is a number with more than 15 digits: send it as a string"), "{lost}: {text}");
        }
    }
}

#[test]
fn the_event_is_the_one_that_its_cloud_event_gives() {
    let foreign = json!({
        "uuid": "7c1", "kind": "signup_completed", "at": 1_777_629_600_123_i64, "customer": {"id": 42, "mail": null},
        "inviter": {"no": "a"}, "total": "12.5", "cur": "KWD", "where": {"lat": "24.7", "lon": 46.7},
        "client": {"os": "ios", "cores": 6, "gone": null}, "shop": "riyadh-1", "medium": "till",
    });
    let fields = json!({
        "id": {"concat": ["orders-", {"pointer": "/uuid"}]}, "source": {"const": "/legacy"},
        "type": {"pointer": "/kind", "alias": {"signup_completed": "referral.completed"}},
        "time": {"pointer": "/at", "format": "unix_ms"},
        "account_id": {"pointer": "/customer/id"}, "email": {"pointer": "/customer/mail"},
        "referrer_id": {"pointer": "/inviter/no"}, "amount_minor": {"pointer": "/total", "format": "decimal"},
        "currency": {"pointer": "/cur"}, "latitude": {"pointer": "/where/lat"}, "longitude": {"pointer": "/where/lon"},
        "device": {"pointer": "/client"}, "merchant_id": {"concat": [{"pointer": "/shop"}, "/", {"pointer": "/kind"}]},
        "group_id": {"concat": ["g-", {"pointer": "/nobody"}]},
        "channel": {"pointer": "/medium", "alias": {"site": "web", "*": "pos"}},
    });
    let mapped = apply(&fields, &foreign).unwrap();
    let mut direct = EventBatch::default();
    let text = json!({
        "specversion": "1.0", "id": "orders-7c1", "source": "/legacy", "type": "referral.completed",
        "time": "2026-05-01T10:00:00.123Z",
        "data": {
            "account_id": "42", "referrer_id": "a", "amount_minor": 12_500, "currency": "KWD", "latitude": 24.7,
            "longitude": 46.7, "device": {"os": "ios", "cores": "6"}, "channel": "pos",
            "merchant_id": "riyadh-1/signup_completed",
        },
    });
    let range = direct.push_input(text.to_string().as_bytes()).unwrap();
    Parser::default().parse_structured(&mut direct, range, AT).unwrap();
    let (mapped_event, direct_event) = (&mapped.events[0], &direct.events[0]);
    for field in &Field::ALL[..Field::SPANS] {
        if *field != Field::Device {
            assert_eq!(mapped.field(mapped_event, *field), direct.field(direct_event, *field), "{field}");
        }
    }
    assert_eq!(mapped_event.presence, direct_event.presence);
    assert_eq!(mapped_event.fingerprint, direct_event.fingerprint);
}

#[test]
fn amounts_and_instants_are_exact() {
    for (amount, currency, minor) in [
        (json!("12.34"), "SAR", Some(1234)),
        (json!(12.34), "SAR", Some(1234)),
        (json!(0.1), "SAR", Some(10)),
        (json!(1234), "JPY", Some(1234)),
        (json!("1.234"), "BHD", Some(1234)),
        (json!(" 5 "), "PTS", Some(5)),
        (json!(12.345), "SAR", None),
        (json!(1_234_567_890_123.456_7), "SAR", None),
        (json!([1]), "SAR", None),
        (json!("5"), "sar", Some(500)),
        (json!("5"), "ZZZ", None),
        (json!("5"), "", None),
    ] {
        let fields = json!({"amount_minor": {"pointer": "/a", "format": "decimal"}, "currency": {"pointer": "/c"}});
        let answer = apply(&fields, &json!({"a": amount, "c": currency}));
        assert_eq!(answer.ok().map(|batch| batch.events[0].amount_minor), minor, "{amount} {currency}");
    }
    let alone = json!({"amount_minor": {"pointer": "/a", "format": "decimal"}});
    assert!(apply(&alone, &json!({"a": "5"})).is_err(), "without a currency nobody knows how many digits");
    for (format, value, time_ms) in [
        ("unix_ms", json!(1_777_629_600_123_i64), Some(1_777_629_600_123)),
        ("unix_ms", json!("1777629600123.9"), Some(1_777_629_600_123)),
        ("unix_s", json!(1_777_629_600), Some(1_777_629_600_000)),
        ("unix_s", json!(1_777_629_600.123), Some(1_777_629_600_123)),
        ("unix_s", json!(-1), Some(-1000)),
        ("unix_s", json!("yesterday"), None),
        ("unix_s", json!(1_777_629_600_000_i64), None),
        ("unix_s", json!(true), None),
    ] {
        let answer = apply(&json!({"time": {"pointer": "/t", "format": format}}), &json!({"t": value}));
        assert_eq!(answer.ok().map(|batch| batch.events[0].event_time_ms), time_ms, "{format} {value}");
    }
}

#[test]
fn what_it_builds_is_checked_like_any_event() {
    let date = |text: &str| json!({"time": {"pointer": "/t"}, "type": {"pointer": "/k"}, "email": {"const": text}});
    let good = json!({"t": "2026-05-01T10:00:00Z", "k": "otp.sent"});
    assert!(apply(&date("a@b"), &good).is_ok());
    for (foreign, code) in [
        (json!({"k": "otp.sent"}), "missing_time"),
        (json!({"t": 5, "k": "otp.sent"}), "wrong_type"),
        (json!({"t": "soon", "k": "otp.sent"}), "bad_time"),
        (json!({"t": "2026-05-01T10:00:00Z"}), "missing_type"),
        (json!({"t": "2026-05-01T10:00:00Z", "k": {}}), "wrong_type"),
        (json!({"t": "2026-05-01T10:00:00Z", "k": "order.placed"}), "missing_field"),
        (json!({"t": "2027-05-01T10:00:00Z", "k": "otp.sent"}), "future"),
        (json!([]), "missing_type"),
    ] {
        assert_eq!(apply(&date("a@b"), &foreign).map(|_| ()).unwrap_err().code(), code, "{foreign}");
    }
    let fault = apply(&json!({"account_created_at": {"pointer": "/t", "format": "unix_s"}}), &json!({"t": []}));
    assert_eq!(
        fault.map(|_| ()).unwrap_err().to_string(),
        "the mapping cannot build account_created_at: it is neither a number nor a string"
    );
}

#[test]
fn every_fault_is_listed() {
    let errors = compile(&json!({
        "acount_id": {"pointer": "/a"},
        "zzz": {"pointer": "/a"},
        "id": {"pointer": "$.order.id"},
        "source": {"pointer": "/s", "const": "x"},
        "type": {},
        "amount_minor": {"const": 1, "format": "unix_ms"},
        "device": {"const": "d", "alias": {"a": "b"}},
        "rating": {"concat": ["1"]},
        "email": {"concat": []},
        "phone": {"concat": ["+", {"pointer": "/~"}]},
        "account_created_at": {"pointer": "/a", "format": "decimal"},
    }))
    .unwrap_err();
    assert_eq!(
        errors,
        [
            "mapping.account_created_at.format: this format makes an amount, which `account_created_at` is not",
            "mapping.acount_id: events have no field `acount_id` (hint: did you mean `account_id`?)",
            "mapping.amount_minor.format: this format makes an instant, which `amount_minor` is not",
            "mapping.device.const: `device` needs an object",
            "mapping.device.alias: an alias table makes a text, which `device` is not",
            "mapping.email.concat: it has no pieces",
            "mapping.id.pointer: `$.order.id` is not a JSON pointer: it does not begin with / (hint: write `/order/id`)",
            "mapping.phone.concat.1.pointer: `/~` is not a JSON pointer: a ~ in it is not ~0 (for ~) or ~1 (for /)",
            "mapping.rating.concat: a `concat` makes a text, which `rating` is not",
            "mapping.source: exactly one of `pointer`, `const` and `concat` says where the value comes from",
            "mapping.type: exactly one of `pointer`, `const` and `concat` says where the value comes from",
            "mapping.zzz: events have no field `zzz` (hint: docs/events.md lists the fields)",
            "mapping: it does not build `time`, which every event needs",
        ]
    );
}

#[test]
fn unknown_keys_are_refused() {
    for mapping in [
        json!({"id": {"pointer": "/a", "fromat": "unix_ms"}}),
        json!({"id": {"format": "unix_us"}}),
        json!({"id": {"concat": [{"const": "a"}]}}),
        json!({"id": "/a"}),
    ] {
        assert!(MappingConfig::deserialize(&mapping).is_err(), "{mapping}");
    }
}

/// The worked example of docs/mapping.md: its mapping, applied to its first JSON text, gives its second.
#[test]
fn the_example_in_the_docs_is_true() {
    let page = include_str!("../../../docs/mapping.md");
    let blocks: Vec<&str> = page.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let yaml = page.split("    mapping:\n").nth(1).unwrap().split("```").next().unwrap();
    // Each line of the example is a key and a flow mapping, which quoting its words makes JSON.
    let word = regex::Regex::new(r#""[^"]*"|[A-Za-z/_][A-Za-z0-9/_.]*"#).unwrap();
    let quoted = word.replace_all(yaml, |found: &regex::Captures<'_>| {
        if found[0].starts_with('"') { found[0].to_owned() } else { format!("\"{}\"", &found[0]) }
    });
    let members: Vec<&str> = quoted.lines().collect();
    let mapping = compile(&serde_json::from_str(&format!("{{{}}}", members.join(","))).unwrap()).unwrap();
    let mut built = Vec::new();
    mapping.write_event(&serde_json::from_str(blocks[0]).unwrap(), &mut built).unwrap();
    let mut built: Value = serde_json::from_slice(&built).unwrap();
    built["data"].as_object_mut().unwrap().remove("");
    assert_eq!(built, serde_json::from_str::<Value>(blocks[1]).unwrap());
}
