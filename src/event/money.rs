//! Amounts of money as decimal text and as minor units, exactly: no floating point comes near them.
//!
//! It imports nothing. Source of the table: ISO 4217, list one (currencies, funds and precious metals).

/// How many decimal digits a currency's minor unit stands for: 2 unless ISO 4217 says otherwise, and 0 for points
/// (`PTS`). The code is matched in any case.
pub fn currency_exponent(code: &str) -> u32 {
    const NONE: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PTS PYG RWF UGX UYI VND VUV XAF XOF XPF";
    const THREE: &str = "BHD IQD JOD KWD LYD OMR TND";
    const FOUR: &str = "CLF UYW";
    let is_in = |codes: &str| codes.split(' ').any(|known| known.eq_ignore_ascii_case(code));
    match code {
        _ if is_in(NONE) => 0,
        _ if is_in(THREE) => 3,
        _ if is_in(FOUR) => 4,
        _ => 2,
    }
}

/// A decimal number, read digit by digit: `digits` times ten to the power of `-scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decimal {
    digits: i128,
    scale: i32,
}

/// The largest exponent of ten that is read: nothing beyond fits 64 bits, nor is smaller than a minor unit.
const EXPONENT_MAX: i32 = 400;

impl Decimal {
    /// Reads `[+-]digits[.digits][e[+-]digits]`; at most 38 significant digits.
    fn parse(text: &str) -> Result<Decimal, &'static str> {
        const NOT_DECIMAL: &str = "it is not a decimal number";
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| NOT_DECIMAL)?),
            None => (text, 0),
        };
        if exponent.abs() > EXPONENT_MAX {
            return Err("its exponent is out of bounds");
        }
        let (negative, mantissa) = match mantissa.as_bytes() {
            [b'-', ..] => (true, &mantissa[1..]),
            [b'+', ..] => (false, &mantissa[1..]),
            _ => (false, mantissa),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !is_digits(whole) || !is_digits(fraction) {
            return Err(NOT_DECIMAL);
        }
        let fraction = fraction.trim_end_matches('0');
        let mut digits: i128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            let next = digits.checked_mul(10).and_then(|digits| digits.checked_add(i128::from(digit - b'0')));
            digits = next.ok_or("it has too many digits")?;
        }
        // Bounds: a field has at most 64 KiB, so the length of the fraction fits.
        Ok(Decimal { digits: if negative { -digits } else { digits }, scale: fraction.len() as i32 - exponent })
    }

    /// The number times ten to the power of `exponent`: its integer part towards minus infinity, and whether that is
    /// exact. `None` if the integer does not fit 64 bits.
    fn scaled(self, exponent: u32) -> Option<(i64, bool)> {
        if self.digits == 0 {
            return Some((0, true));
        }
        let shift = exponent as i32 - self.scale;
        let (value, exact) = match 10i128.checked_pow(shift.unsigned_abs()) {
            Some(power) if shift >= 0 => (self.digits.checked_mul(power)?, true),
            Some(power) => (self.digits.div_euclid(power), self.digits.rem_euclid(power) == 0),
            None if shift >= 0 => return None,
            None => (if self.digits < 0 { -1 } else { 0 }, false),
        };
        Some((i64::try_from(value).ok()?, exact))
    }
}

/// A decimal number such as `12.34` in units of ten to the power of `-exponent`, exactly.
///
/// # Errors
///
/// What is wrong with it, as a clause for a person: no number, too large, or with more digits than the unit has.
pub fn parse_decimal(text: &str, exponent: u32) -> Result<i64, &'static str> {
    match Decimal::parse(text)?.scaled(exponent) {
        Some((value, true)) => Ok(value),
        Some((_, false)) => Err("it has more decimal digits than its currency"),
        None => Err("it does not fit 64 bits"),
    }
}

/// As [`parse_decimal`], but cut towards minus infinity instead of refused when it has more digits: for instants.
///
/// # Errors
///
/// What is wrong with it, as a clause for a person: no number, or too large.
pub fn parse_decimal_floor(text: &str, exponent: u32) -> Result<i64, &'static str> {
    let (value, _) = Decimal::parse(text)?.scaled(exponent).ok_or("it does not fit 64 bits")?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_amounts_exactly() {
        for (text, exponent, amount) in [
            ("12.34", 2, Ok(1234)),
            ("12", 2, Ok(1200)),
            ("-0.5", 2, Ok(-50)),
            (".5", 2, Ok(50)),
            ("+7.", 0, Ok(7)),
            ("12.3400", 2, Ok(1234)),
            ("12.345", 3, Ok(12_345)),
            ("12.345", 2, Err("it has more decimal digits than its currency")),
            ("1.5", 0, Err("it has more decimal digits than its currency")),
            ("1e3", 2, Ok(100_000)),
            ("1.5e-1", 2, Ok(15)),
            ("0e400", 2, Ok(0)),
            ("1e-400", 2, Err("it has more decimal digits than its currency")),
            ("1e400", 2, Err("it does not fit 64 bits")),
            ("1e401", 2, Err("its exponent is out of bounds")),
            ("92233720368547758.07", 2, Ok(i64::MAX)),
            ("-92233720368547758.08", 2, Ok(i64::MIN)),
            ("92233720368547758.08", 2, Err("it does not fit 64 bits")),
            ("", 2, Err("it is not a decimal number")),
            (".", 2, Err("it is not a decimal number")),
            ("1,5", 2, Err("it is not a decimal number")),
            ("--1", 2, Err("it is not a decimal number")),
            ("١", 2, Err("it is not a decimal number")),
            (&"9".repeat(60), 0, Err("it has too many digits")),
        ] {
            assert_eq!(parse_decimal(text, exponent), amount, "{text} by {exponent}");
        }
        assert_eq!(parse_decimal_floor("-1.0001", 3), Ok(-1001));
        assert_eq!(parse_decimal_floor("1777629900.0079", 3), Ok(1_777_629_900_007));
    }

    #[test]
    fn knows_the_currencies_that_have_not_two_digits() {
        for (code, exponent) in
            [("SAR", 2), ("usd", 2), ("JPY", 0), ("KWD", 3), ("bhd", 3), ("CLF", 4), ("PTS", 0), ("", 2)]
        {
            assert_eq!(currency_exponent(code), exponent, "{code}");
        }
    }

    proptest! {
        #[test]
        fn an_amount_reads_back(amount in any::<i64>(), exponent in 0u32..=4) {
            let (sign, unit) = (if amount < 0 { "-" } else { "" }, 10u64.pow(exponent));
            let (whole, rest) = (amount.unsigned_abs() / unit, amount.unsigned_abs() % unit);
            let text = format!("{sign}{whole}.{rest:0width$}", width = exponent as usize);
            prop_assert_eq!(parse_decimal(&text, exponent), Ok(amount));
        }

        #[test]
        fn never_panics(text in "[-+.eE0-9]{0,60}|\\PC{0,20}", exponent in 0u32..=4) {
            let _ = parse_decimal(&text, exponent);
            let _ = parse_decimal_floor(&text, exponent);
        }
    }
}
