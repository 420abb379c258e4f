//! What a log of decisions that lies outside has of the one in the engine, and how it gets the rest.
//!
//! Numbers grow along the log, so its last one says what it has. A log that was not written for a while, or never, lacks
//! changes that nobody can tell again: it gets what stands instead, and the ends of what it still has and does not stand.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::engine::{Engine, encoded_part};
use crate::event::json::{write_string, write_timestamp};
use crate::stream::kafka::{self, ClientOptions, TopicScan};
use crate::stream::{Sink, StreamError};

/// How far before its end a file is looked at for its last line, at first.
const BACK_LEAST: u64 = 64 << 10;
/// How many records are looked at together.
const PAGE: usize = 4096;

/// Where a log lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogAt {
    /// In a topic.
    Topic(ClientOptions, String),
    /// In a file.
    File(PathBuf),
    /// Where nobody can read it again.
    Nowhere,
}

/// What is read of a line.
#[derive(Debug, Deserialize)]
struct Line {
    number: u64,
    program: Option<String>,
    kind: Option<String>,
    id: Option<String>,
    verdict: Option<String>,
}

fn number_of(line: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Line>(line).ok().map(|line| line.number)
}

/// Subjects that stand in a log, by their keys.
type Standing = BTreeMap<String, Subject>;

/// A subject as a line names it.
#[derive(Debug)]
struct Subject {
    program: String,
    kind: String,
    id: String,
}

fn note(standing: &mut Standing, line: &[u8]) {
    let Ok(Line { program: Some(program), kind: Some(kind), id: Some(id), verdict, .. }) = serde_json::from_slice(line)
    else {
        return;
    };
    let key = format!("{}/{kind}/{}", encoded_part(&program), encoded_part(&id));
    match verdict {
        Some(_) => drop(standing.insert(key, Subject { program, kind, id })),
        None => drop(standing.remove(&key)),
    }
}

impl LogAt {
    /// The number of its last change: 0 for a log that is empty; `None`: nobody can tell.
    ///
    /// # Errors
    ///
    /// What the cluster or the file says.
    pub fn through(&self) -> Result<Option<u64>, StreamError> {
        match self {
            LogAt::Topic(options, topic) => Ok(Some(kafka::highest(options, topic, number_of)?.unwrap_or(0))),
            LogAt::File(path) => last_number(path).map(Some).map_err(|source| StreamError::open(path, source)),
            LogAt::Nowhere => Ok(None),
        }
    }

    /// The subjects that stand there.
    fn standing(&self) -> Result<Standing, StreamError> {
        let mut standing = Standing::new();
        match self {
            LogAt::Topic(options, topic) => {
                let mut scan = TopicScan::open(options, topic)?;
                while let Some(value) = scan.next_value()? {
                    note(&mut standing, &value);
                }
            }
            LogAt::File(path) => {
                let failed = |source| StreamError::open(path, source);
                let file = match File::open(path) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(standing),
                    opened => opened.map_err(failed)?,
                };
                for line in BufReader::new(file).split(b'\n') {
                    note(&mut standing, &line.map_err(failed)?);
                }
            }
            LogAt::Nowhere => {}
        }
        Ok(standing)
    }

    /// What must be written before anything else, if the engine has changes that the log has not and that nobody tells again: by
    /// key, in order; an empty line ends a subject. `at_ms` is the clock.
    ///
    /// # Errors
    ///
    /// As [`LogAt::through`].
    pub fn lacks(&self, engine: &Engine, through: u64, at_ms: i64) -> Result<Vec<(String, Vec<u8>)>, StreamError> {
        if through >= engine.decisions().log_number() {
            return Ok(Vec::new());
        }
        let mut gone = if through > 0 { self.standing()? } else { Standing::new() };
        let (mut records, mut behind) = (Vec::new(), None);
        loop {
            let page = engine.decision_page(behind, PAGE);
            page.records.iter().for_each(|record| drop(gone.remove(&record.key)));
            records.extend(page.records.into_iter().filter(|record| record.number > through));
            behind = page.next;
            if behind.is_none() {
                break;
            }
        }
        // Whoever is interrupted in this finds by the last number what is left of it.
        records.sort_unstable_by_key(|record| record.number);
        let ends = gone
            .iter()
            .flat_map(|(key, subject)| [(key.clone(), end_line(subject, through, at_ms)), (key.clone(), Vec::new())]);
        Ok(ends.chain(records.into_iter().map(|record| (record.key, record.line))).collect())
    }
}

/// The last line of a subject that ended while the log was not written.
fn end_line(Subject { program, kind, id }: &Subject, number: u64, at_ms: i64) -> Vec<u8> {
    let mut line = format!("{{\"number\":{number}").into_bytes();
    for (name, value) in [("program", program), ("kind", kind), ("id", id)] {
        line.extend_from_slice(format!(",\"{name}\":").as_bytes());
        write_string(&mut line, value);
    }
    line.extend_from_slice(b",\"verdict\":null,\"causes\":[],\"ended\":{\"why\":\"unwritten\",\"at\":");
    write_timestamp(&mut line, at_ms);
    line.extend_from_slice(b"}}");
    line
}

/// Writes what a log lacks.
///
/// # Errors
///
/// What the sink says.
pub fn write_lacking(sink: &mut Sink, records: &[(String, Vec<u8>)]) -> Result<(), StreamError> {
    records.iter().try_for_each(|(key, line)| sink.write(key, line))
}

/// The number of the last whole line of a file.
fn last_number(path: &Path) -> std::io::Result<u64> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        opened => opened?,
    };
    if !file.metadata()?.is_file() {
        return Ok(0);
    }
    let length = file.metadata()?.len();
    let mut back = BACK_LEAST;
    loop {
        let from = length.saturating_sub(back);
        file.seek(SeekFrom::Start(from))?;
        let mut end = Vec::new();
        (&mut file).take(back).read_to_end(&mut end)?;
        // A torn line is none, nor is one whose beginning lies before.
        let number = end.split(|byte| *byte == b'\n').rev().find_map(number_of);
        if number.is_some() || from == 0 {
            return Ok(number.unwrap_or(0));
        }
        back = back.saturating_mul(8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_line_of_a_file_counts() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("decisions.jsonl");
        assert_eq!(last_number(&path).expect("it is not there"), 0);
        let long = format!("{{\"number\":8,\"id\":\"{}\"}}\n", "x".repeat(200_000));
        for (text, number) in [
            ("".to_owned(), 0),
            ("{\"number\":7}\n{\"heartbeat\":true,\"number\":9}\n".to_owned(), 9),
            ("{\"number\":7}\n{\"number\":9".to_owned(), 7),
            (format!("{{\"number\":7}}\n{long}{{\"num"), 8),
            ("{\"num".to_owned(), 0),
        ] {
            std::fs::write(&path, &text).expect("there is room");
            assert_eq!(last_number(&path).expect("it can be read"), number, "{}", &text[..text.len().min(80)]);
        }
    }
}
