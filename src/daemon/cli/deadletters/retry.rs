//! Dead letters sent again: only what would be read as an event now, once, under its own id.
//!
//! An event that was judged in the meantime is a repeat then, and counts nothing; so sending twice does no harm.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Failure;
use super::super::failure::say;
use super::Chosen;
use crate::daemon::config::{Config, Source};
use crate::daemon::{clock, wiring};
use crate::event::{EventBatch, Letter, MessageMode, ParseOptions, Parser, Place, Position, Reason, is_array};
use crate::stream::Sink;
use crate::stream::kafka::{KafkaProducer, KafkaSink};

/// An input, ready to be sent.
struct Input {
    bytes: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
}

/// Where inputs go.
struct Outlets {
    dry_run: bool,
    /// For those that came as lines.
    lines: Sink,
    /// By source and topic.
    topics: BTreeMap<(String, String), KafkaSink>,
    producers: BTreeMap<String, KafkaProducer>,
}

pub(super) fn run(chosen: &Chosen, dry_run: bool) -> Result<(), Failure> {
    let config = chosen.setup.config()?.config;
    let (topics, producers) = (BTreeMap::new(), BTreeMap::new());
    let mut outlets = Outlets { dry_run, lines: wiring::stdout(), topics, producers };
    let mut done = BTreeSet::new();
    let (mut sent, mut held) = (0u64, 0u64);
    chosen.read(&config, |letter, _| {
        // A topic that was read twice has each of its dead letters twice.
        if !done.insert((letter.source.clone(), letter.position.clone(), letter.sha256.clone())) {
            return Ok(());
        }
        let answer = match ready(&config, &letter) {
            Ok((source, input)) => outlets.send(&letter, source, &input)?,
            Err(why) => Err(why),
        };
        match answer {
            Ok(()) => sent += 1,
            Err(why) => {
                held += 1;
                say(&format!("warning: {} of {}: {why}\n", letter.position, letter.source));
            }
        }
        Ok(())
    })?;
    outlets.lines.flush()?;
    for producer in outlets.producers.values() {
        producer.flush()?;
    }
    let word = if dry_run { "would be sent again" } else { "sent again" };
    say(&format!("{sent} {word}, {held} not\n"));
    if held > 0 { Err(Failure::No) } else { Ok(()) }
}

/// The input of a letter, if it is whole and valid now; else why not.
fn ready<'c>(config: &'c Config, letter: &Letter) -> Result<(&'c Source, Input), String> {
    let Some(source) = config.sources.get(&letter.source) else {
        return Err(format!("no source {} is configured any more", letter.source));
    };
    if letter.reason == Reason::IdReused.code() {
        return Err(
            "its id belongs to another event, so it would be refused again: give it an id of its own".to_owned()
        );
    }
    let bytes = letter.input().map_err(|error| error.to_string())?;
    let mut headers = Vec::new();
    for header in &letter.headers {
        let value = header.bytes().ok_or_else(|| format!("header {} is not base64", header.name))?;
        headers.push((header.name.clone(), value));
    }
    let input = Input { bytes, headers };
    validate(source, &input).map_err(|reason| format!("still not valid: {reason}"))?;
    Ok((source, input))
}

/// Reads an input as its source would.
fn validate(source: &Source, input: &Input) -> Result<(), Reason> {
    let text = std::str::from_utf8(&input.bytes).map_err(|error| Reason::NotUtf8 { offset: error.valid_up_to() })?;
    let mut batch = EventBatch::default();
    batch.input.push_str(text);
    let range = 0..text.len();
    let position = Position { partition: 0, offset: 0, item: 0 };
    let at = Place { position, ingest_time_ms: clock::wall_clock_ms() };
    let mut parser = Parser::new(ParseOptions::default());
    let headers = || input.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
    let mode = match &source.kafka {
        Some(_) => MessageMode::of(headers(), text),
        None if is_array(text) => MessageMode::Array,
        None => MessageMode::Structured,
    };
    match (&source.mapping, mode) {
        (Some(mapping), _) => parser.parse_mapped(&mut batch, &mapping.0, range, at),
        (None, MessageMode::Structured) => parser.parse_structured(&mut batch, range, at),
        (None, MessageMode::Binary) => parser.parse_binary(&mut batch, headers(), range, at),
        // Its elements stand for themselves.
        (None, MessageMode::Array) => parser.parse_array(&mut batch, range, at).map(|_| ()),
    }
}

impl Outlets {
    /// Sends an input; or says why there is no way for it.
    fn send(&mut self, letter: &Letter, source: &Source, input: &Input) -> Result<Result<(), String>, Failure> {
        let Some(kafka) = &source.kafka else {
            if !self.dry_run {
                self.lines.write("", &input.bytes)?;
            }
            return Ok(Ok(()));
        };
        let Some((topic, partition, _)) = letter.record() else {
            return Ok(Err(format!("{} is no place in a topic", letter.position)));
        };
        if !kafka.topics.iter().any(|known| known == topic) {
            return Ok(Err(format!("source {} does not read topic {topic} any more", letter.source)));
        }
        if self.dry_run {
            return Ok(Ok(()));
        }
        let at = (letter.source.clone(), topic.to_owned());
        let sink = match self.topics.get(&at) {
            Some(sink) => sink,
            None => {
                let producer = match self.producers.get(&letter.source) {
                    Some(producer) => producer.clone(),
                    None => {
                        let options = wiring::resend_options(kafka);
                        let made = KafkaProducer::open(options)?;
                        self.producers.entry(letter.source.clone()).or_insert(made).clone()
                    }
                };
                self.topics.entry(at).or_insert(producer.topic(topic)?)
            }
        };
        let headers: Vec<(&str, Vec<u8>)> =
            input.headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        sink.write_to(partition, &headers, &input.bytes)?;
        Ok(Ok(()))
    }
}
