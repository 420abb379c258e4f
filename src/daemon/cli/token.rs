//! `refguard token`: who may ask the daemon what.

use serde_json::{Value, json};

use super::Failure;
use super::client::{Reach, cell, part, show};
use super::failure::say;
use crate::daemon::wiring;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Makes a token and prints it: it is shown this once.
    Create(Create),
    /// Shows tokens, those that count no more too; never a secret.
    List(Reach),
    /// Ends a token, at once.
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
struct Create {
    #[command(flatten)]
    reach: Reach,
    /// What people call it.
    #[arg(long)]
    name: String,
    /// What it allows, such as `evaluate`; again for more. docs/http.md has them.
    #[arg(long, value_name = "SCOPE", required = true)]
    scope: Vec<String>,
    /// The program it speaks for; again for more, `*` for all.
    #[arg(long, value_name = "PROGRAM", default_value = "default")]
    program: Vec<String>,
    /// The source of events it speaks for; again for more, `*` for all. Without it, it sends and asks about none.
    #[arg(long, value_name = "SOURCE")]
    source: Vec<String>,
    /// From when on it counts no more, in RFC 3339. Without it, it ends when it is revoked.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Revoke {
    #[command(flatten)]
    reach: Reach,
    /// Its id.
    id: String,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Create(create) => {
            let Create { reach, name, scope, program, source, expires } = create;
            let wanted =
                json!({"name": name, "scopes": scope, "programs": program, "sources": source, "expires": expires});
            let made = reach.client()?.post("/v1/tokens", &wanted)?;
            let mut out = wiring::stdout();
            out.write("", cell(&made["secret"]).as_bytes())?;
            out.flush()?;
            say(&format!("made token {}; it is not shown again\n", cell(&made["token"]["id"])));
            Ok(())
        }
        Command::List(reach) => {
            let tokens = reach.client()?.get("/v1/tokens")?;
            let heads = ["ID", "NAME", "SCOPES", "PROGRAMS", "SOURCES", "EXPIRES", "LAST USED", "STATE"];
            show(tokens.as_array().map_or(&[], Vec::as_slice), heads, |token: &Value| {
                let state = if token["revoked"].is_null() { "live" } else { "revoked" };
                let of = |name: &str| cell(&token[name]);
                let [id, name, scopes, programs, sources, expires, used] =
                    ["id", "name", "scopes", "programs", "sources", "expires", "last_used"].map(of);
                [id, name, scopes, programs, sources, expires, used, state.to_owned()]
            })
        }
        Command::Revoke(Revoke { reach, id }) => {
            reach.client()?.delete(&format!("/v1/tokens/{}", part(id)))?;
            say(&format!("revoked token {id}\n"));
            Ok(())
        }
    }
}
