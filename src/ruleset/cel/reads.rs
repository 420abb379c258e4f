//! What a rule set asks state for: each distinct read once, however many conditions share it.

use super::{Compiled, Type, Uses};
use crate::event::Field;

/// A feature, by its place among those declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FeatureIndex(pub u32);

/// A declared list, by its place among those declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListIndex(pub u32);

/// A read, by its place in the [`ReadTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReadIndex(pub u32);

/// Which account of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The account that acts or gets.
    Account,
    /// The account that invited it.
    Referrer,
    /// The account that receives.
    Recipient,
}

impl Role {
    /// Every role.
    pub const ALL: &'static [Role] = &[Role::Account, Role::Referrer, Role::Recipient];

    /// The name that rules use.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Account => "account",
            Role::Referrer => "referrer",
            Role::Recipient => "recipient",
        }
    }

    /// The event's field with this account's id.
    pub const fn id_field(self) -> Field {
        match self {
            Role::Account => Field::AccountId,
            Role::Referrer => Field::ReferrerId,
            Role::Recipient => Field::RecipientId,
        }
    }
}

/// What is remembered of an account, as of before this event. Its `id` is a field of the event, not a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AccountFact {
    /// Since it was opened, else since it was first seen: a duration.
    Age,
    /// When it was first seen.
    FirstSeen,
    /// When it was last seen.
    LastSeen,
    /// When its customer last did something.
    LastActive,
    /// Whether this event's device was not seen with it before.
    NewDevice,
    /// Whether this event's country was not seen with it before.
    NewCountry,
    /// Who invited it: the id of the referrer, a text.
    Referrer,
    /// When it was invited.
    ReferredAt,
}

impl AccountFact {
    /// Every fact.
    pub const ALL: &'static [AccountFact] = &[
        AccountFact::Age,
        AccountFact::FirstSeen,
        AccountFact::LastSeen,
        AccountFact::LastActive,
        AccountFact::NewDevice,
        AccountFact::NewCountry,
        AccountFact::Referrer,
        AccountFact::ReferredAt,
    ];

    /// The name that rules use after the dot.
    pub const fn name(self) -> &'static str {
        match self {
            AccountFact::Age => "age",
            AccountFact::FirstSeen => "first_seen",
            AccountFact::LastSeen => "last_seen",
            AccountFact::LastActive => "last_active",
            AccountFact::NewDevice => "new_device",
            AccountFact::NewCountry => "new_country",
            AccountFact::Referrer => "referrer",
            AccountFact::ReferredAt => "referred_at",
        }
    }

    /// One line on what it says.
    pub const fn doc(self) -> &'static str {
        match self {
            AccountFact::Age => "since it was opened (`account_created_at`), else since it was first seen",
            AccountFact::FirstSeen => {
                "the first event that names it as the one that acts, gets or receives, this one included"
            }
            AccountFact::LastSeen => "its latest event before this one",
            AccountFact::LastActive => "its latest event before this one of a type that a customer makes",
            AccountFact::NewDevice => "whether it was not seen with this device before; false while nothing is known",
            AccountFact::NewCountry => {
                "whether it was not seen in this country (`ip.country`, else `event.country`) before; false while nothing is known"
            }
            AccountFact::Referrer => "the account that invited it, by its first `referral.completed`",
            AccountFact::ReferredAt => "when that was",
        }
    }

    /// What a condition reads it as.
    pub fn ty(self) -> Type {
        match self {
            AccountFact::Age => Type::Duration,
            AccountFact::FirstSeen | AccountFact::LastSeen | AccountFact::LastActive | AccountFact::ReferredAt => {
                Type::Timestamp
            }
            AccountFact::NewDevice | AccountFact::NewCountry => Type::Bool,
            AccountFact::Referrer => Type::Text,
        }
    }
}

/// What follows from an account's previous place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GeoFact {
    /// Kilometres from the place of the account's previous event.
    DistanceKm,
    /// Kilometres an hour from there to here.
    SpeedKmh,
}

impl GeoFact {
    /// Every fact.
    pub const ALL: &'static [GeoFact] = &[GeoFact::DistanceKm, GeoFact::SpeedKmh];

    /// The name that rules use after `geo.`.
    pub const fn name(self) -> &'static str {
        match self {
            GeoFact::DistanceKm => "distance_km",
            GeoFact::SpeedKmh => "speed_kmh",
        }
    }

    /// One line on what it says.
    pub const fn doc(self) -> &'static str {
        match self {
            GeoFact::DistanceKm => "kilometres from the place of the account's previous event",
            GeoFact::SpeedKmh => "kilometres an hour from there to here",
        }
    }
}

/// At which key a feature is read.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadKey {
    /// At the event's own key.
    Own,
    /// At the key that these expressions give: `name.at(k1, ...)`. As many as the feature has key parts.
    At(Vec<Compiled>),
    /// At the two accounts that these expressions give, of a component: whether they are linked.
    Same(Vec<Compiled>),
}

/// Where the value of a read comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadSource {
    /// A feature.
    Feature {
        /// Which.
        feature: FeatureIndex,
        /// At which key.
        key: ReadKey,
    },
    /// What is remembered of an account.
    Account {
        /// Whose.
        role: Role,
        /// What.
        fact: AccountFact,
    },
    /// What follows from the account's previous place.
    Geo(GeoFact),
    /// What follows from who invited whom.
    Referral(Referral),
}

/// A question about the chain of referrers above an account.
#[derive(Clone, Debug, PartialEq)]
pub enum Referral {
    /// How long the chain above this account is.
    Depth(Box<Compiled>),
    /// Whether the chain above the first account, itself included, has the second one.
    Cycle(Box<[Compiled; 2]>),
}

impl Referral {
    /// The expressions of the accounts.
    pub fn accounts(&self) -> &[Compiled] {
        match self {
            Referral::Depth(account) => std::slice::from_ref(account),
            Referral::Cycle(accounts) => accounts.as_slice(),
        }
    }

    /// The function of rule files.
    pub const fn name(&self) -> &'static str {
        match self {
            Referral::Depth(_) => "referral_depth",
            Referral::Cycle(_) => "referral_cycle",
        }
    }
}

/// One value that the rule set needs for an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// Where it comes from.
    pub source: ReadSource,
    /// Whether the members of a set or component are needed, and not only its size.
    pub wants_contents: bool,
}

/// Every distinct read of a rule set. Indexes are given in the order of first use, so that a rule set always gets the
/// same ones.
#[derive(Clone, Debug, Default)]
pub struct ReadTable {
    reads: Vec<Read>,
}

impl ReadTable {
    /// The reads, by [`ReadIndex`].
    pub fn reads(&self) -> &[Read] {
        &self.reads
    }

    /// One read.
    pub fn get(&self, read: ReadIndex) -> &Read {
        &self.reads[read.0 as usize]
    }

    /// The index of this read, new or not.
    pub(super) fn intern(&mut self, source: ReadSource) -> ReadIndex {
        let index = self.reads.iter().position(|read| read.source == source).unwrap_or_else(|| {
            self.reads.push(Read { source, wants_contents: false });
            self.reads.len() - 1
        });
        ReadIndex(index as u32)
    }

    /// Notes that a set's members are needed.
    pub(super) fn want_contents(&mut self, read: ReadIndex) {
        self.reads[read.0 as usize].wants_contents = true;
    }

    /// The read of a component's members, at the event's own key.
    pub fn members_of(&mut self, feature: FeatureIndex) -> ReadIndex {
        let read = self.intern(ReadSource::Feature { feature, key: ReadKey::Own });
        self.want_contents(read);
        read
    }

    /// What the arguments of a read use.
    pub(super) fn key_uses(&self, read: ReadIndex) -> impl Iterator<Item = &Uses> {
        let keys = match &self.get(read).source {
            ReadSource::Feature { key: ReadKey::At(keys) | ReadKey::Same(keys), .. } => keys.as_slice(),
            ReadSource::Referral(referral) => referral.accounts(),
            _ => &[],
        };
        keys.iter().map(Compiled::uses)
    }
}
