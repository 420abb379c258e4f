//! Why bytes are not a valid event: one precise reason.
//!
//! It imports pure crates only. Invariant: [`Reason::code`] is one of [`Reason::CODES`], so that it can be a metric's label.

use super::Field;

/// The longest event that is read, in bytes: 64 KiB. Of a longer one a dead letter keeps as much.
pub const EVENT_BYTES_MAX: usize = 64 * 1024;

/// How far an event's time may lie beyond its ingest time, in milliseconds: 5 minutes.
pub const FUTURE_MAX_MS: i64 = 5 * 60 * 1000;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $code:literal $text:literal
       $variant:ident $({ $($(#[$part_doc:meta])* $part:ident: $type:ty),* })?;)*) => {
        /// Why an input is a dead letter. Its text is for people, its code for metrics and programs.
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        pub enum Reason {
            $($(#[doc = $doc])* #[error($text)] $variant $({ $($(#[$part_doc])* $part: $type),* })?,)*
        }

        impl Reason {
            /// Every code with what it means, in the order of docs/events.md.
            pub const CODES: &'static [(&'static str, &'static str)] = &[$(($code, concat!($($doc),*).trim_ascii()),)*];

            /// The stable code, a bounded label.
            pub fn code(&self) -> &'static str {
                match self { $(Reason::$variant { .. } => $code,)* }
            }
        }
    };
}

reasons! {
    /// The bytes are not UTF-8.
    "not_utf8" "the bytes are not UTF-8 from byte {offset} on"
    NotUtf8 {
        /// The first byte that is not.
        offset: usize
    };
    /// The text is not one JSON value, or nests deeper than 127 levels.
    "not_json" "cannot be read as JSON: {problem}, byte {offset}"
    NotJson {
        /// What the JSON parser says, with line and column.
        problem: String,
        /// Where it stopped, in bytes from the start of the text.
        offset: usize
    };
    /// The event is longer than 64 KiB.
    "too_large" "the event has {length_bytes} bytes, and 65536 are the most"
    TooLarge {
        /// How long it is.
        length_bytes: usize
    };
    /// `specversion` is absent or is not `1.0`.
    "bad_specversion" "specversion must be \"1.0\""
    BadSpecversion;
    /// `id` is absent or empty.
    "missing_id" "the event has no id"
    MissingId;
    /// `source` is absent or empty.
    "missing_source" "the event has no source"
    MissingSource;
    /// `type` is absent or empty.
    "missing_type" "the event has no type"
    MissingType;
    /// `time` is absent.
    "missing_time" "the event has no time"
    MissingTime;
    /// `time` is not an instant in RFC 3339.
    "bad_time" "time is not RFC 3339: {problem}"
    BadTime {
        /// What is wrong with it.
        problem: &'static str
    };
    /// A member has a value of the wrong type.
    "wrong_type" "{member} must be {expected}"
    WrongType {
        /// The member of the event; `event` for the whole.
        member: &'static str,
        /// What it should have been, with its article.
        expected: &'static str
    };
    /// A field that the type requires is absent or empty.
    "missing_field" "{kind} needs {field}"
    MissingField {
        /// The field.
        field: Field,
        /// The type that needs it.
        kind: &'static str
    };
    /// A member stands twice in the event.
    "duplicate_field" "{member} stands in the event twice"
    DuplicateField {
        /// The member, or the map with a key twice.
        member: &'static str
    };
    /// The time of the event is more than 5 minutes later than its ingest time.
    "future" "the event's time is {ahead_ms} ms later than its ingest time, and 300000 are the most"
    Future {
        /// How far it is ahead.
        ahead_ms: i64
    };
    /// The source and id are those of an earlier event with other data.
    "id_reused" "the source and id name an earlier event with other data"
    IdReused;
    /// The source's mapping cannot make an event of it.
    "mapping" "the mapping cannot build {field}: {problem}"
    Mapping {
        /// The field that it was building.
        field: Field,
        /// What stood in the way.
        problem: String
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_one_to_a_reason() {
        let mut codes: Vec<&str> = Reason::CODES.iter().map(|(code, _)| *code).collect();
        assert!(codes.contains(&Reason::IdReused.code()));
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Reason::CODES.len());
        for (code, meaning) in Reason::CODES {
            assert!(meaning.ends_with('.') && !meaning.starts_with(' '), "{code}: {meaning:?}");
        }
    }
}
