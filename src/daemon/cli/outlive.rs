//! What a run does so that its state outlives its disk: its journal in a topic, and copies of its checkpoints.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::Failure;
use crate::daemon::config::Config;
use crate::daemon::health::Readiness;
use crate::daemon::line::{self, Goes, JournalTopic};
use crate::daemon::metrics::Metrics;
use crate::daemon::standby::{self, COPIED, Ended, Followed};
use crate::daemon::wiring;
use crate::stream::checkpoint::{self, checkpoints};
use crate::stream::copies::{Copier, Due, Store};
use crate::stream::disk::Folder;
use crate::stream::journal::{Journal, Line};
use crate::stream::kafka::KafkaProducer;
use crate::stream::pipeline::Shipping;

/// How long the end of a run waits for the last copy.
const LAST_COPY: Duration = Duration::from_secs(60);

/// What is configured of it.
pub(super) struct Outliving {
    topic: Option<JournalTopic>,
    store: Option<Store>,
    due: (Option<Sender<Due>>, Receiver<Due>),
}

/// How a journal goes to its topic.
pub(super) struct Ships {
    /// Where to.
    pub shipping: Shipping,
    /// The topic has the entries below this number.
    pub from: u64,
}

impl Outliving {
    /// Reads what is configured; asks nobody.
    ///
    /// # Errors
    ///
    /// What cannot be used of it.
    pub(super) fn open(config: &Config) -> Result<Outliving, Failure> {
        let (topic, store) = (wiring::journal_topic(config)?, wiring::store(config)?);
        let (due, dues) = unbounded();
        Ok(Outliving { topic, due: (store.is_some().then_some(due), dues), store })
    }

    /// Stands by until this process is the one that judges; `false`: the end was asked for.
    ///
    /// # Errors
    ///
    /// What is not configured for it, and what ends it.
    pub(super) fn stand_by(
        &self,
        config: &Config,
        metrics: &Metrics,
        readiness: &Readiness,
        stop: &AtomicBool,
    ) -> Result<bool, Failure> {
        let (Some(topic), Some(store)) = (self.topic.clone(), wiring::store(config)?) else {
            let hint = "docs/recovery.md shows how a standby is set up";
            return Err(Failure::usage("--standby needs `state.copies` and `state.journal_topic`", Some(hint)));
        };
        readiness.wait("it stands by");
        let begins_empty = !wiring::topics(config).iter().any(|source| source.has_history);
        let sources = wiring::groups(config);
        let followed = Followed { folder: &config.state.path, store, topic, sources, begins_empty };
        let status = Arc::default();
        metrics.stands_by(&status);
        let ended = standby::stand_by(&followed, &status, stop)?;
        readiness.wait("it takes over");
        Ok(ended == Ended::TookOver)
    }

    /// Whether a folder whose journal goes on at an entry may go on, before anybody is disturbed by it.
    ///
    /// # Errors
    ///
    /// It may not.
    pub(super) fn may_go_on(&self, folder: &Path, next: u64, accept: bool) -> Result<(), Failure> {
        if let Some(topic) = &self.topic {
            line::compare(topic, folder, next, accept)?;
        }
        Ok(())
    }

    /// Goes on with the topic, once nobody else commits.
    ///
    /// # Errors
    ///
    /// As [`Outliving::may_go_on`]; what the cluster or the disk says.
    pub(super) fn ship(
        &self,
        folder: &Path,
        next: u64,
        accept: bool,
        producer: Option<&KafkaProducer>,
    ) -> Result<Option<Ships>, Failure> {
        let (Some(topic), Some(producer)) = (&self.topic, producer) else { return Ok(None) };
        let (line, from) = match line::compare(topic, folder, next, accept)? {
            Goes::On(line, from) => (line, from),
            Goes::Anew => {
                let line = line::made_up()?;
                // First here: a topic with a line that nobody has would be another's.
                line::set(folder, line)?;
                standby::begin_line(producer, topic, line, next)?;
                (line, next)
            }
        };
        Ok(Some(Ships { shipping: Shipping { topic: producer.topic(&topic.topic)?, line }, from }))
    }

    /// Where the keeper of the state tells of its checkpoints.
    pub(super) fn due(&self) -> Option<Sender<Due>> {
        self.due.0.clone()
    }

    /// Begins to copy checkpoints, if they are to be copied.
    ///
    /// # Errors
    ///
    /// The disk.
    pub(super) fn copy(
        self,
        config: &Config,
        journal: &Arc<Journal>,
        metrics: &Metrics,
    ) -> Result<Option<Copier>, Failure> {
        let (Some(copies), Some(store)) = (&config.state.copies, self.store) else { return Ok(None) };
        let folder = &config.state.path;
        let line = line::of(folder)?.unwrap_or(Line(0));
        let read = |name: &str| Some((name.to_owned(), std::fs::read_to_string(folder.join(name)).ok()?));
        // What was written while nobody copied, such as by `backfill`.
        let at = Folder::at(folder.as_path());
        if let (Some(due), Some(path)) = (&self.due.0, checkpoints(&at)?.into_iter().next())
            && let (Some(events), Some(position)) = (checkpoint::events(&path), checkpoint::position(&at, &path)?)
        {
            // The other end is here.
            drop(due.send(Due { path, events, position }));
        }
        let texts = COPIED.iter().filter_map(|name| read(name)).collect();
        let journal = Arc::clone(journal);
        let may_copy = Box::new(move |position| journal.has_shipped(position));
        let copier = Copier::start(store, wiring::copy_options(copies, line.to_string(), texts, may_copy), self.due.1);
        metrics.copy(copier.copied());
        Ok(Some(copier))
    }
}

/// Waits for the last copy.
pub(super) fn finish(copier: Option<Copier>) {
    if copier.is_some_and(|copier| !copier.finish(LAST_COPY)) {
        tracing::error!(
            "the last checkpoint is not copied: keep the folder of the state, or start again to have it copied"
        );
    }
}
