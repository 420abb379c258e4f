//! `refguard lists`: the lists that people keep over the API, and their entries.

use serde_json::{Value, json};

use super::Failure;
use super::client::{Client, Reach, cell, part, show};
use super::failure::say;

/// Entries of one answer.
const PAGE: usize = 1000;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Shows the managed lists that rules name.
    List(Reach),
    /// Shows the entries of one.
    Entries(Entries),
    /// Puts an entry in, or changes the one of the same value.
    Put(Put),
    /// Takes an entry out.
    Delete(Delete),
}

#[derive(Debug, clap::Args)]
struct Entries {
    #[command(flatten)]
    reach: Reach,
    /// The name of the list.
    name: String,
}

#[derive(Debug, clap::Args)]
struct Put {
    #[command(flatten)]
    reach: Reach,
    /// The name of the list.
    name: String,
    /// What is put in: a text, a domain, a network or a date, as the list's kind is.
    value: String,
    /// Who answers for it.
    #[arg(long)]
    owner: String,
    /// Why it is there.
    #[arg(long)]
    reason: String,
    /// From when on it counts no more, in RFC 3339. Without it, it stays until it is taken out.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Delete {
    #[command(flatten)]
    reach: Reach,
    /// The name of the list.
    name: String,
    /// What is taken out.
    value: String,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::List(reach) => {
            let lists = reach.client()?.get("/v1/lists")?;
            show(lists.as_array().map_or(&[], Vec::as_slice), ["LIST", "KIND", "ENTRIES"], |list: &Value| {
                ["name", "kind", "entries"].map(|name| cell(&list[name]))
            })
        }
        Command::Entries(Entries { reach, name }) => {
            let entries = entries(&reach.client()?, name)?;
            show(&entries, ["VALUE", "OWNER", "REASON", "BY", "CREATED", "EXPIRES"], |entry: &Value| {
                ["value", "owner", "reason", "by", "created", "expires"].map(|name| cell(&entry[name]))
            })
        }
        Command::Put(Put { reach, name, value, owner, reason, expires }) => {
            let wanted = json!({"value": value, "owner": owner, "reason": reason, "expires": expires});
            let put = reach.client()?.put(&path(name), &wanted)?;
            say(&format!("{} is in the list {name}\n", cell(&put["value"])));
            Ok(())
        }
        Command::Delete(Delete { reach, name, value }) => {
            reach.client()?.delete(&format!("{}?value={}", path(name), part(value)))?;
            say(&format!("{value} is no longer in the list {name}\n"));
            Ok(())
        }
    }
}

fn path(name: &str) -> String {
    format!("/v1/lists/{}/entries", part(name))
}

/// All entries, page by page.
fn entries(client: &Client, name: &str) -> Result<Vec<Value>, Failure> {
    let (mut entries, mut after) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{}?limit={PAGE}{after}", path(name)))?;
        entries.extend(page["entries"].as_array().into_iter().flatten().cloned());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={}", part(next)),
            None => return Ok(entries),
        }
    }
}
