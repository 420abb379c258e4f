//! The decisions that stand, in Redis, for services that look a subject up there: a record a subject, as the log of decisions
//! tells it.
//!
//! A follower of the log in a thread of its own: it writes what is committed, and holds nothing back. Every write names the
//! number of its change, and the script that does it compares that with the newest of the program: so what comes twice, or too
//! late from an instance that another has taken the place of, changes nothing. At its start, and when it was away for longer than
//! changes are held, it writes what stands and takes away what does not. It asks for no more than `GET`, `SET`, `UNLINK`,
//! `SCAN` and `EVAL`. Tests with real servers: `tests/decision_mirror.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use redis::Value;
use serde::Deserialize;

use super::RedisOptions;
use super::error::{RedisError, answered};
use super::names::slot_of;
use super::nodes::Nodes;
use super::wire::{Commands, bytes, list};
use crate::event::parse_time_ms;
use crate::stream::decision_log::{DecisionHub, Following, Published, Snapshot, Snapshotting, program_of};
use crate::stream::pipeline::Question;

/// Writes records of one program.
///
/// Keys: the number of the program's newest change, then the records. Arguments: the number of the last change; then for each
/// record the number of its change, what it is to hold (empty: it goes), and until when, in milliseconds since the Unix epoch
/// (0: for good). Numbers are exact as doubles up to 2^53.
const WRITE: &str = "\
local position = tonumber(redis.call('GET', KEYS[1]) or '0')
for i = 2, #KEYS do
  local at = 3 * i - 4
  if tonumber(ARGV[at]) >= position then
    if ARGV[at + 1] == '' then redis.call('UNLINK', KEYS[i])
    elseif ARGV[at + 2] == '0' then redis.call('SET', KEYS[i], ARGV[at + 1])
    else redis.call('SET', KEYS[i], ARGV[at + 1], 'PXAT', ARGV[at + 2]) end
  end
end
if tonumber(ARGV[1]) > position then redis.call('SET', KEYS[1], ARGV[1]) end
return position
";

/// How many records one call writes at most.
const RECORDS_MAX: usize = 256;
/// How many changes are taken from the log together.
const CHANGES: usize = 1024;
/// Records that one question looks at.
const PAGE: usize = 1024;
/// How many keys a server looks at for one answer.
const SCANNED: &str = "1000";
/// How long is waited before another try, and for the next change before it is looked whether this is the end.
const PAUSE: Duration = Duration::from_millis(500);

/// Where decisions are written, and how they come.
pub struct MirrorOptions {
    /// The servers.
    pub redis: RedisOptions,
    /// The log.
    pub hub: Arc<DecisionHub>,
    /// Where the engine is asked.
    pub ask: Sender<Question>,
    /// Whether the servers answer.
    pub is_up: Arc<AtomicBool>,
}

/// Decisions on their way to Redis.
pub struct Mirror {
    options: MirrorOptions,
    nodes: Option<Nodes>,
    /// What is written ends here; `None`: what stands is to be written first.
    number: Option<u64>,
    /// What was told of last, so that it is told once.
    told: String,
}

/// Why nothing was written.
enum Pause {
    /// The end was asked for.
    Stopped,
    Redis(RedisError),
    /// The servers have what this state has not judged yet.
    Behind(u64),
    /// More has changed than is held.
    Lost,
}

impl From<RedisError> for Pause {
    fn from(error: RedisError) -> Pause {
        Pause::Redis(error)
    }
}

/// A record that is written, or taken away.
struct Write<'a> {
    number: u64,
    key: &'a str,
    line: &'a [u8],
}

impl<'a> Write<'a> {
    fn of(change: &'a Published) -> Write<'a> {
        let line = if change.is_end { &[] } else { change.line() };
        Write { number: change.number, key: &change.key, line }
    }
}

impl Mirror {
    /// Begins; nothing is asked yet.
    pub fn new(options: MirrorOptions) -> Mirror {
        Mirror { options, nodes: None, number: None, told: String::new() }
    }

    /// Follows the log until the end is asked for.
    pub fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            match self.step(stop) {
                Ok(()) => self.told.clear(),
                Err(Pause::Stopped) => return,
                Err(pause) => {
                    self.tell(pause);
                    std::thread::park_timeout(PAUSE);
                }
            }
        }
        // What is committed by now is written, if somebody answers.
        if self.number.is_some() {
            drop(self.write_changes(Duration::ZERO));
        }
    }

    /// Says why nothing is written, once.
    fn tell(&mut self, pause: Pause) {
        let (said, hint) = match pause {
            Pause::Redis(error) => {
                self.nodes = None;
                self.options.is_up.store(false, Ordering::Relaxed);
                let hint = if let RedisError::Refused { hint, .. } = &error { hint.clone() } else { String::new() };
                (error.to_string(), hint)
            }
            Pause::Behind(position) => {
                let known = self.options.hub.number();
                let said = format!("Redis is at change {position} of decisions, and the state at {known}");
                // It grows while the state judges again.
                let hint =
                    "if this stays, these are the decisions of another state: take the keys below the prefix away";
                (said, hint.to_owned())
            }
            Pause::Lost => {
                self.number = None;
                return;
            }
            Pause::Stopped => return,
        };
        if self.told != hint || self.told.is_empty() {
            tracing::warn!(hint, "decisions are not written to Redis: {said}");
        }
        self.told = if hint.is_empty() { said } else { hint };
    }

    fn step(&mut self, stop: &AtomicBool) -> Result<(), Pause> {
        if self.nodes.is_none() {
            self.nodes = Some(Nodes::connect(&self.options.redis)?);
            self.options.is_up.store(true, Ordering::Relaxed);
        }
        match self.number {
            None => {
                let snapshot = self.snapshot(stop)?;
                self.write_snapshot(&snapshot)
            }
            Some(_) => self.write_changes(PAUSE),
        }
    }

    /// Writes what has changed; waits so long for something.
    fn write_changes(&mut self, wait: Duration) -> Result<(), Pause> {
        let number = self.number.unwrap_or_default();
        self.options.hub.wait_behind(number, wait);
        let changes = match self.options.hub.behind(number, CHANGES) {
            Following::Lost => return Err(Pause::Lost),
            Following::Changes(changes) => changes,
        };
        let Some(last) = changes.last().map(|change| change.number) else { return Ok(()) };
        let writes: Vec<Write<'_>> = changes.iter().map(|change| Write::of(change)).collect();
        self.write(&writes)?;
        self.number = Some(last);
        Ok(())
    }

    /// Writes what stands, and takes away what does not.
    fn write_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), Pause> {
        let prefix = self.prefix();
        let found = self.scan(&prefix)?;
        let mut gone = BTreeSet::new();
        for key in &found {
            let Some((program, rest)) = self.read_key(key) else { continue };
            match rest {
                Some(rest) => drop(gone.insert(format!("{program}/{}", rest.replacen(':', "/", 1)))),
                None => {
                    let position = self.position(key)?;
                    if position > snapshot.number() {
                        return Err(Pause::Behind(position));
                    }
                }
            }
        }
        let number = snapshot.number();
        let mut writes = Vec::new();
        for (key, _, line) in snapshot.records(None) {
            gone.remove(key);
            writes.push(Write { number, key, line });
        }
        writes.extend(gone.iter().map(|key| Write { number, key, line: &[] }));
        tracing::info!(
            records = writes.len() - gone.len(),
            gone = gone.len(),
            number,
            "decisions are written to Redis"
        );
        for part in writes.chunks(CHANGES) {
            self.write(part)?;
        }
        self.number = Some(number);
        Ok(())
    }

    /// Writes records, a call for some of each program.
    fn write(&mut self, writes: &[Write<'_>]) -> Result<(), RedisError> {
        let mut programs: BTreeMap<&str, Vec<&Write<'_>>> = BTreeMap::new();
        writes.iter().for_each(|write| programs.entry(program_of(write.key)).or_default().push(write));
        let prefix = self.prefix();
        let Some(nodes) = &mut self.nodes else { return Ok(()) };
        let mut commands = vec![Commands::default(); nodes.len()];
        for (program, writes) in programs {
            let position = format!("{prefix}:{{{program}}}");
            let node = nodes.of_slot(slot_of(position.as_bytes()));
            for part in writes.chunks(RECORDS_MAX) {
                eval(&mut commands[node], &position, program, part);
            }
        }
        for answer in nodes.exchange(&commands)?.into_iter().flatten() {
            answered(answer)?;
        }
        Ok(())
    }

    /// What every key begins with.
    fn prefix(&self) -> String {
        format!("{}:decision", self.options.redis.prefix)
    }

    /// The program of a key, and kind and id; without these it is that of the program's number.
    fn read_key<'k>(&self, key: &'k str) -> Option<(&'k str, Option<&'k str>)> {
        let (program, rest) = key.strip_prefix(&self.prefix())?.strip_prefix(":{")?.split_once('}')?;
        Some((program, rest.strip_prefix(':')))
    }

    /// All keys that begin so.
    fn scan(&mut self, prefix: &str) -> Result<Vec<String>, RedisError> {
        let pattern = format!("{}:{{*", prefix.replace(['*', '?', '[', ']', '\\'], "?"));
        let Some(nodes) = &mut self.nodes else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for node in 0..nodes.len() {
            let mut cursor = b"0".to_vec();
            loop {
                let words: [&[u8]; 6] = [b"SCAN", &cursor, b"MATCH", pattern.as_bytes(), b"COUNT", SCANNED.as_bytes()];
                let mut answer = list(nodes.ask(node, &words)?)?.into_iter();
                let (next, keys) = (answer.next().unwrap_or(Value::Nil), answer.next().unwrap_or(Value::Nil));
                for key in list(keys)? {
                    found.extend(bytes(key)?.and_then(|key| String::from_utf8(key).ok()));
                }
                cursor = bytes(next)?.unwrap_or_default();
                if cursor == b"0" || cursor.is_empty() {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// The number that is noted under a key.
    fn position(&mut self, key: &str) -> Result<u64, RedisError> {
        let Some(nodes) = &mut self.nodes else { return Ok(0) };
        let node = nodes.of_slot(slot_of(key.as_bytes()));
        let held = bytes(nodes.ask(node, &[b"GET", key.as_bytes()])?)?.unwrap_or_default();
        Ok(std::str::from_utf8(&held).ok().and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    /// Asks the engine for what stands, a page at a time.
    fn snapshot(&self, stop: &AtomicBool) -> Result<Snapshot, Pause> {
        let is_stopped = || stop.load(Ordering::Acquire);
        let mut making = Snapshotting::default();
        loop {
            let (tell, told) = bounded(1);
            let behind = making.behind();
            // Whoever asked may be gone.
            let question: Question = Box::new(move |engine| drop(tell.send(engine.decision_page(behind, PAGE))));
            self.options.ask.send(question).map_err(|_| Pause::Stopped)?;
            let page = loop {
                match told.recv_timeout(PAUSE) {
                    Ok(page) => break page,
                    Err(RecvTimeoutError::Timeout) if !is_stopped() => {}
                    Err(_) => return Err(Pause::Stopped),
                }
            };
            if !making.take(page) {
                break;
            }
        }
        while self.options.hub.number() < making.wanted() {
            if is_stopped() {
                return Err(Pause::Stopped);
            }
            self.options.hub.wait_behind(self.options.hub.number(), PAUSE);
        }
        making.finish(&self.options.hub).map_err(|_| Pause::Lost)
    }
}

/// Adds a call that writes records of a program.
fn eval(commands: &mut Commands, position: &str, program: &str, writes: &[&Write<'_>]) {
    commands.begin(5 + 4 * writes.len());
    commands.word(b"EVAL");
    commands.word(WRITE.as_bytes());
    commands.number(writes.len() as i64 + 1);
    commands.word(position.as_bytes());
    for write in writes {
        let rest = write.key.strip_prefix(program).unwrap_or_default().strip_prefix('/').unwrap_or_default();
        // The kind has no slash, and what is encoded has none.
        commands.word(format!("{position}:{}", rest.replacen('/', ":", 1)).as_bytes());
    }
    let last = writes.iter().map(|write| write.number).max().unwrap_or_default();
    commands.word(last.to_string().as_bytes());
    for write in writes {
        commands.word(write.number.to_string().as_bytes());
        commands.word(write.line);
        commands.word(until_ms(write.line).unwrap_or_default().to_string().as_bytes());
    }
}

/// What is read of a line.
#[derive(Deserialize)]
struct Line<'l> {
    #[serde(borrow)]
    causes: Vec<Ending<'l>>,
}

#[derive(Deserialize)]
struct Ending<'l> {
    expires: Option<&'l str>,
}

/// The instant at which the last cause of a record ends; `None`: not all of them end by time.
fn until_ms(line: &[u8]) -> Option<i64> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    let ends: Option<Vec<i64>> = line.causes.iter().map(|cause| parse_time_ms(cause.expires?).ok()).collect();
    ends?.into_iter().max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_ends_with_its_last_cause_if_all_end() {
        for (causes, until) in [
            (
                r#"[{"expires":"2026-05-01T10:05:00.000Z"},{"expires":"2026-05-01T10:05:00.007Z"}]"#,
                Some(1_777_629_900_007),
            ),
            (r#"[{"expires":"2026-05-01T10:05:00.000Z"},{"expires":null}]"#, None),
            ("[]", None),
        ] {
            assert_eq!(until_ms(format!("{{\"causes\":{causes}}}").as_bytes()), until, "{causes}");
        }
        assert_eq!(until_ms(b""), None);
    }
}
