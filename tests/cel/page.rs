//! The page docs/cel.md: every line of its tables is run.

use refguard::ruleset::cel::fuzz::{DemoFacts, demo_scope, source};
use refguard::ruleset::cel::{Position, ReadTable, Wanted, compile};

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
        lines += 1;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(lines > 100, "the tables were read: {lines}");
}
