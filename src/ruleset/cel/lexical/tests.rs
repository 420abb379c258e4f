use super::*;

#[test]
fn brackets_pair_outside_of_strings_and_comments() {
    let text = "a(b[')'], \"\\\")\", r'\\') // )\n + {1: 2}";
    let brackets = scan(text).expect("it is whole");
    let pairs: Vec<(usize, usize)> =
        text.char_indices().filter_map(|(at, _)| Some((at, brackets.close_of(at)?))).collect();
    let pairs: Vec<(&str, &str)> =
        pairs.iter().map(|(open, close)| (&text[*open..*open + 1], &text[*close..*close + 1])).collect();
    assert_eq!(pairs, [("(", ")"), ("[", "]"), ("{", "}")]);
}

#[test]
fn bounds_are_exact() {
    // text, and the code of its fault
    let cases = [
        (format!("{}1{}", "(".repeat(DEPTH_MAX), ")".repeat(DEPTH_MAX)), None),
        (format!("{}1{}", "(".repeat(DEPTH_MAX + 1), ")".repeat(DEPTH_MAX + 1)), Some("too-deep")),
        (format!("1{}", "+1".repeat(DEPTH_MAX)), None),
        (format!("1{}", "+1".repeat(DEPTH_MAX + 1)), Some("too-deep")),
        (format!("[1{}]", "+1, 1".repeat(DEPTH_MAX + 1)), None),
        (format!("true{}", " && 1 + 1 > 2".repeat(DEPTH_MAX * 2)), None),
        (format!("true{}", " ? a && b : c".repeat(DEPTH_MAX + 1)), Some("too-deep")),
        (format!("[1{}]", ",1".repeat(MEMBERS_MAX)), None),
        (format!("[1{}]", ",1".repeat(MEMBERS_MAX + 1)), Some("too-long")),
        (" ".repeat(TEXT_BYTES_MAX), None),
        (" ".repeat(TEXT_BYTES_MAX + 1), Some("too-long")),
        ("1.5e-3 - 2e+5 * 0x1F".to_owned(), None),
        ("'''a\n'b''' + b\"\"\"\"c\"\"\"".to_owned(), None),
        ("'a\nb'".to_owned(), Some("syntax")),
        ("`a b`".to_owned(), None),
        ("`a".to_owned(), Some("syntax")),
    ];
    for (text, wanted) in cases {
        assert_eq!(scan(&text).err().map(|fault| fault.code), wanted, "{}", &text[..text.len().min(40)]);
    }
}
