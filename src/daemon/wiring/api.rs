//! The API, from its configuration.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::daemon::config::{Config, HttpAllowance, HttpGrpcDeny, HttpGrpcOrigin, HttpTls, Millis, OnStateUnavailable};
use crate::engine::EngineOptions;
use crate::event::Verdict;
use crate::event::mapping::Mapping;
use crate::serve::{
    Allowance, Bounds, ConnectionOptions, FieldOrigin, Gateway, GatewayOptions, Limits, Origin, Reading, StreamOptions,
    TlsFiles, subject_fields,
};

/// The source whose events come by the API; `None`: the API is not served.
pub fn inbox_name(config: &Config) -> Option<&String> {
    config.sources.iter().find(|(_, source)| source.http.is_some()).map(|(name, _)| name)
}

/// How its events are built.
pub fn inbox_mapping(config: &Config) -> Option<Mapping> {
    let source = inbox_name(config).and_then(|name| config.sources.get(name))?;
    source.mapping.as_ref().map(|mapping| mapping.0.clone())
}

/// Its certificates; `None`: it speaks plain HTTP.
pub fn tls_files(config: &Config) -> Option<TlsFiles> {
    certificates(&config.http.tls, "http.tls", b"http/1.1")
}

fn certificates(of: &HttpTls, setting: &'static str, protocol: &'static [u8]) -> Option<TlsFiles> {
    let (certificate, key) = (of.certificate.clone()?, of.key.clone()?);
    Some(TlsFiles { certificate, key, client_ca: of.client_ca.clone(), setting, protocol })
}

/// Where gateways are answered; `None`: nowhere.
pub fn gateway(config: &Config) -> Option<Gateway> {
    let of = &config.http.grpc;
    let listen = of.listen.as_ref()?.0.clone();
    let field = |name: &'static str| {
        let origin = origin(of.fields.get(name)?);
        Some(FieldOrigin { name, origin, is_required: of.required.iter().any(|required| required == name) })
    };
    let fields = subject_fields().filter_map(field).collect();
    let options = GatewayOptions {
        reading: Reading { program: origin(&of.program), event_type: origin(&of.event_type), fields },
        deny_from: match of.deny_from {
            HttpGrpcDeny::Challenge => Verdict::Challenge,
            HttpGrpcDeny::Hold => Verdict::Hold,
            HttpGrpcDeny::Block => Verdict::Block,
        },
        message_bytes_max: usize::try_from(of.max_message.0).unwrap_or(usize::MAX),
        answer_timeout: span(of.answer_timeout),
        calls_max: count(of.max_calls.0),
    };
    Some(Gateway { listen, tls: certificates(&of.tls, "http.grpc.tls", b"h2"), options })
}

/// Where a value is. A configuration that loaded says one place; the address of the connection is the one that is left.
fn origin(of: &HttpGrpcOrigin) -> Origin {
    let HttpGrpcOrigin { header, hop, cookie, query, extension, constant, .. } = of;
    match (header, hop, cookie, query, extension, constant) {
        (Some(name), Some(hop), ..) => Origin::Hop(name.to_ascii_lowercase(), count(hop.0)),
        (Some(name), None, ..) => Origin::Header(name.to_ascii_lowercase()),
        (_, _, Some(name), ..) => Origin::Cookie(name.clone()),
        (_, _, _, Some(name), ..) => Origin::Query(name.clone()),
        (_, _, _, _, Some(name), _) => Origin::Extension(name.clone()),
        (.., Some(value)) => Origin::Const(value.clone()),
        _ => Origin::Peer,
    }
}

/// What the engine keeps for whoever asks by it: what verdicts rested on, and whom and what events are about. Of the latter a sixteenth
/// of the state, and so little that one look at all of it is short.
pub fn asked_options(config: &Config, options: EngineOptions) -> EngineOptions {
    const NAMED_BYTES_MAX: usize = 256 << 20;
    const SHARE: usize = 16;
    if inbox_name(config).is_none() {
        return options;
    }
    let evidence_bytes = usize::try_from(config.http.evidence.0).unwrap_or(usize::MAX);
    let named_bytes = (options.state_max_bytes / SHARE).min(NAMED_BYTES_MAX);
    EngineOptions { evidence_bytes, named_bytes, ..options }
}

/// What bounds its connections.
pub fn connection_options(config: &Config) -> ConnectionOptions {
    let of = &config.http;
    ConnectionOptions {
        connections_max: count(of.max_connections.0),
        head_timeout: span(of.head_timeout),
        write_timeout: span(of.body_timeout),
        drain: Duration::from_secs(5),
    }
}

/// What bounds a call.
pub fn bounds(config: &Config) -> Bounds {
    let of = &config.http;
    Bounds {
        body_bytes_max: usize::try_from(of.max_body.0).unwrap_or(usize::MAX),
        body_timeout: span(of.body_timeout),
        answer_timeout: span(of.answer_timeout),
        degraded_after: span(of.degraded_after),
        without_state: match config.policy.on_state_unavailable {
            OnStateUnavailable::FailOpen => Verdict::Allow,
            OnStateUnavailable::FailClosed => Verdict::Hold,
        },
    }
}

/// What bounds streams.
pub fn stream_options(config: &Config) -> StreamOptions {
    StreamOptions {
        heartbeat: span(config.decisions.heartbeat),
        subscribers_max: count(config.decisions.subscribers.0),
    }
}

/// How much each may ask.
pub fn limits(config: &Config) -> Limits {
    let of = &config.http.limits;
    let wrong = u32::try_from(of.wrong_tokens_per_minute.0).unwrap_or(u32::MAX);
    Limits::new(allowance(&of.token), allowance(&of.address), wrong)
}

fn allowance(of: &HttpAllowance) -> Allowance {
    let number = |of: u64| NonZeroU32::new(u32::try_from(of).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN);
    Allowance {
        calls_per_second: number(of.calls_per_second.0.unsigned_abs()),
        calls_burst: number(of.burst.0.unsigned_abs()),
        bytes_per_second: number(of.bytes_per_second.0),
    }
}

fn span(of: Millis) -> Duration {
    Duration::from_millis(of.0.unsigned_abs())
}

fn count(of: i64) -> usize {
    usize::try_from(of).unwrap_or(usize::MAX)
}
