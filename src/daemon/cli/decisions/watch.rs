//! `refguard decisions watch`: a client of the stream as docs/decisions-log.md tells to write one.
//!
//! It keeps what stands by key, goes on behind the last number when the connection is lost, and proves by the sum that it has
//! exactly what stands.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::Failure;
use crate::daemon::cli::client::{Client, Reach, part};
use crate::daemon::cli::failure::say;
use crate::daemon::wiring;
use crate::engine::{ActiveSet, encoded_part};
use crate::stream::Sink;

/// How long is waited before another try.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    reach: Reach,
    /// Only this program; without it, all that the token speaks for.
    #[arg(long, value_name = "PROGRAM")]
    program: Option<String>,
    /// Ends with the snapshot: shows what stands, and no change.
    #[arg(long)]
    once: bool,
}

/// What is known of what stands.
#[derive(Default)]
struct Watched {
    /// What was taken ends here; `None`: there is no whole snapshot.
    number: Option<u64>,
    /// By key: what it adds to the checksum.
    standing: BTreeMap<String, u64>,
}

/// How a stream ended.
enum End {
    /// What was wanted is there.
    Done,
    /// The connection was lost.
    Lost,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let client = arguments.reach.client()?;
    let program = arguments.program.as_ref().map(|program| format!("?program={}", part(program)));
    let path = format!("/v1/decisions/stream{}", program.unwrap_or_default());
    let (mut watched, mut out) = (Watched::default(), wiring::stdout());
    let mut has_begun = false;
    loop {
        match client.follow(&path, watched.number) {
            Ok(stream) => {
                has_begun = true;
                if let End::Done = watched.follow(BufReader::new(stream), arguments.once, &mut out)? {
                    return Ok(());
                }
                say("the stream has ended; going on\n");
            }
            // Whoever never answered is told; whoever did may come back.
            Err(failure) if !has_begun || failure.code() != 3 => return Err(failure),
            Err(_) => {}
        }
        std::thread::park_timeout(PAUSE);
    }
}

impl Watched {
    fn follow(&mut self, stream: impl BufRead, once: bool, out: &mut Sink) -> Result<End, Failure> {
        let (mut name, mut data) = (String::new(), String::new());
        for line in stream.lines() {
            let Ok(line) = line else { return Ok(End::Lost) };
            match line.split_once(": ") {
                Some(("event", value)) => value.clone_into(&mut name),
                Some(("data", value)) => value.clone_into(&mut data),
                _ if line.is_empty() && !name.is_empty() => {
                    if self.take(&name, &data, out)? && once {
                        return Ok(End::Done);
                    }
                    name.clear();
                    data.clear();
                }
                _ => {}
            }
        }
        Ok(End::Lost)
    }

    /// Takes an event; `true`: it is the end of a snapshot.
    fn take(&mut self, name: &str, data: &str, out: &mut Sink) -> Result<bool, Failure> {
        let value: Value = serde_json::from_str(data).unwrap_or_default();
        match name {
            "snapshot" => {
                self.standing.clear();
                self.number = None;
            }
            "decision" | "ended" => {
                let key = key_of(&value);
                match sum_of(&key, &value) {
                    Some(sum) => drop(self.standing.insert(key, sum)),
                    None => drop(self.standing.remove(&key)),
                }
                if self.number.is_some() {
                    self.number = value["number"].as_u64();
                }
                out.write("", data.as_bytes())?;
            }
            "snapshot_end" | "heartbeat" => {
                self.number = value["number"].as_u64();
                self.compare(&value)?;
                out.flush()?;
            }
            _ => {}
        }
        if self.number.is_some() {
            out.flush()?;
        }
        Ok(name == "snapshot_end")
    }

    /// Compares the sum with the daemon's.
    fn compare(&self, told: &Value) -> Result<(), Failure> {
        let mut set = ActiveSet::default();
        self.standing.values().for_each(|sum| set.change(None, Some(*sum)));
        let checksum = format!("{:016x}", set.checksum);
        if told["count"].as_u64() == Some(set.count) && told["checksum"].as_str() == Some(&checksum) {
            return Ok(());
        }
        Err(Failure::Told {
            message: format!(
                "what stands here is not what stands there: {} with {checksum}, and {} with {} as of change {}",
                set.count, told["count"], told["checksum"], told["number"]
            ),
            hint: Some("start it again: it begins with what stands; and tell the makers of refguard".to_owned()),
            code: 3,
        })
    }
}

/// The key of a record: its parts, percent-encoded.
fn key_of(record: &Value) -> String {
    let text = |name: &str| record[name].as_str().unwrap_or_default();
    format!("{}/{}/{}", encoded_part(text("program")), text("kind"), encoded_part(text("id")))
}

/// What a record adds to the checksum; `None`: it has ended.
fn sum_of(key: &str, record: &Value) -> Option<u64> {
    let verdict = record["verdict"].as_str()?;
    let mut ids: Vec<&str> =
        record["causes"].as_array().into_iter().flatten().filter_map(|cause| cause["id"].as_str()).collect();
    ids.sort_unstable();
    let text = format!("{key}\n{}\n{verdict}\n{}", record["number"], ids.join(","));
    Sha256::digest(text.as_bytes()).first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

impl Client {
    /// A stream of events, behind a number.
    fn follow(&self, path: &str, behind: Option<u64>) -> Result<impl std::io::Read + use<>, Failure> {
        let cursor = behind.map(|number| number.to_string()).unwrap_or_default();
        self.open(path, &[("accept", "text/event-stream"), ("last-event-id", &cursor)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_page() {
        let page = include_str!("../../../../docs/decisions-log.md");
        let start = page.find("{\"number\": 812").expect("the page has a record");
        let record = page[start..].split("\n```").next().expect("it has an end");
        let record: Value = serde_json::from_str(record).expect("it is JSON");
        let key = key_of(&record);
        assert_eq!(key, "default/account/sara");
        let sum = sum_of(&key, &record).expect("it stands");
        assert!(page.contains(&format!("| the one above | `{sum:016x}` |")), "{sum:016x}");
        let other = serde_json::json!({
            "number": 813, "program": "gold", "kind": "email", "id": "a+b@example.com", "verdict": "block",
            "causes": [{"id": "dec-9"}, {"id": "dec-10"}],
        });
        let key = key_of(&other);
        assert!(page.contains(&format!("(key `{key}`)")), "{key}");
        let both = sum.wrapping_add(sum_of(&key, &other).expect("it stands"));
        assert!(page.contains(&format!("`{both:016x}`")), "{both:016x}");
        assert_eq!(sum_of(&key, &serde_json::json!({"number": 814, "verdict": null, "causes": []})), None);
    }
}
