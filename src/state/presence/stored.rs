//! The runs of a key in a checkpoint: how many, then each, in order.

use super::{FEW, Presence, Run, Runs};
use crate::state::checkpoint::{Broken, ByteReader, ByteWriter};

pub(super) fn store(runs: &[Run], writer: &mut ByteWriter) {
    writer.count(runs.len());
    for run in runs {
        writer.word(run.value);
        writer.time(run.start_ms);
        writer.time(run.last_ms);
    }
}

pub(super) fn restore(reader: &mut ByteReader<'_>) -> Result<Presence, Broken> {
    let len = reader.count(size_of::<Run>())?;
    let mut before = None;
    let mut next = || {
        let run = Run { value: reader.word()?, start_ms: reader.time()?, last_ms: reader.time()? };
        if run.last_ms < run.start_ms || before >= Some((run.value, run.start_ms)) {
            return Err(Broken("the runs of a key are out of order"));
        }
        before = Some((run.value, run.start_ms));
        Ok(run)
    };
    if len > FEW {
        let mut runs = Vec::with_capacity(len);
        for _ in 0..len {
            runs.push(next()?);
        }
        // Nothing is counted yet: no instant lies between the two.
        return Ok(Presence::Many(Runs { runs, count: 0, truncated: false, from_ms: 0, until_ms: 0 }));
    }
    let mut runs = [Run::default(); FEW];
    for place in &mut runs[..len] {
        *place = next()?;
    }
    Ok(Presence::Few { runs, len: len as u8, truncated: false })
}
