//! Reads whole lines, a chunk at a time.

use super::compression::{Compression, decompressed};
use crate::event::{EVENT_BYTES_MAX, Position, Reason};
use crate::stream::refused::LongInput;
use crate::stream::{Refused, StreamError};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much a source hands over at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineOptions {
    /// Bytes read at once; a chunk's text is at most that and [`EVENT_BYTES_MAX`]. Below 1 GiB.
    pub chunk_bytes: usize,
    /// The most lines in a chunk. At least 1.
    pub lines_max: usize,
}

impl Default for LineOptions {
    /// 256 KiB, which stays in a core's cache, and any number of lines.
    fn default() -> LineOptions {
        LineOptions { chunk_bytes: 256 * 1024, lines_max: usize::MAX }
    }
}

/// One line of a chunk, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    start: u32,
    len: u32,
    /// Which line of the input it is, from 1; lines without an event count too.
    pub number: u64,
}

impl Line {
    /// Its bytes in the chunk's text.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }

    /// Its place in its source.
    pub fn position(self) -> Position {
        Position { partition: 0, offset: self.number, item: 0 }
    }
}

/// Some whole lines. Use one again and again: its buffers stay. `text` may be swapped for another string.
#[derive(Clone, Debug, Default)]
pub struct LineChunk {
    /// Text that the lines lie in.
    pub text: String,
    /// The lines, in order. None is blank, none longer than [`EVENT_BYTES_MAX`].
    pub lines: Vec<Line>,
    /// Lines that are no candidates for an event, in order.
    pub refused: Vec<Refused>,
}

impl LineChunk {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.refused.is_empty()
    }

    fn clear(&mut self) {
        self.text.clear();
        self.lines.clear();
        self.refused.clear();
    }
}

/// How far a file has been read, to be looked at from another thread.
#[derive(Clone, Debug)]
pub struct ReadProgress {
    read_bytes: Arc<AtomicU64>,
    /// The length of the file as it is on the disk; `None` for a pipe.
    pub total_bytes: Option<u64>,
}

impl ReadProgress {
    /// Bytes read of the file as it is on the disk.
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes.load(Ordering::Relaxed)
    }
}

/// Counts what passes.
struct Counting<R> {
    inner: R,
    read_bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read_bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// What some editors and exports put before the first line: U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Reads the lines of a file, a compressed file or standard input. A byte-order mark before the first is left out.
pub struct LineSource {
    name: String,
    inner: Box<dyn Read + Send>,
    /// What the name says of how it is compressed.
    named: Option<Compression>,
    /// Whether its first bytes were looked at, so that `inner` gives text.
    begun: bool,
    compressed: bool,
    options: LineOptions,
    progress: ReadProgress,
    /// What was read and not handed over yet is `buffer[start..end]`; none of `buffer[start..scanned]` ends a line.
    buffer: Vec<u8>,
    start: usize,
    scanned: usize,
    end: usize,
    at_end: bool,
    /// Whether what may be a byte-order mark is still to come or in the buffer.
    at_start: bool,
    /// The line that is going by, if it is too long to be kept.
    long: Option<LongInput>,
    /// How many lines have begun.
    lines: u64,
}

impl std::fmt::Debug for LineSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LineSource").field("name", &self.name).field("lines", &self.lines).finish_non_exhaustive()
    }
}

impl LineSource {
    /// Opens a file; `-` is standard input. What gzip or zstd made is decompressed: told by the first bytes, else by `.gz` and `.zst`.
    ///
    /// # Errors
    ///
    /// [`StreamError::Open`] if it cannot be read.
    pub fn open(path: &Path, options: LineOptions) -> Result<LineSource, StreamError> {
        if path == Path::new("-") {
            return Ok(LineSource::new("standard input", io::stdin(), options));
        }
        let open = |source| StreamError::open(path, source);
        let file = File::open(path).map_err(open)?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(open(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        let total_bytes = file.metadata().ok().filter(|metadata| metadata.is_file()).map(|metadata| metadata.len());
        let mut lines = LineSource::new(path.display().to_string(), file, options);
        lines.named = Compression::by_name(path);
        lines.progress.total_bytes = total_bytes;
        // A pipe may have nothing to say yet; whether a file is compressed is asked before it is read.
        if total_bytes.is_some() {
            lines.begin().map_err(open)?;
        }
        Ok(lines)
    }

    /// Reads from anything, decompressed as its first bytes say; `name` is for errors.
    pub fn new(name: impl Into<String>, inner: impl Read + Send + 'static, options: LineOptions) -> LineSource {
        let read_bytes = Arc::new(AtomicU64::new(0));
        let inner = Counting { inner, read_bytes: Arc::clone(&read_bytes) };
        let progress = ReadProgress { read_bytes, total_bytes: None };
        LineSource { progress, ..LineSource::boxed(name.into(), Box::new(inner), options) }
    }

    fn boxed(name: String, inner: Box<dyn Read + Send>, options: LineOptions) -> LineSource {
        // A line that fits must be found whole: the buffer takes one, its end, and a byte more.
        let capacity = options.chunk_bytes.max(EVENT_BYTES_MAX + 3);
        LineSource {
            name,
            inner,
            named: None,
            begun: false,
            compressed: false,
            options,
            progress: ReadProgress { read_bytes: Arc::default(), total_bytes: None },
            buffer: vec![0; capacity],
            start: 0,
            scanned: 0,
            end: 0,
            at_end: false,
            at_start: true,
            long: None,
            lines: 0,
        }
    }

    /// The name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a file that is read as it is on the disk: such a read waits for nobody and costs little.
    pub fn is_plain_file(&self) -> bool {
        self.progress.total_bytes.is_some() && !self.compressed
    }

    /// How far it has been read.
    pub fn progress(&self) -> ReadProgress {
        self.progress.clone()
    }

    /// Fills a chunk with the next lines; `false` at the end. Returns as soon as one read has brought a line, so that a
    /// slow pipe is not held up; after `true` the chunk may be empty where only blank lines came.
    ///
    /// # Errors
    ///
    /// [`StreamError::Damaged`] if a compressed file cannot be decompressed, else [`StreamError::Read`]. The lines
    /// before the fault have been handed over by then, but for a last one cut short.
    pub fn fill(&mut self, chunk: &mut LineChunk) -> Result<bool, StreamError> {
        chunk.clear();
        loop {
            if let Some(end) = self.whole_lines_end() {
                self.hand_over(end, chunk);
                return Ok(true);
            }
            if self.at_end {
                return Ok(self.hand_over_last(chunk));
            }
            if self.end - self.start > EVENT_BYTES_MAX + 1 {
                self.long.get_or_insert_default().take(&self.buffer[self.start..self.end]);
                self.start = self.end;
            }
            self.read()?;
        }
    }

    /// Where the last of the lines ends that are whole and wanted in one chunk, its line feed included.
    fn whole_lines_end(&mut self) -> Option<usize> {
        let unread = &self.buffer[self.scanned..self.end];
        if self.options.lines_max == usize::MAX {
            let found = memchr::memrchr(b'\n', unread).map(|at| self.scanned + at + 1);
            self.scanned = self.end;
            return found;
        }
        let found = memchr::memchr_iter(b'\n', unread).take(self.options.lines_max).last();
        let found = found.map(|at| self.scanned + at + 1);
        self.scanned = found.unwrap_or(self.end);
        found
    }

    /// Looks at the first bytes, and puts what decompresses them before the rest.
    fn begin(&mut self) -> io::Result<()> {
        let inner = std::mem::replace(&mut self.inner, Box::new(io::empty()));
        let (inner, compression) = decompressed(inner, self.named)?;
        (self.inner, self.compressed, self.begun) = (inner, compression.is_some(), true);
        Ok(())
    }

    /// Leaves out a byte-order mark, once enough is there to tell.
    fn skip_mark(&mut self) {
        let head = &self.buffer[self.start..self.end];
        if head.starts_with(BYTE_ORDER_MARK) {
            self.start += BYTE_ORDER_MARK.len();
            self.scanned = self.start;
        } else if BYTE_ORDER_MARK.starts_with(head) {
            return;
        }
        self.at_start = false;
    }

    /// Reads once, behind what is there.
    fn read(&mut self) -> Result<(), StreamError> {
        if !self.begun {
            self.begin().map_err(|source| StreamError::Read { name: self.name.clone(), source })?;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        (self.end, self.start) = (self.end - self.start, 0);
        self.scanned = self.end;
        loop {
            match self.inner.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.at_end = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) if self.compressed => {
                    return Err(StreamError::Damaged { name: self.name.clone(), source });
                }
                Err(source) => return Err(StreamError::Read { name: self.name.clone(), source }),
            }
            if self.at_start {
                self.skip_mark();
            }
            return Ok(());
        }
    }

    /// Hands over the lines up to `end`, which stands behind a line feed.
    fn hand_over(&mut self, end: usize, chunk: &mut LineChunk) {
        if let Some(mut long) = self.long.take() {
            let feed = self.start + memchr::memchr(b'\n', &self.buffer[self.start..end]).unwrap_or(end - self.start);
            long.take(&self.buffer[self.start..feed]);
            self.start = end.min(feed + 1);
            self.lines += 1;
            chunk.refused.push(long.finish(Position { partition: 0, offset: self.lines, item: 0 }));
        }
        let text = simdutf8::basic::from_utf8(&self.buffer[self.start..end]).ok();
        if let Some(text) = text {
            chunk.text.push_str(text);
        }
        let mut at = self.start;
        for feed in memchr::memchr_iter(b'\n', &self.buffer[self.start..end]) {
            let line = at..self.start + feed;
            at = self.start + feed + 1;
            self.lines += 1;
            let in_text = text.is_some().then_some(line.start - self.start);
            sort_line(&self.buffer[line], in_text, self.lines, chunk);
        }
        self.start = end;
        // With a bound on the lines, more of them may already be in the buffer: they have not been looked at.
        self.scanned = end;
    }

    /// Hands over a last line that has no line feed. Answers whether there was one.
    fn hand_over_last(&mut self, chunk: &mut LineChunk) -> bool {
        let rest = &self.buffer[self.start..self.end];
        if let Some(mut long) = self.long.take() {
            long.take(rest);
            self.lines += 1;
            chunk.refused.push(long.finish(Position { partition: 0, offset: self.lines, item: 0 }));
        } else if rest.is_empty() {
            return false;
        } else {
            self.lines += 1;
            sort_line(rest, None, self.lines, chunk);
        }
        self.start = self.end;
        true
    }
}

/// Puts one line where it belongs. `in_text` is where it starts in the chunk's text, if it is there already.
fn sort_line(line: &[u8], in_text: Option<usize>, number: u64, chunk: &mut LineChunk) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.first().is_none_or(u8::is_ascii_whitespace) && line.trim_ascii().is_empty() {
        return;
    }
    let position = Position { partition: 0, offset: number, item: 0 };
    if line.len() > EVENT_BYTES_MAX {
        let reason = Reason::TooLarge { length_bytes: line.len() };
        chunk.refused.push(Refused::whole(position, None, reason, line));
        return;
    }
    let start = match in_text {
        Some(start) => start,
        None => match simdutf8::compat::from_utf8(line) {
            Ok(text) => {
                chunk.text.push_str(text);
                chunk.text.len() - text.len()
            }
            Err(error) => {
                let reason = Reason::NotUtf8 { offset: error.valid_up_to() };
                chunk.refused.push(Refused::whole(position, None, reason, line));
                return;
            }
        },
    };
    debug_assert!(start + line.len() <= u32::MAX as usize, "a chunk is below 1 GiB");
    chunk.lines.push(Line { start: start as u32, len: line.len() as u32, number });
}
