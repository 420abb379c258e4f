//! How an input is compressed: told by its first bytes, whatever its name.
//!
//! Standard input has no name, and names lie: a compressed stream that is taken for text would become a dead letter a line.
//! Only where the first bytes say nothing does the name count, so that a damaged `.gz` is an error. May import the standard
//! library and the decompressors. Invariant: no more is read than the marks need, so that a slow pipe waits for nothing.

use std::io::{self, Read};
use std::path::Path;

/// A way to compress a stream of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
}

/// The first bytes of gzip: RFC 1952, section 2.3.1, with the one method that there is.
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];
/// The first bytes of a frame of zstd: RFC 8878, section 3.1.1.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The first bytes of a frame that zstd skips, the low half of the first one being free: RFC 8878, section 3.1.2.
const ZSTD_SKIPPED: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];
/// The longest mark.
const MARK_BYTES_MAX: usize = 4;

impl Compression {
    /// What a file's name says, in any letter case.
    pub(super) fn by_name(path: &Path) -> Option<Compression> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "gz" => Some(Compression::Gzip),
            "zst" => Some(Compression::Zstd),
            _ => None,
        }
    }

    /// What the first bytes say.
    fn by_mark(head: &[u8]) -> Option<Compression> {
        if head.starts_with(&GZIP) {
            return Some(Compression::Gzip);
        }
        (head.starts_with(&ZSTD) || skipped(head).starts_with(&ZSTD_SKIPPED)).then_some(Compression::Zstd)
    }

    /// Whether more bytes could make a mark of these.
    fn may_begin(head: &[u8]) -> bool {
        GZIP.starts_with(head) || ZSTD.starts_with(head) || ZSTD_SKIPPED.starts_with(&skipped(head))
    }
}

/// The first bytes with the free half of the first one cleared.
fn skipped(head: &[u8]) -> Vec<u8> {
    let mut head = head.to_vec();
    if let Some(first) = head.first_mut() {
        *first &= 0xf0;
    }
    head
}

/// Reads the first bytes, and answers with a reader of the whole, decompressed. `named` counts where the bytes say nothing.
///
/// # Errors
///
/// Those of the first reads.
pub(super) fn decompressed(
    mut inner: Box<dyn Read + Send>,
    named: Option<Compression>,
) -> io::Result<(Box<dyn Read + Send>, Option<Compression>)> {
    let (mut head, mut count) = ([0; MARK_BYTES_MAX], 0);
    while count < head.len() && Compression::may_begin(&head[..count]) {
        match inner.read(&mut head[count..]) {
            Ok(0) => break,
            Ok(read) => count += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let head = head[..count].to_vec();
    let compression = Compression::by_mark(&head).or(named);
    let whole = io::Cursor::new(head).chain(inner);
    let reader: Box<dyn Read + Send> = match compression {
        Some(Compression::Gzip) => {
            Box::new(flate2::bufread::MultiGzDecoder::new(io::BufReader::with_capacity(1 << 16, whole)))
        }
        Some(Compression::Zstd) => Box::new(zstd::Decoder::new(whole)?),
        None => Box::new(whole),
    };
    Ok((reader, compression))
}
