//! What leaves compare with: the six comparisons, and sets of texts.

use std::cmp::Ordering;

use super::Fault;
use super::function::Operator;

/// One of the six comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(super) fn from_operator(operator: Operator) -> Option<Comparison> {
        Some(match operator {
            Operator::Equal => Comparison::Equal,
            Operator::NotEqual => Comparison::NotEqual,
            Operator::Less => Comparison::Less,
            Operator::LessOrEqual => Comparison::LessOrEqual,
            Operator::Greater => Comparison::Greater,
            Operator::GreaterOrEqual => Comparison::GreaterOrEqual,
            _ => return None,
        })
    }

    /// The same comparison with its sides exchanged.
    pub(super) fn mirrored(self) -> Comparison {
        match self {
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
            same => same,
        }
    }

    /// Doubles; a NaN has no order.
    #[inline]
    pub(super) fn of_doubles(self, a: f64, b: f64) -> Result<bool, Fault> {
        let equality = matches!(self, Comparison::Equal | Comparison::NotEqual);
        if !equality && (a.is_nan() || b.is_nan()) { Err(Fault::InvalidArgument) } else { Ok(self.of(&a, &b)) }
    }

    #[inline]
    pub(super) fn of<T: PartialOrd>(self, a: &T, b: &T) -> bool {
        match self {
            Comparison::Equal => a == b,
            Comparison::NotEqual => a != b,
            Comparison::Less => a < b,
            Comparison::LessOrEqual => a <= b,
            Comparison::Greater => a > b,
            Comparison::GreaterOrEqual => a >= b,
        }
    }
}

/// Texts to be found fast: by length, then bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TextSet(Box<[Box<str>]>);

impl TextSet {
    pub(super) fn new(mut texts: Vec<&str>) -> TextSet {
        texts.sort_unstable_by(|a, b| by_length(a, b));
        texts.dedup();
        TextSet(texts.into_iter().map(Box::from).collect())
    }

    #[inline]
    pub(super) fn contains(&self, text: &str) -> bool {
        if self.0.len() <= 4 {
            return self.0.iter().any(|member| **member == *text);
        }
        self.0.binary_search_by(|member| by_length(member, text)).is_ok()
    }
}

fn by_length(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}
