//! What the configuration says: which verdicts refuse, what is required, programs that only observe, and faults in it.

use serde_json::{Value, json};

use super::gateway::{Gateway, goes_on, header, question, question_of, refused};
use super::{hold, paying, put, served, token};
use crate::support::http::{Served, configured};
use crate::support::program::answer;

#[test]
fn which_verdicts_refuse_is_chosen() {
    for (deny_from, hold_is, challenge_is) in [("block", None, None), ("challenge", Some(403), Some(401))] {
        let served = served(&format!(", deny_from: {deny_from}"), "");
        std::fs::write(served.folder.path().join("rules/challenge.yaml"), PACK).expect("there is room");
        served.with(|daemon| {
            daemon.hang_up();
            daemon.said("new rules are in force");
        });
        let gateway = Gateway::of(&served, &token(&served, &["*"]));
        hold(&served, "held");
        let mut asks = crate::support::http::event("c1", "/shop", json!({"account_id": "doubtful"}));
        asks["type"] = json!("login.succeeded");
        assert_eq!(served.ask("POST", "/v1/evaluate", &asks.to_string()).status, 200);
        for (account, verdict, status) in [("held", "hold", hold_is), ("doubtful", "challenge", challenge_is)] {
            let told = gateway.check(&paying(json!({"x-account": account})));
            match status {
                None => {
                    assert_eq!(goes_on(&told), Some(verdict), "{told:?}");
                    let told = told.expect("it is answered");
                    assert!(header(&told, "refguard-reason").is_some(), "{told}");
                }
                Some(status) => {
                    assert_eq!(refused(&told).map(|(status, _)| status), Some(status), "{told:?}");
                    let told = told.expect("it is answered");
                    let asks = header(&told, "www-authenticate").unwrap_or_default();
                    assert_eq!(asks.contains("insufficient_user_authentication"), verdict == "challenge", "{told}");
                    assert_eq!(told["status"]["code"], if verdict == "challenge" { 16 } else { 7 });
                }
            }
        }
    }
}

const PACK: &str = r#"
version: 1
pack: doubts
rules:
  - id: doubtful
    title: Somebody else, perhaps
    on: [login.succeeded]
    when: event.account_id == "doubtful"
    score: 1
    severity: low
    decide: [{subject: account, verdict: challenge, ttl: 1d}]
"#;

#[test]
fn what_is_required_must_be_there_and_readable() {
    let served = served(", required: [account_id, email]", "programs: {quiet: {observe_only: true}}");
    let gateway = Gateway::of(&served, &token(&served, &["*"]));
    let whole = json!({"x-account": "a", "x-email": "a@example.org"});
    assert_eq!(goes_on(&gateway.check(&question(whole))), Some("allow"));
    for (headers, field) in [
        (json!({}), "account_id"),
        (json!({"x-account": "", "x-email": "a@example.org"}), "account_id"),
        (json!({"x-account": "a"}), "email"),
        (json!({"x-account": "a", "x-email": "no address"}), "email"),
    ] {
        let told = gateway.check(&question(headers.clone()));
        assert_eq!(refused(&told), Some((400, "missing_subject".to_owned())), "{headers}");
        let body = told.expect("it is answered")["deniedResponse"]["body"].to_string();
        assert!(body.contains(field), "{body}");
    }
    assert_eq!(
        gateway.check(&json!({})).map(|told| told["deniedResponse"].is_object()).ok(),
        Some(true),
        "nothing at all"
    );
    // Where nothing is stopped, that is not either; and the logs show what would be.
    put(&served, "account", "a", "block", &json!({"program": "quiet"}));
    let quiet = |headers: Value| gateway.check(&question_of(headers, json!({"refguard_program": "quiet"}), "/"));
    assert_eq!(goes_on(&quiet(json!({}))), Some("allow"));
    let told = quiet(json!({"x-account": "a"}));
    assert_eq!(goes_on(&told), Some("allow"), "{told:?}");
    assert_eq!(told.expect("it is answered")["dynamicMetadata"]["would_be"], "block");
}

#[test]
fn what_a_proxy_has_added_counts_where_that_is_said() {
    let fields = "fields: {ip: {header: x-forwarded-for, hop: 2}, campaign: {extension: campaign}}, program: {header: x-tenant}, \
                  event_type: {constant: login.succeeded}";
    let served = Served::start(&format!("http: {{grpc: {{listen: \"127.0.0.1:0\", {fields}}}}}"));
    let gateway = Gateway::of(&served, &token(&served, &["*"]));
    put(&served, "ip", "203.0.113.7", "block", &json!({"program": "gold"}));
    put(&served, "campaign", "spring", "block", &json!({}));
    for (listed, tenant, is_refused) in [
        ("203.0.113.7, 10.0.0.1", "gold", true),
        ("198.51.100.1, 203.0.113.7, 10.0.0.1", "gold", true),
        ("203.0.113.7, 198.51.100.1, 10.0.0.1", "gold", false),
        ("203.0.113.7, 10.0.0.1", "", false),
        ("203.0.113.7", "gold", false),
    ] {
        let told = gateway.check(&question(json!({"x-forwarded-for": listed, "x-tenant": tenant})));
        assert_eq!(refused(&told).is_some(), is_refused, "{listed} of {tenant}: {told:?}");
    }
    assert!(refused(&gateway.check(&question_of(json!({}), json!({"campaign": "spring"}), "/"))).is_some());
}

#[test]
fn faults_of_the_configuration_are_told_at_the_start() {
    let folder = tempfile::tempdir().expect("there is room");
    for (sources, grpc, told) in [
        ("{inbox: {http: {}}}", "listen: \"127.0.0.1:0\"", "no field says where"),
        ("{}", "listen: \"127.0.0.1:0\", fields: {ip: {peer: true}}", "no source is `http`"),
        ("{inbox: {http: {}}}", "fields: {acount_id: {header: x}}", "did you mean `account_id`?"),
        ("{inbox: {http: {}}}", "fields: {ip: {}}", "a value is in one place"),
        ("{inbox: {http: {}}}", "fields: {ip: {header: x, cookie: y}}", "a value is in one place"),
        ("{inbox: {http: {}}}", "fields: {ip: {peer: true, hop: 1}}", "`hop` counts"),
        ("{inbox: {http: {}}}", "fields: {ip: {peer: true}}, required: [email]", "`email` is required"),
        ("{inbox: {http: {}}}", "program: {}", "a value is in one place"),
        ("{inbox: {http: {}}}", "tls: {certificate: x.pem}", "belong together"),
    ] {
        let more = format!("http: {{grpc: {{{grpc}}}}}");
        let config = configured(folder.path(), sources, "{verdicts: {file: VERDICTS}}", &more);
        let checked = answer(&["check", "--config", config.to_str().expect("a path is text")]);
        let said = String::from_utf8_lossy(&checked.out).into_owned() + &checked.err;
        assert_eq!(checked.code, Some(1), "{grpc}: {said}");
        assert!(said.contains(told), "{grpc}: {said}");
    }
}
