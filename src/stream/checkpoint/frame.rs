//! Segments in a file, each in a frame with its length and checksum. All but the first are closed under a secret.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::CheckpointError;
use super::seal::{FileSeal, SALT_BYTES, Seal, SealName, Seals, TAG_BYTES};

/// What every checkpoint begins with.
const MAGIC: &[u8; 12] = b"refguard ckp";
/// The format that is written, and the newest that is read. In the first one the keys of a table stood behind its head.
pub(super) const FORMAT: u32 = 5;
/// From this one on the first segment says where the inputs end.
pub(super) const FORMAT_WITH_COMPANION: u32 = 2;
/// From this one on a second part has the open alerts.
pub(super) const FORMAT_WITH_ALERTS: u32 = 3;
/// From this one on segments are closed, but for the first.
pub(super) const FORMAT_WITH_SEAL: u32 = 4;
/// The longest segment: a key with the most entries, twice over.
const SEGMENT_BYTES_MAX: u32 = 1 << 28;

/// Writes frames.
pub(super) struct Writer<W> {
    out: W,
    number: u64,
    bytes: u64,
    seal: FileSeal,
    /// Reused.
    closed: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a file under a secret, with a salt that no other file has, and its first segment, which anybody reads.
    pub(super) fn begin(mut out: W, seal: &Seal, salt: &[u8; SALT_BYTES], first: &[u8]) -> io::Result<Writer<W>> {
        let mut head = head(FORMAT);
        head.extend_from_slice(&seal_head(seal.name(), salt));
        out.write_all(&head)?;
        let (bytes, seal) = (head.len() as u64, seal.of_file(salt));
        let mut writer = Writer { out, number: 0, bytes, seal, closed: Vec::new() };
        writer.frame(first)?;
        Ok(writer)
    }

    /// Closes a segment and writes it.
    pub(super) fn put(&mut self, segment: &[u8]) -> io::Result<()> {
        let mut closed = std::mem::take(&mut self.closed);
        closed.clear();
        closed.extend_from_slice(segment);
        self.seal.close(self.number, &mut closed);
        let written = self.frame(&closed);
        self.closed = closed;
        written
    }

    fn frame(&mut self, segment: &[u8]) -> io::Result<()> {
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

/// Which secret a file is closed under, and its salt, with their checksum.
fn seal_head(name: SealName, salt: &[u8; SALT_BYTES]) -> Vec<u8> {
    let mut head = [&name.0[..], salt].concat();
    let checksum = xxh3_64_with_seed(&head, 0);
    head.extend_from_slice(&checksum.to_le_bytes());
    head
}

/// Reads frames. Who has no secret can check them, and gets segments that are closed.
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
    /// What it is closed under; `None`: it is of a format that was not.
    closed: Option<(SealName, [u8; SALT_BYTES])>,
    /// What opens it.
    opens: Option<FileSeal>,
}

impl<R: Read> Reader<R> {
    pub(super) fn begin(input: R, path: &Path) -> Result<Reader<R>, CheckpointError> {
        let path = path.to_owned();
        let (number, format, parts, at, frame_at) = (0, 0, 1, 0, 0);
        let mut reader = Reader { input, path, number, format, parts, at, frame_at, closed: None, opens: None };
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
        if format >= FORMAT_WITH_SEAL {
            let (name, salt) = (SealName(reader.array()?), reader.array()?);
            let checksum = reader.array::<8>()?;
            if !seal_head(name, &salt).ends_with(&checksum) {
                return Err(reader.damaged("its head is not what was written"));
            }
            reader.closed = Some((name, salt));
        }
        Ok(reader)
    }

    /// Opens what follows by the secret that it was closed under.
    pub(super) fn open(&mut self, seals: &Seals) -> Result<(), CheckpointError> {
        if let Some((name, salt)) = &self.closed {
            let seal = seals.named(*name);
            let seal = seal.ok_or_else(|| CheckpointError::Sealed { path: self.path.clone(), name: *name })?;
            self.opens = Some(seal.of_file(salt));
        }
        Ok(())
    }

    /// The secret that it was closed under; `None`: it is of a format that was not.
    pub(super) fn seal(&self) -> Option<SealName> {
        self.closed.map(|(name, _)| name)
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
        let is_closed = self.closed.is_some() && self.number > 0;
        if is_closed && self.opens.as_ref().is_some_and(|opens| !opens.open(self.number, segment)) {
            return Err(self.damaged("a segment is not what was closed under its secret"));
        }
        self.number += 1;
        if length as usize > if is_closed { TAG_BYTES } else { 0 } {
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
