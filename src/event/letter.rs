//! Dead letters: what bad input turns into, and how it is read back to be sent again.
//!
//! Bad input never stops the stream and never vanishes. It imports pure crates only. Invariant: what was written of an
//! input of at most [`EVENT_BYTES_MAX`] bytes is read back as the same bytes and headers, proven by their checksum.

use super::json::{write_escaped, write_int, write_string, write_timestamp};
use super::{EVENT_BYTES_MAX, Reason};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

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
    /// The headers of a Kafka record, in order: in binary mode they are the event's envelope.
    pub headers: &'a [(&'a str, &'a [u8])],
}

impl DeadLetter<'_> {
    /// Appends the record as one line of JSON, with its line feed: `reason`, `detail`, `source`, `position`,
    /// `ingest_time`, `length` (of the whole, in bytes), `sha256` (of the whole), of the first 64 KiB `raw` if they are
    /// text, else `raw_base64`, and `headers` if there are any: each a `name` and a `value`, or `value_base64`.
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
        out.extend_from_slice(hex(&sha256).as_bytes());
        out.extend_from_slice(b"\",");
        write_bytes(out, "raw", kept_text(self.raw), &self.raw[..self.raw.len().min(EVENT_BYTES_MAX)]);
        if !self.headers.is_empty() {
            out.extend_from_slice(b",\"headers\":[");
            for (at, (name, value)) in self.headers.iter().enumerate() {
                out.extend_from_slice(if at == 0 { b"{\"name\":" } else { b",{\"name\":" });
                write_string(out, name);
                out.push(b',');
                write_bytes(out, "value", simdutf8::basic::from_utf8(value).ok(), value);
                out.push(b'}');
            }
            out.push(b']');
        }
        out.extend_from_slice(b"}\n");
    }
}

/// Appends a member with these bytes as text, if they are, else with their base64 under its name and `_base64`.
fn write_bytes(out: &mut Vec<u8>, name: &str, text: Option<&str>, bytes: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    match text {
        Some(text) => {
            out.extend_from_slice(b"\":\"");
            write_escaped(out, text);
        }
        None => {
            out.extend_from_slice(b"_base64\":\"");
            out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
        }
    }
    out.push(b'"');
}

fn hex(bytes: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    digits.map(char::from).collect()
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

/// A dead letter as it is read back. Members that it does not know are passed over.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Letter {
    /// The reason's code.
    pub reason: String,
    /// What exactly.
    pub detail: String,
    /// The configured name of the source.
    pub source: String,
    /// Where it stood: `topic/partition/offset`, or the line of a file; and which event of an array.
    pub position: String,
    /// When it reached us, RFC 3339.
    pub ingest_time: String,
    /// Of the whole, in bytes.
    pub length: u64,
    /// Of the whole, in hexadecimal.
    pub sha256: String,
    /// The bytes, or the first 64 KiB of them, if they are text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// The same otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_base64: Option<String>,
    /// Of a Kafka record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<LetterHeader>,
}

/// A header of a Kafka record that became a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct LetterHeader {
    /// Its name.
    pub name: String,
    /// Its value, if that is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The same otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_base64: Option<String>,
}

/// Why a dead letter does not have its input whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotWhole {
    /// It was longer than is kept.
    #[error("only the first {kept} of its {length} bytes are kept")]
    Cut {
        /// Bytes that are kept.
        kept: usize,
        /// Bytes that it had.
        length: u64,
    },
    /// It was changed since.
    #[error("its bytes are not those that were refused: the checksum differs")]
    Changed,
}

impl Letter {
    /// The input, as it came.
    ///
    /// # Errors
    ///
    /// It is not there whole.
    pub fn input(&self) -> Result<Vec<u8>, NotWhole> {
        let bytes = bytes_of(self.raw.as_deref(), self.raw_base64.as_deref()).ok_or(NotWhole::Changed)?;
        if (bytes.len() as u64) < self.length {
            return Err(NotWhole::Cut { kept: bytes.len(), length: self.length });
        }
        if hex(&Sha256::digest(&bytes)) == self.sha256 { Ok(bytes) } else { Err(NotWhole::Changed) }
    }

    /// The topic, partition and offset of a Kafka record.
    pub fn record(&self) -> Option<(&str, i32, u64)> {
        let place = self.position.split_once(", event ").map_or(self.position.as_str(), |(place, _)| place);
        let (rest, offset) = place.rsplit_once('/')?;
        let (topic, partition) = rest.rsplit_once('/')?;
        Some((topic, partition.parse().ok()?, offset.parse().ok()?))
    }
}

impl LetterHeader {
    /// The value's bytes; `None`: its base64 is none.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        bytes_of(self.value.as_deref(), self.value_base64.as_deref())
    }
}

fn bytes_of(text: Option<&str>, base64: Option<&str>) -> Option<Vec<u8>> {
    match (text, base64) {
        (Some(text), _) => Some(text.as_bytes().to_vec()),
        (None, Some(base64)) => STANDARD.decode(base64).ok(),
        (None, None) => None,
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
            headers: &[],
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
    fn what_was_written_is_read_back() {
        let reason = Reason::MissingId;
        let headers: &[(&str, &[u8])] = &[("ce_id", b"\"7\""), ("trace", b"\xff\x00"), ("empty", b"")];
        let input: &[u8] = "{\"a\":\n\"\u{e9}\"}".as_bytes();
        for (raw, position) in [(input, "in/a/3/17"), (&b"\xff"[..], "line 4"), (&b""[..], "in/0/9, event 12")] {
            let mut out = Vec::new();
            let letter = DeadLetter {
                reason: &reason,
                source: "orders",
                position,
                ingest_time_ms: 0,
                raw,
                whole: None,
                headers,
            };
            letter.write(&mut out);
            let read: Letter = serde_json::from_slice(&out).unwrap();
            assert_eq!(read.input().unwrap(), raw);
            let read_headers: Vec<(&str, Vec<u8>)> =
                read.headers.iter().map(|header| (header.name.as_str(), header.bytes().unwrap())).collect();
            let expected: Vec<(&str, Vec<u8>)> = headers.iter().map(|(name, value)| (*name, value.to_vec())).collect();
            assert_eq!(read_headers, expected);
            let record = match position {
                "line 4" => None,
                "in/0/9, event 12" => Some(("in", 0, 9)),
                _ => Some(("in/a", 3, 17)),
            };
            assert_eq!(read.record(), record);
        }
    }

    #[test]
    fn what_is_not_whole_is_told() {
        let reason = Reason::MissingId;
        let raw = vec![b'x'; EVENT_BYTES_MAX + 3];
        let mut out = Vec::new();
        DeadLetter {
            reason: &reason,
            source: "",
            position: "",
            ingest_time_ms: 0,
            raw: &raw,
            whole: None,
            headers: &[],
        }
        .write(&mut out);
        let mut read: Letter = serde_json::from_slice(&out).unwrap();
        let cut = NotWhole::Cut { kept: EVENT_BYTES_MAX, length: raw.len() as u64 };
        assert_eq!(read.input(), Err(cut));
        read.length = 1;
        read.raw = Some("y".to_owned());
        assert_eq!(read.input(), Err(NotWhole::Changed));
        (read.raw, read.raw_base64) = (None, Some("*".to_owned()));
        assert_eq!(read.input(), Err(NotWhole::Changed));
    }
}
