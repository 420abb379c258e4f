//! Streams of decisions: how many there are, and what stands for those that begin, made once for all that begin together.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::calls::stream::event;
use super::{Api, Problem};
use crate::engine::ActiveSet;
use crate::stream::decision_log::{Following, Head, Snapshot, Snapshotting};

/// How streams are bounded.
#[derive(Clone, Copy, Debug)]
pub struct StreamOptions {
    /// How often they say what stands.
    pub heartbeat: Duration,
    /// How many there are at most.
    pub subscribers_max: usize,
}

/// How long what stands is kept for others that begin.
const KEPT: Duration = Duration::from_secs(10);
/// Records that one question looks at.
const PAGE: usize = 1024;
/// What is sent together, about, in bytes.
const BLOCK_BYTES: usize = 64 << 10;
/// How often is tried to get what stands, while more changes than are held.
const TRIES: usize = 3;
/// How long is waited until the engine's last page is committed.
const COMMIT_PATIENCE: Duration = Duration::from_secs(10);
/// The name of these streams in metrics.
const NAME: &str = "decisions";

/// The streams there are.
#[derive(Debug, Default)]
pub(super) struct Streams {
    count: Arc<AtomicUsize>,
    snapshot: Mutex<Option<(Arc<Blocked>, Instant)>>,
}

/// One of them, until this is dropped.
pub(super) struct Place {
    api: Arc<Api>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let before = self.api.live.streams.count.fetch_sub(1, Ordering::AcqRel);
        self.api.observer.subscribers(NAME, before - 1);
    }
}

/// What stands, as it is sent.
#[derive(Debug)]
pub(super) struct Blocked {
    number: u64,
    /// By program, percent-encoded.
    programs: BTreeMap<String, (ActiveSet, Vec<Bytes>)>,
}

/// Blocks that are still to be sent.
#[derive(Debug, Default)]
pub(super) struct Blocks(VecDeque<Bytes>);

impl Blocks {
    pub(super) fn next(&mut self) -> Option<Bytes> {
        self.0.pop_front()
    }
}

impl Blocked {
    fn new(snapshot: &Snapshot) -> Blocked {
        let blocks = |(program, set): (&str, ActiveSet)| {
            let (mut blocks, mut block) = (Vec::new(), Vec::new());
            for (_, _, line) in snapshot.records(Some(program)) {
                block.extend_from_slice(b"event: decision\ndata: ");
                block.extend_from_slice(line);
                block.extend_from_slice(b"\n\n");
                if block.len() >= BLOCK_BYTES {
                    blocks.push(std::mem::take(&mut block).into());
                }
            }
            blocks.push(block.into());
            (program.to_owned(), (set, blocks))
        };
        Blocked { number: snapshot.number(), programs: snapshot.sets().into_iter().map(blocks).collect() }
    }

    /// As of which number.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// What is sent to whoever sees these programs; without them, all.
    pub(super) fn blocks(&self, programs: Option<&[String]>) -> Blocks {
        let is_seen = |program: &&String| programs.is_none_or(|all| all.contains(program));
        let seen: Vec<&(ActiveSet, Vec<Bytes>)> =
            self.programs.iter().filter(|(program, _)| is_seen(program)).map(|(_, of)| of).collect();
        let mut set = ActiveSet::default();
        for (of, _) in &seen {
            set.count += of.count;
            set.checksum = set.checksum.wrapping_add(of.checksum);
        }
        let head = Head { number: self.number, set };
        let first = format!("event: snapshot\ndata: {{\"number\":{},\"count\":{}}}\n\n", self.number, set.count);
        let records = seen.into_iter().flat_map(|(_, blocks)| blocks.iter().filter(|block| !block.is_empty()).cloned());
        let last = event("snapshot_end", &head, None);
        Blocks([Bytes::from(first)].into_iter().chain(records).chain([Bytes::from(last)]).collect())
    }
}

impl Streams {
    /// Another one begins.
    pub(super) fn enter(&self, api: &Arc<Api>) -> Result<Place, Problem> {
        let before = self.count.fetch_add(1, Ordering::AcqRel);
        // Leaves again where there is no room.
        let place = Place { api: Arc::clone(api) };
        if before >= api.streams.subscribers_max {
            return Err(
                Problem::unavailable("as many streams are open as may be (decisions.subscribers)").retry_after(10)
            );
        }
        api.observer.subscribers(NAME, before + 1);
        Ok(place)
    }

    /// What stands: what others got a moment ago, if the log still has what came since.
    pub(super) async fn snapshot(&self, api: &Api) -> Result<Arc<Blocked>, Problem> {
        let mut kept = self.snapshot.lock().await;
        let is_held = |of: &Blocked| api.decisions.behind(of.number, 0) != Following::Lost;
        if let Some((snapshot, _)) = kept.as_ref().filter(|(snapshot, _)| is_held(snapshot)) {
            return Ok(Arc::clone(snapshot));
        }
        let made = Arc::new(Blocked::new(&make(api).await?));
        *kept = Some((Arc::clone(&made), Instant::now()));
        Ok(made)
    }

    /// Forgets what nobody will begin with.
    pub(super) async fn forget(&self) {
        let mut kept = self.snapshot.lock().await;
        if kept.as_ref().is_some_and(|(_, since)| since.elapsed() > KEPT) {
            *kept = None;
        }
    }
}

/// Asks the engine for what stands, a page at a time.
async fn make(api: &Api) -> Result<Snapshot, Problem> {
    for _ in 0..TRIES {
        let mut making = Snapshotting::default();
        loop {
            let behind = making.behind();
            let page = api.ask(move |engine| engine.decision_page(behind, PAGE)).await?;
            if !making.take(page) {
                break;
            }
        }
        let (mut told, wanted) = (api.decisions.subscribe(), making.wanted());
        let committed = tokio::time::timeout(COMMIT_PATIENCE, told.wait_for(|number| *number >= wanted)).await;
        if !matches!(committed, Ok(Ok(_))) {
            return Err(Problem::unavailable("what stands waits for a service that is away"));
        }
        if let Ok(snapshot) = making.finish(&api.decisions) {
            return Ok(snapshot);
        }
    }
    Err(Problem::unavailable("decisions change faster than they are held (decisions.held)"))
}
