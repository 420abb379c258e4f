//! Envoy's external authorization: a gateway that is made from what Envoy publishes, in front of the real daemon.

#[path = "ext_authz/configured.rs"]
mod configured;
#[path = "ext_authz/example.rs"]
mod example;
#[path = "ext_authz/gateway.rs"]
mod gateway;
#[path = "ext_authz/guarded.rs"]
mod guarded;
#[path = "ext_authz/strained.rs"]
mod strained;

use serde_json::{Value, json};

use crate::support::http::{Served, event, referral};
use crate::support::until;
use gateway::{Gateway, goes_on, header, problem, question, question_of, refused};

/// Where subjects are.
const FIELDS: &str = "fields: {account_id: {header: X-Account}, device_id: {cookie: device}, ip: {peer: true}, \
                      referral_code: {query: code}, email: {header: x-email}}";

/// A daemon that answers gateways; `grpc` and `more` are further configuration.
fn served(grpc: &str, more: &str) -> Served {
    Served::start(&format!("http: {{grpc: {{listen: \"127.0.0.1:0\", {FIELDS}{grpc}}}}}\n{more}"))
}

/// A token of a gateway for these programs.
fn token(served: &Served, programs: &[&str]) -> String {
    served.token(&json!({"name": "gateway", "scopes": ["decisions:read"], "programs": programs}))
}

fn put(served: &Served, kind: &str, id: &str, verdict: &str, more: &Value) {
    let mut wanted = json!({"kind": kind, "id": id, "verdict": verdict, "reason": "ticket 4711"});
    for (name, value) in more.as_object().into_iter().flatten() {
        wanted[name] = value.clone();
    }
    let answer = served.ask("PUT", "/v1/overrides", &wanted.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Makes accounts on one device until the rule holds their referrer.
fn hold(served: &Served, referrer: &str) {
    for at in 0..3 {
        let data = json!({"account_id": format!("{referrer}-{at}"), "referrer_id": referrer, "device_id": referrer});
        let answer = served.ask("POST", "/v1/evaluate", &event(&format!("{referrer}-{at}"), "/shop", data).to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

/// What is asked of a route where value moves.
fn paying(headers: Value) -> Value {
    question_of(headers, json!({"refguard_type": "payout.requested"}), "/payouts")
}

#[test]
fn a_request_goes_on_or_is_refused_by_what_rules_have_decided() {
    let served = served("", "");
    let gateway = Gateway::of(&served, &token(&served, &["default"]));
    let free = gateway.check(&paying(json!({"x-account": "mallory"})));
    assert_eq!(goes_on(&free), Some("allow"), "{free:?}");
    hold(&served, "mallory");

    let held = gateway.check(&paying(json!({"x-account": "mallory"})));
    assert_eq!(refused(&held), Some((403, "self_referral".to_owned())), "{held:?}");
    let held = held.expect("it is answered");
    assert_eq!(held["status"]["code"], 7, "{held}");
    let told = problem(&held);
    for member in ["type", "title", "status", "code", "detail"] {
        assert!(!told[member].is_null(), "{member}: {told}");
    }
    assert_eq!((told["type"].as_str(), told["code"].as_str()), (Some("urn:refguard:problem:denied"), Some("denied")));
    assert!(told["texts"]["ar"]["what_to_do"].is_string(), "{told}");
    for secret in ["device", "mallory", "farm", "rule"] {
        assert!(!told.to_string().contains(secret), "nobody is told how it was found out: {told}");
    }
    assert_eq!(header(&held, "cache-control"), Some("no-store"));
    let metadata = &held["dynamicMetadata"];
    assert_eq!(
        (&metadata["verdict"], &metadata["reason"], &metadata["type"], &metadata["program"], &metadata["subjects"]),
        (&json!("hold"), &json!("self_referral"), &json!("payout.requested"), &json!("default"), &json!(3.0)),
        "account, address and network: {metadata}"
    );
    let decisions = served.ask("GET", "/v1/decisions?kind=account&id=mallory", "").json();
    assert_eq!(metadata["decision"], decisions["subjects"][0]["causes"][0]["id"]);

    // A hold counts where value moves, and a route that says nothing moves none.
    let looking = gateway.check(&question(json!({"x-account": "mallory"})));
    assert_eq!(goes_on(&looking), Some("allow"), "{looking:?}");
    // Nothing was counted by asking.
    let first = served.ask("POST", "/v1/evaluate", &referral("r1", "someone", "fresh").to_string()).json();
    assert_eq!(first["verdict"], "allow");
    assert_eq!(
        served.metric(
            "refguard_http_requests_total{route=\"/envoy.service.auth.v3.Authorization/Check\",status=\"200\"}"
        ),
        Some(2.0)
    );
    assert_eq!(
        served.metric(
            "refguard_http_requests_total{route=\"/envoy.service.auth.v3.Authorization/Check\",status=\"403\"}"
        ),
        Some(1.0)
    );
    assert_eq!(served.metric("refguard_ext_authz_latency_seconds_count"), Some(3.0));
}

#[test]
fn the_word_of_a_person_counts_at_once_on_any_subject_until_it_ends() {
    let served = served("", "");
    let gateway = Gateway::of(&served, &token(&served, &["*"]));
    for (kind, id, asked) in [
        ("account", "a", question(json!({"x-account": "a"}))),
        ("device", "d-1", question(json!({"cookie": "theme=dark; device=d-1"}))),
        ("email", "b@example.org", question(json!({"x-email": "B+x@Example.org"}))),
        ("referral_code", "FREE 50", question_of(json!({}), json!({}), "/join?utm=1&code=FREE%2050")),
    ] {
        assert_eq!(goes_on(&gateway.check(&asked)), Some("allow"), "{kind}");
        put(&served, kind, id, "block", &json!({}));
        assert_eq!(refused(&gateway.check(&asked)), Some((403, "not_available".to_owned())), "{kind}");
        let deleted = served.ask("DELETE", &format!("/v1/overrides?kind={kind}&id={}", id.replace(' ', "%20")), "");
        assert_eq!(deleted.status, 204, "{deleted:?}");
        assert_eq!(goes_on(&gateway.check(&asked)), Some("allow"), "{kind}: it has ended");
    }
    // The address that the gateway was reached from.
    put(&served, "ip_prefix", "192.0.2.0/24", "block", &json!({}));
    let blocked = gateway.check(&question(json!({"x-forwarded-for": "203.0.113.1"})));
    assert_eq!(refused(&blocked).map(|(status, _)| status), Some(403), "a header of the client changes nothing");
    // A person's word beats the rest, whichever subject it is about.
    put(&served, "account", "guest", "allow", &json!({}));
    assert!(refused(&gateway.check(&question(json!({"x-account": "guest"})))).is_some(), "of two words the graver");
    assert_eq!(served.ask("DELETE", "/v1/overrides?kind=ip_prefix&id=192.0.2.0%2F24", "").status, 204);
    hold(&served, "guest");
    assert_eq!(goes_on(&gateway.check(&paying(json!({"x-account": "guest"})))), Some("allow"));
    // It ends by itself.
    put(&served, "account", "brief", "block", &json!({"expires": soon()}));
    let brief = || gateway.check(&question(json!({"x-account": "brief"})));
    assert!(refused(&brief()).is_some());
    assert!(until(|| goes_on(&brief()) == Some("allow")), "it has ended");
}

/// A time that passes while a test waits.
#[expect(clippy::disallowed_methods, reason = "an override ends by the clock")]
fn soon() -> String {
    let at = std::time::SystemTime::now() + std::time::Duration::from_secs(3);
    let since = at.duration_since(std::time::UNIX_EPOCH).expect("it is after 1970");
    let mut text = Vec::new();
    refguard::event::write_time_ms(
        &mut text,
        i64::try_from(since.as_millis()).expect("it is before the year 292278994"),
    );
    String::from_utf8(text).expect("a time is text")
}

#[test]
fn programs_are_apart_and_a_route_says_which() {
    let served = served("", "");
    put(&served, "account", "a", "block", &json!({"program": "gold"}));
    let gateway = Gateway::of(&served, &token(&served, &["default", "gold"]));
    let of = |program: &str| question_of(json!({"x-account": "a"}), json!({"refguard_program": program}), "/");
    assert_eq!(goes_on(&gateway.check(&question(json!({"x-account": "a"})))), Some("allow"));
    assert!(refused(&gateway.check(&of("gold"))).is_some());
    let foreign = gateway.check(&of("tin")).expect_err("the token does not speak for it");
    assert_eq!(foreign.code(), tonic::Code::PermissionDenied, "{foreign:?}");
    assert!(foreign.message().starts_with("program: "), "{foreign:?}");
}

#[test]
fn nobody_hides_behind_a_second_value_and_a_forged_header_of_ours_is_taken_away() {
    let served = served("", "");
    put(&served, "account", "mallory", "block", &json!({}));
    let gateway = Gateway::of(&served, &token(&served, &["*"]));
    for value in ["mallory", "nora,mallory", "mallory, nora", " mallory "] {
        assert!(refused(&gateway.check(&question(json!({"x-account": value})))).is_some(), "{value:?}");
    }
    // As Envoy sends them where it is told to send raw headers.
    let mut raw = question(json!({}));
    let http = &mut raw["attributes"]["request"]["http"];
    http.as_object_mut().expect("it is an object").remove("headers");
    // "mallory", in base64 as JSON has bytes.
    http["headerMap"] =
        json!({"headers": [{"key": "x-account", "value": "nora"}, {"key": "x-account", "rawValue": "bWFsbG9yeQ=="}]});
    assert!(refused(&gateway.check(&raw)).is_some());
    let crowd = vec!["x"; 40].join(",");
    assert_eq!(
        refused(&gateway.check(&question(json!({"x-account": crowd})))),
        Some((400, "too_many_values".to_owned()))
    );

    let forged =
        json!({"x-account": "nora", "refguard-verdict": "allow", "refguard-degraded": "true", "refguard-reason": "x"});
    let answer = gateway.check(&question(forged)).expect("it is answered");
    assert_eq!(header(&answer, "refguard-verdict"), Some("allow"));
    assert_eq!(answer["okResponse"]["headersToRemove"], json!(["refguard-reason", "refguard-degraded"]));
}
