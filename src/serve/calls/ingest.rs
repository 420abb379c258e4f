//! `POST /v1/events`: events that nobody wants a verdict on now.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::records::token::Scope;
use crate::serve::input::Events;
use crate::serve::submit::{Judged, Submission};
use crate::serve::{Api, Problem};
use crate::stream::inbox::Lane;

/// What became of one event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "status", rename_all = "lowercase")]
pub(in crate::serve) enum Receipt {
    /// It is on the disk and counted.
    Accepted,
    /// It was known: nothing is counted twice.
    Duplicate,
    /// It is not valid, or not this token's to say.
    Refused {
        /// Why.
        problem: Problem,
    },
}

/// A receipt for the only event, or one for each of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::serve) enum Receipts {
    /// Of one event.
    One(Receipt),
    /// Of a batch, in its order.
    Batch(Vec<Receipt>),
}

/// Takes an event, or a batch of up to 1000.
///
/// Answered once they are on the disk: whatever ends the process then, they are counted. Sending them again is safe.
#[utoipa::path(
    post,
    path = "/v1/events",
    operation_id = "ingest",
    tag = "events",
    security(("token" = ["ingest"])),
    request_body(
        description = "One event as a CloudEvent in JSON, or an array of them.",
        content(
            (crate::serve::openapi::Event = "application/cloudevents+json"),
            (crate::serve::openapi::Event = "application/json"),
            (Vec<crate::serve::openapi::Event> = "application/cloudevents-batch+json")
        )
    ),
    responses(
        (status = 202, description = "On the disk; of a batch each element says what became of its event.", body = Receipts),
        crate::serve::openapi::BodyRefusals,
        (status = 409, response = crate::serve::openapi::IdReused),
        (status = 504, response = crate::serve::openapi::Deadline),
    )
)]
pub(in crate::serve) async fn ingest(
    State(api): State<Arc<Api>>,
    events: Events,
) -> Result<(StatusCode, Json<Receipts>), Problem> {
    events.caller.needs(Scope::Ingest)?;
    let is_batch = events.is_batch;
    let submission = Submission::read(events, &api)?;
    let mut answers = submission.hand_on(&api, Lane::Telling)?;
    let answered = submission.wait(&mut answers, api.bounds.answer_timeout).await?;
    let outcomes = submission.join(answered);
    let receipt = |judged: Judged| if judged.is_duplicate { Receipt::Duplicate } else { Receipt::Accepted };
    let receipts = if is_batch {
        let receipts = outcomes.into_iter().map(|outcome| match outcome {
            Ok(judged) => receipt(judged),
            Err(problem) => Receipt::Refused { problem },
        });
        Receipts::Batch(receipts.collect())
    } else {
        let only = outcomes.into_iter().next().ok_or_else(Problem::internal)?;
        Receipts::One(receipt(only?))
    };
    Ok((StatusCode::ACCEPTED, Json(receipts)))
}
