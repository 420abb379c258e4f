//! The types of event that refguard knows: what each needs and who the accounts in it are.

use super::Field;
use super::names::NameTable;

/// What an event does, as far as rules and facts about accounts care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindSpec {
    /// The `type` on the wire.
    pub name: &'static str,
    /// Fields without which the event means nothing.
    pub required: &'static [Field],
    /// Whether a customer did it: such events make an account active.
    pub active: bool,
    /// Whether value moves: a remembered challenge or hold counts here by default.
    pub moves_value: bool,
}

/// A type of event by its index in [`KINDS`], or [`EventKind::OTHER`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventKind(u8);

macro_rules! kinds {
    ($($name:literal [$($field:ident)*] $active:ident $moves:ident;)*) => {
        /// Every known type, in the order of docs/events.md.
        pub const KINDS: &[KindSpec] = &[$(KindSpec {
            name: $name,
            required: &[$(Field::$field),*],
            active: kinds!(@ $active),
            moves_value: kinds!(@ $moves),
        },)*];

        static NAMES: NameTable<{ KINDS.len() }> = NameTable::new([$($name,)*]);
    };
    (@ active) => { true };
    (@ passive) => { false };
    (@ moves) => { true };
    (@ keeps) => { false };
}

// Required are only the accounts that an event cannot be understood without; a producer is not refused for the rest.
kinds! {
    "account.created" [AccountId] active keeps;
    "account.updated" [AccountId] active keeps;
    "account.closed" [AccountId] active keeps;
    "account.erased" [AccountId] passive keeps;
    "login.succeeded" [AccountId] active keeps;
    "login.failed" [] passive keeps;
    "password.reset" [AccountId] active keeps;
    "mfa.enrolled" [AccountId] active keeps;
    "mfa.disabled" [AccountId] active keeps;
    "mfa.challenged" [AccountId] passive keeps;
    "mfa.verified" [AccountId] active keeps;
    "mfa.failed" [AccountId] passive keeps;
    "otp.sent" [] passive keeps;
    "referral.clicked" [] passive keeps;
    "referral.invited" [ReferrerId] passive keeps;
    "referral.completed" [AccountId ReferrerId] active moves;
    "reward.requested" [AccountId] active moves;
    "reward.granted" [AccountId] passive moves;
    "reward.rejected" [AccountId] passive moves;
    "reward.released" [AccountId] passive moves;
    "reward.reversed" [AccountId] passive moves;
    "redemption.requested" [AccountId] active moves;
    "reward.redeemed" [AccountId] active moves;
    "reward.transferred" [AccountId] active moves;
    "coupon.applied" [] active moves;
    "gift_card.checked" [] active moves;
    "gift_card.redeemed" [] active moves;
    "order.placed" [AccountId] active keeps;
    "order.cancelled" [AccountId] passive keeps;
    "order.refunded" [AccountId] passive keeps;
    "order.charged_back" [AccountId] passive keeps;
    "payment.added" [AccountId] active keeps;
    "payout.requested" [AccountId] active moves;
    "tier.changed" [AccountId] passive keeps;
    "survey.submitted" [] active keeps;
    "review.submitted" [] active keeps;
    "receipt.submitted" [] active keeps;
    "challenge.completed" [AccountId] active keeps;
    "subscription.started" [AccountId] active moves;
    "subscription.cancelled" [AccountId] active keeps;
    "offer.accepted" [AccountId] active moves;
    "campaign.changed" [Campaign] passive keeps;
    "appeal.opened" [AccountId] passive keeps;
    "appeal.closed" [AccountId] passive keeps;
    "label.assigned" [Label] passive keeps;
}

impl EventKind {
    /// A type that refguard does not know; rules can still name it.
    pub const OTHER: EventKind = EventKind(u8::MAX);

    /// The kind of this `type`; [`EventKind::OTHER`] for an unknown one.
    #[inline]
    pub fn from_name(name: &str) -> EventKind {
        NAMES.find(name).map_or(EventKind::OTHER, |index| EventKind(index as u8))
    }

    /// What is known of it; `None` for an unknown type.
    pub fn spec(self) -> Option<&'static KindSpec> {
        KINDS.get(self.0 as usize)
    }

    /// Index in [`KINDS`]; `None` for an unknown type.
    pub fn index(self) -> Option<usize> {
        (self != EventKind::OTHER).then_some(self.0 as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_name() {
        for (index, spec) in KINDS.iter().enumerate() {
            let kind = EventKind::from_name(spec.name);
            assert_eq!((kind.index(), kind.spec()), (Some(index), Some(spec)), "{}", spec.name);
            assert!(spec.required.iter().all(|field| (*field as usize) < Field::SPANS), "{}", spec.name);
        }
        assert_eq!(EventKind::from_name("reward.grante"), EventKind::OTHER);
        assert_eq!((EventKind::OTHER.spec(), EventKind::OTHER.index()), (None, None));
    }
}
