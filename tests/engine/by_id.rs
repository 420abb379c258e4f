//! Decisions on a subject that an expression names are met by the events of that subject, however it was spelt.

use refguard::engine::{Policy, ProgramPolicy};
use serde_json::json;

use super::{EngineOptions, Story, Value};

/// What an event with this meets after a decision on the subject of this text.
fn met(kind: &str, text: &str, event: &Value) -> String {
    let rules = format!(
        "  - {{id: made, on: [order.placed], when: 'true', decide: [{{subject: {kind}, id: event.referrer_email + event.order_id, verdict: block}}]}}\n"
    );
    let german = ProgramPolicy { region: "DE".to_owned(), ..ProgramPolicy::default() };
    let policy = Policy { programs: vec![("german".to_owned(), german)], ..Policy::default() };
    let mut story = Story::with(&rules, EngineOptions { policy, ..EngineOptions::default() });
    let program = event.get("program").cloned().unwrap_or_default();
    let field = if kind == "email" { "referrer_email" } else { "order_id" };
    story.tell("order.placed", 0, json!({"account_id": "a", "program": program, field: text}));
    let verdict = story.tell("login.succeeded", 1, event.clone());
    verdict["verdict"].as_str().unwrap().to_owned()
}

#[test]
fn an_id_by_expression_is_spelt_as_events_are() {
    for (kind, text, event, verdict) in [
        ("email", "A.Lice+shop@GMail.com", json!({"account_id": "b", "email": "alice@gmail.com"}), "block"),
        ("email", "bob@mail.example", json!({"account_id": "b", "email": "Bob@Mail.Example"}), "block"),
        ("email", "bob@mail.example", json!({"account_id": "b", "email": "rob@mail.example"}), "allow"),
        ("phone", "050 123 4567", json!({"account_id": "b", "phone": "+966501234567"}), "block"),
        ("phone", "+966 50 123 4567", json!({"account_id": "b", "phone": "0501234567"}), "block"),
        ("phone", "030 123456", json!({"account_id": "b", "phone": "+4930123456", "program": "german"}), "block"),
        ("phone", "nothing", json!({"account_id": "b", "phone": "+966501234567"}), "allow"),
        ("ip", " ::ffff:192.0.2.1", json!({"account_id": "b", "ip": "192.0.2.1"}), "block"),
        ("ip", "2001:DB8:0::1", json!({"account_id": "b", "ip": "2001:db8::1"}), "block"),
        ("ip_prefix", "192.0.2.77", json!({"account_id": "b", "ip": "192.0.2.1"}), "block"),
        ("ip_prefix", "2001:db8::/64", json!({"account_id": "b", "ip": "2001:db8::5"}), "block"),
        ("ip_prefix", "192.0.0.0/16", json!({"account_id": "b", "ip": "192.0.2.1"}), "allow"),
        ("device", "d9", json!({"account_id": "b", "device_id": "d9"}), "block"),
    ] {
        assert_eq!(met(kind, text, &event), verdict, "{kind} {text}: {event}");
    }
}
