//! `/v1/accounts/{id}`: what a customer may be told, and all that is kept about a person.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::decisions::{Subject, reach_names};
use super::holds::HoldView;
use super::tokens::time;
use crate::engine::{DecisionCause, Dossier, Engine, Hold, HoldParty, HoldsWanted, KeptFeature, KnownFact, Standing};
use crate::event::{SubjectKind, Verdict};
use crate::records::audit::Act;
use crate::records::token::Scope;
use crate::ruleset::program::OnExpiry;
use crate::serve::auth::Caller;
use crate::serve::customer::{CustomerTexts, InLanguages};
use crate::serve::{Api, Problem};

/// Holds that are told of an account, at most.
const HOLDS_MAX: usize = 100;

/// Which program.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct OfProgram {
    /// The program.
    #[serde(default = "default_program")]
    #[param(default = "default", required = false)]
    program: String,
}

fn default_program() -> String {
    "default".to_owned()
}

/// What a customer may be told of an account. It says what is stopped, since when and until when, and what to do; it never says how
/// that was found out.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct AccountView {
    /// The program.
    program: String,
    /// The account.
    account_id: String,
    /// The gravest of `reasons` and `holds`: `clear` (nothing is stopped), `verify`, `held` or `stopped`.
    state: &'static str,
    /// What stands on the account: the gravest first, then the oldest.
    reasons: Vec<Stop>,
    /// Rewards of the account that wait for a review, the earliest review first; at most a hundred.
    holds: Vec<HeldReward>,
}

/// A reward that waits for a review.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct HeldReward {
    /// Names it, as `hold_id` of the verdict.
    hold_id: String,
    /// The type of event that asked for it.
    #[serde(rename = "type")]
    kind: String,
    /// The reward.
    reward_id: Option<String>,
    /// The kind of reward.
    reward_kind: Option<String>,
    /// The referral.
    referral_id: Option<String>,
    /// The code of what the customer is told.
    #[schema(example = "under_review")]
    code: String,
    /// Since when.
    #[schema(format = DateTime)]
    since: String,
    /// By when somebody is to have looked at it.
    #[schema(format = DateTime)]
    review_by: String,
    /// Until when at most; `null`: until somebody has looked at it.
    #[schema(format = DateTime)]
    until: Option<String>,
    /// What the customer is told, by language.
    texts: InLanguages,
}

/// Something that an account waits for, or cannot do.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::serve) struct Stop {
    /// `verify`: the customer has to show who it is. `held`: a person looks at it. `stopped`: refused.
    state: &'static str,
    /// The code of what the customer is told.
    #[schema(example = "under_review")]
    code: String,
    /// For what it counts: `everywhere`, `where_value_moves` (rewards, redemptions, payouts), or types of events.
    on: Vec<String>,
    /// Since when.
    #[schema(format = DateTime)]
    since: String,
    /// Until when at most; `null`: until somebody has looked at it.
    #[schema(format = DateTime)]
    until: Option<String>,
    /// What the customer is told, by language: `en`, `ar`, and those that are configured.
    texts: InLanguages,
}

/// A cause, as far as a customer has to do with it.
struct Told {
    verdict: Verdict,
    code: Option<String>,
    on: Vec<String>,
    since_ms: i64,
    until_ms: Option<i64>,
}

fn state_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow | Verdict::Flag => "clear",
        Verdict::Challenge => "verify",
        Verdict::Hold => "held",
        Verdict::Block => "stopped",
    }
}

/// What stops an account, with the codes of the rules that decided it, as far as they are in force.
fn told(engine: &mut Engine, program: &str, account: &str, now_ms: i64) -> Vec<Told> {
    if engine.only_observes(program) {
        return Vec::new();
    }
    let standing = engine.check(program, &[(SubjectKind::Account, account.to_owned())], None, now_ms);
    let rules = engine.rules();
    let of = |cause: DecisionCause| {
        let rule = cause.rule().and_then(|id| rules.rules.iter().find(|rule| rule.id == id));
        Told {
            verdict: cause.verdict,
            code: rule.and_then(|rule| rule.customer.clone()),
            on: reach_names(&cause.reach),
            since_ms: cause.created_ms,
            until_ms: cause.expires_ms,
        }
    };
    let mut causes: Vec<DecisionCause> = standing.into_iter().flat_map(|standing| standing.causes).collect();
    // The word of a person beats the rest.
    if causes.iter().any(DecisionCause::is_override) {
        causes.retain(DecisionCause::is_override);
    }
    causes.into_iter().map(of).filter(|told| told.verdict >= Verdict::Challenge).collect()
}

/// What is told: causes of which the customer is told the same are one, from the first's begin to the last's end, so that their number
/// gives nothing away.
fn stops(mut told: Vec<Told>, texts: &CustomerTexts) -> Vec<Stop> {
    told.sort_by_key(|told| (std::cmp::Reverse(told.verdict), told.since_ms));
    let mut stops: Vec<(Stop, Option<i64>)> = Vec::new();
    for Told { verdict, code, on, since_ms, until_ms } in told {
        let (code, languages) = texts.told(code.as_deref(), verdict);
        let state = state_name(verdict);
        let same = |(stop, _): &&mut (Stop, _)| stop.state == state && stop.code == code && stop.on == on;
        match stops.iter_mut().find(same) {
            Some((stop, last_ms)) => {
                *last_ms = last_ms.zip(until_ms).map(|(one, other)| one.max(other));
                stop.until = last_ms.map(time);
            }
            None => {
                let (since, until) = (time(since_ms), until_ms.map(time));
                let (code, texts) = (code.to_owned(), languages.clone());
                stops.push((Stop { state, code, on, since, until, texts }, until_ms));
            }
        }
    }
    stops.into_iter().map(|(stop, _)| stop).collect()
}

/// Whether a hold keeps back what an account is to get.
fn keeps_from(hold: &Hold, account: &str) -> bool {
    let (gets, invites) = (*hold.event.account == *account, *hold.event.referrer == *account);
    match hold.party {
        HoldParty::Account | HoldParty::Referee => gets,
        HoldParty::Referrer => invites,
        HoldParty::Both => gets || invites,
    }
}

/// The open holds of events that name an account, as account or as referrer; the engine is asked page by page, so that nobody waits for
/// it long.
async fn all_holds(api: &Api, program: &str, account: &str) -> Result<Vec<Hold>, Problem> {
    let (mut found, mut behind) = (Vec::new(), None);
    loop {
        let (program, account) = (program.to_owned(), Some(account.to_owned()));
        let wanted = HoldsWanted { program, account, behind, count: HOLDS_MAX };
        let (page, next) = api.ask(move |engine| engine.open_holds(&wanted)).await?;
        found.extend(page);
        if next.is_none() || found.len() >= HOLDS_MAX {
            found.truncate(HOLDS_MAX);
            return Ok(found);
        }
        behind = next;
    }
}

impl HeldReward {
    fn of(hold: &Hold, texts: &CustomerTexts) -> HeldReward {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        // Of several rules the one that gave the most by itself speaks.
        let spoken = hold.rules.iter().filter(|rule| !rule.customer.is_empty());
        let spoken = spoken.max_by_key(|rule| (rule.action, rule.score)).map(|rule| &*rule.customer);
        let (code, languages) = texts.told(spoken, Verdict::Hold);
        HeldReward {
            hold_id: hold.id(),
            kind: hold.event.kind.to_string(),
            reward_id: given(&hold.event.reward),
            reward_kind: given(&hold.event.reward_kind),
            referral_id: given(&hold.event.referral),
            code: code.to_owned(),
            since: time(hold.created_ms),
            review_by: time(hold.review_by_ms),
            until: (hold.on_expiry != OnExpiry::Keep).then(|| time(hold.review_by_ms)),
            texts: languages.clone(),
        }
    }
}

/// What a path and a query say, of a token that may ask.
fn asked(
    caller: &Caller,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<OfProgram>, QueryRejection>,
) -> Result<(String, String), Problem> {
    let Path(account) = path.map_err(|rejection| Problem::bad_request("bad_path", rejection.body_text()))?;
    let Query(OfProgram { program }) =
        query.map_err(|rejection| Problem::bad_request("bad_query", rejection.body_text()))?;
    caller.speaks_for_program(&program)?;
    Ok((program, account))
}

/// Tells what a customer may be told of an account: what is stopped, since when, until when, and what to do.
///
/// For support, and for an app that shows it. An account that nothing is known of is `clear`, so that nobody learns by this call which
/// accounts there are.
#[utoipa::path(
    get,
    path = "/v1/accounts/{id}",
    operation_id = "account",
    tag = "accounts",
    security(("token" = ["accounts:read"])),
    params(("id" = String, Path, description = "The account, percent-encoded."), OfProgram),
    responses((status = 200, description = "As of now.", body = AccountView))
)]
pub(in crate::serve) async fn account(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<OfProgram>, QueryRejection>,
) -> Result<Json<AccountView>, Problem> {
    caller.needs(Scope::AccountsRead)?;
    let (program, account_id) = asked(&caller, path, query)?;
    let now_ms = (api.clocks.wall_ms)();
    let of = (program.clone(), account_id.clone());
    let told = api.ask(move |engine| told(engine, &of.0, &of.1, now_ms)).await?;
    let mut held = all_holds(&api, &program, &account_id).await?;
    held.retain(|hold| keeps_from(hold, &account_id));
    let verdicts = told.iter().map(|told| told.verdict).chain((!held.is_empty()).then_some(Verdict::Hold));
    let state = state_name(verdicts.max().unwrap_or_default());
    let reasons = stops(told, &api.customer_texts);
    let holds = held.iter().map(|hold| HeldReward::of(hold, &api.customer_texts)).collect();
    Ok(Json(AccountView { program, account_id, state, reasons, holds }))
}

/// All that is kept about an account and can be found by its id.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct AccountExport {
    /// The program.
    program: String,
    /// The account.
    account_id: String,
    /// The newest event time, as of which the rest is told; `null`: there was no event yet.
    #[schema(format = DateTime)]
    as_of: Option<String>,
    /// What stands on it; `null`: nothing.
    decision: Option<Subject>,
    /// What of it waits for a review; at most a hundred.
    holds: Vec<HoldView>,
    /// What is remembered of it.
    facts: Facts,
    /// What was counted under its id alone.
    features: Vec<FeatureOf>,
}

/// What is remembered of an account: what some loaded rule reads.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(in crate::serve) struct Facts {
    /// When it was first seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    first_seen: Option<String>,
    /// When it was last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    last_seen: Option<String>,
    /// When its customer last did something.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    last_active: Option<String>,
    /// When it was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    opened_at: Option<String>,
    /// When it was referred.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    referred_at: Option<String>,
    /// Who invited it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    referrer: Option<String>,
    /// Where it was last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    place: Option<PlaceOf>,
}

/// A place.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct PlaceOf {
    /// Degrees, WGS 84.
    latitude: f64,
    /// Degrees, WGS 84.
    longitude: f64,
    /// When it was there.
    #[schema(format = DateTime)]
    at: Option<String>,
}

/// What a feature counted.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct FeatureOf {
    /// Its name.
    feature: String,
    /// The field of events that the account's id stood in: as which party it was counted.
    field: &'static str,
    /// What is computed.
    aggregate: &'static str,
    /// The value; of texts only how many, since they are kept as hashes.
    #[schema(value_type = serde_json::Value)]
    value: Box<RawValue>,
    /// Whether nothing of it was summarised or refused.
    exact: bool,
}

impl Facts {
    fn of(known: &[(&'static str, KnownFact)], referrer: Option<String>) -> Facts {
        let find = |name: &str| known.iter().find(|(of, _)| *of == name).map(|(_, fact)| *fact);
        let instant = |name: &str| match find(name) {
            Some(KnownFact::Time(ms)) => Some(time(ms)),
            _ => None,
        };
        let place = match find("account.place") {
            Some(KnownFact::Place(latitude, longitude)) => {
                Some(PlaceOf { latitude, longitude, at: instant("account.place_time") })
            }
            _ => None,
        };
        Facts {
            first_seen: instant("account.first_seen"),
            last_seen: instant("account.last_seen"),
            last_active: instant("account.last_active"),
            opened_at: instant("account.opened_at"),
            referred_at: instant("account.referred_at"),
            referrer,
            place,
        }
    }
}

impl FeatureOf {
    fn of(kept: KeptFeature) -> Option<FeatureOf> {
        let KeptFeature { feature, field, aggregate, value, exact } = kept;
        let value = RawValue::from_string(String::from_utf8(value).ok()?).ok()?;
        Some(FeatureOf { feature, field, aggregate, value, exact })
    }
}

/// Exports all that is kept about a person and can be found by the account's id; the audit trail notes it.
///
/// What an account has together with a device, an address or a card is kept under hashes of both, and cannot be found by the account; it leaves
/// with its window. Verdicts and events that were sent on are in your topics.
#[utoipa::path(
    get,
    path = "/v1/accounts/{id}/export",
    operation_id = "export_account",
    tag = "accounts",
    security(("token" = ["accounts:export"])),
    params(("id" = String, Path, description = "The account, percent-encoded."), OfProgram),
    responses((status = 200, description = "As of the newest event.", body = AccountExport))
)]
pub(in crate::serve) async fn export(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<OfProgram>, QueryRejection>,
) -> Result<Json<AccountExport>, Problem> {
    caller.needs(Scope::AccountsExport)?;
    let (program, account_id) = asked(&caller, path, query)?;
    let detail = serde_json::json!({"program": program}).to_string();
    let (at_ms, actor) = ((api.clocks.wall_ms)(), caller.actor());
    let act = Act { at_ms, actor: &actor, action: "account.export", subject: &account_id, detail };
    let record = api.records.note(&act).await.map_err(|error| Api::records_away(&error))?;
    tracing::info!(
        by = caller.id(),
        audit = record.number,
        hash = record.hash,
        "exports what is kept about an account"
    );
    let (of, everywhere) = ((program.clone(), account_id.clone()), caller.speaks_for_all_programs());
    let kept = move |engine: &mut Engine| (engine.dossier(&of.0, &of.1, everywhere), engine.only_observes(&of.0));
    let (kept, only_observes) = api.ask(kept).await?;
    let held = all_holds(&api, &program, &account_id).await?;
    let Dossier { as_of_ms, decision, facts, referrer, features } = kept;
    Ok(Json(AccountExport {
        program,
        account_id,
        as_of: as_of_ms.map(time),
        decision: decision.map(|record| Subject::new(Standing::from(record), only_observes)),
        holds: held.into_iter().map(HoldView::from).collect(),
        facts: Facts::of(&facts, referrer),
        features: features.into_iter().filter_map(FeatureOf::of).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(verdict: Verdict, code: &str, since_ms: i64, until_ms: Option<i64>) -> Told {
        let on = vec!["where_value_moves".to_owned()];
        Told { verdict, code: Some(code.to_owned()), on, since_ms, until_ms }
    }

    #[test]
    fn causes_that_are_told_alike_are_one_from_begin_to_end() {
        let told = vec![
            cause(Verdict::Challenge, "verify_identity", 1000, Some(2000)),
            cause(Verdict::Hold, "under_review", 5000, Some(9000)),
            cause(Verdict::Hold, "no such code", 3000, Some(7000)),
            cause(Verdict::Block, "self_referral", 8000, Some(9000)),
            cause(Verdict::Block, "self_referral", 9000, None),
        ];
        let stops = stops(told, &CustomerTexts::default());
        let seen: Vec<_> =
            stops.iter().map(|stop| (stop.state, &*stop.code, &*stop.since, stop.until.as_deref())).collect();
        let expected = [
            ("stopped", "self_referral", "1970-01-01T00:00:08.000Z", None),
            ("held", "under_review", "1970-01-01T00:00:03.000Z", Some("1970-01-01T00:00:09.000Z")),
            ("verify", "verify_identity", "1970-01-01T00:00:01.000Z", Some("1970-01-01T00:00:02.000Z")),
        ];
        assert_eq!(seen, expected);
        assert!(stops.iter().all(|stop| stop.texts.contains_key("en") && stop.texts.contains_key("ar")));
    }
}
