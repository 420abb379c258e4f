//! Who listens: a connection that reads changes and notes when they came, and little else.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// What is read at once, at most.
const READ_BYTES: usize = 2048;

/// When each change came to the last of them.
pub(super) struct Arrivals {
    /// By change: how many have it.
    counts: Vec<AtomicUsize>,
    subscribers: usize,
    monotonic: fn() -> Instant,
    /// The newest change that all have, and when the last got it.
    newest: watch::Sender<Option<(u64, Instant)>>,
}

impl Arrivals {
    pub(super) fn new(changes: usize, subscribers: usize, monotonic: fn() -> Instant) -> Arrivals {
        let counts = (0..changes).map(|_| AtomicUsize::new(0)).collect();
        Arrivals { counts, subscribers, monotonic, newest: watch::Sender::new(None) }
    }

    /// A change has come to one of them.
    fn note(&self, number: u64) {
        let place = number.checked_sub(1).and_then(|place| self.counts.get(usize::try_from(place).ok()?));
        if place.is_some_and(|count| count.fetch_add(1, Ordering::AcqRel) + 1 == self.subscribers) {
            self.newest.send_replace(Some((number, (self.monotonic)())));
        }
    }

    /// When the last of them got a change.
    pub(super) async fn last_of(&self, number: u64, patience: Duration) -> io::Result<Instant> {
        let mut newest = self.newest.subscribe();
        let has_come = newest.wait_for(|newest| newest.is_some_and(|(of, _)| of >= number));
        let come = tokio::time::timeout(patience, has_come).await;
        match come.map(|come| come.ok().and_then(|come| *come)) {
            Ok(Some((_, at))) => Ok(at),
            _ => Err(io::Error::other(format!("change {number} did not come to all of them"))),
        }
    }
}

/// Listens until the end of the process. It is answered once what stands is known.
pub(super) async fn subscribe(address: &str, token: &str, arrivals: Arc<Arrivals>) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!(
        "GET /v1/decisions/stream HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut text = Vec::new();
    while !contains(&text, b"event: snapshot_end\n") {
        if text.starts_with(b"HTTP/1.1") && !text.starts_with(b"HTTP/1.1 200") || !read(&mut stream, &mut text).await? {
            return Err(io::Error::other(format!("a subscriber was refused: {}", String::from_utf8_lossy(&text))));
        }
    }
    tokio::spawn(async move {
        text.clear();
        // Whoever misses a change is missed by those who wait for the last.
        while read(&mut stream, &mut text).await.unwrap_or(false) {
            while let Some(end) = text.windows(2).position(|two| two == b"\n\n") {
                let event = String::from_utf8_lossy(&text[..end]);
                let id = event.lines().find_map(|line| line.strip_prefix("id: ")?.parse().ok());
                if let Some(number) = id.filter(|_| event.contains("event: decision\n")) {
                    arrivals.note(number);
                }
                text.drain(..end + 2);
            }
        }
    });
    Ok(())
}

fn contains(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|part| part == what)
}

/// Reads some more; `false`: there is no more.
async fn read(stream: &mut TcpStream, text: &mut Vec<u8>) -> io::Result<bool> {
    text.reserve(READ_BYTES);
    Ok(stream.read_buf(text).await? > 0)
}

/// Asks for a verdict.
pub(super) async fn evaluate(address: &str, token: &str, event: &str) -> io::Result<Value> {
    let mut stream = TcpStream::connect(address).await?;
    let length = event.len();
    let head = format!(
        "POST /v1/evaluate HTTP/1.1\r\nhost: bench\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all((head + event).as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body).map_err(|_| io::Error::other(format!("a question was answered {answer}")))
}
