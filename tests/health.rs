//! The port of metrics and probes from outside, over plain sockets.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use refguard::daemon::health::{self, HealthError, Readiness, Server};
use refguard::daemon::metrics::Metrics;

/// Sends a request and answers with everything that comes back.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(request.as_bytes()).expect("the connection is open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer is text");
    answer
}

/// Status and body of a page.
fn get(address: SocketAddr, page: &str) -> (u16, String) {
    let answer = ask(address, &format!("GET {page} HTTP/1.1\r\nhost: refguard\r\nconnection: close\r\n\r\n"));
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
    let body = answer.split_once("\r\n\r\n").expect("a body").1;
    (status, body.to_owned())
}

fn served(metrics: Metrics) -> (Server, Readiness) {
    let readiness = Readiness::new("the rules are being read");
    let server = health::serve("127.0.0.1:0", Arc::new(metrics), readiness.clone()).expect("a port is free");
    assert_ne!(server.address().port(), 0, "the real port");
    (server, readiness)
}

#[test]
fn ready_is_who_can_answer() {
    let (server, readiness) = served(Metrics::default());
    let address = server.address();
    assert_eq!(get(address, "/readyz"), (503, "not ready: the rules are being read\n".to_owned()));
    assert_eq!(get(address, "/livez"), (200, "alive\n".to_owned()));
    readiness.ready();
    assert_eq!(get(address, "/readyz"), (200, "ready\n".to_owned()));
    readiness.wait("the state is being restored");
    assert_eq!(get(address, "/readyz"), (503, "not ready: the state is being restored\n".to_owned()));
    readiness.ready();
    readiness.drain();
    readiness.ready();
    assert_eq!(get(address, "/readyz"), (503, "not ready: stopping\n".to_owned()), "the end is the end");
    assert_eq!(get(address, "/livez").0, 200, "it lives until it has finished");
}

#[test]
fn a_service_that_is_away_is_told_and_does_not_make_unready() {
    let metrics = Metrics::default();
    metrics.depend("sources.orders", || Some(false));
    metrics.depend("sinks.verdicts", || Some(true));
    let (server, readiness) = served(metrics);
    readiness.ready();
    assert_eq!(get(server.address(), "/readyz"), (200, "ready\naway: sources.orders\n".to_owned()));
}

#[test]
fn metrics_are_plain_text_of_the_format_of_prometheus() {
    let (server, _) = served(Metrics::default());
    let answer = ask(server.address(), "GET /metrics HTTP/1.1\r\nhost: refguard\r\nconnection: close\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4\r\n"), "{head}");
    assert!(body.contains("\nrefguard_build_info{version="), "{body}");
}

#[test]
fn other_pages_and_methods_are_refused() {
    let (server, _) = served(Metrics::default());
    assert_eq!(get(server.address(), "/").0, 404);
    let answer = ask(server.address(), "DELETE /readyz HTTP/1.1\r\nhost: refguard\r\nconnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    let answer = ask(server.address(), "\u{0}\u{1}\u{2}\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    assert!(ask(server.address(), &long).starts_with("HTTP/1.1 414 "));
    assert_eq!(get(server.address(), "/livez").0, 200, "it still answers");
}

#[test]
fn a_port_that_is_taken_says_so() {
    let (server, _) = served(Metrics::default());
    let taken = server.address().to_string();
    let error = health::serve(&taken, Arc::default(), Readiness::new("nothing")).expect_err("it is taken");
    assert!(matches!(error, HealthError::Listen { .. }));
    assert!(error.to_string().starts_with(&format!("cannot listen on {taken} (metrics.listen): ")), "{error}");
    assert!(error.hint().contains("choose another `metrics.listen`"), "{}", error.hint());
    let error = health::serve("192.0.2.1:9464", Arc::default(), Readiness::new("nothing"));
    assert!(error.expect_err("not an address of this machine").hint().contains("of this machine"));
}

#[test]
fn a_stop_frees_the_port_and_does_not_wait_for_a_peer_that_says_nothing() {
    let (server, _) = served(Metrics::default());
    let address = server.address();
    let mut silent = TcpStream::connect(address).expect("it listens");
    silent.write_all(b"GET /livez HT").expect("the connection is open");
    assert_eq!(get(address, "/livez").0, 200);
    server.stop();
    assert_eq!(silent.read(&mut [0; 16]).unwrap_or(0), 0, "nobody is there any more");
    let again = health::serve(&address.to_string(), Arc::default(), Readiness::new("nothing"));
    assert_eq!(again.expect("the port is free again").address(), address);
}
