//! The packs that are measured with. They go with the program, so that figures of two machines can be compared.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::ruleset::diagnostic::SourceFile;
use crate::ruleset::load::{Files, load_from};
use crate::ruleset::program::RuleSet;
use crate::ruleset::yaml::{self, Kind, Node};

/// A built-in pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltIn(&'static str);

impl BuiltIn {
    /// At least ten rules and twelve features, kept apart from the shipped ones.
    pub const BENCH: BuiltIn = BuiltIn(include_str!("../../../benches/pack/bench.yaml"));
    /// The five rules of the comparison workload.
    pub const WORKLOAD: BuiltIn = BuiltIn(include_str!("../../../benches/workload/workload.yaml"));
    /// A feature of each of the aggregates whose memory is stated, by account.
    pub const GROWTH: BuiltIn = BuiltIn(include_str!("../../../benches/growth/growth.yaml"));

    /// Features by device and by account, for an attack on the memory.
    pub const ATTACK: BuiltIn = BuiltIn(include_str!("../../../benches/attack/attack.yaml"));
    /// One component, of two values.
    pub const LINKS: BuiltIn = BuiltIn(include_str!("../../../benches/links/links.yaml"));

    /// Its text.
    pub(super) fn text(self) -> &'static str {
        self.0
    }

    /// The rules, ready to run.
    pub fn rules(self) -> Arc<RuleSet> {
        Arc::new(load_from(&self).expect("the built-in packs load").set)
    }

    /// What is written in it.
    pub(super) fn texts(self) -> PackTexts {
        let file = Arc::new(SourceFile { path: PathBuf::from("bench.yaml"), text: self.0.to_owned() });
        let root = yaml::parse(&file, &mut Vec::new()).expect("the built-in packs are YAML");
        let texts = |key| member(&root, key).map(entries).unwrap_or_default();
        let text = |(name, node): (&str, &Node)| (name.to_owned(), scalar(node).to_owned());
        let list = |(name, node): (&str, &Node)| {
            let values = member(node, "values").map(elements).unwrap_or_default();
            (name.to_owned(), values.iter().map(|value| scalar(value).to_owned()).collect())
        };
        let rules = member(&root, "rules").map(elements).unwrap_or_default();
        let condition = |rule: &Node| {
            let of = |key| member(rule, key).map(scalar).unwrap_or_default().to_owned();
            (of("id"), of("when"))
        };
        PackTexts {
            macros: texts("macros").into_iter().map(text).collect(),
            lists: texts("lists").into_iter().map(list).collect(),
            conditions: rules.iter().map(condition).collect(),
        }
    }
}

impl Files for BuiltIn {
    fn packs(&self) -> Result<Vec<String>, String> {
        Ok(vec!["bench.yaml".to_owned()])
    }

    fn read(&self, _path: &str, _max_bytes: u64) -> Result<Vec<u8>, String> {
        Ok(self.0.as_bytes().to_vec())
    }
}

/// A pack that is put together for a measurement.
struct Made(String);

impl Files for Made {
    fn packs(&self) -> Result<Vec<String>, String> {
        Ok(vec!["made.yaml".to_owned()])
    }

    fn read(&self, _path: &str, _max_bytes: u64) -> Result<Vec<u8>, String> {
        Ok(self.0.as_bytes().to_vec())
    }
}

/// The rules of a pack that is put together for a measurement.
pub(super) fn made(text: String) -> Arc<RuleSet> {
    Arc::new(load_from(&Made(text)).expect("packs made here load").set)
}

/// The texts of a pack that were written for conditions.
pub(super) struct PackTexts {
    /// Each after those that it mentions.
    pub macros: Vec<(String, String)>,
    pub lists: Vec<(String, Vec<String>)>,
    /// `when`, by rule.
    pub conditions: BTreeMap<String, String>,
}

fn member<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    entries(node).into_iter().find_map(|(name, value)| (name == key).then_some(value))
}

fn entries(node: &Node) -> Vec<(&str, &Node)> {
    match &node.kind {
        Kind::Map(entries) => entries.iter().map(|entry| (entry.key.as_str(), &entry.value)).collect(),
        _ => Vec::new(),
    }
}

fn elements(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::List(elements) => elements,
        _ => &[],
    }
}

fn scalar(node: &Node) -> &str {
    match &node.kind {
        Kind::Scalar(scalar) => &scalar.text,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_pack_loads() {
        for pack in [BuiltIn::BENCH, BuiltIn::WORKLOAD, BuiltIn::GROWTH, BuiltIn::LINKS, BuiltIn::ATTACK] {
            assert!(!pack.rules().rules.is_empty());
        }
    }

    #[test]
    fn the_text_of_every_condition_is_found() {
        let (rules, texts) = (BuiltIn::BENCH.rules(), BuiltIn::BENCH.texts());
        assert_eq!(texts.conditions.len(), rules.rules.len());
        assert!(texts.conditions.values().all(|text| !text.is_empty()));
        assert_eq!((texts.macros.len(), texts.lists.len()), (1, 2));
    }
}
