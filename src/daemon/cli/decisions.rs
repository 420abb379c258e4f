//! `refguard decisions`: who stands under a decision of a running daemon, and what becomes of it.

mod watch;

use serde_json::{Map, Value, json};

use super::Failure;
use super::client::{Reach, cell, part, show};

/// Subjects of one answer.
const PAGE: usize = 1000;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Shows the subjects of a program under a decision.
    List(List),
    /// Tells what stands on subjects, given as fields of an event; nothing is counted.
    Check(Check),
    /// Follows the log of decisions: what stands, then every change, a line of JSON each. It goes on by itself when the
    /// connection is lost, and compares its sum with the daemon's at each heartbeat.
    Watch(watch::Arguments),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    reach: Reach,
    /// The program.
    #[arg(long, value_name = "PROGRAM", default_value = "default")]
    program: String,
    /// Only subjects of this kind, such as `account`.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only this subject, as an event would write it.
    #[arg(long, value_name = "ID", requires = "kind")]
    id: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Check {
    #[command(flatten)]
    reach: Reach,
    /// The program.
    #[arg(long, value_name = "PROGRAM", default_value = "default")]
    program: String,
    /// The type of event that is about to come, such as `reward.requested`; without it, whatever type.
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Fields of the event, such as `account_id=a1` or `email=ann@example.com`.
    #[arg(value_name = "FIELD=VALUE", required = true)]
    fields: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::List(list) => {
            let subjects = subjects(list)?;
            show_subjects(&subjects)
        }
        Command::Check(Check { reach, program, event_type, fields }) => {
            let mut wanted = Map::new();
            for field in fields {
                let Some((name, value)) = field.split_once('=') else {
                    let hint = "write a field and its value, such as `account_id=a1`";
                    return Err(Failure::usage(format!("`{field}` is no field with a value"), Some(hint)));
                };
                wanted.insert(name.to_owned(), json!(value));
            }
            wanted.insert("program".to_owned(), json!(program));
            event_type.iter().for_each(|name| drop(wanted.insert("type".to_owned(), json!(name))));
            let checked = reach.client()?.post("/v1/decisions/check", &Value::from(wanted))?;
            show_subjects(checked["subjects"].as_array().map_or(&[], Vec::as_slice))
        }
        Command::Watch(arguments) => watch::run(arguments),
    }
}

/// Every page of what is listed.
fn subjects(List { reach, program, kind, id }: &List) -> Result<Vec<Value>, Failure> {
    let client = reach.client()?;
    let mut query = format!("/v1/decisions?limit={PAGE}&program={}", part(program));
    for (name, value) in [("kind", kind), ("id", id)] {
        if let Some(value) = value {
            query.push_str(&format!("&{name}={}", part(value)));
        }
    }
    let (mut subjects, mut after) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{query}{after}"))?;
        subjects.extend(page["subjects"].as_array().into_iter().flatten().cloned());
        let Some(next) = page["next"].as_str() else { return Ok(subjects) };
        after = format!("&after={}", part(next));
    }
}

fn show_subjects(subjects: &[Value]) -> Result<(), Failure> {
    show(subjects, ["KIND", "ID", "VERDICT", "RULES", "UNTIL"], |subject| {
        let of = |name: &str| {
            let causes = subject["causes"].as_array().into_iter().flatten();
            causes.map(|cause| cell(&cause[name])).collect::<Vec<_>>().join(" ")
        };
        [cell(&subject["kind"]), cell(&subject["id"]), cell(&subject["verdict"]), of("rule"), of("expires")]
    })
}
