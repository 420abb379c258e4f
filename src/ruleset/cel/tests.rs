//! The compiled program against the interpreter, reads, templates and places. The rest is in `tests/cel.rs`.

use std::sync::Arc;

mod lowered;

use super::fuzz::{DemoFacts, demo_scope, source};
use super::node::Node;
use super::value::Value;
use super::*;
use crate::event::Signal;
use crate::ruleset::diagnostic::SourceFile;

/// Checked, but not lowered.
fn checked(text: &str, reads: &mut ReadTable) -> Node {
    let source = source(text);
    let expr = syntax::parse(&source).expect("it parses");
    let scope = demo_scope();
    let mut checker = Checker::new(&scope, reads, Position::Condition, &source);
    let node = checker.check(&expr, Wanted::Bool);
    assert!(checker.diagnostics.is_empty(), "{text}: {:?}", checker.diagnostics);
    node
}

fn compiled(text: &str, reads: &mut ReadTable) -> Compiled {
    compile(&source(text), &demo_scope(), reads, Position::Condition, Wanted::Bool).expect("it compiles")
}

/// Conditions, one for each kind of step that a program has, over operands of every kind.
#[expect(clippy::too_many_lines, reason = "a table, a line a condition")]
fn conditions() -> Vec<String> {
    let ints =
        ["logins", "event.amount_minor", "ip.asn", "size(devices)", "5", "-logins", "logins % 3", "int(logins / 0)"];
    let doubles = [
        "spend",
        "event.rating",
        "email.gibberish",
        "event.amount_base",
        "99.5",
        "ratio(logins, 2)",
        "0.0 / double(0)",
    ];
    let texts =
        ["event.type", "device.id", "'web'", "event.device.os", "program", "account.referrer", "(event.ip + 'x')"];
    let times = ["event.time", "account.first_seen", "account.last_active", "timestamp(0)", "event.time - account.age"];
    let spans = ["account.age", "gap", "days(1)", "event.time - seen", "duration('90s')"];
    let hashes = ["place", "account.referrer", "'bob'", "event.referrer_id"];
    let mut all = Vec::new();
    for operands in [&ints[..], &doubles, &texts, &times, &spans] {
        for left in operands {
            for right in operands {
                all.extend(["==", "!=", "<", "<=", ">", ">="].map(|sign| format!("{left} {sign} {right}")));
            }
        }
    }
    for int in ints {
        all.extend(doubles.map(|double| format!("{int} < {double} || {double} == {int}")));
        all.push(format!("{int} in [1, 5, 1250] && {int} in amounts"));
    }
    for text in texts {
        all.extend(texts.map(|other| {
            format!("{text}.contains({other}) || {text}.startsWith({other}) || {text}.endsWith({other})")
        }));
        all.push(format!("{text} in ['web', 'd1', 'login.succeeded', 'a', 'bb', 'default']"));
        all.push(format!(
            "{text} in ['web', 'd1'] || {text} in devices || {text} in lists.words || {text} in lists.domains"
        ));
        all.push(format!("{text}.matches('^.e') || in_network({text}, ['10.0.0.0/8']) || {text} in lists.networks"));
        all.push(format!("similarity({text}, 'web') > 0.5 && {text}.size() > 2"));
    }
    for hash in ["place", "account.referrer"] {
        all.extend(hashes.map(|other| format!("{hash} == {other} || {other} != {hash}")));
        all.push(format!("{hash} in devices || {hash} in ['SA', account.referrer]"));
    }
    let rest = [
        "burst == device.bot",
        "burst ? device.bot : logins > 3",
        "(burst ? logins : 3) > 4",
        "(burst ? spend : 3.0) > 4.0",
        "(burst ? event.ip : 'x') == 'ip'",
        "known(logins) && complete(devices) && !exact(gap)",
        "known(account.last_active)",
        "has(event.label) || has(event.device.os) || has(event.amount_base)",
        "event.time in lists.holidays",
        "overlap(devices, devices.at(event.referrer_id)) > 2",
        "devices.exists(d, d == 'd2')",
        "devices.all(d, d in devices)",
        "amounts.exists(a, a == 1250)",
        "event.time.getHours('Asia/Riyadh') == 13",
        "event.time.getMonth() == 4",
        "account.last_active > event.time || logins > 3",
        "account.last_active > event.time && logins > 30",
        "int(spend) == 99",
        "double(logins) * 2.0 > 9.0",
        "days(logins) > account.age",
        "median([logins, 1, 2]) == 2.0",
        "!(logins > 3 && (burst && !device.bot)) || is_web && busy",
        "[1, logins].exists(x, x == logins)",
        "dyn(burst)",
        "true && logins > 3",
        "false || logins > 3 || false",
        "logins > 3 || true",
        "logins / 0 > 1 || true && burst",
    ];
    all.extend(rest.map(str::to_owned));
    all
}

#[test]
fn the_program_gives_what_the_interpreter_gives() {
    let conditions = conditions();
    assert!(conditions.len() > 1000);
    let (mut held, mut faults) = (0, 0);
    for text in &conditions {
        let mut reads = ReadTable::default();
        let node = checked(text, &mut reads);
        let program = Compiled::new(node.clone(), Uses::default(), super::compiled::Noticed::default());
        let facts = DemoFacts { reads: &reads };
        let slow = interpret::evaluate(&node, &facts).and_then(|value| value.bool());
        let fast = program.test(&facts);
        assert_eq!(fast, slow, "{text}: {program:?}");
        held += usize::from(fast == Ok(true));
        faults += usize::from(fast.is_err());
    }
    assert!(held > 200 && faults > 100, "the conditions are not all alike: {held} hold, {faults} fault");
}

#[test]
fn ordinary_conditions_are_lowered_entirely() {
    let ordinary = [
        "logins > 3 && event.channel != 'kiosk' && !device.bot",
        "overlap(devices, devices.at(event.referrer_id)) > 0",
        "event.type in ['reward.requested', 'reward.granted'] && ratio(logins, 3) > 0.5",
        "account.age < days(1) && event.time - seen < duration('5m') || account.referrer == event.referrer_id",
        "device.id in devices && ip.address in lists.networks && similarity(event.email, email.local) > 0.9",
        "event.time.getHours('Asia/Riyadh') < 6 && size(devices) >= 3 && spend / double(logins) > 10.0",
    ];
    for text in ordinary {
        let program = format!("{:?}", compiled(text, &mut ReadTable::default()));
        assert!(!program.contains("Slow"), "{text}: {program}");
    }
}

#[test]
fn constants_fold() {
    // expression, and whether nothing is left of it but a constant
    let cases = [
        ("1 + 2 == 3", true),
        ("[1, 2, 3].all(x, x in [1, 2, 3] && [x].exists(y, y == x))", true),
        ("'abc'.matches('b') && size({'a': 1}) == 1", true),
        ("timestamp('2026-05-01T00:00:00Z').getHours('+03:00') == 3", true),
        ("logins > 3 || 1 < 2", true),
        ("logins > 3 && 1 < 2", false),
        ("1 / 0 > 0", false),
    ];
    for (text, constant) in cases {
        let program = format!("{:?}", compiled(text, &mut ReadTable::default()));
        assert_eq!(program.contains("Bool(Constant(true))"), constant, "{text}: {program}");
    }
}

#[test]
fn equal_reads_are_one() {
    let mut reads = ReadTable::default();
    let first = compiled("logins > 3 && logins.at(event.referrer_id) > logins", &mut reads);
    let second = compiled("logins.at( event . referrer_id ) > 1 || logins.at(event.account_id) > 2", &mut reads);
    assert_eq!(first.uses().reads, [ReadIndex(0), ReadIndex(1)]);
    assert_eq!(second.uses().reads, [ReadIndex(1), ReadIndex(2)]);
    assert_eq!(reads.reads().len(), 3);
    assert!(first.uses().features);
}

#[test]
fn what_an_expression_uses_is_told() {
    let mut reads = ReadTable::default();
    let condition =
        compiled("logins.at(device.id) > 1 && size(devices) > 2 && pairs.at(account.referrer, ip.asn) > 0", &mut reads);
    assert!(condition.uses().signals.contains(Signal::DeviceId), "an argument's signals count");
    assert!(condition.uses().signals.contains(Signal::IpAsn));
    assert!(!condition.uses().signals.contains(Signal::IpAddress));
    let referrer = ReadSource::Account { role: Role::Account, fact: AccountFact::Referrer };
    let referrer = reads.reads().iter().position(|read| read.source == referrer).expect("the argument reads it");
    assert!(condition.uses().reads.contains(&ReadIndex(referrer as u32)), "an argument's reads count");
    assert!(reads.reads().iter().all(|read| !read.wants_contents), "a size needs no members");
    compiled("device.id in devices", &mut reads);
    assert_eq!(reads.reads().iter().filter(|read| read.wants_contents).count(), 1);
    let account = compiled("account.new_device", &mut reads);
    assert!(!account.uses().features);
}

#[test]
fn wanted_types_are_checked() {
    // expression, and for what it will do
    let cases: [(&str, &[Wanted]); 9] = [
        ("burst", &[Wanted::Bool, Wanted::Key, Wanted::Scalar, Wanted::Printable]),
        ("logins", &[Wanted::Key, Wanted::Number, Wanted::Scalar, Wanted::Printable]),
        ("spend", &[Wanted::Number, Wanted::Scalar, Wanted::Printable]),
        ("event.ip", &[Wanted::Key, Wanted::Scalar, Wanted::Printable]),
        ("place", &[Wanted::Key, Wanted::Scalar]),
        ("devices", &[Wanted::Printable]),
        ("[1]", &[]),
        ("null", &[Wanted::Printable]),
        ("dyn(1)", &[Wanted::Bool, Wanted::Printable]),
    ];
    for (text, fits) in cases {
        for wanted in [Wanted::Bool, Wanted::Key, Wanted::Number, Wanted::Scalar, Wanted::Printable] {
            let mut reads = ReadTable::default();
            let compiled = compile(&source(text), &demo_scope(), &mut reads, Position::Condition, wanted);
            assert_eq!(compiled.is_ok(), fits.contains(&wanted), "{text} as {wanted:?}");
        }
    }
}

#[test]
fn messages_render() {
    let text = "{{{event.account_id}}} {logins}/{spend} {burst} {event.time} {account.age} {devices} {account.last_active}{'}'} é";
    let mut reads = ReadTable::default();
    let template = Template::compile(&source(text), &demo_scope(), &mut reads).expect("it compiles");
    let mut out = String::from("> ");
    template.render(&DemoFacts { reads: &reads }, &mut out);
    assert_eq!(out, "> {alice} 5/99.5 true 2026-05-01T10:06:40.250Z 86400s 3 ?} é");
    assert_eq!(template.uses().reads.len(), reads.reads().len());
}

#[test]
fn places_in_a_block_are_found() {
    let text = "when: |\n    logins > 3\n    && evnt.ip == ''\n";
    let file = Arc::new(SourceFile { path: "p.yaml".into(), text: text.to_owned() });
    let segments = vec![Segment { text_start: 0, file_start: 12 }, Segment { text_start: 11, file_start: 27 }];
    let block = Source::segments(&file, segments, "logins > 3\n&& evnt.ip == ''\n");
    let faults = compile(&block, &demo_scope(), &mut ReadTable::default(), Position::Condition, Wanted::Bool);
    let span = faults.expect_err("the name is wrong")[0].span.clone();
    assert_eq!(&text[span], "evnt");
    let whole = Source::whole(&file, 0..4, "evnt.ip");
    assert_eq!(whole.file_span(2..3), 0..4);
    assert_eq!(block.part(14..18).file_span(0..4), 30..34);
}

#[test]
fn macros_expand_within_bounds() {
    let mut scope = demo_scope();
    scope.add_macro("m0", source("logins"));
    for level in 1..40 {
        scope.add_macro(&format!("m{level}"), source(&format!("m{0} + m{0}", level - 1)));
    }
    let compile =
        |text: &str| compile(&source(text), &scope, &mut ReadTable::default(), Position::Condition, Wanted::Bool);
    assert!(compile("m5 == 160").is_ok());
    assert_eq!(compile("m39 > 1").expect_err("it is too large")[0].code, "too-deep");
    scope.add_macro("late", source("x > 1"));
    let hidden = super::compile(
        &source("[1].all(x, late)"),
        &scope,
        &mut ReadTable::default(),
        Position::Condition,
        Wanted::Bool,
    );
    assert_eq!(hidden.expect_err("a macro does not see variables")[0].code, "unknown-name");
}

#[test]
fn reserved_names_are_sorted() {
    assert!(scope::RESERVED.is_sorted());
    assert!(is_reserved("event") && is_reserved("1st") && is_reserved("") && !is_reserved("logins"));
}

#[test]
fn values_keep_the_laws_of_equality() {
    let nan = Value::Double(f64::NAN);
    assert!(!nan.equals(&nan));
    assert!(Value::Int(1).equals(&Value::Double(1.0)) && Value::Uint(1).equals(&Value::Int(1)));
    assert!(!Value::Int(-1).equals(&Value::Uint(u64::MAX)));
    assert!(Value::list(vec![Value::Int(1)]).equals(&Value::list(vec![Value::Uint(1)])));
    assert!(!Value::Null.equals(&Value::Bool(false)));
}
