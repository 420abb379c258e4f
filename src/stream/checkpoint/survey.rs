//! A look at the checkpoints of a folder, which may be in use: what is in each, and where one is damaged.

use std::path::{Path, PathBuf};

use super::{CheckpointError, Companion, SealName, Seals, begin, named};
use crate::alerts::Alerts;
use crate::engine::{Survey, SurveyedPart, Surveying};
use crate::stream::disk::Folder;

/// What was found in a whole checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// The format that it was written in.
    pub format: u32,
    /// Where its inputs end; `None` in one of a format that did not say.
    pub companion: Option<Companion>,
    /// The secret that it is closed under; `None`: it is of a format that was not.
    pub seal: Option<SealName>,
    /// What it holds; `None`: its secret is not known, and only its checksums were looked at.
    pub survey: Option<Survey>,
}

/// The checkpoints of a folder, the newest first.
///
/// # Errors
///
/// The system.
pub fn checkpoints(folder: &Folder) -> Result<Vec<PathBuf>, CheckpointError> {
    named(folder)
}

/// Reads a checkpoint whole: every checksum, and every record for itself where its secret is known. It takes little memory, and
/// needs neither the rules nor the key.
///
/// # Errors
///
/// It is damaged, with the byte at which the frame begins that is; it is newer; or the system.
pub fn survey(folder: &Folder, path: &Path, seals: Option<&Seals>) -> Result<Surveyed, CheckpointError> {
    let (mut frames, companion) = begin(folder, path)?;
    let (format, seal) = (frames.format(), frames.seal());
    let is_open = seal.is_none() || seals.is_some_and(|seals| frames.open(seals).is_ok());
    if !is_open {
        super::check(folder, path)?;
        return Ok(Surveyed { format, companion, seal, survey: None });
    }
    let (mut segment, mut surveying) = (Vec::new(), Surveying::default());
    while frames.next(&mut segment)? {
        surveying.take(&segment).map_err(|broken| frames.damaged(&broken.to_string()))?;
    }
    let mut survey = surveying.finish().map_err(|broken| frames.damaged(&broken.to_string()))?;
    let mut alerts = SurveyedPart { name: "state.alerts".to_owned(), keys: 0, bytes: 0 };
    while !frames.is_over() && frames.next(&mut segment)? {
        alerts.keys += Alerts::count_stored(&segment).map_err(|broken| frames.damaged(&broken.to_string()))?;
        alerts.bytes += segment.len() as u64;
    }
    survey.parts.extend((alerts.bytes > 0).then_some(alerts));
    Ok(Surveyed { format, companion, seal, survey: Some(survey) })
}
