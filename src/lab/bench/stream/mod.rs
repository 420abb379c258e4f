//! The stream of decisions with many subscribers: a daemon of its own on loopback, listened to by this process over as many
//! connections.
//!
//! One event after the other is asked about, each of which blocks an account; what is measured is how long it takes until the last
//! subscriber has the change, and what a subscriber costs the daemon in memory.

mod process;
mod subscriber;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::BenchError;
use super::figures::median;
use super::folder::Folder;
use crate::event::write_time_ms;
use process::Listened;
use subscriber::{Arrivals, evaluate, subscribe};

/// How many connections are made at once.
const CONNECTING: usize = 128;
/// How long a change may be on its way to all.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is measured.
#[derive(Clone, Debug)]
pub struct StreamPlan {
    /// The program that serves: this one.
    pub program: PathBuf,
    /// How many listen.
    pub subscribers: usize,
    /// How many changes are told, one after the other.
    pub changes: usize,
    /// A clock that never goes back.
    pub monotonic: fn() -> Instant,
    /// The clock that events have their times from, in milliseconds since the Unix epoch.
    pub wall_ms: fn() -> i64,
}

/// How long changes took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Took {
    /// Half of them at most so long.
    pub median: Duration,
    /// The longest.
    pub longest: Duration,
}

/// What was measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamReport {
    /// How many listened.
    pub subscribers: usize,
    /// How many changes each of them was told.
    pub changes: usize,
    /// How long it took until all of them listened and knew what stands.
    pub joining: Duration,
    /// From asking about an event until the last had its change: judging and the journal's sync are in it.
    pub asked_to_last: Took,
    /// From the verdict's answer until then; nothing, where the last had it sooner.
    pub verdict_to_last: Took,
    /// What the daemon's memory grew by, for each who listens.
    pub bytes_per_subscriber: f64,
}

/// Measures what the plan says. `say` is told what is being done.
///
/// # Errors
///
/// The daemon cannot be started, or does not answer.
pub fn measure_stream(plan: &StreamPlan, say: &mut dyn FnMut(&str)) -> Result<StreamReport, BenchError> {
    let folder = Folder::new()?;
    let served = Listened::start(plan, &folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    Ok(runtime.map_err(BenchError::Runtime)?.block_on(listen(plan, &served, say))?)
}

async fn listen(plan: &StreamPlan, served: &Listened, say: &mut dyn FnMut(&str)) -> io::Result<StreamReport> {
    let alone = served.memory_bytes()?;
    say(&format!("{} subscribers join", plan.subscribers));
    let begun = (plan.monotonic)();
    let arrivals = Arc::new(Arrivals::new(plan.changes, plan.subscribers, plan.monotonic));
    let room = Arc::new(Semaphore::new(CONNECTING));
    let mut joining = tokio::task::JoinSet::new();
    for _ in 0..plan.subscribers {
        let (room, arrivals) = (Arc::clone(&room), Arc::clone(&arrivals));
        let (address, token) = (served.address().to_owned(), served.token().to_owned());
        joining.spawn(async move {
            let _place = room.acquire().await.map_err(io::Error::other)?;
            subscribe(&address, &token, arrivals).await
        });
    }
    while let Some(joined) = joining.join_next().await {
        joined.map_err(io::Error::other)??;
    }
    let joining = (plan.monotonic)().duration_since(begun);
    let together = served.memory_bytes()?;
    say(&format!("{} changes are told", plan.changes));
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    for change in 0..plan.changes {
        let begun = (plan.monotonic)();
        let verdict = evaluate(served.address(), served.token(), &event(change, (plan.wall_ms)())).await?;
        let told = (plan.monotonic)();
        if verdict["verdict"] != "block" {
            return Err(io::Error::other(format!("an event that is to be blocked was answered {verdict}")));
        }
        let last = arrivals.last_of(change as u64 + 1, PATIENCE).await?;
        asked.push(last.saturating_duration_since(begun));
        answered.push(last.saturating_duration_since(told));
    }
    let bytes = together.saturating_sub(alone) as f64 / plan.subscribers.max(1) as f64;
    Ok(StreamReport {
        subscribers: plan.subscribers,
        changes: plan.changes,
        joining,
        asked_to_last: took(&asked),
        verdict_to_last: took(&answered),
        bytes_per_subscriber: bytes,
    })
}

fn took(all: &[Duration]) -> Took {
    let middle = median(all.iter().map(Duration::as_secs_f64));
    Took { median: Duration::from_secs_f64(middle), longest: all.iter().max().copied().unwrap_or_default() }
}

/// An event that blocks its account.
fn event(number: usize, time_ms: i64) -> String {
    let mut time = Vec::new();
    write_time_ms(&mut time, time_ms);
    let data = json!({"account_id": format!("account-{number}"), "reward_id": "r", "reward_kind": "points",
        "amount_minor": 1, "currency": "PTS"});
    let event: Value = json!({"specversion": "1.0", "id": format!("e{number}"), "source": "/bench",
        "type": "reward.requested", "time": String::from_utf8_lossy(&time), "data": data});
    event.to_string()
}

/// The figures as one object.
pub fn render_stream_json(report: &StreamReport) -> Value {
    let ms = |took: Duration| took.as_secs_f64() * 1000.0;
    let took = |took: Took| json!({"median_ms": ms(took.median), "longest_ms": ms(took.longest)});
    json!({
        "subscribers": report.subscribers,
        "changes": report.changes,
        "joining_ms": ms(report.joining),
        "asked_to_last": took(report.asked_to_last),
        "verdict_to_last": took(report.verdict_to_last),
        "bytes_per_subscriber": report.bytes_per_subscriber,
    })
}

/// The figures for people.
pub fn render_stream_table(report: &StreamReport) -> String {
    let ms = |took: Duration| format!("{:.1} ms", took.as_secs_f64() * 1000.0);
    let took = |took: Took| format!("{} (longest {})", ms(took.median), ms(took.longest));
    let rows = [
        ("subscribers of the stream of decisions", report.subscribers.to_string()),
        ("until all of them listen", ms(report.joining)),
        ("from the question to the last subscriber", took(report.asked_to_last)),
        ("from the verdict to the last subscriber", took(report.verdict_to_last)),
        ("memory of the daemon for each", format!("{:.1} KiB", report.bytes_per_subscriber / 1024.0)),
    ];
    rows.iter().map(|(name, figure)| format!("{name:<42}{figure}\n")).collect()
}
