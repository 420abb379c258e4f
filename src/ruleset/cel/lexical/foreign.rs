//! What people write by the habits of other languages, and what CEL has for it.

/// What CEL has for a sign that no keyboard has on purpose: what editors and chats make of plain ones.
pub(super) fn sign(char: char) -> Option<&'static str> {
    Some(match char {
        '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{ab}' | '\u{bb}' => "\"",
        '\u{2018}' | '\u{2019}' | '\u{201a}' => "'",
        '\u{2013}' | '\u{2014}' | '\u{2212}' => "-",
        '\u{d7}' | '\u{b7}' => "*",
        '\u{f7}' => "/",
        '\u{2264}' => "<=",
        '\u{2265}' => ">=",
        '\u{2260}' => "!=",
        '\u{2227}' => "&&",
        '\u{2228}' => "||",
        '\u{ac}' => "!",
        _ => return None,
    })
}

/// What to write instead of a word between operands.
pub(super) fn operator(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "and" => "CEL writes `&&`",
        "or" => "CEL writes `||`",
        "is" | "equals" | "eq" => "CEL writes `==`",
        "ne" => "CEL writes `!=`",
        "gt" => "CEL writes `>`",
        "lt" => "CEL writes `<`",
        "mod" => "CEL writes `%`",
        "not" => "CEL writes `!` before what is denied, and `!=` between values that differ",
        "then" | "else" => "CEL writes `condition ? this : that`",
        "contains" | "matches" => "a function of a text is called behind a dot: `text.contains(\"part\")`",
        "like" => "write `text.matches(\"^...$\")`",
        "between" => "write `low <= x && x <= high`",
        _ => return None,
    })
}

/// What to write instead of a word before an operand.
pub(super) fn prefix(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "not" => "CEL writes `!`",
        "if" | "when" | "case" => "CEL writes `condition ? this : that`; a rule's `when` needs the condition alone",
        _ => return None,
    })
}

/// The word that a text begins with, after spaces.
pub(super) fn word_at(text: &str) -> &str {
    let text = text.trim_start();
    &text[..text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())]
}

/// A comparison of another language that an operator's text begins with, and CEL's.
pub(super) fn comparison(text: &str) -> Option<(&'static str, &'static str)> {
    const COMPARISONS: [(&str, &str); 5] = [("===", "=="), ("!==", "!="), ("<>", "!="), ("=<", "<="), ("=>", ">=")];
    COMPARISONS.into_iter().find(|(written, _)| text.starts_with(written))
}

/// What to write instead of a span of time such as `7d`.
pub(super) fn span(number: &str) -> Option<String> {
    let unit = number.find(|c: char| !c.is_ascii_digit())?;
    let (amount, unit) = number.split_at(unit);
    match unit {
        "d" => Some(format!("a span of time is `days({amount})` or `duration(\"90s\")`")),
        "w" => Some(format!(
            "a span of time is `days({})` or `duration(\"90s\")`",
            amount.parse::<u64>().ok()?.checked_mul(7)?
        )),
        "h" | "m" | "s" | "ms" => Some(format!("a span of time is `duration(\"{number}\")` or `days(7)`")),
        _ => None,
    }
}

/// The number that is written with a comma between its thousands: what stands before the comma and behind it.
pub(super) fn grouped_digits(before: &str, behind: &str) -> Option<String> {
    let digit = |c: char| c.is_ascii_digit();
    let head = &before[before.trim_end_matches(digit).len()..];
    let tail = &behind[..behind.find(|c| !digit(c)).unwrap_or(behind.len())];
    (!head.is_empty() && head.len() <= 3 && tail.len() == 3).then(|| format!("{head}{tail}"))
}

/// How long the escape is that stands behind a backslash; `None` for what is none.
pub(super) fn escape(text: &str, bytes: bool) -> Option<usize> {
    let first = text.chars().next()?;
    if let Some(count) = hex_digits(text, bytes) {
        let digits = text.get(1..=count)?;
        let all = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let code = u32::from_str_radix(digits, 16).ok().filter(|_| all)?;
        return char::from_u32(code).map(|_| 1 + count);
    }
    let len = match first {
        'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '"' | '\'' | '`' | '?' | '\\' => 1,
        '0'..='3' => {
            let octal = text.get(1..3)?.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
            octal.then_some(3)?
        }
        _ => return None,
    };
    Some(len)
}

/// How many hexadecimal digits follow the letter of an escape; `None` where none do.
pub(super) fn hex_digits(text: &str, bytes: bool) -> Option<usize> {
    match text.chars().next()? {
        'x' | 'X' => Some(2),
        'u' if !bytes => Some(4),
        'U' if !bytes => Some(8),
        _ => None,
    }
}
