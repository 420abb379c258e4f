//! Where an address is and who operates its network, by databases in MaxMind's format.

use std::net::IpAddr;
use std::sync::Arc;

use maxminddb::{PathElement, Reader};

use super::cache::{Cache, CacheUse};
use super::config::{SignalConfig, SignalError};
use crate::event::{Signal, SignalSet, country};

type Database = Reader<Arc<[u8]>>;

/// What the databases say of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// ISO 3166-1 alpha-2; zeros when unknown.
    pub(super) country: [u8; 2],
    /// Autonomous system number; 0 when unknown.
    pub(super) asn: u32,
    /// Its operator's name.
    pub(super) as_name: TextPlace,
}

/// A text in the database of autonomous systems: it is remembered by its place there, not copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TextPlace {
    start: u32,
    len: u32,
}

/// Looks addresses up, and remembers what it found.
#[derive(Debug)]
pub(super) struct GeoReader {
    countries: Option<Database>,
    systems: Option<Database>,
    /// The bytes of `systems`.
    system_bytes: Arc<[u8]>,
    cache: Cache<Place>,
}

impl GeoReader {
    /// Opens the databases that wanted signals need.
    ///
    /// # Errors
    ///
    /// [`SignalError::Database`] for bytes that are no database, or a damaged one: every record is read once.
    pub(super) fn new(wanted: SignalSet, config: &SignalConfig) -> Result<GeoReader, SignalError> {
        let countries = open("countries", config.country_db.as_ref())?;
        let systems = open("autonomous systems", config.asn_db.as_ref())?;
        let names_systems = wanted.contains(Signal::IpAsn) || wanted.contains(Signal::IpAsName);
        let geo = GeoReader {
            countries: countries.filter(|_| wanted.contains(Signal::IpCountry)),
            systems: systems.filter(|_| names_systems),
            system_bytes: config.asn_db.clone().unwrap_or_default(),
            cache: Cache::new(0, 0),
        };
        let entries = if geo.is_wanted() { config.cache.addresses } else { 0 };
        Ok(GeoReader { cache: Cache::new(entries, size_of::<u128>()), ..geo })
    }

    /// Whether there is anything to look up.
    pub(super) fn is_wanted(&self) -> bool {
        self.countries.is_some() || self.systems.is_some()
    }

    /// What the databases say of the address; what they do not say is unknown. IPv4 and IPv6 are told apart by the
    /// length of their bytes.
    pub(super) fn place(&mut self, address: IpAddr) -> Place {
        let GeoReader { countries, systems, system_bytes, cache } = self;
        let (v4, v6);
        let key: &[u8] = match address {
            IpAddr::V4(address) => {
                v4 = address.octets();
                &v4
            }
            IpAddr::V6(address) => {
                v6 = address.octets();
                &v6
            }
        };
        cache.get_or_make(key, || {
            let (asn, as_name) =
                systems.as_ref().and_then(|db| system_of(db, system_bytes, address)).unwrap_or_default();
            let country = countries.as_ref().and_then(|db| country_of(db, address)).unwrap_or_default();
            Place { country, asn, as_name }
        })
    }

    /// The text at a place.
    pub(super) fn text(&self, place: TextPlace) -> &str {
        let (start, len) = (place.start as usize, place.len as usize);
        let bytes = self.system_bytes.get(start..start + len).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// How often it remembered.
    pub(super) fn counts(&self) -> CacheUse {
        self.cache.counts()
    }
}

fn open(of: &'static str, bytes: Option<&Arc<[u8]>>) -> Result<Option<Database>, SignalError> {
    let Some(bytes) = bytes else { return Ok(None) };
    let database = Reader::from_source(Arc::clone(bytes)).map_err(|source| SignalError::Database { of, source })?;
    database.verify().map_err(|source| SignalError::Database { of, source })?;
    Ok(Some(database))
}

/// Where the client is, else where its network is registered; MaxMind's shape, or a bare code as others have it.
fn country_of(database: &Database, address: IpAddr) -> Option<[u8; 2]> {
    let found = database.lookup(address).ok()?;
    let paths: [&[PathElement<'_>]; 4] = [
        &[PathElement::Key("country"), PathElement::Key("iso_code")],
        &[PathElement::Key("registered_country"), PathElement::Key("iso_code")],
        &[PathElement::Key("country_code")],
        &[PathElement::Key("country")],
    ];
    paths.into_iter().find_map(|path| country(found.decode_path::<&str>(path).ok()??))
}

fn system_of(database: &Database, bytes: &Arc<[u8]>, address: IpAddr) -> Option<(u32, TextPlace)> {
    let found = database.lookup(address).ok()?;
    let number = found.decode_path::<u32>(&[PathElement::Key("autonomous_system_number")]).ok()??;
    let name = found.decode_path::<&str>(&[PathElement::Key("autonomous_system_organization")]);
    let place = name.ok().flatten().and_then(|name| {
        // The reader lends texts from its bytes, so that the distance is the place; `text` checks the bounds again.
        let start = name.as_ptr().addr().checked_sub(bytes.as_ptr().addr())?;
        Some(TextPlace { start: start.try_into().ok()?, len: name.len().try_into().ok()? })
    });
    Some((number, place.unwrap_or_default()))
}

#[cfg(test)]
mod tests;
