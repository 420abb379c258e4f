//! `refguard rules`: the rules in force, and how they are doing.

use serde_json::{Value, json};

use super::Failure;
use super::client::{Reach, cell, show};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    reach: Reach,
    /// The features instead: which have seen a whole window, and what they keep.
    #[arg(long)]
    features: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let told = arguments.reach.client()?.get("/v1/rules")?;
    let list = |name: &str| told[name].as_array().cloned().unwrap_or_default();
    if arguments.features {
        let heads = ["FEATURE", "COMPLETE", "KEYS", "SUMMARISED", "SATURATED"];
        return show(&list("features"), heads, |feature: &Value| {
            ["name", "complete", "keys", "summarised_keys", "saturated"].map(|name| cell(&feature[name]))
        });
    }
    let ruleset = &told["ruleset"];
    let rules: Vec<Value> = list("rules")
        .into_iter()
        .map(|mut rule| {
            rule["ruleset"] = json!(ruleset);
            rule
        })
        .collect();
    let heads = ["RULE", "MODE", "ACTION", "SCORE", "MATCHES", "IN SHADOW", "ERRORS", "COST", "BREAKERS", "PACK"];
    show(&rules, heads, |rule: &Value| {
        ["id", "mode", "action", "score", "matches", "shadow_matches", "errors", "cost", "breakers_open", "pack"]
            .map(|name| cell(&rule[name]))
    })
}
