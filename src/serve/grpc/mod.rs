//! gRPC for gateways: Envoy's external authorization, by which a gateway obeys refguard without code, and health checks.
//!
//! It asks the engine what stands on the subjects of a request, as `POST /v1/decisions/check` does: nothing is counted and no
//! rule is evaluated. Who may ask, how much, and what is written of it is the API's own. Two kinds of failure are kept apart: a question that refguard
//! cannot take (its token, its size, its rate, an end that has begun) is an error of gRPC, and the gateway's configuration says what
//! becomes of the request; one that it cannot answer for want of state is answered by `policy.on_state_unavailable`, at once where
//! as many wait as may. Invariants: who asks is told by the call's own metadata, never by the headers of the request that is asked
//! about; whatever waits is bounded. Tested in `tests/http/ext_authz`, through what Envoy publishes.

mod answer;
mod messages;
mod reading;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use tokio::sync::{Semaphore, watch};
use tonic::server::{Grpc, NamedService};
use tonic::{Code, Status};
use tonic_health::ServingStatus;
use tonic_prost::ProstCodec;

use super::auth::Caller;
use super::calls::decisions::kinds_of;
use super::connection::{ConnectionOptions, Peer, Speaks};
use super::port::Port;
use super::{Api, Problem, connection, input};
use crate::engine::{DecisionCause, Engine};
use crate::event::Verdict;
use crate::records::token::Scope;
use answer::{Found, Told};
use messages::{CheckRequest, CheckResponse};
use reading::Asked;

pub use reading::{FieldOrigin, Origin, PROGRAM_EXTENSION, Reading, TYPE_EXTENSION};

/// The service.
const SERVICE: &str = "envoy.service.auth.v3.Authorization";
/// Its one method, as a path and as the route of metrics.
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
/// What is before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
/// How long a call may take in all beside what is waited for below.
const ANSWER_SLACK: Duration = Duration::from_secs(10);
/// The settings that name what kept an answer from its state, where no service is known to be away.
const PATIENCE_SETTING: &str = "http.grpc.answer_timeout";
const ROOM_SETTING: &str = "http.grpc.max_calls";

/// How gateways are answered.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// How their questions are read.
    pub reading: Reading,
    /// From which verdict on a request is refused.
    pub deny_from: Verdict,
    /// Bytes of a question, at most.
    pub message_bytes_max: usize,
    /// How long the engine may take.
    pub answer_timeout: Duration,
    /// How many questions may wait for the engine.
    pub calls_max: usize,
}

/// What answers gateways.
struct Gateways {
    api: Arc<Api>,
    options: GatewayOptions,
    room: Semaphore,
}

/// The name of the service, for its health.
struct Authorization;

impl NamedService for Authorization {
    const NAME: &'static str = SERVICE;
}

/// The status of an answer in terms of HTTP, for who counts it.
#[derive(Clone, Copy, Debug)]
struct Counted(u16);

/// Serves until `stop` says so, and then what is under way.
pub(super) async fn serve(
    port: Port,
    api: Arc<Api>,
    gateways: GatewayOptions,
    options: ConnectionOptions,
    stop: watch::Receiver<bool>,
) {
    let Port { listener, tls, .. } = port;
    let (health, service) = tonic_health::server::health_reporter();
    health.set_serving::<Authorization>().await;
    let room = Semaphore::new(gateways.calls_max);
    let gateways = Arc::new(Gateways { api, options: gateways, room });
    let router = Router::new()
        .route(CHECK, post(check))
        .route_service("/grpc.health.v1.Health/{method}", service)
        .fallback(async || Status::unimplemented("there is no such call").into_http::<Body>())
        .method_not_allowed_fallback(async || Status::unimplemented("gRPC is by POST").into_http::<Body>())
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&gateways), guard))
        .with_state(gateways);
    let mut told = stop.clone();
    let ends = async move {
        drop(told.wait_for(|stop| *stop).await);
        end_health(health).await;
    };
    tokio::join!(connection::serve(listener, tls, router, Speaks::Http2, options, stop), ends);
}

/// Whoever watches is told that it ends, and then that there is no more to come, so that nobody's stream holds up the end.
async fn end_health(mut health: tonic_health::server::HealthReporter) {
    for name in ["", SERVICE] {
        health.set_service_status(name, ServingStatus::NotServing).await;
    }
    tokio::task::yield_now().await;
    for name in ["", SERVICE] {
        health.clear_service_status(name).await;
    }
}

/// Around every call: the address's limit, a bound of time, a panic that ends nothing else.
async fn guard(State(gateways): State<Arc<Gateways>>, request: Request, next: Next) -> Response {
    let api = &gateways.api;
    let is_check = request.uri().path() == CHECK;
    let address = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let allowed = address.map_or(Ok(()), |address| api.limits.call_from(address));
    let bound = api.bounds.body_timeout + gateways.options.answer_timeout + ANSWER_SLACK;
    let response = match allowed {
        Err(reached) => failed(&api.limited(reached)),
        Ok(()) => match tokio::time::timeout(bound, tokio::spawn(next.run(request))).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => failed(&Problem::internal()),
            Err(_) => failed(&Problem::unavailable("the answer took too long")),
        },
    };
    if is_check {
        api.observer.answered(CHECK, status_of(&response));
    }
    response
}

/// The status to be counted: that of the answer, else the one that an error of gRPC comes to.
fn status_of(response: &Response) -> u16 {
    if let Some(Counted(status)) = response.extensions().get() {
        return *status;
    }
    let code = response.headers().get("grpc-status").map_or(Code::Unknown, |code| Code::from_bytes(code.as_bytes()));
    let status = match code {
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::REQUEST_TIMEOUT,
        Code::InvalidArgument | Code::Unimplemented | Code::OutOfRange => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    status.as_u16()
}

/// A problem as an error of gRPC.
fn failed(problem: &Problem) -> Response {
    status(problem).into_http::<Body>()
}

fn status(problem: &Problem) -> Status {
    let code = match StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR) {
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::REQUEST_TIMEOUT => Code::DeadlineExceeded,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        StatusCode::BAD_REQUEST => Code::InvalidArgument,
        _ => Code::Internal,
    };
    Status::new(code, format!("{}: {}", problem.code, problem.detail))
}

/// Answers a gateway.
async fn check(State(gateways): State<Arc<Gateways>>, request: Request) -> Response {
    let begun = (gateways.api.clocks.monotonic)();
    match taken(&gateways, request).await {
        Err(problem) => failed(&problem),
        Ok((caller, request)) => {
            let answering = Arc::clone(&gateways);
            let answer = tower::service_fn(move |question: tonic::Request<CheckRequest>| {
                let (gateways, caller) = (Arc::clone(&answering), caller.clone());
                async move { answered(&gateways, &caller, question.get_ref()).await.map_err(|problem| status(&problem)) }
            });
            let codec = ProstCodec::<CheckResponse, CheckRequest>::default();
            let max = gateways.options.message_bytes_max;
            let response = Grpc::new(codec).max_decoding_message_size(max).unary(answer, request).await;
            gateways.api.observer.authorized((gateways.api.clocks.monotonic)().saturating_duration_since(begun));
            response.into_response()
        }
    }
}

/// Who asks, and the question as it came: nothing of it is read before it is known who sends it.
async fn taken(gateways: &Gateways, request: Request) -> Result<(Caller, Request), Problem> {
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, &gateways.api).await?;
    caller.needs(Scope::DecisionsRead)?;
    let max = (gateways.options.message_bytes_max + PREFIX_BYTES, "http.grpc.max_message");
    let bytes = input::bytes(body, &parts.headers, &caller, &gateways.api, max).await?;
    Ok((caller, Request::from_parts(parts, Body::from(bytes))))
}

async fn answered(
    gateways: &Gateways,
    caller: &Caller,
    question: &CheckRequest,
) -> Result<tonic::Response<CheckResponse>, Problem> {
    let told = match gateways.options.reading.read(question, kinds_of) {
        Err(reading::TooMany(field)) => answer::crooked(field),
        Ok(asked) => {
            caller.speaks_for_program(&asked.program)?;
            told(gateways, asked).await?
        }
    };
    let mut response = tonic::Response::new(told.response);
    response.extensions_mut().insert(Counted(told.status));
    Ok(response)
}

/// What is told of a question that may be asked.
async fn told(gateways: &Gateways, asked: Asked) -> Result<Told, Problem> {
    let Gateways { api, options, room } = gateways;
    let now_ms = (api.clocks.wall_ms)();
    let kept_by = match room.try_acquire() {
        Err(_) => ROOM_SETTING,
        Ok(_place) => {
            let found = api.ask(move |engine| find(engine, asked, now_ms));
            match tokio::time::timeout(options.answer_timeout, found).await {
                Ok(Ok(found)) => return Ok(answer::of(&found, options.deny_from, &api.customer_texts)),
                Ok(Err(problem)) if problem.code == "stopping" => return Err(problem),
                Ok(Err(problem)) if problem.code == "overloaded" => ROOM_SETTING,
                Ok(Err(_)) | Err(_) => PATIENCE_SETTING,
            }
        }
    };
    let away = (api.away)().into_iter().next();
    api.observer.degraded(away.as_deref().unwrap_or(kept_by), 1);
    Ok(answer::without_state(api.bounds.without_state))
}

/// What stands on the subjects, and the cause that says so: the gravest, of a person if there is one.
fn find(engine: &mut Engine, asked: Asked, now_ms: i64) -> Found {
    let Asked { program, event_type, fields } = asked;
    let mut found = Found { is_observed: engine.only_observes(&program), ..Found::default() };
    let mut causes: Vec<DecisionCause> = Vec::new();
    for field in fields {
        let standing = engine.check(&program, &field.subjects, Some(&event_type), now_ms);
        if field.is_required && standing.is_empty() {
            found.missing.get_or_insert(field.name);
        }
        found.subjects += standing.len();
        causes.extend(standing.into_iter().flat_map(|standing| standing.causes));
    }
    if let Some(cause) = causes.iter().max_by_key(|cause| (cause.is_override(), cause.verdict)) {
        let rules = &engine.rules().rules;
        let rule = cause.rule().and_then(|id| rules.iter().find(|rule| rule.id == id));
        found.verdict = cause.verdict;
        found.code = rule.and_then(|rule| rule.customer.clone());
        found.decision = Some(cause.id.clone());
    }
    Found { program, event_type, ..found }
}
