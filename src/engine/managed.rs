//! Entries of managed lists: what people have put in over the API, beside what stands in the files.
//!
//! They are inputs of the log: an entry counts for the events after it, until the instant of event time at which it ends. They go by
//! the name of their list, and stay over a reload that does not name it. Invariant: `places` has the list of every index that a rule set
//! gives to a managed list.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::acts::ActOutcome;
use super::machine::Engine;
use crate::event::{Act, PutEntry};
use crate::lists::{ListKind, ManagedEntry, ManagedList};
use crate::ruleset::cel::ListIndex;
use crate::ruleset::program::RuleSet;
use crate::state::{Broken, ByteReader, ByteWriter, Cuttable, Segments};

/// All managed lists.
#[derive(Debug, Default)]
pub(super) struct ManagedLists {
    /// By name. Shared with a cut that is under way, which sees them as they were.
    lists: BTreeMap<Box<str>, Arc<ManagedList>>,
    /// By [`ListIndex`], those of the rule set in force.
    places: Vec<Option<Box<str>>>,
    /// How many entries there are, in all lists.
    entries: usize,
    cut: Option<Box<ManagedCut>>,
}

/// A cut through the entries.
#[derive(Debug)]
pub(super) struct ManagedCut {
    /// What is yet to be written, and behind which value of the first.
    lists: std::vec::IntoIter<(Box<str>, Arc<ManagedList>)>,
    behind: Option<String>,
    segments: Segments,
}

/// A managed list that rules name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedView {
    /// Its name.
    pub name: String,
    /// What its entries are.
    pub kind: ListKind,
    /// How many there are, those that have ended and were not dropped yet too.
    pub entries: usize,
}

/// Why an entry is not put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryRefused {
    /// No rule set in force has a managed list of this name.
    NoSuchList,
    /// The list is full.
    Full,
}

impl ManagedLists {
    pub(super) fn new(rules: &RuleSet) -> ManagedLists {
        let mut lists = ManagedLists::default();
        lists.reload(rules);
        lists
    }

    /// Goes over to the names of another rule set. Entries of a list that is of another kind now stay, as far as they are of it.
    pub(super) fn reload(&mut self, rules: &RuleSet) {
        let name = |list: &crate::ruleset::program::NamedList| list.managed.then(|| list.name.as_str().into());
        self.places = rules.lists.iter().map(name).collect();
        for list in rules.lists.iter().filter(|list| list.managed) {
            self.open(&list.name, list.list.kind());
        }
    }

    /// Makes sure that there is a list of this name and kind.
    fn open(&mut self, name: &str, kind: ListKind) {
        match self.lists.get_mut(name) {
            Some(list) if list.kind() == kind => {}
            Some(list) => {
                let mut other = ManagedList::new(kind);
                for (value, entry) in list.behind(None) {
                    if crate::lists::canonical(kind, value).is_ok_and(|form| form == value) {
                        other.put(value, entry.clone());
                    }
                }
                *list = Arc::new(other);
                self.count();
            }
            None => drop(self.lists.insert(name.into(), Arc::new(ManagedList::new(kind)))),
        }
    }

    fn count(&mut self) {
        self.entries = self.lists.values().map(|list| list.len()).sum();
    }

    /// The list of an index, if it has entries. Costs nothing while no list has.
    #[inline]
    pub(super) fn list(&self, index: ListIndex) -> Option<&ManagedList> {
        if self.entries == 0 {
            return None;
        }
        let name = self.places.get(index.0 as usize)?.as_ref()?;
        self.lists.get(name).map(|list| &**list).filter(|list| !list.is_empty())
    }

    /// The list of a name that the rules in force call managed.
    fn named(&self, name: &str) -> Option<&ManagedList> {
        let is_known = self.places.iter().flatten().any(|known| **known == *name);
        self.lists.get(name).map(|list| &**list).filter(|_| is_known)
    }

    /// Drops entries that no event from the horizon on can meet.
    pub(super) fn expire(&mut self, horizon_ms: i64) {
        if self.entries == 0 {
            return;
        }
        for list in self.lists.values_mut().filter(|list| list.has_ended(horizon_ms)) {
            Arc::make_mut(list).expire(horizon_ms);
        }
        self.count();
    }

    /// Memory in bytes, about.
    pub(super) fn bytes(&self) -> usize {
        if self.entries == 0 { 0 } else { self.lists.values().map(|list| list.bytes()).sum() }
    }

    /// How many entries there are, in all lists.
    pub(super) fn len(&self) -> usize {
        self.entries
    }

    /// Reads what a cut wrote.
    pub(super) fn restore(&mut self, reader: &mut ByteReader<'_>) -> Result<(), Broken> {
        while !reader.is_empty() {
            let name = reader.text()?.to_owned();
            let kind = ListKind::from_name(reader.text()?).ok_or(Broken("a list of no known kind"))?;
            let value = reader.text()?.to_owned();
            let entry = ManagedEntry {
                owner: reader.text()?.into(),
                reason: reader.text()?.into(),
                by: reader.text()?.into(),
                created_ms: reader.time()?,
                expires_ms: reader.maybe_time()?,
            };
            // The rules in force may have another kind: that is theirs to say.
            let declared = self.lists.get(name.as_str()).map(|list| list.kind());
            self.open(&name, declared.unwrap_or(kind));
            let is_of_it = declared.is_none_or(|declared| {
                declared == kind || crate::lists::canonical(declared, &value).is_ok_and(|form| form == value)
            });
            if let Some(list) = self.lists.get_mut(name.as_str()).filter(|_| is_of_it)
                && !Arc::make_mut(list).put(&value, entry)
            {
                return Err(Broken("a list has more entries than can be"));
            }
        }
        self.count();
        Ok(())
    }
}

impl Engine {
    /// Puts an entry into a managed list; `value` is in canonical form. An entry of the same value makes room for it.
    ///
    /// # Errors
    ///
    /// [`EntryRefused`].
    pub fn put_entry(&mut self, list: &str, value: &str, entry: ManagedEntry) -> Result<(), EntryRefused> {
        let lists = &mut self.managed;
        if lists.named(list).is_none() {
            return Err(EntryRefused::NoSuchList);
        }
        let found = lists.lists.get_mut(list).ok_or(EntryRefused::NoSuchList)?;
        let is_put = Arc::make_mut(found).put(value, entry);
        lists.count();
        is_put.then_some(()).ok_or(EntryRefused::Full)
    }

    /// Puts in what a person says. Saying the same again changes nothing.
    pub(super) fn enter(&mut self, act: &Act, put: &PutEntry) -> ActOutcome {
        let PutEntry { of, owner, reason, expires_ms } = put;
        let entry = ManagedEntry {
            owner: owner.as_str().into(),
            reason: reason.as_str().into(),
            by: act.by.as_str().into(),
            created_ms: act.at_ms,
            expires_ms: *expires_ms,
        };
        let known = self.managed.named(&of.list).and_then(|list| list.get(&of.value));
        if let Some(known) = known
            && (ManagedEntry { created_ms: known.created_ms, ..entry.clone() }) == *known
        {
            return ActOutcome::Entered(Box::new(known.clone()));
        }
        match self.put_entry(&of.list, &of.value, entry.clone()) {
            Ok(()) => ActOutcome::Entered(Box::new(entry)),
            Err(EntryRefused::NoSuchList) => ActOutcome::NotFound,
            Err(EntryRefused::Full) => ActOutcome::Full,
        }
    }

    /// Whether a managed list that rules name has an entry of this value that lives at an instant.
    pub fn has_entry(&self, list: &str, value: &str, as_of_ms: i64) -> bool {
        self.managed.named(list).and_then(|list| list.get(value)).is_some_and(|entry| entry.lives(as_of_ms))
    }

    /// Takes an entry out of a managed list, whether rules name it or not; whether it was there.
    pub fn delete_entry(&mut self, list: &str, value: &str) -> bool {
        let lists = &mut self.managed;
        let was_there = match lists.lists.get_mut(list) {
            Some(list) if list.get(value).is_some() => Arc::make_mut(list).remove(value),
            _ => false,
        };
        lists.count();
        was_there
    }

    /// The managed lists that the rules in force name, by name.
    pub fn managed_lists(&self) -> Vec<ManagedView> {
        let view = |name: &str| {
            let list = self.managed.named(name)?;
            Some(ManagedView { name: name.to_owned(), kind: list.kind(), entries: list.len() })
        };
        self.managed.lists.keys().filter_map(|name| view(name)).collect()
    }

    /// What the entries of a managed list are that the rules in force name.
    pub fn managed_kind(&self, list: &str) -> Option<ListKind> {
        self.managed.named(list).map(ManagedList::kind)
    }

    /// The entries of a managed list that live at an instant, behind a value, at most so many; and whether there are more.
    pub fn managed_entries(
        &self,
        list: &str,
        behind: Option<&str>,
        count: usize,
        as_of_ms: i64,
    ) -> Option<(Vec<(String, ManagedEntry)>, bool)> {
        let list = self.managed.named(list)?;
        let mut living = list.behind(behind).filter(|(_, entry)| entry.lives(as_of_ms));
        let entries = living.by_ref().take(count).map(|(value, entry)| (value.to_owned(), entry.clone())).collect();
        Some((entries, living.next().is_some()))
    }
}

impl Cuttable for ManagedLists {
    type Cut = ManagedCut;

    fn new_cut(&self, prefix: &[u8]) -> ManagedCut {
        let lists: Vec<_> = self.lists.iter().map(|(name, list)| (name.clone(), Arc::clone(list))).collect();
        ManagedCut { lists: lists.into_iter(), behind: None, segments: Segments::new(prefix) }
    }

    fn cut_mut(&mut self) -> &mut Option<Box<ManagedCut>> {
        &mut self.cut
    }

    fn walk(&self, cut: &mut ManagedCut, budget_bytes: &mut usize, put: &mut dyn FnMut(&[u8])) -> bool {
        let ManagedCut { lists, behind, segments } = cut;
        let start = segments.bytes();
        while let Some((name, list)) = lists.as_slice().first() {
            let from = behind.take();
            for (value, entry) in list.behind(from.as_deref()) {
                if segments.bytes() - start >= *budget_bytes {
                    break;
                }
                store_entry(name, list.kind(), (value, entry), segments.item());
                *behind = Some(value.to_owned());
            }
            let last = behind.as_deref().or(from.as_deref());
            if list.behind(last).next().is_some() {
                *behind = last.map(str::to_owned);
                *budget_bytes = 0;
                segments.hand_over(put);
                return false;
            }
            *behind = None;
            lists.next();
        }
        *budget_bytes = budget_bytes.saturating_sub(segments.bytes() - start);
        segments.finish(put);
        true
    }
}

fn store_entry(name: &str, kind: ListKind, (value, entry): (&str, &ManagedEntry), writer: &mut ByteWriter) {
    for text in [name, kind.name(), value, &entry.owner, &entry.reason, &entry.by] {
        writer.text(text);
    }
    writer.time(entry.created_ms);
    writer.maybe_time(entry.expires_ms);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists() -> ManagedLists {
        let mut lists = ManagedLists::default();
        lists.open("accounts", ListKind::Text);
        lists.open("empty", ListKind::Date);
        lists.open("networks", ListKind::Network);
        lists
    }

    fn put(lists: &mut ManagedLists, list: &str, value: &str, expires_ms: Option<i64>) {
        let entry = ManagedEntry {
            owner: "trust".into(),
            reason: "asked".into(),
            by: "token:t".into(),
            created_ms: 5,
            expires_ms,
        };
        assert!(Arc::make_mut(lists.lists.get_mut(list).expect("it is open")).put(value, entry));
        lists.count();
    }

    #[test]
    fn a_cut_has_the_entries_that_were_there_and_is_read_again() {
        for step_bytes in [1, 300, 60_000] {
            let mut lists = lists();
            (0..300).for_each(|at| put(&mut lists, "accounts", &format!("a-{at}"), (at % 3 > 0).then_some(at)));
            put(&mut lists, "networks", "192.0.2.0/24", None);
            let (mut whole, mut cut) = (Vec::new(), Vec::new());
            lists.store(&[7], &mut |segment| whole.extend_from_slice(segment));
            lists.begin_cut(&[7]);
            let mut at = 0;
            while !lists.store_cut(&mut { step_bytes }, &mut |segment| cut.extend_from_slice(segment)) {
                put(&mut lists, "accounts", &format!("b-{at}"), None);
                Arc::make_mut(lists.lists.get_mut("accounts").expect("it is open")).remove(&format!("a-{at}"));
                at += 1;
            }
            assert!(whole == cut, "{step_bytes} bytes a step");
            let mut read = self::lists();
            read.restore(&mut ByteReader::new(&cut[1..])).expect("it was written whole");
            let mut again = Vec::new();
            read.store(&[7], &mut |segment| again.extend_from_slice(segment));
            assert!(again == whole);
            assert_eq!(read.len(), 301);
        }
    }

    #[test]
    fn entries_follow_the_kind_that_the_rules_give_their_list() {
        let mut lists = lists();
        put(&mut lists, "accounts", "192.0.2.0/24", None);
        put(&mut lists, "accounts", "sara", None);
        let mut written = Vec::new();
        lists.store(&[7], &mut |segment| written.extend_from_slice(segment));
        lists.open("accounts", ListKind::Network);
        assert_eq!(lists.len(), 1, "what is no network is none");
        let mut other = ManagedLists::default();
        other.open("accounts", ListKind::Network);
        other.restore(&mut ByteReader::new(&written[1..])).expect("it was written whole");
        assert_eq!(other.len(), 1);
        assert!(other.lists["accounts"].contains_text("192.0.2.9", 0));
        assert!(other.restore(&mut ByteReader::new(&written[1..written.len() - 1])).is_err());
    }
}
