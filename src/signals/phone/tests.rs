use super::*;
use crate::event::Field;
use crate::signals::plans::E164_DIGITS_MAX;
use crate::signals::tests::{derive, derive_with};
use proptest::prelude::*;

/// As entered for a program in Saudi Arabia: E.164, country, kind, whether valid.
const NUMBERS: &[(&str, &str, &str, &str, bool)] = &[
    ("+966501234567", "+966501234567", "SA", "mobile", true),
    ("0501234567", "+966501234567", "SA", "mobile", true),
    ("501234567", "+966501234567", "SA", "mobile", true),
    ("00966501234567", "+966501234567", "SA", "mobile", true),
    ("٠٥٠١٢٣٤٥٦٧", "+966501234567", "SA", "mobile", true),
    ("۰۵۰۱۲۳۴۵۶۷", "+966501234567", "SA", "mobile", true),
    ("०५०१२३४५६७", "+966501234567", "SA", "mobile", true),
    ("＋９６６５０１２３４５６７", "+966501234567", "SA", "mobile", true),
    ("\u{200e}+966 50 123-4567\u{200f}", "+966501234567", "SA", "mobile", true),
    ("+966 (0) 50 123 4567", "+966501234567", "SA", "mobile", true),
    ("tel:+966-50-123-4567", "+966501234567", "SA", "mobile", true),
    ("011 465 1234", "+966114651234", "SA", "fixed", true),
    ("+1 (650) 253-0000", "+16502530000", "US", "fixed_or_mobile", true),
    ("001 650 253 0000", "+16502530000", "US", "fixed_or_mobile", true),
    ("+44 7400 123456", "+447400123456", "GB", "mobile", true),
    ("+44 7911 123456", "+447911123456", "GG", "mobile", true),
    ("+7 812 123-45-67", "+78121234567", "RU", "fixed", true),
    ("+7 (701) 234-56-78", "+77012345678", "KZ", "mobile", true),
    ("+800 1234 5678", "+80012345678", "", "unknown", true),
    ("(+966) 50 123 4567", "+966501234567", "SA", "mobile", true),
    ("+44 56 0000 0000", "+445600000000", "GB", "voip", true),
    ("+1 650 253 0000 ext. 12", "+16502530000", "US", "fixed_or_mobile", true),
    ("+44 (0) 7400 123456", "+447400123456", "GB", "mobile", true),
    ("000110000000", "+966110000000", "SA", "fixed", true),
    // Italy keeps the zero.
    ("+39 06 4567 1234", "+390645671234", "IT", "fixed", true),
    ("0039 06 4567 1234", "+390645671234", "IT", "fixed", true),
    ("+971501234567", "+971501234567", "AE", "mobile", true),
    ("+966 800 123 4567", "+9668001234567", "SA", "unknown", true),
    // Of a length that the country has, but in no range that it gave out.
    ("+966201234567", "+966201234567", "SA", "unknown", false),
];

#[test]
fn numbers_have_one_form() {
    for (raw, normalized, country, kind, valid) in NUMBERS {
        let derived = derive(&[(Field::Phone, raw)]);
        let seen = (
            derived.text(Signal::PhoneNormalized),
            derived.text(Signal::PhoneCountry),
            derived.text(Signal::PhoneKind),
        );
        assert_eq!((seen, derived.flag(Signal::PhoneValid)), ((*normalized, *country, *kind), *valid), "{raw}");
        assert_eq!(derived.field(Field::Phone), *raw, "the field stays as entered");
    }
}

#[test]
fn the_region_is_the_program_s() {
    let config = SignalConfig {
        regions: [("uk", "GB"), ("us", "US"), ("default", "AE")]
            .map(|(program, region)| (program.to_owned(), region.to_owned()))
            .into(),
        region: "EG".to_owned(),
        ..SignalConfig::default()
    };
    for (program, raw, normalized) in [
        ("uk", "07911 123456", "+447911123456"),
        ("us", "650 253 0000", "+16502530000"),
        ("us", "011 966 50 123 4567", "+966501234567"),
        ("other", "0100 123 4567", "+201001234567"),
        ("", "050 123 4567", "+971501234567"),
        ("default", "050 123 4567", "+971501234567"),
    ] {
        let derived = derive_with(&config, &[(Field::Program, program), (Field::Phone, raw)]);
        assert_eq!(derived.text(Signal::PhoneNormalized), normalized, "{program}: {raw}");
    }
}

#[test]
fn what_cannot_be_a_number_is_refused() {
    let long = "5".repeat(97);
    for raw in
        ["1", "12", "+", "phone", "+999123456789", "+9665", "+96650123456789012", "+0123456789", "..", "+966", &long]
    {
        let derived = derive(&[(Field::Phone, raw)]);
        assert!(derived.event().unreadable.has(Field::Phone), "{raw}: {}", derived.text(Signal::PhoneNormalized));
        assert!(!derived.flag(Signal::PhoneValid));
    }
}

proptest! {
    #[test]
    fn a_number_is_its_own_number(raw in "(\\+|00)?(966|1|44|39|971|7|49|800)?[0-9]{5,12}") {
        let once = derive(&[(Field::Phone, &raw)]);
        let normalized = once.text(Signal::PhoneNormalized);
        if normalized.is_empty() {
            return Ok(());
        }
        let twice = derive(&[(Field::Phone, normalized)]);
        prop_assert_eq!(twice.text(Signal::PhoneNormalized), normalized, "of {}", raw);
        prop_assert_eq!(twice.flag(Signal::PhoneValid), once.flag(Signal::PhoneValid));
        prop_assert!(normalized.len() <= 1 + E164_DIGITS_MAX);
    }
}
