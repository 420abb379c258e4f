//! `GET /v1/explain/{source}/{id}`: why a verdict was given, from what was recorded when it was.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::asked::{self, OfProgram};
use crate::engine::Why;
use crate::records::token::Scope;
use crate::ruleset::program::RuleSet;
use crate::serve::auth::Caller;
use crate::serve::{Api, Problem};

/// Why a verdict was given.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct Explanation {
    /// Whether what it rested on is still kept. If not, `verdict` is what is remembered of it, and `features` and `decisions` are empty.
    recorded: bool,
    /// The verdict as it was said, with messages and evidence.
    #[schema(value_type = crate::serve::openapi::SaidOrRecalled)]
    verdict: Value,
    /// What it is now.
    current: String,
    /// Every feature that the matched rules read, by name, at the key it was read at.
    features: Vec<FeatureRead>,
    /// The decisions that it met.
    decisions: Vec<DecisionMet>,
    /// The rules that matched, as they are in force now; one that is gone is left out.
    rules: Vec<RuleNow>,
    /// The hash of the rules in force now. Where it is another than that of the verdict, `rules` may have read otherwise then.
    ruleset: String,
}

/// A feature as the event read it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::serve) struct FeatureRead {
    /// Its name.
    feature: String,
    /// What is computed.
    aggregate: String,
    /// The parts of the key that it was read at.
    key: Vec<String>,
    /// Whether that is the event's own key, so that the event itself is counted in.
    own: bool,
    /// The value; of a set its size.
    value: Value,
    /// Whether there was a value for this key.
    known: bool,
    /// Whether nothing of it was summarised or refused.
    exact: bool,
    /// Whether the feature had seen a whole window.
    complete: bool,
}

/// A decision that the event met.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::serve) struct DecisionMet {
    /// Its id.
    id: String,
    /// What it stands on.
    kind: String,
    /// On whom.
    subject: String,
    /// What was decided.
    verdict: String,
    /// By which rule; `null`: a person did.
    rule: Option<String>,
    /// By which person, such as `token:ab2cd3ef4567`.
    by: Option<String>,
    /// When.
    #[schema(format = DateTime)]
    created: String,
    /// Until when; `null`: until somebody ends it.
    #[schema(format = DateTime)]
    expires: Option<String>,
}

/// A rule that matched.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::serve) struct RuleNow {
    /// Its id.
    id: String,
    /// The pack that it stands in.
    pack: String,
    /// One line for people.
    title: String,
    /// Its condition, macros put in.
    when: String,
    /// Its exceptions.
    except: Vec<String>,
    /// Who answers for it.
    owner: Option<String>,
}

/// What was recorded; see [`Why`].
#[derive(Debug, Deserialize)]
struct Recorded {
    verdict: Value,
    features: Vec<FeatureRead>,
    decisions: Vec<DecisionMet>,
}

fn explanation(why: &Why, rules: &RuleSet) -> Result<Explanation, serde_json::Error> {
    let recalled: Value = serde_json::from_slice(&why.recalled)?;
    let current = recalled["current"].as_str().unwrap_or_default().to_owned();
    let recorded: Option<Recorded> = why.recorded.as_deref().map(serde_json::from_slice).transpose()?;
    let is_recorded = recorded.is_some();
    let Recorded { verdict, features, decisions } =
        recorded.unwrap_or_else(|| Recorded { verdict: recalled, features: Vec::new(), decisions: Vec::new() });
    let ids = verdict["rules"].as_array().into_iter().flatten().filter_map(|rule| rule["id"].as_str());
    let rule = |id: &str| {
        let rule = rules.rules.iter().find(|rule| rule.id == id)?;
        Some(RuleNow {
            id: rule.id.clone(),
            pack: rule.pack.clone(),
            title: rule.title.clone(),
            when: rule.when.written(rules),
            except: rule.except.iter().map(|except| except.written(rules)).collect(),
            owner: rule.owner.clone(),
        })
    };
    let rules_now = ids.filter_map(rule).collect();
    let ruleset = rules.hash.clone();
    Ok(Explanation { recorded: is_recorded, verdict, current, features, decisions, rules: rules_now, ruleset })
}

/// Tells why the verdict on an event was given, within `dedup.span`, from what was recorded when it was.
///
/// Recorded are verdicts that are more than a plain `allow`, the newest of them (`http.evidence`). The ids of the events behind each count
/// come from `refguard explain` over a file or a topic, and so does why a rule did not match.
#[utoipa::path(
    get,
    path = "/v1/explain/{source}/{id}",
    operation_id = "explain",
    tag = "rules",
    security(("token" = ["rules:read"])),
    params(
        ("source" = String, Path, description = "The source of the event, percent-encoded: `%2Fshop` for `/shop`."),
        ("id" = String, Path, description = "Its id, percent-encoded."),
        OfProgram,
    ),
    responses(
        (status = 200, description = "Why.", body = Explanation),
        (status = 404, response = crate::serve::openapi::NotFound),
    )
)]
pub(in crate::serve) async fn explain(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<OfProgram>, QueryRejection>,
) -> Result<Json<Explanation>, Problem> {
    caller.needs(Scope::RulesRead)?;
    let (source, id): (String, String) = asked::path(path)?;
    let OfProgram { program } = asked::query(query)?;
    caller.speaks_for_program(&program)?;
    caller.speaks_for_source(&source)?;
    let asked = api
        .ask_of_verdicts(move |engine| Some((engine.why(&program, &source, &id)?, Arc::clone(engine.rules()))))
        .await?;
    let Some((why, rules)) = asked else {
        return Err(Problem::not_found("no verdict on an event of this program, source and id is remembered"));
    };
    let explanation = explanation(&why, &rules).map_err(|error| {
        tracing::error!(%error, "what was recorded of a verdict cannot be read");
        Problem::internal()
    })?;
    Ok(Json(explanation))
}
