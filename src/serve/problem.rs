//! What goes wrong, as RFC 9457 wants it told: problem details with a stable code.
//!
//! Every answer that is no success is one of these, whichever layer makes it. Invariant: no detail holds a token, or an input
//! in full.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// The media type of problem details.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Why a call did not do what was asked, or not yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// A name of the kind of problem: `urn:refguard:problem:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:refguard:problem:missing_id", value_type = String)]
    pub kind: Box<str>,
    /// The kind in words.
    #[schema(example = "Unprocessable Entity")]
    pub title: &'static str,
    /// The status of the answer; of an event in a batch, the status that it would have had alone.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// A stable code: for an event the reason that docs/events.md explains.
    #[schema(example = "missing_id")]
    pub code: &'static str,
    /// What exactly.
    pub detail: String,
    /// Where the verdict can be fetched later.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "/v1/verdicts/%2Fshop/e2?program=default", value_type = Option<String>)]
    pub verdict_url: Option<Box<str>>,
    /// The request that waits for a second person: then it is no problem, and the answer is 202.
    #[serde(skip)]
    pub request: Option<Box<str>>,
    /// When to try again, in seconds: the header `Retry-After`.
    #[serde(skip)]
    pub retry_after_s: Option<u32>,
}

impl Problem {
    /// A problem with this status and code.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem {
            kind: format!("urn:refguard:problem:{code}").into(),
            title: status.canonical_reason().unwrap_or("Problem"),
            status: status.as_u16(),
            code,
            detail: detail.into(),
            verdict_url: None,
            request: None,
            retry_after_s: None,
        }
    }

    /// The same, with the time after which another try may help.
    pub fn retry_after(self, seconds: u32) -> Problem {
        Problem { retry_after_s: Some(seconds.max(1)), ..self }
    }

    /// 400: what was sent cannot be read.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 202: it is done once a second person has agreed to this request.
    pub fn waits(request: String) -> Problem {
        let detail = "a second person has to agree: nothing is done yet";
        Problem { request: Some(request.into()), ..Problem::new(StatusCode::ACCEPTED, "waiting", detail) }
    }

    /// 403: the token does not allow it.
    pub fn forbidden(code: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, code, detail)
    }

    /// 404: there is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 503: as much is being done as can be.
    pub fn overloaded() -> Problem {
        let detail = "as many events wait to be judged as may";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail).retry_after(1)
    }

    /// 503: the process is about to end, or has not begun.
    pub fn stopping() -> Problem {
        let detail = "nothing is judged at the moment: the process ends or begins";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", detail).retry_after(2)
    }

    /// 503: a service that is needed is away.
    pub fn unavailable(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after(2)
    }

    /// 500: our fault. What exactly is in the log alone.
    pub fn internal() -> Problem {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the call failed: the log of refguard says why")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Some(request) = &self.request {
            let waiting = serde_json::json!({"request": request, "state": self.code, "detail": self.detail});
            return (status, axum::Json(waiting)).into_response();
        }
        let retry_after_s = self.retry_after_s;
        let body = serde_json::to_vec(&self).expect("a problem is plain text and numbers");
        let mut response = (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"refguard\""));
        }
        response
    }
}
