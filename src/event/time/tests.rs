use super::*;
use proptest::prelude::*;

fn by_jiff(text: &str) -> Option<i64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    let time_ms = i64::try_from(time.as_nanosecond().div_euclid(1_000_000)).ok()?;
    (TIME_MIN_MS..=TIME_MAX_MS).contains(&time_ms).then_some(time_ms)
}

fn written(time_ms: i64) -> String {
    let mut out = Vec::new();
    write_time_ms(&mut out, time_ms);
    String::from_utf8(out).unwrap()
}

#[test]
fn reads_the_forms_of_rfc_3339() {
    for (text, time_ms) in [
        ("1970-01-01T00:00:00Z", 0),
        ("1985-04-12T23:20:50.52Z", 482_196_050_520),
        ("1996-12-19T16:39:57-08:00", 851_042_397_000),
        ("1937-01-01T12:00:27.87+00:20", -1_041_337_172_130),
        ("1990-12-31T23:59:60Z", 662_687_999_000),
        ("1990-12-31t15:59:60.9-08:00", 662_687_999_900),
        ("2024-02-29T00:00:00.0009999999999999999z", 1_709_164_800_000),
        ("2026-05-01T10:00:00-00:00", 1_777_629_600_000),
        ("0001-01-01T00:00:00Z", TIME_MIN_MS),
        ("9999-12-31T23:59:59.9999Z", TIME_MAX_MS),
    ] {
        assert_eq!(parse_time_ms(text), Ok(time_ms), "{text}");
    }
}

#[test]
fn says_what_is_wrong() {
    for (text, problem) in [
        ("", "it is shorter than YYYY-MM-DDTHH:MM:SSZ"),
        ("2026-05-01", "it is shorter than YYYY-MM-DDTHH:MM:SSZ"),
        ("2026-05-01 10:00:00Z", "it does not have the form YYYY-MM-DDTHH:MM:SS"),
        ("2026-05-01T10:00:0xZ", "a digit of YYYY-MM-DDTHH:MM:SS is not one"),
        ("0000-05-01T10:00:00Z", "the year is not 0001 to 9999"),
        ("0001-01-01T00:00:00+00:01", "the year is not 0001 to 9999"),
        ("9999-12-31T23:59:59-00:01", "the year is not 0001 to 9999"),
        ("2026-13-01T10:00:00Z", "the month is not 01 to 12"),
        ("2026-00-01T10:00:00Z", "the month is not 01 to 12"),
        ("2023-02-29T10:00:00Z", "that month does not have such a day"),
        ("1900-02-29T10:00:00Z", "that month does not have such a day"),
        ("2026-04-31T10:00:00Z", "that month does not have such a day"),
        ("2026-04-00T10:00:00Z", "that month does not have such a day"),
        ("2026-05-01T24:00:00Z", "it is no time of a day"),
        ("2026-05-01T10:60:00Z", "it is no time of a day"),
        ("2026-05-01T10:00:61Z", "it is no time of a day"),
        ("2026-05-01T10:00:00.Z", "the fraction of the second has no digit"),
        ("2026-05-01T10:00:00", "it has no offset: end it with Z or ±hh:mm"),
        ("2026-05-01T10:00:00.5", "it has no offset: end it with Z or ±hh:mm"),
        ("2026-05-01T10:00:00Zz", "it does not end with Z or ±hh:mm"),
        ("2026-05-01T10:00:00+0300", "it does not end with Z or ±hh:mm"),
        ("2026-05-01T10:00:00,5Z", "it does not end with Z or ±hh:mm"),
        ("2026-05-01T10:00:00+24:00", "the offset is not within ±23:59"),
        ("2026-05-01T10:00:00+03:60", "the offset is not within ±23:59"),
    ] {
        assert_eq!(parse_time_ms(text), Err(problem), "{text}");
    }
}

#[test]
fn writes_beyond_the_calendar_as_its_edge() {
    assert_eq!(written(i64::MIN), "0001-01-01T00:00:00.000Z");
    assert_eq!(written(i64::MAX), "9999-12-31T23:59:59.999Z");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    // Dates may not exist and times may not be: jiff and this module must agree on that as well. jiff reads at most
    // nine digits of a fraction, and ends a day before the year 9999 does.
    #[test]
    fn agrees_with_jiff(
        date in (1i64..=9998, 0u8..=13, 0u8..=32),
        time in (0u8..=24, 0u8..=60, 0u8..=61),
        fraction in "(\\.[0-9]{1,9})?",
        offset in "[Zz]|[+-](0[0-9]|1[0-9]|2[0-3]):[0-5][0-9]",
    ) {
        let ((year, month, day), (hour, minute, second)) = (date, time);
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{offset}");
        prop_assert_eq!(parse_time_ms(&text).ok(), by_jiff(&text), "{}", text);
    }

    #[test]
    fn what_is_written_reads_back(time_ms in TIME_MIN_MS..=TIME_MAX_MS) {
        prop_assert_eq!(parse_time_ms(&written(time_ms)), Ok(time_ms));
    }

    #[test]
    fn never_panics(text in "[-0-9TZ:.+é]{0,40}|\\PC{0,40}") {
        let _ = parse_time_ms(&text);
    }
}
