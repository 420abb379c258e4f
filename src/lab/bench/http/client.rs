//! Who asks: many connections that are kept open, each with one call on its way.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Waited;
use crate::event::write_time_ms;
use crate::lab::population::Population;

/// The longest answer to a call, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The clocks of the process: one that never goes back, and the one of events.
type Clocks = (fn() -> Instant, fn() -> i64);

/// What is sent, and to whom. Every event is another one, however often it is run.
pub(super) struct Traffic {
    population: Rc<RefCell<Population>>,
    address: String,
    token: String,
    clocks: Clocks,
}

/// How much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) path: &'static str,
    pub(super) connections: usize,
    /// Calls a second, over all connections; `None`: as many as go.
    pub(super) rate: Option<f64>,
    /// What is not counted, before the rest.
    pub(super) warm_up: Duration,
    pub(super) span: Duration,
}

/// What was answered.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// How long each call waited.
    waits: Vec<Duration>,
    took: Duration,
}

impl Traffic {
    pub(super) fn new(population: Population, address: &str, token: &str, clocks: Clocks) -> Traffic {
        let population = Rc::new(RefCell::new(population));
        Traffic { population, address: address.to_owned(), token: token.to_owned(), clocks }
    }

    /// The next event, as of now.
    fn next(&self, out: &mut String) {
        const TIME: &str = "\"time\":\"";
        const TIME_CHARS: usize = 24;
        out.clear();
        self.population.borrow_mut().write_next(out);
        out.truncate(out.trim_end().len());
        let at = out.find(TIME).expect("a made-up event has a time") + TIME.len();
        let mut now = Vec::with_capacity(TIME_CHARS);
        write_time_ms(&mut now, (self.clocks.1)());
        out.replace_range(at..at + TIME_CHARS, &String::from_utf8_lossy(&now));
    }
}

impl Sent {
    pub(super) fn per_second(&self) -> f64 {
        self.waits.len() as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    pub(super) fn waited(mut self) -> Waited {
        self.waits.sort_unstable();
        let at = |share: f64| {
            let place = (self.waits.len() as f64 * share) as usize;
            self.waits.get(place.min(self.waits.len().saturating_sub(1))).copied().unwrap_or_default()
        };
        Waited { median: at(0.5), p99: at(0.99), longest: at(1.0) }
    }
}

/// What the connections of a run have in common.
struct Run {
    traffic: Rc<Traffic>,
    load: Load,
    begun: Instant,
    /// How many calls were taken up.
    taken: Cell<u64>,
    sent: RefCell<Sent>,
}

impl Run {
    fn now(&self) -> Instant {
        (self.traffic.clocks.0)()
    }

    /// When the next call is due, if there is one.
    fn due(&self) -> Option<Instant> {
        let number = self.taken.replace(self.taken.get() + 1);
        let due = match self.load.rate {
            Some(rate) => self.begun + Duration::from_secs_f64(number as f64 / rate),
            None => self.now(),
        };
        (due < self.begun + self.load.warm_up + self.load.span).then_some(due)
    }

    fn note(&self, due: Instant, answered: Instant) {
        if due >= self.begun + self.load.warm_up {
            let mut sent = self.sent.borrow_mut();
            sent.waits.push(answered.saturating_duration_since(due));
            sent.took = answered.saturating_duration_since(self.begun + self.load.warm_up).max(sent.took);
        }
    }
}

/// Puts the load on; an answer that is no success ends it.
pub(super) async fn run(traffic: &Traffic, load: &Load) -> io::Result<Sent> {
    let traffic = Rc::new(Traffic {
        population: Rc::clone(&traffic.population),
        address: traffic.address.clone(),
        token: traffic.token.clone(),
        clocks: traffic.clocks,
    });
    let mut connections = Vec::with_capacity(load.connections);
    for _ in 0..load.connections {
        let stream = TcpStream::connect(&traffic.address).await?;
        stream.set_nodelay(true)?;
        connections.push(stream);
    }
    let begun = (traffic.clocks.0)();
    let run = Rc::new(Run { traffic, load: *load, begun, taken: Cell::new(0), sent: RefCell::default() });
    let tasks = tokio::task::LocalSet::new();
    let asking: Vec<_> =
        connections.into_iter().map(|stream| tasks.spawn_local(ask_on(Rc::clone(&run), stream))).collect();
    tasks
        .run_until(async {
            for task in asking {
                task.await.map_err(io::Error::other)??;
            }
            Ok::<(), io::Error>(())
        })
        .await?;
    Ok(run.sent.take())
}

/// Asks on a connection, call after call.
async fn ask_on(run: Rc<Run>, mut stream: TcpStream) -> io::Result<()> {
    let (mut event, mut request, mut answer) = (String::new(), String::new(), Vec::new());
    while let Some(due) = run.due() {
        // Who waits for its turn is not late by what a timer is.
        let mut from = due;
        if run.now() < due {
            tokio::time::sleep_until(due.into()).await;
            from = run.now();
        }
        run.traffic.next(&mut event);
        request.clear();
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: refguard\r\nauthorization: Bearer {}\r\n\
             content-type: application/cloudevents+json\r\ncontent-length: {}\r\n\r\n",
            run.load.path,
            run.traffic.token,
            event.len()
        );
        request.push_str(&head);
        request.push_str(&event);
        stream.write_all(request.as_bytes()).await?;
        read_answer(&mut stream, &mut answer).await?;
        run.note(from, run.now());
    }
    Ok(())
}

/// Reads an answer to its end.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> io::Result<()> {
    let broken = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    answer.clear();
    loop {
        if stream.read_buf(answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&answer[..head]).to_lowercase();
        if !text.starts_with("http/1.1 200") {
            return Err(broken(format!("a call was answered {}", text.lines().next().unwrap_or_default())));
        }
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        let length = length.filter(|length| *length <= ANSWER_BYTES_MAX);
        let length = length.ok_or_else(|| broken("an answer has no length".to_owned()))?;
        while answer.len() < head + 4 + length {
            if stream.read_buf(answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        return Ok(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_told_by_their_places() {
        let waits = (1..=200).rev().map(Duration::from_millis).collect();
        let waited = Sent { waits, took: Duration::from_secs(2) }.waited();
        assert_eq!(waited.median, Duration::from_millis(101));
        assert_eq!(waited.p99, Duration::from_millis(199));
        assert_eq!(waited.longest, Duration::from_millis(200));
        assert_eq!(Sent::default().waited().p99, Duration::ZERO);
    }
}
