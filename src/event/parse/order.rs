//! Which member follows which: what was learnt from the events before, so that a name is compared once and not looked up.
//!
//! A producer writes its members in one order, with the same white space. So what stood between two values last time,
//! `,"device_id":` say, most likely stands there again, and comparing it takes a few instructions. Invariant: a guess is
//! taken only where the text is what was learnt, byte by byte, so what was read before changes no event, only how fast
//! the next one is read.

use super::envelope::Attribute;
use crate::event::Field;

/// The longest text between two values that is learnt, from the comma to the colon: all names of fields fit.
const LITERAL_BYTES_MAX: usize = 24;
/// Members that are told apart: the fields, then those of [`Attribute`] that are none, then the beginning of an object.
const MEMBERS: usize = Field::ALL.len() + 5;

/// A member of an object as the place that another one follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Before(usize);

impl Before {
    /// Nothing: what follows is the first member.
    pub(super) const BEGIN: Before = Before(MEMBERS - 1);
}

impl From<Attribute> for Before {
    #[inline]
    fn from(member: Attribute) -> Before {
        Before(match member {
            Attribute::Field(field) => field as usize,
            Attribute::Specversion => Field::ALL.len(),
            Attribute::Data => Field::ALL.len() + 1,
            Attribute::DataBase64 => Field::ALL.len() + 2,
            Attribute::Other => Field::ALL.len() + 3,
        })
    }
}

/// What followed each member of an object last.
#[derive(Clone, Debug)]
pub(super) struct Order([Option<Guess>; MEMBERS]);

/// A text between two values, and the member that it names.
#[derive(Clone, Copy, Debug)]
struct Guess {
    literal: [u64; LITERAL_BYTES_MAX / 8],
    len: u8,
    member: Attribute,
}

impl Default for Order {
    fn default() -> Order {
        Order([None; MEMBERS])
    }
}

impl Order {
    /// The next member, if the text goes on as it did last time, and how many bytes lie before its value.
    #[inline]
    pub(super) fn guess(&self, before: Before, rest: &[u8]) -> Option<(Attribute, usize)> {
        let guess = self.0[before.0].as_ref()?;
        let text = words(rest.first_chunk()?);
        let masks = &MASKS[guess.len as usize];
        let differ = (0..text.len()).fold(0, |differ, at| differ | (text[at] ^ guess.literal[at]) & masks[at]);
        (differ == 0).then_some((guess.member, guess.len as usize))
    }

    /// Remembers what followed.
    #[inline]
    pub(super) fn learn(&mut self, before: Before, literal: &[u8], member: Attribute) {
        if literal.len() <= LITERAL_BYTES_MAX {
            let mut padded = [0; LITERAL_BYTES_MAX];
            padded[..literal.len()].copy_from_slice(literal);
            self.0[before.0] = Some(Guess { literal: words(&padded), len: literal.len() as u8, member });
        }
    }
}

#[inline]
fn words(bytes: &[u8; LITERAL_BYTES_MAX]) -> [u64; LITERAL_BYTES_MAX / 8] {
    let (words, _) = bytes.as_chunks();
    [0, 1, 2].map(|at| u64::from_le_bytes(words[at]))
}

/// By length: the bits of so many bytes.
const MASKS: [[u64; LITERAL_BYTES_MAX / 8]; LITERAL_BYTES_MAX + 1] = {
    let mut masks = [[0; LITERAL_BYTES_MAX / 8]; LITERAL_BYTES_MAX + 1];
    let mut len = 1;
    while len <= LITERAL_BYTES_MAX {
        masks[len] = masks[len - 1];
        masks[len][(len - 1) / 8] |= 0xff << ((len - 1) % 8 * 8);
        len += 1;
    }
    masks
};

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: Attribute = Attribute::Field(Field::AccountId);

    #[test]
    fn a_member_is_guessed_where_the_text_goes_on_as_it_did() {
        let mut order = Order::default();
        let literal = br#", "account_id" :"#;
        let follows = [&literal[..], br#" "abc", "ip""#].concat();
        let before = Before::from(Attribute::Specversion);
        assert_eq!(order.guess(before, &follows), None);
        order.learn(before, literal, ACCOUNT);
        assert_eq!(order.guess(before, &follows), Some((ACCOUNT, literal.len())));
        assert_eq!(order.guess(Before::BEGIN, &follows), None, "it stood behind another member");
        for at in 0..literal.len() {
            let mut other = follows.clone();
            other[at] ^= 1;
            assert_eq!(order.guess(before, &other), None, "byte {at} is another");
        }
        assert_eq!(order.guess(before, &follows[..23]), None, "it is not read past the end");
    }

    #[test]
    fn every_length_is_compared_as_a_whole() {
        for len in 1..=LITERAL_BYTES_MAX {
            let mut order = Order::default();
            order.learn(Before::BEGIN, &vec![b'a'; len], ACCOUNT);
            let mut text = [b'a'; LITERAL_BYTES_MAX];
            text[len..].fill(b'b');
            assert_eq!(order.guess(Before::BEGIN, &text), Some((ACCOUNT, len)));
            text[len - 1] = b'b';
            assert_eq!(order.guess(Before::BEGIN, &text), None);
        }
    }

    #[test]
    fn what_is_longer_is_not_learnt() {
        let mut order = Order::default();
        order.learn(Before::BEGIN, &[b'a'; LITERAL_BYTES_MAX + 1], ACCOUNT);
        assert_eq!(order.guess(Before::BEGIN, &[b'a'; 64]), None);
    }

    #[test]
    fn every_name_fits() {
        let longest = Field::ALL.iter().map(|field| field.name().len()).max().unwrap();
        assert!(longest + r#","":"#.len() <= LITERAL_BYTES_MAX);
    }
}
