//! One pack from memory, for tests that bring their own rules.

use std::sync::Arc;

use refguard::ruleset::diagnostic;
use refguard::ruleset::load::{Files, load_from};
use refguard::ruleset::program::RuleSet;

struct OnePack<'a>(&'a str);

impl Files for OnePack<'_> {
    fn packs(&self) -> Result<Vec<String>, String> {
        Ok(vec!["pack.yaml".to_owned()])
    }

    fn read(&self, path: &str, _max_bytes: u64) -> Result<Vec<u8>, String> {
        if path == "pack.yaml" { Ok(self.0.as_bytes().to_vec()) } else { Err(format!("no file `{path}`")) }
    }
}

/// The rule set of one pack's text; panics with what is wrong.
pub(crate) fn rules(text: &str) -> Arc<RuleSet> {
    let loaded = load_from(&OnePack(text)).unwrap_or_else(|found| panic!("{}", diagnostic::render(&found, false)));
    Arc::new(loaded.set)
}
