use super::*;
use crate::signals::tests::derive;
use proptest::prelude::*;

#[test]
fn addresses_have_one_form_and_the_networks_around_them() {
    for (raw, address, prefix, site, version) in [
        ("198.51.100.23", "198.51.100.23", "198.51.100.0/24", "198.51.100.0/24", 4),
        (" 8.8.8.8\n", "8.8.8.8", "8.8.8.0/24", "8.8.8.0/24", 4),
        ("0.0.0.0", "0.0.0.0", "0.0.0.0/24", "0.0.0.0/24", 4),
        ("::ffff:192.0.2.128", "192.0.2.128", "192.0.2.0/24", "192.0.2.0/24", 4),
        ("::FFFF:c000:0280", "192.0.2.128", "192.0.2.0/24", "192.0.2.0/24", 4),
        (
            "2001:0DB8:0000:12FF:0000:0000:0000:0001",
            "2001:db8:0:12ff::1",
            "2001:db8:0:12ff::/64",
            "2001:db8:0:1200::/56",
            6,
        ),
        ("::1", "::1", "::/64", "::/56", 6),
    ] {
        let derived = derive(&[(Field::Ip, raw)]);
        assert_eq!(derived.text(Signal::IpAddress), address, "{raw}");
        assert_eq!(derived.text(Signal::IpPrefix), prefix, "{raw}");
        assert_eq!(derived.text(Signal::IpSite), site, "{raw}");
        assert_eq!(derived.int(Signal::IpVersion), version, "{raw}");
        assert!(derived.event().presence.has(Field::Ip));
    }
}

#[test]
fn what_is_no_address_is_refused() {
    for raw in [
        "10.0.0",
        "010.0.0.1",
        "1.2.3.256",
        "1.2.3.4:80",
        "[::1]",
        "fe80::1%eth0",
        "1.2.3.4, 5.6.7.8",
        "1.2.3.4/24",
        "1::2::3",
        "localhost",
        "１.2.3.4",
        "0x7f.0.0.1",
        "2130706433",
    ] {
        assert!(derive(&[(Field::Ip, raw)]).event().unreadable.has(Field::Ip), "{raw}");
    }
}

#[test]
fn kinds_follow_the_special_purpose_registries() {
    use AddressKind::{Private, Public, Reserved, SharedRange};
    for (address, expected) in [
        ("8.8.8.8", Public),
        ("9.255.255.255", Public),
        ("10.0.0.0", Private),
        ("10.255.255.255", Private),
        ("11.0.0.0", Public),
        ("100.63.255.255", Public),
        ("100.64.0.0", SharedRange),
        ("100.127.255.255", SharedRange),
        ("100.128.0.0", Public),
        ("127.0.0.1", Reserved),
        ("0.1.2.3", Reserved),
        ("169.254.0.1", Reserved),
        ("172.15.255.255", Public),
        ("172.16.0.0", Private),
        ("172.31.255.255", Private),
        ("172.32.0.0", Public),
        ("192.0.0.8", Reserved),
        ("192.0.0.9", Public),
        ("192.0.1.0", Public),
        ("192.0.2.1", Reserved),
        ("192.88.99.1", Reserved),
        ("192.168.1.1", Private),
        ("198.17.255.255", Public),
        ("198.18.0.0", Reserved),
        ("198.19.255.255", Reserved),
        ("198.51.100.1", Reserved),
        ("203.0.113.1", Reserved),
        ("223.255.255.255", Public),
        ("224.0.0.1", Reserved),
        ("255.255.255.255", Reserved),
        ("::", Reserved),
        ("::1", Reserved),
        ("::1.2.3.4", Reserved),
        ("64:ff9b::808:808", Public),
        ("64:ff9b:1::1", Reserved),
        ("100::1", Reserved),
        ("2001::1", Reserved),
        ("2001:1::1", Public),
        ("2001:1::4", Reserved),
        ("2001:2::1", Reserved),
        ("2001:3::1", Public),
        ("2001:4:112::1", Public),
        ("2001:4:113::1", Reserved),
        ("2001:1f::1", Reserved),
        ("2001:20::1", Public),
        ("2001:3f::1", Public),
        ("2001:40::1", Reserved),
        ("2001:200::1", Public),
        ("2001:db7::1", Public),
        ("2001:db8::1", Reserved),
        ("2002:c000:201::1", Reserved),
        ("2a00:1450::1", Public),
        ("3ffe::1", Public),
        ("3fff::1", Reserved),
        ("3fff:1000::1", Public),
        ("4000::1", Reserved),
        ("5f00::1", Reserved),
        ("fbff::1", Reserved),
        ("fc00::1", Private),
        ("fdff::1", Private),
        ("fe80::1", Reserved),
        ("ff02::1", Reserved),
    ] {
        assert_eq!(kind(address.parse().unwrap()), expected, "{address}");
    }
    assert_eq!(derive(&[(Field::Ip, "100.64.1.1")]).text(Signal::IpKind), "shared_range");
}

/// Groups that are often zero, so that runs of them are as common as not.
fn groups() -> impl Strategy<Value = [u16; 8]> {
    prop::array::uniform8(prop_oneof![2 => Just(0u16), 1 => any::<u16>(), 1 => 0..300u16])
}

proptest! {
    #[test]
    fn the_form_of_ipv6_is_that_of_the_standard_library(groups in groups()) {
        let address = Ipv6Addr::from(groups);
        prop_assume!(address.to_ipv4_mapped().is_none());
        let mut out = String::new();
        push_v6(address, &mut out);
        prop_assert_eq!(out, address.to_string());
    }

    #[test]
    fn the_form_of_an_address_is_its_own_form(bits in any::<u128>(), v4 in any::<bool>(), upper in any::<bool>()) {
        let address = if v4 { IpAddr::from((bits as u32).to_be_bytes()) } else { IpAddr::from(bits.to_be_bytes()) };
        let raw = if upper { address.to_string().to_uppercase() } else { address.to_string() };
        let once = derive(&[(Field::Ip, &raw)]);
        let text = once.text(Signal::IpAddress);
        prop_assert_eq!(text.parse::<IpAddr>().unwrap(), address.to_canonical());
        let twice = derive(&[(Field::Ip, text)]);
        for signal in [Signal::IpAddress, Signal::IpPrefix, Signal::IpSite] {
            prop_assert_eq!(twice.text(signal), once.text(signal));
        }
        for signal in [Signal::IpPrefix, Signal::IpSite] {
            let network: ipnet::IpNet = once.text(signal).parse().unwrap();
            prop_assert_eq!(network, network.trunc());
            prop_assert!(network.contains(&address.to_canonical()));
        }
    }
}
