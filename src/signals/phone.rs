//! Telephone numbers: one form for every way to type them, by Google's metadata.

use std::collections::HashMap;

use phonenumber::metadata::DATABASE;
use phonenumber::{Metadata, PhoneNumber, Type, country};

use super::cache::{Cache, CacheUse};
use super::config::{SignalConfig, SignalError};
use super::country::text_of;
use super::text::{ascii_digit, is_invisible};
use crate::event::{EventBatch, Signal, SignalSet, Signals};
use crate::lists::TextBuildHasher;

/// Longest text that is looked at, in bytes as entered: 15 digits of four bytes, and what people put between them.
const RAW_BYTES_MAX: usize = 96;

/// Most digits of a number with its country code (ITU-T E.164).
const E164_DIGITS_MAX: usize = 15;

/// What kind of line a number is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum LineKind {
    Mobile,
    Fixed,
    FixedOrMobile,
    Voip,
    #[default]
    Unknown,
}

impl LineKind {
    /// The word that rules see.
    fn name(self) -> &'static str {
        match self {
            LineKind::Mobile => "mobile",
            LineKind::Fixed => "fixed",
            LineKind::FixedOrMobile => "fixed_or_mobile",
            LineKind::Voip => "voip",
            LineKind::Unknown => "unknown",
        }
    }
}

/// What is known of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Number {
    /// Country code and national number, leading zeros included, as one integer: no country code begins with 0.
    /// Zero for what cannot be a number.
    pub(super) e164: u64,
    /// ISO 3166-1 alpha-2; zeros where a code belongs to no country.
    pub(super) country: [u8; 2],
    pub(super) kind: LineKind,
    pub(super) valid: bool,
}

/// Reads numbers, and remembers them.
#[derive(Debug)]
pub(super) struct PhoneReader {
    regions: HashMap<Box<str>, country::Id, TextBuildHasher>,
    region: country::Id,
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
            cache: Cache::new(if wanted { config.cache.phones } else { 0 }, RAW_BYTES_MAX + 2),
            key: String::new(),
            folded: String::new(),
            text: String::new(),
        })
    }

    /// The number that a text spells for a program; `None` if it can be none.
    pub(super) fn read(&mut self, program: &str, raw: &str) -> Option<Number> {
        if raw.len() > RAW_BYTES_MAX {
            return None;
        }
        let region = self.regions.get(program).copied().unwrap_or(self.region);
        let PhoneReader { cache, key, folded, .. } = self;
        key.clear();
        key.push_str(region.as_ref());
        key.push_str(raw);
        let number = cache.get_or_make(key.as_bytes(), || {
            folded.clear();
            folded.extend(raw.chars().filter(|c| !is_invisible(*c)).map(fold));
            number_of(folded.trim(), region).unwrap_or_default()
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
            row.set_text(Signal::PhoneCountry, batch.make(text_of(&number.country)));
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

/// Reads folded text. What starts with `+` or the region's prefix for calls abroad says its country itself; the
/// library would otherwise apply the region's trunk prefix and lengths to another country's number.
fn number_of(text: &str, region: country::Id) -> Option<Number> {
    if text.starts_with('+') {
        return possible(&phonenumber::parse(None, text).ok()?);
    }
    abroad(text, region).or_else(|| possible(&phonenumber::parse(Some(region), text).ok()?))
}

/// A number dialled with the region's prefix for calls abroad, such as `00`.
fn abroad(text: &str, region: country::Id) -> Option<Number> {
    let metadata = DATABASE.by_id(region.as_ref())?;
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let prefix = metadata.international_prefix()?.find(&digits).filter(|prefix| prefix.start() == 0)?;
    let number = format!("+{}", &digits[prefix.end()..]);
    possible(&phonenumber::parse(None, number).ok()?)
}

/// What is known of a number, if its country has numbers of its length.
fn possible(number: &PhoneNumber) -> Option<Number> {
    let code = number.code().value();
    let national = number.national().to_string();
    let e164 = format!("{code}{national}");
    if e164.len() > E164_DIGITS_MAX {
        return None;
    }
    // A country code that several countries share has one plan; the country is told only by a valid number.
    let own = number.metadata(&DATABASE);
    let plan = own.or_else(|| DATABASE.by_code(&code)?.into_iter().next())?;
    let length = u16::try_from(national.len()).ok()?;
    if !plan.descriptors().general().possible_length().contains(&length) {
        return None;
    }
    let kind = number.number_type(&DATABASE);
    Some(Number {
        e164: e164.parse().ok()?,
        country: own.map(Metadata::id).and_then(super::country::country).unwrap_or_default(),
        kind: match kind {
            Type::Mobile => LineKind::Mobile,
            Type::FixedLine => LineKind::Fixed,
            Type::FixedLineOrMobile => LineKind::FixedOrMobile,
            Type::Voip => LineKind::Voip,
            _ => LineKind::Unknown,
        },
        valid: kind != Type::Unknown,
    })
}

#[cfg(test)]
mod tests;
