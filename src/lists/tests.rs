use super::*;
use proptest::prelude::*;

fn list(kind: ListKind, values: &[&str]) -> List {
    List::from_values(kind, values.iter().copied()).unwrap()
}

fn faults(kind: ListKind, file: &str) -> Vec<(usize, String)> {
    List::parse(kind, file).unwrap_err().into_iter().map(|fault| (fault.line, fault.reason)).collect()
}

#[test]
fn kinds_have_the_words_of_rule_packs() {
    for kind in ListKind::ALL {
        assert_eq!(ListKind::from_name(kind.name()), Some(kind));
    }
    assert_eq!(ListKind::from_name("cidr"), Some(ListKind::Network));
    assert_eq!(ListKind::from_name("text"), None);
}

#[test]
fn a_file_has_comments_blank_lines_and_any_line_end() {
    let file = "\u{feff}# head\r\n\r\n  example.org  # why\r\nb.example\t# tab\r\n#c.example\nd.example";
    let domains = List::parse(ListKind::Domain, file).unwrap();
    assert_eq!(domains.len(), 3);
    for (domain, expected) in [("example.org", true), ("b.example", true), ("c.example", false), ("d.example", true)] {
        assert_eq!(domains.contains_text(domain), expected, "{domain}");
    }
    let texts = List::parse(ListKind::Text, "acc-1 # not a comment\n#skipped\nAcc-1").unwrap();
    assert!(texts.contains_text("acc-1 # not a comment") && texts.contains_text("Acc-1"));
    assert!(!texts.contains_text("acc-1") && !texts.contains_text("#skipped") && !texts.contains_text("skipped"));
}

#[test]
fn domains_match_by_label_and_never_by_substring() {
    let domains = list(ListKind::Domain, &["mailinator.com", "*.Dyn.Example.", ".co", "bücher.example"]);
    for (domain, expected) in [
        ("mailinator.com", true),
        ("a.b.mailinator.com", true),
        ("MAILINATOR.com.", true),
        ("xmailinator.com", false),
        ("mailinator.com.org", false),
        ("mailinator", false),
        ("dyn.example", true),
        ("x.dyn.example", true),
        ("example", false),
        ("anything.co", true),
        ("co.uk", false),
        ("xn--bcher-kva.example", true),
        ("", false),
        (".", false),
        ("..", false),
        ("a@mailinator.com", false),
    ] {
        assert_eq!(domains.contains_domain(domain), expected, "{domain}");
    }
    assert!(!domains.contains_domain(&"a.".repeat(5000)));
}

#[test]
fn networks_cover_addresses_of_both_families() {
    let networks = list(
        ListKind::Network,
        &["198.51.100.0/24", "192.0.2.7", "2001:db8::/32", "::ffff:203.0.113.0/120", "0.0.0.0/8", "255.255.255.255/32"],
    );
    for (address, expected) in [
        ("198.51.100.0", true),
        ("198.51.100.255", true),
        ("198.51.101.0", false),
        ("192.0.2.7", true),
        ("192.0.2.8", false),
        ("::ffff:192.0.2.7", true),
        ("203.0.113.9", true),
        ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true),
        ("2001:db9::", false),
        ("0.1.2.3", true),
        ("255.255.255.255", true),
        ("255.255.255.254", false),
    ] {
        assert_eq!(networks.contains_address(address.parse().unwrap()), expected, "{address}");
        assert_eq!(networks.contains_text(address), expected, "{address}");
    }
    assert!(!networks.contains_text("198.51.100.0/24") && !networks.contains_text("somewhere"));
    assert!(list(ListKind::Network, &["::/0"]).contains_text("2001:db8::1"));
    assert!(!list(ListKind::Network, &["::/0"]).contains_text("192.0.2.1"));
}

#[test]
fn touching_networks_and_days_become_one() {
    assert_eq!(list(ListKind::Network, &["10.0.0.0/25", "10.0.0.128/25", "10.0.0.7", "10.0.2.0/24"]).len(), 2);
    let dates = list(ListKind::Date, &["2026-05-02", "2026-05-01", "2026-05-03..2026-05-05", "2026-12-31..2027-01-01"]);
    assert_eq!(dates.len(), 2);
    for (date, expected) in [
        ("2026-04-30", false),
        ("2026-05-01", true),
        ("2026-05-05", true),
        ("2026-05-06", false),
        ("2027-01-01", true),
        ("9999-12-31", false),
        ("1 May", false),
    ] {
        assert_eq!(dates.contains_text(date), expected, "{date}");
    }
    assert!(list(ListKind::Date, &["9999-12-31", "9999-12-30"]).contains_text("9999-12-31"));
}

#[test]
fn a_question_of_another_kind_is_answered_no() {
    let texts = list(ListKind::Text, &["192.0.2.1", "2026-05-01", "example.org"]);
    assert!(!texts.contains_address("192.0.2.1".parse().unwrap()));
    assert!(!texts.contains_date("2026-05-01".parse().unwrap()));
    assert!(!texts.contains_domain("example.org"));
}

#[test]
fn faults_name_the_line_and_what_to_write() {
    let wrong = faults(ListKind::Network, "192.0.2.0/24\n192.0.2.1/24\nhere\n192.0.2.0/33\n::1/129\n1.2.3.4/-1");
    assert_eq!(wrong.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    assert_eq!(wrong[0].1, "`192.0.2.1/24` names an address inside a network: write 192.0.2.0/24 or 192.0.2.1");
    assert_eq!(wrong[2].1, "`192.0.2.0/33` has a prefix longer than its address: at most /32 or /128");
    let wrong = faults(ListKind::Domain, "a..b\nex ample.org\nexample.org\n*.\nuser@example.org\n");
    assert_eq!(wrong.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 2, 4, 5]);
    assert_eq!(wrong[0].1, "`a..b` is no domain: write one like example.org");
    let wrong = faults(ListKind::Date, "2026-02-30\n2026-05-02..2026-05-01\n2026-05-01 .. 2026-05-02\nsoon");
    assert_eq!(wrong.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 2, 4]);
    assert_eq!(wrong[1].1, "`2026-05-02..2026-05-01` ends before it begins: write 2026-05-01..2026-05-02");
    let long = "x".repeat(ENTRY_BYTES_MAX + 1);
    assert_eq!(faults(ListKind::Text, &long), [(1, "an entry has at most 1024 bytes, this one has 1025".to_owned())]);
    assert_eq!(faults(ListKind::Date, &"x\n".repeat(1000)).len(), FAULTS_MAX);
    assert_eq!(List::from_values(ListKind::Text, ["a", " "]).unwrap_err()[0].line, 2);
}

#[test]
fn domains_have_one_form() {
    for (text, canonical) in [
        ("Example.ORG", "example.org"),
        (" example.org.. ", "example.org"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("ｇｍａｉｌ．ｃｏｍ", "gmail.com"),
        ("مثال.السعودية", "xn--mgbh0fb.xn--mgberp4a5d4ar"),
        ("a_b.example", "a_b.example"),
        ("r3---sn.example", "r3---sn.example"),
        ("localhost", "localhost"),
    ] {
        let mut out = String::from("kept ");
        assert!(canonical_domain(text, &mut out), "{text}");
        assert_eq!(out, format!("kept {canonical}"));
    }
    let long_label = format!("{}.example", "a".repeat(64));
    let long = "a.".repeat(128);
    for text in
        ["", ".", "a..b", ".a", "a b", "a@b", "[192.0.2.1]", "a/b", "xn--a", "a\u{0}", "<a>", &long_label, &long]
    {
        let mut out = String::from("kept");
        assert!(!canonical_domain(text, &mut out), "{text}: {out}");
        assert_eq!(out, "kept");
    }
}

#[test]
fn the_shipped_list_of_domains_loads() {
    let file = include_str!("../../rules/lists/disposable-domains.txt");
    let domains = List::parse(ListKind::Domain, file).unwrap();
    assert_eq!(domains.len(), 10_181);
    for (domain, expected) in [
        ("mailinator.com", true),
        ("x.yopmail.com", true),
        ("domozmail.com", true),
        ("mozmail.com", false),
        ("duck.com", false),
        ("gmail.com", false),
    ] {
        assert_eq!(domains.contains_domain(domain), expected, "{domain}");
    }
}

proptest! {
    #[test]
    fn networks_answer_as_a_scan_does(
        networks in prop::collection::vec((0..64u32, 20..=32u8), 0..40),
        hosts in prop::collection::vec(0..16384u32, 100),
    ) {
        let networks: Vec<ipnet::Ipv4Net> = networks
            .into_iter()
            .map(|(host, bits)| ipnet::Ipv4Net::new((0x0a00_0000 | host << 8).into(), bits).unwrap().trunc())
            .collect();
        let set: NetworkSet = networks.iter().copied().map(ipnet::IpNet::from).collect();
        for host in hosts {
            let address = std::net::Ipv4Addr::from(0x0a00_0000 | host);
            prop_assert_eq!(set.contains(address.into()), networks.iter().any(|network| network.contains(&address)));
        }
        prop_assert!(set.ranges_v4().windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "disjoint and apart");
    }

    #[test]
    fn texts_answer_as_a_scan_does(
        entries in prop::collection::vec("[a-cé]{1,4}|[a-z]{1,12}", 0..12),
        asked in prop::collection::vec("[a-cé]{0,4}|[a-z]{1,12}", 20),
    ) {
        let set = List::from_values(ListKind::Text, entries.iter().map(String::as_str)).unwrap();
        for text in asked.iter().chain(&entries) {
            prop_assert_eq!(set.contains_text(text), entries.contains(text), "{}", text);
        }
    }

    #[test]
    fn domains_answer_as_a_scan_of_suffixes_does(
        entries in prop::collection::vec("[ab]{1,2}(\\.[ab]{1,2}){0,2}", 0..20),
        asked in "[ab]{1,2}(\\.[ab]{1,2}){0,4}",
    ) {
        let set = List::from_values(ListKind::Domain, entries.iter().map(String::as_str)).unwrap();
        let expected = entries.iter().any(|entry| asked == *entry || asked.ends_with(&format!(".{entry}")));
        prop_assert_eq!(set.contains_domain(&asked), expected);
    }

    #[test]
    fn the_form_of_a_domain_is_its_own_form(text in any::<String>()) {
        let (mut once, mut twice) = (String::new(), String::new());
        if canonical_domain(&text, &mut once) {
            prop_assert!(canonical_domain(&once, &mut twice), "{}", once);
            prop_assert_eq!(once, twice);
        }
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        fuzz_lists(&text);
    }
}
