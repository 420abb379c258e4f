//! The comparison workload over state in Redis: the path of `run`, the calls that it made with nothing between them, and what a
//! team would write instead, all on the same servers.

use std::path::Path;
use std::time::Duration;

use super::figures::median;
use super::packs::BuiltIn;
use super::paths::{self, Middle, Outcome};
use super::{BenchError, Plan};
use crate::engine::Engine;
use crate::event::{Event, EventBatch, Field, ParseOptions, Parser, Place, Position};
use crate::stream::StreamError;
use crate::stream::redis::{Held, Recording, RedisOptions, SharedState};

/// The same rules as one function of the servers, called once an event.
const PEER: &str = include_str!("../../../benches/redis/peer.lua");
/// So many of the peer's calls are on their way together: as many events as a chunk has.
const PEER_TOGETHER: usize = 256;

/// What was measured over Redis. Figures are the medians of the rounds.
#[derive(Clone, Debug)]
pub struct RedisReport {
    /// Primaries that hold the state.
    pub nodes: usize,
    /// Events a run.
    pub events: u64,
    /// Events a second, from a file to verdict lines.
    pub events_per_second: f64,
    /// Events whose calls are answered in a second, with no refguard between.
    pub replayed: f64,
    /// The one as a share of the other.
    pub share: f64,
    /// How often a run waited for answers.
    pub exchanges: usize,
    /// Events a second of one call to a function for each, parsed before; on one node only.
    pub peer: Option<f64>,
    /// The first as a multiple of that.
    pub by_peer: Option<f64>,
    /// The servers' time for an event, all nodes together.
    pub server_time: Duration,
    /// Bytes that a feature takes for a key with everything that it knows of it; in Redis, and embedded.
    pub window_bytes: [f64; 2],
    /// Bytes that an event's identity and first verdict take; in Redis, and embedded.
    pub identity_bytes: [f64; 2],
}

/// Measures it over a file of events.
pub(super) fn measure(
    options: &RedisOptions,
    file: &Path,
    output: &Path,
    plan: &Plan,
) -> Result<RedisReport, BenchError> {
    let rules = BuiltIn::WORKLOAD.rules();
    let bench = Bench { file, output, plan };
    // Warms the caches of the system, too.
    let (first, recording) = bench.record(options)?;
    let calls = calls(file, &options.prefix)?;
    let (mut judged, mut shares, mut replays, mut peers, mut times) = (vec![], vec![], vec![], vec![], vec![]);
    let mut held = [Held::default(); 2];
    let mut nodes = 0;
    for _ in 0..plan.rounds {
        let mut engine = paths::engine(&rules);
        let mut state = SharedState::open(options.clone(), &mut engine)?;
        nodes = state.nodes();
        let before = state.usage()?;
        let run = bench.run(&mut engine, &mut state)?;
        times.push((state.usage()?.cpu - before.cpu).as_secs_f64() / run.events.max(1) as f64);
        held = state.held()?;
        state.clear()?;
        let replay = timed(plan, || state.replay(&recording))?;
        let replayed = run.events as f64 / replay.as_secs_f64().max(f64::MIN_POSITIVE);
        state.clear()?;
        if nodes == 1 {
            let took = timed(plan, || state.call_script(PEER, &calls, PEER_TOGETHER).map(drop))?;
            peers.push(calls.len() as f64 / took.as_secs_f64().max(f64::MIN_POSITIVE));
        }
        state.close()?;
        judged.push(run.per_second());
        replays.push(replayed);
        shares.push(run.per_second() / replayed);
    }
    let mut embedded = paths::engine(&rules);
    paths::run_file(file, output, Middle::Engine(&mut embedded), plan.monotonic)?;
    let size = embedded.size();
    let keys: usize = size.features.iter().map(|feature| feature.keys).sum();
    let bytes: usize = size.features.iter().map(|feature| feature.bytes).sum();
    let by = |bytes: f64, of: usize| bytes / of.max(1) as f64;
    let events_per_second = median(judged.iter().copied());
    let peer = (!peers.is_empty()).then(|| median(peers.iter().copied()));
    Ok(RedisReport {
        nodes,
        events: first.events,
        events_per_second,
        replayed: median(replays.iter().copied()),
        share: median(shares.iter().copied()),
        exchanges: recording.exchanges(),
        peer,
        by_peer: peer.map(|peer| events_per_second / peer),
        server_time: Duration::from_secs_f64(median(times.iter().copied())),
        window_bytes: [by(held[0].bytes as f64, keys), by(bytes as f64, keys)],
        identity_bytes: [
            by(held[1].bytes as f64, held[1].records as usize),
            by(size.identity_bytes as f64, size.identities),
        ],
    })
}

/// What every run has.
struct Bench<'a> {
    file: &'a Path,
    output: &'a Path,
    plan: &'a Plan,
}

impl Bench<'_> {
    fn run(&self, engine: &mut Engine, state: &mut SharedState) -> Result<Outcome, BenchError> {
        paths::run_file(self.file, self.output, Middle::Shared(engine, state, self.plan.monotonic), self.plan.monotonic)
    }

    /// Runs once, and answers with the calls that were made.
    fn record(&self, options: &RedisOptions) -> Result<(Outcome, Recording), BenchError> {
        let mut engine = paths::engine(&BuiltIn::WORKLOAD.rules());
        let mut state = SharedState::open(options.clone(), &mut engine)?;
        state.record();
        let run = self.run(&mut engine, &mut state)?;
        let recording = state.recorded();
        state.close()?;
        Ok((run, recording))
    }
}

fn timed(plan: &Plan, task: impl FnOnce() -> Result<(), StreamError>) -> Result<Duration, BenchError> {
    let start = (plan.monotonic)();
    task()?;
    Ok((plan.monotonic)().duration_since(start))
}

/// The arguments of the peer's calls, one an event.
fn calls(file: &Path, prefix: &str) -> Result<Vec<Vec<Vec<u8>>>, BenchError> {
    let text = std::fs::read_to_string(file).map_err(|source| StreamError::open(file, source))?;
    let mut parser = Parser::new(ParseOptions { allow_future: true });
    let mut batch = EventBatch::default();
    batch.input.push_str(&text);
    let mut start = 0;
    for (offset, line) in (0..).zip(text.split_inclusive('\n')) {
        let at = Place { position: Position { partition: 0, offset, item: 0 }, ingest_time_ms: 0 };
        // What is no event is none in the runs beside either.
        drop(parser.parse_structured(&mut batch, start..start + line.trim_end().len(), at));
        start += line.len();
    }
    let call = |event: &Event| {
        let text = |field| batch.field(event, field).as_bytes().to_vec();
        vec![
            prefix.as_bytes().to_vec(),
            text(Field::Type),
            event.event_time_ms.to_string().into_bytes(),
            text(Field::Id),
            text(Field::AccountId),
            text(Field::DeviceId),
            text(Field::Ip),
            event.amount_minor.to_string().into_bytes(),
            text(Field::ReferrerId),
        ]
    };
    Ok(batch.events.iter().map(call).collect())
}
