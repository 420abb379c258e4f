//! The words of diagnostics, with what they underline.

use std::fmt::Write;

use refguard::ruleset::cel::fuzz::{demo_scope, source};
use refguard::ruleset::cel::{Position, ReadTable, Scope, Template, Wanted, compile};
use refguard::ruleset::diagnostic::Diagnostic;

const CONDITIONS: &[&str] = &[
    "event.amout_minor > 5",
    "logings > 1",
    "emial.domain == 'x'",
    "account.aeg > days(1)",
    "ip.adress in lists.networks",
    "ip.address in lists.netwoks",
    "foo(1) && event.x == 2 && same(1, 2, 3)",
    "event.ip.startWith('a')",
    "startsWith('a', 'b')",
    "size(event.ip, 3)",
    "(event.amount_minor + 'é') * 2 > logins",
    "logins + spend > 1.0",
    "'a' < 1",
    "!logins",
    "!!event.ip == 'a'",
    "--1u == 1u || - - event.ip == 'a'",
    "1 < 2 && !!!!(event.ip)",
    "logins",
    "event.ip == null",
    "[1, 2] < [3]",
    "place + 'x' == 'y'",
    "place.contains('x')",
    "devices > 3",
    "event.time in lists.words",
    "pairs.at('a', 'b') + pairs.at('x') > 1",
    "[1, 2].exists(x, logins.at(x) > 1)",
    "event.ip.at('x') > 1",
    "known(event.ip)",
    "complete(account.age)",
    "known(ip.tor) || has(ip.asn) || has(ip.tor) || has(lists.words)",
    "'abc'[0] == 'a' || [1]['a'] == 1 || {1: 2}['a'] == 1",
    "has(account.age) && has(event.ip == 'a')",
    "event && event.device == ''",
    "event.device[event.ip] == 'x' || event.attributes.x == 'y'",
    "event.time.getHours('Asia/Ryad') > 3",
    "event.ip.matches('[a') || event.ip.matches(event.ip)",
    "in_network(ip.address, ['nonsense'])",
    "(true ? 1 : 'a') == 1",
    "[1, 2].map(x) == [1]",
    "a.b.C{d: 1} == 1",
    "1 = 2",
    "a & b",
    "(1 + 2",
    "1 + 2)",
    "event.ip == 'abc",
    "1 + + 2 == 3",
    "true ? 1",
    "a b",
    "1e400 > 1.0",
    "99999999999999999999 > 1",
    "event.ip == 'a' #",
    "",
    "logins > 3\n  && event.chanel == 'web'",
];

/// A diagnostic as text: the line, the underlined bytes, what is wrong.
fn shown(diagnostic: &Diagnostic) -> String {
    let text = &diagnostic.file.text;
    let line_start = text[..diagnostic.span.start].rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let indent = " ".repeat(text[line_start..diagnostic.span.start].chars().count());
    let marks = "^".repeat(text[diagnostic.span.clone()].chars().count().max(1));
    let hint = diagnostic.hint.as_deref().map_or(String::new(), |hint| format!("\n  hint: {hint}"));
    format!("  {line}\n  {indent}{marks} {}: {}{hint}", diagnostic.code, diagnostic.message)
}

fn all_shown(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(shown).collect::<Vec<_>>().join("\n")
}

fn faults(text: &str, scope: &Scope, position: Position, wanted: Wanted) -> String {
    match compile(&source(text), scope, &mut ReadTable::default(), position, wanted) {
        Ok(compiled) => format!("loads as {} with {} warnings", compiled.result(), compiled.warnings().len()),
        Err(diagnostics) => all_shown(&diagnostics),
    }
}

#[test]
fn conditions_that_do_not_load() {
    let scope = demo_scope();
    let mut report = String::new();
    for text in CONDITIONS {
        let faults = faults(text, &scope, Position::Condition, Wanted::Bool);
        writeln!(report, "# {text}\n{faults}\n").expect("writing to a string does not fail");
    }
    insta::assert_snapshot!(report);
}

#[test]
fn pairs_of_signs_keep_the_type_of_what_stands_behind_them() {
    let scope = demo_scope();
    for (text, code) in [
        ("!!burst", None),
        ("!!(1 < 2) && [!!burst, !! // twice\n !burst].exists(x, !!x)", None),
        ("--1 == 1 && - -logins == --5 && 1 - --1 == 0 && 2 --1 == 3", None),
        ("{--1: !!true}[--1] && !!burst ? !!true : !!!false", None),
        ("!!event.ip.startsWith('1') && 3 in [---3, --3]", None),
        ("!!event.ip == 'a'", Some("wrong-type")),
        ("!!.event.ip == 'a'", Some("wrong-type")),
        ("!!(event.ip) == 'a'", Some("wrong-type")),
        ("size([!!1]) == 1", Some("wrong-type")),
        ("[0][!!0] == 0", Some("wrong-type")),
        ("size(--'a') == 1", Some("wrong-type")),
        ("!!-1 == -1", Some("wrong-type")),
        ("--1u == 1u", Some("wrong-type")),
        ("2u ----1u == 1u", Some("wrong-type")),
        ("logins in [--'a']", Some("wrong-type")),
    ] {
        let result = compile(&source(text), &scope, &mut ReadTable::default(), Position::Condition, Wanted::Bool);
        assert_eq!(result.err().map(|found| found[0].code), code, "{text}");
    }
}

#[test]
fn features_are_not_read_by_features() {
    let report = faults("logins > 1", &demo_scope(), Position::Feature, Wanted::Bool);
    insta::assert_snapshot!(report);
    let inner = faults("pairs.at('a', logins) > 1", &demo_scope(), Position::Condition, Wanted::Bool);
    insta::assert_snapshot!(inner);
}

#[test]
fn a_macro_is_told_where_it_is_written() {
    let mut scope = demo_scope();
    assert!(scope.add_macro("rich", source("spend > 'x'")));
    assert!(scope.add_macro("snake", source("burst && snake")));
    assert!(!scope.add_macro("event", source("true")), "the name is reserved");
    assert!(!scope.add_macro("logins", source("true")), "the name is taken");
    insta::assert_snapshot!(faults("rich || burst", &scope, Position::Condition, Wanted::Bool));
    insta::assert_snapshot!(faults("snake", &scope, Position::Condition, Wanted::Bool));
}

#[test]
fn messages_that_do_not_load() {
    let mut report = String::new();
    for text in
        ["{event.acount_id} and {1 +}", "open {event.ip", "closed }", "{event.type in lists.words} {lists.words}"]
    {
        let faults =
            Template::compile(&source(text), &demo_scope(), &mut ReadTable::default()).expect_err("it is wrong");
        writeln!(report, "{}\n", all_shown(&faults)).expect("writing to a string does not fail");
    }
    insta::assert_snapshot!(report);
}
