//! What stands beside a checkpoint: where its inputs end, and by which rules they were judged.

use crate::state::{Broken, ByteReader, ByteWriter};
use crate::stream::journal::{PlaceName, read_files, store_files};

/// Where the inputs of a checkpoint end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Companion {
    /// The number of the first entry of the journal that is not in it.
    pub position: u64,
    /// The partitions by the engine's number, and the offset behind the last record that was judged; `None` for lines and
    /// where none was.
    pub places: Vec<(PlaceName, Option<u64>)>,
    /// The hash of the rule set in force.
    pub hash: String,
    /// What that is read from: paths below the folder of the rules, and texts. Empty where nothing more will be judged by it.
    pub files: Vec<(String, String)>,
}

impl Companion {
    pub(super) fn written(&self) -> ByteWriter {
        let mut writer = ByteWriter::default();
        writer.word(self.position);
        writer.count(self.places.len());
        for (name, next) in &self.places {
            name.store(&mut writer);
            writer.maybe_time(next.map(|next| next as i64));
        }
        writer.text(&self.hash);
        store_files(&self.files, &mut writer);
        writer
    }

    pub(super) fn read(segment: &[u8]) -> Result<Companion, Broken> {
        let mut reader = ByteReader::new(segment);
        let reader = &mut reader;
        let position = reader.word()?;
        let place = |reader: &mut ByteReader<'_>| {
            let name = PlaceName::read(reader)?;
            let next = reader.maybe_time()?.map(u64::try_from).transpose();
            Ok((name, next.map_err(|_| Broken("an offset is below 0"))?))
        };
        let places = (0..reader.count(7)?).map(|_| place(reader)).collect::<Result<_, Broken>>()?;
        let (hash, files) = (reader.text()?.to_owned(), read_files(reader)?);
        if reader.is_empty() {
            Ok(Companion { position, places, hash, files })
        } else {
            Err(Broken("something follows it"))
        }
    }
}
