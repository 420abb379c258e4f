//! What a person does, on its way from a call into the pipeline and back.
//!
//! First comes its audit record, from which it has its id, then its place among the inputs, and the answer once that is on the
//! disk. So nothing is changed without a record; a record without a change is a call that was refused by what had changed
//! meanwhile, or that ended with the process.

use serde_json::Value;
use tokio::sync::oneshot;

use super::auth::Caller;
use super::{Api, Problem};
use crate::engine::ActOutcome;
use crate::event::{Act, Deed};
use crate::records::audit;
use crate::stream::inbox::{Answered, Lane, NotTaken, Parcel};

/// How many hexadecimal digits of the hash of its audit record an act is named by.
const ID_DIGITS: usize = 16;

/// How an act stands in the audit trail.
#[derive(Debug)]
pub(super) struct Noted<'a> {
    /// What was done, such as `override.put`.
    pub(super) action: &'a str,
    /// To what.
    pub(super) subject: &'a str,
    /// The rest.
    pub(super) detail: Value,
}

/// Does something, and answers what came of it.
pub(super) async fn take(api: &Api, caller: &Caller, noted: Noted<'_>, what: Deed) -> Result<ActOutcome, Problem> {
    let at_ms = (api.clocks.wall_ms)();
    let Noted { action, subject, detail } = noted;
    let actor = caller.actor();
    let record = audit::Act { at_ms, actor: &actor, action, subject, detail: detail.to_string() };
    let record = api.records.note(&record).await.map_err(|error| Api::records_away(&error))?;
    tracing::info!(action, by = caller.id(), audit = record.number, hash = record.hash, "somebody acts");
    let id = format!("act-{}", &record.hash[..ID_DIGITS]);
    let text = Act { id, at_ms, by: actor, what }.line();
    let (told, answers) = oneshot::channel();
    let events = std::iter::once(0..text.len()).collect();
    // Whoever asked may be gone.
    let answer = Box::new(move |answered| drop(told.send(answered)));
    api.acts.put(Lane::Asking, Parcel { text, events, answer }).map_err(|refused| match refused {
        NotTaken::Full => Problem::overloaded(),
        NotTaken::Closed => Problem::stopping(),
    })?;
    let answered = match tokio::time::timeout(api.bounds.answer_timeout, answers).await {
        Ok(Ok(answered)) => answered,
        // Dropped undone.
        Ok(Err(_)) => return Err(Problem::stopping()),
        Err(_) => {
            let detail =
                "it is not known in time what came of it: it is done all the same, and doing it again changes nothing";
            return Err(Problem::new(axum::http::StatusCode::GATEWAY_TIMEOUT, "deadline", detail));
        }
    };
    match answered.into_iter().next() {
        Some(Answered::Acted(outcome)) => Ok(outcome),
        Some(Answered::Refused { code, detail }) => {
            tracing::error!(code, detail, "an act of the API cannot be read");
            Err(Problem::internal())
        }
        Some(Answered::Verdict { .. }) | None => Err(Problem::internal()),
    }
}
