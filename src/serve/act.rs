//! What a person does, on its way from a call into the pipeline and back.
//!
//! First comes its audit record, from which it has its id, then its place among the inputs, and the answer once that is on the
//! disk. So nothing is changed without a record; a record without a change is a call that was refused by what had changed
//! meanwhile, or that ended with the process. Acts take effect in the order of their records: one goes from the one to the other
//! at a time.

use serde_json::Value;
use tokio::sync::{Mutex, oneshot};

use super::auth::Caller;
use super::{Api, Problem};
use crate::engine::ActOutcome;
use crate::event::{Act, Deed};
use crate::records::audit;
use crate::records::requests::{Request, RequestState};
use crate::records::token::{ALL, Scope};
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
///
/// What takes a second person (`policy.four_eyes`) is kept as a request instead, and answered by [`Problem::waits`].
pub(super) async fn take(api: &Api, caller: &Caller, noted: Noted<'_>, what: Deed) -> Result<ActOutcome, Problem> {
    if api.four_eyes.contains(&word_of(noted.action)) {
        return Err(ask(api, caller, noted, what).await?);
    }
    let (at_ms, by) = ((api.clocks.wall_ms)(), caller.actor());
    let actor = by.clone();
    record_and_hand_on(api, &actor, noted, Act { id: String::new(), at_ms, by, what }).await
}

/// What of `policy.four_eyes` an action falls under: the word before its dot. Lifting in bulk ends holds.
fn word_of(action: &str) -> &str {
    match action.split('.').next().unwrap_or(action) {
        "decisions" => "hold",
        word => word,
    }
}

/// Keeps what is asked for until a second person decides.
async fn ask(api: &Api, caller: &Caller, noted: Noted<'_>, what: Deed) -> Result<Problem, Problem> {
    let Noted { action, subject, detail } = noted;
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| {
        tracing::error!(%error, "the system has no random bytes");
        Problem::internal()
    })?;
    let id = format!("req-{:016x}", u64::from_le_bytes(random));
    let (at_ms, actor) = ((api.clocks.wall_ms)(), caller.actor());
    let (program, scope) = match &what {
        Deed::PutOverride(put) => (put.of.program.clone(), Scope::DecisionsWrite),
        Deed::DeleteOverride(of) => (of.program.clone(), Scope::DecisionsWrite),
        Deed::Lift(lift) => (lift.program.clone().unwrap_or_else(|| ALL.to_owned()), Scope::DecisionsWrite),
        Deed::EndHold(end) => (program_of_hold(api, &end.hold).await?, Scope::DecisionsWrite),
        // What holds for all programs.
        _ if word_of(action) == "list" => (ALL.to_owned(), Scope::ListsWrite),
        _ => (ALL.to_owned(), Scope::DecisionsWrite),
    };
    let act = Act { id: id.clone(), at_ms, by: actor.clone(), what };
    let request = Request {
        id: id.clone(),
        at_ms,
        actor,
        action: action.to_owned(),
        subject: subject.to_owned(),
        program,
        scope: scope.name().to_owned(),
        detail: detail.to_string(),
        act: act.line(),
        state: RequestState::Waiting,
        decided_by: None,
    };
    let record = api.records.ask(&request).await.map_err(|error| Api::records_away(&error))?;
    tracing::info!(action, by = caller.id(), audit = record.number, hash = record.hash, request = id, "somebody asks");
    Ok(Problem::waits(id))
}

async fn program_of_hold(api: &Api, hold: &str) -> Result<String, Problem> {
    let hold = hold.to_owned();
    let program = api.ask(move |engine| engine.hold(&hold).map(|hold| hold.event.program.to_string())).await?;
    program.ok_or_else(|| Problem::not_found("there is no such hold"))
}

/// Does what somebody has asked for and somebody else has agreed to: both answer for it.
pub(super) async fn done(
    api: &Api,
    approver: &str,
    (action, subject): (&str, &str),
    request: &str,
    asked: Act,
) -> Result<ActOutcome, Problem> {
    let detail = serde_json::json!({"request": request, "asked_by": asked.by});
    let by = format!("{}, {approver}", asked.by);
    let act = Act { at_ms: (api.clocks.wall_ms)(), by, ..asked };
    record_and_hand_on(api, approver, Noted { action, subject, detail }, act).await
}

/// Lets one act after the other go from its record to its place among the inputs.
#[derive(Debug, Default)]
pub(super) struct Order(Mutex<()>);

impl Order {
    /// Waits for a record, and hands on what comes of it before another record is begun.
    async fn keep<R, T>(
        &self,
        record: impl Future<Output = Result<R, Problem>>,
        hand_on: impl FnOnce(R) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let _alone = self.0.lock().await;
        hand_on(record.await?)
    }
}

/// Writes the audit record, and hands the act on, which has its id from that.
async fn record_and_hand_on(api: &Api, actor: &str, noted: Noted<'_>, act: Act) -> Result<ActOutcome, Problem> {
    let Noted { action, subject, detail } = noted;
    let record = audit::Act { at_ms: act.at_ms, actor, action, subject, detail: detail.to_string() };
    let record = async { api.records.note(&record).await.map_err(|error| Api::records_away(&error)) };
    let hand_on = |record: audit::Record| {
        tracing::info!(action, by = actor, audit = record.number, hash = record.hash, "somebody acts");
        let id = format!("act-{}", &record.hash[..ID_DIGITS]);
        let text = Act { id, ..act }.line();
        let (told, answers) = oneshot::channel();
        let events = std::iter::once(0..text.len()).collect();
        // Whoever asked may be gone.
        let answer = Box::new(move |answered| drop(told.send(answered)));
        api.acts.put(Lane::Asking, Parcel { text, events, answer }).map_err(|refused| match refused {
            NotTaken::Full => Problem::overloaded(),
            NotTaken::Closed => Problem::stopping(),
        })?;
        Ok(answers)
    };
    let answers = api.live.acting.keep(record, hand_on).await?;
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

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::task::Poll;

    use super::*;

    #[test]
    fn acts_are_handed_on_in_the_order_of_their_records() {
        const ACTS: usize = 10;
        let (order, records, handed) = (Order::default(), Cell::new(0), RefCell::new(Vec::new()));
        let act = || async {
            let record = async {
                let number = records.replace(records.get() + 1);
                // Whose record is earlier is told later.
                for _ in number..ACTS {
                    tokio::task::yield_now().await;
                }
                Ok(number)
            };
            let hand_on = |number| {
                handed.borrow_mut().push(number);
                Ok(())
            };
            order.keep(record, hand_on).await
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it takes no thread");
        runtime.block_on(async {
            let mut acts: Vec<_> = (0..ACTS).map(|_| Box::pin(act())).collect();
            let mut done = [false; ACTS];
            std::future::poll_fn(|context| {
                for (act, done) in acts.iter_mut().zip(&mut done) {
                    *done = *done || act.as_mut().poll(context).is_ready();
                }
                if done.iter().all(|done| *done) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        });
        assert_eq!(handed.into_inner(), (0..ACTS).collect::<Vec<_>>());
    }
}
