//! What to say after a name that is not known.

use crate::event::nearest;

/// The nearest of the known names, if one is near, as a question.
pub(super) fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|near| format!("did you mean `{near}`?"))
}
