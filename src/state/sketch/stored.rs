//! A sketch in a checkpoint: whether it has registers, then the marks of each.

use super::{Mark, RANK_MAX, REGISTERS, Sketch};
use crate::state::checkpoint::{Broken, ByteReader, ByteWriter};

pub(super) fn store(sketch: &Sketch, writer: &mut ByteWriter) {
    writer.byte(u8::from(!sketch.is_empty()));
    for marks in &sketch.registers {
        writer.count(marks.len());
        for mark in marks {
            writer.time(mark.time_ms);
            writer.byte(mark.rank);
        }
    }
}

pub(super) fn restore(reader: &mut ByteReader<'_>) -> Result<Sketch, Broken> {
    let mut sketch = Sketch::default();
    if !reader.flag()? {
        return Ok(sketch);
    }
    // Registers without marks take a byte each: so many must follow.
    for _ in 0..REGISTERS {
        let count = reader.count(9)?;
        let mut marks: Vec<Mark> = Vec::with_capacity(count);
        for _ in 0..count {
            let mark = Mark { time_ms: reader.time()?, rank: reader.byte()? };
            let follows = |last: &Mark| last.time_ms < mark.time_ms && last.rank > mark.rank;
            if mark.rank == 0 || u32::from(mark.rank) > RANK_MAX || !marks.last().is_none_or(follows) {
                return Err(Broken("the marks of a sketch are out of order"));
            }
            marks.push(mark);
        }
        sketch.marks += count;
        sketch.registers.push(marks);
    }
    Ok(sketch)
}
