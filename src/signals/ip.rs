//! Network addresses: canonical form, networks around them, what kind they are, and whose.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::geo::{GeoReader, Place};
use super::networks::NetworkMarks;
use crate::event::{Event, EventBatch, Field, Signal, SignalSet, Signals, country_text};

/// Bits of an address of IPv6 that a home or an office has: the one network, and the site (RIPE-690 recommends /56).
pub(super) const PREFIX_BITS_V6: u32 = 64;
const SITE_BITS_V6: u32 = 56;

/// Bits of the network around an address of IPv4.
pub(super) const PREFIX_BITS_V4: u32 = 24;

/// What an address is used for, by the special-purpose address registries of IANA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddressKind {
    /// Anybody's, on the internet.
    Public,
    /// Inside a site: RFC 1918, fc00::/7.
    Private,
    /// Between a carrier and its customers: 100.64.0.0/10 (RFC 6598).
    SharedRange,
    /// Nobody's: loopback, link-local, documentation, benchmarks, multicast, not assigned.
    Reserved,
}

impl AddressKind {
    /// The word that rules see.
    pub(super) fn name(self) -> &'static str {
        match self {
            AddressKind::Public => "public",
            AddressKind::Private => "private",
            AddressKind::SharedRange => "shared_range",
            AddressKind::Reserved => "reserved",
        }
    }
}

/// Reads addresses, one after the other, in buffers of its own.
#[derive(Debug)]
pub(super) struct AddressReader {
    marks: NetworkMarks,
    geo: GeoReader,
    address: String,
    network: String,
}

impl AddressReader {
    pub(super) fn new(marks: NetworkMarks, geo: GeoReader) -> AddressReader {
        AddressReader { marks, geo, address: String::new(), network: String::new() }
    }

    /// The databases, and what is remembered of them.
    pub(super) fn geo(&self) -> &GeoReader {
        &self.geo
    }

    /// Sets the wanted signals of an address. `raw` is the text that it was parsed from.
    pub(super) fn derive(
        &mut self,
        address: IpAddr,
        event: &Event,
        wanted: SignalSet,
        batch: &mut EventBatch,
        row: &mut Signals,
    ) {
        self.derive_texts(address, event, wanted, batch, row);
        if wanted.contains(Signal::IpVersion) {
            row.set_int(Signal::IpVersion, if address.is_ipv4() { 4 } else { 6 });
        }
        if wanted.contains(Signal::IpKind) {
            row.set_text(Signal::IpKind, batch.make(kind(address).name()));
        }
        if self.geo.is_wanted() {
            let Place { country, asn, as_name } = self.geo.place(address);
            row.set_int(Signal::IpAsn, i64::from(asn));
            if wanted.contains(Signal::IpCountry) {
                row.set_text(Signal::IpCountry, batch.make(country_text(&country)));
            }
            if wanted.contains(Signal::IpAsName) {
                row.set_text(Signal::IpAsName, batch.make(self.geo.text(as_name)));
            }
        }
        self.marks.set_flags(address, row);
    }

    fn derive_texts(
        &mut self,
        address: IpAddr,
        event: &Event,
        wanted: SignalSet,
        batch: &mut EventBatch,
        row: &mut Signals,
    ) {
        let (prefix, site) = (wanted.contains(Signal::IpPrefix), wanted.contains(Signal::IpSite));
        if !(prefix || site || wanted.contains(Signal::IpAddress)) {
            return;
        }
        let entered = batch.field(event, Field::Ip);
        // An address of IPv4 has one spelling: without blanks and without IPv6 around it, the text is that.
        let canonical = address.is_ipv4() && entered.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        self.address.clear();
        match address {
            _ if canonical => self.address.push_str(entered),
            IpAddr::V4(v4) => push_v4(v4, &mut self.address),
            IpAddr::V6(v6) => push_v6(v6, &mut self.address),
        }
        if wanted.contains(Signal::IpAddress) {
            let as_entered = canonical || entered == self.address;
            let span = if as_entered { event.span(Field::Ip) } else { batch.make(&self.address) };
            row.set_text(Signal::IpAddress, span);
        }
        match address {
            IpAddr::V4(_) if prefix || site => {
                let last_dot = self.address.bytes().rposition(|byte| byte == b'.').unwrap_or_default();
                self.address.truncate(last_dot);
                self.address.push_str(".0/24");
                let span = batch.make(&self.address);
                row.set_text(Signal::IpPrefix, span);
                row.set_text(Signal::IpSite, span);
            }
            IpAddr::V4(_) => {}
            IpAddr::V6(v6) => {
                for (signal, wanted, bits) in
                    [(Signal::IpPrefix, prefix, PREFIX_BITS_V6), (Signal::IpSite, site, SITE_BITS_V6)]
                {
                    if wanted {
                        let network = Ipv6Addr::from(u128::from(v6) >> (128 - bits) << (128 - bits));
                        self.network.clear();
                        push_v6(network, &mut self.network);
                        self.network.push('/');
                        self.network.push_str(itoa::Buffer::new().format(bits));
                        row.set_text(signal, batch.make(&self.network));
                    }
                }
            }
        }
    }
}

/// The address that a text spells, IPv4 inside IPv6 (`::ffff:192.0.2.1`) as IPv4; `None` for anything else, such as a
/// port, a zone or a list of addresses behind it.
pub(super) fn parse(raw: &str) -> Option<IpAddr> {
    // Nearly all texts are of ASCII and have no blanks: finding that out costs less than trimming.
    let bare = raw.as_bytes().first().is_some_and(u8::is_ascii_hexdigit)
        && raw.as_bytes().last().is_some_and(u8::is_ascii_hexdigit);
    let raw = if bare { raw } else { raw.trim() };
    raw.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// What kind of address it is.
pub(super) fn kind(address: IpAddr) -> AddressKind {
    match address {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => kind_v6(address),
    }
}

/// By IANA's IPv4 Special-Purpose Address Registry; `globally reachable` there is `public` here.
fn kind_v4(address: Ipv4Addr) -> AddressKind {
    match address.octets() {
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => AddressKind::Private,
        [100, 64..=127, ..] => AddressKind::SharedRange,
        [192, 0, 0, 9 | 10] => AddressKind::Public,
        [0 | 127, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [224..=255, ..] => AddressKind::Reserved,
        _ => AddressKind::Public,
    }
}

/// By IANA's IPv6 Special-Purpose Address Registry. Beyond 2000::/3 nothing is assigned but what stands there.
fn kind_v6(address: Ipv6Addr) -> AddressKind {
    let bits = u128::from(address);
    match address.segments() {
        [0xfc00..=0xfdff, ..] => AddressKind::Private,
        // NAT64 (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => AddressKind::Public,
        // Of 2001::/23 only: port control and TURN anycast (2001:1::1 to ::3), AMT (2001:3::/32), AS112 (2001:4:112::/48),
        // ORCHIDv2 and drone identifiers (2001:20::/28, 2001:30::/28).
        [0x2001, 1, 0, 0, 0, 0, 0, 1..=3] | [0x2001, 3, ..] | [0x2001, 4, 0x112, ..] | [0x2001, 0x20..=0x3f, ..] => {
            AddressKind::Public
        }
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] => AddressKind::Reserved,
        // 6to4 (RFC 7526 retires it); documentation (RFC 9637).
        [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => AddressKind::Reserved,
        _ if bits >> 125 == 0b001 => AddressKind::Public,
        _ => AddressKind::Reserved,
    }
}

/// Appends an address of IPv4, three times as fast as by its `Display`.
fn push_v4(address: Ipv4Addr, out: &mut String) {
    let mut digits = itoa::Buffer::new();
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            out.push('.');
        }
        out.push_str(digits.format(octet));
    }
}

/// Appends an address of IPv6 by RFC 5952: the first longest run of two or more zero groups as `::`. Ten times as fast
/// as by its `Display`, which agrees but for IPv4 inside.
fn push_v6(address: Ipv6Addr, out: &mut String) {
    let groups = address.segments();
    let (mut zeros, mut run) = (0..0, 0..0);
    for (index, group) in groups.into_iter().enumerate() {
        run = if group == 0 { run.start..index + 1 } else { index + 1..index + 1 };
        if run.len() > zeros.len() {
            zeros = run.clone();
        }
    }
    if zeros.len() < 2 {
        zeros = groups.len()..groups.len();
    }
    for (index, group) in groups.into_iter().enumerate() {
        if index == zeros.start {
            out.push_str("::");
        }
        if zeros.contains(&index) {
            continue;
        }
        if index > 0 && index != zeros.end {
            out.push(':');
        }
        let digits = 4 - (group.leading_zeros() / 4).min(3);
        for place in (0..digits).rev() {
            out.push(char::from(b"0123456789abcdef"[usize::from(group >> (4 * place) & 15)]));
        }
    }
}

#[cfg(test)]
mod tests;
