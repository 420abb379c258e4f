//! Instants and spans of time as CEL has them: ranges, RFC 3339, durations, and parts of a date in a time zone.
//!
//! Both are nanoseconds in an `i128`, so that arithmetic cannot wrap before its range is checked. The calendar
//! arithmetic is that of Howard Hinnant's "chrono-compatible low-level date algorithms"; time zones are those of jiff's
//! bundled database.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use super::Fault;
use crate::event::{civil_from_days, days_from_civil, days_in_month};

const SECOND_NS: i128 = 1_000_000_000;
const DAY_S: i64 = 86_400;
/// 0001-01-01T00:00:00Z, in seconds since the Unix epoch.
const FIRST_S: i128 = -62_135_596_800;
/// 9999-12-31T23:59:59Z.
const LAST_S: i128 = 253_402_300_799;

/// A timestamp in range.
///
/// # Errors
///
/// `Overflow` before year 1 and after year 9999.
#[inline]
pub(super) fn timestamp(ns: i128) -> Result<i128, Fault> {
    if (FIRST_S * SECOND_NS..(LAST_S + 1) * SECOND_NS).contains(&ns) { Ok(ns) } else { Err(Fault::Overflow) }
}

/// A duration in range: what 64 bits of nanoseconds hold, about 292 years, as the specification's cases want.
///
/// # Errors
///
/// `Overflow` beyond it.
#[inline]
pub(super) fn duration(ns: i128) -> Result<i128, Fault> {
    if i64::try_from(ns).is_ok() { Ok(ns) } else { Err(Fault::Overflow) }
}

/// A timestamp from whole seconds.
pub(super) fn timestamp_from_s(seconds: i64) -> Result<i128, Fault> {
    timestamp(i128::from(seconds) * SECOND_NS)
}

/// Whole seconds of a timestamp, down.
pub(super) fn seconds(ns: i128) -> i64 {
    ns.div_euclid(SECOND_NS) as i64
}

/// Decimal digits and nothing else, all of them.
fn digits(text: &str) -> Option<i64> {
    let all_digits = !text.is_empty() && text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { text.parse().ok() } else { None }
}

/// Nanoseconds of a decimal fraction of a second; digits past the ninth must be zero or are cut.
fn fraction_ns(text: &str) -> Option<i128> {
    let kept = &text[..text.len().min(9)];
    let valid = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let value = digits(kept)?;
    valid.then(|| i128::from(value) * 10i128.pow(9 - kept.len() as u32))
}

/// Reads RFC 3339, such as `2026-05-01T10:05:00.25+03:00`.
///
/// # Errors
///
/// `InvalidConversion` for another form, `Overflow` for an instant out of range.
pub(super) fn parse_timestamp(text: &str) -> Result<i128, Fault> {
    timestamp(parse_rfc3339(text).ok_or(Fault::InvalidConversion)?)
}

fn parse_rfc3339(text: &str) -> Option<i128> {
    if !text.is_ascii() || text.len() < 20 {
        return None;
    }
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, byte)| text.as_bytes()[*at].to_ascii_uppercase() != *byte) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| digits(&text[range]);
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let in_calendar = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    if !in_calendar || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let rest = &text[19..];
    let zone_at = rest.find(['Z', 'z', '+', '-'])?;
    let fraction = match &rest[..zone_at] {
        "" => 0,
        fraction => fraction_ns(fraction.strip_prefix('.')?)?,
    };
    let offset_s = match &rest[zone_at..] {
        "Z" | "z" => 0,
        offset => offset_seconds(offset)?,
    };
    let local_s = days_from_civil(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second;
    Some(i128::from(local_s - offset_s) * SECOND_NS + fraction)
}

/// Seconds east of UTC of `+03:00` or `03:00`.
fn offset_seconds(text: &str) -> Option<i64> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => (1, text),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let in_form = hours.len() == 2 && minutes.len() == 2;
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    (in_form && hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Reads a duration: decimal numbers with units `h m s ms us ns`, such as `1h30m` or `-1.5s`.
///
/// # Errors
///
/// `InvalidConversion` for another form, `Overflow` out of range.
pub(super) fn parse_duration(text: &str) -> Result<i128, Fault> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(Fault::InvalidConversion);
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(Fault::InvalidConversion)?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        total += term_ns(number, unit)?;
        rest = next;
        duration(total)?;
    }
    duration(sign * total)
}

/// Nanoseconds of one term of a duration, such as `1.5` and `h`.
fn term_ns(number: &str, unit: &str) -> Result<i128, Fault> {
    let unit_ns: i128 = match unit {
        "h" => 3600 * SECOND_NS,
        "m" => 60 * SECOND_NS,
        "s" => SECOND_NS,
        "ms" => 1_000_000,
        "us" | "µs" | "μs" => 1_000,
        "ns" => 1,
        _ => return Err(Fault::InvalidConversion),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Err(Fault::InvalidConversion);
    }
    if whole.len() > 18 {
        return Err(Fault::Overflow);
    }
    let whole = if whole.is_empty() { 0 } else { digits(whole).ok_or(Fault::InvalidConversion)? };
    let fraction = if fraction.is_empty() { 0 } else { fraction_ns(fraction).ok_or(Fault::InvalidConversion)? };
    Ok(i128::from(whole) * unit_ns + fraction * unit_ns / SECOND_NS)
}

/// Writes a timestamp as RFC 3339 in UTC, with as many digits of a fraction as it needs.
pub(super) fn write_timestamp(ns: i128, out: &mut String) {
    write_instant(ns, out);
    write_fraction(ns.rem_euclid(SECOND_NS), out);
    out.push('Z');
}

/// Writes a timestamp as RFC 3339 in UTC with three digits of a fraction, as verdicts have it.
pub(super) fn write_timestamp_ms(ns: i128, out: &mut String) {
    write_instant(ns, out);
    push(out, format_args!(".{:03}Z", ns.rem_euclid(SECOND_NS) / 1_000_000));
}

fn write_instant(ns: i128, out: &mut String) {
    let seconds = seconds(ns);
    let (year, month, day) = civil_from_days(seconds.div_euclid(DAY_S));
    let of_day = seconds.rem_euclid(DAY_S);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    push(out, format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"));
}

/// Writes a duration in seconds, such as `300s` or `-1.5s`.
pub(super) fn write_duration(ns: i128, out: &mut String) {
    if ns < 0 {
        out.push('-');
    }
    let ns = ns.abs();
    push(out, format_args!("{}", ns / SECOND_NS));
    write_fraction(ns % SECOND_NS, out);
    out.push('s');
}

fn write_fraction(ns: i128, out: &mut String) {
    if ns != 0 {
        push(out, format_args!(".{ns:09}"));
        out.truncate(out.trim_end_matches('0').len());
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string does not fail");
}

/// A time zone, resolved.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Zone {
    /// Seconds east of UTC.
    Offset(i64),
    /// A name of the IANA database.
    Named(TimeZone),
}

impl Zone {
    /// Coordinated universal time.
    pub(super) const UTC: Zone = Zone::Offset(0);

    /// The zone of this name or offset, such as `Asia/Riyadh` or `+03:00`.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for one that is not known.
    pub(super) fn parse(name: &str) -> Result<Zone, Fault> {
        if let Some(offset) = offset_seconds(name) {
            return Ok(Zone::Offset(offset));
        }
        TimeZone::get(name).map(Zone::Named).map_err(|_| Fault::InvalidArgument)
    }

    /// Seconds east of UTC at an instant.
    fn offset_s(&self, ns: i128) -> i64 {
        match self {
            Zone::Offset(seconds) => *seconds,
            Zone::Named(zone) => {
                let ns = ns.clamp(Timestamp::MIN.as_nanosecond(), Timestamp::MAX.as_nanosecond());
                let offset = Timestamp::from_nanosecond(ns).map_or(Offset::UTC, |instant| zone.to_offset(instant));
                i64::from(offset.seconds())
            }
        }
    }
}

/// A part of a date, as the accessors of CEL give it: counted from 0 but for `Date` and `FullYear`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    FullYear,
    Month,
    Date,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

impl Part {
    /// The part of a timestamp, in a zone.
    pub(super) fn of_timestamp(self, ns: i128, zone: &Zone) -> i64 {
        let local_s = seconds(ns) + zone.offset_s(ns);
        let days = local_s.div_euclid(DAY_S);
        let of_day = local_s.rem_euclid(DAY_S);
        let (year, month, day) = civil_from_days(days);
        match self {
            Part::FullYear => year,
            Part::Month => month - 1,
            Part::Date => day,
            Part::DayOfMonth => day - 1,
            Part::DayOfWeek => (days + 4).rem_euclid(7),
            Part::DayOfYear => days - days_from_civil(year, 1, 1),
            Part::Hours => of_day / 3600,
            Part::Minutes => of_day / 60 % 60,
            Part::Seconds => of_day % 60,
            Part::Milliseconds => (ns.rem_euclid(SECOND_NS) / 1_000_000) as i64,
        }
    }

    /// The part of a duration: all of it in hours, minutes or seconds, or the milliseconds beside whole seconds.
    ///
    /// # Errors
    ///
    /// `NoSuchOverload` for parts that a duration does not have.
    pub(super) fn of_duration(self, ns: i128) -> Result<i64, Fault> {
        let value = match self {
            Part::Hours => ns / (3600 * SECOND_NS),
            Part::Minutes => ns / (60 * SECOND_NS),
            Part::Seconds => ns / SECOND_NS,
            Part::Milliseconds => ns % SECOND_NS / 1_000_000,
            _ => return Err(Fault::NoSuchOverload),
        };
        Ok(value as i64)
    }
}

#[cfg(test)]
mod tests;
