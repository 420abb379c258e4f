//! The line of journals that a folder of state belongs to, and whether it may go on with what its topic has.
//!
//! A folder that is behind its topic, or was left behind by another line, would say something else than what was committed. So
//! it is asked twice: before anybody is fenced, so that whoever judges is not disturbed for nothing, and after that, when
//! nobody else commits any more.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use crate::stream::StreamError;
use crate::stream::checkpoint::CheckpointError;
use crate::stream::journal::{Line, end_of};
use crate::stream::kafka::{ClientOptions, TopicTail};

/// The file, in the folder of the state.
const FILE: &str = "line";

/// What to do with a folder that was left behind.
const BEHIND: &str = "start it with --standby: it catches up by itself; to judge on with this state and to forget what the topic \
     has, start with --accept-empty-state";

/// The topic that has the journal of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalTopic {
    /// How it is read.
    pub reader: ClientOptions,
    /// How it is written: with the outputs.
    pub writer: ClientOptions,
    /// Its name.
    pub topic: String,
    /// The name of the transactions.
    pub transactional_id: String,
}

/// How a folder goes on with its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goes {
    /// The topic has the entries of its line up to before this one.
    On(Line, u64),
    /// With a line of its own: the topic has none, or what it has is given up.
    Anew,
}

/// The line of a folder; `None`: it has none.
///
/// # Errors
///
/// The system; or the file is not what was written.
pub fn of(folder: &Path) -> Result<Option<Line>, CheckpointError> {
    let path = folder.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => match Line::read(text.trim()) {
            Some(line) => Ok(Some(line)),
            None => Err(CheckpointError::Damaged { path, detail: "it is no name of a line".to_owned() }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CheckpointError::Io { doing: "reading", path, source }),
    }
}

/// Gives a folder a line; it is on the disk when this returns.
///
/// # Errors
///
/// The system.
pub fn set(folder: &Path, line: Line) -> Result<(), CheckpointError> {
    let (path, aside) = (folder.join(FILE), folder.join("line.new"));
    let made = File::create(&aside).and_then(|mut file| {
        writeln!(file, "{line}")?;
        file.sync_all()?;
        fs::rename(&aside, &path)?;
        File::open(folder)?.sync_all()
    });
    made.map_err(|source| CheckpointError::Io { doing: "writing", path, source })
}

/// Takes the line of a folder away: what is in it is being replaced.
///
/// # Errors
///
/// The system.
pub fn clear(folder: &Path) -> Result<(), CheckpointError> {
    let path = folder.join(FILE);
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(CheckpointError::Io { doing: "removing", path, source })
        }
        _ => Ok(()),
    }
}

/// A name for a line that nobody has had.
///
/// # Errors
///
/// The system has no random bytes.
pub fn made_up() -> Result<Line, CheckpointError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| CheckpointError::Io {
        doing: "writing",
        path: FILE.into(),
        source: io::Error::other(error),
    })?;
    Ok(Line(u64::from_le_bytes(random)))
}

/// Whether a folder whose journal goes on at an entry may go on with its topic. `accept`: what the topic has may be given up.
///
/// # Errors
///
/// [`StreamError::Recovery`] if it may not; what the cluster says.
pub fn compare(topic: &JournalTopic, folder: &Path, next: u64, accept: bool) -> Result<Goes, StreamError> {
    let broken = |detail: String| StreamError::Recovery { detail, hint: "restore `state.path` from a copy" };
    let own = of(folder).map_err(|error| broken(error.to_string()))?;
    let Some(last) = TopicTail::last(&topic.reader, &topic.topic)? else { return Ok(Goes::Anew) };
    let (line, end) = end_of(&last).map_err(|error| StreamError::Recovery {
        detail: format!("topic {}: {error}", topic.topic),
        hint: "give `state.journal_topic` a topic that nobody else writes to",
    })?;
    let name = &topic.topic;
    let detail = match own {
        Some(own) if own == line && end <= next => return Ok(Goes::On(line, end)),
        _ if accept => return Ok(Goes::Anew),
        Some(own) if own == line => format!("topic {name} has entries up to {end}, and the state ends before {next}"),
        Some(_) => {
            format!("another refguard has taken over: topic {name} goes on with a line that the state does not know")
        }
        None => format!("topic {name} has the journal of another state"),
    };
    Err(StreamError::Recovery { detail, hint: BEHIND })
}
