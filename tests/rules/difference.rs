//! What differs between two rule sets: every key of a rule and of a feature is looked at, and nothing else.

use refguard::ruleset::difference::{ChangeKind, Difference, judges_alike};
use refguard::ruleset::program::RuleSet;

use crate::loaded;

const PACK: &str = r#"
version: 1
pack: p
lists:
  known: {kind: string, values: [a, b]}
macros:
  big: event.amount_minor > 500
features:
  spent: {on: [order.placed, shop.visited], where: big, key: [event.account_id], aggregate: sum, value: event.amount_minor, window: 1h, max_entries: 100}
  kept: {on: [order.placed], key: [event.account_id], aggregate: last, retention: 30d}
  often: {on: [order.placed], key: [event.account_id], aggregate: rate, limit: 3, per: 1m, burst: 5}
  story: {aggregate: sequence, key: [event.account_id], within: 1h, steps: [{on: [order.placed]}, {on: [order.placed], where: big, min: 2}]}
rules:
  - id: r
    title: A title
    on: [order.placed]
    when: big && spent > 5 && known(kept) && often && story == 2
    except: [event.channel in lists.known]
    score: 10
    action: block
    applies_to: both
    severity: high
    kind: fraud
    decide: [{subject: referrer, verdict: hold, ttl: 7d}]
    message: "{spent} spent"
    customer: a_code
    tags: [one]
    mode: enforce
    rollout: 50%
    breaker: {share: 2%, over: 10m, then: hold, rearm: 1h}
    when_incomplete: enforce
    owner: somebody
    expires: 2027-01-01
"#;

fn set(text: &str) -> RuleSet {
    loaded(&[("p.yaml", text)]).set
}

/// The changes of a text, as `section name key key` each.
fn told(from: &str, to: &str) -> Vec<String> {
    let Difference { rules, features, lists } = Difference::between(&set(PACK), &set(&PACK.replace(from, to)));
    let sections = [("rule", rules), ("feature", features), ("list", lists)];
    let told = sections.into_iter().flat_map(|(section, changes)| {
        changes.into_iter().map(move |change| match change.kind {
            ChangeKind::Added => format!("{section} + {}", change.name),
            ChangeKind::Removed => format!("{section} - {}", change.name),
            ChangeKind::Changed(details) => {
                let keys: Vec<&str> = details.iter().map(|detail| detail.key).collect();
                format!("{section} ~ {}: {}", change.name, keys.join(" "))
            }
        })
    });
    told.collect()
}

#[test]
fn every_key_is_looked_at() {
    for (from, to, expected) in [
        ("title: A title", "title: Another", "rule ~ r: title"),
        ("    on: [order.placed]\n", "    on: [order.placed, shop.visited]\n", "rule ~ r: on"),
        ("&& often", "|| often", "rule ~ r: when"),
        ("except: [event.channel", "except: [event.country", "rule ~ r: except"),
        ("score: 10", "score: 20", "rule ~ r: score"),
        ("action: block", "action: hold", "rule ~ r: action"),
        ("applies_to: both", "applies_to: referee", "rule ~ r: applies_to"),
        ("severity: high", "severity: low", "rule ~ r: severity"),
        ("kind: fraud", "kind: limit", "rule ~ r: kind"),
        ("ttl: 7d", "ttl: 8d", "rule ~ r: decide"),
        ("verdict: hold, ttl", "verdict: hold, on: [order.placed], ttl", "rule ~ r: decide"),
        ("{spent} spent", "{spent} in all", "rule ~ r: message"),
        ("a_code", "other_code", "rule ~ r: customer"),
        ("tags: [one]", "tags: [two]", "rule ~ r: tags"),
        ("mode: enforce", "mode: shadow", "rule ~ r: mode"),
        ("rollout: 50%", "rollout: 5.5%", "rule ~ r: rollout"),
        ("rearm: 1h", "rearm: 2h", "rule ~ r: breaker"),
        ("when_incomplete: enforce", "when_incomplete: shadow", "rule ~ r: when_incomplete"),
        ("owner: somebody", "owner: nobody", "rule ~ r: owner"),
        ("2027-01-01", "2027-01-02", "rule ~ r: expires"),
        ("pack: p", "pack: q", "rule ~ r: pack"),
        ("id: r\n", "id: other\n", "rule + other|rule - r"),
        ("on: [order.placed, shop.visited], where", "on: [order.placed], where", "feature ~ spent: on"),
        ("where: big, key", "where: \"!big\", key", "feature ~ spent: where"),
        ("key: [event.account_id], aggregate: sum", "key: [device.id], aggregate: sum", "feature ~ spent: key"),
        ("aggregate: sum", "aggregate: max", "feature ~ spent: aggregate"),
        ("value: event.amount_minor", "value: event.amount_minor + 1", "feature ~ spent: value"),
        ("window: 1h", "window: day", "feature ~ spent: window"),
        ("window: 1h", "window: 1h, offset: 1d", "feature ~ spent: offset"),
        ("window: 1h", "window: 1h, scope: global", "feature ~ spent: scope"),
        ("max_entries: 100", "max_entries: 200", "feature ~ spent: max_entries"),
        ("retention: 30d", "retention: 31d", "feature ~ kept: retention"),
        ("limit: 3", "limit: 4", "feature ~ often: aggregate"),
        ("within: 1h", "within: 2h", "feature ~ story: window"),
        (
            "[{on: [order.placed]}, {on: [order.placed], where: big, min: 2}]",
            "[{on: [order.placed], where: big}, {on: [order.placed], min: 2}]",
            "feature ~ story: steps",
        ),
        ("values: [a, b]", "values: [a, b, c]", "list ~ known: values"),
        ("values: [a, b]", "values: [a, c]", "list ~ known: "),
        ("# nothing", "", ""),
    ] {
        assert_eq!(told(from, to).join("|"), expected, "{from:?} -> {to:?}");
    }
    // A macro is a part of what uses it.
    let by_macro = told("event.amount_minor > 500", "event.amount_minor > 600").join("|");
    assert_eq!(by_macro, "rule ~ r: when|feature ~ spent: where|feature ~ story: steps");
    // Written differently, meant alike: the counts are kept by what is written.
    assert_eq!(told("where: big, key", "where: (big), key"), ["feature ~ spent: "]);
}

#[test]
fn rules_judge_alike_while_types_condition_and_exceptions_are_the_same() {
    let before = set(PACK);
    let alike = |from: &str, to: &str| {
        let after = set(&PACK.replace(from, to));
        judges_alike((&before, &before.rules[0]), (&after, &after.rules[0]))
    };
    assert!(alike("score: 10", "score: 20") && alike("window: 1h", "window: 2h") && alike("a_code", "other"));
    assert!(alike("  known: {", "  aaa: {kind: string, values: []}\n  known: {"), "places mean nothing");
    assert!(!alike("big: event.amount_minor > 500", "big: event.amount_minor > 600"));
    assert!(!alike("except: [event.channel", "except: [event.country"));
    assert!(!alike("    on: [order.placed]\n", "    on: [order.placed, shop.visited]\n"));
}
