//! The name of a copy, which says all that is to be known before it is read.

use std::fmt;

/// What names of copies begin with.
const PREFIX: &str = "checkpoint-";

/// Names sort by the time of copying.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CopyName {
    /// When it was copied, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The number of the first entry of the journal that is not in it.
    pub position: u64,
    /// How many events had been taken in.
    pub events: u64,
    /// The line of journals that it belongs to, in hexadecimal digits: numbers of entries mean nothing in another.
    pub line: String,
}

impl fmt::Display for CopyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CopyName { at_ms, position, events, line } = self;
        write!(f, "{PREFIX}{at_ms:015}-{position:020}-{events:020}-{line}")
    }
}

impl CopyName {
    /// Whether both are copies of one checkpoint.
    pub fn is_of(&self, other: &CopyName) -> bool {
        (self.position, self.events, &self.line) == (other.position, other.events, &other.line)
    }

    /// Reads a name; `None`: it is that of something else.
    pub fn read(name: &str) -> Option<CopyName> {
        let mut parts = name.strip_prefix(PREFIX)?.splitn(4, '-');
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (at_ms, position, events) = (number()?, number()?, number()?);
        let line = parts.next().filter(|line| line.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        Some(CopyName { at_ms, position, events, line: line.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_sort_by_time() {
        let name = |at_ms, position| CopyName { at_ms, position, events: 7, line: "0af3".to_owned() };
        for name in [name(1, 2), name(u64::from(u32::MAX) * 1000, u64::MAX)] {
            assert_eq!(CopyName::read(&name.to_string()), Some(name));
        }
        assert!(name(9, 100).to_string() < name(10, 2).to_string());
        for other in ["instance", "checkpoint-1", "checkpoint-1-2-3", "checkpoint-1-2-3-xyz", "checkpoint-a-2-3-0f"] {
            assert_eq!(CopyName::read(other), None, "{other}");
        }
    }
}
