//! What watching the memory has to know at the next look, in a checkpoint: parts go by name.

use super::MemoryWatch;
use crate::state::{Broken, ByteReader, ByteWriter};

impl MemoryWatch {
    /// `names` are those of the parts, by number.
    pub(in crate::engine) fn store<'a>(&self, names: impl Iterator<Item = &'a str>, writer: &mut ByteWriter) {
        writer.word(self.keys_from as u64);
        writer.word(self.windows_from as u64);
        writer.count(self.bases.len());
        for (name, base) in names.zip(&self.bases) {
            writer.text(name);
            writer.word(*base as u64);
        }
    }

    /// `keeps` tells whether the part at a number has what it had; one that begins empty grows from nothing.
    pub(in crate::engine) fn restore(
        &mut self,
        names: &[&str],
        keeps: impl Fn(usize) -> bool,
        reader: &mut ByteReader<'_>,
    ) -> Result<(), Broken> {
        let bytes = |word: u64| usize::try_from(word).unwrap_or(usize::MAX);
        (self.keys_from, self.windows_from) = (bytes(reader.word()?), bytes(reader.word()?));
        let bases = reader.count(9)?;
        // Before the first look there are none.
        self.bases = vec![0; if bases == 0 { 0 } else { names.len() }];
        for _ in 0..bases {
            let (name, base) = (reader.text()?, bytes(reader.word()?));
            if let Some(place) = names.iter().position(|known| *known == name).filter(|place| keeps(*place)) {
                self.bases[place] = base;
            }
        }
        Ok(())
    }
}
