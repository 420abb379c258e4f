//! An expression that was checked and lowered: what runs.

use super::{Facts, Fault, ReadIndex, Scalar, Type};
use crate::event::{Field, SignalSet};

/// What an expression needs to be evaluated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Uses {
    /// The signals, those of `.at` arguments included.
    pub signals: SignalSet,
    /// The reads, each once, in the order of first use.
    pub reads: Vec<ReadIndex>,
    /// Whether any of the reads is of a feature.
    pub features: bool,
}

/// A checked and compiled expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    pub(super) result: Type,
    pub(super) uses: Uses,
}

impl Compiled {
    /// The type of its value.
    pub fn result(&self) -> &Type {
        &self.result
    }

    /// The field that it is, when it is nothing but a field of the event: one that is absent has no value.
    pub fn field(&self) -> Option<Field> {
        None
    }

    /// What it needs.
    pub fn uses(&self) -> &Uses {
        &self.uses
    }

    /// The value of a condition. It must have been compiled as [`Wanted::Bool`](super::Wanted::Bool).
    ///
    /// # Errors
    ///
    /// The fault because of which there is no value: the condition does not match.
    #[inline]
    pub fn test<F: Facts>(&self, _facts: &F) -> Result<bool, Fault> {
        Err(Fault::Unknown)
    }

    /// The value of a key or of a feature's `value`: anything but a list or a map.
    ///
    /// # Errors
    ///
    /// The fault because of which there is no value.
    #[inline]
    pub fn scalar<'a, F: Facts>(&'a self, _facts: &'a F) -> Result<Scalar<'a>, Fault> {
        Err(Fault::Unknown)
    }
}
