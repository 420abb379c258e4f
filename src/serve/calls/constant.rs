//! A call that reads an event as `POST /v1/evaluate` does, and answers the same whatever it is: what `refguard bench http` measures that by.
//!
//! It is served where it is asked for, and is no part of the API.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use crate::records::token::Scope;
use crate::serve::input::Events;
use crate::serve::submit::Submission;
use crate::serve::{Api, Problem};

/// Where it is.
pub(in crate::serve) const PATH: &str = "/v1/constant";
/// As long as most verdicts are.
const ANSWER: &str = "{\"specversion\":\"1\",\"event_id\":\"0000000000000000\",\"source\":\"/shop\",\"program\":\"p1\",\
    \"type\":\"login.succeeded\",\"account_id\":\"acc_00000000\",\"time\":\"2026-01-01T00:00:00.000Z\",\"verdict\":\"allow\",\
    \"cause\":\"none\",\"score\":0,\"parties\":{},\"rules\":[],\"evidence\":[],\"decisions\":[],\"created\":[],\"hold_id\":null,\
    \"ruleset\":\"000000000000\"}";

pub(in crate::serve) async fn constant(State(api): State<Arc<Api>>, events: Events) -> Result<Response, Problem> {
    events.caller.needs(Scope::Evaluate)?;
    if let Some(refused) = Submission::read(events, &api)?.into_refusals().into_iter().flatten().next() {
        return Err(refused);
    }
    Ok(([(header::CONTENT_TYPE, "application/json")], ANSWER).into_response())
}
