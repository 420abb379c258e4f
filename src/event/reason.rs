//! Why bytes are not a valid event: one precise reason, and the record that keeps both.
//!
//! Bad input never stops the stream and never vanishes; this module is what it turns into. It imports pure crates only.
//! Invariant: [`Reason::code`] is one of [`Reason::CODES`], so that it can be a metric's label.

use super::Field;
use super::json::{write_escaped, write_int, write_string, write_timestamp};
use sha2::{Digest as _, Sha256};

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
    /// The text is not one JSON value.
    "not_json" "not JSON: {problem}, byte {offset}"
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

/// An input that is not a valid event, with everything needed to find, repair and send it again.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetter<'a> {
    /// Why it was refused.
    pub reason: &'a Reason,
    /// The configured name of the source.
    pub source: &'a str,
    /// Where it stood, as text: `topic/partition/offset`, or the line of a file.
    pub position: &'a str,
    /// When it reached us, in milliseconds since the Unix epoch.
    pub ingest_time_ms: i64,
    /// The bytes as they came; any length.
    pub raw: &'a [u8],
    /// Length and SHA-256 of the whole, where `raw` is only its beginning.
    pub whole: Option<(u64, [u8; 32])>,
}

impl DeadLetter<'_> {
    /// Appends the record as one line of JSON, with its line feed: `reason`, `detail`, `source`, `position`,
    /// `ingest_time`, `length` (of the whole, in bytes), `sha256` (of the whole), and of the first 64 KiB `raw` if they
    /// are text, else `raw_base64`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"reason\":\"");
        out.extend_from_slice(self.reason.code().as_bytes());
        out.extend_from_slice(b"\",\"detail\":");
        write_string(out, &self.reason.to_string());
        out.extend_from_slice(b",\"source\":");
        write_string(out, self.source);
        out.extend_from_slice(b",\"position\":");
        write_string(out, self.position);
        out.extend_from_slice(b",\"ingest_time\":");
        write_timestamp(out, self.ingest_time_ms);
        out.extend_from_slice(b",\"length\":");
        let (length_bytes, sha256) =
            self.whole.unwrap_or_else(|| (self.raw.len() as u64, Sha256::digest(self.raw).into()));
        write_int(out, length_bytes as i64);
        out.extend_from_slice(b",\"sha256\":\"");
        for byte in sha256 {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(&[HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]]);
        }
        match kept_text(self.raw) {
            Some(text) => {
                out.extend_from_slice(b"\",\"raw\":\"");
                write_escaped(out, text);
            }
            None => {
                use base64::Engine as _;
                let kept = &self.raw[..self.raw.len().min(EVENT_BYTES_MAX)];
                out.extend_from_slice(b"\",\"raw_base64\":\"");
                out.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(kept).as_bytes());
            }
        }
        out.extend_from_slice(b"\"}\n");
    }
}

/// The bytes that a dead letter keeps, if they are text. A character that the limit cuts through is left out.
fn kept_text(raw: &[u8]) -> Option<&str> {
    let Some((kept, _)) = raw.split_at_checked(EVENT_BYTES_MAX) else {
        return simdutf8::basic::from_utf8(raw).ok();
    };
    match simdutf8::compat::from_utf8(kept) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => simdutf8::basic::from_utf8(&kept[..error.valid_up_to()]).ok(),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn written(reason: &Reason, raw: &[u8]) -> Value {
        let mut out = Vec::new();
        DeadLetter {
            reason,
            source: "orders",
            position: "line \"7\"",
            ingest_time_ms: 1_777_629_900_007,
            raw,
            whole: None,
        }
        .write(&mut out);
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn keeps_text_as_text() {
        assert_eq!(
            written(&Reason::MissingId, b"{\"a\":\n\"\xc3\xa9\"}"),
            json!({
                "reason": "missing_id", "detail": "the event has no id", "source": "orders",
                "position": "line \"7\"", "ingest_time": "2026-05-01T10:05:00.007Z", "length": 11,
                "sha256": "519f46161d3cdf5d4fc77b1f80b528d1151412ec6e49b569f0ff6283a5a4fe9b",
                "raw": "{\"a\":\n\"é\"}",
            })
        );
    }

    #[test]
    fn keeps_other_bytes_as_base64() {
        let record = written(&Reason::NotUtf8 { offset: 1 }, b"a\xff\x00");
        assert_eq!(record["raw_base64"], "Yf8A");
        assert_eq!(record.get("raw"), None);
        assert_eq!(record["detail"], "the bytes are not UTF-8 from byte 1 on");
    }

    #[test]
    fn cuts_what_is_too_long_at_a_character() {
        let mut text = "x".repeat(EVENT_BYTES_MAX - 1);
        text.push_str("é tail");
        let record = written(&Reason::TooLarge { length_bytes: text.len() }, text.as_bytes());
        assert_eq!(record["raw"].as_str().unwrap(), "x".repeat(EVENT_BYTES_MAX - 1));
        assert_eq!(record["length"], text.len());
        let record = written(&Reason::NotUtf8 { offset: 0 }, &vec![0xff; EVENT_BYTES_MAX + 9]);
        assert_eq!(record["raw_base64"].as_str().unwrap().len(), EVENT_BYTES_MAX.div_ceil(3) * 4);
    }

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
