//! Fields that want one of a closed set of words, a currency or a number within bounds.
//!
//! What is meant is kept: blanks around a word go, and its case is mended, as a country's is.

use super::refuse;
use crate::event::{Event, EventBatch, Field, is_currency};

/// Mends such fields, or takes them away.
pub(super) fn check(event: &mut Event, batch: &mut EventBatch) {
    for field in [Field::Result, Field::Changed, Field::SurveyKind, Field::Label] {
        if let Some(words) = field.words().filter(|_| event.presence.has(field)) {
            let raw = batch.field(event, field);
            let meant = words.iter().find(|word| word.eq_ignore_ascii_case(raw.trim_ascii()));
            mend(event, batch, field, meant.copied());
        }
    }
    if event.presence.has(Field::Currency) && !is_currency(batch.field(event, Field::Currency)) {
        let meant = batch.field(event, Field::Currency).trim_ascii().to_ascii_uppercase();
        mend(event, batch, Field::Currency, Some(meant.as_str()).filter(|code| is_currency(code)));
    }
    if event.presence.has(Field::Rating) && !is_rating(event.rating, batch.field(event, Field::SurveyKind)) {
        event.unreadable.insert(Field::Rating);
        event.presence.remove(Field::Rating);
        event.rating = 0.0;
    }
}

/// A rating has the bounds of its survey; without one, of any.
fn is_rating(rating: f64, survey: &str) -> bool {
    match survey {
        "csat" => (1.0..=5.0).contains(&rating),
        _ => (0.0..=10.0).contains(&rating),
    }
}

fn mend(event: &mut Event, batch: &mut EventBatch, field: Field, meant: Option<&str>) {
    match meant {
        None => refuse(event, field),
        Some(meant) if batch.field(event, field) == meant => {}
        Some(meant) => {
            let span = batch.make(meant);
            event.set_span(field, span);
        }
    }
}
