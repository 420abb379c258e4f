//! The fields of an event: one table from which parsing, rules, schemas and docs are made.

use super::names::NameTable;
use std::fmt;

/// How a field's value is read and what a rule sees it as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// Text, kept as entered.
    Text,
    /// A 64-bit signed integer.
    Int,
    /// A 64-bit float.
    Double,
    /// An instant, RFC 3339 on the wire, milliseconds since the Unix epoch inside.
    Timestamp,
    /// An object, kept as its JSON text.
    Map,
}

macro_rules! fields {
    ($($variant:ident $name:literal $type:ident $doc:literal;)*) => {
        /// A field of an event, in the order of the table in docs/events.md.
        ///
        /// The discriminant is the field's slot: its bit in [`Presence`](super::Presence) and, for text and maps,
        /// its index among the spans of an [`Event`](super::Event).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Field { $(#[doc = $doc] $variant,)* }

        impl Field {
            /// Every field, in slot order.
            pub const ALL: &'static [Field] = &[$(Field::$variant,)*];

            /// The name that producers and rules use.
            pub const fn name(self) -> &'static str {
                match self { $(Field::$variant => $name,)* }
            }

            /// How the value is read.
            pub const fn field_type(self) -> FieldType {
                match self { $(Field::$variant => FieldType::$type,)* }
            }

            /// One line on what the field holds.
            pub const fn doc(self) -> &'static str {
                match self { $(Field::$variant => $doc,)* }
            }

            /// The field of this name; `None` for a name that events do not have.
            #[inline]
            pub fn from_name(name: &str) -> Option<Field> {
                NAMES.find(name).map(|slot| Self::ALL[slot])
            }
        }

        static NAMES: NameTable<{ Field::ALL.len() }> = NameTable::new([$($name,)*]);
    };
}

// Text and maps come first: their slots index the spans of an event.
fields! {
    Id "id" Text "name of the event, unique within its source";
    Source "source" Text "who says so: a URI reference";
    Type "type" Text "what happened, such as `referral.completed`";
    Program "program" Text "the loyalty or referral program (tenant); absent: `default`";
    AccountId "account_id" Text "the account that acts or gets; in `referral.*` the referee";
    Email "email" Text "e-mail address as entered";
    Phone "phone" Text "telephone number as entered, in any script's digits";
    Country "country" Text "where the client is at this event, as the producer knows it, ISO 3166-1 alpha-2";
    ReferrerId "referrer_id" Text "the account that invites and earns the referrer's reward";
    ReferrerEmail "referrer_email" Text "e-mail address of the referrer as entered";
    ReferralId "referral_id" Text "one referral";
    ReferralCode "referral_code" Text "the referral's link or code";
    Campaign "campaign" Text "marketing campaign";
    DeviceId "device_id" Text "stable id from a fingerprinting SDK";
    UserAgent "user_agent" Text "the client's user agent";
    SessionId "session_id" Text "the client's session";
    Ip "ip" Text "IPv4 or IPv6 address of the client";
    PaymentFingerprint "payment_fingerprint" Text "token of a payment instrument, never a card number";
    RewardId "reward_id" Text "one grant of a reward";
    RewardKind "reward_kind" Text "kind of reward, such as `points` or `gift_card`";
    Currency "currency" Text "ISO 4217 currency of `amount_minor`; points are `PTS`";
    OrderId "order_id" Text "order";
    MerchantId "merchant_id" Text "partner shop";
    AgentId "agent_id" Text "member of staff who did it";
    RecipientId "recipient_id" Text "the account that receives (transfers, gifts)";
    GroupId "group_id" Text "a declared family or pool";
    Channel "channel" Text "`web`, `app`, `pos`, `kiosk`, `call_centre`, `partner_api` or another";
    Code "code" Text "coupon or gift-card number as a keyed hash";
    Result "result" Text "`ok`, `invalid` or `declined`";
    Changed "changed" Text "what an `account.updated` changed: `email`, `phone`, `password`, `payout`, `birthdate`, `notifications`, `name`, `address`";
    ShippingFingerprint "shipping_fingerprint" Text "keyed hash of a delivery address";
    ReceiptFingerprint "receipt_fingerprint" Text "keyed hash of an uploaded receipt";
    MfaMethod "mfa_method" Text "`totp`, `recovery_code`, `webauthn`, `sms`, `push` or another";
    SurveyKind "survey_kind" Text "`nps` or `csat`";
    Label "label" Text "`fraud` or `legitimate`: the word of an analyst or a chargeback";
    TargetEventId "target_event_id" Text "the event that a label is about";
    Device "device" Map "raw device attributes, for producers without a fingerprinting SDK";
    Attributes "attributes" Map "the producer's own values; those declared in the configuration can be read in rules";
    Time "time" Timestamp "when it happened, by the producer's clock";
    AccountCreatedAt "account_created_at" Timestamp "when the account was opened";
    AmountMinor "amount_minor" Int "amount in minor units of `currency`";
    Latitude "latitude" Double "degrees WGS 84, north positive";
    Longitude "longitude" Double "degrees WGS 84, east positive";
    Rating "rating" Double "`nps` 0 to 10, `csat` 1 to 5";
}

impl Field {
    /// How many fields are kept as spans of text: those before [`Field::Time`].
    pub const SPANS: usize = Field::Time as usize;

    /// Whether the field stands in the envelope rather than in `data`.
    pub const fn is_envelope(self) -> bool {
        matches!(self, Field::Id | Field::Source | Field::Type | Field::Time)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Field {
    /// The words that it can be; `None` where it can be any text. Source: the table of fields in docs/events.md.
    pub const fn words(self) -> Option<&'static [&'static str]> {
        match self {
            Field::Result => Some(&["ok", "invalid", "declined"]),
            Field::Changed => {
                Some(&["email", "phone", "password", "payout", "birthdate", "notifications", "name", "address"])
            }
            Field::SurveyKind => Some(&["nps", "csat"]),
            Field::Label => Some(&["fraud", "legitimate"]),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_follow_the_table() {
        for (slot, field) in Field::ALL.iter().enumerate() {
            assert_eq!(*field as usize, slot);
            assert_eq!(Field::from_name(field.name()), Some(*field));
            let spanned = matches!(field.field_type(), FieldType::Text | FieldType::Map);
            assert_eq!(spanned, slot < Field::SPANS, "{field}");
        }
        assert!(Field::ALL.len() <= 64, "presence is one u64");
    }
}
