//! `POST /v1/evaluate`: verdicts, before a reward is paid.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::oneshot;

use crate::engine::program_name;
use crate::event::json::{write_string, write_timestamp};
use crate::event::{Event, EventBatch, Field};
use crate::records::token::Scope;
use crate::serve::input::Events;
use crate::serve::submit::{Judged, Outcomes, Submission};
use crate::serve::{Api, Problem};
use crate::stream::inbox::{Answered, Lane};

/// The header that says how long a caller waits.
const DEADLINE: &str = "refguard-deadline-ms";
/// The longest that it may say.
const DEADLINE_MS_MAX: u64 = 60_000;

/// Judges an event, or a batch of up to 1000.
///
/// State is counted once, however often the same event is asked about: a repeat within `dedup.span` is answered with the
/// first verdict. Verdicts are answered once they are durable.
#[utoipa::path(
    post,
    path = "/v1/evaluate",
    operation_id = "evaluate",
    tag = "events",
    security(("token" = ["evaluate"])),
    params((
        "Refguard-Deadline-Ms" = Option<u64>, Header,
        description = "How long to wait, in milliseconds. Past it the answer is 504, and the verdict can be fetched later.",
        minimum = 1, maximum = 60_000, nullable = false,
    )),
    request_body(
        description = "One event as a CloudEvent in JSON, or an array of them.",
        content(
            (crate::serve::openapi::Event = "application/cloudevents+json"),
            (crate::serve::openapi::Event = "application/json"),
            (Vec<crate::serve::openapi::Event> = "application/cloudevents-batch+json")
        )
    ),
    responses(
        (status = 200, description = "The verdict; of a batch an array, in its order, with a problem where an event was refused.",
         body = crate::serve::openapi::VerdictOrBatch),
        crate::serve::openapi::BodyRefusals,
        (status = 409, response = crate::serve::openapi::IdReused),
        (status = 504, response = crate::serve::openapi::Deadline),
    )
)]
pub(in crate::serve) async fn evaluate(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    events: Events,
) -> Result<Response, Problem> {
    let begun = (api.clocks.monotonic)();
    events.caller.needs(Scope::Evaluate)?;
    let patience =
        deadline(&headers)?.map_or(api.bounds.answer_timeout, |wanted| wanted.min(api.bounds.answer_timeout));
    let is_batch = events.is_batch;
    let submission = Submission::read(events, &api)?;
    let mut answers = submission.hand_on(&api, Lane::Asking)?;
    let outcomes = match wait(&api, &submission, &mut answers, patience).await? {
        Some(answered) => {
            let outcomes = submission.join(answered);
            api.observer.evaluated((api.clocks.monotonic)().saturating_duration_since(begun));
            outcomes
        }
        None => without_state(&api, submission),
    };
    written(outcomes, is_batch)
}

/// Waits for verdicts. `None`: a service is away that they wait for, and they are given without state.
async fn wait(
    api: &Api,
    submission: &Submission,
    answers: &mut oneshot::Receiver<Vec<Answered>>,
    patience: Duration,
) -> Result<Option<Vec<Answered>>, Problem> {
    let first = patience.min(api.bounds.degraded_after);
    match submission.wait(answers, first).await {
        Err(problem) if problem.status == StatusCode::GATEWAY_TIMEOUT.as_u16() && first < patience => {}
        ended => return ended.map(Some),
    }
    if let Some(cause) = (api.away)().into_iter().next() {
        let verdicts = submission.valid().1.into_iter().flatten().count();
        api.observer.degraded(&cause, verdicts);
        return Ok(None);
    }
    submission.wait(answers, patience - first).await.map(Some)
}

fn deadline(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let mut given = headers.get_all(DEADLINE).iter();
    let Some(only) = given.next() else { return Ok(None) };
    let ms = only.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let ms = ms.and_then(|text| text.parse().ok()).filter(|ms| (1..=DEADLINE_MS_MAX).contains(ms));
    match (ms, given.next()) {
        (Some(ms), None) => Ok(Some(Duration::from_millis(ms))),
        _ => {
            let detail = format!("the header Refguard-Deadline-Ms is one number from 1 to {DEADLINE_MS_MAX}");
            Err(Problem::bad_request("bad_deadline", detail))
        }
    }
}

/// What `policy.on_state_unavailable` says of each event. The events wait to be judged all the same.
fn without_state(api: &Api, submission: Submission) -> Outcomes {
    let ruleset = api.live.ruleset.lock().expect("no thread panics while it holds a hash").clone();
    let (batch, events) = submission.valid();
    let verdict = |event: &Event| {
        let line = degraded_line(batch, event, api.bounds.without_state.name(), &ruleset);
        Judged { line: String::from_utf8_lossy(&line).into_owned(), is_duplicate: false }
    };
    let verdicts: Vec<Option<Judged>> = events.into_iter().map(|event| event.map(verdict)).collect();
    let outcome = |(verdict, refusal): (Option<Judged>, Option<Problem>)| match (verdict, refusal) {
        (Some(verdict), _) => Ok(verdict),
        (None, refusal) => Err(refusal.unwrap_or_else(Problem::internal)),
    };
    verdicts.into_iter().zip(submission.into_refusals()).map(outcome).collect()
}

/// A verdict that no rule has seen.
fn degraded_line(batch: &EventBatch, event: &Event, verdict: &str, ruleset: &str) -> Vec<u8> {
    let mut out = b"{\"specversion\":\"1\"".to_vec();
    let mut text = |name: &str, value: &str| {
        out.extend_from_slice(format!(",\"{name}\":").as_bytes());
        write_string(&mut out, value);
    };
    text("event_id", batch.field(event, Field::Id));
    text("source", batch.field(event, Field::Source));
    text("program", program_name(batch, event));
    text("type", batch.field(event, Field::Type));
    match batch.field(event, Field::AccountId) {
        "" => out.extend_from_slice(b",\"account_id\":null"),
        account => text("account_id", account),
    }
    out.extend_from_slice(b",\"time\":");
    write_timestamp(&mut out, event.event_time_ms);
    let rest = format!(
        ",\"verdict\":\"{verdict}\",\"cause\":\"none\",\"score\":0,\"parties\":{{}},\"rules\":[],\"evidence\":[],\
         \"decisions\":[],\"created\":[],\"hold_id\":null,\"ruleset\":\"{ruleset}\",\"degraded\":true}}"
    );
    out.extend_from_slice(rest.as_bytes());
    out
}

/// Verdicts as they are answered: lines that are JSON already.
fn written(outcomes: Outcomes, is_batch: bool) -> Result<Response, Problem> {
    let mut body = String::new();
    if is_batch {
        body.push('[');
        for (at, outcome) in outcomes.into_iter().enumerate() {
            if at > 0 {
                body.push(',');
            }
            match outcome {
                Ok(judged) => body.push_str(&judged.line),
                Err(problem) => {
                    body.push_str(&serde_json::to_string(&problem).map_err(|_| Problem::internal())?);
                }
            }
        }
        body.push(']');
    } else {
        body = outcomes.into_iter().next().ok_or_else(Problem::internal)??.line;
    }
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}
