//! JSON, written straight into a buffer: what verdict lines and dead letters are made with.
//!
//! Lines are written once an event and their shape is fixed, so a tree or a serializer would only cost. The caller
//! writes braces, commas and names as literals, and the values through these functions. It imports only pure crates.

use super::time::write_time_ms;
use std::io::Write as _;

/// Appends a string with its quotes, escaped as RFC 8259 section 7 demands and no more: `"`, `\` and control
/// characters below U+0020.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    write_escaped(out, text);
    out.push(b'"');
}

/// Appends the inside of a string, so that it can be made of several pieces.
pub fn write_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if ESCAPES[*byte as usize] == 0 {
            continue;
        }
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
        match ESCAPES[*byte as usize] {
            b'u' => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]]);
            }
            short => out.extend_from_slice(&[b'\\', short]),
        }
    }
    out.extend_from_slice(&bytes[copied..]);
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
