//! What conditions can call, in words: the overloads that the checker uses, each with what it says and an example.
//!
//! A test compiles every example, and holds that nothing can be called that is not told of here.

use super::function::{Kind, OVERLOADS, Overload};

/// A function or macro of conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionDoc {
    /// Its name.
    pub name: &'static str,
    /// The ways to call it, such as `size(string) -> int`.
    pub signatures: Vec<String>,
    /// What it says, in a line.
    pub meaning: &'static str,
    /// A condition or value that uses it.
    pub example: &'static str,
}

/// Name, ways to call it where the overloads do not tell, meaning, example.
type Row = (&'static str, &'static [&'static str], &'static str, &'static str);

/// What refguard adds to CEL comes first.
const DOCS: &[Row] = &[
    (
        "known",
        &["known(feature | fact | field | signal) -> bool"],
        "whether there is a value",
        "known(account.last_active)",
    ),
    (
        "complete",
        &["complete(feature) -> bool"],
        "whether the feature has seen a whole window",
        "complete(logins) && logins == 1",
    ),
    (
        "exact",
        &["exact(feature) -> bool"],
        "whether none of the value is summarised, past `max_entries`",
        "exact(logins)",
    ),
    ("at", &["feature.at(key, ...)"], "the feature at another key; counts nothing", "logins.at(event.referrer_id) > 3"),
    ("overlap", &[], "how many values both sets have", "overlap(devices, devices.at(event.referrer_id)) > 0"),
    (
        "same",
        &["same(component, string, string) -> bool"],
        "whether two accounts are linked",
        "same(ring, event.account_id, event.referrer_id)",
    ),
    (
        "ratio",
        &[],
        "the first by the second, with its fraction; 0 where the second is 0",
        "ratio(logins, logins.at(event.referrer_id)) > 0.4",
    ),
    (
        "median",
        &[],
        "the middle of the numbers; of an even count the mean of the two in the middle",
        "median([3, 1, 2]) == 2.0",
    ),
    (
        "similarity",
        &[],
        "how alike two texts are, 0 to 1: Jaro-Winkler of the first 256 characters",
        "similarity(email.local, event.account_id) > 0.9",
    ),
    ("in_network", &[], "whether the address is in one of the networks", "in_network(ip.address, lists.networks)"),
    ("days", &[], "so many days of 24 hours", "account.age < days(7)"),
    (
        "referral_depth",
        &["referral_depth(string) -> int"],
        "how many referrers are above an account; 64 at most",
        "referral_depth(event.account_id) > 3",
    ),
    (
        "referral_cycle",
        &["referral_cycle(string, string) -> bool"],
        "whether the chain of referrers above the first account, itself included, has the second",
        "referral_cycle(event.referrer_id, event.account_id)",
    ),
    ("has", &["has(event.FIELD) -> bool"], "whether the event came with the field", "has(event.device_id)"),
    (
        "all",
        &["list | map | set .all(x, bool) -> bool"],
        "whether it holds for every member; of a map for every key",
        "[1, 2].all(x, x > 0)",
    ),
    (
        "exists",
        &["list | map | set .exists(x, bool) -> bool"],
        "whether it holds for some member",
        "devices.exists(d, d == device.id)",
    ),
    (
        "exists_one",
        &["list | map | set .exists_one(x, bool) -> bool"],
        "whether it holds for exactly one member",
        "[1, 2].exists_one(x, x > 1)",
    ),
    (
        "map",
        &["list | map | set .map(x, any) -> list", "list | map | set .map(x, bool, any) -> list"],
        "what it makes of every member, or of those for which the condition holds",
        "[1, 2].map(x, x * x) == [1, 4]",
    ),
    (
        "filter",
        &["list | map | set .filter(x, bool) -> list"],
        "the members for which it holds",
        "[1, 2].filter(x, x > 1) == [2]",
    ),
    ("size", &[], "how many characters, bytes or members", "size(devices) > 3"),
    ("contains", &[], "whether the text has the other in it", "event.user_agent.contains(\"bot\")"),
    ("startsWith", &[], "whether the text begins so", "event.reward_kind.startsWith(\"gift\")"),
    ("endsWith", &[], "whether the text ends so", "email.domain.endsWith(\".example\")"),
    (
        "matches",
        &[],
        "whether some part of the text matches the regular expression (RE2 syntax)",
        "email.local.matches(\"^[a-z]+[0-9]{4}$\")",
    ),
    ("getFullYear", &[], "the year", "event.time.getFullYear() == 2026"),
    ("getMonth", &[], "the month, from 0", "event.time.getMonth() == 11"),
    ("getDate", &[], "the day of the month, from 1", "event.time.getDate(\"Asia/Riyadh\") == 1"),
    ("getDayOfMonth", &[], "the day of the month, from 0", "event.time.getDayOfMonth() == 0"),
    ("getDayOfWeek", &[], "the day of the week, from 0 for Sunday", "event.time.getDayOfWeek(\"Asia/Riyadh\") == 5"),
    ("getDayOfYear", &[], "the day of the year, from 0", "event.time.getDayOfYear() < 7"),
    (
        "getHours",
        &[],
        "the hour, in UTC or the zone; of a duration the whole",
        "event.time.getHours(\"Asia/Riyadh\") < 6",
    ),
    ("getMinutes", &[], "the minute; of a duration the whole", "account.age.getMinutes() < 5"),
    ("getSeconds", &[], "the second; of a duration the whole", "event.time.getSeconds() == 0"),
    (
        "getMilliseconds",
        &[],
        "the millisecond; of a duration those of its last second",
        "event.time.getMilliseconds() == 0",
    ),
    ("bool", &[], "a text that says true or false, as a bool", "bool(\"true\")"),
    ("bytes", &[], "the UTF-8 of a text", "size(bytes(event.account_id)) < 100"),
    ("double", &[], "a number, or a text with one, as a double", "double(event.amount_minor) * 0.05 > 10.0"),
    (
        "duration",
        &[],
        "a text such as `90s` or `1h30m` as a span of time",
        "event.time - account.last_seen < duration(\"90s\")",
    ),
    ("dyn", &[], "the value without its type", "dyn(event.channel) == \"web\""),
    (
        "int",
        &[],
        "a number, or a text with one, as an int: cut towards zero; of an instant the seconds since 1970",
        "int(event.rating) <= 6",
    ),
    ("string", &[], "the value as a text", "string(event.amount_minor).endsWith(\"00\")"),
    (
        "timestamp",
        &[],
        "a text in RFC 3339, or seconds since 1970, as an instant",
        "event.time > timestamp(\"2026-05-01T00:00:00Z\")",
    ),
    ("type", &[], "the type of a value", "type(event.channel) == string"),
    ("uint", &[], "a number, or a text with one, as a uint", "uint(event.amount_minor) > 5u"),
];

/// All of them.
pub fn functions() -> Vec<FunctionDoc> {
    DOCS.iter()
        .map(|(name, signatures, meaning, example)| {
            let overloads = OVERLOADS.iter().filter(|overload| overload.name == *name).map(signature);
            let signatures = signatures.iter().map(|written| (*written).to_owned()).chain(overloads).collect();
            FunctionDoc { name, signatures, meaning, example }
        })
        .collect()
}

/// One of them, by its name.
pub(super) fn of(name: &str) -> Option<FunctionDoc> {
    functions().into_iter().find(|function| function.name == name)
}

fn signature(of: &Overload) -> String {
    let (before, parameters) = match of.parameters.split_first() {
        Some((first, rest)) if of.member => (format!("{}.", word(*first)), rest),
        _ => (String::new(), of.parameters),
    };
    let parameters: Vec<String> = parameters.iter().map(|parameter| word(*parameter)).collect();
    format!("{before}{}({}) -> {}", of.name, parameters.join(", "), word(of.result))
}

fn word(kind: Kind) -> String {
    match kind {
        Kind::Any => "any".to_owned(),
        Kind::List => "list".to_owned(),
        Kind::Map => "map".to_owned(),
        Kind::Members => "lists.NAME".to_owned(),
        Kind::Numbers => "list of numbers".to_owned(),
        Kind::Set => "set".to_owned(),
        scalar => scalar.ty().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::ruleset::cel::check::SPECIAL;
    use crate::ruleset::cel::fuzz::{demo_scope, source};
    use crate::ruleset::cel::{Position, ReadTable, Wanted, compile};

    #[test]
    fn everything_that_can_be_called_is_told_of_with_an_example_that_compiles() {
        let told: BTreeSet<&str> = DOCS.iter().map(|row| row.0).collect();
        let called: BTreeSet<&str> =
            OVERLOADS.iter().map(|overload| overload.name).chain(SPECIAL.iter().copied()).collect();
        assert_eq!(told, called);
        assert_eq!(told.len(), DOCS.len(), "each once");
        for of in functions() {
            assert!(!of.signatures.is_empty(), "{}", of.name);
            assert!(of.example.contains(of.name), "{}: {}", of.name, of.example);
            let (scope, mut reads) = (demo_scope(), ReadTable::default());
            let compiled = compile(&source(of.example), &scope, &mut reads, Position::Condition, Wanted::Bool);
            assert!(compiled.is_ok(), "{}: {:?}", of.example, compiled.err());
        }
    }
}
