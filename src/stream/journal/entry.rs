//! What an entry says, and its bytes.

use std::ops::Range;

use crate::state::{Broken, ByteReader, ByteWriter};

/// Where the engine's partitions are outside: one of a topic of a source, or the lines of one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlaceName {
    /// The source's name in the configuration.
    pub source: String,
    /// The topic; empty for lines.
    pub topic: String,
    /// The partition in it; 0 for lines.
    pub partition: i32,
}

/// What a rule set is read from: paths below the folder of the rules, and texts.
pub type RuleFiles = Vec<(String, String)>;

/// Records of one partition, as they followed each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The engine's number of the partition.
    pub place: u32,
    /// The offset of the first.
    pub first: u64,
    /// The offset behind the last.
    pub next: u64,
    /// How many they are: offsets have gaps.
    pub records: u32,
}

/// What a source says beside events, with the engine's number of the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It comes into use.
    Assigned(u32),
    /// It goes out of use.
    Revoked(u32),
    /// It was read to its end at this reading of the clock, in milliseconds since the Unix epoch.
    Tick(u32, i64),
}

/// An entry to be written.
#[derive(Debug)]
pub enum Entry<'a> {
    /// The engine's number of a partition, before it is used.
    Place(u32, &'a PlaceName),
    /// Records of topics were judged, in this order, after these marks. The clock stands for records without a time.
    Records {
        /// What was said before them.
        marks: &'a [Mark],
        /// Where they are.
        runs: &'a [Run],
        /// Milliseconds since the Unix epoch.
        clock_ms: i64,
    },
    /// Lines were judged.
    Lines {
        /// What was said before them.
        marks: &'a [Mark],
        /// The engine's number of their partition.
        place: u32,
        /// When they came, in milliseconds since the Unix epoch.
        clock_ms: i64,
        /// The text that they lie in.
        text: &'a str,
        /// Where each lies, and its number.
        lines: &'a [(Range<usize>, u64)],
    },
    /// Another rule set took over: its hash, and the files that it is read from.
    Rules {
        /// Its hash.
        hash: &'a str,
        /// Paths below the folder of the rules, and texts.
        files: &'a [(String, String)],
    },
    /// What came of lines in entries below this number is written.
    Written(u64),
}

/// An entry that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// [`Entry::Place`].
    Place(u32, PlaceName),
    /// [`Entry::Records`].
    Records {
        /// What was said before them.
        marks: Vec<Mark>,
        /// Where they are.
        runs: Vec<Run>,
        /// Milliseconds since the Unix epoch.
        clock_ms: i64,
    },
    /// [`Entry::Lines`].
    Lines {
        /// What was said before them.
        marks: Vec<Mark>,
        /// The engine's number of their partition.
        place: u32,
        /// When they came, in milliseconds since the Unix epoch.
        clock_ms: i64,
        /// The lines, each with its number.
        lines: Vec<(String, u64)>,
    },
    /// [`Entry::Rules`].
    Rules {
        /// Its hash.
        hash: String,
        /// Paths below the folder of the rules, and texts.
        files: Vec<(String, String)>,
    },
    /// [`Entry::Written`].
    Written(u64),
}

mod tag {
    pub(super) const PLACE: u8 = 1;
    pub(super) const RECORDS: u8 = 2;
    pub(super) const LINES: u8 = 3;
    pub(super) const RULES: u8 = 4;
    pub(super) const WRITTEN: u8 = 5;
}

impl PlaceName {
    /// Writes it.
    pub(in crate::stream) fn store(&self, writer: &mut ByteWriter) {
        writer.text(&self.source);
        writer.text(&self.topic);
        writer.int(self.partition);
    }

    /// Reads it.
    pub(in crate::stream) fn read(reader: &mut ByteReader<'_>) -> Result<PlaceName, Broken> {
        let (source, topic) = (reader.text()?.to_owned(), reader.text()?.to_owned());
        Ok(PlaceName { source, topic, partition: reader.int()? })
    }
}

/// Writes the files of a rule set.
pub(in crate::stream) fn store_files(files: &[(String, String)], writer: &mut ByteWriter) {
    writer.count(files.len());
    for (path, text) in files {
        writer.text(path);
        writer.text(text);
    }
}

/// Reads the files of a rule set.
pub(in crate::stream) fn read_files(reader: &mut ByteReader<'_>) -> Result<Vec<(String, String)>, Broken> {
    (0..reader.count(2)?).map(|_| Ok((reader.text()?.to_owned(), reader.text()?.to_owned()))).collect()
}

impl Entry<'_> {
    pub(super) fn written(&self) -> ByteWriter {
        let mut writer = ByteWriter::default();
        match self {
            Entry::Place(number, name) => {
                writer.byte(tag::PLACE);
                writer.short(*number);
                name.store(&mut writer);
            }
            Entry::Records { marks, runs, clock_ms } => {
                writer.byte(tag::RECORDS);
                store_marks(marks, &mut writer);
                writer.time(*clock_ms);
                writer.count(runs.len());
                for run in *runs {
                    writer.short(run.place);
                    writer.word(run.first);
                    writer.word(run.next);
                    writer.short(run.records);
                }
            }
            Entry::Lines { marks, place, clock_ms, text, lines } => {
                writer.byte(tag::LINES);
                store_marks(marks, &mut writer);
                writer.short(*place);
                writer.time(*clock_ms);
                writer.count(lines.len());
                for (range, number) in *lines {
                    writer.text(&text[range.clone()]);
                    writer.word(*number);
                }
            }
            Entry::Rules { hash, files } => {
                writer.byte(tag::RULES);
                writer.text(hash);
                store_files(files, &mut writer);
            }
            Entry::Written(number) => {
                writer.byte(tag::WRITTEN);
                writer.word(*number);
            }
        }
        writer
    }
}

fn store_marks(marks: &[Mark], writer: &mut ByteWriter) {
    writer.count(marks.len());
    for mark in marks {
        let (kind, place, clock_ms) = match *mark {
            Mark::Assigned(place) => (0, place, 0),
            Mark::Revoked(place) => (1, place, 0),
            Mark::Tick(place, clock_ms) => (2, place, clock_ms),
        };
        writer.byte(kind);
        writer.short(place);
        writer.time(clock_ms);
    }
}

fn read_marks(reader: &mut ByteReader<'_>) -> Result<Vec<Mark>, Broken> {
    let mark = |reader: &mut ByteReader<'_>| {
        let (kind, place, clock_ms) = (reader.byte()?, reader.short()?, reader.time()?);
        match kind {
            0 => Ok(Mark::Assigned(place)),
            1 => Ok(Mark::Revoked(place)),
            2 => Ok(Mark::Tick(place, clock_ms)),
            _ => Err(Broken("a mark is of no known kind")),
        }
    };
    (0..reader.count(13)?).map(|_| mark(reader)).collect()
}

impl Stored {
    /// Whether bytes are those of an entry.
    ///
    /// # Errors
    ///
    /// What is impossible.
    pub fn check(payload: &[u8]) -> Result<(), Broken> {
        Stored::read(payload).map(drop)
    }

    pub(super) fn read(payload: &[u8]) -> Result<Stored, Broken> {
        let mut reader = ByteReader::new(payload);
        let reader = &mut reader;
        let entry = match reader.byte()? {
            tag::PLACE => Stored::Place(reader.short()?, PlaceName::read(reader)?),
            tag::RECORDS => {
                let (marks, clock_ms) = (read_marks(reader)?, reader.time()?);
                let run = |reader: &mut ByteReader<'_>| {
                    let (place, first) = (reader.short()?, reader.word()?);
                    Ok(Run { place, first, next: reader.word()?, records: reader.short()? })
                };
                let runs = (0..reader.count(24)?).map(|_| run(reader)).collect::<Result<_, Broken>>()?;
                Stored::Records { marks, runs, clock_ms }
            }
            tag::LINES => {
                let (marks, place, clock_ms) = (read_marks(reader)?, reader.short()?, reader.time()?);
                let line = |reader: &mut ByteReader<'_>| Ok((reader.text()?.to_owned(), reader.word()?));
                let lines = (0..reader.count(9)?).map(|_| line(reader)).collect::<Result<_, Broken>>()?;
                Stored::Lines { marks, place, clock_ms, lines }
            }
            tag::RULES => Stored::Rules { hash: reader.text()?.to_owned(), files: read_files(reader)? },
            tag::WRITTEN => Stored::Written(reader.word()?),
            _ => return Err(Broken("an entry is of no known kind")),
        };
        if reader.is_empty() { Ok(entry) } else { Err(Broken("something follows an entry")) }
    }
}
