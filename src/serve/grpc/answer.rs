//! What a gateway is answered: the request goes on, or the client gets an answer in its place.
//!
//! The client is told the `customer` code of the rule and its texts, and never how anything was found out; the gateway's logs
//! get the decision as well, by which it can be looked up. May import the messages, problems and texts. Invariants: a header of ours is
//! either set or removed on the way on, never both, so that none that a client forged gets through, in whichever order a gateway does
//! the two; what is refused is never stored by caches. Tested below and in `tests/http/ext_authz`.

use axum::http::{StatusCode, header};
use prost_types::{Struct, Value, value};
use serde::Serialize;

use super::messages::{
    CheckResponse, DeniedHttpResponse, HeaderValue, HeaderValueOption, HttpResponse, HttpStatus, OVERWRITE,
    OkHttpResponse, RpcStatus,
};
use crate::event::Verdict;
use crate::serve::customer::{CustomerTexts, InLanguages};
use crate::serve::{MEDIA_TYPE, Problem};
use tonic::Code;

/// The verdict, for the service behind the gateway.
const VERDICT: &str = "refguard-verdict";
/// The code of what the customer may be told, for the service and for the client.
const REASON: &str = "refguard-reason";
/// Says that the verdict was given without state.
const DEGRADED: &str = "refguard-degraded";
/// Asks for a further proof of identity, as RFC 9470 has it.
const STEP_UP: &str =
    "Bearer error=\"insufficient_user_authentication\", error_description=\"a further proof of identity is needed\"";

/// What was found on the subjects of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The program that was asked for.
    pub(super) program: String,
    /// The type of event that the request counts as.
    pub(super) event_type: String,
    /// How many subjects have an id of their kind.
    pub(super) subjects: usize,
    /// What stands on them together.
    pub(super) verdict: Verdict,
    /// Whether nothing is stopped in the program.
    pub(super) is_observed: bool,
    /// The `customer` code of the rule that the verdict comes from.
    pub(super) code: Option<String>,
    /// The decision that the verdict comes from.
    pub(super) decision: Option<String>,
    /// A required field that names nobody.
    pub(super) missing: Option<&'static str>,
}

/// A refusal: a problem, and what the customer is told.
#[derive(Debug, Serialize)]
struct Refusal<'a> {
    #[serde(flatten)]
    problem: &'a Problem,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    texts: Option<&'a InLanguages>,
}

/// An answer, and the status of HTTP that it comes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    pub(super) response: CheckResponse,
    pub(super) status: u16,
}

/// The answer to what was found, where what is at least `deny_from` is refused.
pub(super) fn of(found: &Found, deny_from: Verdict, texts: &CustomerTexts) -> Told {
    let verdict = if found.is_observed { Verdict::Allow } else { found.verdict };
    if let Some(name) = found.missing.filter(|_| !found.is_observed) {
        return refused(&missing(name), None, metadata(found, verdict, None));
    }
    let told = (verdict >= Verdict::Challenge).then(|| texts.told(found.code.as_deref(), verdict));
    let (reason, languages) = told.unzip();
    let metadata = metadata(found, verdict, reason);
    if verdict < deny_from {
        return goes_on(verdict, reason, false, metadata);
    }
    let plain = languages.and_then(|languages| languages.get("en")).map(|text| text.reason.clone());
    let detail = plain.unwrap_or_else(|| "this request is not allowed".to_owned());
    let problem = match verdict {
        Verdict::Challenge => Problem::new(StatusCode::UNAUTHORIZED, "challenged", detail),
        _ => Problem::forbidden("denied", detail),
    };
    refused(&problem, told, metadata)
}

/// The answer where the state cannot be asked.
pub(super) fn without_state(verdict: Verdict) -> Told {
    let fields = [("verdict", text(verdict.name())), ("degraded", Value { kind: Some(value::Kind::BoolValue(true)) })];
    match verdict {
        Verdict::Allow => goes_on(verdict, None, true, structure(fields)),
        _ => {
            let problem = Problem::unavailable("whether this request is allowed cannot be told at the moment");
            refused(&problem, None, structure(fields))
        }
    }
}

/// The answer to a question whose values are more than may be.
pub(super) fn crooked(field: &str) -> Told {
    let problem = Problem::bad_request("too_many_values", format!("the request names too many values of `{field}`"));
    refused(&problem, None, structure([]))
}

fn missing(field: &str) -> Problem {
    Problem::bad_request("missing_subject", format!("the request does not say its `{field}`, or not as such"))
}

fn goes_on(verdict: Verdict, reason: Option<&str>, is_degraded: bool, metadata: Struct) -> Told {
    let ours = [(VERDICT, Some(verdict.name())), (REASON, reason), (DEGRADED, is_degraded.then_some("true"))];
    let headers = ours.iter().filter_map(|(name, value)| Some(set(name, (*value)?))).collect();
    let removed = ours.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| (*name).to_owned());
    let ok = OkHttpResponse { headers, headers_to_remove: removed.collect() };
    let status = RpcStatus { code: Code::Ok as i32, message: String::new() };
    let response = CheckResponse {
        status: Some(status),
        http_response: Some(HttpResponse::Ok(ok)),
        dynamic_metadata: Some(metadata),
    };
    Told { response, status: StatusCode::OK.as_u16() }
}

fn refused(problem: &Problem, told: Option<(&str, &InLanguages)>, metadata: Struct) -> Told {
    let (reason, texts) = told.unzip();
    let body = serde_json::to_string(&Refusal { problem, reason, texts }).expect("a refusal is plain text and numbers");
    let mut headers = vec![
        set(header::CONTENT_TYPE.as_str(), MEDIA_TYPE),
        set(header::CACHE_CONTROL.as_str(), "no-store"),
        set(header::X_CONTENT_TYPE_OPTIONS.as_str(), "nosniff"),
    ];
    headers.extend(reason.map(|reason| set(REASON, reason)));
    headers.extend(problem.retry_after_s.map(|seconds| set(header::RETRY_AFTER.as_str(), &seconds.to_string())));
    let code = if problem.status == StatusCode::UNAUTHORIZED.as_u16() {
        headers.push(set(header::WWW_AUTHENTICATE.as_str(), STEP_UP));
        Code::Unauthenticated
    } else {
        Code::PermissionDenied
    };
    let status = HttpStatus { code: i32::from(problem.status) };
    let denied = DeniedHttpResponse { status: Some(status), headers, body };
    let response = CheckResponse {
        status: Some(RpcStatus { code: code as i32, message: problem.code.to_owned() }),
        http_response: Some(HttpResponse::Denied(denied)),
        dynamic_metadata: Some(metadata),
    };
    Told { response, status: problem.status }
}

/// A header that takes the place of one that is there.
fn set(name: &str, value: &str) -> HeaderValueOption {
    let header = HeaderValue { key: name.to_owned(), value: value.to_owned(), raw_value: Vec::new() };
    HeaderValueOption { header: Some(header), append_action: OVERWRITE }
}

/// What access logs can show.
fn metadata(found: &Found, verdict: Verdict, reason: Option<&str>) -> Struct {
    let subjects = u32::try_from(found.subjects).unwrap_or(u32::MAX);
    let would_be = found.is_observed.then_some(found.verdict.name());
    let optional = [("reason", reason), ("decision", found.decision.as_deref()), ("would_be", would_be)];
    let always = [
        ("verdict", text(verdict.name())),
        ("program", text(&found.program)),
        ("type", text(&found.event_type)),
        ("subjects", Value { kind: Some(value::Kind::NumberValue(f64::from(subjects))) }),
    ];
    structure(always.into_iter().chain(optional.into_iter().filter_map(|(name, value)| Some((name, text(value?))))))
}

fn text(of: &str) -> Value {
    Value { kind: Some(value::Kind::StringValue(of.to_owned())) }
}

fn structure(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Struct {
    Struct { fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(verdict: Verdict) -> Found {
        Found { verdict, subjects: 2, code: Some("self_referral".to_owned()), ..Found::default() }
    }

    fn sets_and_removes(told: &Told) -> (Vec<(String, String)>, Vec<String>) {
        let (headers, removed) = match told.response.http_response.as_ref().expect("there is one") {
            HttpResponse::Ok(ok) => (&ok.headers, ok.headers_to_remove.clone()),
            HttpResponse::Denied(denied) => (&denied.headers, Vec::new()),
        };
        let pair = |option: &HeaderValueOption| {
            assert_eq!(option.append_action, OVERWRITE);
            option.header.as_ref().map(|header| (header.key.clone(), header.value.clone()))
        };
        (headers.iter().filter_map(pair).collect(), removed)
    }

    #[test]
    fn each_header_of_ours_is_set_or_removed() {
        let texts = CustomerTexts::default();
        let going = [
            of(&found(Verdict::Allow), Verdict::Hold, &texts),
            of(&found(Verdict::Challenge), Verdict::Hold, &texts),
            of(&Found { is_observed: true, ..found(Verdict::Block) }, Verdict::Challenge, &texts),
            without_state(Verdict::Allow),
        ];
        for told in going {
            let (set, removed) = sets_and_removes(&told);
            let mut all: Vec<String> = set.into_iter().map(|(name, _)| name).chain(removed).collect();
            all.sort();
            assert_eq!((all, told.status), (vec![DEGRADED.to_owned(), REASON.to_owned(), VERDICT.to_owned()], 200));
        }
    }

    #[test]
    fn what_is_refused_depends_on_the_verdict_and_on_what_was_chosen() {
        let texts = CustomerTexts::default();
        for (verdict, deny_from, status) in [
            (Verdict::Flag, Verdict::Challenge, 200),
            (Verdict::Challenge, Verdict::Challenge, 401),
            (Verdict::Challenge, Verdict::Hold, 200),
            (Verdict::Hold, Verdict::Hold, 403),
            (Verdict::Hold, Verdict::Block, 200),
            (Verdict::Block, Verdict::Block, 403),
        ] {
            let told = of(&found(verdict), deny_from, &texts);
            assert_eq!(told.status, status, "{verdict:?} from {deny_from:?}");
            let (set, _) = sets_and_removes(&told);
            let asks = set.iter().any(|(name, value)| name == "www-authenticate" && value.starts_with("Bearer error="));
            assert_eq!(asks, status == 401, "{verdict:?}");
            let is_told = set.iter().any(|(name, value)| name == REASON && value == "self_referral");
            assert_eq!(is_told, verdict >= Verdict::Challenge, "{verdict:?}");
        }
        let missing = |is_observed| Found { missing: Some("account_id"), is_observed, ..Found::default() };
        assert_eq!(of(&missing(false), Verdict::Hold, &texts).status, 400);
        assert_eq!(of(&missing(true), Verdict::Hold, &texts).status, 200, "nothing is stopped there");
        assert_eq!((without_state(Verdict::Hold).status, without_state(Verdict::Allow).status), (503, 200));
    }
}
