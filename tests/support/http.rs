//! A client of the API that sends exactly what it is told, and a daemon with the API.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::program::Daemon;

/// How long an answer may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rules: who gives a referral to oneself is blocked, by a count.
pub(crate) const RULES: &str = r#"
version: 1
pack: referrals
features:
  accounts_per_device:
    on: [account.created, referral.completed]
    key: [device.id]
    aggregate: distinct
    value: event.account_id
    window: 24h
rules:
  - id: device-farm
    title: Many accounts on one device
    on: [referral.completed]
    when: accounts_per_device > 2
    action: block
    score: 80
    severity: high
    customer: self_referral
    decide: [{subject: referrer, verdict: hold, ttl: 7d}]
    message: "{event.account_id} is one of {accounts_per_device} accounts on a device"
"#;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The head, as it came.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of a problem.
    pub(crate) fn code(&self) -> String {
        assert!(self.header("content-type") == Some("application/problem+json"), "{self:?}");
        self.json()["code"].as_str().expect("a problem has a code").to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// Sends bytes to an address and reads the answer to its end. Status 0: there was none.
pub(crate) fn send(address: &str, bytes: &[u8]) -> Answer {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return Answer { status: 0, head: String::new(), body: String::new() };
    };
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout is longer than zero");
    // It may have been refused before all of it was written.
    drop(stream.write_all(bytes));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    let answer = String::from_utf8(answer).expect("an answer is text");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let body =
        if head.to_lowercase().contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_owned() };
    Answer { status, head: head.to_owned(), body }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("a chunk has a length");
        whole.push_str(&rest[..length]);
        body = rest[length..].trim_start_matches("\r\n");
    }
    whole
}

/// A daemon with the API, in a folder of its own.
pub(crate) struct Served {
    pub(crate) folder: tempfile::TempDir,
    daemon: Mutex<Option<Daemon>>,
    pub(crate) address: String,
    pub(crate) metrics: String,
    /// The first admin token.
    pub(crate) admin: String,
    config: PathBuf,
}

impl Served {
    /// Starts it; `more` is further configuration.
    pub(crate) fn start(more: &str) -> Served {
        Served::start_with("{verdicts: {file: VERDICTS}}", more)
    }

    /// The same with other sinks, `VERDICTS` being a file.
    pub(crate) fn start_with(sinks: &str, more: &str) -> Served {
        let folder = tempfile::tempdir().expect("there is room");
        let config = configured(folder.path(), "{inbox: {http: {}}}", sinks, more);
        Served::of(folder, config)
    }

    /// Starts it with a configuration that is there.
    pub(crate) fn of(folder: tempfile::TempDir, config: PathBuf) -> Served {
        let (daemon, address) = (Mutex::new(None), String::new());
        let mut served = Served { folder, daemon, metrics: String::new(), address, admin: String::new(), config };
        served.restart();
        let token = fs::read_to_string(served.folder.path().join("admin.token")).expect("the first token was left");
        served.admin = token.trim().to_owned();
        served
    }

    /// Starts it again.
    pub(crate) fn restart(&mut self) {
        let mut daemon = Daemon::start(&self.config);
        self.metrics = daemon.address();
        self.address = daemon.said("the API")["address"].as_str().expect("an address is a text").to_owned();
        daemon.said("judging");
        self.daemon = Mutex::new(Some(daemon));
    }

    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// Does something with the process.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Daemon) -> T) -> T {
        act(self.daemon.lock().expect("no test panics with it").as_mut().expect("it runs"))
    }

    fn take(&mut self) -> Daemon {
        self.daemon.get_mut().expect("no test panics with it").take().expect("it runs")
    }

    /// Ends it as the kernel would.
    pub(crate) fn kill(&mut self) {
        self.take().kill();
    }

    /// Ends it, and answers what it said.
    pub(crate) fn stop(&mut self) -> String {
        let daemon = self.take();
        daemon.terminate();
        let (status, told) = daemon.ended();
        assert!(status.success(), "{told}");
        told
    }

    /// Waits for the end of one that was told to end.
    pub(crate) fn ended(&mut self) {
        let (status, told) = self.take().ended();
        assert!(status.success(), "{told}");
    }

    /// Asks with a token (an empty one: without) and further headers.
    pub(crate) fn ask_with(&self, method: &str, path: &str, token: &str, headers: &str, body: &str) -> Answer {
        let authorization = if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: refguard\r\nconnection: close\r\n{authorization}{headers}content-length: {length}\r\n\r\n"
        );
        send(&self.address, (head + body).as_bytes())
    }

    /// The status of an answer that may have no end, to the first admin.
    pub(crate) fn status_of(&self, path: &str) -> u16 {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout is longer than zero");
        let head = format!("GET {path} HTTP/1.1\r\nhost: refguard\r\nauthorization: Bearer {}\r\n\r\n", self.admin);
        stream.write_all(head.as_bytes()).expect("it is taken");
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).expect("it answers");
        let begin = String::from_utf8_lossy(&begin);
        begin.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// Asks as the first admin, about JSON.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask_with(method, path, &self.admin, "content-type: application/json\r\n", body)
    }

    /// Sends a batch of events as the first admin.
    pub(crate) fn batch(&self, path: &str, events: &[Value]) -> Answer {
        let body = Value::from(events.to_vec()).to_string();
        self.ask_with("POST", path, &self.admin, "content-type: application/cloudevents-batch+json\r\n", &body)
    }

    /// Makes a token.
    pub(crate) fn token(&self, wanted: &Value) -> String {
        let made = self.ask("POST", "/v1/tokens", &wanted.to_string());
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["secret"].as_str().expect("a secret is a text").to_owned()
    }

    /// The value of a metric; `None`: it has none.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let (status, page) = super::program::get(&self.metrics, "/metrics");
        assert_eq!(status, 200);
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
        line.map(|value| value.parse().expect("a value is a number"))
    }
}

/// Writes rules and a configuration into a folder.
pub(crate) fn configured(folder: &Path, sources: &str, sinks: &str, more: &str) -> PathBuf {
    let at = |name: &str| folder.join(name).display().to_string();
    fs::create_dir_all(folder.join("rules")).expect("there is room");
    fs::write(folder.join("rules/referrals.yaml"), RULES).expect("there is room");
    let http = if more.contains("http:") {
        more.replace("http: {", &format!("http: {{listen: \"127.0.0.1:0\", admin_token_file: {}, ", at("admin.token")))
    } else {
        format!("http: {{listen: \"127.0.0.1:0\", admin_token_file: {}}}\n{more}", at("admin.token"))
    };
    let text = format!(
        "sources: {sources}\nsinks: {}\nrules: {{path: {}}}\nstate: {{path: {}, key_file: {}}}\n\
         records: {{url: \"sqlite:{}\"}}\nmetrics: {{listen: \"127.0.0.1:0\"}}\n{http}\n",
        sinks.replace("VERDICTS", &at("verdicts.jsonl")),
        at("rules"),
        at("state"),
        at("state.key"),
        at("records.db"),
    );
    let path = folder.join("refguard.yaml");
    fs::write(&path, text).expect("there is room");
    path
}

/// An event of now: a referral of an account on a device.
pub(crate) fn referral(id: &str, account: &str, device: &str) -> Value {
    event(id, "/shop", json!({"account_id": account, "referrer_id": "sara", "device_id": device}))
}

/// A referral of now with these fields.
pub(crate) fn event(id: &str, source: &str, data: Value) -> Value {
    json!({"specversion": "1.0", "id": id, "source": source, "type": "referral.completed", "time": now(), "data": data})
}

/// The time, and never the same one twice: what is sorted by time is then sorted as it was sent.
#[expect(clippy::disallowed_methods, reason = "events of the API are of now")]
fn now() -> String {
    static LAST_MS: AtomicI64 = AtomicI64::new(0);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    let now_ms = i64::try_from(since.as_millis()).expect("it is before the year 292278994");
    let later_ms = |last_ms| now_ms.max(last_ms + 1);
    let before_ms = LAST_MS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last_ms| Some(later_ms(last_ms)));
    let mut text = Vec::new();
    refguard::event::write_time_ms(&mut text, later_ms(before_ms.expect("it is always updated")));
    String::from_utf8(text).expect("a time is text")
}
