use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::*;

#[test]
fn days_agree_with_jiff() {
    for days in (-719_162..2_932_896).step_by(97) {
        let (year, month, day) = civil_from_days(days);
        assert_eq!(days_from_civil(year, month, day), days);
        let date = Date::new(year as i16, month as i8, day as i8).expect("a day of the calendar");
        let start = Date::constant(1970, 1, 1);
        let span = date.since((jiff::Unit::Day, start)).expect("within jiff's range");
        assert_eq!(i64::from(span.get_days()), days, "{year}-{month}-{day}");
    }
}

#[test]
fn parts_agree_with_jiff() {
    let zones = ["Asia/Riyadh", "America/St_Johns", "Australia/Sydney", "Europe/Berlin", "UTC"];
    for second in (-2_000_000_000..4_000_000_000i64).step_by(19_999_877) {
        for name in zones {
            let zone = Zone::parse(name).expect("the zone is bundled");
            let instant = Timestamp::from_second(second).expect("in range");
            let local = instant.to_zoned(TimeZone::get(name).expect("the zone is bundled"));
            let ns = i128::from(second) * SECOND_NS;
            let part = |part: Part| part.of_timestamp(ns, &zone);
            assert_eq!(part(Part::FullYear), i64::from(local.year()));
            assert_eq!(part(Part::Month), i64::from(local.month()) - 1);
            assert_eq!(part(Part::Date), i64::from(local.day()));
            assert_eq!(part(Part::DayOfMonth), i64::from(local.day()) - 1);
            assert_eq!(part(Part::DayOfYear), i64::from(local.day_of_year()) - 1);
            assert_eq!(part(Part::DayOfWeek), i64::from(local.weekday().to_sunday_zero_offset()));
            assert_eq!(part(Part::Hours), i64::from(local.hour()));
            assert_eq!(part(Part::Minutes), i64::from(local.minute()));
        }
    }
}

#[test]
fn timestamps_are_read_and_written() {
    // text, nanoseconds or the fault, and how it is written again
    let cases: &[(&str, Result<i128, Fault>, &str)] = &[
        ("1970-01-01T00:00:00Z", Ok(0), "1970-01-01T00:00:00Z"),
        ("1970-01-01t00:00:00.5z", Ok(500_000_000), "1970-01-01T00:00:00.5Z"),
        ("2000-02-29T12:00:00+03:00", Ok(951_814_800_000_000_000), "2000-02-29T09:00:00Z"),
        ("0001-01-01T00:00:00Z", Ok(-62_135_596_800_000_000_000), "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999999Z", Ok(253_402_300_799_999_999_999), "9999-12-31T23:59:59.999999999Z"),
        ("0001-01-01T00:00:00+00:01", Err(Fault::Overflow), ""),
        ("2001-02-29T00:00:00Z", Err(Fault::InvalidConversion), ""),
        ("2001-02-28 00:00:00Z", Err(Fault::InvalidConversion), ""),
        ("2001-02-28T24:00:00Z", Err(Fault::InvalidConversion), ""),
        ("2001-02-28T00:00:00", Err(Fault::InvalidConversion), ""),
        ("2001-02-28T00:00:00.Z", Err(Fault::InvalidConversion), ""),
        ("2001-02-28T00:00:00+3:00", Err(Fault::InvalidConversion), ""),
        ("2001-02-28T00:00:00é", Err(Fault::InvalidConversion), ""),
    ];
    for (text, wanted, written) in cases {
        let got = parse_timestamp(text);
        assert_eq!(got, *wanted, "{text}");
        if let Ok(ns) = got {
            let mut out = String::new();
            write_timestamp(ns, &mut out);
            assert_eq!(out, *written);
        }
    }
}

#[test]
fn durations_are_read_and_written() {
    let cases: &[(&str, Result<i128, Fault>, &str)] = &[
        ("0", Ok(0), "0s"),
        ("300s", Ok(300 * SECOND_NS), "300s"),
        ("1h30m", Ok(5400 * SECOND_NS), "5400s"),
        ("-1.5s", Ok(-1_500_000_000), "-1.5s"),
        ("1.5h", Ok(5400 * SECOND_NS), "5400s"),
        (".5s", Ok(500_000_000), "0.5s"),
        ("1us", Ok(1_000), "0.000001s"),
        ("9223372036s", Ok(9_223_372_036_000_000_000), "9223372036s"),
        ("9223372037s", Err(Fault::Overflow), ""),
        ("99999999999999999999s", Err(Fault::Overflow), ""),
        ("", Err(Fault::InvalidConversion), ""),
        ("-", Err(Fault::InvalidConversion), ""),
        ("1", Err(Fault::InvalidConversion), ""),
        ("s", Err(Fault::InvalidConversion), ""),
        ("1d", Err(Fault::InvalidConversion), ""),
        ("1.2.3s", Err(Fault::InvalidConversion), ""),
        ("1s ", Err(Fault::InvalidConversion), ""),
    ];
    for (text, wanted, written) in cases {
        let got = parse_duration(text);
        assert_eq!(got, *wanted, "{text}");
        if let Ok(ns) = got {
            let mut out = String::new();
            write_duration(ns, &mut out);
            assert_eq!(out, *written);
        }
    }
}
