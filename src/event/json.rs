//! JSON, written straight into a buffer: what verdict lines and dead letters are made with.
//!
//! Lines are written once an event and their shape is fixed, so a tree or a serializer would only cost. The caller
//! writes braces, commas and names as literals, and the values through these functions. It imports only pure crates.

use super::time::write_time_ms;
use std::io::Write as _;

/// Appends a string with its quotes, escaped as RFC 8259 section 7 demands and no more: `"`, `\` and control
/// characters below U+0020.
#[inline]
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    write_escaped(out, text);
    out.push(b'"');
}

/// Appends the inside of a string, so that it can be made of several pieces.
#[inline]
pub fn write_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    match first_special(bytes) {
        None => out.extend_from_slice(bytes),
        Some(at) => write_from_special(out, bytes, at),
    }
}

/// Appends bytes of which the one at `special` is the first that must be escaped.
#[cold]
fn write_from_special(out: &mut Vec<u8>, bytes: &[u8], special: usize) {
    let (mut rest, mut next) = (bytes, Some(special));
    while let Some(at) = next {
        out.extend_from_slice(&rest[..at]);
        let byte = rest[at];
        match ESCAPES[byte as usize] {
            b'u' => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]]);
            }
            short => out.extend_from_slice(&[b'\\', short]),
        }
        rest = &rest[at + 1..];
        next = first_special(rest);
    }
    out.extend_from_slice(rest);
}

/// Where the first byte stands that a string cannot hold as it is, looked for eight bytes at a time.
#[inline]
fn first_special(bytes: &[u8]) -> Option<usize> {
    let found = |at: usize, special: u64| at + special.trailing_zeros() as usize / 8;
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let special = special_bytes(u64::from_le_bytes(*chunk));
        if special != 0 {
            return Some(found(at, special));
        }
        at += 8;
    }
    match bytes.last_chunk::<8>() {
        // The end is looked at again with what stands before it, which has nothing special.
        Some(chunk) => {
            let special = special_bytes(u64::from_le_bytes(*chunk));
            (special != 0).then(|| found(bytes.len() - 8, special))
        }
        None => bytes.iter().position(|byte| ESCAPES[*byte as usize] != 0),
    }
}

/// Sets the top bit of each byte that ends a plain run of a string: a control character, `"` or `\`. Bits above the
/// lowest one may be false.
#[inline]
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const TOPS: u64 = u64::from_le_bytes([0x80; 8]);
    // A borrow out of a byte below the subtrahend sets its top bit (Warren, "Hacker's Delight", 6-1).
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * bound as u64) & !word;
    // Flipping the second bit takes `"` (0x22) to 0x20, right behind the control characters, and a blank away from there.
    let quote_or_control = below(word ^ (ONES * 0x02), 0x21);
    let backslash = below(word ^ (ONES * b'\\' as u64), 1);
    (quote_or_control | backslash) & TOPS
}

/// Appends an integer.
pub fn write_int(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends the shortest number that reads back as the same double; `null` for what JSON cannot say (not a number,
/// infinities).
pub fn write_double(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        write!(out, "{value:?}").expect("a write into a vector does not fail");
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Appends an instant, as a string in RFC 3339 with milliseconds, in UTC.
pub fn write_timestamp(out: &mut Vec<u8>, time_ms: i64) {
    out.push(b'"');
    write_time_ms(out, time_ms);
    out.push(b'"');
}

/// For each byte 0 if it stands for itself, else the letter after the backslash.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    let mut control = 0;
    while control < 0x20 {
        escapes[control] = b'u';
        control += 1;
    }
    escapes[0x08] = b'b';
    escapes[b'\t' as usize] = b't';
    escapes[b'\n' as usize] = b'n';
    escapes[0x0c] = b'f';
    escapes[b'\r' as usize] = b'r';
    escapes[b'"' as usize] = b'"';
    escapes[b'\\' as usize] = b'\\';
    escapes
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_as_serde_json_does() {
        let every: String = (0..=0x100u32).filter_map(char::from_u32).chain("\u{2028}\u{10ffff}😀".chars()).collect();
        assert_eq!(written(|out| write_string(out, &every)), serde_json::to_string(&every).unwrap());
    }

    #[test]
    fn every_byte_that_ends_a_run_is_found_first() {
        for byte in 0..=u8::MAX {
            let ends = byte < 0x20 || byte == b'"' || byte == b'\\';
            for (place, filler) in (0..8).flat_map(|place| [(place, b'a'), (place, 0xff), (place, b' ')]) {
                let mut text = [filler; 8];
                text[place] = byte;
                let special = special_bytes(u64::from_le_bytes(text));
                let found = (special != 0).then(|| special.trailing_zeros() as usize / 8);
                assert_eq!(found, ends.then_some(place), "{byte:#04x} at {place}");
            }
        }
    }

    #[test]
    fn says_null_for_what_is_no_number() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(written(|out| write_double(out, value)), "null");
        }
    }

    #[test]
    fn writes_an_instant() {
        assert_eq!(written(|out| write_timestamp(out, 1_777_629_900_007)), r#""2026-05-01T10:05:00.007Z""#);
    }

    proptest! {
        #[test]
        fn short_strings_with_specials_are_those_of_serde_json(text in "[a-c\"\\\\\u{0}-\u{1f}é]{0,40}") {
            prop_assert_eq!(written(|out| write_string(out, &text)), serde_json::to_string(&text).unwrap());
        }

        #[test]
        fn strings_are_those_of_serde_json(text in any::<String>()) {
            prop_assert_eq!(written(|out| write_string(out, &text)), serde_json::to_string(&text).unwrap());
        }

        #[test]
        fn integers_are_those_of_serde_json(value in any::<i64>()) {
            prop_assert_eq!(written(|out| write_int(out, value)), serde_json::to_string(&value).unwrap());
        }

        #[test]
        fn doubles_read_back(value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO) {
            let text = written(|out| write_double(out, value));
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }
}
