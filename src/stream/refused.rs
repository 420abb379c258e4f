//! An input that cannot even be handed to the parser: too long, or not text.

use crate::event::{EVENT_BYTES_MAX, Position, Reason};
use sha2::{Digest as _, Sha256};

/// What a dead letter needs to know about such an input. At most [`EVENT_BYTES_MAX`] of its bytes are kept in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Where it stood.
    pub position: Position,
    /// The Kafka record's time in milliseconds since the Unix epoch; `None` where the source has none (a line).
    pub ingest_time_ms: Option<i64>,
    /// Why it was refused.
    pub reason: Reason,
    /// Its bytes, or the first [`EVENT_BYTES_MAX`] of them.
    pub kept: Vec<u8>,
    /// How many bytes it had.
    pub length_bytes: u64,
    /// SHA-256 over all of them.
    pub sha256: [u8; 32],
}

impl Refused {
    /// One whose bytes are all at hand.
    pub(super) fn whole(position: Position, ingest_time_ms: Option<i64>, reason: Reason, raw: &[u8]) -> Refused {
        let kept = raw[..raw.len().min(EVENT_BYTES_MAX)].to_vec();
        let sha256 = Sha256::digest(raw).into();
        Refused { position, ingest_time_ms, reason, kept, length_bytes: raw.len() as u64, sha256 }
    }
}

/// An input that goes by in pieces: hashed and counted to its end, kept only at its beginning.
#[derive(Debug, Default)]
pub(super) struct LongInput {
    kept: Vec<u8>,
    length_bytes: u64,
    hash: Sha256,
    /// A carriage return that may turn out to belong to the end of the line.
    held_return: bool,
}

impl LongInput {
    /// Takes the next piece.
    pub(super) fn take(&mut self, piece: &[u8]) {
        if piece.is_empty() {
            return;
        }
        if std::mem::take(&mut self.held_return) {
            self.add(b"\r");
        }
        let (piece, held) = piece.strip_suffix(b"\r").map_or((piece, false), |rest| (rest, true));
        self.add(piece);
        self.held_return = held;
    }

    fn add(&mut self, piece: &[u8]) {
        let room = EVENT_BYTES_MAX.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&piece[..piece.len().min(room)]);
        self.length_bytes += piece.len() as u64;
        self.hash.update(piece);
    }

    /// Ends it, as a line that was too long.
    pub(super) fn finish(self, position: Position) -> Refused {
        Refused {
            position,
            ingest_time_ms: None,
            reason: Reason::TooLarge { length_bytes: usize::try_from(self.length_bytes).unwrap_or(usize::MAX) },
            kept: self.kept,
            length_bytes: self.length_bytes,
            sha256: self.hash.finalize().into(),
        }
    }
}
