//! Who and what an event is about: the subjects that decisions stand on.

use super::facts::Row;
use crate::event::{Field, Signal, SubjectKind};
use crate::ruleset::cel::{Facts, Role};
use crate::state::{KeyHash, KeyHasher, Scalar};

/// The subjects of a kind that an event names, with the role of an account.
pub(super) fn subjects<'a>(row: &'a Row<'a>, kind: SubjectKind) -> impl Iterator<Item = (Option<Role>, &'a str)> {
    let roles: &[Role] = if kind == SubjectKind::Account { Role::ALL } else { &[] };
    let accounts = roles.iter().map(|role| (Some(*role), row.text(role.id_field())));
    let thing = match (subject_signal(kind), subject_field(kind)) {
        (Some(signal), _) => Some(row.signal_text(signal)),
        (None, Some(field)) => Some(row.text(field)),
        (None, None) => None,
    };
    accounts.chain(thing.map(|thing| (None, thing))).filter(|(_, subject)| !subject.is_empty())
}

/// The signal that names a subject of this kind, where its id is derived and not a field.
fn subject_signal(kind: SubjectKind) -> Option<Signal> {
    match kind {
        SubjectKind::Device => Some(Signal::DeviceId),
        SubjectKind::Ip => Some(Signal::IpAddress),
        SubjectKind::IpPrefix => Some(Signal::IpPrefix),
        SubjectKind::Email => Some(Signal::EmailNormalized),
        SubjectKind::Phone => Some(Signal::PhoneNormalized),
        _ => None,
    }
}

/// The field that names a subject of this kind, where its id is not derived.
fn subject_field(kind: SubjectKind) -> Option<Field> {
    match kind {
        SubjectKind::Payment => Some(Field::PaymentFingerprint),
        SubjectKind::ReferralCode => Some(Field::ReferralCode),
        SubjectKind::Referral => Some(Field::ReferralId),
        SubjectKind::Reward => Some(Field::RewardId),
        SubjectKind::Order => Some(Field::OrderId),
        SubjectKind::Campaign => Some(Field::Campaign),
        SubjectKind::Merchant => Some(Field::MerchantId),
        SubjectKind::Agent => Some(Field::AgentId),
        SubjectKind::Account
        | SubjectKind::Device
        | SubjectKind::Ip
        | SubjectKind::IpPrefix
        | SubjectKind::Email
        | SubjectKind::Phone => None,
    }
}

/// The key of a subject's record.
pub(super) fn subject_key(hasher: &KeyHasher, row: &Row<'_>, kind: SubjectKind, subject: &str) -> KeyHash {
    let part = |text| hasher.part(Scalar::Text(text));
    hasher.key(part(row.program), &[part(kind.name()), part(subject)])
}
