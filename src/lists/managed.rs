//! Lists whose entries people put in and take out one at a time, each with who, why and until when.
//!
//! Few, and changed while events are judged: entries are found by what they are, without building the list anew. Whether an entry
//! counts depends on the instant that is asked about, so that it does not matter when one that has ended is dropped. Invariant: values
//! are in canonical form; what stands in the indexes is what stands in the entries.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::civil::Date;

use super::{ListKind, canonical_domain, date, network};

/// Most entries that a managed list may have.
pub const MANAGED_ENTRIES_MAX: usize = 50_000;

/// Who put an entry in, why, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedEntry {
    /// Who answers for it, in words.
    pub owner: Box<str>,
    /// Why it is there, in words.
    pub reason: Box<str>,
    /// Who put it in.
    pub by: Box<str>,
    /// When, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// From this instant of event time on it counts no more; `None`: it stays.
    pub expires_ms: Option<i64>,
}

impl ManagedEntry {
    /// Whether it counts at an instant.
    pub fn lives(&self, as_of_ms: i64) -> bool {
        self.expires_ms.is_none_or(|end_ms| as_of_ms < end_ms)
    }

    fn bytes(&self, value: &str) -> usize {
        // With its places in the indexes and the queue of ends.
        size_of::<ManagedEntry>() + 96 + value.len() + self.owner.len() + self.reason.len() + self.by.len()
    }
}

/// A list of one kind.
#[derive(Clone, Debug)]
pub struct ManagedList {
    kind: ListKind,
    entries: BTreeMap<Arc<str>, ManagedEntry>,
    /// When entries end.
    ends: BTreeSet<(i64, Arc<str>)>,
    /// Networks, and those of each family and length: an address is looked up once for each length there is.
    networks: BTreeMap<IpNet, Arc<str>>,
    lengths: BTreeMap<(bool, u8), usize>,
    /// Spans of dates.
    spans: BTreeMap<(Date, Date), Arc<str>>,
    bytes: usize,
}

/// The form in which a value stands in a list of a kind.
///
/// # Errors
///
/// Why it is none, lower case, with what to write instead.
pub fn canonical(kind: ListKind, value: &str) -> Result<String, String> {
    let value = value.trim();
    if value.is_empty() || value.len() > super::ENTRY_BYTES_MAX {
        return Err(format!("an entry has 1 to {} bytes", super::ENTRY_BYTES_MAX));
    }
    match kind {
        ListKind::Text => Ok(value.to_owned()),
        ListKind::Domain => {
            let bare = value.strip_prefix("*.").or_else(|| value.strip_prefix('.')).unwrap_or(value);
            let mut domain = String::new();
            let is_one = canonical_domain(bare, &mut domain);
            is_one
                .then_some(domain)
                .ok_or_else(|| format!("`{}` is no domain: write one like example.org", value.escape_debug()))
        }
        ListKind::Network => network::parse_network(value).map(|network| network.to_string()),
        ListKind::Date => date::parse_span(value).map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}..{last}"),
        }),
    }
}

impl ManagedList {
    /// An empty list.
    pub fn new(kind: ListKind) -> ManagedList {
        ManagedList {
            kind,
            entries: BTreeMap::new(),
            ends: BTreeSet::new(),
            networks: BTreeMap::new(),
            lengths: BTreeMap::new(),
            spans: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// What its entries are.
    pub fn kind(&self) -> ListKind {
        self.kind
    }

    /// How many entries it has, those that have ended and were not dropped yet too.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Memory in bytes, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The entry of a value in canonical form.
    pub fn get(&self, value: &str) -> Option<&ManagedEntry> {
        self.entries.get(value)
    }

    /// The entries behind a value, in their order.
    pub fn behind(&self, value: Option<&str>) -> impl Iterator<Item = (&str, &ManagedEntry)> {
        let from = value.map_or(Bound::Unbounded, Bound::Excluded);
        self.entries.range::<str, _>((from, Bound::Unbounded)).map(|(value, entry)| (&**value, entry))
    }

    /// Puts a value in canonical form in, in the place of one that is there. Whether there was room: what is there can always be changed.
    pub fn put(&mut self, value: &str, entry: ManagedEntry) -> bool {
        if self.entries.len() >= MANAGED_ENTRIES_MAX && !self.entries.contains_key(value) {
            return false;
        }
        self.remove(value);
        let value: Arc<str> = value.into();
        match self.kind {
            ListKind::Text | ListKind::Domain => {}
            // What is canonical for another kind is in the list, and is never found.
            ListKind::Network => {
                if let Ok(network) = network::parse_network(&value) {
                    *self.lengths.entry(length(&network)).or_default() += 1;
                    self.networks.insert(network, Arc::clone(&value));
                }
            }
            ListKind::Date => {
                if let Ok(span) = date::parse_span(&value) {
                    self.spans.insert(span, Arc::clone(&value));
                }
            }
        }
        self.bytes += entry.bytes(&value);
        self.ends.extend(entry.expires_ms.map(|end_ms| (end_ms, Arc::clone(&value))));
        self.entries.insert(value, entry);
        true
    }

    /// Takes a value out; whether it was there.
    pub fn remove(&mut self, value: &str) -> bool {
        let Some((value, entry)) = self.entries.remove_entry(value) else { return false };
        self.bytes -= entry.bytes(&value);
        match self.kind {
            ListKind::Text | ListKind::Domain => {}
            ListKind::Network => {
                if let Ok(network) = network::parse_network(&value)
                    && self.networks.remove(&network).is_some()
                    && let Some(count) = self.lengths.get_mut(&length(&network))
                {
                    *count -= 1;
                    self.lengths.retain(|_, count| *count > 0);
                }
            }
            ListKind::Date => {
                if let Ok(span) = date::parse_span(&value) {
                    self.spans.remove(&span);
                }
            }
        }
        if let Some(end_ms) = entry.expires_ms {
            self.ends.remove(&(end_ms, value));
        }
        true
    }

    /// Whether some entry ends by an instant.
    pub fn has_ended(&self, at_ms: i64) -> bool {
        self.ends.first().is_some_and(|(end_ms, _)| *end_ms <= at_ms)
    }

    /// Drops the entries that end by an instant.
    pub fn expire(&mut self, at_ms: i64) {
        while let Some((_, value)) = self.ends.first().filter(|(end_ms, _)| *end_ms <= at_ms).cloned() {
            self.remove(&value);
        }
    }

    /// Whether a text is in the list at an instant, as [`List::contains_text`](super::List::contains_text).
    pub fn contains_text(&self, text: &str, as_of_ms: i64) -> bool {
        match self.kind {
            ListKind::Text => self.lives(text, as_of_ms),
            ListKind::Domain => self.contains_domain(text, as_of_ms),
            ListKind::Network => text.parse().is_ok_and(|address| self.contains_address(address, as_of_ms)),
            ListKind::Date => text.parse().is_ok_and(|date| self.contains_date(date, as_of_ms)),
        }
    }

    /// Whether a list of domains has this domain or a parent of it at an instant.
    pub fn contains_domain(&self, domain: &str, as_of_ms: i64) -> bool {
        if self.kind != ListKind::Domain || self.is_empty() {
            return false;
        }
        let domain = domain.strip_suffix('.').unwrap_or(domain);
        let lower = domain.to_ascii_lowercase();
        let mut rest = Some(lower.as_str());
        while let Some(domain) = rest {
            if self.lives(domain, as_of_ms) {
                return true;
            }
            rest = domain.split_once('.').map(|(_, parent)| parent);
        }
        false
    }

    /// Whether a list of networks covers this address at an instant.
    pub fn contains_address(&self, address: IpAddr, as_of_ms: i64) -> bool {
        let address = address.to_canonical();
        let of_family = self.lengths.range((address.is_ipv6(), 0)..=(address.is_ipv6(), u8::MAX));
        of_family.into_iter().any(|((_, length), _)| {
            let network = IpNet::new(address, *length).ok().map(|network| network.trunc());
            let value = network.and_then(|network| self.networks.get(&network));
            value.is_some_and(|value| self.lives(value, as_of_ms))
        })
    }

    /// Whether a list of dates has this date at an instant.
    pub fn contains_date(&self, date: Date, as_of_ms: i64) -> bool {
        let begun = self.spans.range(..=(date, Date::MAX));
        begun.into_iter().any(|((_, last), value)| *last >= date && self.lives(value, as_of_ms))
    }

    fn lives(&self, value: &str, as_of_ms: i64) -> bool {
        self.entries.get(value).is_some_and(|entry| entry.lives(as_of_ms))
    }
}

fn length(network: &IpNet) -> (bool, u8) {
    (matches!(network, IpNet::V6(_)), network.prefix_len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lists::List;

    fn entry(expires_ms: Option<i64>) -> ManagedEntry {
        ManagedEntry { owner: "o".into(), reason: "r".into(), by: "b".into(), created_ms: 0, expires_ms }
    }

    #[test]
    fn values_have_one_form() {
        for (kind, value, form) in [
            (ListKind::Text, "  Sara ", Some("Sara")),
            (ListKind::Text, " ", None),
            (ListKind::Domain, "*.Example.ORG.", Some("example.org")),
            (ListKind::Domain, "bücher.example", Some("xn--bcher-kva.example")),
            (ListKind::Domain, "a b", None),
            (ListKind::Network, "::ffff:192.0.2.0/120", Some("192.0.2.0/24")),
            (ListKind::Network, "192.0.2.7", Some("192.0.2.7/32")),
            (ListKind::Network, "192.0.2.7/24", None),
            (ListKind::Date, "2026-05-01 .. 2026-05-07", Some("2026-05-01..2026-05-07")),
            (ListKind::Date, "2026-05-01..2026-05-01", Some("2026-05-01")),
            (ListKind::Date, "2026-05-07..2026-05-01", None),
        ] {
            assert_eq!(canonical(kind, value).ok().as_deref(), form, "{value}");
        }
        assert!(canonical(ListKind::Text, &"x".repeat(1025)).is_err());
    }

    /// What is asked, and what values are drawn from, by kind.
    const WORLDS: [(ListKind, &[&str], &[&str]); 4] = [
        (ListKind::Text, &["a", "b", "c", "A"], &["a", "b", "c", "A", "d", ""]),
        (
            ListKind::Domain,
            &["example.org", "mail.example.org", "org", "x.net"],
            &["example.org", "A.MAIL.example.org.", "example.com", "org", "notexample.org", "", "."],
        ),
        (
            ListKind::Network,
            &["192.0.2.0/24", "192.0.2.7/32", "0.0.0.0/0", "2001:db8::/32", "2001:db8::1/128"],
            &["192.0.2.7", "192.0.2.8", "::ffff:192.0.2.7", "198.51.100.1", "2001:db8::1", "2001:db9::1", "x"],
        ),
        (
            ListKind::Date,
            &["2026-05-01", "2026-05-01..2026-05-07", "2026-05-03..2026-05-04", "2026-01-01..2026-12-31"],
            &["2026-05-01", "2026-05-04", "2026-05-07", "2026-05-08", "2027-01-01", "x"],
        ),
    ];

    #[test]
    fn a_list_has_at_each_instant_what_one_has_that_is_built_of_its_living_entries() {
        let mut seed = 11_u64;
        let mut draw = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        for (kind, values, asked) in WORLDS {
            let (mut list, mut model) = (ManagedList::new(kind), BTreeMap::new());
            let (mut found, mut missed) = (0, 0);
            for now_ms in 0..600_i64 {
                let value = canonical(kind, values[draw(values.len())]).expect("it is one of the kind");
                match draw(3) {
                    0 => assert_eq!(list.remove(&value), model.remove(&value).is_some()),
                    1 => {
                        list.expire(now_ms - 20);
                        model.retain(|_, end_ms: &mut Option<i64>| end_ms.is_none_or(|end_ms| end_ms > now_ms - 20));
                    }
                    _ => {
                        let expires_ms = (draw(3) > 0).then(|| now_ms + draw(40) as i64);
                        assert!(list.put(&value, entry(expires_ms)));
                        model.insert(value, expires_ms);
                    }
                }
                let as_of_ms = now_ms - draw(20) as i64;
                let living = model.iter().filter(|(_, end_ms)| end_ms.is_none_or(|end_ms| as_of_ms < end_ms));
                let built = List::from_values(kind, living.map(|(value, _)| value.as_str())).expect("they are values");
                for text in asked {
                    let is_in = list.contains_text(text, as_of_ms);
                    assert_eq!(is_in, built.contains_text(text), "{kind:?} {text} at {as_of_ms}: {model:?}");
                    *(if is_in { &mut found } else { &mut missed }) += 1;
                }
                let bytes: usize = list.entries.iter().map(|(value, entry)| entry.bytes(value)).sum();
                assert_eq!(list.bytes(), bytes);
            }
            assert!(found > 100 && missed > 100, "{kind:?}: {found} and {missed}");
            list.expire(i64::MAX);
            let staying: Vec<&String> =
                model.iter().filter(|(_, end_ms)| end_ms.is_none()).map(|(value, _)| value).collect();
            assert_eq!(list.behind(None).map(|(value, _)| value).collect::<Vec<_>>(), staying);
            assert!(list.behind(staying.first().map(|value| value.as_str())).count() + 1 >= staying.len());
        }
    }

    #[test]
    fn a_full_list_takes_no_more_and_changes_what_it_has() {
        let mut list = ManagedList::new(ListKind::Text);
        (0..MANAGED_ENTRIES_MAX).for_each(|number| assert!(list.put(&number.to_string(), entry(None))));
        assert!(!list.put("one more", entry(None)));
        assert!(list.put("7", entry(Some(9))));
        assert!(list.has_ended(9) && !list.has_ended(8));
        list.expire(9);
        assert!(list.put("one more", entry(None)));
        assert_eq!(list.len(), MANAGED_ENTRIES_MAX);
    }
}
