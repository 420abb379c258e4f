//! Instants as RFC 3339 text and as milliseconds since the Unix epoch, in both directions.
//!
//! Own code because an instant is read and written for every event, and the profile of RFC 3339 is small; the tests
//! compare it with a calendar library. It imports nothing. Invariant: an instant that was read lies in
//! [`TIME_MIN_MS`]..=[`TIME_MAX_MS`], so that it can be written again.

/// The earliest instant: 0001-01-01T00:00:00.000Z.
pub const TIME_MIN_MS: i64 = -62_135_596_800_000;
/// The latest instant: 9999-12-31T23:59:59.999Z.
pub const TIME_MAX_MS: i64 = 253_402_300_799_999;

const DAY_MS: i64 = 86_400_000;

/// Reads `YYYY-MM-DDTHH:MM:SS[.fraction](Z|±hh:mm)` as milliseconds since the Unix epoch.
///
/// `t` and `z` may be lower case. A fraction has any number of digits and is cut to milliseconds. Unix time has no leap
/// seconds: second 60 reads as 59.
///
/// # Errors
///
/// What is wrong with the text, as a clause for a person.
pub fn parse_time_ms(text: &str) -> Result<i64, &'static str> {
    let (head, rest) = text.as_bytes().split_first_chunk::<19>().ok_or("it is shorter than YYYY-MM-DDTHH:MM:SSZ")?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T' | b't', h0, h1, b':', n0, n1, b':', s0, s1] = *head else {
        return Err("it does not have the form YYYY-MM-DDTHH:MM:SS");
    };
    let digits = [y0, y1, y2, y3, m0, m1, d0, d1, h0, h1, n0, n1, s0, s1];
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err("a digit of YYYY-MM-DDTHH:MM:SS is not one");
    }
    let year = two(y0, y1) * 100 + two(y2, y3);
    let (month, day) = (two(m0, m1), two(d0, d1));
    let (hour, minute, second) = (two(h0, h1), two(n0, n1), two(s0, s1));
    if year == 0 {
        return Err("the year is not 0001 to 9999");
    }
    if !(1..=12).contains(&month) {
        return Err("the month is not 01 to 12");
    }
    if !(1..=days_in_month(year, month)).contains(&day) {
        return Err("that month does not have such a day");
    }
    if hour > 23 || minute > 59 || second > 60 {
        return Err("it is no time of a day");
    }
    let (fraction_ms, rest) = split_fraction(rest)?;
    let offset_minutes = parse_offset(rest)?;
    let minutes = hour * 60 + minute - offset_minutes;
    let time_ms = days_from_civil(year, month, day) * DAY_MS + minutes * 60_000 + second.min(59) * 1000 + fraction_ms;
    if (TIME_MIN_MS..=TIME_MAX_MS).contains(&time_ms) { Ok(time_ms) } else { Err("the year is not 0001 to 9999") }
}

/// Appends `YYYY-MM-DDTHH:MM:SS.mmmZ`, 24 bytes. An instant outside [`TIME_MIN_MS`]..=[`TIME_MAX_MS`], which only
/// arithmetic can give, is written as the nearest of the two.
pub fn write_time_ms(out: &mut Vec<u8>, time_ms: i64) {
    let time_ms = time_ms.clamp(TIME_MIN_MS, TIME_MAX_MS);
    let (year, month, day) = civil_from_days(time_ms.div_euclid(DAY_MS));
    let in_day_ms = time_ms.rem_euclid(DAY_MS);
    // Below 10,000 and below 86,400,000: short divisions do.
    let (year, in_day_ms) = (year as u32, in_day_ms as u32);
    let in_day = in_day_ms / 1000;
    let in_second_ms = in_day_ms % 1000;
    let [[y0, y1], [y2, y3]] = [digits(year / 100), digits(year % 100)];
    let [[m0, m1], [d0, d1]] = [digits(month as u32), digits(day as u32)];
    let [[h0, h1], [n0, n1], [s0, s1]] = [in_day / 3600, in_day / 60 % 60, in_day % 60].map(digits);
    let (f0, [f1, f2]) = (b'0' + (in_second_ms / 100) as u8, digits(in_second_ms % 100));
    out.extend_from_slice(&[
        y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1, b'.', f0, f1, f2, b'Z',
    ]);
}

/// The two decimal digits of a number below 100.
#[inline]
fn digits(value: u32) -> [u8; 2] {
    const PAIRS: [[u8; 2]; 100] = {
        let mut pairs = [[0; 2]; 100];
        let mut value = 0;
        while value < pairs.len() {
            pairs[value] = [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8];
            value += 1;
        }
        pairs
    };
    PAIRS[value as usize]
}

/// Milliseconds of an optional `.fraction`, and what follows it.
fn split_fraction(rest: &[u8]) -> Result<(i64, &[u8]), &'static str> {
    let Some((b'.', rest)) = rest.split_first() else {
        return Ok((0, rest));
    };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return Err("the fraction of the second has no digit");
    }
    let (digits, rest) = rest.split_at(length);
    let fraction_ms = [100, 10, 1].iter().zip(digits).map(|(weight, digit)| weight * i64::from(digit - b'0')).sum();
    Ok((fraction_ms, rest))
}

/// Minutes that local time is ahead of UTC.
fn parse_offset(rest: &[u8]) -> Result<i64, &'static str> {
    let (sign, hours, minutes) = match *rest {
        [b'Z' | b'z'] => return Ok(0),
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] if [h0, h1, m0, m1].iter().all(u8::is_ascii_digit) => {
            (sign, two(h0, h1), two(m0, m1))
        }
        [] => return Err("it has no offset: end it with Z or ±hh:mm"),
        _ => return Err("it does not end with Z or ±hh:mm"),
    };
    if hours > 23 || minutes > 59 {
        return Err("the offset is not within ±23:59");
    }
    let ahead = hours * 60 + minutes;
    Ok(if sign == b'-' { -ahead } else { ahead })
}

fn two(tens: u8, ones: u8) -> i64 {
    i64::from(tens - b'0') * 10 + i64::from(ones - b'0')
}

/// How many days a month of the Gregorian calendar has.
pub(crate) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar. Years are counted from March, in eras of 400 years
/// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a day since 1970-01-01; the inverse of [`days_from_civil`], from the same source.
pub(crate) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests;
