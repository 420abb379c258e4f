//! Who and what an event is about: the subjects that decisions stand on.

use super::facts::Row;
use crate::event::SubjectKind;
use crate::ruleset::cel::{Facts, Role};
use crate::state::{KeyHash, KeyHasher, Scalar};

/// The subjects of a kind that an event names, with the role of an account.
pub(super) fn subjects<'a>(row: &'a Row<'a>, kind: SubjectKind) -> impl Iterator<Item = (Option<Role>, &'a str)> {
    let roles: &[Role] = if kind == SubjectKind::Account { Role::ALL } else { &[] };
    let accounts = roles.iter().map(|role| (Some(*role), row.text(role.id_field())));
    let thing = match (kind.signal(), kind.field()) {
        (Some(signal), _) => Some(row.signal_text(signal)),
        (None, Some(field)) => Some(row.text(field)),
        (None, None) => None,
    };
    accounts.chain(thing.map(|thing| (None, thing))).filter(|(_, subject)| !subject.is_empty())
}

/// The keys of all that an event names, each once.
pub(super) fn subject_keys(hasher: &KeyHasher, row: &Row<'_>) -> impl Iterator<Item = KeyHash> {
    SubjectKind::ALL.iter().flat_map(move |kind| {
        subjects(row, *kind).enumerate().filter_map(move |(place, (_, subject))| {
            // One account in two roles is one subject.
            let is_known = subjects(row, *kind).take(place).any(|(_, earlier)| earlier == subject);
            (!is_known).then(|| subject_key(hasher, row, *kind, subject))
        })
    })
}

/// The key of a subject's record.
pub(super) fn subject_key(hasher: &KeyHasher, row: &Row<'_>, kind: SubjectKind, subject: &str) -> KeyHash {
    let part = |text| hasher.part(Scalar::Text(text));
    hasher.key(part(row.program), &[part(kind.name()), part(subject)])
}
