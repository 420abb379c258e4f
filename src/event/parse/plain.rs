//! The short way for events in plain notation, which nearly all are: no escapes, no surprises.
//!
//! It walks the text once, finds the ends of strings in blocks ([`Specials`]), guesses which member follows ([`Order`]), and
//! takes a third of the time of a general JSON parser. It
//! never says why something is wrong: whatever it does not take, it leaves to the other way, which reads the text anew.
//! Invariant: what it takes, the other way takes too, and reads as the same event (checked by [`agrees`] in the fuzz
//! targets and over random events).

use super::draft::{Draft, Extra};
use super::envelope::Attribute;
use super::map;
use super::order::{Before, Order};
use super::specials::Specials;
use crate::event::{Event, Field, FieldType};
use serde::de::IgnoredAny;

impl Draft<'_> {
    /// Reads a whole event in structured mode; `None`, with the draft half filled, if it is not plain or not valid.
    pub(super) fn read_plain_envelope(&mut self, text: &str, orders: &mut Orders) -> Option<()> {
        let mut scanner = Scanner::new(text);
        let Orders { envelope, data } = orders;
        scanner.members(envelope, Attribute::of, |scanner, member| match member {
            Attribute::Field(field) => scanner.field(self, field),
            Attribute::Specversion => {
                self.see(Extra::Specversion as usize)?;
                self.set_version(scanner.string()?);
                Some(())
            }
            Attribute::Data => {
                self.see(Extra::Data as usize)?;
                scanner.data(self, data)
            }
            Attribute::DataBase64 => None,
            Attribute::Other => scanner.skip_value(),
        })?;
        scanner.end()
    }

    /// Reads `data` that stands alone; `None`, with the draft half filled, if it is not plain or not valid.
    pub(super) fn read_plain_data(&mut self, text: &str, orders: &mut Orders) -> Option<()> {
        let mut scanner = Scanner::new(text);
        scanner.data(self, &mut orders.data)?;
        scanner.end()
    }
}

/// In which order members came, of the envelope and of `data`.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders {
    envelope: Order,
    data: Order,
}

/// Whether both ways read a text as the same event, the short one whether or not it knows the order of the members. True
/// if the short way does not take it.
pub(super) fn agrees(text: &str) -> bool {
    let mut orders = Orders::default();
    let mut plain = || {
        let (mut made, mut event) = (String::new(), Event::default());
        Draft::new(text, &mut made, &mut event).read_plain_envelope(text, &mut orders)?;
        Some((made, event))
    };
    let (first, again) = (plain(), plain());
    if first.is_none() {
        return again.is_none();
    }
    let (mut made, mut event) = (String::new(), Event::default());
    let general = Draft::new(text, &mut made, &mut event).read_general_envelope(text);
    general.is_ok() && first == again && first == Some((made, event))
}

/// A place in a text. Every step answers `None` where the text is not plain JSON.
struct Scanner<'t> {
    text: &'t str,
    at: usize,
    specials: Specials,
}

impl<'t> Scanner<'t> {
    fn new(text: &'t str) -> Scanner<'t> {
        Scanner { text, at: 0, specials: Specials::default() }
    }

    /// The next byte that is no white space, left where it is.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        let byte = *self.text.as_bytes().get(self.at)?;
        if byte > b' ' { Some(byte) } else { self.peek_behind_space() }
    }

    /// The same where white space may stand: apart, since most producers write none.
    #[inline(never)]
    fn peek_behind_space(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))?;
        Some(self.text.as_bytes()[self.at])
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

    /// An object, member by member; `of` says which one a name is.
    #[inline]
    fn members(
        &mut self,
        order: &mut Order,
        of: impl Fn(&str) -> Attribute,
        mut member: impl FnMut(&mut Self, Attribute) -> Option<()>,
    ) -> Option<()> {
        self.expect(b'{')?;
        let mut before = Before::BEGIN;
        loop {
            if self.peek()? == b'}' {
                self.at += 1;
                return Some(());
            }
            let next = match order.guess(before, &self.text.as_bytes()[self.at..]) {
                Some((next, len)) => {
                    self.at += len;
                    next
                }
                None => self.name(before, order, &of)?,
            };
            member(self, next)?;
            before = Before::from(next);
        }
    }

    /// Which member follows another one, by its name; learns it.
    #[inline(never)]
    fn name(&mut self, before: Before, order: &mut Order, of: impl Fn(&str) -> Attribute) -> Option<Attribute> {
        let start = self.at;
        if before != Before::BEGIN {
            self.expect(b',')?;
        }
        let name = self.string()?;
        self.expect(b':')?;
        let next = of(name);
        order.learn(before, &self.text.as_bytes()[start..self.at], next);
        Some(next)
    }

    /// `data`: an object of fields, or `null`.
    fn data(&mut self, draft: &mut Draft<'_>, order: &mut Order) -> Option<()> {
        if self.peek()? == b'n' {
            return self.word("null");
        }
        let of = |name: &str| match Field::from_name(name) {
            Some(field) if !field.is_envelope() => Attribute::Field(field),
            _ => Attribute::Other,
        };
        self.members(order, of, |scanner, member| match member {
            Attribute::Field(field) => scanner.field(draft, field),
            _ => scanner.skip_value(),
        })
    }

    /// The value of a field.
    #[inline]
    fn field(&mut self, draft: &mut Draft<'_>, field: Field) -> Option<()> {
        draft.see(field as usize)?;
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
        let start = self.at;
        let end = self.specials.next(self.text.as_bytes(), start)?;
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
