//! The routes, and their description as an OpenAPI document, from the code that answers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApiBuilder};
use utoipa::{IntoResponses, ToResponse, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes as route;

use super::connection::Peer;
use super::{Api, MEDIA_TYPE, Problem, calls};

/// How long an answer may take in all: longer than whatever is waited for below.
const ANSWER_SLACK: Duration = Duration::from_secs(10);
/// The page that describes the API.
const DESCRIPTION: &str = "/openapi.json";

/// An event as docs/events.md has it.
#[derive(Debug, ToSchema)]
pub(super) struct Event;

/// What is remembered of a verdict.
#[derive(Debug, ToSchema)]
pub(super) struct Recalled;

/// A verdict as it was said, or what is remembered of it.
#[derive(Debug, ToSchema)]
pub(super) struct SaidOrRecalled;

/// A verdict, or one for each event of a batch.
#[derive(Debug, ToSchema)]
pub(super) struct VerdictOrBatch;

/// Declares problems that several calls answer with.
macro_rules! problems {
    ($($name:ident $text:literal;)*) => {$(
        #[doc = $text]
        #[derive(Debug, ToResponse)]
        #[response(description = $text, content_type = "application/problem+json")]
        pub(super) struct $name(#[expect(dead_code, reason = "the macro of the description reads it")] Problem);
    )*
        /// Their names and meanings.
        const PROBLEMS: &[(&str, &str)] = &[$((stringify!($name), $text),)*];
    };
}

problems! {
    NotFound "There is no such thing.";
    BodyTimeout "The body did not come in time.";
    IdReused "The source and id name an earlier event with other data.";
    TooLarge "It is longer than may be.";
    UnsupportedMediaType "It is of no type that this call takes.";
    Invalid "It is readable, and not valid.";
    EndedBefore "It has ended before, otherwise, or an override blocks what it holds.";
    Full "There is as much of it as may be.";
    Unknown "What came of it is not known in time. It is done all the same, and doing it again changes nothing.";
    Deadline "No verdict came in time. It comes all the same: fetch it at `verdict_url`, or ask again.";
}

/// How the body of a call is refused.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "the macro of the description reads it")]
pub(super) enum BodyRefusals {
    #[response(status = 408)]
    BodyTimeout(#[ref_response] BodyTimeout),
    #[response(status = 413)]
    TooLarge(#[ref_response] TooLarge),
    #[response(status = 415)]
    UnsupportedMediaType(#[ref_response] UnsupportedMediaType),
    #[response(status = 422)]
    Invalid(#[ref_response] Invalid),
}

/// What every call may answer beside its own.
const COMMON: [(&str, &str, &str); 6] = [
    ("400", "BadRequest", "It cannot be read."),
    ("401", "Unauthorized", "There is no token that counts."),
    ("403", "Forbidden", "The token has not the scope, the program or the source."),
    ("429", "RateLimited", "More than this token or address may ask; `Retry-After` says when to try again."),
    ("500", "Internal", "Our fault; the log says why."),
    (
        "503",
        "Unavailable",
        "As much waits as may, a service is away, or the process ends; `Retry-After` says when to try again.",
    ),
];

fn open_routes() -> OpenApiRouter<Arc<Api>> {
    let info = InfoBuilder::new()
        .title("refguard")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Verdicts on the events of loyalty and referral programs, before a reward is paid."));
    let mut document = OpenApiBuilder::new().info(info.build()).build();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("rfg_ID_SECRET").build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    OpenApiRouter::with_openapi(document)
        .routes(route!(calls::ingest::ingest))
        .routes(route!(calls::evaluate::evaluate))
        .routes(route!(calls::verdicts::verdict))
        .routes(route!(calls::decisions::check))
        .routes(route!(calls::decisions::list))
        .routes(route!(calls::lift::lift))
        .routes(route!(calls::accounts::account))
        .routes(route!(calls::accounts::export))
        .routes(route!(calls::stream::follow))
        .routes(route!(calls::holds::list))
        .routes(route!(calls::holds::release))
        .routes(route!(calls::holds::uphold))
        .routes(route!(calls::overrides::list, calls::overrides::put, calls::overrides::delete))
        .routes(route!(calls::lists::lists))
        .routes(route!(calls::lists::entries, calls::lists::put, calls::lists::delete))
        .routes(route!(calls::requests::list))
        .routes(route!(calls::requests::approve))
        .routes(route!(calls::requests::reject))
        .routes(route!(calls::rules::list))
        .routes(route!(calls::explain::explain))
        .routes(route!(calls::tokens::list, calls::tokens::create))
        .routes(route!(calls::tokens::revoke))
        .routes(route!(calls::audit::audit))
}

/// The description of the API: an OpenAPI 3.1 document. The schemas of events and verdicts are those that `refguard schema`
/// prints.
pub fn description(event: &Value, verdict: &Value) -> Value {
    let (_, document) = open_routes().split_for_parts();
    let mut document = serde_json::to_value(document).expect("a description is plain data");
    let schemas = &mut document["components"]["schemas"];
    schemas["Event"] = without_dialect(event);
    schemas["Verdict"] = without_dialect(verdict);
    schemas["Recalled"] = recalled(verdict);
    schemas["Waiting"] = json!({"type": "object", "required": ["request", "state", "detail"], "properties": {
        "request": {"type": "string", "description": "Its id, for whoever decides."},
        "state": {"const": "waiting"},
        "detail": {"type": "string"},
    }});
    schemas["SaidOrRecalled"] = json!({"anyOf": [
        {"$ref": "#/components/schemas/Verdict"},
        {"$ref": "#/components/schemas/Recalled"},
    ]});
    schemas["VerdictOrBatch"] = json!({"oneOf": [
        {"$ref": "#/components/schemas/Verdict"},
        {"type": "array", "items": {"oneOf": [
            {"$ref": "#/components/schemas/Verdict"},
            {"$ref": "#/components/schemas/Problem"},
        ]}},
    ]});
    let problem = json!({"$ref": "#/components/schemas/Problem"});
    for (name, text) in
        COMMON.iter().map(|(_, name, text)| (name, text)).chain(PROBLEMS.iter().map(|(name, text)| (name, text)))
    {
        let response = &mut document["components"]["responses"][name];
        response["description"] = json!(text);
        response["content"] = json!({MEDIA_TYPE: {"schema": problem}});
        if ["RateLimited", "Unavailable"].contains(name) {
            response["headers"] = json!({"Retry-After": {"schema": {"type": "integer", "minimum": 1},
                "description": "Seconds after which another try may help."}});
        }
    }
    let operations = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    for operation in operations.filter_map(Value::as_object_mut).flat_map(|path| path.values_mut()) {
        if operation["responses"]["504"]["$ref"] == "#/components/responses/Unknown" {
            operation["responses"]["202"] = json!({
                "description": "It takes a second person (`policy.four_eyes`): nothing is done yet.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Waiting"}}},
            });
        }
        for (status, name, _) in COMMON {
            operation["responses"][status] = json!({"$ref": format!("#/components/responses/{name}")});
        }
    }
    document
}

/// The routes and their methods, as the description has them.
pub fn routes() -> Vec<(String, Vec<String>)> {
    let document = description(&json!({}), &json!({}));
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .map(|(path, methods)| {
            (path.clone(), methods.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect())
        })
        .collect()
}

fn without_dialect(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(members) = schema.as_object_mut() {
        members.remove("$schema");
        members.remove("$id");
    }
    schema
}

/// What is remembered of a verdict: some of its members.
fn recalled(verdict: &Value) -> Value {
    let members = [
        "specversion",
        "event_id",
        "source",
        "program",
        "verdict",
        "current",
        "cause",
        "score",
        "rules",
        "decisions",
        "created",
        "hold_id",
    ];
    let mut properties: serde_json::Map<String, Value> =
        members.iter().map(|name| ((*name).to_owned(), verdict["properties"][*name].clone())).collect();
    for name in ["late", "over_quota", "would_be"] {
        properties.insert(name.to_owned(), verdict["properties"][name].clone());
    }
    json!({"type": "object", "required": members, "properties": properties})
}

/// What answers.
pub(super) fn router(api: Arc<Api>) -> Router {
    let (mut router, _) = open_routes().split_for_parts();
    if api.with_constant {
        router = router.route(calls::constant::PATH, post(calls::constant::constant));
    }
    router
        .route(
            DESCRIPTION,
            get(async |State(api): State<Arc<Api>>| {
                ([(header::CONTENT_TYPE, "application/json")], api.description.clone())
            }),
        )
        .fallback(async || Problem::not_found("there is no such call"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path has no such method")
        })
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&api), guard))
        .with_state(api)
}

/// Around every call: the address's limit, a bound of time, a panic that ends nothing else, the headers of every answer.
async fn guard(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    // Its end may be somewhere else for whoever stands between, so that what follows could be somebody else's request.
    let is_chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
    let address = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let allowed = address.map_or(Ok(()), |address| api.limits.call_from(address));
    let bound = api.bounds.body_timeout + api.bounds.answer_timeout + ANSWER_SLACK;
    let mut response = match allowed {
        Err(reached) => api.limited(reached).into_response(),
        // A task of its own: it goes on to its end though the client leaves, and a panic ends it alone.
        Ok(()) => match tokio::time::timeout(bound, tokio::spawn(next.run(request))).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => Problem::internal().into_response(),
            Err(_) => Problem::unavailable("the answer took too long").into_response(),
        },
    };
    let headers = response.headers_mut();
    if is_chunked {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    api.observer.answered(route_name(path.as_deref()), response.status().as_u16());
    response
}

/// A route as metrics name it.
fn route_name(path: Option<&str>) -> &'static str {
    ROUTES.iter().copied().find(|route| path == Some(*route)).unwrap_or("other")
}

/// The routes by name. A test holds them to be those of the description.
const ROUTES: &[&str] = &[
    "/v1/events",
    "/v1/evaluate",
    "/v1/verdicts/{source}/{id}",
    "/v1/decisions/check",
    "/v1/decisions",
    "/v1/decisions/lift",
    "/v1/accounts/{id}",
    "/v1/accounts/{id}/export",
    "/v1/decisions/stream",
    "/v1/holds",
    "/v1/holds/{id}/release",
    "/v1/holds/{id}/uphold",
    "/v1/overrides",
    "/v1/lists",
    "/v1/lists/{name}/entries",
    "/v1/requests",
    "/v1/requests/{id}/approve",
    "/v1/requests/{id}/reject",
    "/v1/rules",
    "/v1/explain/{source}/{id}",
    "/v1/tokens",
    "/v1/tokens/{id}",
    "/v1/audit",
    DESCRIPTION,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_a_name_in_metrics_and_every_operation_a_scope() {
        let mut named: Vec<&str> = ROUTES.iter().copied().filter(|route| *route != DESCRIPTION).collect();
        let routes = routes();
        let mut described: Vec<&str> = routes.iter().map(|(path, _)| path.as_str()).collect();
        named.sort_unstable();
        described.sort_unstable();
        assert_eq!(named, described);
        let document = description(&json!({}), &json!({}));
        for (path, methods) in routes {
            for method in methods {
                let operation = &document["paths"][&path][&method];
                let scopes = operation["security"][0]["token"].as_array().expect("an operation names its scope");
                let scope = scopes[0].as_str().expect("a scope is a text");
                assert!(scope.parse::<crate::records::token::Scope>().is_ok(), "{method} {path}: {scope}");
                assert!(!operation["operationId"].is_null(), "{method} {path}");
            }
        }
    }
}
