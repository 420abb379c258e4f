//! Macros, checked by themselves: one that nothing uses must be right too, and its faults are told once, where it is written.

use std::collections::{BTreeMap, BTreeSet};

use super::names;
use crate::ruleset::cel::Scope;
use crate::ruleset::pack::MacroDef;
use crate::ruleset::yaml::Reader;

/// The macros of all packs, each after those that it mentions, and which of them are faulty.
pub(super) struct Macros<'a> {
    order: Vec<&'a str>,
    faulty: BTreeSet<&'a str>,
}

impl<'a> Macros<'a> {
    pub(super) fn of(macros: &'a [MacroDef]) -> Macros<'a> {
        let texts = texts(macros);
        let mut order = Vec::with_capacity(texts.len());
        let mut seen = BTreeSet::new();
        for name in texts.keys() {
            // A chain of macros may be long, so that this walk keeps its own stack.
            let mut open = vec![(*name, false)];
            while let Some((name, behind)) = open.pop() {
                if behind {
                    order.push(name);
                } else if seen.insert(name) {
                    open.push((name, true));
                    open.extend(
                        mentioned(texts[name], &texts).filter(|name| !seen.contains(name)).map(|name| (name, false)),
                    );
                }
            }
        }
        Macros { order, faulty: BTreeSet::new() }
    }

    /// Tells what is wrong with each, as far as the scope knows the types of features, and marks there which are faulty.
    /// Of macros that mention each other one is told.
    pub(super) fn check(&mut self, scope: &mut Scope, reader: &mut Reader) {
        for name in &self.order {
            if !self.faulty.contains(name) {
                let found = scope.macro_faults(name);
                if found.is_empty() {
                    continue;
                }
                found.into_iter().for_each(|diagnostic| reader.push(diagnostic));
                self.faulty.insert(name);
            }
            scope.set_faulty(name);
        }
    }
}

/// The words of these texts, and of the macros that they mention, and of those that these mention.
pub(super) fn words_used<'a>(used: impl Iterator<Item = &'a str>, macros: &'a [MacroDef]) -> BTreeSet<&'a str> {
    let texts = texts(macros);
    let mut words = BTreeSet::new();
    let mut open: Vec<&str> = used.collect();
    while let Some(text) = open.pop() {
        for word in names::words(text) {
            if words.insert(word) {
                open.extend(texts.get(word));
            }
        }
    }
    words
}

fn texts(macros: &[MacroDef]) -> BTreeMap<&str, &str> {
    macros.iter().map(|of| (of.name.text.as_str(), of.text.text.as_str())).collect()
}

/// The macros that a text mentions.
fn mentioned<'a>(text: &'a str, texts: &BTreeMap<&'a str, &'a str>) -> impl Iterator<Item = &'a str> {
    names::words(text).filter_map(|word| texts.get_key_value(word).map(|(name, _)| *name))
}
