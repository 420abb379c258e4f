//! Telephone numbers: one form for every way to type them, by Google's metadata.

use std::collections::HashMap;

use phonenumber::metadata::DATABASE;
use phonenumber::{Metadata, Type, country};

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

/// Most digits of a country code.
const COUNTRY_CODE_DIGITS_MAX: usize = 3;

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

/// Reads folded text. What says its country itself (`+`, or the region's prefix for calls abroad) is taken apart here,
/// because the library would strip a trunk prefix from it that is none: of `+7 812 ...` the 8. What is typed as at home,
/// or with a trunk prefix in brackets, is the library's to read. A valid reading comes before one that is only possible.
fn number_of(text: &str, region: country::Id) -> Option<Number> {
    let abroad = abroad(text, region);
    let number = abroad.as_deref().and_then(number_abroad);
    if number.is_some_and(|number| number.valid) {
        return number;
    }
    let parsed = match &abroad {
        Some(digits) => phonenumber::parse(None, format!("+{digits}")),
        None => phonenumber::parse(Some(region), text),
    };
    let parsed = parsed.ok().and_then(|parsed| describe(parsed.code().value(), &parsed.national().to_string()));
    parsed.filter(|parsed| parsed.valid).or(number).or(parsed)
}

/// Country code and national number as digits, where the text has both.
fn abroad(text: &str, region: country::Id) -> Option<String> {
    let text = text.strip_prefix("tel:").unwrap_or(text);
    if text.chars().any(|c| c.is_alphabetic()) {
        return None;
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if text.trim_start_matches(['(', ' ']).starts_with('+') {
        return Some(digits);
    }
    let prefix = DATABASE.by_id(region.as_ref())?.international_prefix()?.find(&digits)?;
    (prefix.start() == 0).then(|| digits[prefix.end()..].to_owned())
}

/// A number by its digits from the country code on. No country code begins another (ITU-T E.164).
fn number_abroad(digits: &str) -> Option<Number> {
    (1..=COUNTRY_CODE_DIGITS_MAX).find_map(|len| {
        let (code, national) = digits.split_at_checked(len)?;
        let code = code.parse().ok()?;
        DATABASE.region(&code)?;
        describe(code, national)
    })
}

/// What is known of a number, if some country with this code has numbers of its length. Where several countries share a
/// code, the number's is the first whose leading digits it has, or in whose ranges it is.
fn describe(code: u16, national: &str) -> Option<Number> {
    let plans = DATABASE.by_code(&code)?;
    let e164 = format!("{code}{national}");
    if e164.len() > E164_DIGITS_MAX || !plans.iter().any(|plan| has_length(plan, national.len())) {
        return None;
    }
    let kind_in = |plan: &Metadata| kind_of(plan, national);
    let leads = |plan: &Metadata| {
        plan.leading_digits().and_then(|digits| digits.find(national)).is_some_and(|found| found.start() == 0)
    };
    let shared = plans.len() > 1;
    let plan =
        plans.iter().find(|plan| !shared || leads(plan) || plan.leading_digits().is_none() && kind_in(plan).is_some());
    let kind = plan.and_then(|plan| kind_in(plan));
    Some(Number {
        e164: e164.parse().ok()?,
        country: plan.map(|plan| plan.id()).and_then(super::country::country).unwrap_or_default(),
        kind: kind.unwrap_or_default(),
        valid: kind.is_some(),
    })
}

/// The kind of line by a country's ranges; `None` for a number outside of all of them. Special services are tried
/// first, because their ranges lie inside those of the rest.
fn kind_of(plan: &Metadata, national: &str) -> Option<LineKind> {
    let is = |kind: Type| plan.descriptors().get(kind).is_some_and(|range| range.is_match(national));
    const SPECIAL: [Type; 7] = [
        Type::PremiumRate,
        Type::TollFree,
        Type::SharedCost,
        Type::PersonalNumber,
        Type::Pager,
        Type::Uan,
        Type::Voicemail,
    ];
    if !is(Type::Unknown) {
        return None;
    }
    if is(Type::Voip) {
        return Some(LineKind::Voip);
    }
    if SPECIAL.into_iter().any(is) {
        return Some(LineKind::Unknown);
    }
    match (is(Type::FixedLine), is(Type::Mobile)) {
        (true, true) => Some(LineKind::FixedOrMobile),
        (true, false) => Some(LineKind::Fixed),
        (false, true) => Some(LineKind::Mobile),
        (false, false) => None,
    }
}

/// Whether some kind of number in a plan has this many digits. The library's general description has no lengths.
fn has_length(plan: &Metadata, digits: usize) -> bool {
    const KINDS: [Type; 10] = [
        Type::Mobile,
        Type::FixedLine,
        Type::TollFree,
        Type::Voip,
        Type::Uan,
        Type::PremiumRate,
        Type::SharedCost,
        Type::PersonalNumber,
        Type::Pager,
        Type::Voicemail,
    ];
    let descriptors = KINDS.iter().filter_map(|kind| plan.descriptors().get(*kind));
    descriptors.flat_map(|descriptor| descriptor.possible_length()).any(|length| usize::from(*length) == digits)
}

#[cfg(test)]
mod tests;
