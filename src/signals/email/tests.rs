use super::*;
use std::collections::BTreeMap;

use crate::event::Field;
use crate::signals::SignalConfig;
use crate::signals::tests::{Derived, derive, derive_with};
use proptest::prelude::*;

fn email(raw: &str) -> Derived {
    derive(&[(Field::Email, raw)])
}

/// As entered, the mailbox, whether it was entered differently.
fn check(cases: &[(&str, &str, bool)]) {
    for (raw, normalized, alias) in cases {
        let derived = email(raw);
        assert_eq!(derived.text(Signal::EmailNormalized), *normalized, "{raw}");
        assert_eq!(derived.flag(Signal::EmailAlias), *alias, "{raw}");
        assert_eq!(derived.text(Signal::EmailLocal), normalized.rsplit_once('@').unwrap().0, "{raw}");
        assert_eq!(derived.field(Field::Email), *raw, "the field stays as entered");
    }
}

#[test]
fn gmail_ignores_dots_and_tags() {
    check(&[
        ("ahmed@gmail.com", "ahmed@gmail.com", false),
        ("Ahmed.Ali+Promo@Gmail.com", "ahmedali@gmail.com", true),
        ("ahmed.ali@googlemail.com", "ahmedali@gmail.com", true),
        ("ahmedali@googlemail.com", "ahmedali@gmail.com", true),
        ("+x@gmail.com", "+x@gmail.com", false),
        (".+x@gmail.com", ".+x@gmail.com", false),
        ("a..b.@gmail.com", "ab@gmail.com", true),
        // Google's domains for companies honour dots.
        ("a.b@company.example", "a.b@company.example", false),
    ]);
}

#[test]
fn most_providers_have_tags_after_a_plus() {
    check(&[
        ("a.b+x@outlook.com", "a.b@outlook.com", true),
        ("a.b+x+y@hotmail.co.uk", "a.b@hotmail.co.uk", true),
        ("a+x@live.com", "a@live.com", true),
        ("a-b+x@zoho.com", "a-b@zoho.com", true),
        ("a+x@unknown.example", "a@unknown.example", true),
        ("a-x@unknown.example", "a-x@unknown.example", false),
    ]);
}

#[test]
fn yahoo_has_tags_after_a_dash() {
    check(&[
        ("nick-shop@yahoo.com", "nick@yahoo.com", true),
        ("nick-shop@yahoo.co.uk", "nick@yahoo.co.uk", true),
        ("nick-a-b@ymail.com", "nick@ymail.com", true),
        ("nick+shop@yahoo.com", "nick+shop@yahoo.com", false),
        ("-nick@yahoo.com", "-nick@yahoo.com", false),
        ("nick-shop@yahoo.example", "nick-shop@yahoo.example", false),
    ]);
}

#[test]
fn icloud_proton_and_yandex_have_one_mailbox_under_several_domains() {
    check(&[
        ("sara+x@me.com", "sara@icloud.com", true),
        ("sara@mac.com", "sara@icloud.com", true),
        ("s.ara@icloud.com", "s.ara@icloud.com", false),
        ("sara.s_a-d+x@pm.me", "sarasad@protonmail.com", true),
        ("sara@proton.me", "sara@protonmail.com", true),
        ("sara@protonmail.com", "sara@protonmail.com", false),
        ("sara@protonmail.ch", "sara@protonmail.com", true),
        ("ivan+x@ya.ru", "ivan@yandex.ru", true),
        ("ivan@yandex.com", "ivan@yandex.ru", true),
        ("i.van@yandex.ru", "i.van@yandex.ru", false),
    ]);
}

#[test]
fn fastmail_has_tags_before_the_domain() {
    check(&[
        ("shop@maria.fastmail.com", "maria@fastmail.com", true),
        ("shop+x@maria.fastmail.fm", "maria@fastmail.fm", true),
        ("maria+shop@fastmail.com", "maria@fastmail.com", true),
        ("maria@fastmail.com", "maria@fastmail.com", false),
        ("shop@maria.sent.com", "maria@sent.com", true),
        ("shop@maria.gmail.com", "shop@maria.gmail.com", false),
        ("shop@a.b.fastmail.com", "shop@a.b.fastmail.com", false),
    ]);
}

#[test]
fn spelling_alone_is_no_alias() {
    check(&[
        (" User@Example.ORG. ", "user@example.org", false),
        ("user١٢٣@example.org", "user123@example.org", false),
        ("ｕser１@example.org", "ｕser1@example.org", false),
        ("a@bücher.example", "a@xn--bcher-kva.example", false),
        ("\u{200f}محمد@مثال.السعودية\u{200e}", "محمد@xn--mgbh0fb.xn--mgberp4a5d4ar", false),
        ("RENE\u{301}@example.org", "ren\u{e9}@example.org", false),
        ("\"a b+c\"@example.org", "\"a b+c\"@example.org", false),
        ("\"a@b\"@gmail.com", "\"a@b\"@gmail.com", false),
        ("user@localhost", "user@localhost", false),
    ]);
    let derived = email("User+x@GoogleMail.com.");
    assert_eq!(derived.text(Signal::EmailDomain), "googlemail.com");
}

#[test]
fn what_is_no_address_is_refused() {
    let long_local = format!("{}@x.com", "a".repeat(65));
    let long_domain = format!("a@{}com", "abcdefgh.".repeat(30));
    let long = format!("{}@x.com", "٠".repeat(2000));
    for raw in [
        "nobody",
        "@",
        "@example.org",
        "a@",
        "a b@example.org",
        "a@b@example.org",
        "a@exa mple.org",
        "a@.org",
        "a@b..org",
        "Name <a@example.org>",
        "a,b@example.org",
        "a@[192.0.2.1]",
        "a\u{0}@example.org",
        "a\u{a0}b@example.org",
        "\"\"@example.org",
        "\"a\"b\"@example.org",
        "a@-_~.org",
        &long_local,
        &long_domain,
        &long,
    ] {
        let derived = email(raw);
        assert!(derived.event().unreadable.has(Field::Email), "{raw:?}");
        assert_eq!(derived.text(Signal::EmailNormalized), "", "{raw:?}");
    }
}

#[test]
fn skeletons_are_alike_for_one_pattern() {
    for (raw, skeleton) in [
        ("ahmed.al-harbi92@example.org", "ahmedalharbi##"),
        ("ahmed_alharbi07+x@example.org", "ahmedalharbi##"),
        ("ann.nolan@example.org", "anolan"),
        ("a11b@example.org", "a##b"),
        ("user٠١@example.org", "user##"),
        ("aaa@example.org", "a"),
    ] {
        assert_eq!(email(raw).text(Signal::EmailSkeleton), skeleton, "{raw}");
    }
}

#[test]
fn a_relay_is_not_disposable() {
    let disposable = List::from_values(ListKind::Domain, ["mailinator.com", "opayq.com", "domozmail.com"]).unwrap();
    let config = SignalConfig { disposable: Some(Arc::new(disposable)), ..SignalConfig::default() };
    for (raw, disposable, relay) in [
        ("x@mailinator.com", true, false),
        ("x@sub.Mailinator.com.", true, false),
        ("x@notmailinator.com", false, false),
        ("x@domozmail.com", true, false),
        ("x@mozmail.com", false, true),
        ("x@anna.mozmail.com", false, true),
        ("q2w3@privaterelay.appleid.com", false, true),
        ("x@duck.com", false, true),
        ("x@seduck.com", false, false),
        ("x@opayq.com", false, true),
        ("x@icloud.com", false, false),
        ("x@anna.anonaddy.com", false, true),
    ] {
        let derived = derive_with(&config, &[(Field::Email, raw)]);
        assert_eq!(derived.flag(Signal::EmailDisposable), disposable, "{raw}");
        assert_eq!(derived.flag(Signal::EmailRelay), relay, "{raw}");
    }
}

#[test]
fn gibberish_is_of_the_mailbox() {
    assert!(email("maria.garcia92+xkqzvbt@gmail.com").double(Signal::EmailGibberish) < 0.3);
    assert!(email("XKQZVBT9W@gmail.com").double(Signal::EmailGibberish) > 0.7);
}

#[test]
fn every_provider_is_in_canonical_form_and_stays_itself() {
    let providers: BTreeMap<_, _> = crate::signals::providers::providers().into_iter().collect();
    for (domain, provider) in providers {
        let mut canonical = String::new();
        assert!(canonical_domain(domain, &mut canonical));
        assert_eq!(canonical, domain);
        let derived = email(&format!("someone@{}", provider.domain.unwrap_or(domain)));
        assert!(!derived.flag(Signal::EmailAlias), "{domain}");
    }
}

fn addresses() -> impl Strategy<Value = String> {
    let local =
        prop_oneof!["[a-cA-C0-9.+_-]{1,10}", "\\PC{1,6}", "\"[a-c@ +]{1,4}\"", "[a-cÀ-ü\u{300}\u{301}İßſK٣]{1,6}"];
    let domain = prop_oneof![
        Just("gmail.com"),
        Just("googlemail.com"),
        Just("yahoo.com"),
        Just("me.com"),
        Just("pm.me"),
        Just("ya.ru"),
        Just("fastmail.com"),
        Just("a.fastmail.com"),
        Just("+a.fastmail.com"),
        Just("Bücher.example"),
        Just("example.org")
    ];
    (local, domain).prop_map(|(local, domain)| format!("{local}@{domain}"))
}

proptest! {
    #[test]
    fn a_mailbox_is_its_own_mailbox(raw in addresses()) {
        let once = email(&raw);
        let normalized = once.text(Signal::EmailNormalized);
        prop_assume!(!normalized.is_empty());
        let twice = email(normalized);
        prop_assert_eq!(twice.text(Signal::EmailNormalized), normalized, "of {}", raw);
        prop_assert!(!twice.flag(Signal::EmailAlias));
        prop_assert_eq!(twice.text(Signal::EmailSkeleton), once.text(Signal::EmailSkeleton));
        let score = once.double(Signal::EmailGibberish);
        prop_assert!((0.0..=1.0).contains(&score), "{}", score);
    }

    #[test]
    fn skeletons_of_ascii_are_made_alike_by_both_ways(local in "[a-c#0-9._+A-]{1,20}") {
        let (mut ascii, mut any) = (String::new(), String::new());
        push_skeleton(&local, &mut ascii);
        push_skeleton(&format!("{local}é"), &mut any);
        prop_assert_eq!(format!("{ascii}é"), any);
    }

    #[test]
    fn a_skeleton_is_its_own_skeleton(local in "[a-c#0-9._-]{1,20}") {
        let (mut once, mut twice) = (String::new(), String::new());
        push_skeleton(&local, &mut once);
        push_skeleton(&once, &mut twice);
        prop_assert_eq!(once, twice);
    }
}
