//! `refguard audit`: what people and tokens have done, and whether anybody has changed the trail.

use serde_json::{Value, json};

use super::Failure;
use super::client::{Client, Reach, cell, show};
use super::failure::say;
use crate::records::audit::{Chain, Record};
use crate::serve::AuditRecord;

/// Records of one answer.
const PAGE: i64 = 1000;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Shows the trail, oldest first.
    List(List),
    /// Follows the chain of hashes from the first record to the newest; exit code 1 if it is broken.
    Verify(Verify),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    reach: Reach,
    /// Only records behind this number.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: i64,
}

#[derive(Debug, clap::Args)]
struct Verify {
    #[command(flatten)]
    reach: Reach,
    /// A hash that was noted before, such as the daemon logs it: it must stand in the trail, so that a trail whose end was cut
    /// off is found out too.
    #[arg(long, value_name = "HASH")]
    noted: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::List(List { reach, after }) => {
            let client = reach.client()?;
            let mut records: Vec<Value> = Vec::new();
            each_page(&client, *after, |page| {
                records.extend(page.iter().map(|record| json!(record)));
                Ok(())
            })?;
            show(&records, ["NUMBER", "AT (MS)", "WHO", "WHAT", "TO WHAT", "DETAIL"], |record| {
                ["number", "at_ms", "actor", "action", "subject", "detail"].map(|name| cell(&record[name]))
            })
        }
        Command::Verify(Verify { reach, noted }) => verify(&reach.client()?, noted.as_deref()),
    }
}

fn verify(client: &Client, noted: Option<&str>) -> Result<(), Failure> {
    let (mut chain, mut is_noted) = (Chain::default(), noted.is_none());
    each_page(client, 0, |page| {
        for record in page {
            is_noted |= noted == Some(record.hash.as_str());
            if let Err(broken) = chain.follow(&Record::from(record)) {
                say(&format!("error: the audit trail was changed: {broken}\n"));
                say("hint: restore the records from a copy, and find out who can write into the database\n");
                return Err(Failure::No);
            }
        }
        Ok(())
    })?;
    if !is_noted {
        say("error: the audit trail was changed: no record has the hash that was noted\n");
        say("hint: restore the records from a copy, and find out who can write into the database\n");
        return Err(Failure::No);
    }
    say(&format!("{} records, none changed; the newest has the hash {}\n", chain.number, chain.hash));
    Ok(())
}

fn each_page(
    client: &Client,
    mut after: i64,
    mut take: impl FnMut(Vec<AuditRecord>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    loop {
        let page = client.get(&format!("/v1/audit?after={after}&limit={PAGE}"))?;
        let page: Vec<AuditRecord> = serde_json::from_value(page)
            .map_err(|error| Failure::usage(format!("the answer is no audit trail: {error}"), None))?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.number;
        take(page)?;
    }
}
