use super::*;
use crate::event::Field;
use crate::signals::tests::{Derived, derive_with};
use crate::signals::{Deriver, Wanted};

/// A value of MaxMind's format, as much as the tests need.
enum Value {
    Map(Vec<(&'static str, Value)>),
    Text(&'static str),
    Short(u16),
    Number(u32),
    Long(u64),
    EmptyArray,
}

/// Appends a value by section "Output Data Section" of the MaxMind DB specification 2.0.
fn encode(value: &Value, out: &mut Vec<u8>) {
    let text = |text: &str, out: &mut Vec<u8>| {
        match text.len() {
            len @ 0..29 => out.push(2 << 5 | len as u8),
            len => out.extend([2 << 5 | 29, (len - 29) as u8]),
        }
        out.extend(text.as_bytes());
    };
    match value {
        Value::Map(members) => {
            out.push(7 << 5 | members.len() as u8);
            for (name, member) in members {
                text(name, out);
                encode(member, out);
            }
        }
        Value::Text(words) => text(words, out),
        Value::Short(number) => {
            out.push(5 << 5 | 2);
            out.extend(number.to_be_bytes());
        }
        Value::Number(number) => {
            out.push(6 << 5 | 4);
            out.extend(number.to_be_bytes());
        }
        // Extended types follow as their number less 7: an array is 11, an unsigned integer of 64 bits 9.
        Value::EmptyArray => out.extend([0, 4]),
        Value::Long(number) => {
            out.extend([8, 2]);
            out.extend(number.to_be_bytes());
        }
    }
}

/// A database of IPv4 networks: the first bits of an address, how many, and the value. Records have 24 bits.
fn database(networks: &[([u8; 4], u8, Value)]) -> Arc<[u8]> {
    const NONE: usize = usize::MAX;
    let mut nodes: Vec<[usize; 2]> = vec![[NONE; 2]];
    let (mut data, mut leaves) = (Vec::new(), Vec::new());
    for (address, bits, value) in networks {
        let address = u32::from_be_bytes(*address);
        let mut node = 0;
        for depth in 0..*bits {
            let side = (address >> (31 - depth) & 1) as usize;
            if depth + 1 == *bits {
                leaves.push((node, side, data.len()));
            } else if nodes[node][side] == NONE {
                nodes.push([NONE; 2]);
                nodes[node][side] = nodes.len() - 1;
                node = nodes.len() - 1;
            } else {
                node = nodes[node][side];
            }
        }
        encode(value, &mut data);
    }
    let count = nodes.len();
    for (node, side, offset) in leaves {
        nodes[node][side] = count + 16 + offset;
    }
    let mut bytes: Vec<u8> = Vec::new();
    for record in nodes.iter().flatten() {
        let record = if *record == NONE { count } else { *record };
        bytes.extend(&(record as u32).to_be_bytes()[1..]);
    }
    bytes.extend([0; 16]);
    bytes.extend(data);
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    let metadata = Value::Map(vec![
        ("binary_format_major_version", Value::Short(2)),
        ("binary_format_minor_version", Value::Short(0)),
        ("build_epoch", Value::Long(1_700_000_000)),
        ("database_type", Value::Text("Test")),
        ("description", Value::Map(vec![("en", Value::Text("Test"))])),
        ("ip_version", Value::Short(4)),
        ("languages", Value::EmptyArray),
        ("node_count", Value::Number(count as u32)),
        ("record_size", Value::Short(24)),
    ]);
    encode(&metadata, &mut bytes);
    bytes.into()
}

fn country_value(member: &'static str, code: &'static str) -> Value {
    Value::Map(vec![(member, Value::Map(vec![("iso_code", Value::Text(code))]))])
}

fn countries() -> Arc<[u8]> {
    database(&[
        ([8, 8, 8, 0], 24, country_value("country", "US")),
        ([9, 0, 0, 0], 8, country_value("registered_country", "SA")),
        ([12, 0, 0, 0], 8, Value::Map(vec![("country_code", Value::Text("ae"))])),
        ([13, 0, 0, 0], 8, Value::Map(vec![("country", Value::Text("EG"))])),
        ([14, 0, 0, 0], 8, country_value("country", "??")),
    ])
}

fn systems() -> Arc<[u8]> {
    let system = |number, name| {
        Value::Map(vec![
            ("autonomous_system_number", Value::Number(number)),
            ("autonomous_system_organization", Value::Text(name)),
        ])
    };
    database(&[
        ([8, 8, 8, 0], 24, system(15169, "Google LLC")),
        ([9, 0, 0, 0], 8, system(4_200_000_000, "Société de l'AS")),
        ([12, 0, 0, 0], 8, Value::Map(vec![("autonomous_system_number", Value::Number(7))])),
    ])
}

fn look_up(config: &SignalConfig, ip: &str) -> Derived {
    derive_with(config, &[(Field::Ip, ip)])
}

#[test]
fn databases_say_country_and_operator() {
    let config = SignalConfig { country_db: Some(countries()), asn_db: Some(systems()), ..SignalConfig::default() };
    for (ip, country, asn, as_name) in [
        ("8.8.8.8", "US", 15169, "Google LLC"),
        ("::ffff:8.8.8.8", "US", 15169, "Google LLC"),
        ("8.8.9.8", "", 0, ""),
        ("9.1.2.3", "SA", 4_200_000_000, "Société de l'AS"),
        ("12.1.2.3", "AE", 7, ""),
        ("13.1.2.3", "EG", 0, ""),
        ("14.1.2.3", "", 0, ""),
        ("2001:db8::1", "", 0, ""),
    ] {
        let derived = look_up(&config, ip);
        assert_eq!(derived.text(Signal::IpCountry), country, "{ip}");
        assert_eq!(derived.int(Signal::IpAsn), asn, "{ip}");
        assert_eq!(derived.text(Signal::IpAsName), as_name, "{ip}");
    }
    let none = look_up(&SignalConfig::default(), "8.8.8.8");
    assert_eq!((none.text(Signal::IpCountry), none.int(Signal::IpAsn)), ("", 0));
}

#[test]
fn an_address_is_looked_up_once() {
    let config = SignalConfig { country_db: Some(countries()), ..SignalConfig::default() };
    let mut geo = GeoReader::new(SignalSet::ALL, &config).unwrap();
    for ip in ["8.8.8.8", "9.9.9.9", "8.8.8.8", "8.8.8.8"] {
        let code = geo.place(ip.parse().unwrap()).country;
        assert_eq!(&code, if ip.starts_with('8') { b"US" } else { b"SA" });
    }
    assert_eq!(geo.counts(), CacheUse { hits: 2, misses: 2 });
}

/// Damage of any kind is an error or an unknown place; the reader must not panic.
#[test]
fn a_damaged_database_is_an_error_at_load() {
    let good = countries();
    let load = |bytes: &[u8]| {
        let config = SignalConfig { country_db: Some(bytes.into()), ..SignalConfig::default() };
        Deriver::new(Wanted::default(), &config).map(|_| ())
    };
    load(&good).unwrap();
    for bad in [&b""[..], b"not a database", &good[..good.len() / 2], &good[7..]] {
        let error = load(bad).unwrap_err().to_string();
        assert!(error.starts_with("the database of countries cannot be used: "), "{error}");
    }
    for at in 0..good.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = good.to_vec();
            bytes[at] ^= flip;
            let config = SignalConfig { country_db: Some(bytes.into()), ..SignalConfig::default() };
            if let Ok(mut geo) = GeoReader::new(SignalSet::ALL, &config) {
                for ip in ["8.8.8.8", "9.9.9.9", "12.0.0.1", "255.255.255.255", "2001:db8::1"] {
                    geo.place(ip.parse().unwrap());
                }
            }
        }
    }
}

/// MaxMind's own test databases, where they lie beside the checkout.
#[test]
fn databases_of_maxmind_are_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/mmdb");
    let read = |name: &str| std::fs::read(folder.join(name)).ok().map(Arc::<[u8]>::from);
    let (Some(country_db), Some(asn_db)) = (read("GeoLite2-Country-Test.mmdb"), read("GeoLite2-ASN-Test.mmdb")) else {
        return;
    };
    let config = SignalConfig { country_db: Some(country_db), asn_db: Some(asn_db), ..SignalConfig::default() };
    assert_eq!(look_up(&config, "89.160.20.112").text(Signal::IpCountry), "SE");
    assert_eq!(look_up(&config, "2001:218::1").text(Signal::IpCountry), "JP");
    let derived = look_up(&config, "1.128.0.1");
    assert_eq!((derived.int(Signal::IpAsn), derived.text(Signal::IpAsName)), (1221, "Telstra Pty Ltd"));
    for broken in ["GeoIP2-City-Test-Broken-Double-Format.mmdb", "GeoIP2-City-Test-Invalid-Node-Count.mmdb"] {
        let config = SignalConfig { country_db: read(broken), ..SignalConfig::default() };
        assert!(Deriver::new(Wanted::default(), &config).is_err(), "{broken}");
    }
}
