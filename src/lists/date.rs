//! Sets of civil dates: holidays, days of a campaign. A date is a day in whatever time zone the asker means.

use jiff::civil::Date;

use super::network::{covers, merge};

/// Dates, as disjoint spans.
#[derive(Clone, Debug, Default)]
pub struct DateSet {
    /// First and last day of each span, disjoint and ascending.
    spans: Vec<(Date, Date)>,
}

impl DateSet {
    /// Whether the date is in the set.
    pub fn contains(&self, date: Date) -> bool {
        covers(&self.spans, date)
    }

    /// How many spans it holds; days that follow each other are one.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether it holds no date.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

impl FromIterator<(Date, Date)> for DateSet {
    /// Makes a set of spans from their first and last days.
    fn from_iter<I: IntoIterator<Item = (Date, Date)>>(spans: I) -> DateSet {
        let mut spans: Vec<(Date, Date)> = spans.into_iter().collect();
        merge(&mut spans, |last| last.tomorrow().ok());
        DateSet { spans }
    }
}

/// Reads `2026-05-01` or `2026-05-01..2026-05-07`, both days included.
pub(super) fn parse_span(entry: &str) -> Result<(Date, Date), String> {
    let (first, last) = match entry.split_once("..") {
        Some((first, last)) => (parse_date(first.trim_end())?, parse_date(last.trim_start())?),
        None => {
            let date = parse_date(entry)?;
            (date, date)
        }
    };
    if last < first {
        return Err(format!("`{entry}` ends before it begins: write {last}..{first}"));
    }
    Ok((first, last))
}

fn parse_date(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| {
        format!("`{}` is no date: write one like 2026-05-01, or a span 2026-05-01..2026-05-07", text.escape_debug())
    })
}
