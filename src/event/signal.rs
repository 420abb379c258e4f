//! The names of what is derived from one event: a table shared by those who derive and those who read.

use super::Span;

macro_rules! signals {
    ($($variant:ident $group:literal $name:literal $kind:ident $doc:literal;)*) => {
        /// A fact derived from one event alone, by its slot in a [`Signals`] row.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Signal { $(#[doc = $doc] $variant,)* }

        impl Signal {
            /// Every signal, in slot order.
            pub const ALL: &'static [Signal] = &[$(Signal::$variant,)*];

            /// The name rules use before the dot, such as `email`.
            pub const fn group(self) -> &'static str {
                match self { $(Signal::$variant => $group,)* }
            }

            /// The name rules use after the dot, such as `normalized`.
            pub const fn name(self) -> &'static str {
                match self { $(Signal::$variant => $name,)* }
            }

            /// What a rule sees it as.
            pub const fn kind(self) -> SignalKind {
                match self { $(Signal::$variant => SignalKind::$kind,)* }
            }

            /// One line on what it says.
            pub const fn doc(self) -> &'static str {
                match self { $(Signal::$variant => $doc,)* }
            }
        }
    };
}

/// What a rule sees a signal as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignalKind {
    /// Text; `""` when unknown.
    Text,
    /// A claim; false when unknown.
    Flag,
    /// A whole number; 0 when unknown.
    Int,
    /// A float; 0 when unknown.
    Double,
}

// Texts first, then numbers, then flags: the slots of each kind are contiguous.
signals! {
    EmailNormalized "email" "normalized" Text "the mailbox that the address reaches, for linking";
    EmailLocal "email" "local" Text "the part before the @, as the provider reads it";
    EmailSkeleton "email" "skeleton" Text "the local part with digits as #, separators and doubled letters dropped";
    EmailDomain "email" "domain" Text "the part after the @, lower-case ASCII";
    ReferrerEmailNormalized "referrer_email" "normalized" Text "the mailbox that the referrer's address reaches, for linking";
    ReferrerEmailLocal "referrer_email" "local" Text "the part before the @, as the provider reads it";
    ReferrerEmailSkeleton "referrer_email" "skeleton" Text "the local part with digits as #, separators and doubled letters dropped";
    ReferrerEmailDomain "referrer_email" "domain" Text "the part after the @, lower-case ASCII";
    IpAddress "ip" "address" Text "the address in canonical form; IPv4 in IPv6 as IPv4";
    IpPrefix "ip" "prefix" Text "its /24 (IPv4) or /64 (IPv6)";
    IpSite "ip" "site" Text "its /24 (IPv4) or /56 (IPv6)";
    IpKind "ip" "kind" Text "`public`, `private`, `shared_range` (100.64/10) or `reserved`";
    IpAsName "ip" "as_name" Text "name of the network's operator, where a database is configured";
    IpCountry "ip" "country" Text "country of the address, where a database is configured, ISO 3166-1 alpha-2";
    DeviceId "device" "id" Text "the SDK's id, else a keyed hash of the raw attributes";
    DevicePlatform "device" "platform" Text "operating system family";
    DeviceBrowser "device" "browser" Text "browser or client with its major version";
    DeviceUaFamily "device" "ua_family" Text "browser family and operating system, without versions";
    PhoneNormalized "phone" "normalized" Text "the number as E.164";
    PhoneCountry "phone" "country" Text "country of the number, ISO 3166-1 alpha-2";
    PhoneKind "phone" "kind" Text "`mobile`, `fixed`, `fixed_or_mobile`, `voip` or `unknown`";
    IpVersion "ip" "version" Int "4 or 6";
    IpAsn "ip" "asn" Int "autonomous system number, where a database is configured";
    EmailGibberish "email" "gibberish" Double "how unlike a name or a word the local part is, 0 to 1";
    ReferrerEmailGibberish "referrer_email" "gibberish" Double "how unlike a name or a word the local part is, 0 to 1";
    EmailDisposable "email" "disposable" Flag "the domain, or a parent of it, gives out throw-away mailboxes";
    EmailRelay "email" "relay" Flag "a forwarding address of a privacy service; not disposable";
    EmailAlias "email" "alias" Flag "entered differently from the mailbox that it reaches";
    ReferrerEmailDisposable "referrer_email" "disposable" Flag "the domain, or a parent of it, gives out throw-away mailboxes";
    ReferrerEmailRelay "referrer_email" "relay" Flag "a forwarding address of a privacy service; not disposable";
    ReferrerEmailAlias "referrer_email" "alias" Flag "entered differently from the mailbox that it reaches";
    IpCarrier "ip" "carrier" Flag "in the list of mobile carriers' networks";
    IpTor "ip" "tor" Flag "in the list of Tor exits";
    IpVpn "ip" "vpn" Flag "in the list of VPN exits";
    IpRelay "ip" "relay" Flag "in the list of privacy relays' exits";
    IpDatacenter "ip" "datacenter" Flag "in the list of data centres";
    DeviceBot "device" "bot" Flag "the user agent says it is a crawler or a script";
    DeviceEmulator "device" "emulator" Flag "the raw attributes name an emulator";
    PhoneValid "phone" "valid" Flag "the number can exist";
}

const TEXTS: usize = Signal::IpVersion as usize;
const NUMBERS: usize = Signal::EmailDisposable as usize - TEXTS;

impl Signal {
    /// The signal that rules call `group.name`.
    pub fn from_name(group: &str, name: &str) -> Option<Signal> {
        Signal::ALL.iter().copied().find(|signal| signal.group() == group && signal.name() == name)
    }
}

impl Signal {
    /// The words that it can be where it is known; `None` where it can be any text.
    pub const fn words(self) -> Option<&'static [&'static str]> {
        match self {
            Signal::IpKind => Some(&["public", "private", "shared_range", "reserved"]),
            Signal::PhoneKind => Some(&["mobile", "fixed", "fixed_or_mobile", "voip", "unknown"]),
            _ => None,
        }
    }
}

/// A set of signals: those that some loaded rule reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalSet(u64);

impl SignalSet {
    /// Every signal.
    pub const ALL: SignalSet = SignalSet(u64::MAX);

    /// Adds a signal.
    pub fn insert(&mut self, signal: Signal) {
        self.0 |= 1 << signal as u8;
    }

    /// Whether the signal is in the set.
    pub fn contains(self, signal: Signal) -> bool {
        self.0 >> (signal as u8) & 1 == 1
    }

    /// Whether every signal of another set is in this one.
    pub fn covers(self, other: SignalSet) -> bool {
        other.0 & !self.0 == 0
    }

    /// Whether any signal of this group (`email`, `ip`, ...) is in the set.
    pub fn needs_group(self, group: &str) -> bool {
        Signal::ALL.iter().any(|signal| self.contains(*signal) && signal.group() == group)
    }
}

/// What was derived from one event. Texts are spans of the event's batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signals {
    texts: [Span; TEXTS],
    /// Bits of the numbers, by slot: an `i64`, or an `f64` by its bits.
    numbers: [u64; NUMBERS],
    flags: u64,
}

impl Signals {
    /// A text signal; an empty span when unknown.
    #[inline]
    pub fn text(&self, signal: Signal) -> Span {
        self.texts[signal as usize]
    }

    /// Sets a text signal.
    pub fn set_text(&mut self, signal: Signal, span: Span) {
        self.texts[signal as usize] = span;
    }

    /// A whole number; 0 when unknown.
    #[inline]
    pub fn int(&self, signal: Signal) -> i64 {
        self.numbers[signal as usize - TEXTS] as i64
    }

    /// Sets a whole number.
    pub fn set_int(&mut self, signal: Signal, value: i64) {
        self.numbers[signal as usize - TEXTS] = value as u64;
    }

    /// A float; 0 when unknown.
    #[inline]
    pub fn double(&self, signal: Signal) -> f64 {
        f64::from_bits(self.numbers[signal as usize - TEXTS])
    }

    /// Sets a float.
    pub fn set_double(&mut self, signal: Signal, value: f64) {
        self.numbers[signal as usize - TEXTS] = value.to_bits();
    }

    /// A claim; false when unknown.
    #[inline]
    pub fn flag(&self, signal: Signal) -> bool {
        self.flags >> (signal as u8) & 1 == 1
    }

    /// Sets a claim.
    pub fn set_flag(&mut self, signal: Signal, value: bool) {
        self.flags = self.flags & !(1 << signal as u8) | u64::from(value) << signal as u8;
    }
}
