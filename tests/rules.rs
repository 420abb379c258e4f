//! Rule files from outside: the shipped packs load, broken ones say what is wrong, and no text makes the loader panic.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use refguard::ruleset::diagnostic;
use refguard::ruleset::load::{Files, Loaded, Premises, load, load_from};

#[path = "rules/difference.rs"]
mod difference;
#[path = "rules/findings.rs"]
mod findings;

/// Files in memory.
struct Memory(BTreeMap<&'static str, String>);

impl Files for Memory {
    fn packs(&self) -> Result<Vec<String>, String> {
        let packs = self.0.keys().filter(|path| path.ends_with(".yaml"));
        Ok(packs.map(|path| (*path).to_owned()).collect())
    }

    fn read(&self, path: &str, _max_bytes: u64) -> Result<Vec<u8>, String> {
        self.0.get(path).map(|text| text.clone().into_bytes()).ok_or_else(|| format!("no file `{path}`"))
    }
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn loaded(files: &[(&'static str, &str)]) -> Loaded {
    let files = Memory(files.iter().map(|(path, text)| (*path, (*text).to_owned())).collect());
    load_from(&files).unwrap_or_else(|found| panic!("{}", diagnostic::render(&found, false)))
}

#[test]
fn the_shipped_packs_load_without_a_finding() {
    let loaded = load(&repository("rules"), &Premises::default())
        .unwrap_or_else(|found| panic!("{}", diagnostic::render(&found, false)));
    assert_eq!(diagnostic::render(&loaded.warnings, false), "");
    assert!(loaded.set.rules.len() >= 32 && loaded.set.features.len() >= 40);
}

#[test]
fn every_rule_of_the_shipped_packs_has_a_test_that_fires_and_one_that_does_not() {
    let set = load(&repository("rules"), &Premises::default()).expect("the packs are valid").set;
    for rule in &set.rules {
        let fires = set.tests.iter().any(|test| test.expect.rules.contains(&rule.id));
        let spares = set.tests.iter().any(|test| test.expect.not_rules.contains(&rule.id));
        assert!(fires && spares, "{}: fires {fires}, spares {spares}", rule.id);
    }
}

const TWO: &str = "\
version: 1
pack: two
lists:
  known: {kind: string, values: [a, b]}
features:
  zebra: {on: [order.placed], key: [event.account_id], aggregate: count, window: 1h}
  apple: {on: [shop.opened, order.placed], key: [event.account_id, device.id], aggregate: set, value: ip.prefix, window: 1d}
rules:
  - {id: b, on: [shop.opened], when: size(apple) > 2, score: 10}
  - {id: a, on: [order.placed], when: zebra.at(event.referrer_id) > 1 && event.account_id in lists.known, score: 10, decide: [{subject: phone, verdict: hold, ttl: 7d}]}
  - {id: c, on: [order.placed], when: email.disposable, score: 10, mode: off}
";

#[test]
fn a_set_is_sorted_and_indexed_by_type() {
    use refguard::event::{EventKind, Signal};
    use refguard::ruleset::program::Reach;
    let set = loaded(&[("two.yaml", TWO)]).set;
    let features: Vec<_> = set.features.iter().map(|feature| (feature.name.as_str(), feature.reach)).collect();
    assert_eq!(features, [("apple", Reach::Window(86_400_000)), ("zebra", Reach::Window(3_600_000))]);
    assert_eq!(set.rules.iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(set.types, ["shop.opened"]);

    let order = set.type_index(EventKind::from_name("order.placed"), "order.placed").expect("a known type");
    let opened = set.type_index(EventKind::OTHER, "shop.opened").expect("a named type");
    assert_eq!(set.type_index(EventKind::OTHER, "shop.closed"), None);
    assert_eq!((set.type_name(order), set.type_name(opened)), ("order.placed", "shop.opened"));
    let plan = |index: refguard::ruleset::program::TypeIndex| &set.by_type[index.0 as usize];
    assert_eq!((plan(order).features.as_slice(), plan(order).rules.as_slice()), (&[0, 1][..], &[0][..]));
    assert_eq!((plan(opened).features.as_slice(), plan(opened).rules.as_slice()), (&[0][..], &[1][..]));

    assert!(set.signals.contains(Signal::DeviceId) && set.signals.contains(Signal::IpPrefix));
    assert!(set.signals.contains(Signal::PhoneNormalized), "a decision about a phone needs its number");
    assert!(!set.signals.contains(Signal::EmailDisposable), "a rule that is off reads nothing");
    assert!(set.lists[0].list.contains_text("a") && !set.lists[0].list.contains_text("c"));
    assert_eq!(set.rules[0].place.line, 10);
}

#[test]
fn the_hash_follows_paths_and_bytes_alone() {
    let hash = |files: &[(&'static str, &str)]| loaded(files).set.hash;
    let list = "version: 1\npack: l\nlists:\n  d: {kind: domain, file: lists/d.txt}\n";
    let before = hash(&[("two.yaml", TWO), ("l.yaml", list), ("lists/d.txt", "x.example\n")]);
    assert_eq!(before.len(), 12);
    assert!(before.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(before, hash(&[("lists/d.txt", "x.example\n"), ("l.yaml", list), ("two.yaml", TWO)]));
    assert_ne!(before, hash(&[("two.yaml", TWO), ("l.yaml", list), ("lists/d.txt", "y.example\n")]));
    assert_ne!(before, hash(&[("ten.yaml", TWO), ("l.yaml", list), ("lists/d.txt", "x.example\n")]));
    let comment = format!("{TWO}# a comment\n");
    assert_ne!(before, hash(&[("two.yaml", &comment), ("l.yaml", list), ("lists/d.txt", "x.example\n")]));
}

#[test]
fn a_definition_is_the_same_until_something_in_it_changes() {
    let pack = |feature: &str, limit: &str| {
        let text = format!(
            "version: 1\npack: p\nmacros:\n  big: event.amount_minor > {limit}\nfeatures:\n  f: {{{feature}}}\n\
             rules:\n  - {{id: r, on: [order.placed], when: f > 1 && big, score: 10}}\n"
        );
        loaded(&[("p.yaml", &text)]).set.features[0].definition.clone()
    };
    let plain = "on: [order.placed, payment.added], key: [event.account_id], aggregate: count, window: 1h";
    let before = pack(plain, "5");
    assert_eq!(before, pack(plain, "6"), "a macro that the feature does not use");
    let reordered = "window: 60m, aggregate: count, key: [event.account_id], on: [payment.added, order.placed]";
    assert_eq!(before, pack(reordered, "5"));
    for other in [
        "on: [order.placed], key: [event.account_id], aggregate: count, window: 1h",
        "on: [order.placed, payment.added], key: [device.id], aggregate: count, window: 1h",
        "on: [order.placed, payment.added], key: [event.account_id], aggregate: count, window: 2h",
        "on: [order.placed, payment.added], key: [event.account_id], aggregate: count, window: 1h, offset: 1h",
        "on: [order.placed, payment.added], key: [event.account_id], aggregate: count, window: 1h, max_entries: 9",
    ] {
        assert_ne!(before, pack(other, "5"), "{other}");
    }
    let with_macro = "on: [order.placed], where: big, key: [event.account_id], aggregate: count, window: 1h";
    assert_ne!(pack(with_macro, "5"), pack(with_macro, "6"), "a macro that the feature uses");
}

#[test]
fn names_are_global_over_packs_and_a_pack_that_is_off_keeps_its_features() {
    use refguard::event::Mode;
    let feature = "features:\n  shared: {on: [order.placed], key: [event.account_id], aggregate: count, window: 1h}\n";
    let off = format!(
        "version: 1\npack: off\nmode: off\n{feature}rules:\n  - {{id: x, on: [order.placed], when: shared > 1, score: 5}}\n"
    );
    let on = "version: 1\npack: on\nrules:\n  - {id: y, on: [order.placed], when: shared > 2, score: 5}\n";
    let set = loaded(&[("off.yaml", &off), ("on.yaml", on)]).set;
    assert_eq!(set.rules.iter().map(|rule| rule.mode).collect::<Vec<_>>(), [Mode::Off, Mode::Enforce]);
    assert_eq!(set.features.len(), 1);
    assert_eq!(set.by_type.iter().map(|plan| plan.rules.len()).sum::<usize>(), 1);

    let again = format!("version: 1\npack: again\n{feature}");
    let files = Memory([("off.yaml", off.clone()), ("zz.yaml", again)].into_iter().collect());
    let found = load_from(&files).expect_err("a second definition is an error");
    let said = diagnostic::render(&found, false);
    assert!(said.contains("zz.yaml:4:3: error[duplicate-name]"), "{said}");
    assert!(said.contains("the first is at off.yaml:5"), "{said}");
}

#[test]
fn a_test_becomes_cloud_events() {
    let text = "version: 1\npack: p\nrules:\n  - {id: r, on: [order.placed], when: event.amount_minor > 5, score: 10}\n\
        tests:\n  - name: one\n    events:\n      - {type: order.placed, at: 90s, account_id: 7, amount_minor: 12, device: {os: ios, build: 9}, attributes: {tier: 2, gold: true, code: \"2\"}}\n    expect: {verdict: allow, score: 10, rules: [r]}\n";
    let set = loaded(&[("p.yaml", text)]).set;
    let event: serde_json::Value = serde_json::from_str(&set.tests[0].events[0]).expect("JSON");
    assert_eq!(
        event,
        serde_json::json!({
            "specversion": "1.0", "id": "test-1", "source": "/test", "type": "order.placed",
            "time": "2026-01-01T00:01:30Z",
            "data": {
                "account_id": "7", "amount_minor": 12, "device": {"os": "ios", "build": "9"},
                "attributes": {"tier": 2, "gold": true, "code": "2"},
            },
        })
    );
    assert_eq!((set.tests[0].name.as_str(), set.tests[0].place.line), ("one", 6));
}

#[test]
#[expect(clippy::too_many_lines, reason = "one pack mutilated in every way that there is")]
fn no_mutilated_pack_makes_the_loader_panic() {
    use refguard::ruleset::load::fuzz_rules;
    let whole = std::fs::read_to_string(repository("rules/referral.yaml")).expect("the pack is there");
    // Enough of everything, and short enough to be read thousands of times.
    let tests = whole.find("\ntests:").expect("the pack has tests");
    let seed = format!("{}\n{}", &whole[..tests.min(9_000)], TWO.replace("version: 1\npack: two\n", ""));
    let junk = [
        "\"",
        "'",
        "{",
        "}",
        "[",
        "]",
        ":",
        "- ",
        "|",
        ">",
        "\t",
        "\n",
        "\\",
        "#",
        "&a ",
        "*a",
        "!!x ",
        "\u{0}",
        "\u{feff}",
        "اسم",
        "9999999999999999999",
        "%",
        "? ",
        "<<: ",
        "((((((((",
        ".at(",
        "{{",
        "~",
    ];
    let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    for _ in 0..800 {
        let mut text = seed.clone();
        for _ in 0..=next(4) {
            let mut at = next(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            match next(3) {
                0 => text.insert_str(at, junk[next(junk.len())]),
                1 => text.truncate(at),
                _ => {
                    let mut end = (at + next(40)).min(text.len());
                    while !text.is_char_boundary(end) {
                        end -= 1;
                    }
                    text.replace_range(at..end.max(at), junk[next(junk.len())]);
                }
            }
            if text.is_empty() {
                text.push('a');
            }
        }
        fuzz_rules(&text);
    }
    for bomb in
        ["[".repeat(50_000), "- ".repeat(50_000), "a: ".repeat(20_000), "? ".repeat(20_000), "{a: ".repeat(10_000)]
    {
        fuzz_rules(&bomb);
        fuzz_rules(&format!("version: 1\npack: p\nmacros:\n  a: {bomb}"));
    }
    let deep = format!(
        "version: 1\npack: p\nrules:\n  - {{id: r, on: [a.b], score: 1, when: '{}1{}'}}",
        "(".repeat(4_000),
        ")".repeat(4_000)
    );
    fuzz_rules(&deep);
    let many: String = (0..60_000).map(|index| format!("  m{index}: a\n")).collect();
    fuzz_rules(&format!("version: 1\npack: p\nmacros:\n{many}"));
    fuzz_rules(&format!("version: 1\npack: p\n{}", "k: 1\n".repeat(50_000)));
    let types: String = (0..70_000).map(|index| format!("t{index},")).collect();
    fuzz_rules(&format!("version: 1\npack: p\nrules: [{{id: r, on: [{types}], when: 'true'}}]"));
    let chain: String = (0..2_000).map(|index| format!("  m{index}: m{} && m{}\n", index + 1, index + 1)).collect();
    fuzz_rules(&format!("version: 1\npack: p\nmacros:\n{chain}rules:\n  - {{id: r, on: [a.b], score: 1, when: m0}}"));
}
