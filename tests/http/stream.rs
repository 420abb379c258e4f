//! The stream of decisions, by the real daemon: nobody misses a change or sees one twice, whatever becomes of the connection.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::followed::{Followed, key_of};
use crate::listener::{Event, Listener};
use crate::random::Random;
use crate::support::http::{Served, event};
use crate::support::until;

const PATH: &str = "/v1/decisions/stream";

/// A subscriber that goes on where it was.
#[derive(Default)]
struct Subscriber {
    followed: Followed,
    /// The id of the last event; `None`: none had one.
    cursor: Option<u64>,
    in_snapshot: bool,
    snapshots: usize,
}

impl Subscriber {
    fn open(&self, served: &Served, token: &str) -> Listener {
        let cursor = self.cursor.map(|cursor| cursor.to_string());
        let listener = Listener::open(&served.address, PATH, token, cursor.as_deref());
        assert_eq!(listener.status, 200, "{}", listener.head);
        listener
    }

    fn take(&mut self, event: &Event) {
        match event.name.as_str() {
            "snapshot" => {
                *self = Subscriber { in_snapshot: true, snapshots: self.snapshots + 1, ..Subscriber::default() };
            }
            "snapshot_end" => {
                self.in_snapshot = false;
                self.followed.number = event.id.expect("a whole snapshot has a number");
                assert!(self.followed.is_as(&event.data), "{} is told where {:?}", event.data, self.followed.sum());
            }
            "heartbeat" => {
                assert!(!self.in_snapshot);
                assert_eq!(event.id, event.data["number"].as_u64());
                if self.followed.records.values().all(|record| record["program"] == "default") {
                    assert!(self.followed.is_as(&event.data), "{} is told where {:?}", event.data, self.followed.sum());
                }
            }
            "decision" | "ended" => {
                assert_eq!(event.name == "ended", event.data["verdict"].is_null());
                if self.in_snapshot {
                    assert_eq!(event.id, None, "whoever loses the connection here begins again");
                } else {
                    assert_eq!(event.id, event.data["number"].as_u64());
                    assert_eq!(event.id, self.cursor.map(|cursor| cursor + 1), "no gap and no repeat");
                }
                self.followed.take(&event.data);
            }
            other => panic!("{other} is no event of this stream"),
        }
        self.cursor = event.id.or(self.cursor.filter(|_| !self.in_snapshot));
    }

    /// Takes what comes until something is true.
    fn take_until(&mut self, listener: &mut Listener, mut is_enough: impl FnMut(&Event) -> bool) {
        loop {
            let event = listener.next().expect("the stream goes on");
            self.take(&event);
            if is_enough(&event) {
                return;
            }
        }
    }
}

/// Ten minutes before the test.
fn base_ms() -> i64 {
    static BASE: OnceLock<i64> = OnceLock::new();
    *BASE.get_or_init(|| {
        let now = event("", "", json!({}))["time"].as_str().map(refguard::event::parse_time_ms);
        now.expect("it has a time").expect("a time can be read") - 600_000
    })
}

/// So many referrals on a device: from the third on, each puts or extends a hold on the referrer.
fn referrals(from: usize, count: usize, program: &str) -> Vec<Value> {
    let of = |number: usize| {
        let data = json!({"program": program, "account_id": format!("a{number}"), "referrer_id": format!("r{}", number / 9),
            "device_id": format!("d{}", number / 9)});
        let mut event = event(&format!("{program}-{number}"), "/shop", data);
        // Each at an instant of its own, so that each moves the end of the hold.
        let time = jiff::Timestamp::from_millisecond(base_ms() + number as i64).expect("it is a time");
        event["time"] = json!(time.to_string());
        event
    };
    (from..from + count).map(of).collect()
}

fn send(served: &Served, events: &[Value]) {
    let answer = served.batch("/v1/events", events);
    assert_eq!(answer.status, 202, "{answer:?}");
}

#[test]
fn one_that_is_killed_and_resumed_a_thousand_times_ends_with_what_stands() {
    const RESUMES: u64 = 1000;
    let served = Served::start("decisions: {heartbeat: 200ms}");
    let token = served.token(&json!({"name": "payer", "scopes": ["decisions:read"], "programs": ["*"]}));
    let is_over = AtomicBool::new(false);
    let mut random = Random(11);
    let mut subscriber = Subscriber::default();
    let changes = thread::scope(|scope| {
        let (served, is_over) = (&served, &is_over);
        scope.spawn(move || {
            for round in 0.. {
                if is_over.load(Ordering::Acquire) {
                    return;
                }
                send(served, &referrals(round * 60, 60, "default"));
            }
        });
        for resume in 0..RESUMES {
            let mut listener = subscriber.open(served, &token);
            if resume == 0 {
                subscriber.take_until(&mut listener, |event| event.name == "snapshot_end");
            }
            for _ in 0..random.below(12) {
                subscriber.take(&listener.next().expect("the stream goes on"));
            }
            // It is cut off wherever it is now, with what is on its way.
        }
        is_over.store(true, Ordering::Release);
        subscriber.followed.number
    });
    assert!(changes > RESUMES, "{changes} changes came meanwhile");
    assert_eq!(subscriber.snapshots, 1, "it went on each time where it was");
    let mut listener = subscriber.open(&served, &token);
    let mut last = 0;
    subscriber.take_until(&mut listener, |event| {
        let is_quiet = event.name == "heartbeat" && event.id == Some(last);
        last = event.id.unwrap_or_default();
        is_quiet
    });
    // What stands is what the daemon lists.
    let (mut listed, mut after) = (0, String::new());
    loop {
        let page = served.ask("GET", &format!("/v1/decisions?limit=1000{after}"), "").json();
        for subject in page["subjects"].as_array().expect("a page has subjects") {
            let known = &subscriber.followed.records[&key_of(&json!({
                "program": "default", "kind": subject["kind"], "id": subject["id"]
            }))];
            assert_eq!((&known["verdict"], &known["causes"]), (&subject["verdict"], &subject["causes"]));
            listed += 1;
        }
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(listed, subscriber.followed.records.len());
}

#[test]
fn what_is_killed_with_its_subscribers_goes_on_under_the_same_numbers() {
    let mut served = Served::start("decisions: {heartbeat: 200ms}");
    let admin = served.admin.clone();
    let mut subscriber = Subscriber::default();
    for round in 0..8 {
        let mut listener = subscriber.open(&served, &admin);
        send(&served, &referrals(round * 90, 90, "default"));
        // Each device has nine accounts, of which seven are too many.
        let wanted = (round as u64 + 1) * 70;
        while subscriber.followed.number < wanted || subscriber.in_snapshot {
            subscriber.take(&listener.next().expect("the stream goes on"));
        }
        served.kill();
        served.restart();
    }
    let mut listener = subscriber.open(&served, &admin);
    subscriber.take_until(&mut listener, |event| event.name == "heartbeat" && event.id >= Some(560));
    assert_eq!(subscriber.followed.number, 560, "what is judged again is no change");
    assert_eq!(subscriber.followed.records.len(), 80);
}

#[test]
fn a_token_of_one_program_neither_sees_nor_sums_another() {
    let served = Served::start("decisions: {heartbeat: 100ms}");
    let bound = served.token(&json!({"name": "gold", "scopes": ["decisions:read"], "programs": ["gold"]}));
    send(&served, &referrals(0, 27, "gold"));
    send(&served, &referrals(0, 45, "tin"));
    assert!(until(|| served.metric("refguard_decisions_active{verdict=\"hold\"}") == Some(8.0)));
    let mut listener = Listener::open(&served.address, PATH, &bound, None);
    send(&served, &referrals(27, 9, "gold"));
    send(&served, &referrals(45, 9, "tin"));
    let mut subscriber = Subscriber::default();
    let mut followed = Followed::default();
    loop {
        let event = listener.next().expect("the stream goes on");
        assert!(
            ["decision", "ended"].iter().all(|name| event.name != *name) || event.data["program"] == "gold",
            "{event:?}"
        );
        match event.name.as_str() {
            "snapshot" => subscriber.snapshots += 1,
            "decision" => followed.take(&event.data),
            _ => assert!(followed.is_as(&event.data), "{event:?}: {:?}", followed.sum()),
        }
        if event.name == "heartbeat" && followed.records.len() == 4 && event.id == Some(21 + 35 + 7 + 7) {
            break;
        }
    }
    assert_eq!(subscriber.snapshots, 1);
    for (path, status) in [
        ("/v1/decisions/stream?program=gold", 200),
        ("/v1/decisions/stream?program=tin", 403),
        ("/v1/decisions/stream?program=", 403),
        ("/v1/decisions/stream?programs=gold", 400),
    ] {
        assert_eq!(Listener::open(&served.address, path, &bound, None).status, status, "{path}");
    }
    let other = served.token(&json!({"name": "shop", "scopes": ["evaluate"], "programs": ["*"], "sources": ["*"]}));
    assert_eq!(Listener::open(&served.address, PATH, &other, None).status, 403);
    assert_eq!(Listener::open(&served.address, PATH, "", None).status, 401);
}

#[test]
fn a_cursor_that_nobody_gave_is_refused_or_begins_again() {
    let served = Served::start("decisions: {heartbeat: 100ms}");
    send(&served, &referrals(0, 9, "default"));
    assert!(until(|| served.metric("refguard_decisions_active{verdict=\"hold\"}") == Some(1.0)));
    for forged in ["x", "-1", "1.5", "0x10", "18446744073709551616", "1 2", "1,2", "٣"] {
        let listener = Listener::open(&served.address, PATH, &served.admin, Some(forged));
        assert_eq!(listener.status, 400, "{forged}");
    }
    // One of another time, of another state, or made up: the whole is told anew.
    for unknown in ["8", "1000000", "18446744073709551615"] {
        let mut listener = Listener::open(&served.address, PATH, &served.admin, Some(unknown));
        let first = listener.next().expect("the stream goes on");
        assert_eq!((first.name.as_str(), first.data["count"].as_u64()), ("snapshot", Some(1)), "{unknown}");
    }
    let mut listener = Listener::open(&served.address, PATH, &served.admin, Some("5"));
    let ids = [(); 2].map(|()| listener.next().expect("the stream goes on").id);
    assert_eq!(ids, [Some(6), Some(7)]);
}

#[test]
fn a_slow_subscriber_slows_nobody_and_begins_again() {
    // Little is held, so that who is slow falls behind it; and it is waited for.
    let served = Served::start("http: {body_timeout: 10m}\ndecisions: {heartbeat: 200ms, held: 1MiB}");
    let long = "x".repeat(4000);
    let mut slow = TcpStream::connect(&served.address).expect("it listens");
    let head = format!("GET {PATH} HTTP/1.1\r\nhost: refguard\r\nauthorization: Bearer {}\r\n\r\n", served.admin);
    slow.write_all(head.as_bytes()).expect("it takes a request");
    let mut first = [0; 1];
    slow.read_exact(&mut first).expect("it is answered");
    let admin = served.admin.clone();
    let mut quick = Subscriber::default();
    let mut listener = quick.open(&served, &admin);
    quick.take_until(&mut listener, |event| event.name == "snapshot_end");
    let mut sent = 0;
    // More than its socket and ours hold.
    for round in 0..80 {
        let mut events = referrals(round * 45, 45, "default");
        for event in &mut events {
            event["data"]["referrer_id"] =
                json!(format!("{}{long}", event["data"]["referrer_id"].as_str().expect("it has one")));
        }
        send(&served, &events);
        sent += 35;
        while quick.followed.number < sent || quick.in_snapshot {
            quick.take(&listener.next().expect("the stream goes on"));
        }
    }
    // It takes what was on its way, and then what stands.
    let mut text = Vec::new();
    let mut bytes = vec![0; 1 << 20];
    let has = |text: &[u8], what: &str| text.windows(what.len()).any(|part| part == what.as_bytes());
    slow.set_read_timeout(Some(std::time::Duration::from_secs(30))).expect("a timeout is longer than zero");
    while !has(&text[text.len().saturating_sub(1 << 20)..], &format!("\"number\":{sent},\"count\"")) {
        let read = slow.read(&mut bytes).expect("something comes in time");
        assert!(read > 0, "it was cut off after {} bytes", text.len());
        text.extend_from_slice(&bytes[..read]);
    }
    let snapshots = String::from_utf8_lossy(&text).matches("event: snapshot\n").count();
    assert!(snapshots >= 1, "it began again");
}

#[test]
fn there_is_room_for_so_many_and_a_stream_ends_with_its_token_and_with_the_daemon() {
    let mut served = Served::start("decisions: {heartbeat: 100ms, subscribers: 2}");
    let token = served
        .ask("POST", "/v1/tokens", &json!({"name": "p", "scopes": ["decisions:read"], "programs": ["*"]}).to_string())
        .json();
    let secret = token["secret"].as_str().expect("a secret is a text").to_owned();
    let mut one = Listener::open(&served.address, PATH, &secret, None);
    let mut other = Listener::open(&served.address, PATH, &served.admin, None);
    assert_eq!((one.status, other.status), (200, 200));
    let refused = Listener::open(&served.address, PATH, &served.admin, None);
    assert_eq!(refused.status, 503);
    assert!(refused.head.to_lowercase().contains("retry-after: "), "{}", refused.head);
    assert_eq!(served.metric("refguard_stream_subscribers{stream=\"decisions\"}"), Some(2.0));
    let id = token["token"]["id"].as_str().expect("an id is a text").to_owned();
    assert_eq!(served.ask("DELETE", &format!("/v1/tokens/{id}"), "").status, 204);
    while one.next().is_some() {}
    assert!(until(|| served.metric("refguard_stream_subscribers{stream=\"decisions\"}") == Some(1.0)));
    served.stop();
    while other.next().is_some() {}
}
