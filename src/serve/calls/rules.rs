//! `GET /v1/rules`: the rules in force, and how they are doing.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::engine::Engine;
use crate::records::token::Scope;
use crate::ruleset::cost;
use crate::serve::auth::Caller;
use crate::serve::{Api, Problem};

/// The rule set in force.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct Rules {
    /// Its hash, which stands on every verdict.
    #[schema(pattern = "^[0-9a-f]{12}$")]
    ruleset: String,
    /// By id; those that are off too.
    rules: Vec<RuleView>,
    /// By name.
    features: Vec<FeatureView>,
}

/// A rule.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct RuleView {
    /// Its id.
    id: String,
    /// The pack that it stands in.
    pack: String,
    /// One line for people.
    title: String,
    /// The types of event that it judges.
    on: Vec<String>,
    /// `enforce`, `shadow` or `off`.
    mode: &'static str,
    /// The verdict that it gives by itself; `null`: its score alone counts.
    action: Option<&'static str>,
    /// What it adds to an event's score.
    score: u32,
    /// How bad a match is.
    severity: &'static str,
    /// `fraud`, or `limit`.
    kind: &'static str,
    /// Who answers for it.
    owner: Option<String>,
    /// Free words.
    tags: Vec<String>,
    /// What it can cost at most for one event, in steps and entries of state.
    cost: u64,
    /// Matches that counted, since the start of the process.
    matches: u64,
    /// Matches that moved nothing.
    shadow_matches: u64,
    /// Conditions that erred on an event.
    errors: u64,
    /// In how many programs its breaker is open.
    breakers_open: usize,
}

/// A feature.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct FeatureView {
    /// Its name.
    name: String,
    /// Whether it has seen a whole window.
    complete: bool,
    /// Keys that it remembers.
    keys: usize,
    /// Those that had more entries than `max_entries`.
    summarised_keys: usize,
    /// Whether new keys are refused, since the state is near its bound.
    saturated: bool,
}

/// Tells the rules in force: what each is, how often it matched, what it costs, and which features have seen a whole window.
#[utoipa::path(
    get,
    path = "/v1/rules",
    operation_id = "rules",
    tag = "rules",
    security(("token" = ["rules:read"])),
    responses((status = 200, description = "As of now.", body = Rules))
)]
pub(in crate::serve) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<Rules>, Problem> {
    caller.needs(Scope::RulesRead)?;
    let max_entries = api.max_entries;
    Ok(Json(api.ask(move |engine| Rules::of(engine, max_entries)).await?))
}

impl Rules {
    fn of(engine: &mut Engine, max_entries: u32) -> Rules {
        let size = engine.size();
        let complete: Vec<bool> = engine.complete_features().collect();
        let set = engine.rules();
        let rule = |(place, rule): (usize, &crate::ruleset::program::Rule)| {
            let [matches, shadow_matches] = engine.tally().rule_matches[place];
            let open = engine.open_breakers().find(|(of, _)| *of == place);
            RuleView {
                id: rule.id.clone(),
                pack: rule.pack.clone(),
                title: rule.title.clone(),
                on: rule.on.iter().map(|of| set.type_name(*of).to_owned()).collect(),
                mode: rule.mode.name(),
                action: rule.action.map(|verdict| verdict.name()),
                score: rule.score,
                severity: rule.severity.name(),
                kind: rule.kind.name(),
                owner: rule.owner.clone(),
                tags: rule.tags.clone(),
                cost: cost::of(set, rule, max_entries).total(),
                matches,
                shadow_matches,
                errors: engine.tally().rule_errors[place],
                breakers_open: open.map_or(0, |(_, programs)| programs),
            }
        };
        let features = size.features.iter().zip(complete).map(|(size, complete)| FeatureView {
            name: size.feature.clone(),
            complete,
            keys: size.keys,
            summarised_keys: size.truncated_keys,
            saturated: size.saturated,
        });
        Rules {
            ruleset: set.hash.clone(),
            rules: set.rules.iter().enumerate().map(rule).collect(),
            features: features.collect(),
        }
    }
}
