//! `refguard holds`: what waits for a review, and how reviews end.

use serde_json::{Value, json};

use super::Failure;
use super::client::{Reach, cell, pages, part, show};
use super::failure::say;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Shows the holds that wait for a review, the oldest review first.
    List(List),
    /// Lets what is held go: the reward may be paid.
    Release(End),
    /// Blocks what is held for good.
    Uphold(End),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    reach: Reach,
    /// The program.
    #[arg(long, value_name = "PROGRAM", default_value = "default")]
    program: String,
    /// Only those of this account, or of whom it has invited.
    #[arg(long, value_name = "ID")]
    account: Option<String>,
}

#[derive(Debug, clap::Args)]
struct End {
    #[command(flatten)]
    reach: Reach,
    /// Its id, as `hold_id` of a verdict; again for more.
    #[arg(required = true)]
    id: Vec<String>,
    /// Why: whoever looks at it later reads this.
    #[arg(long)]
    reason: String,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::List(List { reach, program, account }) => {
            let account = account.as_ref().map(|id| format!("&account_id={}", part(id))).unwrap_or_default();
            let path = format!("/v1/holds?program={}{account}", part(program));
            let holds = pages(&reach.client()?, &path, "holds")?;
            let heads = ["ID", "REVIEW BY", "THEN", "ACCOUNT", "PARTY", "TYPE", "AMOUNT", "RULES"];
            show(&holds, heads, |hold: &Value| {
                let of = |value: &Value| cell(value);
                let event = &hold["event"];
                let rules: Vec<String> =
                    hold["rules"].as_array().into_iter().flatten().map(|of| cell(&of["id"])).collect();
                let amount = match &event["amount_minor"] {
                    Value::Null => "-".to_owned(),
                    amount => format!("{amount} {}", cell(&event["currency"])),
                };
                let then = if hold["overdue"] == true { "overdue".to_owned() } else { of(&hold["on_expiry"]) };
                let [id, review_by, party] = ["id", "review_by", "party"].map(|name| of(&hold[name]));
                [id, review_by, then, of(&event["account_id"]), party, of(&event["type"]), amount, rules.join(" ")]
            })
        }
        Command::Release(of) => end(of, "release", "released"),
        Command::Uphold(of) => end(of, "uphold", "upheld"),
    }
}

/// Ends each; one that cannot be is told, and keeps none of the others from its end.
fn end(End { reach, id, reason }: &End, call: &str, done: &str) -> Result<(), Failure> {
    let client = reach.client()?;
    let mut refused = Ok(());
    for id in id {
        match client.post(&format!("/v1/holds/{}/{call}", part(id)), &json!({"reason": reason})) {
            Ok(ended) => {
                say(&format!("{done} {}: the verdict is {} now\n", cell(&ended["id"]), cell(&ended["verdict"])))
            }
            Err(failure) => {
                say(&format!("not {done} {id}:\n"));
                if let Err(before) = std::mem::replace(&mut refused, Err(failure)) {
                    Failure::tell(&before);
                }
            }
        }
    }
    refused
}
