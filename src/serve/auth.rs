//! Who asks, and whether they may.
//!
//! Tokens are looked up in memory: the records are read again every second, so that what another instance revokes ends here
//! too, and at once after a change of our own. Invariants: a call is answered in the same way whether an id is unknown, its
//! secret wrong, or the token ended; no token is written anywhere.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, RwLock};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};

use super::connection::Peer;
use super::{Api, Problem};
use crate::records::token::{Scope, Secret, Token};

/// A token that counts, and when it was used.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) token: Token,
    used_ms: AtomicI64,
    /// What of that the records have.
    told_ms: AtomicI64,
}

/// The tokens as the records had them last.
#[derive(Debug, Default)]
pub(super) struct Tokens(RwLock<HashMap<String, Arc<Known>>>);

impl Tokens {
    /// Takes what the records have.
    pub(super) fn replace(&self, tokens: Vec<Token>) {
        let mut known = self.0.write().expect(UNBROKEN);
        let next = tokens.into_iter().map(|token| {
            let before = known.get(&token.id);
            let of = |pick: fn(&Known) -> &AtomicI64| before.map_or(0, |known| pick(known).load(Ordering::Relaxed));
            let used_ms = AtomicI64::new(of(|known| &known.used_ms));
            let told_ms = AtomicI64::new(of(|known| &known.told_ms));
            (token.id.clone(), Arc::new(Known { token, used_ms, told_ms }))
        });
        *known = next.collect();
    }

    /// When tokens were used, where the records do not have it yet.
    pub(super) fn used(&self) -> Vec<(String, i64)> {
        let known = self.0.read().expect(UNBROKEN);
        let mut used: Vec<(String, i64)> = Vec::new();
        for (id, known) in known.iter().collect::<std::collections::BTreeMap<_, _>>() {
            let used_ms = known.used_ms.load(Ordering::Relaxed);
            if used_ms > known.told_ms.swap(used_ms, Ordering::Relaxed) {
                used.push((id.clone(), used_ms));
            }
        }
        used
    }

    /// Whether a token still counts.
    pub(super) fn is_live(&self, id: &str, now_ms: i64) -> bool {
        self.0.read().expect(UNBROKEN).get(id).is_some_and(|known| known.token.is_live(now_ms))
    }

    fn find(&self, presented: &Secret, now_ms: i64) -> Option<Arc<Known>> {
        let known = self.0.read().expect(UNBROKEN).get(presented.id()).cloned()?;
        (known.token.fits(presented.bytes()) && known.token.is_live(now_ms)).then_some(known)
    }
}

const UNBROKEN: &str = "no thread panics while it holds the tokens";

/// Somebody whose token counts.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    known: Arc<Known>,
    /// Where the call comes from.
    pub(super) address: IpAddr,
}

impl Caller {
    /// The token's id.
    pub(super) fn id(&self) -> &str {
        &self.known.token.id
    }

    /// How the audit trail names the caller.
    pub(super) fn actor(&self) -> String {
        format!("token:{}", self.id())
    }

    /// The programs that the token speaks for; `None`: all.
    pub(super) fn programs(&self) -> Option<&[String]> {
        let programs = &self.known.token.programs;
        (!self.known.token.is_for_all_programs()).then_some(programs)
    }

    /// Refuses a token without a scope.
    pub(super) fn needs(&self, scope: Scope) -> Result<(), Problem> {
        if self.known.token.allows(scope) {
            return Ok(());
        }
        Err(Problem::forbidden("scope", format!("this token has no scope `{}`", scope.name())))
    }

    /// Refuses a token that does not speak for a program.
    pub(super) fn speaks_for_program(&self, program: &str) -> Result<(), Problem> {
        if self.known.token.is_for_program(program) {
            return Ok(());
        }
        Err(Problem::forbidden("program", "this token does not speak for the program of the event"))
    }

    /// Whether the token speaks for every program, those that nobody has heard of too.
    pub(super) fn speaks_for_all_programs(&self) -> bool {
        self.known.token.is_for_all_programs()
    }

    /// Refuses a token that does not speak for a source of events.
    pub(super) fn speaks_for_source(&self, source: &str) -> Result<(), Problem> {
        if self.known.token.is_for_source(source) {
            return Ok(());
        }
        Err(Problem::forbidden("source", "this token does not speak for the source of the event"))
    }
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Caller, Problem> {
        let address = parts.extensions.get::<Peer>().map(|peer| peer.0.ip()).ok_or_else(Problem::internal)?;
        let now_ms = (api.clocks.wall_ms)();
        api.limits.may_try(address, now_ms).map_err(|reached| api.limited(reached))?;
        let Some(presented) = bearer(parts) else {
            return Err(unauthorized("this call needs a token: `Authorization: Bearer rfg_...`"));
        };
        let known = Secret::parse(presented).and_then(|presented| api.live.tokens.find(&presented, now_ms));
        let Some(known) = known else {
            if api.limits.note_wrong(address, now_ms) {
                api.note_guessing(address, now_ms).await;
            }
            return Err(unauthorized("this token is not known, has expired, or was revoked"));
        };
        known.used_ms.fetch_max(now_ms, Ordering::Relaxed);
        api.limits.call_with(&known.token.id).map_err(|reached| api.limited(reached))?;
        Ok(Caller { known, address })
    }
}

/// The token that a call carries: in one header, of the scheme `Bearer`.
fn bearer(parts: &Parts) -> Option<&str> {
    let mut headers = parts.headers.get_all(header::AUTHORIZATION).iter();
    let (Some(only), None) = (headers.next(), headers.next()) else { return None };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
}
