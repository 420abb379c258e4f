//! Lists that people keep: sets of texts, domains, networks and dates, read from a file or from values in a rule pack.
//!
//! Rules ask whether something is in a list, for every event, so a list is built once and then only looked up: no
//! lookup allocates, and none depends on the order in which entries were written. The ground floor: imports the
//! standard library and pure crates only. Invariant: a list holds only canonical entries (domains in lower-case ASCII,
//! networks without host bits), merged where they overlap.

mod date;
mod domain;
mod managed;
mod network;
mod text;

use std::net::IpAddr;

use jiff::civil::Date;

pub use date::DateSet;
pub use domain::{DOMAIN_BYTES_MAX, DomainSet, canonical_domain};
pub use managed::{MANAGED_ENTRIES_MAX, ManagedEntry, ManagedList, canonical};
pub use network::{NetworkSet, canonical_network};
pub use text::{TextBuildHasher, TextHasher, TextSet};

/// Most entries that one list may have.
pub const ENTRIES_MAX: usize = 5_000_000;

/// Longest entry of a list, in bytes.
pub const ENTRY_BYTES_MAX: usize = 1024;

/// Most faults that are told of one list: a file of another kind has a fault on every line.
pub const FAULTS_MAX: usize = 20;

/// What the entries of a list are: `kind` in a rule pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// `string`: texts, compared byte by byte.
    Text,
    /// `domain`: domains, each with all that is below it.
    Domain,
    /// `cidr`: networks and single addresses.
    Network,
    /// `date`: civil dates and spans of them.
    Date,
}

impl ListKind {
    /// Every kind.
    pub const ALL: [ListKind; 4] = [ListKind::Text, ListKind::Domain, ListKind::Network, ListKind::Date];

    /// The word in a rule pack.
    pub const fn name(self) -> &'static str {
        match self {
            ListKind::Text => "string",
            ListKind::Domain => "domain",
            ListKind::Network => "cidr",
            ListKind::Date => "date",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<ListKind> {
        ListKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What is wrong with one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListFault {
    /// The line of the file, or which of the values, from 1.
    pub line: usize,
    /// Why, lower case, no full stop, with what to write instead.
    pub reason: String,
}

/// A list of one kind, ready to be asked.
#[derive(Clone, Debug)]
pub enum List {
    /// Texts.
    Texts(TextSet),
    /// Domains.
    Domains(DomainSet),
    /// Networks.
    Networks(NetworkSet),
    /// Dates.
    Dates(DateSet),
}

impl List {
    /// Reads a list file: an entry a line, surrounding space ignored, as are blank lines and lines that start with
    /// `#`. Behind a domain, a network or a date a comment may follow (a space, then `#`); a text may hold ` #` itself.
    ///
    /// # Errors
    ///
    /// Every line that is no entry of this kind, the first [`FAULTS_MAX`] of them; or the line that exceeds
    /// [`ENTRIES_MAX`].
    pub fn parse(kind: ListKind, file: &str) -> Result<List, Vec<ListFault>> {
        let file = file.strip_prefix('\u{feff}').unwrap_or(file);
        let entries = file.lines().enumerate().filter_map(|(index, line)| {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                return None;
            }
            Some((index + 1, if kind == ListKind::Text { line } else { without_comment(line) }))
        });
        List::build(kind, entries)
    }

    /// Makes a list of values from a rule pack or the API; a fault's line is the number of the value.
    ///
    /// # Errors
    ///
    /// As [`List::parse`].
    pub fn from_values<'a>(kind: ListKind, values: impl IntoIterator<Item = &'a str>) -> Result<List, Vec<ListFault>> {
        List::build(kind, values.into_iter().enumerate().map(|(index, value)| (index + 1, value.trim())))
    }

    fn build<'a>(kind: ListKind, entries: impl Iterator<Item = (usize, &'a str)>) -> Result<List, Vec<ListFault>> {
        match kind {
            ListKind::Text => {
                let mut set = TextSet::default();
                each(entries, |entry| set.insert(entry)).map(|()| List::Texts(set))
            }
            ListKind::Domain => {
                let mut set = DomainSet::default();
                each(entries, |entry| set.insert(entry)).map(|()| List::Domains(set))
            }
            ListKind::Network => {
                let mut networks = Vec::new();
                each(entries, |entry| network::parse_network(entry).map(|network| networks.push(network)))
                    .map(|()| List::Networks(networks.into_iter().collect()))
            }
            ListKind::Date => {
                let mut spans = Vec::new();
                each(entries, |entry| date::parse_span(entry).map(|span| spans.push(span)))
                    .map(|()| List::Dates(spans.into_iter().collect()))
            }
        }
    }

    /// What its entries are.
    pub fn kind(&self) -> ListKind {
        match self {
            List::Texts(_) => ListKind::Text,
            List::Domains(_) => ListKind::Domain,
            List::Networks(_) => ListKind::Network,
            List::Dates(_) => ListKind::Date,
        }
    }

    /// Whether a text is in the list, whatever its kind: the text itself; the domain or a parent of it; the address
    /// that it spells; the date that it spells (`2026-05-01`). A text that is none of these is not in the list.
    pub fn contains_text(&self, text: &str) -> bool {
        match self {
            List::Texts(set) => set.contains(text),
            List::Domains(set) => set.contains(text),
            List::Networks(set) => text.parse().is_ok_and(|address| set.contains(address)),
            List::Dates(set) => text.parse().is_ok_and(|date| set.contains(date)),
        }
    }

    /// Whether a list of domains has this domain or a parent of it; false for another kind of list.
    pub fn contains_domain(&self, domain: &str) -> bool {
        matches!(self, List::Domains(set) if set.contains(domain))
    }

    /// Whether a list of networks covers this address; false for another kind of list.
    pub fn contains_address(&self, address: IpAddr) -> bool {
        matches!(self, List::Networks(set) if set.contains(address))
    }

    /// Whether a list of dates has this date; false for another kind of list.
    pub fn contains_date(&self, date: Date) -> bool {
        matches!(self, List::Dates(set) if set.contains(date))
    }

    /// How many entries it holds: for networks and dates, after merging those that touch or overlap.
    pub fn len(&self) -> usize {
        match self {
            List::Texts(set) => set.len(),
            List::Domains(set) => set.len(),
            List::Networks(set) => set.len(),
            List::Dates(set) => set.len(),
        }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An entry without the comment behind it.
fn without_comment(line: &str) -> &str {
    match line.find(" #").or_else(|| line.find("\t#")) {
        Some(comment) => line[..comment].trim_end(),
        None => line,
    }
}

/// Adds every entry, and gathers what is wrong with those that cannot be added.
fn each<'a>(
    entries: impl Iterator<Item = (usize, &'a str)>,
    mut add: impl FnMut(&'a str) -> Result<(), String>,
) -> Result<(), Vec<ListFault>> {
    let mut faults = Vec::new();
    for (index, (line, entry)) in entries.enumerate() {
        let outcome = if index >= ENTRIES_MAX {
            Err(format!("more than {ENTRIES_MAX} entries: split the list"))
        } else if entry.len() > ENTRY_BYTES_MAX {
            Err(format!("an entry has at most {ENTRY_BYTES_MAX} bytes, this one has {}", entry.len()))
        } else if entry.is_empty() {
            Err("an empty entry: remove it".to_owned())
        } else {
            add(entry)
        };
        if let Err(reason) = outcome {
            faults.push(ListFault { line, reason });
            if faults.len() >= FAULTS_MAX || index >= ENTRIES_MAX {
                break;
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// The body of a fuzz target: any text as a file of every kind, and its own lines asked back.
pub fn fuzz_lists(text: &str) {
    for kind in ListKind::ALL {
        if let Ok(list) = List::parse(kind, text) {
            for line in text.lines() {
                list.contains_text(line);
            }
        }
    }
}

#[cfg(test)]
mod tests;
