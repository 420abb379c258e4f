//! The short way for events in plain notation, which nearly all are: no escapes, no surprises.
//!
//! It walks the text once, eight bytes at a time within strings, and takes half the time of a general JSON parser. It
//! never says why something is wrong: whatever it does not take, it leaves to the other way, which reads the text anew.
//! Invariant: what it takes, the other way takes too, and reads as the same event (checked by [`agrees`] in the fuzz
//! targets and over random events).

use super::draft::{Draft, Extra};
use super::envelope::Attribute;
use super::map;
use crate::event::json::special_bytes;
use crate::event::{Event, Field, FieldType};
use serde::de::IgnoredAny;

impl Draft<'_> {
    /// Reads a whole event in structured mode; `None`, with the draft half filled, if it is not plain or not valid.
    pub(super) fn read_plain_envelope(&mut self, text: &str) -> Option<()> {
        let mut scanner = Scanner { text, at: 0 };
        scanner.members(|scanner, name| match Attribute::of(name) {
            Attribute::Field(field) => scanner.field(self, field),
            Attribute::Specversion => {
                self.begin_extra(Extra::Specversion).ok()?;
                self.set_version(scanner.string()?);
                Some(())
            }
            Attribute::Data => {
                self.begin_extra(Extra::Data).ok()?;
                scanner.data(self)
            }
            Attribute::DataBase64 => None,
            Attribute::Other => scanner.skip_value(),
        })?;
        scanner.end()
    }

    /// Reads `data` that stands alone; `None`, with the draft half filled, if it is not plain or not valid.
    pub(super) fn read_plain_data(&mut self, text: &str) -> Option<()> {
        let mut scanner = Scanner { text, at: 0 };
        scanner.data(self)?;
        scanner.end()
    }
}

/// Whether both ways read a text as the same event. True if the short way does not take it.
pub(super) fn agrees(text: &str) -> bool {
    let mut made = [String::new(), String::new()];
    let mut events = [Event::default(), Event::default()];
    let [plain_made, general_made] = &mut made;
    let [plain, general] = &mut events;
    if Draft::new(text, plain_made, plain).read_plain_envelope(text).is_none() {
        return true;
    }
    Draft::new(text, general_made, general).read_general_envelope(text).is_ok()
        && made[0] == made[1]
        && events[0] == events[1]
}

/// A place in a text. Every step answers `None` where the text is not plain JSON.
struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scanner<'t> {
    /// The next byte that is no white space, left where it is.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// The next byte that is no white space.
    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    /// Nothing but white space is left.
    fn end(&mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    /// An object, member by member.
    #[inline]
    fn members(&mut self, mut member: impl FnMut(&mut Self, &'t str) -> Option<()>) -> Option<()> {
        self.expect(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let name = self.string()?;
            self.expect(b':')?;
            member(self, name)?;
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// `data`: an object of fields, or `null`.
    fn data(&mut self, draft: &mut Draft<'_>) -> Option<()> {
        if self.peek()? == b'n' {
            return self.word("null");
        }
        self.members(|scanner, name| match Field::from_name(name) {
            Some(field) if !field.is_envelope() => scanner.field(draft, field),
            _ => scanner.skip_value(),
        })
    }

    /// The value of a field.
    #[inline]
    fn field(&mut self, draft: &mut Draft<'_>, field: Field) -> Option<()> {
        draft.begin(field).ok()?;
        if self.peek()? == b'n' {
            return self.word("null");
        }
        match field.field_type() {
            FieldType::Text => draft.set_text(field, self.string()?),
            FieldType::Timestamp => draft.set_time(field, self.string()?).ok()?,
            FieldType::Int => draft.set_int(field, self.number()?.parse().ok()?),
            FieldType::Double => {
                let value: f64 = self.number()?.parse().ok()?;
                draft.set_double(field, Some(value).filter(|value| value.is_finite())?);
            }
            FieldType::Map => {
                let text = self.nested()?;
                map::read(draft, field, text).ok()?;
            }
        }
        Some(())
    }

    /// A string without escapes.
    #[inline]
    fn string(&mut self) -> Option<&'t str> {
        self.expect(b'"')?;
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut end = start;
        while let Some(chunk) = bytes.get(end..).and_then(|rest| rest.first_chunk::<8>()) {
            let special = special_bytes(u64::from_le_bytes(*chunk));
            if special != 0 {
                return self.close_string(start, end + special.trailing_zeros() as usize / 8);
            }
            end += 8;
        }
        // Fewer than eight bytes are left.
        end += bytes[end..].iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\'))?;
        self.close_string(start, end)
    }

    /// The string from `start` to `end`, if a quote ends it there.
    #[inline]
    fn close_string(&mut self, start: usize, end: usize) -> Option<&'t str> {
        if self.text.as_bytes()[end] != b'"' {
            return None;
        }
        self.at = end + 1;
        self.text.get(start..end)
    }

    /// A number by the grammar of JSON, but for a negative zero, which is no integer there.
    fn number(&mut self) -> Option<&'t str> {
        self.peek()?;
        let (bytes, start) = (self.text.as_bytes(), self.at);
        let is_at = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|byte| wanted.contains(byte));
        let digits_from = |at: usize| bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut at = start + usize::from(is_at(start, b"-"));
        let whole = digits_from(at);
        if whole == 0 || bytes[at] == b'0' && (whole > 1 || at > start) {
            return None;
        }
        at += whole;
        if is_at(at, b".") {
            let fraction = digits_from(at + 1);
            at += 1 + fraction;
            if fraction == 0 {
                return None;
            }
        }
        if is_at(at, b"eE") {
            at += 1 + usize::from(is_at(at + 1, b"+-"));
            let exponent = digits_from(at);
            at += exponent;
            if exponent == 0 {
                return None;
            }
        }
        self.at = at;
        self.text.get(start..at)
    }

    /// One of JSON's words.
    fn word(&mut self, word: &str) -> Option<()> {
        self.peek()?;
        self.at += self.text.get(self.at..)?.starts_with(word).then_some(word.len())?;
        Some(())
    }

    /// The value of a member that refguard does not know.
    fn skip_value(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            b'n' => self.word("null"),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'{' | b'[' => serde_json::from_str::<IgnoredAny>(self.nested()?).ok().map(|_| ()),
            _ => self.number().map(|_| ()),
        }
    }

    /// The text of an object or array, as far as brackets tell: it is still to be checked.
    fn nested(&mut self) -> Option<&'t str> {
        let start = self.at;
        let mut depth = 0u32;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return self.text.get(start..self.at);
            }
        }
    }
}
