//! The API over HTTP: events in, verdicts out, what people and services ask beside, and what people do.
//!
//! It has a thread and a runtime of its own, so that a slow client slows nobody. What it cannot know it gets as values and
//! functions: the pipeline's inbox, questions to the engine, records, clocks. It may import everything but tools and the roof. Invariants: every call
//! but the API's own description needs a token, a scope, a program and a source; an answer says what is durable, or says
//! that it is not; whatever waits is bounded. Tested in `tests/http.rs` and its folder, against the real process.

mod act;
mod auth;
mod calls;
mod connection;
mod customer;
mod grpc;
mod house;
mod input;
mod limits;
mod observer;
mod openapi;
mod port;
mod problem;
mod streams;
mod submit;
mod tls;

pub use calls::audit::AuditRecord;
pub use calls::decisions::subject_fields;
pub use connection::ConnectionOptions;
pub use customer::{CustomerText, CustomerTexts, InLanguages, PartMissing};
pub use grpc::{FieldOrigin, GatewayOptions, Origin, PROGRAM_EXTENSION, Reading, TYPE_EXTENSION};
pub use limits::{Allowance, Limited, Limits, Reached};
pub use observer::Observer;
pub use openapi::{description, routes};
pub use problem::{MEDIA_TYPE, Problem};
pub use streams::StreamOptions;
pub use tls::{Tls, TlsError, TlsFiles};

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, TrySendError};
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};

use crate::engine::Engine;
use crate::event::Verdict;
use crate::event::mapping::Mapping;
use crate::records::Records;
use crate::records::audit::Act;
use crate::stream::decision_log::DecisionHub;
use crate::stream::inbox::Inbox;
use crate::stream::journal::Journal;
use crate::stream::pipeline::Question;
use connection::Speaks;
use port::Port;

/// Threads that serve. Parsing is most of the work, and the engine wants a core of its own.
const WORKERS: usize = 2;
/// How long the engine may take for a question that is asked for a call.
const QUESTION_PATIENCE: Duration = Duration::from_secs(5);

/// The clocks of the process.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// Milliseconds since the Unix epoch.
    pub wall_ms: fn() -> i64,
    /// One that never goes back.
    pub monotonic: fn() -> Instant,
}

/// What a call is bounded by.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of a body, at most.
    pub body_bytes_max: usize,
    /// How long a body may take to come.
    pub body_timeout: Duration,
    /// How long is waited for a verdict.
    pub answer_timeout: Duration,
    /// After how long a verdict is given without state, where a service is away.
    pub degraded_after: Duration,
    /// The verdict that is given then.
    pub without_state: Verdict,
}

/// What the API stands on.
pub struct Api {
    /// Where events are handed over.
    pub inbox: Inbox,
    /// Where acts are handed over.
    pub acts: Inbox,
    /// Where the engine is asked.
    pub questions: Sender<Question>,
    /// What answers rest on, on the disk.
    pub journal: Arc<Journal>,
    /// The log of decisions.
    pub decisions: Arc<DecisionHub>,
    /// How its streams are bounded.
    pub streams: StreamOptions,
    /// Tokens and the audit trail.
    pub records: Records,
    /// How events are built that are not in our shape; `None`: they are.
    pub mapping: Option<Mapping>,
    /// How much each may ask.
    pub limits: Limits,
    /// What each call is bounded by.
    pub bounds: Bounds,
    /// The clocks.
    pub clocks: Clocks,
    /// The settings that name services which are away.
    pub away: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    /// How many entries a key of the state keeps where its feature does not say: what a rule costs depends on it.
    pub max_entries: u32,
    /// What takes a second person: words before the dot of an action, such as `override`.
    pub four_eyes: Vec<&'static str>,
    /// What customers are told.
    pub customer_texts: CustomerTexts,
    /// Who counts.
    pub observer: Arc<dyn Observer>,
    /// The description of the API, served as it is.
    pub description: String,
    /// Whether a call is served beside that answers a constant, to be measured by.
    pub with_constant: bool,
    /// What it remembers; empty at first.
    pub live: Live,
}

/// What the API remembers from call to call.
#[derive(Debug, Default)]
pub struct Live {
    tokens: auth::Tokens,
    /// The hash of the rules in force, as of the last second.
    ruleset: Mutex<String>,
    streams: streams::Streams,
    /// The order of what people do.
    acting: act::Order,
    /// Set once the end has begun; `None`: nothing is served yet.
    stopped: Option<watch::Receiver<bool>>,
}

impl Live {
    /// What tells of the end.
    fn stopped(&self) -> watch::Receiver<bool> {
        self.stopped.clone().unwrap_or_else(|| watch::channel(false).1)
    }
}

impl Api {
    fn limited(&self, reached: Reached) -> Problem {
        self.observer.limited(reached.limited);
        reached.into()
    }

    /// Asks the engine something. What people have done that the answer may rest on is on the disk.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Engine) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.ask_resting(Journal::acted, question).await
    }

    /// The same of verdicts: the events are on the disk too.
    async fn ask_of_verdicts<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Engine) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.ask_resting(Journal::next, question).await
    }

    /// Asks the engine something, whose answer rests on the entries of the journal below a number, as of then.
    async fn ask_resting<T: Send + 'static>(
        &self,
        rests_on: fn(&Journal) -> u64,
        question: impl FnOnce(&mut Engine) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let (told, answer) = oneshot::channel();
        let journal = Arc::clone(&self.journal);
        // Whoever asked may be gone.
        let question: Question = Box::new(move |engine| {
            let answer = question(engine);
            drop(told.send((answer, rests_on(&journal))));
        });
        self.questions.try_send(question).map_err(|refused| match refused {
            TrySendError::Full(_) => Problem::overloaded(),
            TrySendError::Disconnected(_) => Problem::stopping(),
        })?;
        let (answer, below) = match tokio::time::timeout(QUESTION_PATIENCE, answer).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(_)) => return Err(Problem::stopping()),
            Err(_) => return Err(Problem::unavailable("the engine waits for a service that is away")),
        };
        if self.journal.synced() < below {
            self.sync().await?;
        }
        Ok(answer)
    }

    /// Has on the disk what was taken in: the writer may wait for a service that is away, and no answer does for that.
    async fn sync(&self) -> Result<(), Problem> {
        let journal = Arc::clone(&self.journal);
        let synced = tokio::task::spawn_blocking(move || journal.sync());
        match tokio::time::timeout(QUESTION_PATIENCE, synced).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => {
                tracing::error!(%error, hint = error.hint(), "an answer rests on what cannot be written");
                Err(Problem::unavailable("what the answer rests on cannot be written"))
            }
            Ok(Err(_)) => Err(Problem::internal()),
            Err(_) => Err(Problem::unavailable("the disk does not answer")),
        }
    }

    /// What a fault of the records is to whoever asked; what exactly is in the log.
    fn records_away(error: &crate::records::RecordsError) -> Problem {
        tracing::error!(%error, hint = error.hint(), "a call could not be answered");
        Problem::unavailable("the records cannot be reached")
    }

    /// Takes the tokens that the records have now.
    async fn reload_tokens(&self) -> Result<(), Problem> {
        let tokens = self.records.tokens().await.map_err(|error| Api::records_away(&error))?;
        self.live.tokens.replace(tokens);
        Ok(())
    }

    /// Somebody tries one wrong token after the other.
    async fn note_guessing(&self, address: std::net::IpAddr, at_ms: i64) {
        tracing::warn!(%address, "wrong tokens come one after the other");
        let subject = address.to_string();
        let act =
            Act { at_ms, actor: "refguard", action: "token.guessing", subject: &subject, detail: "{}".to_owned() };
        if let Err(error) = self.records.note(&act).await {
            tracing::error!(%error, hint = error.hint(), "the audit trail could not be written");
        }
    }
}

/// Why the API is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {listen} ({setting}): {source}")]
    Listen {
        /// The address, as configured.
        listen: String,
        /// The setting that names it.
        setting: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// Its thread or its runtime cannot be started.
    #[error("cannot start the thread of the API: {0}")]
    Start(io::Error),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The records.
    #[error(transparent)]
    Records(#[from] crate::records::RecordsError),
}

impl ServeError {
    /// The next step, for the line `hint:` below the error.
    pub fn hint(&self) -> &'static str {
        match self {
            ServeError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                "something listens there already, maybe another refguard: choose another address, or port 0 for any free one"
            }
            ServeError::Listen { .. } => "it must be an address of this machine, and a port that you may use",
            ServeError::Start(_) => "raise the limits of threads and open files",
            ServeError::Tls(_) => "it wants PEM files that belong together and that refguard may read",
            ServeError::Records(error) => error.hint(),
        }
    }
}

/// Where gateways are answered, and how.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// The address, as configured.
    pub listen: String,
    /// Certificates; `None`: without TLS.
    pub tls: Option<TlsFiles>,
    /// How questions are answered.
    pub options: GatewayOptions,
}

/// Ports that are taken, and the runtime that will serve them.
#[derive(Debug)]
pub struct Bound {
    runtime: Runtime,
    port: Port,
    gateways: Option<(Port, GatewayOptions)>,
}

impl Bound {
    /// Takes the ports. Connections wait until [`Bound::serve`].
    ///
    /// # Errors
    ///
    /// [`ServeError`].
    pub fn open(listen: &str, tls: Option<TlsFiles>, gateway: Option<Gateway>) -> Result<Bound, ServeError> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(WORKERS).thread_name("http").enable_all().build();
        let runtime = runtime.map_err(ServeError::Start)?;
        let port = Port::open(listen, "http.listen", tls, &runtime)?;
        let open = |Gateway { listen, tls, options }| {
            Port::open(&listen, "http.grpc.listen", tls, &runtime).map(|port| (port, options))
        };
        let gateways = gateway.map(open).transpose()?;
        Ok(Bound { runtime, port, gateways })
    }

    /// The runtime, for what is done before anything is served.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Serves.
    ///
    /// # Errors
    ///
    /// [`ServeError`].
    pub fn serve(self, mut api: Api, options: ConnectionOptions) -> Result<Server, ServeError> {
        let Bound { runtime, port, gateways } = self;
        let Port { listener, address, tls } = port;
        let (stop, stopped) = watch::channel(false);
        api.live.stopped = Some(stopped.clone());
        let api = Arc::new(api);
        api.live.tokens.replace(runtime.block_on(api.records.tokens())?);
        let gateway_address = gateways.as_ref().map(|(port, _)| port.address);
        let run = move || {
            runtime.block_on(async {
                let of_gateways = gateways.as_ref().and_then(|(port, _)| port.tls.clone());
                let certificates = tls.iter().cloned().chain(of_gateways).collect();
                let house = tokio::spawn(house::keep(Arc::clone(&api), certificates));
                let for_gateways = gateways
                    .map(|(port, of)| tokio::spawn(grpc::serve(port, Arc::clone(&api), of, options, stopped.clone())));
                let router = openapi::router(Arc::clone(&api));
                connection::serve(listener, tls, router, Speaks::Http1, options, stopped).await;
                if let Some(serving) = for_gateways {
                    // It has panicked at worst, which has been told.
                    drop(serving.await);
                }
                house.abort();
                house::note_used(&api).await;
                api.records.close().await;
            });
        };
        let thread = std::thread::Builder::new().name("http".to_owned()).spawn(run).map_err(ServeError::Start)?;
        Ok(Server { address, gateway_address, stop, thread: Some(thread) })
    }
}

/// The API as it is served. It ends when this is dropped: what is under way is answered.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    gateway_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where gateways are answered, if they are.
    pub fn gateway_address(&self) -> Option<SocketAddr> {
        self.gateway_address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // It has panicked at worst, which has been told; there is nothing to add.
            drop(thread.join());
        }
    }
}
