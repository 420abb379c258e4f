//! A client of a stream of server-sent events, over a plain socket, that can be dropped anywhere.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// How long the next event may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// An event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: Option<u64>,
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// A connection.
pub(crate) struct Listener {
    stream: TcpStream,
    /// What came and is no whole chunk.
    raw: Vec<u8>,
    /// What came and is no whole event.
    text: String,
    /// The head of the answer.
    pub(crate) head: String,
    pub(crate) status: u16,
}

impl Listener {
    /// Asks for a stream behind a number; the answer's head is read.
    pub(crate) fn open(address: &str, path: &str, token: &str, cursor: Option<&str>) -> Listener {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout is longer than zero");
        let cursor = cursor.map(|cursor| format!("last-event-id: {cursor}\r\n")).unwrap_or_default();
        let head = format!("GET {path} HTTP/1.1\r\nhost: refguard\r\nauthorization: Bearer {token}\r\n{cursor}\r\n");
        stream.write_all(head.as_bytes()).expect("it takes a request");
        let mut listener = Listener { stream, raw: Vec::new(), text: String::new(), head: String::new(), status: 0 };
        while !listener.raw.windows(4).any(|four| four == b"\r\n\r\n") {
            assert!(listener.read(), "there is an answer: {:?}", String::from_utf8_lossy(&listener.raw));
        }
        let end = listener.raw.windows(4).position(|four| four == b"\r\n\r\n").expect("it was just there") + 4;
        listener.head = String::from_utf8(listener.raw.drain(..end).collect()).expect("a head is text");
        listener.status = listener.head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        listener
    }

    /// Reads some bytes; `false`: the other side has ended.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 16 << 10];
        let read = self.stream.read(&mut bytes).expect("something comes in time");
        self.raw.extend_from_slice(&bytes[..read]);
        read > 0
    }

    /// Takes the whole chunks out of what came; `false`: it was the last.
    fn unchunk(&mut self) -> bool {
        loop {
            let Some(line) = self.raw.windows(2).position(|two| two == b"\r\n") else { return true };
            let length = std::str::from_utf8(&self.raw[..line]).expect("a length is text");
            let length = usize::from_str_radix(length, 16).expect("a chunk has a length");
            if length == 0 {
                return false;
            }
            if self.raw.len() < line + 2 + length + 2 {
                return true;
            }
            let chunk = self.raw[line + 2..line + 2 + length].to_vec();
            self.text.push_str(std::str::from_utf8(&chunk).expect("an event is text"));
            self.raw.drain(..line + 2 + length + 2);
        }
    }

    /// The next event; `None`: the stream has ended.
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let member = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let data = member("data: ").expect("an event has data");
                return Some(Event {
                    id: member("id: ").map(|id| id.parse().expect("an id is a number")),
                    name: member("event: ").expect("an event has a name"),
                    data: serde_json::from_str(&data).expect("data are JSON"),
                });
            }
            if !self.unchunk() {
                return None;
            }
            if !self.text.contains("\n\n") && !self.read() {
                return None;
            }
        }
    }
}
