//! Hostile text: nothing panics, whatever is written.

use refguard::ruleset::cel::fuzz::fuzz_compile;

use crate::random::Random;

const MUTANTS: usize = 4_000;

const SEEDS: &[&str] = &[
    "logins > 3 && event.channel == 'web' || !burst",
    "pairs.at('a', 3) + logins.at(event.referrer_id) * 2 > 7",
    "overlap(devices, devices.at(event.referrer_id)) > 0",
    "devices.exists(d, d == 'd2' && [1, 2].all(x, x / (x - 1) > 0))",
    "event.time - account.last_active > days(30) ? 'é' : \"\\u00e9\"",
    "{'a': [1, 2u, 3.5e-2], 'b': [b'\\xff', null]}['a'][0] == 0x10",
    "timestamp('2026-05-01T10:05:00.25+03:00').getHours('Asia/Riyadh') % 24",
    "'{event.account_id} was invited {{by}} {event.referrer_id}'",
    "event.device.model + event.device['os'] + string(spend)",
    "in_network(ip.address, ['10.0.0.0/8']) && email.domain in lists.domains",
    "median([logins, 3, 9]) >= ratio(spend, logins) || similarity(event.email, 'x') < 0.5",
    "duration('1h30m').getMinutes() == int('90') && has({'a': 1}.a) // done",
    "'''tri\nple'''.matches('(a|b){2}') || r\"\\d\".size() == 2",
];

const PIECES: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "'",
    "\"",
    "`",
    ".",
    ",",
    "?",
    ":",
    "&&",
    "||",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    "==",
    "in ",
    "9223372036854775808",
    "1e400",
    "0x",
    "\\",
    "//",
    "\n",
    "\r",
    "\0",
    "é",
    "\u{10ffff}",
    "lists.",
    "event.",
    ".at(",
    "busy",
    ".map(x, x)",
    "has(",
    "known(",
    "{{",
    "}}",
    "null",
    "true",
    "dyn(",
    "type(",
    "'''",
    "b'",
    ".getHours(",
    "u",
];

#[test]
fn mutants_do_not_panic() {
    let mut random = Random::new(7);
    for _ in 0..MUTANTS {
        let mut text: Vec<char> = random.pick(SEEDS).chars().collect();
        for _ in 0..1 + random.below(6) {
            let at = random.below(text.len() + 1);
            match random.below(4) {
                0 if at < text.len() => drop(text.remove(at)),
                1 if at < text.len() => text[at] = char::from(random.below(128) as u8),
                2 => drop(text.splice(at..at, random.pick(SEEDS).chars())),
                _ => drop(text.splice(at..at, random.pick(PIECES).chars())),
            }
        }
        fuzz_compile(&text.into_iter().collect::<String>());
    }
}

#[test]
fn every_prefix_of_every_seed_is_answered() {
    for seed in SEEDS {
        for (end, _) in seed.char_indices() {
            fuzz_compile(&seed[..end]);
        }
    }
}

#[test]
fn depth_and_length_are_bounded() {
    for piece in [
        "(", "[", "{1:", "!", "-", "1+", "a.", "a?b:", "a?b:c&&", "f(", "x.f(", "!(", "1+(", "'", "a[", "1,", "a||",
        "//",
    ] {
        for count in [10, 60, 70, 300, 20_000] {
            fuzz_compile(&piece.repeat(count));
            fuzz_compile(&format!("{}1{}", piece.repeat(count), ")]}".repeat(count)));
        }
    }
    for (open, close) in [("(", ")"), ("[", "]"), ("{1:", "}"), ("size(", ")"), ("[1].map(x,", ")")] {
        for count in 1..80 {
            fuzz_compile(&format!("{}1{}", open.repeat(count), close.repeat(count)));
        }
    }
}

#[test]
fn costly_comprehensions_end() {
    let list = format!("[{}]", vec!["1"; 400].join(","));
    let text = format!("{list}.all(a, {list}.all(b, {list}.all(c, {list}.all(d, a + b + c + d == 4))))");
    fuzz_compile(&text);
    let doubling = format!(
        "{}true",
        "['aaaaaaaaaaaaaaaa'].map(a, a+a+a+a).map(a, a+a+a+a).map(a, a+a+a+a).size()==1&&".repeat(40)
    );
    fuzz_compile(&doubling);
}
