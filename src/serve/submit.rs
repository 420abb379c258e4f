//! Events on their way from a call into the pipeline and back.
//!
//! They are read here first, by the parser that reads everything: what is not valid, or not the token's to say, is answered at
//! once and costs the pipeline nothing. What is handed on is judged whatever becomes of the call.

use std::ops::Range;
use std::time::Duration;

use axum::http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::auth::Caller;
use super::input::Events;
use super::{Api, Problem};
use crate::engine::program_name;
use crate::event::{ARRAY_EVENTS_MAX, Event, EventBatch, Field, ParseOptions, Parser, Place, Reason};
use crate::stream::inbox::{Answer, Answered, Lane, NotTaken, Parcel};

/// What stays as it is in a part of a path.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The program of an event that names none.
const PROGRAM: &str = "default";

/// What became of each event of a call, in order.
pub(super) type Outcomes = Vec<Result<Judged, Problem>>;

/// A verdict as a line, and whether it is a repeat's.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) line: String,
    pub(super) is_duplicate: bool,
}

/// Events that were read.
pub(super) struct Submission {
    batch: EventBatch,
    /// By event of the call: its place in the batch, or why it is refused.
    read: Vec<Result<usize, Problem>>,
}

impl Submission {
    /// Reads the events of a call.
    ///
    /// # Errors
    ///
    /// What is wrong with a batch as a whole; of a single event nothing is.
    pub(super) fn read(events: Events, api: &Api) -> Result<Submission, Problem> {
        let Events { text, is_batch, caller } = events;
        let ranges = if is_batch { elements(&text)? } else { std::iter::once(0..text.len()).collect() };
        let mut batch = EventBatch::default();
        batch.input = text;
        let mut parser = Parser::new(ParseOptions::default());
        let at = Place { ingest_time_ms: (api.clocks.wall_ms)(), ..Place::default() };
        let read = ranges.into_iter().map(|range| {
            let place = batch.events.len();
            let parsed = match &api.mapping {
                Some(mapping) => parser.parse_mapped(&mut batch, mapping, range, at),
                None => parser.parse_structured(&mut batch, range, at),
            };
            parsed.map_err(|reason| refusal(reason.code(), reason.to_string()))?;
            may_say(&caller, &batch, &batch.events[place])?;
            Ok(place)
        });
        let read = read.collect();
        Ok(Submission { batch, read })
    }

    /// Where the verdict on the only event of a call can be fetched later.
    fn verdict_url(&self) -> Option<String> {
        let [Ok(place)] = self.read.as_slice() else { return None };
        let event = self.batch.events.get(*place)?;
        let part = |field| utf8_percent_encode(self.batch.field(event, field), PART);
        let url = format!("/v1/verdicts/{}/{}", part(Field::Source), part(Field::Id));
        Some(match program_name(&self.batch, event) {
            PROGRAM => url,
            program => format!("{url}?program={}", utf8_percent_encode(program, PART)),
        })
    }

    /// The events that were read, with their batch.
    pub(super) fn valid(&self) -> (&EventBatch, Vec<Option<&Event>>) {
        let event = |read: &Result<usize, Problem>| read.as_ref().ok().map(|place| &self.batch.events[*place]);
        (&self.batch, self.read.iter().map(event).collect())
    }

    /// Takes each event's refusal, where it has one.
    pub(super) fn into_refusals(self) -> Vec<Option<Problem>> {
        self.read.into_iter().map(Result::err).collect()
    }

    /// Hands the events on.
    ///
    /// # Errors
    ///
    /// Nobody takes them.
    pub(super) fn hand_on(&self, api: &Api, lane: Lane) -> Result<oneshot::Receiver<Vec<Answered>>, Problem> {
        let (told, answers) = oneshot::channel();
        let (mut text, mut events) = (String::new(), Vec::new());
        for place in self.read.iter().flatten() {
            let event = self.batch.text(self.batch.events[*place].raw);
            events.push(text.len()..text.len() + event.len());
            text.push_str(event);
        }
        // Whoever asked may be gone.
        let answer: Answer = Box::new(move |answered| drop(told.send(answered)));
        if events.is_empty() {
            answer(Vec::new());
            return Ok(answers);
        }
        match api.inbox.put(lane, Parcel { text, events, answer }) {
            Ok(()) => Ok(answers),
            Err(NotTaken::Full) => Err(Problem::overloaded()),
            Err(NotTaken::Closed) => Err(Problem::stopping()),
        }
    }

    /// Puts what was answered beside what was refused.
    pub(super) fn join(self, answered: Vec<Answered>) -> Outcomes {
        let mut answered = answered.into_iter();
        let outcome = |read: Result<usize, Problem>| {
            read?;
            match answered.next() {
                Some(Answered::Verdict { line, duplicate }) => Ok(Judged { line, is_duplicate: duplicate }),
                Some(Answered::Refused { code, detail }) => Err(refusal(code, detail)),
                Some(Answered::Acted(_)) | None => Err(Problem::internal()),
            }
        };
        self.read.into_iter().map(outcome).collect()
    }

    /// Waits for answers.
    ///
    /// # Errors
    ///
    /// They do not come in time, or never.
    pub(super) async fn wait(
        &self,
        answers: &mut oneshot::Receiver<Vec<Answered>>,
        patience: Duration,
    ) -> Result<Vec<Answered>, Problem> {
        match tokio::time::timeout(patience, answers).await {
            Ok(Ok(answered)) => Ok(answered),
            // Dropped unjudged: the same events can be sent again.
            Ok(Err(_)) => Err(Problem::stopping()),
            Err(_) => {
                let detail =
                    "no verdict came in time; the event is judged all the same, and asking again counts it once";
                let late = Problem::new(StatusCode::GATEWAY_TIMEOUT, "deadline", detail);
                Err(Problem { verdict_url: self.verdict_url().map(Into::into), ..late })
            }
        }
    }
}

/// Where the elements of an array lie.
fn elements(text: &str) -> Result<Vec<Range<usize>>, Problem> {
    let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => refusal("wrong_type", "a batch is an array of events".to_owned()),
        _ => refusal("not_json", format!("cannot be read as JSON: {error}")),
    })?;
    if elements.is_empty() || elements.len() > ARRAY_EVENTS_MAX {
        return Err(refusal("wrong_type", format!("a batch has 1 to {ARRAY_EVENTS_MAX} events")));
    }
    let range = |element: &&RawValue| {
        let start = element.get().as_ptr().addr() - text.as_ptr().addr();
        start..start + element.get().len()
    };
    Ok(elements.iter().map(range).collect())
}

fn may_say(caller: &Caller, batch: &EventBatch, event: &Event) -> Result<(), Problem> {
    caller.speaks_for_program(program_name(batch, event))?;
    caller.speaks_for_source(batch.field(event, Field::Source))
}

/// What is told of an event that is not valid; the code is one of [`Reason::CODES`].
fn refusal(code: &'static str, detail: String) -> Problem {
    debug_assert!(Reason::CODES.iter().any(|(known, _)| *known == code), "{code} is a reason");
    let status = match code {
        "not_utf8" | "not_json" => StatusCode::BAD_REQUEST,
        "id_reused" => StatusCode::CONFLICT,
        "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Problem::new(status, code, detail)
}
