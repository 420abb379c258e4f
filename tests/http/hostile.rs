//! Clients that mean no good: each is answered or cut off, nothing of it is judged, and nobody else waits.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::http::{Answer, Served, event, referral, send};
use serde_json::json;

/// How long an honest client waits at most while others do their worst.
const PATIENCE: Duration = Duration::from_secs(60);

fn connect(served: &Served) -> TcpStream {
    let stream = TcpStream::connect(&served.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout is longer than zero");
    stream
}

/// Reads to the end, which must come.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection stays open"),
        // Reset, or ended.
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// Somebody honest is answered meanwhile.
fn is_alive(served: &Served, id: &str) {
    let judged = served.ask("POST", "/v1/evaluate", &referral(id, "honest", "d").to_string());
    assert_eq!(judged.status, 200, "{judged:?}");
}

#[test]
fn whoever_is_slow_is_cut_off() {
    let served = Served::start("http: {head_timeout: 1s, body_timeout: 1s}");
    // A head that does not end, a byte now and then.
    let mut slow = connect(&served);
    slow.write_all(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\nx-a: ").expect("it is open");
    // A head that does not begin.
    let mut silent = connect(&served);
    // A body that does not come.
    let mut empty = connect(&served);
    let head = format!(
        "POST /v1/evaluate HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{",
        served.admin
    );
    empty.write_all(head.as_bytes()).expect("it is open");
    is_alive(&served, "1");
    let told = rest(&mut empty);
    assert!(told.starts_with("HTTP/1.1 408") && told.contains("body_timeout"), "{told}");
    assert!(!rest(&mut slow).contains("200 OK"));
    assert_eq!(rest(&mut silent), "");
    // One that is idle after an answer.
    let mut idle = connect(&served);
    idle.write_all(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n").expect("it is open");
    assert!(rest(&mut idle).starts_with("HTTP/1.1 200"));
    is_alive(&served, "2");
}

#[test]
fn connections_are_bounded_and_those_who_hold_them_lose_them() {
    let served = Served::start("http: {max_connections: 4, head_timeout: 2s}");
    let held: Vec<TcpStream> = (0..4).map(|_| connect(&served)).collect();
    // Waits in the system's queue until one of those is cut off.
    is_alive(&served, "1");
    drop(held);
}

#[test]
fn whoever_takes_no_answer_is_cut_off() {
    let served = Served::start("http: {body_timeout: 1s, max_connections: 2}");
    let mut greedy = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&served);
        // Answers to far more questions than the system buffers; nobody reads them.
        let question = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2000);
        stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a timeout is longer than zero");
        drop(stream.write_all(&question));
        greedy.push(stream);
    }
    is_alive(&served, "1");
}

#[test]
fn large_and_crooked_bodies_are_refused() {
    let served = Served::start("http: {max_body: 100KiB}");
    let token = &served.admin;
    let head = |more: &str| {
        format!(
            "POST /v1/evaluate HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n{more}\r\n"
        )
    };
    // Refused by what it says of itself, before a byte of it is read.
    let huge = send(&served.address, head("content-length: 99999999999\r\n").as_bytes());
    assert_eq!((huge.status, huge.code().as_str()), (413, "too_large"));
    // Refused on the way.
    let mut chunked = head("transfer-encoding: chunked\r\n").into_bytes();
    for _ in 0..200 {
        chunked.extend_from_slice(b"400\r\n");
        chunked.extend_from_slice(&[b'x'; 1024]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let long = send(&served.address, &chunked);
    assert_eq!((long.status, long.code().as_str()), (413, "too_large"));

    let mut crooked = head("content-length: 4\r\n").into_bytes();
    crooked.extend_from_slice(b"\"\xff\xfe\"");
    let crooked = send(&served.address, &crooked);
    assert_eq!((crooked.status, crooked.code().as_str()), (400, "not_utf8"));
    // Without a token nobody reads a body.
    let stranger = "POST /v1/evaluate HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 50000\r\n\r\n";
    assert_eq!(send(&served.address, stranger.as_bytes()).status, 401);
    // A body that ends early is no event.
    let mut cut = connect(&served);
    cut.write_all(head("content-length: 1000\r\n").as_bytes()).expect("it is open");
    cut.write_all(b"{\"id\"").expect("it is open");
    cut.shutdown(std::net::Shutdown::Write).expect("it is open");
    assert!(!rest(&mut cut).contains("200 OK"));
    is_alive(&served, "1");
}

#[test]
fn a_request_is_one_request_or_none() {
    let served = Served::start("");
    let token = &served.admin;
    let smuggled = referral("smuggled", "x", "d").to_string();
    let inner = format!(
        "POST /v1/evaluate HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{smuggled}",
        smuggled.len()
    );
    let outer = |headers: &str, body: &str| {
        format!(
            "POST /v1/evaluate HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n{headers}\r\n{body}"
        )
    };
    for (headers, body) in [
        // Two lengths, a length beside chunks, chunks in disguise, odd lengths, an obsolete fold, a space before the colon.
        ("content-length: 0\r\ncontent-length: 5\r\n".to_owned(), inner.clone()),
        ("content-length: 5\r\ncontent-length: 0\r\n".to_owned(), inner.clone()),
        (format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", inner.len() + 5), format!("0\r\n\r\n{inner}")),
        ("transfer-encoding: chunked\r\ncontent-length: 4\r\n".to_owned(), format!("0\r\n\r\n{inner}")),
        ("transfer-encoding: xchunked\r\ncontent-length: 0\r\n".to_owned(), inner.clone()),
        ("transfer-encoding: chunked, identity\r\n".to_owned(), format!("0\r\n\r\n{inner}")),
        ("content-length: +5\r\n".to_owned(), inner.clone()),
        ("content-length: 0x5\r\n".to_owned(), inner.clone()),
        ("content-length: -1\r\n".to_owned(), inner.clone()),
        ("x-a: b\r\n content-length: 5\r\n".to_owned(), inner.clone()),
        ("transfer-encoding : chunked\r\n".to_owned(), format!("0\r\n\r\n{inner}")),
        ("transfer-encoding: chunked\r\n".to_owned(), format!("0;ext=\n\r\n{inner}")),
        ("transfer-encoding: chunked\r\n".to_owned(), format!("-0\r\n\r\n{inner}")),
        ("transfer-encoding: chunked\r\n".to_owned(), format!("FFFFFFFFFFFFFFFFF\r\n\r\n{inner}")),
    ] {
        let mut stream = connect(&served);
        drop(stream.write_all(outer(&headers, &body).as_bytes()));
        drop(stream.shutdown(std::net::Shutdown::Write));
        let told = rest(&mut stream);
        let found = served.ask("GET", "/v1/verdicts/%2Fshop/smuggled", "");
        assert_eq!(found.status, 404, "{headers}{body}\nwas answered\n{told}");
    }
    for raw in [
        "GET / HTTP/0.9\r\n\r\n",
        "GET /openapi.json\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /openapi.json HTTP/1.1\r\nhost: x\r\nbad header: x\r\nconnection: close\r\n\r\n",
        "GET /openapi.json HTTP/1.1\nhost: x\0\n\n",
    ] {
        let answer: Answer = send(&served.address, raw.as_bytes());
        assert!([0, 400, 404, 505].contains(&answer.status), "{raw:?}: {answer:?}");
    }
    let long = format!("GET /openapi.json HTTP/1.1\r\nhost: x\r\nx-a: {}\r\n\r\n", "x".repeat(100_000));
    assert!([0, 431].contains(&send(&served.address, long.as_bytes()).status));
    let many = format!("GET /openapi.json HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-a: b\r\n".repeat(1000));
    assert!([0, 431].contains(&send(&served.address, many.as_bytes()).status));
    is_alive(&served, "1");
}

#[test]
fn paths_lead_nowhere_else() {
    let served = Served::start("");
    for (path, status) in [
        ("/", 404),
        ("//v1/events", 404),
        ("/v1/events/", 404),
        ("/V1/events", 404),
        ("/v1/../v1/tokens", 404),
        ("/v1/%2e%2e/v1/tokens", 404),
        ("/v1/verdicts/..%2f..%2fetc/passwd", 404),
        ("/v1/verdicts//e", 404),
        ("/v1/verdicts/a/b/c", 404),
        ("/metrics", 404),
        ("/livez", 404),
        ("/v1/tokens;x", 404),
        ("/v1/verdicts/%00/%00", 404),
        ("/v1/audit?after=-1", 400),
        ("/v1/audit?after=x", 400),
        ("/v1/audit?limit=1001", 400),
        ("/v1/audit?limit=1&limit=2", 400),
        ("/v1/audit?after=99999999999999999999", 400),
    ] {
        let answer = served.ask("GET", path, "");
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some("application/problem+json")),
            "{path}"
        );
    }
    for (method, path) in
        [("GET", "/v1/events"), ("PUT", "/v1/tokens"), ("TRACE", "/v1/evaluate"), ("OPTIONS", "/v1/evaluate")]
    {
        let answer = served.ask(method, path, "");
        assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"), "{method} {path}");
    }
    // Nothing is shared with other origins, nothing is kept, nothing is guessed.
    let cors = served.ask_with(
        "OPTIONS",
        "/v1/evaluate",
        "",
        "origin: https://evil.example\r\naccess-control-request-method: POST\r\n",
        "",
    );
    assert!(cors.header("access-control-allow-origin").is_none());
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ] {
        assert_eq!(cors.header(name), Some(value));
        assert_eq!(served.ask_with("GET", "/openapi.json", "", "", "").header(name), Some(value));
    }
}

#[test]
fn odd_names_are_names() {
    let served = Served::start("");
    for (source, id) in
        [("/a b", "ü/..%2f"), ("\"; DROP TABLE tokens; --", "'"), ("\u{202e}x", "\0"), ("{{7*7}}", "${jndi:x}")]
    {
        let odd = event(id, source, json!({"account_id": "a", "referrer_id": "b"})).to_string();
        let judged = served.ask("POST", "/v1/evaluate", &odd);
        assert_eq!(judged.status, 200, "{judged:?}");
        let judged = judged.json();
        assert_eq!((judged["source"].as_str(), judged["event_id"].as_str()), (Some(source), Some(id)));
        let part = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let found = served.ask("GET", &format!("/v1/verdicts/{}/{}", part(source), part(id)), "");
        assert_eq!((found.status, found.json()["event_id"].as_str()), (200, Some(id)), "{source}");
    }
}
