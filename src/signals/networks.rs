//! Which of the operator's lists of networks an address is in: all lists in one search.

use std::net::IpAddr;
use std::sync::Arc;

use super::config::{SignalConfig, SignalError};
use crate::event::{Signal, SignalSet, Signals};
use crate::lists::{List, ListKind, NetworkSet};

/// The signals that lists of networks answer; the place in this table is the bit of a mark.
const MARKED: [Signal; 5] = [Signal::IpCarrier, Signal::IpTor, Signal::IpVpn, Signal::IpRelay, Signal::IpDatacenter];

/// Marks of addresses: what holds from each boundary of a range to the next.
#[derive(Debug, Default)]
pub(super) struct NetworkMarks {
    v4: Boundaries<u32>,
    v6: Boundaries<u128>,
}

/// First addresses, ascending, with the marks from there on; before the first, and without any, there are none.
#[derive(Debug, Default)]
struct Boundaries<T> {
    starts: Vec<T>,
    marks: Vec<u8>,
}

impl NetworkMarks {
    /// Joins the lists of the wanted signals.
    ///
    /// # Errors
    ///
    /// [`SignalError::ListKind`] for a list, wanted or not, that is no list of networks.
    pub(super) fn new(wanted: SignalSet, config: &SignalConfig) -> Result<NetworkMarks, SignalError> {
        let lists = [&config.carrier, &config.tor, &config.vpn, &config.relay, &config.datacenter];
        let mut sets: [Option<&NetworkSet>; MARKED.len()] = [None; MARKED.len()];
        for ((slot, list), signal) in sets.iter_mut().zip(lists).zip(MARKED) {
            *slot = network_set(list.as_ref(), signal)?.filter(|_| wanted.contains(signal));
        }
        Ok(NetworkMarks {
            v4: Boundaries::new(sets.map(|set| set.map_or(&[][..], NetworkSet::ranges_v4)), |last| last.checked_add(1)),
            v6: Boundaries::new(sets.map(|set| set.map_or(&[][..], NetworkSet::ranges_v6)), |last| last.checked_add(1)),
        })
    }

    /// Sets the signals of the lists that cover the address.
    #[inline]
    pub(super) fn set_flags(&self, address: IpAddr, row: &mut Signals) {
        let mut marks = match address {
            IpAddr::V4(address) => self.v4.marks_of(u32::from(address)),
            IpAddr::V6(address) => self.v6.marks_of(u128::from(address)),
        };
        while marks != 0 {
            row.set_flag(MARKED[marks.trailing_zeros() as usize], true);
            marks &= marks - 1;
        }
    }
}

fn network_set(list: Option<&Arc<List>>, signal: Signal) -> Result<Option<&NetworkSet>, SignalError> {
    match list.map(Arc::as_ref) {
        None => Ok(None),
        Some(List::Networks(set)) => Ok(Some(set)),
        Some(other) => Err(SignalError::ListKind { signal, found: other.kind(), wanted: ListKind::Network }),
    }
}

impl<T: Copy + Ord> Boundaries<T> {
    /// Joins sets of disjoint ranges; `next` is the address after one, if there is any.
    fn new(sets: [&[(T, T)]; MARKED.len()], next: impl Fn(T) -> Option<T>) -> Boundaries<T> {
        // Each range flips its bit at its first address and again behind its last.
        let mut flips: Vec<(T, u8)> = Vec::new();
        for (bit, ranges) in sets.iter().enumerate() {
            for (first, last) in *ranges {
                flips.push((*first, 1 << bit));
                flips.extend(next(*last).map(|after| (after, 1 << bit)));
            }
        }
        flips.sort_unstable();
        let mut boundaries = Boundaries { starts: Vec::new(), marks: Vec::new() };
        let mut marks = 0;
        for (address, bit) in flips {
            marks ^= bit;
            if boundaries.starts.last() == Some(&address) {
                boundaries.marks.pop();
            } else {
                boundaries.starts.push(address);
            }
            boundaries.marks.push(marks);
        }
        boundaries
    }

    #[inline]
    fn marks_of(&self, address: T) -> u8 {
        let above = self.starts.partition_point(|start| *start <= address);
        if above == 0 { 0 } else { self.marks[above - 1] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn networks(values: &[String]) -> Option<Arc<List>> {
        let list = List::from_values(ListKind::Network, values.iter().map(String::as_str)).unwrap();
        Some(Arc::new(list))
    }

    fn network() -> impl Strategy<Value = String> {
        (0..32u32, 20..=32u8).prop_map(|(host, bits)| {
            let address = (0x0a00_0000u32 | host << 7) >> (32 - bits) << (32 - bits);
            format!("{}/{bits}", std::net::Ipv4Addr::from(address))
        })
    }

    proptest! {
        #[test]
        fn one_search_answers_as_every_list_alone(
            lists in prop::collection::vec(prop::collection::vec(network(), 0..6), 5),
            hosts in prop::collection::vec(0..8192u32, 50),
        ) {
            let [carrier, tor, vpn, relay, datacenter] = [0, 1, 2, 3, 4].map(|index: usize| networks(&lists[index]));
            let config = SignalConfig { carrier, tor, vpn, relay, datacenter, ..SignalConfig::default() };
            let marks = NetworkMarks::new(SignalSet::ALL, &config).unwrap();
            for host in hosts {
                let address = IpAddr::from((0x0a00_0000 | host).to_be_bytes());
                let mut row = Signals::default();
                marks.set_flags(address, &mut row);
                let alone = [&config.carrier, &config.tor, &config.vpn, &config.relay, &config.datacenter];
                for (list, signal) in alone.into_iter().zip(MARKED) {
                    prop_assert_eq!(row.flag(signal), list.as_ref().unwrap().contains_address(address));
                }
            }
        }
    }

    #[test]
    fn the_last_address_has_no_boundary_behind_it() {
        let tor = networks(&["255.255.255.255".to_owned(), "ffff::/16".to_owned()]);
        let marks = NetworkMarks::new(SignalSet::ALL, &SignalConfig { tor, ..SignalConfig::default() }).unwrap();
        for (address, expected) in
            [("255.255.255.255", true), ("255.255.255.254", false), ("ffff:ffff::", true), ("fffe::", false)]
        {
            let mut row = Signals::default();
            marks.set_flags(address.parse().unwrap(), &mut row);
            assert_eq!(row.flag(Signal::IpTor), expected, "{address}");
        }
    }
}
