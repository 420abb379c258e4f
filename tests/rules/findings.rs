//! What loading warns of and refuses, beyond what the files of tests/diagnostics show.

use super::{Memory, load_from, loaded};

/// The codes and hints of what is found in a rule `on` orders with these keys.
fn found(features: &str, rule: &str) -> Vec<(&'static str, String)> {
    let text = format!("version: 1\npack: p\n{features}rules:\n  - {{id: r, {rule}, score: 1}}\n");
    let files = Memory([("p.yaml", text)].into_iter().collect());
    let found = load_from(&files).map_or_else(|found| found, |loaded| loaded.warnings);
    let hint = |one: &refguard::ruleset::diagnostic::Diagnostic| one.hint.clone().unwrap_or_default();
    found.iter().filter(|one| one.code != "unused").map(|one| (one.code, hint(one))).collect()
}

const FEATURES: &str = "\
lists:
  words: {kind: string, values: [a]}
macros:
  is_new: '!known(seen)'
features:
  seen: {on: [order.placed], key: [event.account_id], aggregate: last}
  orders: {on: [order.placed], key: [event.account_id], aggregate: count, window: 30d}
  spent: {on: [order.placed], key: [event.account_id], aggregate: sum, value: event.amount_minor, window: 1h}
  least: {on: [order.placed], key: [event.account_id], aggregate: min, value: event.amount_minor, window: 1h}
  devices: {on: [order.placed], key: [event.account_id], aggregate: set, value: device.id, window: 1h}
  later: {on: [order.refunded], key: [event.account_id], aggregate: count, window: 1h}
  fast: {on: [order.placed], key: [event.account_id], aggregate: rate, limit: 3, per: 1h}
";

#[test]
#[expect(clippy::too_many_lines, reason = "a table, a line a case")]
fn a_rule_that_concludes_from_absence_is_told_so_however_it_is_written() {
    for (when, told) in [
        ("!known(seen)", Some("seen")),
        ("! known( seen )", Some("seen")),
        ("!(known(seen))", Some("seen")),
        ("known(seen) == false", Some("seen")),
        ("true != known(seen)", Some("seen")),
        ("known(seen) ? false : event.channel == \"web\"", Some("seen")),
        ("is_new && event.channel == \"web\"", Some("seen")),
        ("event.channel == \"web\" || !known(seen.at(event.referrer_id))", Some("seen")),
        ("orders == 0", Some("orders")),
        ("0 == orders", Some("orders")),
        ("!(orders > 0)", Some("orders")),
        ("orders < 3 && event.amount_minor > 5", Some("orders")),
        ("3 >= orders", Some("orders")),
        ("spent <= 0", Some("spent")),
        ("size(devices) == 0", Some("devices")),
        ("!(device.id in devices)", Some("devices")),
        ("overlap(devices, devices.at(event.referrer_id)) == 0", Some("devices")),
        ("devices.exists(d, d == device.id) == false", Some("devices")),
        ("!devices.at(event.referrer_id).exists_one(d, d == device.id)", Some("devices")),
        ("devices.all(d, d != device.id)", Some("devices")),
        ("size(devices.filter(d, d != device.id)) == 0", Some("devices")),
        ("ratio(orders, 10) < 0.5", Some("orders")),
        ("100 * orders / 7 < 50", Some("orders")),
        ("double(orders) * 0.5 < 1.0", Some("orders")),
        ("referral_depth(event.account_id) == 0", Some("referral_depth")),
        ("referral_depth(event.account_id) < 1 && complete(orders)", None),
        ("account.new_device", Some("account.new_device")),
        ("account.new_country == true", Some("account.new_country")),
        ("!known(account.last_active)", Some("account.last_active")),
        ("complete(spent) && orders == 0", Some("orders")),
        ("known(seen)", None),
        ("!!known(seen)", None),
        ("orders > 0 && orders != 5 && orders >= 0", None),
        ("!(orders < 3)", None),
        ("least < 5", None),
        ("!fast", None),
        ("device.id in devices", None),
        ("devices.exists(d, d == device.id)", None),
        ("!devices.all(d, d != device.id)", None),
        ("!(ratio(orders, 10) < 0.5)", None),
        ("spent > 5 && ratio(orders, spent) < 0.5", None),
        ("referral_depth(event.account_id) > 1", None),
        ("complete(devices) && devices.all(d, d != device.id)", None),
        ("!account.new_device", None),
        ("!known(event.email) && !has(event.ip) && event.amount_minor == 0", None),
        ("event.channel == \"!known(\" && orders > 1", None),
        ("complete(orders) && orders == 0", None),
        ("complete(orders) && spent == 0", None),
        ("complete(seen) && is_new", None),
        ("account.new_device && account.age > days(7)", None),
        ("account.new_device && days(7) <= account.age", None),
        ("account.new_device && event.time - account.first_seen > days(1)", None),
        ("account.new_device && account.first_seen < event.time - days(1)", None),
        ("account.new_device && referrer.age > days(7)", Some("account.new_device")),
        ("account.new_device && known(account.first_seen)", Some("account.new_device")),
        ("account.new_device && account.age < days(7)", Some("account.age")),
        ("account.new_device && !(account.age > days(7))", Some("account.age")),
        ("account.new_device || account.age > days(7)", Some("account.new_device")),
        ("account.age < days(7)", Some("account.age")),
        ("account.age < days(7) && has(event.account_created_at)", None),
        ("account.age < days(7) && complete(orders)", None),
        ("account.age < days(60) && complete(orders)", Some("account.age")),
        ("recipient.age < days(7) && has(event.account_created_at)", Some("recipient.age")),
        ("event.time - account.first_seen < days(7)", Some("account.first_seen")),
        ("account.first_seen == event.time", Some("account.first_seen")),
        ("account.first_seen > event.time - days(7) && complete(orders)", None),
        ("account.age > days(7)", None),
        ("event.time - account.last_active > days(180)", None),
        ("orders == 1", Some("orders")),
        ("!(orders != 1)", Some("orders")),
        ("orders == 1 && complete(orders)", None),
        ("orders == 2 || spent == 1", None),
        ("orders.at(event.referrer_id) == 1 && known(event.referrer_id)", None),
        ("later == 1", None),
        ("size(devices) == 1", Some("devices")),
        ("orders < 3 || complete(orders)", Some("orders")),
        ("orders < 3 && (complete(orders) || event.channel == \"web\")", Some("orders")),
        ("orders < 3 && (complete(orders) && known(seen) || complete(orders))", None),
        ("complete(orders) ? orders < 3 : false", None),
        ("complete(orders) ? event.channel == \"web\" : orders < 3", Some("orders")),
        ("!(!complete(orders) || orders >= 3)", None),
        ("account.new_device && known(account.last_seen)", None),
        ("!(event.account_id in lists.words)", None),
    ] {
        let found = found(FEATURES, &format!("on: [order.placed], when: '{when}'"));
        let codes: Vec<_> = found.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes, if told.is_some() { vec!["absence"] } else { vec![] }, "{when}: {found:?}");
        assert!(found.iter().all(|(_, hint)| told.is_some_and(|name| hint.contains(name))), "{when}: {found:?}");
    }
    let waiting = |when: &str| {
        let keys = format!("on: [order.placed], when: '{when}', when_incomplete: shadow");
        found(FEATURES, &keys).into_iter().map(|one| one.0).collect::<Vec<_>>()
    };
    assert_eq!(waiting("orders == 0"), [""; 0]);
    assert_eq!(waiting("account.new_device && orders > 3"), [""; 0]);
    assert_eq!(waiting("account.new_device"), ["absence"], "it reads no feature that could be waited for");
    let excepted = "on: [order.placed], when: 'orders == 0', except: ['!complete(orders)']";
    assert_eq!(found(FEATURES, excepted), []);
}

#[test]
fn two_texts_that_may_both_be_absent_are_asked_for() {
    for (when, told) in [
        ("email.normalized == referrer_email.normalized", Some("email.normalized")),
        ("!(email.normalized != referrer_email.normalized)", Some("email.normalized")),
        ("similarity(email.local, referrer_email.local) > 0.9", Some("email.local")),
        ("0.9 <= similarity(email.local, referrer_email.local)", Some("email.local")),
        ("event.device.model == event.session_id", Some("event.device.model")),
        ("known(email.normalized) || email.normalized == referrer_email.normalized", Some("email.normalized")),
        ("known(phone.normalized) && email.normalized == referrer_email.normalized", Some("email.normalized")),
        ("known(email.normalized) && email.normalized == referrer_email.normalized", None),
        ("has(event.email) && email.normalized == referrer_email.normalized", None),
        ("has(event.referrer_email) && email.normalized == referrer_email.normalized", None),
        ("email.normalized == referrer_email.normalized && referrer_email.normalized != \"\"", None),
        ("email.normalized == referrer_email.normalized && email.domain == \"mail.example\"", None),
        ("size(email.skeleton) >= 8 && email.skeleton == referrer_email.skeleton", None),
        ("email.domain in [\"a.example\"] && email.local == referrer_email.local", None),
        ("email.local in lists.words && email.local == referrer_email.local", None),
        ("email.domain in [\"\"] && email.local == referrer_email.local", Some("email.local")),
        ("similarity(email.local, referrer_email.local) > 0.9 && known(email.local)", None),
        ("similarity(email.local, referrer_email.local) < 0.5", None),
        ("email.normalized != referrer_email.normalized", None),
        ("event.account_id == event.referrer_id", None),
        ("event.email == \"a@mail.example\"", None),
    ] {
        let found = found(FEATURES, &format!("on: [referral.completed], when: '{when}'"));
        let codes: Vec<_> = found.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes, if told.is_some() { vec!["both-absent"] } else { vec![] }, "{when}: {found:?}");
        assert!(found.iter().all(|(_, hint)| told.is_some_and(|name| hint.contains(name))), "{when}: {found:?}");
    }
    let codes = |keys: &str| found(FEATURES, keys).into_iter().map(|one| one.0).collect::<Vec<_>>();
    let same = "when: 'event.account_id == event.referrer_id'";
    assert_eq!(codes(&format!("on: [referral.completed, coupon.applied], {same}")), ["both-absent"]);
    let alike = "when: 'email.local == referrer_email.local'";
    assert_eq!(codes(&format!("on: [referral.completed], {alike}, except: ['event.email == \"\"']")), [""; 0]);
    let spared = "when: event.channel == \"web\", except: ['email.local == referrer_email.local']";
    assert_eq!(codes(&format!("on: [referral.completed], {spared}")), ["both-absent"]);
}

#[test]
fn what_can_never_be_is_told_with_what_can() {
    for (when, told) in [
        ("phone.kind == \"mobil\"", Some("did you mean `mobile`?")),
        ("\"mobil\" != phone.kind", Some("did you mean `mobile`?")),
        ("ip.kind in [\"private\", \"publik\"]", Some("did you mean `public`?")),
        ("phone.kind == \"satellite\"", Some("it is one of: mobile, fixed")),
        ("event.country == \"Saudi\"", Some("ISO 3166-1")),
        ("ip.country in [\"sa\"]", Some("did you mean `SA`?")),
        ("event.result != \"declind\"", Some("did you mean `declined`?")),
        ("event.currency == \"sar\"", Some("did you mean `SAR`?")),
        ("event.type == \"order.plced\"", Some("did you mean `order.placed`?")),
        ("event.type in [\"order.placed\", \"login.failed\"]", Some("its `on` has order.placed")),
        ("account.referrer == \"\"", Some("write `!known(account.referrer)`")),
        ("event.amount_minor / 0 > 1", Some("")),
        ("orders % 0 == 1", Some("")),
        (
            "phone.kind == \"voip\" || ip.kind == \"\" || ip.country == \"SA\" || event.currency == \"PTS\" || event.result == \"ok\" || event.country != \"\"",
            None,
        ),
        ("event.type == \"order.placed\" && event.channel == \"kiosc\"", None),
        ("account.referrer != \"\" && event.rating / 0.0 > 1.0", None),
        ("of_money", None),
    ] {
        let features = FEATURES
            .replace("macros:\n", "macros:\n  of_money: event.type in [\"order.placed\", \"payout.requested\"]\n");
        let found = found(&features, &format!("on: [order.placed], when: '{when}'"));
        assert_eq!(found.len(), usize::from(told.is_some()), "{when}: {found:?}");
        assert!(found.iter().all(|(_, hint)| told.is_some_and(|told| hint.contains(told))), "{when}: {found:?}");
    }
    let typed = "features:\n  f: {on: [order.placed], where: 'event.type == \"order.refunded\"', key: [event.account_id], \
                 aggregate: count, window: 1h}\n";
    let codes: Vec<_> = found(typed, "on: [order.placed], when: f > 1").into_iter().map(|one| one.0).collect();
    assert_eq!(codes, ["never-equal"]);
}

#[test]
fn a_faulty_feature_is_told_once() {
    let features = "features:\n  f: {on: [order.placed], key: [event.acount_id], aggregate: rate, limit: 1, per: 1h}\n  \
                    g: {on: [order.placed], key: [event.account_id, nothing], aggregate: count, window: 1h}\n";
    for when in ["f || g > 1", "f && g == 0", "!f", "f ? g > 1 : g > 2", "[f].all(x, x) || g in [1, 2]"] {
        let codes: Vec<_> =
            found(features, &format!("on: [order.placed], when: '{when}'")).into_iter().map(|one| one.0).collect();
        assert_eq!(codes, ["unknown-field", "unknown-name"], "{when}");
    }
}

#[test]
fn a_share_of_whole_numbers_is_refused_whatever_the_divisor() {
    for (when, refused) in [
        ("orders / 3 > 0.5", true),
        ("0.5 < orders / 3", true),
        ("orders / 3 == 0.5", true),
        ("event.amount_minor / 100 >= 0.5", true),
        ("-(orders / 3) < -0.5", true),
        ("(orders > 1 ? orders / 3 : 0) > 0.5", true),
        ("double(orders / 3) > 0.5", true),
        ("ratio(1, orders / 3) > 0.5", true),
        ("(orders / 3) * 0.5 > 1.0", true),
        ("orders / later > 0", true),
        ("orders / 3 > 1", false),
        ("int(orders / 3) > 0.5", false),
        ("double(int(orders / 3)) > 0.5", false),
        ("100 * orders / 3 > 50.5", false),
        ("ratio(orders, 3) > 0.5", false),
        ("double(orders) / 3.0 > 0.5", false),
        ("7 / 2 > 0.5", false),
    ] {
        let codes: Vec<_> =
            found(FEATURES, &format!("on: [order.placed], when: '{when}'")).into_iter().map(|one| one.0).collect();
        assert_eq!(codes, if refused { vec!["cut-share"] } else { vec![] }, "{when}");
    }
}

#[test]
fn a_name_in_a_key_is_taken_for_a_text_or_another_name_that_a_key_can_read() {
    let features =
        |key: &str| format!("features:\n  x1: {{on: [order.placed], key: [{key}], aggregate: count, window: 1h}}\n");
    let hint = |key: &str| found(&features(key), "on: [order.placed], when: x1 > 1").remove(0).1;
    assert!(hint("\"x2\"").contains("'\"x2\"'"), "a feature cannot be a part of a key: {}", hint("\"x2\""));
    assert!(hint("acount").contains("`account`"), "{}", hint("acount"));
}

#[test]
fn a_group_of_types_is_all_that_begin_so() {
    let names = |on: &str| {
        let pack = format!(
            "version: 1\npack: p\nrules:\n  - {{id: r, on: {on}, when: 'event.channel == \"web\"', score: 1}}\n"
        );
        let set = loaded(&[("p.yaml", &pack)]).set;
        set.rules[0].on.iter().map(|of| set.type_name(*of).to_owned()).collect::<Vec<_>>()
    };
    let rewards = names("[reward.*]");
    assert!(rewards.len() >= 7 && rewards.iter().all(|name| name.starts_with("reward.")), "{rewards:?}");
    assert_eq!(names("[reward.granted, reward.*]"), rewards);
    assert_eq!(names("[gift_card.*, shop.visited]"), ["gift_card.checked", "gift_card.redeemed", "shop.visited"]);
    for (on, code, hint) in [
        ("rewards.*", "unknown-type", "`reward.*`"),
        ("shop.*", "unknown-type", "written out"),
        ("*", "bad-name", "`reward.*`"),
        ("reward*", "bad-name", "`reward.*`"),
        ("re*d.*", "bad-name", "`reward.*`"),
    ] {
        let found = found("", &format!("on: ['{on}'], when: 'event.channel == \"web\"'"));
        assert_eq!(found.len(), 1, "{on}: {found:?}");
        assert!(found[0].0 == code && found[0].1.contains(hint), "{on}: {found:?}");
    }
}

#[test]
fn the_id_of_a_decision_is_a_string() {
    let rule = |decide: &str| found(FEATURES, &format!("on: [order.placed], when: orders > 1, decide: [{decide}]"));
    for id in ["event.amount_minor", "event.time", "device.bot", "event.amount_base"] {
        let codes: Vec<_> =
            rule(&format!("{{subject: order, id: {id}, verdict: hold}}")).into_iter().map(|one| one.0).collect();
        assert_eq!(codes, ["wrong-type"], "{id}");
    }
    assert_eq!(rule("{subject: order, id: string(event.amount_minor), verdict: hold}"), []);
}
