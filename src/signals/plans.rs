//! Numbering plans: which telephone numbers a country has, by Google's metadata as the `phonenumber` library ships it.
//!
//! The library can answer this too, but keeps only its hundred last regular expressions: numbers of a dozen countries in
//! turn cost it a compilation each, up to a millisecond, and whoever sends them decides that. Here every plan is
//! compiled once, when its first number comes, with all its ranges in one automaton; there are some 250 plans.

use std::collections::HashMap;
use std::sync::OnceLock;

use phonenumber::metadata::{DATABASE, Descriptor};
use phonenumber::{Metadata, Type};
use regex::{Regex, RegexSet, RegexSetBuilder};

use crate::event::country;

/// Most digits of a number with its country code (ITU-T E.164).
pub(super) const E164_DIGITS_MAX: usize = 15;

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
    pub(super) fn name(self) -> &'static str {
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
    /// ISO 3166-1 alpha-2; zeros where the number belongs to no country.
    pub(super) country: [u8; 2],
    pub(super) kind: LineKind,
    pub(super) valid: bool,
}

/// The ranges of a plan, in the order in which they are tried: special services lie inside the ranges of the rest.
const RANGES: [Type; 10] = [
    Type::Voip,
    Type::PremiumRate,
    Type::TollFree,
    Type::SharedCost,
    Type::PersonalNumber,
    Type::Pager,
    Type::Uan,
    Type::Voicemail,
    Type::FixedLine,
    Type::Mobile,
];

/// Every plan whose country code was asked for.
#[derive(Debug, Default)]
pub(super) struct Plans {
    by_code: HashMap<u16, Vec<Plan>>,
}

/// The numbers of one country, or of a service with a country code of its own.
#[derive(Debug)]
struct Plan {
    metadata: &'static Metadata,
    /// ISO 3166-1 alpha-2; zeros for a service.
    country: [u8; 2],
    /// How many digits its national numbers have: a bit for each length.
    lengths: u32,
    /// What all its numbers begin with, where it shares its country code.
    leading: Option<Regex>,
    /// All ranges, compiled when the first number comes.
    ranges: OnceLock<Ranges>,
}

/// A pattern for all numbers of a plan, then one for each range that it has.
#[derive(Debug)]
struct Ranges {
    set: RegexSet,
    /// What each pattern after the first is, and the lengths that its numbers have.
    kinds: Vec<(Type, u32)>,
}

impl Plans {
    /// What is known of a number by its digits from the country code on. No country code begins another (E.164).
    pub(super) fn describe_abroad(&mut self, digits: &str) -> Option<Number> {
        (1..=COUNTRY_CODE_DIGITS_MAX).find_map(|len| {
            let (code, national) = digits.split_at_checked(len)?;
            self.describe_typed(code.parse().ok()?, national)
        })
    }

    /// What is known of a national number as people type it: they keep the trunk prefix, as in +966 (0) 50 ..., which
    /// counts as such only if the rest is valid and the whole is not.
    pub(super) fn describe_typed(&mut self, code: u16, national: &str) -> Option<Number> {
        let number = self.describe(code, national);
        if number.is_some_and(|number| number.valid) {
            return number;
        }
        let plan = DATABASE.by_code(&code).and_then(|plans| plans.first().copied());
        let rest = plan.and_then(Metadata::national_prefix).and_then(|trunk| national.strip_prefix(trunk));
        let without_trunk = rest.and_then(|rest| self.describe(code, rest)).filter(|number| number.valid);
        without_trunk.or(number)
    }

    /// What is known of a national number, if some plan with this country code has numbers of its length. Where several
    /// share a code, the number's is the first whose leading digits it has, or in whose ranges it is.
    fn describe(&mut self, code: u16, national: &str) -> Option<Number> {
        let plans = self
            .by_code
            .entry(code)
            .or_insert_with(|| DATABASE.by_code(&code).unwrap_or_default().into_iter().map(Plan::new).collect());
        let e164 = format!("{code}{national}");
        if e164.len() > E164_DIGITS_MAX || !plans.iter().any(|plan| plan.lengths & bit(national.len()) != 0) {
            return None;
        }
        let plan = match plans.as_slice() {
            [plan] => Some(plan),
            plans => plans.iter().find(|plan| match &plan.leading {
                Some(leading) => leading.is_match(national),
                None => plan.kind_of(national).is_some(),
            }),
        };
        let kind = plan.and_then(|plan| plan.kind_of(national));
        Some(Number {
            e164: e164.parse().ok()?,
            country: plan.map(|plan| plan.country).unwrap_or_default(),
            kind: kind.unwrap_or_default(),
            valid: kind.is_some(),
        })
    }
}

impl Plan {
    fn new(metadata: &'static Metadata) -> Plan {
        let ranges = RANGES.iter().filter_map(|range| metadata.descriptors().get(*range));
        let leading = metadata.leading_digits().map(|digits| format!("^(?:{})", digits.as_str()));
        Plan {
            metadata,
            country: country(metadata.id()).unwrap_or_default(),
            lengths: ranges.fold(0, |lengths, range| lengths | lengths_of(range)),
            leading: leading
                .map(|leading| Regex::new(&leading).expect("the library's patterns are regular expressions")),
            ranges: OnceLock::new(),
        }
    }

    /// The kind of line by the plan's ranges; `None` for a number outside of all of them.
    fn kind_of(&self, national: &str) -> Option<LineKind> {
        let Ranges { set, kinds } = self.ranges.get_or_init(|| Ranges::new(self.metadata));
        let matches = set.matches(national);
        if !matches.matched(0) {
            return None;
        }
        let length = bit(national.len());
        let is = |range: Type| {
            let mut ranges = kinds.iter().enumerate();
            ranges.any(|(index, (kind, lengths))| *kind == range && lengths & length != 0 && matches.matched(index + 1))
        };
        match RANGES.into_iter().find(|range| is(*range))? {
            Type::Voip => Some(LineKind::Voip),
            Type::Mobile => Some(LineKind::Mobile),
            Type::FixedLine if is(Type::Mobile) => Some(LineKind::FixedOrMobile),
            Type::FixedLine => Some(LineKind::Fixed),
            _ => Some(LineKind::Unknown),
        }
    }
}

impl Ranges {
    fn new(metadata: &Metadata) -> Ranges {
        let pattern = |range: &Descriptor| format!("^(?:{})$", range.national_number().as_str());
        let mut patterns = vec![pattern(metadata.descriptors().general())];
        let mut kinds = Vec::new();
        for range in RANGES {
            if let Some(descriptor) = metadata.descriptors().get(range) {
                patterns.push(pattern(descriptor));
                kinds.push((range, lengths_of(descriptor)));
            }
        }
        let set = RegexSetBuilder::new(patterns).unicode(false).ignore_whitespace(true).build();
        Ranges { set: set.expect("the library's patterns are regular expressions"), kinds }
    }
}

/// The lengths of a range's numbers. The metadata leave out no length of any range.
fn lengths_of(range: &Descriptor) -> u32 {
    range.possible_length().iter().fold(0, |lengths, length| lengths | bit(usize::from(*length)))
}

/// The bit of a length; none for a length that no number has.
fn bit(digits: usize) -> u32 {
    if digits > E164_DIGITS_MAX { 0 } else { 1 << digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_compiles_and_knows_its_own_examples() {
        let mut plans = Plans::default();
        let mut examples = 0;
        for metadata in DATABASE.iter() {
            for range in RANGES {
                let descriptor = metadata.descriptors().get(range);
                let Some(example) = descriptor.and_then(Descriptor::example) else { continue };
                assert_ne!(descriptor.map_or(0, lengths_of), 0, "{} {range:?}", metadata.id());
                let number = plans.describe(metadata.country_code(), example);
                let number = number.unwrap_or_else(|| panic!("{} {range:?} {example} is possible", metadata.id()));
                assert!(number.valid, "{} {range:?} {example}", metadata.id());
                examples += 1;
            }
        }
        assert!(examples > 1000, "{examples}");
    }
}
