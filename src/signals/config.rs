//! What deriving needs to know beyond the events: keys, regions, databases and lists, as bytes and values.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::{Attributes, Presence, Signal, SignalSet};
use crate::lists::{List, ListKind};

/// The key that hashes devices where none is configured: only `eval`, `backtest` and the tests inside rule files use
/// it, so that two runs anywhere give the same `device.id`. It is public, and so protects nothing.
pub const PUBLIC_DEVICE_KEY: [u8; 16] = *b"refguard.devices";

/// The region of telephone numbers that come without a country code, for a program that names none.
pub const DEFAULT_REGION: &str = "SA";

/// What the loaded rules read: nothing else is derived, nothing else is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Signals that some condition, feature or message reads.
    pub signals: SignalSet,
    /// Fields that are read as they came. An e-mail or network address or a telephone number is checked only where it,
    /// or a signal made from it, is read; a country always.
    pub fields: Presence,
}

impl Wanted {
    /// Whether what is derived for this serves whoever wants the other. What was derived beyond that is read by nobody.
    pub fn covers(self, other: Wanted) -> bool {
        self.signals.covers(other.signals) && self.fields.covers(other.fields)
    }
}

/// Everything that deriving needs beyond the events.
#[derive(Clone, Debug)]
pub struct SignalConfig {
    /// Secret key of the hashes of raw device attributes.
    pub device_key: [u8; 16],
    /// Region of telephone numbers without a country code, by program: an ISO 3166-1 alpha-2 code.
    pub regions: BTreeMap<String, String>,
    /// The same for programs that are not in `regions`.
    pub region: String,
    /// A MaxMind DB with countries (GeoLite2 Country or City, or one of their shape), as read from its file.
    pub country_db: Option<Arc<[u8]>>,
    /// A MaxMind DB with autonomous systems (GeoLite2 ASN, GeoIP2 ISP, or one of their shape).
    pub asn_db: Option<Arc<[u8]>>,
    /// Domains that give out throw-away mailboxes.
    pub disposable: Option<Arc<List>>,
    /// Networks of mobile carriers.
    pub carrier: Option<Arc<List>>,
    /// Exits of Tor.
    pub tor: Option<Arc<List>>,
    /// Exits of VPNs.
    pub vpn: Option<Arc<List>>,
    /// Exits of privacy relays.
    pub relay: Option<Arc<List>>,
    /// Networks of data centres.
    pub datacenter: Option<Arc<List>>,
    /// The attributes of events that are declared. Where some rule reads one, values of another type are noted.
    pub attributes: Arc<Attributes>,
    /// How many raw values are remembered.
    pub cache: CacheSizes,
}

impl Default for SignalConfig {
    fn default() -> SignalConfig {
        SignalConfig {
            device_key: PUBLIC_DEVICE_KEY,
            regions: BTreeMap::new(),
            region: DEFAULT_REGION.to_owned(),
            country_db: None,
            asn_db: None,
            disposable: None,
            carrier: None,
            tor: None,
            vpn: None,
            relay: None,
            datacenter: None,
            attributes: Arc::default(),
            cache: CacheSizes::default(),
        }
    }
}

/// How many raw values are remembered with what was derived from them. Memory is taken at once and never grows; 0
/// remembers nothing. Sizes change speed, never an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSizes {
    /// Telephone numbers; 80 bytes each.
    pub phones: usize,
    /// User agents, and as many raw device attributes; 600 bytes each.
    pub user_agents: usize,
    /// Network addresses, where a database is configured; 80 bytes each.
    pub addresses: usize,
}

impl Default for CacheSizes {
    fn default() -> CacheSizes {
        CacheSizes { phones: 1 << 16, user_agents: 1 << 13, addresses: 1 << 16 }
    }
}

/// Why a configuration cannot be used. All are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum SignalError {
    /// A database's bytes are not those of a MaxMind DB, or are damaged.
    #[error("the database of {of} cannot be used: {source}; download it again")]
    Database {
        /// `countries` or `autonomous systems`.
        of: &'static str,
        /// What the reader says.
        source: maxminddb::MaxMindDbError,
    },
    /// A list of another kind stands where one of this kind is needed.
    #[error(
        "the list for {}.{} is of kind `{}`: use one of kind `{}`",
        signal.group(), signal.name(), found.name(), wanted.name()
    )]
    ListKind {
        /// The signal that the list is for.
        signal: Signal,
        /// What it is.
        found: ListKind,
        /// What it must be.
        wanted: ListKind,
    },
    /// A region that has no telephone numbers.
    #[error(
        "`{region}` (program `{program}`) is no region of telephone numbers: use an ISO 3166-1 alpha-2 code, such as SA"
    )]
    Region {
        /// The program; empty for the default.
        program: String,
        /// What was written.
        region: String,
    },
}

impl SignalConfig {
    /// The list of throw-away domains.
    ///
    /// # Errors
    ///
    /// [`SignalError::ListKind`] for a list that is none of domains.
    pub(super) fn disposable_domains(&self) -> Result<Option<Arc<List>>, SignalError> {
        let (signal, wanted) = (Signal::EmailDisposable, ListKind::Domain);
        match &self.disposable {
            Some(list) if list.kind() != wanted => Err(SignalError::ListKind { signal, found: list.kind(), wanted }),
            list => Ok(list.clone()),
        }
    }
}
