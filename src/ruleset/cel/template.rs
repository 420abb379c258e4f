//! Messages with expressions in braces: `"{event.account_id} was invited by {event.referrer_id}"`.

use super::{Facts, ReadTable, Scope, Source, Uses};
use crate::ruleset::diagnostic::Diagnostic;

/// A checked and compiled message.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    uses: Uses,
}

impl Template {
    /// Checks a message's text. `{{` and `}}` are braces; an expression of any printable type stands between single
    /// ones.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, at least one.
    pub fn compile(_source: &Source, _scope: &Scope, _reads: &mut ReadTable) -> Result<Template, Vec<Diagnostic>> {
        Ok(Template { uses: Uses::default() })
    }

    /// What its expressions need.
    pub fn uses(&self) -> &Uses {
        &self.uses
    }

    /// Appends the message. A part without a value is `?`.
    pub fn render<F: Facts>(&self, _facts: &F, _out: &mut String) {}
}
