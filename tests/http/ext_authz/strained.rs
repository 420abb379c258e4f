//! When the state cannot be asked, when too many ask, and at the end.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::gateway::{Gateway, address, goes_on, header, question, refused};
use super::{FIELDS, served, token};
use crate::support::http::{Served, referral};

/// How long something may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon, and a gateway.
fn strained(grpc: &str, policy: &str) -> (Served, Gateway) {
    let more = format!(
        "http: {{grpc: {{listen: \"127.0.0.1:0\", {FIELDS}, {grpc}}}}}\npolicy: {{on_state_unavailable: {policy}}}"
    );
    let served = Served::start(&more);
    let gateway = Gateway::of(&served, &token(&served, &["*"]));
    (served, gateway)
}

fn degraded(served: &Served, setting: &str) -> f64 {
    let name = format!("refguard_degraded_answers_total{{cause=\"http.grpc.{setting}\"}}");
    served.metric(&name).unwrap_or_default()
}

#[test]
fn what_takes_too_long_is_answered_by_the_policy() {
    for (policy, is_open) in [("fail_open", true), ("fail_closed", false)] {
        let (served, gateway) = strained("answer_timeout: 1ms", policy);
        let is_late = |answer: &Result<Value, Status>| {
            answer.as_ref().is_ok_and(|answer| answer["dynamicMetadata"]["degraded"] == json!(true))
        };
        let events: Vec<Value> = (0..1000).map(|at| referral(&format!("f{at}"), &format!("a{at}"), "d")).collect();
        let events = Value::from(events).to_string();
        // The engine has a thousand events to judge, again and again, so that soon a question waits for longer than a millisecond.
        let (mut asked, mut late, mut answers) = (0, None, 0.0);
        thread::scope(|scope| {
            while late.is_none() && asked < 200 {
                let batch = events.replace("\"f", &format!("\"{asked}f"));
                let headers = "content-type: application/cloudevents-batch+json\r\n";
                let served = &served;
                let judging =
                    scope.spawn(move || served.ask_with("POST", "/v1/evaluate", &served.admin, headers, &batch).status);
                while late.is_none() && !judging.is_finished() {
                    let answer = gateway.check(&question(json!({"x-account": "a"})));
                    answers += f64::from(u8::from(is_late(&answer)));
                    late = Some(answer).filter(is_late);
                }
                assert_eq!(judging.join().expect("it is answered"), 200);
                asked += 1;
            }
        });
        let answer = late.expect("a question waits for a batch");
        if is_open {
            assert_eq!(goes_on(&answer), Some("allow"), "{answer:?}");
            assert_eq!(header(&answer.expect("it is answered"), "refguard-degraded"), Some("true"));
        } else {
            assert_eq!(refused(&answer), Some((503, "unavailable".to_owned())), "{answer:?}");
            assert!(header(&answer.expect("it is answered"), "retry-after").is_some());
        }
        assert_eq!(degraded(&served, "answer_timeout"), answers);
    }
}

#[test]
fn more_than_may_wait_are_answered_at_once() {
    let (served, gateway) = strained("max_calls: 1, answer_timeout: 5s", "fail_closed");
    let (mut refusals, mut rounds) = (0.0, 0);
    while refusals == 0.0 && rounds < 100 {
        let (answered, answers) = channel();
        for _ in 0..200 {
            let (answered, ask) = (answered.clone(), gateway.ask(&question(json!({"x-account": "a"}))));
            gateway.runtime.spawn(async move { answered.send(ask.await).expect("somebody waits") });
        }
        for _ in 0..200 {
            let answer = answers.recv_timeout(PATIENCE).expect("an answer comes");
            if goes_on(&answer) != Some("allow") {
                assert_eq!(refused(&answer), Some((503, "unavailable".to_owned())), "{answer:?}");
                refusals += 1.0;
            }
        }
        rounds += 1;
    }
    assert!(refusals > 0.0, "two came at once");
    assert_eq!(degraded(&served, "max_calls"), refusals, "nobody waited in vain");
    assert_eq!(goes_on(&gateway.check(&question(json!({"x-account": "a"})))), Some("allow"), "there is room again");
}

#[test]
fn health_is_told_without_a_token_and_the_end_is_told_to_whoever_watches() {
    let mut served = served("", "");
    let gateway = Gateway::of(&served, &token(&served, &["*"]));
    let asked = |service: &str| HealthCheckRequest { service: service.to_owned() };
    let mut client = HealthClient::new(gateway.channel.clone());
    for service in ["", "envoy.service.auth.v3.Authorization"] {
        let healthy = gateway.runtime.block_on(client.check(asked(service))).expect("it is answered");
        assert_eq!(healthy.into_inner().status(), ServingStatus::Serving, "{service}");
    }
    let unknown = gateway.runtime.block_on(client.check(asked("other"))).expect_err("there is no such service");
    assert_eq!(unknown.code(), Code::NotFound);
    let watched = gateway.runtime.block_on(client.watch(asked("envoy.service.auth.v3.Authorization")));
    let mut watched = watched.expect("it is answered").into_inner();
    let next = |watched: &mut tonic::Streaming<_>| gateway.runtime.block_on(watched.message());
    let first: Option<tonic_health::pb::HealthCheckResponse> = next(&mut watched).expect("it is told");
    assert_eq!(first.map(|told| told.status()), Some(ServingStatus::Serving));

    let (answered, answers) = channel();
    let asks = question(json!({"x-account": "a"}));
    for _ in 0..4 {
        let (answered, gateway_asks) = (answered.clone(), (0..100).map(|_| gateway.ask(&asks)).collect::<Vec<_>>());
        gateway.runtime.spawn(async move {
            for ask in gateway_asks {
                answered.send(ask.await).expect("somebody waits");
            }
        });
    }
    drop(answered);
    served.with(|daemon| daemon.terminate());
    for answer in answers {
        let is_told = goes_on(&answer) == Some("allow");
        let has_ended = |error: &Status| {
            [Code::Unavailable, Code::Unknown, Code::Cancelled, Code::Internal].contains(&error.code())
        };
        assert!(is_told || answer.as_ref().is_err_and(has_ended), "it is answered, or there is nobody: {answer:?}");
    }
    let mut last = None;
    while let Ok(Some(told)) = next(&mut watched) {
        last = Some(told.status());
    }
    assert!([None, Some(ServingStatus::NotServing), Some(ServingStatus::ServiceUnknown)].contains(&last), "{last:?}");
    served.ended();
}

#[test]
fn whoever_speaks_no_grpc_or_says_nothing_is_cut_off() {
    let grpc = format!("http: {{head_timeout: 300ms, grpc: {{listen: \"127.0.0.1:0\", {FIELDS}}}}}");
    let served = Served::start(&grpc);
    let address = address(&served);
    for said in [&b""[..], b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM"] {
        let mut stream = TcpStream::connect(&address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout is longer than zero");
        stream.write_all(said).expect("it is open");
        match stream.read_to_end(&mut Vec::new()) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("the connection stays open: {said:?}")
            }
            _ => {}
        }
    }
    let gateway = Gateway::of(&served, &token(&served, &["*"]));
    let mut client = tonic::client::Grpc::new(gateway.channel.clone());
    let unknown = gateway.runtime.block_on(async {
        client.ready().await.expect("it is connected");
        let codec = tonic_prost::ProstCodec::<(), ()>::default();
        client
            .unary(
                tonic::Request::new(()),
                "/envoy.service.auth.v2.Authorization/Check".parse().expect("a path"),
                codec,
            )
            .await
    });
    assert_eq!(unknown.expect_err("there is no such call").code(), Code::Unimplemented);
    assert_eq!(goes_on(&gateway.check(&question(json!({"x-account": "a"})))), Some("allow"));
}
