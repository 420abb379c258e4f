//! From tree to typed values: each reader answers `None` and reports when a value is not what its key wants.

use std::ops::RangeInclusive;

use super::{Entry, Kind, Node, Style};
use crate::event::nearest;
use crate::ruleset::diagnostic::{Diagnostic, Severity, visible};

/// A unit of the calendar, in a program's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CalendarUnit {
    /// From midnight.
    Day,
    /// From Monday's midnight.
    Week,
    /// From the first of the month.
    Month,
    /// From the first of January.
    Year,
}

impl CalendarUnit {
    /// All of them.
    pub const ALL: [CalendarUnit; 4] = [CalendarUnit::Day, CalendarUnit::Week, CalendarUnit::Month, CalendarUnit::Year];

    /// A bound of how long one takes, in milliseconds: clocks may be set back in it, by a day at most.
    pub fn longest_ms(self) -> i64 {
        const DAY_MS: i64 = 86_400_000;
        let days = match self {
            CalendarUnit::Day => 1,
            CalendarUnit::Week => 7,
            CalendarUnit::Month => 31,
            CalendarUnit::Year => 366,
        };
        (days + 1) * DAY_MS
    }
}

/// How wide a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// A fixed span, in milliseconds.
    Fixed(i64),
    /// Since the calendar's unit began.
    Calendar(CalendarUnit),
}

/// Reads typed values and collects what is wrong with them; never stops at the first fault.
#[derive(Debug, Default)]
pub struct Reader {
    /// What was found so far, in the order of reading. At most [`Reader::FOUND_MAX`] are kept.
    pub found: Vec<Diagnostic>,
}

/// The longest span of time that is read: a thousand years, in milliseconds.
const DURATION_MAX_MS: i64 = 1000 * 366 * 86_400_000;

impl Reader {
    /// How many findings are kept: past it the reader of the report has seen enough.
    pub const FOUND_MAX: usize = 1000;

    /// Adds a finding.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.found.len() < Reader::FOUND_MAX {
            self.found.push(diagnostic);
        }
    }

    /// Whether an error was found.
    pub fn failed(&self) -> bool {
        self.found.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    fn wrong<T>(&mut self, node: &Node, expected: &str) -> Option<T> {
        self.push(node.error("type", format!("expected {expected}, found {}", node.describe())));
        None
    }

    /// A text; any scalar that is not null, as written.
    pub fn text<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        match &node.kind {
            Kind::Scalar(scalar) if !node.is_null() => Some(&scalar.text),
            _ => self.wrong(node, "a text"),
        }
    }

    /// A text that is not blank.
    pub fn filled_text<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        let text = self.text(node)?;
        if text.trim().is_empty() {
            return self.wrong(node, "a text that is not empty");
        }
        Some(text)
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, node: &Node) -> Option<bool> {
        match plain(node) {
            Some("true" | "True" | "TRUE") => Some(true),
            Some("false" | "False" | "FALSE") => Some(false),
            _ => self.wrong(node, "true or false"),
        }
    }

    /// A whole number within bounds; `_` may group digits.
    pub fn int(&mut self, node: &Node, bounds: RangeInclusive<i64>) -> Option<i64> {
        let Some(value) = plain(node).and_then(|text| text.replace('_', "").parse::<i64>().ok()) else {
            return self.wrong(node, "a whole number");
        };
        if !bounds.contains(&value) {
            return self.wrong(node, &bounded("a whole number", bounds));
        }
        Some(value)
    }

    /// A number within bounds. `.inf` and `.nan` are not numbers here.
    pub fn double(&mut self, node: &Node, bounds: RangeInclusive<f64>) -> Option<f64> {
        let number = plain(node).filter(|text| text.bytes().any(|byte| byte.is_ascii_digit()));
        match number.and_then(|text| text.parse::<f64>().ok()).filter(|value| value.is_finite()) {
            Some(value) if bounds.contains(&value) => Some(value),
            Some(_) => self.wrong(node, &format!("a number from {} to {}", bounds.start(), bounds.end())),
            None => self.wrong(node, "a number"),
        }
    }

    /// A span of time such as `90s`, `24h` or `1h30m`, in milliseconds.
    pub fn duration_ms(&mut self, node: &Node) -> Option<i64> {
        match scalar(node).and_then(parse_duration_ms) {
            Some(value) => Some(value),
            None => {
                let message = format!("expected a span of time, found {}", node.describe());
                self.push(node.error("type", message).hint("write a number with s, m, h or d, such as `30s` or `7d`"));
                None
            }
        }
    }

    /// A span of time that is not empty, in milliseconds.
    pub fn positive_duration_ms(&mut self, node: &Node) -> Option<i64> {
        match self.duration_ms(node)? {
            0 => self.wrong(node, "a span longer than zero"),
            value => Some(value),
        }
    }

    /// The width of a window: a fixed span, or a word of the calendar.
    pub fn width(&mut self, node: &Node) -> Option<Width> {
        let unit = match scalar(node) {
            Some("day") => CalendarUnit::Day,
            Some("week") => CalendarUnit::Week,
            Some("month") => CalendarUnit::Month,
            Some("year") => CalendarUnit::Year,
            Some(word) if parse_duration_ms(word).is_none() => {
                let message = format!("expected the width of a window, found {}", node.describe());
                let hint = "write a number with s, m, h or d, such as `24h`; or `day`, `week`, `month` or `year` for those of \
                            the calendar";
                self.push(node.error("type", message).hint(hint));
                return None;
            }
            _ => return self.positive_duration_ms(node).map(Width::Fixed),
        };
        Some(Width::Calendar(unit))
    }

    /// A percentage from 0 to 100 with at most one decimal, such as `2.5%`, in thousandths.
    pub fn permille(&mut self, node: &Node) -> Option<u32> {
        match scalar(node).and_then(parse_permille) {
            Some(value) => Some(value),
            None => {
                let message = format!("expected a percentage, found {}", node.describe());
                self.push(
                    node.error("type", message).hint("write 0% to 100%, with at most one decimal, such as `2.5%`"),
                );
                None
            }
        }
    }

    /// A size such as `512MiB` or `4GiB`, in bytes.
    pub fn bytes(&mut self, node: &Node) -> Option<u64> {
        match scalar(node).and_then(parse_bytes) {
            Some(value) => Some(value),
            None => {
                let message = format!("expected a size, found {}", node.describe());
                self.push(
                    node.error("type", message).hint("write a number with B, KiB, MiB, GiB or TiB, such as `4GiB`"),
                );
                None
            }
        }
    }

    /// A day such as `2027-01-01`: its first instant in UTC, in milliseconds since the Unix epoch.
    pub fn date_ms(&mut self, node: &Node) -> Option<i64> {
        let date = scalar(node).and_then(|text| text.parse::<jiff::civil::Date>().ok());
        let instant = date.and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok());
        match instant {
            Some(instant) => Some(instant.timestamp().as_millisecond()),
            None => self.wrong(node, "a date such as `2027-01-31`"),
        }
    }

    /// The items of a list.
    pub fn list<'n>(&mut self, node: &'n Node) -> Option<&'n [Node]> {
        match &node.kind {
            Kind::List(items) => Some(items),
            Kind::Scalar(scalar) if !node.is_null() && scalar.text.chars().count() <= 40 => {
                let message = format!("expected a list, found {}", node.describe());
                self.push(node.error("type", message).hint(format!("write `[{}]`", scalar.text)));
                None
            }
            _ => self.wrong(node, "a list"),
        }
    }

    /// A list of texts that are not blank; items that are something else are reported and left out.
    pub fn texts(&mut self, node: &Node) -> Option<Vec<String>> {
        let items = self.list(node)?;
        Some(items.iter().filter_map(|item| self.filled_text(item).map(str::to_owned)).collect())
    }

    /// The entries of a map with free keys.
    pub fn entries<'n>(&mut self, node: &'n Node) -> Option<&'n [Entry]> {
        match &node.kind {
            Kind::Map(entries) => Some(entries),
            _ => self.wrong(node, "a map"),
        }
    }

    /// A map whose keys are known; `what` names it in messages, such as "a rule". Unknown keys are reported.
    pub fn fields<'n>(&mut self, node: &'n Node, what: &'static str, known: &[&str]) -> Option<Fields<'n>> {
        let Kind::Map(entries) = &node.kind else {
            return self.wrong(node, &format!("{what} as a map"));
        };
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            if self.found.len() >= Reader::FOUND_MAX {
                break;
            }
            let message = format!("{what} has no key `{}`", visible(&entry.key));
            let diagnostic = Diagnostic::error("unknown-key", &node.file, entry.key_span.clone(), message);
            self.push(diagnostic.hint(suggest(&entry.key, known.iter().copied())));
        }
        Some(Fields { node, what, entries })
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, node: &Node, what: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(node)?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let message = format!("{} is no {what}", node.describe());
        self.push(node.error("unknown-value", message).hint(suggest(text, choices.iter().map(|(word, _)| *word))));
        None
    }
}

/// The entries of a map with known keys.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'n> {
    /// The map itself.
    pub node: &'n Node,
    what: &'static str,
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    /// The value of a key; `None` when the key is not there.
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The key and its value; `None` when the key is not there.
    pub fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The value of a key that must be there; its absence is reported at the start of the map.
    pub fn required(&self, key: &str, reader: &mut Reader) -> Option<&'n Node> {
        let found = self.get(key);
        if found.is_none() {
            reader.push(self.error_at_start("missing-key", format!("{} needs the key `{key}`", self.what)));
        }
        found
    }

    /// An error about the map as a whole, at its first character.
    pub fn error_at_start(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        let start = self.node.span.start;
        Diagnostic::error(code, &self.node.file, start..start, message)
    }

    /// An error that underlines a key; the start of the map when the key is not there.
    pub fn error_at_key(&self, key: &str, code: &'static str, message: impl Into<String>) -> Diagnostic {
        match self.entry(key) {
            Some(entry) => Diagnostic::error(code, &self.node.file, entry.key_span.clone(), message),
            None => self.error_at_start(code, message),
        }
    }

    /// A warning that underlines a key; the start of the map when the key is not there.
    pub fn warning_at_key(&self, key: &str, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..self.error_at_key(key, code, message) }
    }
}

/// A hint: the nearest known name, else all of them if they are few.
pub fn suggest<'k>(name: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => {
            let mut names: Vec<&str> = known.take(40).collect();
            names.sort_unstable();
            format!("known are: {}", names.join(", "))
        }
    }
}

/// The text of a scalar that is not null.
fn scalar(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Scalar(scalar) if !node.is_null() => Some(scalar.text.trim()),
        _ => None,
    }
}

/// The text of a scalar without quotes.
fn plain(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Scalar(scalar) if scalar.style == Style::Plain => Some(&scalar.text),
        _ => None,
    }
}

fn bounded(what: &str, bounds: RangeInclusive<i64>) -> String {
    match (*bounds.start(), *bounds.end()) {
        (start, i64::MAX) => format!("{what} of at least {start}"),
        (i64::MIN, end) => format!("{what} of at most {end}"),
        (start, end) => format!("{what} from {start} to {end}"),
    }
}

/// Reads `500ms`, `30s`, `5m`, `24h`, `7d`, or several in falling order such as `1h30m`; in milliseconds.
pub fn parse_duration_ms(text: &str) -> Option<i64> {
    const UNITS: [(&str, i64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("ms", 1), ("m", 60_000), ("s", 1000)];
    let mut rest = text;
    let mut total: i64 = 0;
    let mut last_unit_ms = i64::MAX;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (word, unit_ms) = UNITS.into_iter().find(|(word, _)| rest.starts_with(word))?;
        if unit_ms >= last_unit_ms {
            return None;
        }
        last_unit_ms = unit_ms;
        rest = &rest[word.len()..];
        total = total.checked_add(number.checked_mul(unit_ms)?)?;
    }
    (last_unit_ms != i64::MAX && total <= DURATION_MAX_MS).then_some(total)
}

/// Reads `100`, `64B`, `8KiB`, `512MiB`, `4GiB` or `1TiB`, a fraction allowed before a unit; in bytes.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let end = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let shift = match text[end..].trim() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    match text[..end].parse::<u64>() {
        Ok(whole) => whole.checked_mul(1 << shift).filter(|bytes| *bytes < 1 << 60),
        Err(_) => {
            let scaled = text[..end].parse::<f64>().ok()? * (1_u64 << shift) as f64;
            (scaled.fract() == 0.0 && scaled < (1_u64 << 60) as f64).then_some(scaled as u64)
        }
    }
}

fn parse_permille(text: &str) -> Option<u32> {
    let number = text.strip_suffix('%')?.trim_end();
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(tenths) || tenths.len() != 1 {
        return None;
    }
    let value = whole.parse::<u32>().ok()? * 10 + tenths.parse::<u32>().ok()?;
    (value <= 1000).then_some(value)
}
