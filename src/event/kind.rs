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
    /// Who the accounts in it are.
    pub accounts: &'static str,
}

/// A type of event by its index in [`KINDS`], or [`EventKind::OTHER`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventKind(u8);

macro_rules! kinds {
    ($($name:literal [$($field:ident)*] $active:ident $moves:ident $accounts:literal;)*) => {
        /// Every known type, in the order of docs/events.md.
        pub const KINDS: &[KindSpec] = &[$(KindSpec {
            name: $name,
            required: &[$(Field::$field),*],
            active: kinds!(@ $active),
            moves_value: kinds!(@ $moves),
            accounts: $accounts,
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
    "account.created" [AccountId] active keeps "`account_id` is the new account; `referrer_id`, if given, the account that invited it";
    "account.updated" [AccountId] active keeps "`account_id` is the account whose details changed; `changed` says which";
    "account.closed" [AccountId] active keeps "`account_id` is the account that its owner closed";
    "account.erased" [AccountId] passive keeps "`account_id` is the account that is forgotten: docs/operate.md";
    "login.succeeded" [AccountId] active keeps "`account_id` is the account logged into";
    "login.failed" [] passive keeps "`account_id`, if the name exists, is the account that was tried";
    "password.reset" [AccountId] active keeps "`account_id` is the account with a new password";
    "mfa.enrolled" [AccountId] active keeps "`account_id` is the account that `mfa_method` was added to";
    "mfa.disabled" [AccountId] active keeps "`account_id` is the account that `mfa_method` was taken from";
    "mfa.challenged" [AccountId] passive keeps "`account_id` is the account asked to prove itself";
    "mfa.verified" [AccountId] active keeps "`account_id` is the account that proved itself";
    "mfa.failed" [AccountId] passive keeps "`account_id` is the account that did not";
    "otp.sent" [] passive keeps "`account_id`, if known, is the account that the one-time code is for";
    "referral.clicked" [] passive keeps "`referrer_id`, if known, owns the link; `account_id`, if known, followed it";
    "referral.invited" [ReferrerId] passive keeps "`referrer_id` invites; `account_id`, if known, is invited";
    "referral.completed" [AccountId ReferrerId] active moves "`account_id` is the referee, who was invited; `referrer_id` invited and earns";
    "reward.requested" [AccountId] active moves "`account_id` is to get the reward: may it be granted?";
    "reward.granted" [AccountId] passive moves "`account_id` got the reward";
    "reward.rejected" [AccountId] passive moves "`account_id` did not get the reward";
    "reward.released" [AccountId] passive moves "`account_id` gets the reward that was held";
    "reward.reversed" [AccountId] passive moves "`account_id` lost the reward again";
    "redemption.requested" [AccountId] active moves "`account_id` wants to spend: may it?";
    "reward.redeemed" [AccountId] active moves "`account_id` spent";
    "reward.transferred" [AccountId] active moves "`account_id` gave; `recipient_id` got";
    "coupon.applied" [] active moves "`account_id`, if known, used the coupon";
    "gift_card.checked" [] active moves "`account_id`, if known, asked for the balance";
    "gift_card.redeemed" [] active moves "`account_id`, if known, spent the card";
    "order.placed" [AccountId] active keeps "`account_id` ordered; `recipient_id`, if given, receives";
    "order.cancelled" [AccountId] passive keeps "`account_id` had placed the order";
    "order.refunded" [AccountId] passive keeps "`account_id` had placed the order";
    "order.charged_back" [AccountId] passive keeps "`account_id` had placed the order";
    "payment.added" [AccountId] active keeps "`account_id` owns the instrument now";
    "payout.requested" [AccountId] active moves "`account_id` wants money out";
    "tier.changed" [AccountId] passive keeps "`account_id` is in another tier";
    "survey.submitted" [] active keeps "`account_id`, if known, answered";
    "review.submitted" [] active keeps "`account_id`, if known, wrote it";
    "receipt.submitted" [] active keeps "`account_id`, if known, uploaded it";
    "challenge.completed" [AccountId] active keeps "`account_id` completed a game's or program's challenge";
    "subscription.started" [AccountId] active moves "`account_id` subscribed";
    "subscription.cancelled" [AccountId] active keeps "`account_id` ended it";
    "offer.accepted" [AccountId] active moves "`account_id` took the offer";
    "campaign.changed" [Campaign] passive keeps "`agent_id`, if known, changed the campaign; no account acts";
    "appeal.opened" [AccountId] passive keeps "`account_id` objects to a verdict";
    "appeal.closed" [AccountId] passive keeps "`account_id` had objected";
    "label.assigned" [Label] passive keeps "`account_id` or `target_event_id` is what the label is about";
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
