//! `refguard state inspect`: what a folder of state holds, for people and as JSON.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::found::{Behind, Found, Journal};
use super::{Failure, name};
use crate::stream::checkpoint::{CheckpointError, Companion, Seals, Surveyed};
use crate::stream::journal::PlaceName;

/// A folder of state.
#[derive(Debug, Serialize)]
struct Shown {
    folder: String,
    /// Tells keys apart without telling them.
    key: Option<String>,
    /// The name of the state in consumer groups.
    instance: Option<String>,
    checkpoints: Vec<Checkpoint>,
    journal: JournalShown,
}

#[derive(Debug, Default, Serialize)]
struct Checkpoint {
    file: String,
    bytes: u64,
    /// What is wrong with it; then nothing more is told.
    damage: Option<String>,
    format: Option<u32>,
    /// The secret that it is closed under; where that is not known, no more is told than where its inputs end.
    secret: Option<String>,
    events: Option<u64>,
    ruleset: Option<String>,
    started: Option<String>,
    watermark: Option<String>,
    /// The first entry of the journal that is not in it.
    position: Option<u64>,
    places: Vec<Place>,
    parts: Vec<Part>,
}

#[derive(Debug, Serialize)]
struct Part {
    name: String,
    keys: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Place {
    source: String,
    topic: String,
    partition: i32,
    /// The first record that is meant; absent where all before are.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<u64>,
    /// The offset behind the last record; absent for lines and where nothing was read.
    next: Option<u64>,
}

#[derive(Debug, Default, Serialize)]
struct JournalShown {
    damage: Option<String>,
    files: Vec<File>,
    next: u64,
    torn_bytes: u64,
    /// What the newest whole checkpoint does not have.
    behind: BehindShown,
}

#[derive(Debug, Serialize)]
struct File {
    file: String,
    first: u64,
    bytes: u64,
}

#[derive(Debug, Default, Serialize)]
struct BehindShown {
    entries: u64,
    records: u64,
    lines: u64,
    rulesets: Vec<String>,
    places: Vec<Place>,
}

pub(super) fn run(folder: &Path, seals: Option<&Seals>) -> Result<(), Failure> {
    let found = Found::of(folder, seals)?;
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).ok().map(|text| text.trim().to_owned());
    let shown = Shown {
        folder: folder.display().to_string(),
        key: read("key.id"),
        instance: read("instance").map(|name| format!("refguard-{name}")),
        checkpoints: found.checkpoints.iter().map(|(path, of)| checkpoint(path, of)).collect(),
        journal: journal(found.journal),
    };
    let text = if std::io::stdout().is_terminal() {
        shown.text()
    } else {
        let json = serde_json::to_string_pretty(&shown).expect("names and numbers are JSON");
        format!("{json}\n")
    };
    // A reader that has seen enough is no failure.
    drop(std::io::stdout().lock().write_all(text.as_bytes()));
    Ok(())
}

fn checkpoint(path: &Path, surveyed: &Result<Surveyed, CheckpointError>) -> Checkpoint {
    let bytes = std::fs::metadata(path).map_or(0, |of| of.len());
    let shown = Checkpoint { file: name(path), bytes, ..Checkpoint::default() };
    let Surveyed { format, companion, seal, survey } = match surveyed {
        Ok(surveyed) => surveyed,
        Err(error) => return Checkpoint { damage: Some(error.to_string()), ..shown },
    };
    let survey = survey.as_ref();
    let place = |(of, next): &(PlaceName, Option<u64>)| place(of, None, *next);
    let part = |of: &crate::engine::SurveyedPart| Part { name: of.name.clone(), keys: of.keys, bytes: of.bytes };
    Checkpoint {
        format: Some(*format),
        secret: seal.map(|name| name.to_string()),
        events: survey.map(|of| of.sequence),
        ruleset: survey.map(|of| of.ruleset.clone()),
        started: survey.and_then(|of| of.started_ms).and_then(instant),
        watermark: survey.and_then(|of| of.watermark_ms).and_then(instant),
        position: companion.as_ref().map(|of: &Companion| of.position),
        places: companion.iter().flat_map(|of| &of.places).map(place).collect(),
        parts: survey.into_iter().flat_map(|of| &of.parts).map(part).collect(),
        ..shown
    }
}

fn journal(found: Result<Journal, CheckpointError>) -> JournalShown {
    let Journal { files, next, torn_bytes, behind } = match found {
        Ok(journal) => journal,
        Err(error) => return JournalShown { damage: Some(error.to_string()), ..JournalShown::default() },
    };
    let Behind { entries, records, lines, rules, places } = behind;
    let places = places.iter().map(|(of, first, next)| place(of, Some(*first), Some(*next))).collect();
    JournalShown {
        damage: None,
        files: files.into_iter().map(|(first, path, bytes)| File { file: name(&path), first, bytes }).collect(),
        next,
        torn_bytes,
        behind: BehindShown { entries, records, lines, rulesets: rules, places },
    }
}

fn place(of: &PlaceName, first: Option<u64>, next: Option<u64>) -> Place {
    Place { source: of.source.clone(), topic: of.topic.clone(), partition: of.partition, first, next }
}

fn instant(ms: i64) -> Option<String> {
    Timestamp::from_millisecond(ms).ok().map(|at| at.to_string())
}

impl Place {
    fn text(&self) -> String {
        let Place { source, topic, partition, first, next } = self;
        let of = if topic.is_empty() { format!("lines of {source}") } else { format!("{source}: {topic}/{partition}") };
        match (first, next) {
            (Some(first), Some(next)) => format!("{of} from {first} to before {next}"),
            (_, Some(next)) => format!("{of} up to before {next}"),
            _ => of,
        }
    }
}

impl Shown {
    fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a text cannot fail.
        let _ = writeln!(out, "{}", self.folder);
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none yet".to_owned());
        let _ = writeln!(out, "  key       {}", or_none(&self.key));
        let _ = writeln!(out, "  instance  {}", or_none(&self.instance));
        self.checkpoints.iter().for_each(|of| of.text(&mut out));
        if self.checkpoints.is_empty() {
            out.push_str("\nno checkpoint\n");
        }
        self.journal.text(&mut out);
        out
    }
}

impl Checkpoint {
    fn text(&self, out: &mut String) {
        let _ = writeln!(out, "\n{}  {} bytes", self.file, self.bytes);
        if let Some(damage) = &self.damage {
            let _ = writeln!(out, "  damaged   {damage}");
            return;
        }
        let _ = writeln!(out, "  format    {}", self.format.unwrap_or_default());
        if let Some(secret) = &self.secret {
            let known = if self.events.is_some() { "" } else { ", which is not known here" };
            let _ = writeln!(out, "  secret    {secret}{known}");
        }
        if let Some(events) = self.events {
            let time = |of: &Option<String>| of.clone().unwrap_or_else(|| "unknown".to_owned());
            let _ = writeln!(out, "  events    {events}");
            let _ = writeln!(out, "  rule set  {}", self.ruleset.as_deref().unwrap_or_default());
            let _ = writeln!(out, "  time      {} to {}", time(&self.started), time(&self.watermark));
        }
        if let Some(position) = self.position {
            let _ = writeln!(out, "  journal   goes on at entry {position}");
        }
        self.places.iter().for_each(|place| out.push_str(&format!("  place     {}\n", place.text())));
        let width = self.parts.iter().map(|part| part.name.len()).max().unwrap_or(0).max(4);
        let _ = writeln!(out, "  {:width$}  {:>12}  {:>14}", "part", "keys", "bytes");
        for Part { name, keys, bytes } in &self.parts {
            let _ = writeln!(out, "  {name:width$}  {keys:>12}  {bytes:>14}");
        }
    }
}

impl JournalShown {
    fn text(&self, out: &mut String) {
        let _ = writeln!(out, "\njournal");
        if let Some(damage) = &self.damage {
            let _ = writeln!(out, "  damaged   {damage}");
            return;
        }
        for File { file, first, bytes } in &self.files {
            let _ = writeln!(out, "  {file}  from entry {first}, {bytes} bytes");
        }
        if self.torn_bytes > 0 {
            let _ = writeln!(out, "  torn      {} bytes at its end: nothing came of them", self.torn_bytes);
        }
        let BehindShown { entries, records, lines, rulesets, places } = &self.behind;
        let _ = writeln!(out, "  behind the newest checkpoint: {entries} entries, {records} records, {lines} lines");
        rulesets.iter().for_each(|hash| out.push_str(&format!("  rule set  {hash} took over\n")));
        places.iter().for_each(|place| out.push_str(&format!("  again     {}\n", place.text())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_in_lines() {
        let place =
            |first| Place { source: "orders".into(), topic: "events".into(), partition: 2, first, next: Some(9) };
        let part = Part { name: "logins_1h".into(), keys: 3, bytes: 120 };
        let whole = Checkpoint {
            file: "checkpoint-7".into(),
            bytes: 200,
            format: Some(4),
            secret: Some("0b".into()),
            events: Some(7),
            ruleset: Some("abc".into()),
            started: instant(0),
            position: Some(4),
            places: vec![place(None)],
            parts: vec![part],
            ..Checkpoint::default()
        };
        let torn =
            Checkpoint { file: "checkpoint-5".into(), damage: Some("it is torn".into()), ..Checkpoint::default() };
        let behind = BehindShown { entries: 2, records: 4, rulesets: vec!["def".into()], ..BehindShown::default() };
        let behind = BehindShown { places: vec![place(Some(5))], ..behind };
        let files = vec![File { file: "journal-4".into(), first: 4, bytes: 90 }];
        let journal = JournalShown { files, next: 6, torn_bytes: 3, behind, damage: None };
        let (key, instance) = (Some("0a".to_owned()), None);
        let shown = Shown { folder: "data/state".into(), key, instance, checkpoints: vec![whole, torn], journal };
        insta::assert_snapshot!(shown.text());
    }
}
