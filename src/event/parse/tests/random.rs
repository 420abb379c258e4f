//! Random events, written in any notation that says the same.

use super::*;
use std::collections::BTreeMap;

/// What an event says.
#[derive(Clone, Debug)]
pub(super) struct RandomEvent {
    time_ms: i64,
    texts: BTreeMap<Field, String>,
    ints: BTreeMap<Field, i64>,
    doubles: BTreeMap<Field, f64>,
    created_ms: Option<i64>,
    device: Option<BTreeMap<String, String>>,
}

/// Any valid event of a type that requires nothing.
pub(super) fn event() -> impl Strategy<Value = RandomEvent> {
    let texts: Vec<Field> = Field::ALL.iter().copied().filter(|field| field.field_type() == FieldType::Text).collect();
    let text = prop_oneof!["[a-z0-9@./_-]{0,40}", "\\PC{0,12}", any::<String>()];
    (
        proptest::collection::btree_map(proptest::sample::select(texts), text, 0..12),
        ("[a-z]{1,9}", "\\PC{1,9}", prop_oneof![Just("otp.sent".to_owned()), "[a-z]{1,6}\\.[a-z]{1,6}"]),
        crate::event::TIME_MIN_MS..=AT.ingest_time_ms + crate::event::FUTURE_MAX_MS,
        proptest::option::of(any::<i64>()),
        proptest::option::of((-90.0..=90.0, -180.0..=180.0, -1e9..1e9)),
        proptest::option::of(crate::event::TIME_MIN_MS..=crate::event::TIME_MAX_MS),
        proptest::option::of(proptest::collection::btree_map(any::<String>(), any::<String>(), 0..4)),
    )
        .prop_map(|(mut texts, (id, source, kind), time_ms, amount, place, created_ms, device)| {
            texts.extend([(Field::Id, id), (Field::Source, source), (Field::Type, kind)]);
            let doubles = place.map(|(latitude, longitude, rating)| {
                [(Field::Latitude, latitude), (Field::Longitude, longitude), (Field::Rating, rating)]
            });
            RandomEvent {
                time_ms,
                texts,
                ints: amount.map(|amount| (Field::AmountMinor, amount)).into_iter().collect(),
                doubles: doubles.into_iter().flatten().collect(),
                created_ms,
                device,
            }
        })
}

impl RandomEvent {
    /// The event in structured mode; the order of members, spaces and escapes follow `shuffle`.
    pub(super) fn structured(&self, shuffle: u64) -> String {
        let mut members = vec![r#""specversion":"1.0""#.to_owned(), format!("\"data\":{}", self.data(shuffle))];
        for (field, text) in self.texts.iter().filter(|(field, _)| field.is_envelope()) {
            members.push(format!("\"{field}\":{}", string(text, shuffle)));
        }
        members.push(format!("\"time\":\"{}\"", time(self.time_ms)));
        object(members, shuffle)
    }

    /// The event in binary mode: headers and value.
    pub(super) fn binary(&self, shuffle: u64) -> (Vec<(&'static str, String)>, String) {
        let headers = vec![
            ("ce_specversion", "1.0".to_owned()),
            ("ce_id", self.texts[&Field::Id].clone()),
            ("ce_source", self.texts[&Field::Source].clone()),
            ("ce_type", self.texts[&Field::Type].clone()),
            ("ce_time", time(self.time_ms)),
        ];
        (headers, self.data(shuffle))
    }

    fn data(&self, shuffle: u64) -> String {
        let texts = self.texts.iter().filter(|(field, _)| !field.is_envelope());
        let mut members: Vec<String> =
            texts.map(|(field, text)| format!("\"{field}\":{}", string(text, shuffle))).collect();
        members.extend(self.ints.iter().map(|(field, value)| format!("\"{field}\":{value}")));
        members.extend(self.doubles.iter().map(|(field, value)| format!("\"{field}\":{value:?}")));
        members.extend(self.created_ms.map(|time_ms| format!("\"account_created_at\":\"{}\"", time(time_ms))));
        members.extend(self.device.as_ref().map(|device| {
            let attributes = device
                .iter()
                .map(|(name, value)| format!("{}:{}", string(name, shuffle), string(value, shuffle.rotate_left(3))));
            format!("\"device\":{}", object(attributes.collect(), shuffle.rotate_left(5)))
        }));
        members.push(r#""unknown":{"account_id":["{}",1.5e3,null]}"#.to_owned());
        object(members, shuffle.rotate_left(9))
    }

    /// Compares what was read with what was said.
    pub(super) fn check(&self, batch: &EventBatch) -> Result<(), TestCaseError> {
        let event = &batch.events[0];
        for field in Field::ALL.iter().copied().filter(|field| field.field_type() == FieldType::Text) {
            let said = self.texts.get(&field).map_or("", String::as_str);
            let expected = if field == Field::Program && said.is_empty() { "default" } else { said };
            prop_assert_eq!(batch.field(event, field), expected);
            prop_assert_eq!(event.presence.has(field), self.texts.contains_key(&field) || field == Field::Program);
        }
        prop_assert_eq!(event.event_time_ms, self.time_ms);
        prop_assert_eq!(event.amount_minor, self.ints.get(&Field::AmountMinor).copied().unwrap_or(0));
        let doubles =
            [(Field::Latitude, event.latitude), (Field::Longitude, event.longitude), (Field::Rating, event.rating)];
        for (field, read) in doubles {
            prop_assert_eq!(read, self.doubles.get(&field).copied().unwrap_or(0.0));
        }
        prop_assert_eq!(event.account_created_at_ms, self.created_ms.unwrap_or(0));
        let device = batch.field(event, Field::Device);
        let read: Option<BTreeMap<String, String>> =
            (!device.is_empty()).then(|| serde_json::from_str(device).unwrap());
        prop_assert_eq!(&read, &self.device);
        Ok(())
    }
}

fn time(time_ms: i64) -> String {
    let mut out = Vec::new();
    crate::event::write_time_ms(&mut out, time_ms);
    String::from_utf8(out).unwrap()
}

/// A string as JSON, with more escapes than needed if the dice say so.
fn string(text: &str, shuffle: u64) -> String {
    if shuffle.is_multiple_of(3) {
        let units: Vec<String> = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        return format!("\"{}\"", units.concat());
    }
    let mut out = Vec::new();
    json::write_string(&mut out, text);
    String::from_utf8(out).unwrap()
}

/// An object of these members in some order, with some white space.
fn object(mut members: Vec<String>, shuffle: u64) -> String {
    let turn = shuffle as usize % members.len().max(1);
    members.rotate_left(turn);
    if shuffle & 64 == 0 {
        members.reverse();
    }
    let (comma, open) = [(",", "{"), (" ,\n", "{ "), ("\t, ", "\r\n{"), (",  ", "{")][shuffle as usize >> 7 & 3];
    format!("{open}{}}}", members.join(comma))
}
