//! The port for machines that watch: `/metrics`, `/livez`, `/readyz`.
//!
//! It has a thread and a runtime of its own, so that it answers whatever the pipeline does. It may import `metrics` and
//! the web server. Invariants: connections are bounded in number and time; once it was told to drain, it is never ready
//! again. Tested in `tests/health.rs`.

mod connection;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::sync::oneshot;

use super::metrics::Metrics;
use connection::BoundedListener;

/// How long a stop waits for answers that are on their way.
const DRAIN: Duration = Duration::from_secs(2);

/// Why the port is not served.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The address cannot be listened on.
    #[error("cannot listen on {listen} (metrics.listen): {source}")]
    Listen {
        /// The address, as configured.
        listen: String,
        /// What the system says.
        source: io::Error,
    },
    /// The thread or its runtime cannot be started.
    #[error("cannot start the thread of metrics and probes: {0}")]
    Start(io::Error),
}

impl HealthError {
    /// The next step, for the line `hint:` below the error.
    pub fn hint(&self) -> &'static str {
        match self {
            HealthError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                "something listens there already, maybe another refguard: choose another `metrics.listen`, or port 0 for any free one"
            }
            HealthError::Listen { .. } => {
                "`metrics.listen` must be an address of this machine, and a port that you may use"
            }
            HealthError::Start(_) => "raise the limits of threads and open files",
        }
    }
}

/// Whether events are judged; shared by whoever knows and whoever is asked.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Mutex<Phase>>);

#[derive(Debug)]
enum Phase {
    Waiting(String),
    Ready,
    Draining,
}

impl Readiness {
    /// Not ready, for this reason: what is being waited for, such as `the rules are being read`.
    pub fn new(reason: impl Into<String>) -> Readiness {
        Readiness(Arc::new(Mutex::new(Phase::Waiting(reason.into()))))
    }

    /// Answers can be given.
    pub fn ready(&self) {
        self.set(Phase::Ready);
    }

    /// Answers cannot be given for now, for this reason.
    pub fn wait(&self, reason: impl Into<String>) {
        self.set(Phase::Waiting(reason.into()));
    }

    /// The end has begun: nothing new is taken, and nothing said later changes that.
    pub fn drain(&self) {
        self.set(Phase::Draining);
    }

    fn set(&self, next: Phase) {
        let mut phase = self.0.lock().expect(UNBROKEN);
        if !matches!(*phase, Phase::Draining) {
            *phase = next;
        }
    }

    /// Why answers cannot be given; `None`: they can.
    fn reason(&self) -> Option<String> {
        match &*self.0.lock().expect(UNBROKEN) {
            Phase::Ready => None,
            Phase::Waiting(reason) => Some(reason.clone()),
            Phase::Draining => Some("stopping".to_owned()),
        }
    }
}

const UNBROKEN: &str = "no thread panics while it holds the phase";

/// The server. It stops when it is dropped: connections are closed, answers on their way get two seconds.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Where it listens: with the real port, where 0 was configured.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it and waits until it has.
    pub fn stop(self) {}
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has panicked at worst, which has been told; there is nothing to add.
            drop(thread.join());
        }
    }
}

/// Serves metrics and probes at `host:port`. When it returns, the port is taken and answers.
///
/// # Errors
///
/// [`HealthError::Listen`], [`HealthError::Start`].
pub fn serve(listen: &str, metrics: Arc<Metrics>, readiness: Readiness) -> Result<Server, HealthError> {
    let bind = || {
        let listener = std::net::TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    let (listener, address) = bind().map_err(|source| HealthError::Listen { listen: listen.to_owned(), source })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(HealthError::Start)?;
    let listener = {
        let _context = runtime.enter();
        BoundedListener::new(listener).map_err(HealthError::Start)?
    };
    let (stop, stopped) = oneshot::channel();
    let router = router(metrics, readiness);
    let run = move || runtime.block_on(run(listener, router, stopped));
    let thread = std::thread::Builder::new().name("health".to_owned()).spawn(run).map_err(HealthError::Start)?;
    Ok(Server { address, stop: Some(stop), thread: Some(thread) })
}

async fn run(listener: BoundedListener, router: Router, stopped: oneshot::Receiver<()>) {
    let (drain, draining) = oneshot::channel::<()>();
    let graceful = axum::serve(listener, router).with_graceful_shutdown(async { drop(draining.await) });
    let serving = tokio::spawn(graceful.into_future());
    // Both the word and the loss of whoever could say it mean the end.
    drop(stopped.await);
    drop(drain);
    drop(tokio::time::timeout(DRAIN, serving).await);
}

fn router(metrics: Arc<Metrics>, readiness: Readiness) -> Router {
    Router::new()
        .route("/metrics", get(async |State((metrics, _)): State<Watched>| exposition(&metrics).await))
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(async |State((metrics, readiness)): State<Watched>| ready(&metrics, &readiness)))
        .with_state((metrics, readiness))
}

/// What the pages look at.
type Watched = (Arc<Metrics>, Readiness);

async fn exposition(metrics: &Metrics) -> impl IntoResponse + use<> {
    ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], metrics.scrape().await)
}

fn ready(metrics: &Metrics, readiness: &Readiness) -> (StatusCode, String) {
    let away: String = metrics.away().iter().map(|name| format!("away: {name}\n")).collect();
    match readiness.reason() {
        None => (StatusCode::OK, format!("ready\n{away}")),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n{away}")),
    }
}
