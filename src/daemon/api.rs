//! The API in the daemon: its port and its records, the first token, and what it is joined to.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use serde_json::Value;

use super::config::Config;
use super::metrics::Metrics;
use super::{clock, schemas, wiring};
use crate::event::event_schema;
use crate::records::Records;
use crate::records::token::Secret;
use crate::serve::{self, Api, Bound, Clocks, Live, ServeError, Server};
use crate::stream::decision_log::DecisionHub;
use crate::stream::inbox::{Inbox, InboxSource, inbox};
use crate::stream::journal::Journal;
use crate::stream::pipeline::Question;

/// Questions that wait for the engine, at most.
const QUESTIONS_MAX: usize = 256;

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Its port, its certificates or its records.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The first token cannot be left.
    #[error("cannot leave the first admin token in {path} (http.admin_token_file): {source}")]
    FirstToken {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl ApiError {
    /// The next step, for the line `hint:` below the error.
    pub fn hint(&self) -> &'static str {
        match self {
            ApiError::Serve(error) => error.hint(),
            ApiError::FirstToken { .. } => {
                "the folder must exist or be makeable, and belong to the user that refguard runs as"
            }
        }
    }
}

/// An API whose port and records are open.
pub struct Opened {
    bound: Bound,
    records: Records,
    inbox: Inbox,
    acts: Inbox,
    ask: Sender<Question>,
}

/// The ends that the pipeline takes.
pub struct Ends {
    /// Events of the API, and what people do; `None`: it is not served.
    pub inboxes: Option<(InboxSource, InboxSource)>,
    /// Questions.
    pub questions: Receiver<Question>,
    /// Where others ask.
    pub ask: Sender<Question>,
}

/// Opens the API, where a source is `http`, and in any case the way to ask the engine. The first token is made where there never was one.
///
/// # Errors
///
/// [`ApiError`].
pub fn open(config: &Config) -> Result<(Option<Opened>, Ends), ApiError> {
    let (ask, questions) = bounded(QUESTIONS_MAX);
    if wiring::inbox_name(config).is_none() {
        return Ok((None, Ends { inboxes: None, questions, ask }));
    }
    let bound = Bound::open(&config.http.listen.0, wiring::tls_files(config), wiring::gateway(config))?;
    let records = bound.runtime().block_on(Records::open(&config.records.url)).map_err(ServeError::from)?;
    first_token(&bound, &records, &config.http.admin_token_file)?;
    let ((inbox, events), (acts, taken)) = (inbox(), inbox());
    let ends = Ends { inboxes: Some((events, taken)), questions, ask: ask.clone() };
    Ok((Some(Opened { bound, records, inbox, acts, ask }), ends))
}

/// The file is there before the token counts: whoever is killed in between finds no token, and makes another.
fn first_token(bound: &Bound, records: &Records, path: &Path) -> Result<(), ApiError> {
    let known = bound.runtime().block_on(records.tokens()).map_err(ServeError::from)?;
    if !known.is_empty() {
        return Ok(());
    }
    let failed = |source| ApiError::FirstToken { path: path.to_owned(), source };
    let mut random = [0; 40];
    getrandom::fill(&mut random).map_err(|error| failed(std::io::Error::other(error)))?;
    let secret = Secret::first(random);
    leave(path, &secret).map_err(failed)?;
    let made = bound.runtime().block_on(records.create_first_token(&secret, clock::wall_clock_ms()));
    let made = made.map_err(ServeError::from)?;
    if made {
        let mut stderr = std::io::stderr();
        if stderr.is_terminal() {
            // A terminal is no log. That nobody reads it is no reason to fail.
            drop(writeln!(stderr, "the first admin token: {}", secret.reveal()));
        }
        tracing::warn!(path = %path.display(), "made the first admin token: make others with it, then revoke it and remove the file");
    } else {
        // Another instance was first: its token counts, and this one never will.
        std::fs::remove_file(path).map_err(failed)?;
    }
    Ok(())
}

/// Writes a token for this user alone to read. One of an end before is overwritten: it never counted.
fn leave(path: &Path, secret: &Secret) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{}", secret.reveal())?;
    file.sync_all()
}

impl Opened {
    /// Serves; `with_constant`: with a call beside that is measured by.
    ///
    /// # Errors
    ///
    /// [`ApiError`].
    pub fn serve(
        self,
        config: &Config,
        metrics: &Arc<Metrics>,
        (decisions, journal): (Arc<DecisionHub>, &Arc<Journal>),
        with_constant: bool,
    ) -> Result<Server, ApiError> {
        let Opened { bound, records, inbox, acts, ask } = self;
        let away = Arc::clone(metrics);
        let api = Api {
            inbox,
            acts,
            questions: ask,
            journal: Arc::clone(journal),
            decisions,
            streams: wiring::stream_options(config),
            records,
            mapping: wiring::inbox_mapping(config),
            limits: wiring::limits(config),
            bounds: wiring::bounds(config),
            clocks: Clocks { wall_ms: clock::wall_clock_ms, monotonic: clock::monotonic },
            away: Box::new(move || away.away_from_verdicts()),
            max_entries: wiring::premises(config).max_entries,
            four_eyes: config.policy.four_eyes.iter().map(|of| of.word()).collect(),
            customer_texts: config.customer_texts(),
            observer: metrics.api(),
            description: description().to_string(),
            with_constant,
            live: Live::default(),
        };
        let server = bound.serve(api, wiring::connection_options(config))?;
        tracing::info!(address = %server.address(), "the API");
        if let Some(address) = server.gateway_address() {
            tracing::info!(%address, "external authorization");
        }
        Ok(server)
    }
}

/// The description of the API.
pub fn description() -> Value {
    serve::description(&event_schema(), &schemas::verdict())
}
