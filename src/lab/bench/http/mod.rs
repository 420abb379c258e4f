//! The API under load: a daemon of its own on loopback, asked by this process over many connections.
//!
//! `POST /v1/evaluate` takes turns, over the same connections, with a call of the same server that reads the event just the same and answers
//! a constant: what is between the two is judging, the journal's sync, and the way there and back. Waits are measured at a fixed rate from
//! when a call was due, so that a stall counts for everybody who would have called in it.

mod client;
mod process;
mod report;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::figures::median;
use super::folder::Folder;
use super::kafka::{self, Topics};
use super::{BenchError, SEED};
use crate::lab::population::Population;
use crate::stream::kafka::ClientOptions;
use client::{Load, Sent, Traffic};
use process::Served;

pub use report::{render_http_json, render_http_table};

/// The call that is measured, and the one beside it.
const EVALUATE: &str = "/v1/evaluate";
const CONSTANT: &str = "/v1/constant";
/// Accounts that events are of.
const ACCOUNTS: u64 = 100_000;
/// How long each load goes on before it counts.
const WARM_UP: Duration = Duration::from_millis(500);
/// How long the disk is asked to sync.
const SYNCING: Duration = Duration::from_secs(1);
/// Bytes of each of its writes: about what the journal has for a few events.
const SYNCED_BYTES: usize = 4096;

/// What is measured.
#[derive(Clone, Debug)]
pub struct HttpPlan {
    /// The program that serves: this one.
    pub program: PathBuf,
    /// Connections that ask at once.
    pub connections: usize,
    /// How long each load goes on.
    pub span: Duration,
    /// Rounds; the middle one counts.
    pub rounds: usize,
    /// Bootstrap address of a cluster and events of a backlog there, if waits are measured while one is worked off.
    pub backlog: Option<(String, usize)>,
    /// A clock that never goes back.
    pub monotonic: fn() -> Instant,
    /// The clock that events have their times from, in milliseconds since the Unix epoch.
    pub wall_ms: fn() -> i64,
}

/// How long calls waited for their answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waited {
    /// Half of them at most so long.
    pub median: Duration,
    /// 99 of a hundred.
    pub p99: Duration,
    /// The longest.
    pub longest: Duration,
}

/// What a call did under load.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallReport {
    /// Answers a second, each connection asking again as soon as it has its answer.
    pub per_second: f64,
    /// Waits at half of what `POST /v1/evaluate` reached.
    pub at_half: Waited,
}

/// Waits while a topic's backlog is worked off.
#[derive(Clone, Copy, Debug, Default)]
pub struct BacklogReport {
    /// Events of the backlog.
    pub events: usize,
    /// Of these judged while was measured.
    pub judged: u64,
    /// Waits meanwhile.
    pub busy: Waited,
    /// Waits at the same rate with no backlog.
    pub idle: Waited,
}

/// What was measured. Figures are the medians of the rounds.
#[derive(Clone, Debug, Default)]
pub struct HttpReport {
    /// Connections that asked at once.
    pub connections: usize,
    /// `POST /v1/evaluate`.
    pub evaluate: CallReport,
    /// A call that reads the event and answers a constant.
    pub constant: CallReport,
    /// Answers a second of the one as a share of the other.
    pub share: f64,
    /// The 99th percentile of the one at half load as a multiple of the other's.
    pub p99_ratio: f64,
    /// What the disk syncs in a second, one write of 4 KiB after the other.
    pub syncs_per_second: f64,
    /// With a backlog.
    pub backlog: Option<BacklogReport>,
}

/// Measures what the plan says. `say` is told what is being done.
///
/// # Errors
///
/// The daemon does not start or does not answer; there is no room.
pub fn measure_http(plan: &HttpPlan, say: &mut dyn FnMut(&str)) -> Result<HttpReport, BenchError> {
    let folder = Folder::new()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(BenchError::Runtime)?;
    say("what the disk syncs");
    let syncs_per_second = syncs(&folder, plan)?;
    let served = Served::start(plan, &folder, "")?;
    let population = Population::new(ACCOUNTS, 1000.0, SEED);
    let traffic = Traffic::new(population, served.address(), served.token(), (plan.monotonic, plan.wall_ms));
    let load = |path: &'static str, rate: Option<f64>| -> Result<Sent, BenchError> {
        let load = Load { path, connections: plan.connections, rate, warm_up: WARM_UP, span: plan.span };
        Ok(runtime.block_on(client::run(&traffic, &load))?)
    };
    let (mut asked, mut constants, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=plan.rounds {
        say(&format!("as many calls as go, round {round} of {}", plan.rounds));
        let constant = load(CONSTANT, None)?.per_second();
        let evaluate = load(EVALUATE, None)?.per_second();
        asked.push(evaluate);
        constants.push(constant);
        shares.push(evaluate / constant.max(f64::MIN_POSITIVE));
    }
    let per_second = median(asked);
    let (mut waits, mut constant_waits, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=plan.rounds {
        say(&format!("half of that, round {round} of {}", plan.rounds));
        let constant = load(CONSTANT, Some(per_second / 2.0))?.waited();
        let evaluate = load(EVALUATE, Some(per_second / 2.0))?.waited();
        ratios.push(evaluate.p99.as_secs_f64() / constant.p99.as_secs_f64().max(f64::MIN_POSITIVE));
        waits.push(evaluate);
        constant_waits.push(constant);
    }
    drop(served);
    let backlog = match &plan.backlog {
        Some((broker, events)) => {
            say("a backlog of a topic, and calls while it is worked off");
            Some(backlog(plan, (broker, *events), &folder, &runtime)?)
        }
        None => None,
    };
    Ok(HttpReport {
        connections: plan.connections,
        evaluate: CallReport { per_second, at_half: middle(waits) },
        constant: CallReport { per_second: median(constants), at_half: middle(constant_waits) },
        share: median(shares),
        p99_ratio: median(ratios),
        syncs_per_second,
        backlog,
    })
}

/// The round whose 99th percentile is the middle one.
fn middle(mut rounds: Vec<Waited>) -> Waited {
    rounds.sort_by_key(|waited| waited.p99);
    rounds.get(rounds.len() / 2).copied().unwrap_or_default()
}

/// Waits while a daemon works off a backlog, and then with none, at a tenth of what one core of it answers: somebody who asks before
/// paying, and not a flood.
fn backlog(
    plan: &HttpPlan,
    (broker, events): (&str, usize),
    folder: &Folder,
    runtime: &tokio::runtime::Runtime,
) -> Result<BacklogReport, BenchError> {
    const RATE: f64 = 500.0;
    let topics = Topics::make(broker)?;
    let client = ClientOptions { brokers: vec![broker.to_owned()], settings: Vec::new() };
    kafka::fill(topics.events(), &client, (&mut Population::new(ACCOUNTS, 1000.0, SEED), events))?;
    let group = topics.group(1);
    let source = format!(
        "backlog: {{kafka: {{brokers: [\"{broker}\"], topics: [\"{}\"], group: \"{group}\"}}}}",
        topics.events()
    );
    let served = Served::start(plan, folder, &source)?;
    let population = Population::new(ACCOUNTS, 1000.0, SEED + 1);
    let traffic = Traffic::new(population, served.address(), served.token(), (plan.monotonic, plan.wall_ms));
    let load = Load {
        path: EVALUATE,
        connections: plan.connections,
        rate: Some(RATE),
        warm_up: Duration::ZERO,
        span: plan.span,
    };
    let before = served.judged("backlog")?;
    let busy = runtime.block_on(client::run(&traffic, &load))?.waited();
    let judged = served.judged("backlog")? - before;
    served.wait_until_judged("backlog", events as u64, plan.monotonic)?;
    let idle = runtime.block_on(client::run(&traffic, &load))?.waited();
    drop(served);
    topics.remove(1)?;
    Ok(BacklogReport { events, judged, busy, idle })
}

/// How often the disk syncs in a second.
fn syncs(folder: &Folder, plan: &HttpPlan) -> Result<f64, BenchError> {
    use std::io::Write as _;
    let path = folder.path().join("syncs");
    let failed = |source| BenchError::Folder { path: path.clone(), source };
    let mut file = std::fs::File::create(&path).map_err(failed)?;
    let start = (plan.monotonic)();
    let mut syncs = 0;
    loop {
        file.write_all(&[7; SYNCED_BYTES]).and_then(|()| file.sync_data()).map_err(failed)?;
        syncs += 1;
        let took = (plan.monotonic)().duration_since(start);
        if took >= SYNCING {
            return Ok(f64::from(syncs) / took.as_secs_f64());
        }
    }
}
