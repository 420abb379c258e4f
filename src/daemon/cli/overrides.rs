//! `refguard overrides`: the word of a person on a subject.

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
    /// Shows the overrides that stand.
    List(List),
    /// Allows or blocks a subject, whatever rules, scores and decisions say.
    Put(Put),
    /// Takes the override on a subject away.
    Delete(Delete),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    reach: Reach,
    /// The program.
    #[arg(long, value_name = "PROGRAM", default_value = "default")]
    program: String,
    /// Only those on subjects of this kind, such as `account`.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Put {
    #[command(flatten)]
    of: Of,
    /// `allow` or `block`.
    verdict: String,
    /// Why: whoever looks at it later reads this.
    #[arg(long)]
    reason: String,
    /// When it ends, in RFC 3339. Without it, it stays until it is taken away.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Delete {
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, clap::Args)]
struct Of {
    #[command(flatten)]
    reach: Reach,
    /// The program.
    #[arg(long, value_name = "PROGRAM", default_value = "default")]
    program: String,
    /// What the subject is, such as `account` or `email`.
    kind: String,
    /// Its id, as an event would write it.
    id: String,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::List(List { reach, program, kind }) => {
            let kind = kind.as_ref().map(|kind| format!("&kind={}", part(kind))).unwrap_or_default();
            let path = format!("/v1/overrides?program={}{kind}", part(program));
            let overrides = pages(&reach.client()?, &path, "overrides")?;
            show(&overrides, ["KIND", "ID", "VERDICT", "EXPIRES", "BY", "CREATED", "REASON"], |of: &Value| {
                ["kind", "id", "verdict", "expires", "by", "created", "reason"].map(|name| cell(&of[name]))
            })
        }
        Command::Put(Put { of, verdict, reason, expires }) => {
            let Of { reach, program, kind, id } = of;
            let wanted = json!({"program": program, "kind": kind, "id": id, "verdict": verdict, "reason": reason,
                "expires": expires});
            let put = reach.client()?.put("/v1/overrides", &wanted)?;
            say(&format!("{} {}: {} from here on\n", cell(&put["kind"]), cell(&put["id"]), cell(&put["verdict"])));
            Ok(())
        }
        Command::Delete(Delete { of: Of { reach, program, kind, id } }) => {
            let path = format!("/v1/overrides?program={}&kind={}&id={}", part(program), part(kind), part(id));
            reach.client()?.delete(&path)?;
            say(&format!("{kind} {id}: what rules decide counts again\n"));
            Ok(())
        }
    }
}
