//! What a reload would change, for people.

use std::fmt::Write as _;
use std::path::Path;

use crate::engine::begins_to_remember;
use crate::ruleset::difference::{Change, ChangeKind, Difference};
use crate::ruleset::program::RuleSet;

/// The change from the rules of a folder to others.
pub(super) fn text(folder: &Path, from: &RuleSet, to: &RuleSet) -> String {
    let difference = Difference::between(from, to);
    let mut out = format!("against rule set {} in {}\n", from.hash, folder.display());
    if difference.is_empty() {
        let same = from.hash == to.hash;
        out.push_str(if same { "these are the same rules\n" } else { "no rule, feature or list changes\n" });
    }
    section(&mut out, "rules", &difference.rules, ["", "", ""]);
    let features = ["starts empty", "its counts are dropped", "starts empty"];
    section(&mut out, "features", &difference.features, features);
    section(&mut out, "lists", &difference.lists, ["", "", "other values"]);
    let begins = begins_to_remember(from, to);
    if !begins.is_empty() {
        out.push_str("of accounts\n");
        begins.iter().for_each(|what| line(&mut out, &format!("  + {what}: remembered from the reload on")));
    }
    out.push_str("all other features keep their counts; thresholds and programs are those of the configuration\n");
    out
}

/// `told` is what stands behind the name of one that is added, removed or changed.
fn section(out: &mut String, title: &str, changes: &[Change], [added, removed, changed]: [&str; 3]) {
    if !changes.is_empty() {
        line(out, title);
    }
    for Change { name, kind } in changes {
        let named = |sign: char, told: &str| {
            let colon = if told.is_empty() { "" } else { ": " };
            format!("  {sign} {name}{colon}{told}")
        };
        match kind {
            ChangeKind::Added => line(out, &named('+', added)),
            ChangeKind::Removed => line(out, &named('-', removed)),
            ChangeKind::Changed(details) => {
                line(out, &named('~', changed));
                for detail in details {
                    let said = |text: &str| if text.is_empty() { "(nothing)".to_owned() } else { text.to_owned() };
                    let (before, after) = (said(&detail.before), said(&detail.after));
                    line(out, &format!("      {}: {before} -> {after}", detail.key));
                }
            }
        }
    }
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("a string takes all");
}
