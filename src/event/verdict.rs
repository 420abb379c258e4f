//! The values that verdicts are made of: closed sets of words, each with the name it has on the wire and in rules.
//!
//! They stand on the ground floor because rules, engine, alerts and records all speak them. It imports
//! the tables of fields and signals. Invariant: the order of [`Verdict`] and of [`Severity`] is the order of their weight.

use std::borrow::Cow;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Field, Signal};

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The word on the wire and in rule files.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            /// The value of this word; `None` for another.
            pub fn from_name(name: &str) -> Option<$name> {
                match name { $($text => Some($name::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let word = Cow::<str>::deserialize(deserializer)?;
                $name::from_name(&word).ok_or_else(|| D::Error::custom(format_args!("there is no {word:?}")))
            }
        }
    )*};
}

words! {
    /// What shall happen to what the event asks for; the heavier the later.
    Verdict {
        /// Nothing speaks against it.
        Allow "allow",
        /// An alert; nothing is stopped.
        Flag "flag",
        /// Step-up authentication first.
        Challenge "challenge",
        /// The reward waits for a review.
        Hold "hold",
        /// Refused.
        Block "block",
    }

    /// What made the verdict as heavy as it is.
    Cause {
        /// Nothing did: it is `allow`.
        None "none",
        /// The action of a rule that matched.
        Rule "rule",
        /// The threshold that the summed score reached.
        Score "score",
        /// A decision that stands on a subject of the event.
        Decision "decision",
        /// The word of a person.
        Override "override",
        /// The event itself, which asks for it in a program for tests.
        Test "test",
    }

    /// What a decision can be about.
    SubjectKind {
        /// An account, in whichever role.
        Account "account",
        /// A device.
        Device "device",
        /// One address.
        Ip "ip",
        /// A network: /24 of IPv4, /64 of IPv6.
        IpPrefix "ip_prefix",
        /// A normalised e-mail address.
        Email "email",
        /// A normalised telephone number.
        Phone "phone",
        /// A payment instrument.
        Payment "payment",
        /// A referral link or code.
        ReferralCode "referral_code",
        /// One referral.
        Referral "referral",
        /// One grant of a reward.
        Reward "reward",
        /// An order.
        Order "order",
        /// A marketing campaign.
        Campaign "campaign",
        /// A partner shop.
        Merchant "merchant",
        /// A member of staff.
        Agent "agent",
    }

    /// How bad it is when a rule matches; the worse the later.
    Severity {
        /// Worth a look some day.
        Low "low",
        /// Worth a look this week.
        Medium "medium",
        /// Worth a look today.
        High "high",
        /// Worth waking somebody.
        Critical "critical",
    }

    /// Whether a rule finds fraud or keeps a limit.
    RuleKind {
        /// Fraud: it alerts, and reports count it.
        Fraud "fraud",
        /// A limit stops without an alert and is no fraud in reports.
        Limit "limit",
    }

    /// Whether a rule counts.
    Mode {
        /// Its matches make verdicts.
        Enforce "enforce",
        /// Its matches are written down and move nothing.
        Shadow "shadow",
        /// It is not evaluated.
        Off "off",
    }
}

impl SubjectKind {
    /// The signal that names a subject of this kind, where its id is derived and not a field.
    pub const fn signal(self) -> Option<Signal> {
        match self {
            SubjectKind::Device => Some(Signal::DeviceId),
            SubjectKind::Ip => Some(Signal::IpAddress),
            SubjectKind::IpPrefix => Some(Signal::IpPrefix),
            SubjectKind::Email => Some(Signal::EmailNormalized),
            SubjectKind::Phone => Some(Signal::PhoneNormalized),
            _ => None,
        }
    }

    /// The field that names a subject of this kind, where its id is not derived; an account has one for each role.
    pub const fn field(self) -> Option<Field> {
        match self {
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
}

#[expect(clippy::derivable_impls, reason = "the enum is made by a macro, which knows no default")]
impl Default for Verdict {
    fn default() -> Verdict {
        Verdict::Allow
    }
}

#[expect(clippy::derivable_impls, reason = "the enum is made by a macro, which knows no default")]
impl Default for Cause {
    fn default() -> Cause {
        Cause::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heavier_verdict_is_the_greater() {
        let names: Vec<&str> = Verdict::ALL.iter().map(|verdict| verdict.name()).collect();
        assert_eq!(names, ["allow", "flag", "challenge", "hold", "block"]);
        assert!(Verdict::ALL.is_sorted());
        assert_eq!(Verdict::Hold.max(Verdict::Flag), Verdict::Hold);
    }

    #[test]
    fn every_word_reads_back() {
        for kind in SubjectKind::ALL {
            assert_eq!(SubjectKind::from_name(kind.name()), Some(*kind));
        }
        for mode in Mode::ALL {
            assert_eq!(Mode::from_name(mode.name()), Some(*mode));
        }
        assert_eq!(Severity::from_name("High"), None);
        assert_eq!(Cause::from_name("override"), Some(Cause::Override));
        assert_eq!(RuleKind::Limit.to_string(), "limit");
    }
}
