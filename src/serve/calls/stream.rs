//! `GET /v1/decisions/stream`: what stands, then every change, for as long as the client listens.
//!
//! All streams read from the one log by number, at their own pace: a client that is slow holds nobody back, and one that falls
//! out of what is held begins again with what stands. Invariants: numbers that a client is sent grow; what it is not to see is
//! not sent, nor counted in what it can sum up; a stream ends with its token.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::{Bytes, Frame};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Instant;
use utoipa::IntoParams;

use super::asked;
use crate::engine::encoded_part;
use crate::event::json::write_timestamp;
use crate::records::token::Scope;
use crate::serve::auth::Caller;
use crate::serve::streams::{Blocks, Place};
use crate::serve::{Api, Problem};
use crate::stream::decision_log::{Following, Head, Published};

/// The header by which a client goes on.
const CURSOR: &str = "last-event-id";
/// How many changes are taken from the log together.
const CHANGES: usize = 256;
/// Where no heartbeats are configured.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Which changes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct Wanted {
    /// Only those of this program. Without it, those of all programs that the token speaks for.
    #[param(nullable = false)]
    program: Option<String>,
}

/// Follows the log of decisions, as server-sent events.
///
/// First `snapshot`, what stands as `decision` events without ids, and `snapshot_end` with count and checksum; then each change,
/// `decision` or `ended`, under its number in the log as id; `heartbeat` in between, with count and checksum.
/// `Last-Event-ID` goes on behind a number, on whatever instance, without gap or repeat; where that is not held any more, a snapshot comes
/// again. docs/decisions-log.md has the members and the checksum.
#[utoipa::path(
    get,
    path = "/v1/decisions/stream",
    operation_id = "follow_decisions",
    tag = "decisions",
    security(("token" = ["decisions:read"])),
    params(
        Wanted,
        ("Last-Event-ID" = Option<u64>, Header, nullable = false,
         description = "The id of the last event that was taken: its number in the log."),
    ),
    responses((status = 200, description = "Events, until the client leaves.", content_type = "text/event-stream", body = String))
)]
pub(in crate::serve) async fn follow(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    caller.needs(Scope::DecisionsRead)?;
    let Wanted { program } = asked::query(query)?;
    let programs = match program {
        Some(program) => {
            caller.speaks_for_program(&program)?;
            Some(vec![encoded_part(&program).to_string()])
        }
        None => caller.programs().map(|all| all.iter().map(|program| encoded_part(program).to_string()).collect()),
    };
    let cursor = cursor(&headers)?;
    let place = api.live.streams.enter(&api)?;
    let follower = Follower::begin(api, caller, programs, cursor, place).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        // Whoever stands between and gathers answers would gather this one for ever.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::new(Events { next: follower.next() })).into_response())
}

/// The number behind which a client goes on; `None`: it begins.
fn cursor(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let mut given = headers.get_all(CURSOR).iter();
    let Some(only) = given.next() else { return Ok(None) };
    let text = only.to_str().unwrap_or("?");
    if text.is_empty() && given.next().is_none() {
        return Ok(None);
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    match (text.parse().ok().filter(|_| is_number), given.next()) {
        (Some(number), None) => Ok(Some(number)),
        _ => Err(Problem::bad_request("bad_cursor", "the header Last-Event-ID is the id of an event of this stream")),
    }
}

/// What comes next, and who goes on behind it; `None`: the stream ends.
type Next = Pin<Box<dyn Future<Output = Option<(Bytes, Follower)>> + Send>>;

/// A stream as the body of an answer.
struct Events {
    next: Next,
}

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some((bytes, follower)) = ready!(self.next.as_mut().poll(context)) else { return Poll::Ready(None) };
        self.next = follower.next();
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

/// A change as it is sent, without a copy.
struct Sent(Arc<Published>);

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

/// A client that listens.
struct Follower {
    api: Arc<Api>,
    caller: Caller,
    /// Percent-encoded; `None`: all.
    programs: Option<Vec<String>>,
    /// What it has been sent ends here.
    number: u64,
    /// What is left of a snapshot, before that.
    blocks: Blocks,
    told: watch::Receiver<u64>,
    stopped: watch::Receiver<bool>,
    heartbeat: Duration,
    due: Instant,
    _place: Place,
}

impl Follower {
    async fn begin(
        api: Arc<Api>,
        caller: Caller,
        programs: Option<Vec<String>>,
        cursor: Option<u64>,
        place: Place,
    ) -> Result<Follower, Problem> {
        let heartbeat = Some(api.streams.heartbeat).filter(|every| !every.is_zero()).unwrap_or(HEARTBEAT);
        let mut follower = Follower {
            number: cursor.unwrap_or_default(),
            blocks: Blocks::default(),
            told: api.decisions.subscribe(),
            stopped: api.live.stopped(),
            heartbeat,
            due: Instant::now() + heartbeat,
            api,
            caller,
            programs,
            _place: place,
        };
        let is_held = |number| follower.api.decisions.behind(number, 0) != Following::Lost;
        if !cursor.is_some_and(is_held) {
            follower.begin_again().await?;
        }
        Ok(follower)
    }

    /// Begins with what stands.
    async fn begin_again(&mut self) -> Result<(), Problem> {
        let snapshot = self.api.live.streams.snapshot(&self.api).await?;
        self.number = snapshot.number();
        self.blocks = snapshot.blocks(self.programs.as_deref());
        Ok(())
    }

    fn next(self) -> Next {
        Box::pin(self.wait())
    }

    /// Waits for what comes next.
    async fn wait(mut self) -> Option<(Bytes, Follower)> {
        loop {
            if *self.stopped.borrow() {
                return None;
            }
            if let Some(block) = self.blocks.next() {
                return Some((block, self));
            }
            self.told.borrow_and_update();
            let bytes = match self.api.decisions.behind(self.number, CHANGES) {
                Following::Lost => {
                    // Whoever cannot begin again comes back later.
                    self.begin_again().await.ok()?;
                    continue;
                }
                Following::Changes(changes) => self.take(changes),
            };
            let heartbeat = if Instant::now() >= self.due { self.heartbeat()? } else { None };
            match (bytes, heartbeat) {
                (Some(bytes), None) => return Some((bytes, self)),
                (Some(bytes), Some(heartbeat)) => return Some(([&*bytes, &heartbeat].concat().into(), self)),
                (None, Some(heartbeat)) => return Some((heartbeat.into(), self)),
                (None, None) if self.api.decisions.number() == self.number => {
                    tokio::select! {
                        told = self.told.changed() => told.ok()?,
                        stopped = self.stopped.changed() => stopped.ok()?,
                        () = tokio::time::sleep_until(self.due) => {}
                    }
                }
                (None, None) => {}
            }
        }
    }

    /// What of some changes is sent.
    fn take(&mut self, changes: Vec<Arc<Published>>) -> Option<Bytes> {
        self.number = changes.last()?.number;
        let programs = self.programs.as_deref();
        let is_seen = |change: &Published| programs.is_none_or(|all| all.iter().any(|of| of == change.program()));
        let mut seen = changes.into_iter().filter(|change| is_seen(change));
        let first = seen.next()?;
        let Some(second) = seen.next() else { return Some(Bytes::from_owner(Sent(first))) };
        let mut bytes = (*first).as_ref().to_vec();
        bytes.extend_from_slice((*second).as_ref());
        seen.for_each(|change| bytes.extend_from_slice((*change).as_ref()));
        Some(bytes.into())
    }

    /// What stands as of what was sent. Where more has come since, it waits for a moment at which that was sent too. `None`: the
    /// token has ended, and the stream with it.
    fn heartbeat(&mut self) -> Option<Option<Vec<u8>>> {
        let now_ms = (self.api.clocks.wall_ms)();
        if !self.api.live.tokens.is_live(self.caller.id(), now_ms) {
            return None;
        }
        let head = self.api.decisions.head(self.programs.as_deref());
        if head.number != self.number {
            return Some(None);
        }
        self.due = Instant::now() + self.heartbeat;
        Some(Some(event("heartbeat", &head, Some(now_ms))))
    }
}

/// An event that says what stands.
pub(in crate::serve) fn event(name: &str, head: &Head, time_ms: Option<i64>) -> Vec<u8> {
    let Head { number, set } = head;
    let mut out = format!("id: {number}\nevent: {name}\ndata: {{").into_bytes();
    if let Some(time_ms) = time_ms {
        out.extend_from_slice(b"\"time\":");
        write_timestamp(&mut out, time_ms);
        out.push(b',');
    }
    let rest = format!("\"number\":{number},\"count\":{},\"checksum\":\"{:016x}\"}}\n\n", set.count, set.checksum);
    out.extend_from_slice(rest.as_bytes());
    out
}
