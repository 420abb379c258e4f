//! Who may ask for a gateway: tokens in the call's own metadata, TLS, certificates of gateways.

use std::fs;

use serde_json::json;
use tonic::Code;

use super::gateway::{Gateway, goes_on, question, refused};
use super::{FIELDS, put, served, token};
use crate::support::certificates;
use crate::support::http::{Served, configured};
use crate::support::until;

#[test]
fn a_gateway_needs_a_token_of_its_own_that_counts() {
    let served = served("", "");
    let known = token(&served, &["*"]);
    let other =
        served.token(&json!({"name": "shop", "scopes": ["evaluate", "ingest"], "programs": ["*"], "sources": ["*"]}));
    let mut wrong = known.clone();
    wrong.pop();
    wrong.push(if known.ends_with('a') { 'b' } else { 'a' });
    let mut gateway = Gateway::of(&served, "");
    let asked = question(json!({"x-account": "a"}));
    for (token, code, told) in [
        ("", Code::Unauthenticated, "unauthorized: "),
        ("no token", Code::Unauthenticated, "unauthorized: "),
        (wrong.as_str(), Code::Unauthenticated, "unauthorized: "),
        (other.as_str(), Code::PermissionDenied, "scope: "),
    ] {
        gateway = gateway.with(token);
        let error = gateway.check(&asked).expect_err("it may not ask");
        assert_eq!(error.code(), code, "{error:?}");
        assert!(error.message().starts_with(told) && !error.message().contains(&known), "{error:?}");
    }
    // The client of the gateway has a token too, even one that counts here: it is not the gateway's.
    let of_client = question(json!({"x-account": "a", "authorization": format!("Bearer {known}")}));
    gateway = gateway.with("");
    let error = gateway.check(&of_client).expect_err("the gateway shows none");
    assert_eq!(error.code(), Code::Unauthenticated, "{error:?}");
    // And what the client shows takes nothing from the gateway's.
    gateway = gateway.with(&known);
    let strange = question(json!({"x-account": "a", "authorization": "Bearer of somebody else"}));
    assert_eq!(goes_on(&gateway.check(&strange)), Some("allow"));
    // A token that is revoked ends here too.
    let id = known.split('_').nth(1).expect("a token has an id");
    assert!([200, 204].contains(&served.ask("DELETE", &format!("/v1/tokens/{id}"), "").status));
    let error = gateway.check(&asked).expect_err("it was revoked");
    assert_eq!(error.code(), Code::Unauthenticated, "{error:?}");
    // One that expires does so by itself.
    let wanted = json!({"name": "brief", "scopes": ["decisions:read"], "programs": ["*"], "expires": super::soon()});
    gateway = gateway.with(&served.token(&wanted));
    assert_eq!(goes_on(&gateway.check(&asked)), Some("allow"));
    let has_ended = || gateway.check(&asked).is_err_and(|error| error.code() == Code::Unauthenticated);
    assert!(until(has_ended), "it has expired");
    let counted = |status: &str| {
        let name = "refguard_http_requests_total{route=\"/envoy.service.auth.v3.Authorization/Check\",status=";
        served.metric(&format!("{name}\"{status}\"}}")).unwrap_or_default()
    };
    assert!(counted("401") >= 5.0 && counted("403") == 1.0, "errors of gRPC are counted by what they come to");
}

#[test]
fn what_a_gateway_may_ask_is_limited() {
    let limits = "limits: {token: {calls_per_second: 1, burst: 3}, wrong_tokens_per_minute: 2}";
    let grpc = format!("http: {{grpc: {{listen: \"127.0.0.1:0\", max_message: 4KiB, {FIELDS}}}, {limits}}}");
    let served = Served::start(&grpc);
    let gateway = Gateway::of(&served, &token(&served, &["*"]));
    let long = question(json!({"x-account": "a", "x-long": "x".repeat(5000)}));
    let error = gateway.check(&long).expect_err("it is too long");
    assert_eq!(error.code(), Code::ResourceExhausted, "{error:?}");
    assert!(error.message().contains("http.grpc.max_message"), "{error:?}");
    let asked = question(json!({"x-account": "a"}));
    let codes: Vec<Code> = (0..6).filter_map(|_| gateway.check(&asked).err()).map(|error| error.code()).collect();
    assert!(!codes.is_empty() && codes.iter().all(|code| *code == Code::ResourceExhausted), "{codes:?}");
    let gateway = gateway.with("rfg_aaaaaaaaaaaa_guess");
    let codes: Vec<Code> = (0..4).filter_map(|_| gateway.check(&asked).err()).map(|error| error.code()).collect();
    let expected = [Code::Unauthenticated, Code::Unauthenticated, Code::ResourceExhausted, Code::ResourceExhausted];
    assert_eq!(codes, expected, "whoever guesses waits");
}

#[test]
fn gateways_speak_tls_and_show_certificates_where_that_is_asked_for() {
    let folder = tempfile::tempdir().expect("there is room");
    certificates::make(folder.path());
    let at = |name: &str| folder.path().join(name).display().to_string();
    let read = |folder: &std::path::Path, name: &str| fs::read_to_string(folder.join(name)).expect("it was made");
    let tls = format!("tls: {{certificate: {0}, key: {0}, client_ca: {1}}}", at("server.pem"), at("ca.pem"));
    let more = format!("http: {{grpc: {{listen: \"127.0.0.1:0\", {tls}, {FIELDS}}}}}");
    let config = configured(folder.path(), "{inbox: {http: {}}}", "{verdicts: {file: VERDICTS}}", &more);
    let others = tempfile::tempdir().expect("there is room");
    certificates::make(others.path());
    let served = Served::of(folder, config);
    let folder = served.folder.path().to_owned();
    // The API has certificates of its own, or none.
    put(&served, "account", "a", "block", &json!({}));
    let token = token(&served, &["*"]);
    let asked = question(json!({"x-account": "a"}));
    let answered = |authority: &std::path::Path, client: Option<&std::path::Path>| {
        let identity = client.map(|client| (read(client, "client.pem"), read(client, "client.key")));
        let identity = identity.as_ref().map(|(certificate, key)| (certificate.as_str(), key.as_str()));
        let gateway = Gateway::secure(&served, &read(authority, "ca.pem"), identity).ok()?.with(&token);
        gateway.check(&asked).ok()
    };
    let of = |authority: &std::path::Path, client| answered(authority, client).map(Ok);
    assert!(of(&folder, Some(&folder)).is_some_and(|answer| refused(&answer).is_some()));
    assert!(answered(&folder, None).is_none(), "one that shows none is refused");
    assert!(answered(&folder, Some(others.path())).is_none(), "one of another authority is refused");
    assert!(answered(others.path(), Some(&folder)).is_none(), "a gateway that does not trust goes away");
    // A certificate is no token.
    let (certificate, key) = (read(&folder, "client.pem"), read(&folder, "client.key"));
    let gateway = Gateway::secure(&served, &read(&folder, "ca.pem"), Some((&certificate, &key))).expect("it is known");
    assert_eq!(gateway.check(&asked).expect_err("it shows no token").code(), Code::Unauthenticated);
    // Certificates that change are taken.
    fs::copy(others.path().join("server.pem"), folder.join("server.pem")).expect("there is room");
    served.with(|daemon| daemon.said("other certificates are in force"));
    assert!(of(others.path(), Some(&folder)).is_some_and(|answer| refused(&answer).is_some()));
}
