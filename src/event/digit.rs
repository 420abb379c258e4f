//! Digits of every script, as people type them in numbers, addresses and rules.

/// The zero of every run of decimal digits, ascending: Unicode 16.0, general category Nd.
const ZEROS: [u32; 75] = [
    0x0030, 0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0de6,
    0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40,
    0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x10d40, 0x11066,
    0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x116d0, 0x116da, 0x11730, 0x118e0,
    0x11950, 0x11bf0, 0x11c50, 0x11d50, 0x11da0, 0x11f50, 0x16130, 0x16a60, 0x16ac0, 0x16b50, 0x1ccf0, 0x1d7ce,
    0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e4f0, 0x1e5f1, 0x1e950, 0x1fbf0,
];

/// The ASCII digit that a decimal digit of any script stands for; `None` for another character.
pub fn ascii_digit(c: char) -> Option<char> {
    let code = u32::from(c);
    let above = ZEROS.partition_point(|zero| *zero <= code);
    let digit = code - ZEROS.get(above.checked_sub(1)?)?;
    char::from_digit(digit, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_every_script_fold() {
        assert!(ZEROS.is_sorted());
        for (text, digits) in
            [("٠١٢٣٤٥٦٧٨٩", "0123456789"), ("۴۵۶", "456"), ("१२३", "123"), ("０９", "09"), ("𝟕", "7"), ("7", "7")]
        {
            let folded: Option<String> = text.chars().map(ascii_digit).collect();
            assert_eq!(folded.as_deref(), Some(digits));
        }
        for c in ['a', '/', ':', '²', '½', '〇', '\u{66a}', '\u{10ffff}', '\0'] {
            assert_eq!(ascii_digit(c), None, "{c:?}");
        }
    }

    #[test]
    fn std_agrees_on_what_is_numeric() {
        for zero in ZEROS {
            for digit in 0..10 {
                let c = char::from_u32(zero + digit).unwrap();
                assert!(c.is_numeric(), "{c:?}");
            }
        }
    }
}
