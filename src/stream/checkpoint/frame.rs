//! Segments in a file, each in a frame with its length and checksum.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::CheckpointError;

/// What every checkpoint begins with.
const MAGIC: &[u8; 12] = b"refguard ckp";
/// The format that is written, and the newest that is read. In the first one the keys of a table stood behind its head.
pub(super) const FORMAT: u32 = 3;
/// From this one on the first segment says where the inputs end.
pub(super) const FORMAT_WITH_COMPANION: u32 = 2;
/// From this one on a second part has the open alerts.
pub(super) const FORMAT_WITH_ALERTS: u32 = 3;
/// The longest segment: a key with the most entries, twice over.
const SEGMENT_BYTES_MAX: u32 = 1 << 28;

/// Writes frames.
pub(super) struct Writer<W> {
    out: W,
    number: u64,
    bytes: u64,
}

impl<W: Write> Writer<W> {
    pub(super) fn begin(mut out: W) -> io::Result<Writer<W>> {
        let head = head(FORMAT);
        out.write_all(&head)?;
        Ok(Writer { out, number: 0, bytes: head.len() as u64 })
    }

    pub(super) fn put(&mut self, segment: &[u8]) -> io::Result<()> {
        let length = u32::try_from(segment.len()).ok().filter(|length| *length <= SEGMENT_BYTES_MAX);
        let length = length.ok_or_else(|| io::Error::other("a segment is longer than can be read"))?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(segment)?;
        self.out.write_all(&xxh3_64_with_seed(segment, self.number).to_le_bytes())?;
        self.number += 1;
        self.bytes += 12 + u64::from(length);
        Ok(())
    }

    /// Ends a part.
    pub(super) fn end_part(&mut self) -> io::Result<()> {
        self.put(&[])
    }

    /// What it was written to, once every part has ended, and how long it is.
    pub(super) fn into_inner(self) -> (W, u64) {
        (self.out, self.bytes)
    }
}

fn head(format: u32) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&format.to_le_bytes());
    let checksum = xxh3_64_with_seed(&head, 0);
    head.extend_from_slice(&checksum.to_le_bytes());
    head
}

/// Reads frames.
pub(super) struct Reader<R> {
    input: R,
    path: PathBuf,
    number: u64,
    format: u32,
    /// How many bytes were read: up to the end of a whole frame, or somewhere in one that is none.
    at: u64,
    /// Where the frame that is read begins.
    frame_at: u64,
    /// Parts that have not ended.
    parts: u32,
}

impl<R: Read> Reader<R> {
    pub(super) fn begin(input: R, path: &Path) -> Result<Reader<R>, CheckpointError> {
        let mut reader = Reader { input, path: path.to_owned(), number: 0, format: 0, parts: 1, at: 0, frame_at: 0 };
        let known = reader.array::<12>()?;
        let format = u32::from_le_bytes(reader.array()?);
        let checksum = reader.array::<8>()?;
        if known != *MAGIC {
            return Err(reader.damaged("it is no checkpoint"));
        }
        if !head(format).ends_with(&checksum) || format == 0 {
            return Err(reader.damaged("its head is not what was written"));
        }
        if format > FORMAT {
            return Err(CheckpointError::Newer { path: reader.path, found: format, known: FORMAT });
        }
        reader.format = format;
        reader.parts = if format < FORMAT_WITH_ALERTS { 1 } else { 2 };
        Ok(reader)
    }

    /// Whether every part has ended.
    pub(super) fn is_over(&self) -> bool {
        self.parts == 0
    }

    /// The format that it was written in.
    pub(super) fn format(&self) -> u32 {
        self.format
    }

    /// Puts the next segment in the place of another; `false`: there is none, since this is the end.
    pub(super) fn next(&mut self, segment: &mut Vec<u8>) -> Result<bool, CheckpointError> {
        self.frame_at = self.at;
        let length = u32::from_le_bytes(self.array()?);
        if length > SEGMENT_BYTES_MAX {
            return Err(self.damaged("a segment is longer than can be"));
        }
        segment.clear();
        // Memory grows with what comes, whatever the length says.
        let read = (&mut self.input).take(u64::from(length)).read_to_end(segment);
        let read = read.map_err(CheckpointError::io("reading", &self.path))?;
        self.at += read as u64;
        if read < length as usize {
            return Err(self.damaged("it is cut short"));
        }
        let checksum = u64::from_le_bytes(self.array()?);
        if xxh3_64_with_seed(segment, self.number) != checksum {
            return Err(self.damaged("a segment is not what was written"));
        }
        self.number += 1;
        if length > 0 {
            return Ok(true);
        }
        self.parts -= 1;
        if self.parts > 0 {
            return Ok(false);
        }
        let rest = self.input.read(&mut [0]).map_err(CheckpointError::io("reading", &self.path))?;
        if rest > 0 { Err(self.damaged("something follows its end")) } else { Ok(false) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CheckpointError> {
        let mut bytes = [0; N];
        match self.input.read_exact(&mut bytes) {
            Ok(()) => {
                self.at += N as u64;
                Ok(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.damaged("it is cut short")),
            Err(error) => Err(CheckpointError::io("reading", &self.path)(error)),
        }
    }

    /// What is wrong with the frame that was read last, and where it begins.
    pub(super) fn damaged(&self, detail: &str) -> CheckpointError {
        let detail = format!("{detail}, in the frame at byte {}", self.frame_at);
        CheckpointError::Damaged { path: self.path.clone(), detail }
    }
}

#[cfg(test)]
pub(super) fn head_of(format: u32) -> Vec<u8> {
    head(format)
}
