use super::*;

const AT: Place = Place { position: Position { partition: 2, offset: 7 }, ingest_time_ms: 1_777_629_900_000 };

fn parse(text: &str) -> Result<EventBatch, Reason> {
    let mut batch = EventBatch::default();
    let range = batch.push_input(text.as_bytes())?;
    Parser::default().parse_structured(&mut batch, range, AT)?;
    Ok(batch)
}

#[test]
fn reads_a_structured_event() {
    let text = r#"{"specversion":"1.0","id":"e1","source":"/shop","type":"referral.completed","time":"2026-05-01T10:05:00Z",
        "data":{"account_id":"b","referrer_id":"\u0061","amount_minor":-5,"latitude":24.5,"nothing":[1,{}],"email":null}}"#;
    let batch = parse(text).unwrap();
    let event = &batch.events[0];
    assert_eq!(batch.field(event, Field::AccountId), "b");
    assert_eq!(batch.field(event, Field::ReferrerId), "a");
    assert_eq!(batch.field(event, Field::Program), "default");
    assert_eq!(event.amount_minor, -5);
    assert_eq!(event.event_time_ms, 1_777_629_900_000);
    assert!(!event.presence.has(Field::Email));
    assert_eq!(batch.text(event.raw), text);
}
