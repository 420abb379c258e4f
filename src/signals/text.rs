//! Text as people type it: the marks that nobody sees, and what of it is kept.

/// Marks that show nothing and come along when text is copied: soft hyphen, zero-width characters, the marks and
/// embeddings that set the direction of writing, the byte order mark. No address or number has them.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// As much of the beginning of a text as fits, whole characters.
pub(super) fn beginning(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_has_whole_characters() {
        for (bytes_max, expected) in [(0, ""), (1, "a"), (2, "a"), (3, "aé"), (4, "aé"), (9, "aé€")] {
            assert_eq!(beginning("aé€", bytes_max), expected, "{bytes_max}");
        }
    }
}
