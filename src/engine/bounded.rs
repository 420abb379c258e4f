//! Texts of events that are kept for long: whoever sends 64 KiB where an id is wanted fills no memory with it.

use std::borrow::Cow;

use super::decide::derived_id;

/// The longest text that is kept as it is, in bytes.
const TEXT_BYTES_MAX: usize = 256;
/// How much of a longer one is kept.
const HEAD_BYTES_MAX: usize = 200;

/// A text as it is kept: of one longer than 256 bytes its first 200 or so, an ellipsis, and 16 hex digits of its SHA-256, so
/// that different texts stay different.
pub fn bounded_text(text: &str) -> Cow<'_, str> {
    if text.len() <= TEXT_BYTES_MAX {
        return Cow::Borrowed(text);
    }
    let head = beginning(text, HEAD_BYTES_MAX);
    Cow::Owned(derived_id(&format!("{head}…"), [text]))
}

/// The beginning of a text: whole characters, so many bytes at most.
pub fn beginning(text: &str, bytes_max: usize) -> &str {
    let ends = (0..=bytes_max.min(text.len())).rev();
    ends.filter_map(|end| text.get(..end)).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_and_stay_different() {
        assert_eq!(bounded_text("acc-1"), "acc-1");
        let longest = "x".repeat(TEXT_BYTES_MAX);
        assert_eq!(bounded_text(&longest), longest);
        let (one, other) = ("ض".repeat(9000) + "1", "ض".repeat(9000) + "2");
        let (one, other) = (bounded_text(&one).into_owned(), bounded_text(&other).into_owned());
        assert!(one.len() <= TEXT_BYTES_MAX && one.starts_with("ضضض"), "{one}");
        assert_ne!(one, other);
        let beginnings = [0, 1, 2, 3, 4, 9].map(|bytes_max| beginning("aéb", bytes_max));
        assert_eq!(beginnings, ["", "a", "a", "aé", "aéb", "aéb"]);
    }
}
