//! The page docs/cel.md: every line of its tables is run, and loads from a rule file as the page says.

use refguard::event::AttributeType;
use refguard::ruleset::cel::Type;
use refguard::ruleset::cel::fuzz::{DemoFacts, demo_scope, source};
use refguard::ruleset::cel::{Position, ReadTable, Wanted, compile};
use refguard::ruleset::load::{Files, Premises, load_under};

/// What a text gives, in the words of the page.
fn result(text: &str) -> String {
    let mut reads = ReadTable::default();
    let compiled = match compile(&source(text), &demo_scope(), &mut reads, Position::Condition, Wanted::Printable) {
        Ok(compiled) => compiled,
        Err(diagnostics) => return format!("refused: {}", diagnostics[0].code),
    };
    let mut out = String::new();
    match compiled.render(&DemoFacts { reads: &reads }, &mut out) {
        Ok(()) => out,
        Err(fault) => format!("no value: {}", fault.code()),
    }
}

/// What the demonstration's scope declares, as a pack.
const PACK: &str = "\
version: 1
pack: page
lists:
  words: {kind: string, values: [alice]}
  networks: {kind: cidr, values: [198.51.100.0/24]}
  domains: {kind: domain, values: [example.com]}
  holidays: {kind: date, values: [2026-05-01]}
macros:
  is_web: event.channel == \"web\"
  busy: logins > 3 && is_web
features:
  logins: {on: [login.succeeded], key: [event.account_id], aggregate: count, window: 1h}
  spend: {on: [order.placed], key: [event.account_id], aggregate: sum, value: event.amount_base, window: 1h}
  burst: {on: [login.succeeded], key: [event.account_id], aggregate: rate, limit: 3, per: 1h}
  seen: {on: [login.succeeded], key: [event.account_id], aggregate: last}
  gap: {on: [login.succeeded], key: [event.account_id], aggregate: previous, value: account.age}
  place: {on: [login.succeeded], key: [event.account_id], aggregate: previous, value: event.country}
  devices: {on: [login.succeeded], key: [event.account_id], aggregate: set, value: device.id, window: 1h}
  amounts: {on: [order.placed], key: [event.account_id], aggregate: set, value: event.amount_minor, window: 1h}
  pairs: {on: [order.placed], key: [event.channel, event.amount_minor], aggregate: count, window: 1h}
  ring: {on: [login.succeeded], key: [event.account_id], aggregate: component, links: [device.id], window: 30d}
rules:
";

struct OneRule(String);

impl Files for OneRule {
    fn packs(&self) -> Result<Vec<String>, String> {
        Ok(vec!["page.yaml".to_owned()])
    }

    fn read(&self, _: &str, _: u64) -> Result<Vec<u8>, String> {
        Ok(self.0.clone().into_bytes())
    }
}

/// The codes because of which a rule with this expression does not load; empty when it does.
fn refusals(expression: &str) -> Vec<&'static str> {
    let scope = demo_scope();
    let printable =
        compile(&source(expression), &scope, &mut ReadTable::default(), Position::Condition, Wanted::Printable);
    let when = match printable.as_ref().map(|compiled| compiled.result()) {
        Ok(Type::Bool) | Err(_) => expression.to_owned(),
        Ok(Type::Set(_)) => format!("size({expression}) > 0"),
        Ok(_) => format!("dyn({expression}) != 'x'"),
    };
    let when = when.replace('\'', "''");
    let pack = format!("{PACK}  - {{id: line, on: [login.succeeded, order.placed], when: '{when}', score: 1}}\n");
    let declared = [
        ("tier", AttributeType::Text),
        ("visits", AttributeType::Int),
        ("weight", AttributeType::Double),
        ("vip", AttributeType::Bool),
        ("joined", AttributeType::Timestamp),
        ("shop", AttributeType::Text),
    ];
    let attributes = declared.into_iter().map(|(name, of)| (name.to_owned(), of)).collect();
    let premises = Premises { attributes, ..Premises::default() };
    load_under(&OneRule(pack), &premises)
        .map_or_else(|found| found.iter().map(|one| one.code).collect(), |_| Vec::new())
}

#[test]
fn every_line_of_the_page_is_true() {
    let page = include_str!("../../docs/cel.md");
    let mut lines = 0;
    let mut faults = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [expression, wanted, ..] = cells.as_slice() else { panic!("a line has two cells: {line}") };
        let expression = expression.trim_matches('`').replace("\\|", "|");
        let (wanted, got) = (wanted.trim_matches('`'), result(&expression));
        if wanted != got {
            faults.push(format!("{expression}: the page says `{wanted}`, it is `{got}`"));
        }
        let refusals = refusals(&expression);
        let loads = match wanted.strip_prefix("refused: ") {
            Some(code) => refusals.contains(&code),
            None => refusals.is_empty(),
        };
        if !loads {
            faults.push(format!("{expression}: the page says `{wanted}`, from a file it is refused for {refusals:?}"));
        }
        lines += 1;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(lines > 100, "the tables were read: {lines}");
}
