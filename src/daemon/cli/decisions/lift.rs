//! `refguard decisions lift`: what rules have decided and held, undone together.

use serde_json::json;

use crate::daemon::cli::Failure;
use crate::daemon::cli::client::{Reach, cell};
use crate::daemon::cli::failure::say;
use crate::daemon::wiring;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    reach: Reach,
    /// The program; `*` for all.
    #[arg(long, value_name = "PROGRAM", default_value = "default")]
    program: String,
    /// What this rule has decided and held.
    #[arg(long, value_name = "RULE", required_unless_present_any = ["ruleset", "from", "to"])]
    rule: Option<String>,
    /// What was decided and held under the rules of this hash.
    #[arg(long, value_name = "HASH")]
    ruleset: Option<String>,
    /// What was decided and held from this event time on, in RFC 3339.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// And before this one.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Why: whoever looks at it later reads this.
    #[arg(long)]
    reason: String,
    /// Does it. Without it, it is only told what would be done.
    #[arg(long)]
    apply: bool,
}

/// Tells what would be done, or does it.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { reach, program, rule, ruleset, from, to, reason, apply } = arguments;
    let wanted = json!({"program": program, "rule": rule, "ruleset": ruleset, "from": from, "to": to,
        "reason": reason, "dry_run": !apply});
    let told = reach.client()?.post("/v1/decisions/lift", &wanted)?;
    let [decisions, subjects, holds, kept] =
        ["decisions", "subjects", "holds", "holds_kept"].map(|name| cell(&told[name]));
    let done = if *apply { "lifted" } else { "would lift" };
    say(&format!(
        "{done} {decisions} decisions on {subjects} subjects, and {holds} holds; {kept} holds stay for other reasons\n"
    ));
    if !apply {
        say("hint: add --apply to do it\n");
    }
    let mut out = wiring::stdout();
    out.write("", told.to_string().as_bytes())?;
    out.flush()?;
    Ok(())
}
