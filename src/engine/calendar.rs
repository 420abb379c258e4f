//! Days, weeks, months and years of a time zone: when the one that an instant lies in began.

use std::cell::Cell;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::ruleset::yaml::CalendarUnit;

/// A unit of the calendar: the instants from `start_ms` to before `end_ms`, milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
}

impl Period {
    /// Holds no instant.
    const EMPTY: Period = Period { start_ms: 0, end_ms: 0 };
}

/// The calendar of a time zone, with the periods it was last asked for: events come roughly in order, so the zone's rules
/// are looked up a few times a day.
#[derive(Debug)]
pub(super) struct Calendar {
    zone: TimeZone,
    last: [Cell<Period>; CalendarUnit::ALL.len()],
}

impl Calendar {
    pub(super) fn new(zone: TimeZone) -> Calendar {
        Calendar { zone, last: [const { Cell::new(Period::EMPTY) }; CalendarUnit::ALL.len()] }
    }

    /// The day (from midnight), week (from Monday, ISO 8601), month or year that an instant lies in.
    #[inline]
    pub(super) fn period(&self, unit: CalendarUnit, time_ms: i64) -> Period {
        let last = &self.last[unit as usize];
        let known = last.get();
        if known.start_ms <= time_ms && time_ms < known.end_ms {
            return known;
        }
        let found = period(&self.zone, unit, time_ms);
        last.set(found);
        found
    }
}

#[cold]
fn period(zone: &TimeZone, unit: CalendarUnit, time_ms: i64) -> Period {
    let earliest_and_latest = (Timestamp::MIN.as_millisecond(), Timestamp::MAX.as_millisecond());
    let instant = Timestamp::from_millisecond(time_ms.clamp(earliest_and_latest.0, earliest_and_latest.1));
    let today = instant.map(|instant| zone.to_datetime(instant).date()).unwrap_or(Date::MIN);
    let (first, next) = match unit {
        CalendarUnit::Day => (Ok(today), today.tomorrow()),
        CalendarUnit::Week => {
            let back = i64::from(today.weekday().to_monday_zero_offset());
            (today.checked_sub(back.days()), today.checked_add((7 - back).days()))
        }
        CalendarUnit::Month => (Ok(today.first_of_month()), today.last_of_month().tomorrow()),
        CalendarUnit::Year => (Ok(today.first_of_year()), today.last_of_year().tomorrow()),
    };
    // The calendar ends in the years -9999 and 9999, far from any event that is accepted.
    let midnight = |date: Result<Date, jiff::Error>| date.and_then(|date| date.to_zoned(zone.clone()));
    Period {
        start_ms: midnight(first).map_or(earliest_and_latest.0, |start| start.timestamp().as_millisecond()),
        end_ms: midnight(next).map_or(i64::MAX, |end| end.timestamp().as_millisecond()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(zone: &str, unit: CalendarUnit, time: &str) -> (String, String) {
        let calendar = Calendar::new(TimeZone::get(zone).expect("a zone of the tables"));
        let instant: Timestamp = time.parse().expect("an instant");
        let Period { start_ms, end_ms } = calendar.period(unit, instant.as_millisecond());
        assert_eq!(calendar.period(unit, start_ms), Period { start_ms, end_ms }, "its first instant is in it");
        assert_eq!(calendar.period(unit, end_ms - 1), Period { start_ms, end_ms }, "and its last");
        assert_eq!(calendar.period(unit, end_ms).start_ms, end_ms, "the next one begins where it ends");
        let shown = |ms| Timestamp::from_millisecond(ms).expect("an instant").to_string();
        (shown(start_ms), shown(end_ms))
    }

    fn is(zone: &str, unit: CalendarUnit, time: &str, start: &str, end: &str) {
        assert_eq!(told(zone, unit, time), (start.to_owned(), end.to_owned()), "{unit:?} of {time} in {zone}");
    }

    #[test]
    fn units_begin_at_midnight_of_the_zone() {
        use CalendarUnit::{Day, Month, Week, Year};
        // 2026-11-22 is a Sunday; in Riyadh Monday has begun.
        let time = "2026-11-22T21:30:00Z";
        is("Asia/Riyadh", Day, time, "2026-11-22T21:00:00Z", "2026-11-23T21:00:00Z");
        is("Asia/Riyadh", Week, time, "2026-11-22T21:00:00Z", "2026-11-29T21:00:00Z");
        is("UTC", Week, time, "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z");
        is("Asia/Riyadh", Month, "2026-10-31T21:00:00Z", "2026-10-31T21:00:00Z", "2026-11-30T21:00:00Z");
        is("Asia/Riyadh", Month, "2026-10-31T20:59:59.999Z", "2026-09-30T21:00:00Z", "2026-10-31T21:00:00Z");
        is("Asia/Riyadh", Year, "2026-12-31T21:00:00Z", "2026-12-31T21:00:00Z", "2027-12-31T21:00:00Z");
    }

    #[test]
    fn clocks_that_are_set_make_days_of_23_and_25_hours() {
        use CalendarUnit::Day;
        is("Africa/Cairo", Day, "2026-04-24T12:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z");
        is("Europe/Berlin", Day, "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
    }

    #[test]
    fn no_unit_is_longer_than_its_bound() {
        for zone in ["Asia/Riyadh", "Africa/Cairo", "Pacific/Apia", "America/St_Johns", "Australia/Lord_Howe"] {
            let calendar = Calendar::new(TimeZone::get(zone).expect("a zone of the tables"));
            for unit in CalendarUnit::ALL {
                let mut time_ms = 1_262_304_000_000;
                while time_ms < 1_830_297_600_000 {
                    let Period { start_ms, end_ms } = calendar.period(unit, time_ms);
                    assert!(end_ms - start_ms <= unit.longest_ms(), "{unit:?} from {start_ms} in {zone}");
                    time_ms = end_ms;
                }
            }
        }
    }
}
