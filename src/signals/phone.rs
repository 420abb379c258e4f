//! Telephone numbers: one form for every way to type them, by Google's metadata.

use std::collections::HashMap;

use phonenumber::country;
use phonenumber::metadata::DATABASE;

use super::cache::{Cache, CacheUse};
use super::config::{SignalConfig, SignalError};
use super::plans::{Number, Plans};
use super::text::is_invisible;
use crate::event::{EventBatch, Signal, SignalSet, Signals, ascii_digit, country_text};
use crate::lists::TextBuildHasher;

/// Longest text that is looked at, in bytes as entered: 15 digits of four bytes, and what people put between them.
const RAW_BYTES_MAX: usize = 96;

/// The program of an event that names none.
const DEFAULT_PROGRAM: &str = "default";

/// Reads numbers, and remembers them.
#[derive(Debug)]
pub(super) struct PhoneReader {
    regions: HashMap<Box<str>, country::Id, TextBuildHasher>,
    region: country::Id,
    plans: Plans,
    cache: Cache<Number>,
    key: String,
    folded: String,
    text: String,
}

impl PhoneReader {
    /// # Errors
    ///
    /// [`SignalError::Region`] for a region without telephone numbers.
    pub(super) fn new(wanted: bool, config: &SignalConfig) -> Result<PhoneReader, SignalError> {
        let regions: Result<_, SignalError> = config
            .regions
            .iter()
            .map(|(program, region)| Ok((program.as_str().into(), parse_region(program, region)?)))
            .collect();
        Ok(PhoneReader {
            regions: regions?,
            region: parse_region("", &config.region)?,
            plans: Plans::default(),
            cache: Cache::new(if wanted { config.cache.phones } else { 0 }, RAW_BYTES_MAX + 2),
            key: String::new(),
            folded: String::new(),
            text: String::new(),
        })
    }

    /// A reader that remembers nothing and knows no programs.
    pub(super) fn bare() -> PhoneReader {
        PhoneReader {
            regions: HashMap::default(),
            region: country::Id::SA,
            plans: Plans::default(),
            cache: Cache::new(0, 0),
            key: String::new(),
            folded: String::new(),
            text: String::new(),
        }
    }

    /// The number that a text spells for a program; `None` if it can be none.
    pub(super) fn read(&mut self, program: &str, raw: &str) -> Option<Number> {
        let program = if program.is_empty() { DEFAULT_PROGRAM } else { program };
        self.read_in(self.regions.get(program).copied().unwrap_or(self.region), raw)
    }

    /// The number that a text spells in a region.
    pub(super) fn read_in(&mut self, region: country::Id, raw: &str) -> Option<Number> {
        if raw.len() > RAW_BYTES_MAX {
            return None;
        }
        let PhoneReader { cache, plans, key, folded, .. } = self;
        key.clear();
        key.push_str(region.as_ref());
        key.push_str(raw);
        let number = cache.get_or_make(key.as_bytes(), || {
            folded.clear();
            folded.extend(raw.chars().filter(|c| !is_invisible(*c)).map(fold));
            number_of(strip_scheme(folded.trim()), region, plans).unwrap_or_default()
        });
        (number.e164 != 0).then_some(number)
    }

    /// Sets the wanted signals of a number.
    pub(super) fn derive(&mut self, number: Number, wanted: SignalSet, batch: &mut EventBatch, row: &mut Signals) {
        if wanted.contains(Signal::PhoneNormalized) {
            self.text.clear();
            self.text.push('+');
            self.text.push_str(itoa::Buffer::new().format(number.e164));
            row.set_text(Signal::PhoneNormalized, batch.make(&self.text));
        }
        if wanted.contains(Signal::PhoneCountry) {
            row.set_text(Signal::PhoneCountry, batch.make(country_text(&number.country)));
        }
        if wanted.contains(Signal::PhoneKind) {
            row.set_text(Signal::PhoneKind, batch.make(number.kind.name()));
        }
        row.set_flag(Signal::PhoneValid, number.valid);
    }

    /// How often it remembered.
    pub(super) fn counts(&self) -> CacheUse {
        self.cache.counts()
    }
}

fn parse_region(program: &str, region: &str) -> Result<country::Id, SignalError> {
    region.parse().map_err(|_| SignalError::Region { program: program.to_owned(), region: region.to_owned() })
}

/// Digits of any script as ASCII, a full-width plus as `+`.
fn fold(c: char) -> char {
    match c {
        '＋' => '+',
        _ => ascii_digit(c).unwrap_or(c),
    }
}

/// A number without the scheme of RFC 3966.
fn strip_scheme(text: &str) -> &str {
    match text.split_at_checked(4) {
        Some((scheme, number)) if scheme.eq_ignore_ascii_case("tel:") => number,
        _ => text,
    }
}

/// Reads folded text. What says its country itself, by `+` or the region's prefix for calls abroad, is taken apart by
/// the plans; what is typed as at home is the library's to read. A valid reading comes before one that is only possible.
fn number_of(text: &str, region: country::Id, plans: &mut Plans) -> Option<Number> {
    if text.trim_start_matches('(').starts_with('+') {
        return plans.describe_abroad(&digits_of(text));
    }
    let abroad = without_international_prefix(&digits_of(text), region);
    let abroad = abroad.and_then(|digits| plans.describe_abroad(&digits));
    if abroad.is_some_and(|number| number.valid) {
        return abroad;
    }
    let parsed = phonenumber::parse(Some(region), text).ok();
    let home = parsed.and_then(|parsed| plans.describe_typed(parsed.code().value(), &parsed.national().to_string()));
    home.filter(|home| home.valid).or(abroad).or(home)
}

/// The ASCII digits of a text up to its first letter, which begins an extension.
fn digits_of(text: &str) -> String {
    text.chars().take_while(|c| !c.is_alphabetic()).filter(char::is_ascii_digit).collect()
}

/// What follows the region's prefix for calls abroad, such as `00`.
fn without_international_prefix(digits: &str, region: country::Id) -> Option<String> {
    let prefix = DATABASE.by_id(region.as_ref())?.international_prefix()?.find(digits)?;
    (prefix.start() == 0).then(|| digits[prefix.end()..].to_owned())
}

#[cfg(test)]
mod tests;
