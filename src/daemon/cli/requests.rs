//! `refguard requests`: what one person has asked for and a second one has to agree to.

use serde_json::{Value, json};

use super::Failure;
use super::client::{Reach, cell, part, show};
use super::failure::say;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Shows requests, those that wait for a second person unless another state is named.
    List(List),
    /// Agrees to one that somebody else has asked for: it is done then.
    Approve(Decide),
    /// Refuses one that somebody else has asked for.
    Reject(Decide),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    reach: Reach,
    /// `waiting`, `approved`, `done` or `rejected`.
    #[arg(long, value_name = "STATE", default_value = "waiting")]
    state: String,
}

#[derive(Debug, clap::Args)]
struct Decide {
    #[command(flatten)]
    reach: Reach,
    /// Its id.
    id: String,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::List(List { reach, state }) => {
            let requests = reach.client()?.get(&format!("/v1/requests?state={}", part(state)))?;
            let heads = ["ID", "STATE", "WHAT", "TO WHAT", "PROGRAM", "DETAIL", "ASKED BY", "ASKED", "DECIDED BY"];
            show(requests.as_array().map_or(&[], Vec::as_slice), heads, |request: &Value| {
                ["id", "state", "action", "subject", "program", "detail", "asked_by", "asked", "decided_by"]
                    .map(|name| cell(&request[name]))
            })
        }
        Command::Approve(Decide { reach, id }) => {
            reach.client()?.post(&format!("/v1/requests/{}/approve", part(id)), &json!({}))?;
            say(&format!("request {id} is done\n"));
            Ok(())
        }
        Command::Reject(Decide { reach, id }) => {
            reach.client()?.post(&format!("/v1/requests/{}/reject", part(id)), &json!({}))?;
            say(&format!("request {id} is refused\n"));
            Ok(())
        }
    }
}
