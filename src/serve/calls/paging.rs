//! Answers in pages: how many of what is asked for, and behind which place an earlier answer ended.
//!
//! A place is opaque to clients: 32 hexadecimal digits, whatever the order is. One that was made up is refused as long as it does not
//! look like one, and opens nothing that its caller may not see anyhow.

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::asked::{bad_query, default_program, kind_named};
use crate::engine::ReviewPlace;
use crate::event::SubjectKind;
use crate::serve::Problem;
use crate::state::KeyHash;

/// How many are told at most, and where nothing is said.
const LIMIT_MAX: usize = 1000;

/// How many are told at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "usize")]
pub(super) struct Limit(pub(super) usize);

impl Default for Limit {
    fn default() -> Limit {
        Limit(LIMIT_MAX)
    }
}

impl TryFrom<usize> for Limit {
    type Error = String;

    fn try_from(limit: usize) -> Result<Limit, String> {
        let fits = (1..=LIMIT_MAX).contains(&limit);
        fits.then_some(Limit(limit)).ok_or_else(|| format!("`limit` is 1 to {LIMIT_MAX}"))
    }
}

/// A place in an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Cursor(u128);

impl TryFrom<String> for Cursor {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Cursor, &'static str> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = u128::from_str_radix(&text, 16).ok().filter(|_| is_hex);
        bits.map(Cursor).ok_or("`after` is the `next` of an earlier answer")
    }
}

impl From<Cursor> for String {
    fn from(Cursor(bits): Cursor) -> String {
        format!("{bits:032x}")
    }
}

impl From<KeyHash> for Cursor {
    fn from(key: KeyHash) -> Cursor {
        Cursor(key.bits())
    }
}

impl From<Cursor> for KeyHash {
    fn from(Cursor(bits): Cursor) -> KeyHash {
        KeyHash::from_bits(bits)
    }
}

impl From<ReviewPlace> for Cursor {
    fn from((review_by_ms, number): ReviewPlace) -> Cursor {
        Cursor((u128::from(review_by_ms.cast_unsigned()) << 64) | u128::from(number))
    }
}

impl From<Cursor> for ReviewPlace {
    fn from(Cursor(bits): Cursor) -> ReviewPlace {
        let [high, low] = [bits >> 64, bits & u128::from(u64::MAX)].map(|half| half as u64);
        (high.cast_signed(), low)
    }
}

/// Which subjects of a program.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct Subjects {
    /// The program.
    #[serde(default = "default_program")]
    #[param(default = "default", required = false)]
    pub(super) program: String,
    /// Only those of this kind, such as `account`.
    #[param(nullable = false)]
    kind: Option<String>,
    /// Only this one, as an event would write it; with `kind`.
    #[param(nullable = false)]
    pub(super) id: Option<String>,
    /// Goes on behind an earlier answer: its `next`.
    #[param(value_type = Option<String>, nullable = false)]
    after: Option<Cursor>,
    /// How many at most.
    #[serde(default)]
    #[param(value_type = usize, default = 1000, minimum = 1, maximum = 1000, required = false)]
    limit: Limit,
}

impl Subjects {
    /// The kind that is wanted.
    pub(super) fn kind(&self) -> Result<Option<SubjectKind>, Problem> {
        if self.id.is_some() && self.kind.is_none() {
            return Err(bad_query("`id` comes with `kind`"));
        }
        self.kind.as_deref().map(kind_named).transpose().map_err(bad_query)
    }

    /// Behind which subject the page begins.
    pub(super) fn behind(&self) -> Option<KeyHash> {
        self.after.map(KeyHash::from)
    }

    /// How many subjects it has at most.
    pub(super) fn count(&self) -> usize {
        self.limit.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_again_by_its_text_and_another_text_is_none() {
        for place in [(0, 0), (-1, 1), (i64::MIN, u64::MAX), (1_770_000_000_000, 7)] {
            let text = String::from(Cursor::from(place));
            assert_eq!(Cursor::try_from(text).map(ReviewPlace::from), Ok(place));
        }
        let key = KeyHash::from_bits(7 << 90);
        assert_eq!(Cursor::try_from(String::from(Cursor::from(key))).map(KeyHash::from), Ok(key));
        let forged = ["", "x", "+0000000000000000000000000000000", "0x00000000000000000000000000000f", "00"];
        assert!(forged.iter().all(|text| Cursor::try_from((*text).to_owned()).is_err()));
    }

    #[test]
    fn a_limit_is_one_to_a_thousand() {
        assert_eq!([0, 1, 1000, 1001].map(|limit| Limit::try_from(limit).is_ok()), [false, true, true, false]);
        assert_eq!(Limit::default(), Limit(1000));
    }
}
