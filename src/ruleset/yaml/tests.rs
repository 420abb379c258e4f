use super::*;
use crate::ruleset::cel::{Segment, Source};
use crate::ruleset::diagnostic;

fn file(text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile { path: "a.yaml".into(), text: text.to_owned() })
}

fn tree(text: &str) -> Node {
    let mut found = Vec::new();
    let node = parse(&file(text), &mut found);
    assert!(found.is_empty(), "{}", diagnostic::render(&found, false));
    node.expect("the text holds a value")
}

fn faults(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    parse(&file(text), &mut found);
    found
        .iter()
        .map(|one| {
            let (line, column) = one.file.line_column(one.span.start);
            format!("{line}:{column} {}: {}", one.code, one.message)
        })
        .collect()
}

fn show(node: &Node) -> String {
    let text = &node.file.text[node.span.clone()];
    match &node.kind {
        Kind::Scalar(scalar) => format!("{:?}<{text}>", scalar.text),
        Kind::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" ")),
        Kind::Map(entries) => {
            let of = |entry: &Entry| format!("{}={}", &node.file.text[entry.key_span.clone()], show(&entry.value));
            format!("{{{}}}", entries.iter().map(of).collect::<Vec<_>>().join(" "))
        }
    }
}

#[test]
fn every_value_knows_its_bytes() {
    for (text, expected) in [
        ("a: 1\n", r#"{a="1"<1>}"#),
        ("a: 1   # one\nb: [x, 'y z']\n", r#"{a="1"<1> b=["x"<x> "y z"<'y z'>]}"#),
        ("\"k\": \"a\\tb\"\r\nn: ~\r\n", "{\"k\"=\"a\\tb\"<\"a\\tb\"> n=\"~\"<~>}"),
        ("اسم: قيمة\nb: 'ب'\n", r#"{اسم="قيمة"<قيمة> b="ب"<'ب'>}"#),
        ("- a\n- b:\n    c: d\n", r#"["a"<a> {b={c="d"<d>}}]"#),
        ("a: |\n  x\n  y\nb: z\n", "{a=\"x\\ny\\n\"<x\n  y> b=\"z\"<z>}"),
        ("a: >\n  x\n  y\n", "{a=\"x y\\n\"<x\n  y>}"),
        ("a:\nb:\n", "{a=\"\"<> b=\"\"<>}"),
    ] {
        assert_eq!(show(&tree(text)), expected, "{text}");
    }
}

#[test]
fn a_text_finds_its_way_back_to_the_file() {
    for (text, part) in [
        ("w: plain needle here\n", "needle"),
        ("w: \"quoted \\\" needle\"\n", "needle"),
        ("w: \"\\u0627\\x41 needle\"\n", "needle"),
        ("w: 'it''s a needle'\n", "needle"),
        ("w: |\n    first\n      needle\n    last\n", "needle"),
        ("w: >-\n  قبل\n  needle\n  after\n", "needle"),
        ("w: plain over\n   two needle\n   lines\n", "needle"),
        ("w: |\n  \"a\\q\" == 'needle'\n", "needle"),
        ("w: |\n  || needle\n", "needle"),
        ("w: \"escaped \\\n    break needle\"\n", "needle"),
    ] {
        let node = tree(text);
        let Kind::Map(entries) = &node.kind else { panic!("a map") };
        let Kind::Scalar(scalar) = &entries[0].value.kind else { panic!("a scalar") };
        let at = scalar.text.find(part).expect("the text has the needle");
        let segments = entries[0].value.segments().into_iter();
        let segments = segments.map(|(text_start, file_start)| Segment { text_start, file_start }).collect();
        let source = Source::segments(&node.file, segments, scalar.text.clone());
        assert_eq!(&text[source.file_span(at..at + part.len())], part, "{text}");
    }
}

#[test]
fn what_the_format_does_not_need_is_refused() {
    for (text, expected) in [
        ("a: &x 1\nb: *x\n", "1:4 yaml: an anchor (`&name`) is not read here"),
        ("a: !!str 1\n", "1:4 yaml: a tag (`!name`) is not read here"),
        ("<<: {a: 1}\n", "1:1 yaml: a merge key (`<<`) is not read here"),
        ("a: 1\n---\nb: 2\n", "2:1 yaml: a second document begins here"),
        ("[a]: 1\n", "1:1 yaml: a key must be a plain text"),
        ("a: 1\nb: 2\na: 3\n", "3:1 duplicate-key: the key `a` stands here a second time"),
        ("a: \"x\" == y\n", "1:8 yaml: not valid YAML: "),
    ] {
        let found = faults(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].starts_with(expected), "{text}: {found:?}");
    }
}

#[test]
fn bombs_are_bounded() {
    assert!(faults(&"[".repeat(100_000))[0].contains("recursion limit"));
    assert!(faults(&"[".repeat(100))[0].contains("deeper"));
    assert!(faults(&"- ".repeat(50_000))[0].contains("deeper"));
    assert!(faults(&format!("[{}1]", "1,".repeat(NODES_MAX + 5)))[0].contains("values"));
    assert!(faults(&" ".repeat(TEXT_BYTES_MAX + 1))[0].contains("bytes"));
    let wide: String = (0..50_000).map(|index| format!("k{index}: 1\n")).collect();
    assert!(faults(&wide).is_empty());
}

#[test]
fn spans_of_time_are_read() {
    for (text, expected) in [
        ("0s", Some(0)),
        ("30s", Some(30_000)),
        ("24h", Some(86_400_000)),
        ("7d", Some(604_800_000)),
        ("1h30m", Some(5_400_000)),
        ("250ms", Some(250)),
        ("30m1h", None),
        ("1h1h", None),
        ("", None),
        ("30", None),
        ("s", None),
        ("-1s", None),
        ("1.5h", None),
        ("99999999999999999999d", None),
        ("9999999999d", None),
    ] {
        assert_eq!(parse_duration_ms(text), expected, "{text}");
    }
}

#[test]
fn sizes_are_read() {
    for (text, expected) in [
        ("4GiB", Some(4 << 30)),
        ("1.5KiB", Some(1536)),
        ("100", Some(100)),
        ("0.3B", None),
        ("4GB", None),
        ("99999999TiB", None),
        ("", None),
    ] {
        assert_eq!(parse_bytes(text), expected, "{text}");
    }
}

#[test]
fn readers_say_what_they_wanted() {
    let node = tree("a: x\nb: [1]\nc: 3%\nd: 0.5%\ne: 2026-13-01\nf: 12\n");
    let mut reader = Reader::default();
    let fields = reader.fields(&node, "a thing", &["a", "b", "c", "d", "e"]).expect("a map");
    let get = |key| fields.get(key).expect("the key is there");
    assert_eq!(reader.permille(get("c")), Some(30));
    assert_eq!(reader.permille(get("d")), Some(5));
    assert_eq!(reader.int(get("a"), 0..=9), None);
    assert_eq!(reader.list(get("a")).map(<[Node]>::len), None);
    assert_eq!(reader.date_ms(get("e")), None);
    assert_eq!(reader.text(get("b")), None);
    assert!(fields.required("g", &mut reader).is_none());
    let messages: Vec<_> = reader.found.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "a thing has no key `f`",
            "expected a whole number, found `x`",
            "expected a list, found `x`",
            "expected a date such as `2027-01-31`, found `2026-13-01`",
            "expected a text, found a list",
            "a thing needs the key `g`",
        ]
    );
}
