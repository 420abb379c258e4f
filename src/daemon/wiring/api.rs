//! The API, from its configuration.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::daemon::config::{Config, HttpAllowance, Millis, OnStateUnavailable};
use crate::engine::EngineOptions;
use crate::event::Verdict;
use crate::event::mapping::Mapping;
use crate::serve::{Allowance, Bounds, ConnectionOptions, Limits, StreamOptions, TlsFiles};

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
    let of = &config.http.tls;
    let (certificate, key) = (of.certificate.clone()?, of.key.clone()?);
    Some(TlsFiles { certificate, key, client_ca: of.client_ca.clone() })
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
