//! `refguard check`: is what people wrote right, and does it do what its tests say; and what would a reload change.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use super::{Failure, Opened, Setup, advice, difference, failure, reachable, test};
use crate::daemon::clock;
use crate::daemon::config::Config;
use crate::daemon::reload::LastGood;
use crate::daemon::wiring;
use crate::event::Mode;
use crate::ruleset::program::RuleSet;
use crate::ruleset::{self, cost};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    setup: Setup,
    /// Also says what a reload would change against the rules in this folder; without one, against the last good ones
    /// of the state folder.
    #[arg(long, value_name = "DIR")]
    #[expect(clippy::option_option, reason = "the option may come without a value")]
    diff: Option<Option<PathBuf>>,
    /// Also tells what each rule can cost at most for one event, the dearest first.
    #[arg(long)]
    costs: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Opened { config, rules, signals, options, .. } = arguments.setup.open()?;
    advice::of(&rules, &config, clock::wall_clock_ms()).iter().for_each(|told| failure::say(told));
    let failed = test::report(&rules, &signals, &options, false)?;
    failure::say(&format!(
        "rule set {}: {} rules, {} features, {} lists, {} tests, {} failed\n",
        rules.hash,
        rules.rules.len(),
        rules.features.len(),
        rules.lists.len(),
        rules.tests.len(),
        failed,
    ));
    if arguments.costs {
        print(&costs(&rules, &config));
    }
    if let Some(against) = &arguments.diff {
        diff(against.clone(), &config, &rules)?;
    }
    if failed > 0 { Err(Failure::No) } else { Ok(()) }
}

fn diff(against: Option<PathBuf>, config: &Config, rules: &RuleSet) -> Result<(), Failure> {
    let last_good = || {
        let message = format!("there are no last good rules in {}", config.state.path.display());
        let hint = "they are kept there by `refguard run`; name a folder to compare with: `--diff DIR`";
        LastGood::below(&config.state.path).folder().ok_or_else(|| Failure::usage(message, Some(hint)))
    };
    let folder = against.map_or_else(last_good, Ok)?;
    reachable(std::fs::read_dir(&folder), "rules", &folder)?;
    let before = ruleset::load(&folder, &wiring::premises(config)).map_err(Failure::Refused)?.set;
    print(&difference::text(&folder, &before, rules));
    Ok(())
}

fn print(text: &str) {
    // A reader that has seen enough is no failure.
    drop(std::io::stdout().lock().write_all(text.as_bytes()));
}

/// A table of what rules can cost, the dearest first; of equal ones by id.
fn costs(rules: &RuleSet, config: &Config) -> String {
    let premises = wiring::premises(config);
    let on = rules.rules.iter().filter(|rule| rule.mode != Mode::Off);
    let mut costs: Vec<_> = on.map(|rule| (cost::of(rules, rule, premises.max_entries), rule)).collect();
    costs.sort_by_key(|(cost, rule)| (Reverse(cost.total()), &rule.id));
    let mut text = format!("{:>9} {:>9} {:>9} {:>9}  rule\n", "cost", "steps", "reads", "entries");
    for (cost, rule) in costs {
        let (total, id) = (cost.total(), &rule.id);
        let _ = writeln!(text, "{total:>9} {:>9} {:>9} {:>9}  {id}", cost.steps, cost.reads, cost.entries);
    }
    let _ = writeln!(text, "{:>9} a rule at most (`rules.max_cost`)", premises.cost_max);
    text
}
