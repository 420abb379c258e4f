//! What comes in the body of a call: bounded in size and time, of a type that is known, text.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use super::auth::Caller;
use super::{Api, Problem};

/// One event, as CloudEvents in JSON.
const EVENT: &str = "application/cloudevents+json";
/// An array of them.
const BATCH: &str = "application/cloudevents-batch+json";
/// One event, or what a call that takes none wants.
const JSON: &str = "application/json";

/// Events as they were sent.
#[derive(Debug)]
pub(super) struct Events {
    pub(super) text: String,
    /// Whether they are an array.
    pub(super) is_batch: bool,
    /// Who sent them.
    pub(super) caller: Caller,
}

impl FromRequest<Arc<Api>> for Events {
    type Rejection = Problem;

    /// Nothing of a body is read before it is known who sends it.
    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Events, Problem> {
        let (mut parts, body) = request.into_parts();
        let caller = <Caller as axum::extract::FromRequestParts<_>>::from_request_parts(&mut parts, api).await?;
        let is_batch = match media_type(&parts.headers) {
            EVENT | JSON => false,
            BATCH => true,
            _ => return Err(unsupported(&format!("`{EVENT}`, `{JSON}` or `{BATCH}`"))),
        };
        let text = read(body, &parts.headers, &caller, api).await?;
        Ok(Events { text, is_batch, caller })
    }
}

/// The body of a call that wants a value of JSON, and who sent it.
#[derive(Debug)]
pub(super) struct Sent {
    text: String,
    pub(super) caller: Caller,
}

impl Sent {
    /// The value. To be asked for once it is known that the caller may call.
    pub(super) fn value<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_str(&self.text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "wrong_type", error.to_string())
            }
            _ => Problem::bad_request("not_json", error.to_string()),
        })
    }
}

impl FromRequest<Arc<Api>> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Sent, Problem> {
        let (mut parts, body) = request.into_parts();
        let caller = <Caller as axum::extract::FromRequestParts<_>>::from_request_parts(&mut parts, api).await?;
        if media_type(&parts.headers) != JSON {
            return Err(unsupported(&format!("`{JSON}`")));
        }
        let text = read(body, &parts.headers, &caller, api).await?;
        Ok(Sent { text, caller })
    }
}

async fn read(body: Body, headers: &HeaderMap, caller: &Caller, api: &Api) -> Result<String, Problem> {
    let bytes = bytes(body, headers, caller, api, (api.bounds.body_bytes_max, "http.max_body")).await?;
    let text = simdutf8::compat::from_utf8(&bytes).map_err(|error| {
        Problem::bad_request("not_utf8", format!("the bytes are not UTF-8 from byte {} on", error.valid_up_to()))
    })?;
    Ok(text.to_owned())
}

/// The bytes of a body, at most so many as a setting says.
pub(super) async fn bytes(
    body: Body,
    headers: &HeaderMap,
    caller: &Caller,
    api: &Api,
    (max, setting): (usize, &'static str),
) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!("the body has more than {max} bytes ({setting})");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    };
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|declared| declared > max) {
        return Err(too_large());
    }
    let bytes = match tokio::time::timeout(api.bounds.body_timeout, to_bytes(body, max)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) if is_too_long(&error) => return Err(too_large()),
        Ok(Err(_)) => return Err(Problem::bad_request("body", "the body did not come to its end")),
        Err(_) => {
            let detail = "the body did not come in time (http.body_timeout)";
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail));
        }
    };
    api.limits.take_bytes(caller.address, caller.id(), bytes.len()).map_err(|reached| api.limited(reached))?;
    Ok(bytes)
}

/// Whether a body was longer than may be, by its error: the length is in a cause.
fn is_too_long(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("length limit exceeded") {
            return true;
        }
        cause = error.source();
    }
    false
}

fn media_type(headers: &HeaderMap) -> &str {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    [EVENT, BATCH, JSON].into_iter().find(|known| known.eq_ignore_ascii_case(media_type)).unwrap_or_default()
}

fn unsupported(expected: &str) -> Problem {
    let detail = format!("the content type of this call is {expected}");
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
}
