//! `refguard state export`: what a checkpoint knows, as JSON lines.

use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::super::{Failure, Opened, Setup, reachable};
use crate::engine::{DecisionRecord, Exported};
use crate::ruleset::cel::{Compiled, Type};
use crate::ruleset::program::RuleSet;
use crate::state::{KeyHash, Reading, Value};
use crate::stream::StreamError;
use crate::stream::checkpoint::{self, CheckpointError};
use crate::stream::disk::Folder;

/// The bits of a key that are its name.
const NAME: u128 = u128::MAX >> 8;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    setup: Setup,
    /// Only these: may be given several times.
    #[arg(long, value_enum, value_name = "KIND")]
    only: Vec<Kind>,
    /// The folder of the state, instead of the configured one.
    folder: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Subjects under a decision, in clear.
    Decisions,
    /// What is remembered of accounts, by the hash of the account; their referrers in clear.
    Facts,
    /// Values of features, by the hash of the key.
    Features,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Opened { config, rules, options, seals, .. } = arguments.setup.open()?;
    let folder = arguments.folder.as_ref().unwrap_or(&config.state.path);
    reachable(std::fs::read_dir(folder), "state", folder)?;
    let mut loaded = None;
    // It may be in use: nothing is set aside, and the lock stays whose it is.
    let at = Folder::at(folder.as_path());
    for path in checkpoint::checkpoints(&at)? {
        match checkpoint::read(&at, &path, &mut |_| Ok(rules.clone()), &options, &seals) {
            Ok(found) => {
                loaded = Some(found);
                break;
            }
            Err(error @ CheckpointError::Damaged { .. }) => super::super::failure::say(&format!("warning: {error}\n")),
            Err(error) => return Err(error.into()),
        }
    }
    let Some(mut loaded) = loaded else {
        let hint = "`refguard run` writes one every `state.checkpoint_interval` and when it ends";
        return Err(Failure::usage(format!("{} has no whole checkpoint", folder.display()), Some(hint)));
    };
    let empty = &loaded.restored.empty;
    if !empty.is_empty() {
        let why = "the checkpoint has none of this name and definition";
        super::super::failure::say(&format!("warning: not exported, because {why}: {}\n", empty.join(", ")));
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let mut written = Ok(());
    loaded.engine.export(&mut |exported| {
        let is_wanted = arguments.only.is_empty() || arguments.only.contains(&kind(&exported));
        if is_wanted && written.is_ok() {
            written = writeln!(out, "{}", line(exported, &rules));
        }
    });
    let written = written.and_then(|()| out.flush());
    written.map_err(|source| StreamError::Write { name: "standard output".to_owned(), source }.into())
}

fn kind(exported: &Exported<'_>) -> Kind {
    match exported {
        Exported::Decision(_) => Kind::Decisions,
        Exported::Referrer { .. } | Exported::Window { is_fact: true, .. } => Kind::Facts,
        Exported::Window { .. } => Kind::Features,
    }
}

fn line(exported: Exported<'_>, rules: &RuleSet) -> Json {
    match exported {
        Exported::Decision(record) => decision(record),
        Exported::Referrer { account, referrer } => {
            json!({"fact": "account.referrer", "account_hash": hash(account), "value": referrer})
        }
        Exported::Window { name, is_fact: true, key, reading } => {
            let of = (name == "account.opened_at").then_some(&Type::Timestamp);
            json!({"fact": name, "key_hash": hash(key), "value": value(&reading, of), "exact": reading.exact})
        }
        Exported::Window { name, key, reading, .. } => {
            let feature = rules.features.iter().find(|feature| feature.name == name);
            let of = feature.and_then(|feature| feature.value.as_ref()).map(Compiled::result);
            json!({"feature": name, "key_hash": hash(key), "value": value(&reading, of), "exact": reading.exact})
        }
    }
}

fn decision(record: &DecisionRecord) -> Json {
    let causes = record.causes.iter().map(|cause| {
        json!({
            "id": cause.id, "rule": cause.rule(), "ruleset": cause.ruleset(), "verdict": cause.verdict.name(),
            "reason": cause.reason(), "by": cause.by(),
            "created": time(cause.created_ms), "expires": cause.expires_ms.map(time),
        })
    });
    let causes: Vec<Json> = causes.collect();
    json!({"decision": record.kind.name(), "program": record.program, "id": record.subject, "causes": causes})
}

/// The name of a key: 30 hexadecimal digits.
fn hash(key: KeyHash) -> String {
    format!("{:030x}", key.bits() & NAME)
}

/// `of` is the type of what `previous` remembers. Of a text only its hash is known.
fn value(reading: &Reading, of: Option<&Type>) -> Json {
    match reading.value {
        Value::Unknown => Json::Null,
        Value::Int(value) => value.into(),
        Value::Double(value) => value.into(),
        Value::Overflow => "overflow".into(),
        Value::Flag(value) => value.into(),
        Value::Time(ms) => time(ms),
        Value::Scalar(bits) => match of {
            Some(Type::Int) => bits.cast_signed().into(),
            Some(Type::Double) => f64::from_bits(bits).into(),
            Some(Type::Timestamp) => time(bits.cast_signed()),
            Some(Type::Bool) => (bits != 0).into(),
            _ => json!({"hash": format!("{bits:016x}")}),
        },
        Value::Set { size, .. } => json!({"size": size}),
    }
}

fn time(ms: i64) -> Json {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.into(), |at| at.to_string().into())
}
