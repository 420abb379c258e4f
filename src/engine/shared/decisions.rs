//! Decisions of a chunk's subjects: a record each, with the places in the log of the events that made its causes.

use super::Origin;
use super::records::{HEAD_BYTES, order_bytes};
use crate::engine::decisions::Decisions;
use crate::state::{Broken, ByteReader, ByteWriter, KeyHash};

impl Decisions {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        if !self.is_empty() {
            *self = Decisions::default();
        }
        self.forget_made();
        // Numbers are of one engine alone.
        self.leave_log();
    }

    /// Puts in what a record held. `made` tells whether an event is one that is judged now: its causes were made by a try
    /// that did not come to its end.
    pub(super) fn put(&mut self, key: KeyHash, record: &[u8], made: impl Fn(Origin) -> bool) -> Result<(), Broken> {
        let Some(body) = record.get(HEAD_BYTES..).filter(|body| !body.is_empty()) else { return Ok(()) };
        let mut reader = ByteReader::new(body);
        let count = reader.count(17)?;
        let origins = (0..count).map(|_| {
            let is_known = reader.flag()?;
            let origin = Origin { partition: reader.word()?, offset: reader.word()? };
            Ok(is_known.then_some(origin))
        });
        let origins = origins.collect::<Result<Vec<Option<Origin>>, Broken>>()?;
        self.put_subject(key, &origins, made, &mut reader)?;
        if reader.is_empty() { Ok(()) } else { Err(Broken("a subject's record is longer than what is in it")) }
    }

    /// Appends the record of a subject, if it has causes that can still be met from the horizon on.
    pub(super) fn write(&self, key: KeyHash, token: u64, horizon_ms: i64, out: &mut Vec<u8>) -> Option<i64> {
        let (origins, until_ms) = self.origins(key, horizon_ms)?;
        out.extend_from_slice(&token.to_le_bytes());
        out.extend_from_slice(&order_bytes(until_ms));
        let mut writer = ByteWriter::default();
        writer.count(origins.len());
        for origin in &origins {
            writer.byte(u8::from(origin.is_some()));
            let Origin { partition, offset } = origin.unwrap_or_default();
            writer.word(partition);
            writer.word(offset);
        }
        self.store_subject(key, horizon_ms, &mut writer);
        out.extend_from_slice(writer.as_bytes());
        Some(until_ms)
    }
}
