//! Writes lines to a file or standard output, through a buffer.

use crate::stream::StreamError;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::Path;

/// How much is gathered before it is written, in bytes.
const BUFFER_BYTES: usize = 256 * 1024;

/// What happens to a file that is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// Lines are added at its end: for a daemon, which starts again and again.
    Append,
    /// It starts empty: for the output of one command.
    Truncate,
}

/// Whether a file ends within a line, as one does whose writer was killed. What was flushed are whole lines: nothing
/// that was committed lies in the torn one.
fn ends_within_a_line(path: &Path) -> bool {
    let mut last = [b'\n'];
    let read = File::open(path).and_then(|mut file| {
        // A device or a pipe has no end to look at.
        if file.metadata()?.is_file() && file.metadata()?.len() > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        Ok(())
    });
    read.is_ok() && last != [b'\n']
}

/// A buffered writer of lines. What was not flushed is lost when it is dropped: call [`LineSink::flush`] at the end.
pub struct LineSink {
    name: String,
    inner: Box<dyn Write + Send>,
    buffer: Vec<u8>,
    /// How many flushes were asked for and done.
    flushed: u64,
}

impl std::fmt::Debug for LineSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LineSink").field("name", &self.name).field("flushed", &self.flushed).finish_non_exhaustive()
    }
}

impl LineSink {
    /// Opens a file; `-` is standard output.
    ///
    /// # Errors
    ///
    /// [`StreamError::Open`] if the file cannot be made or written.
    pub fn open(path: &Path, mode: WriteMode) -> Result<LineSink, StreamError> {
        if path == Path::new("-") {
            return Ok(LineSink::to("standard output", io::stdout()));
        }
        let mut options = OpenOptions::new();
        match mode {
            WriteMode::Append => options.append(true).create(true),
            WriteMode::Truncate => options.write(true).truncate(true).create(true),
        };
        let torn = mode == WriteMode::Append && ends_within_a_line(path);
        let file = options.open(path).map_err(|source| StreamError::open(path, source))?;
        let mut sink = LineSink::to(path.display().to_string(), file);
        if torn {
            sink.buffer.push(b'\n');
        }
        Ok(sink)
    }

    /// Writes to anything; `name` is for errors.
    pub fn to(name: impl Into<String>, inner: impl Write + Send + 'static) -> LineSink {
        LineSink {
            name: name.into(),
            inner: Box::new(inner),
            buffer: Vec::with_capacity(BUFFER_BYTES + BUFFER_BYTES / 4),
            flushed: 0,
        }
    }

    /// Writes one line, given without its line feed.
    ///
    /// # Errors
    ///
    /// [`StreamError::ReaderGone`] if a pipe was closed at its other end, else [`StreamError::Write`].
    pub fn write_line(&mut self, line: &[u8]) -> Result<(), StreamError> {
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
        self.relieve()
    }

    /// Writes any number of lines, each with its line feed.
    ///
    /// # Errors
    ///
    /// As [`LineSink::write_line`].
    pub fn write_lines(&mut self, lines: &[u8]) -> Result<(), StreamError> {
        debug_assert!(lines.is_empty() || lines.ends_with(b"\n"), "every line has its line feed");
        if lines.len() < BUFFER_BYTES {
            self.buffer.extend_from_slice(lines);
            return self.relieve();
        }
        self.drain()?;
        self.inner.write_all(lines).map_err(|source| StreamError::write(&self.name, source))
    }

    /// Hands everything to the system and answers how often that was done. A crash of the process loses nothing of it; a
    /// crash of the machine may.
    ///
    /// # Errors
    ///
    /// As [`LineSink::write_line`].
    pub fn flush(&mut self) -> Result<u64, StreamError> {
        self.drain()?;
        self.inner.flush().map_err(|source| StreamError::write(&self.name, source))?;
        self.flushed += 1;
        Ok(self.flushed)
    }

    /// How often [`LineSink::flush`] has succeeded.
    pub fn flushed(&self) -> u64 {
        self.flushed
    }

    /// The file's name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Empties the buffer once it is full.
    fn relieve(&mut self) -> Result<(), StreamError> {
        if self.buffer.len() < BUFFER_BYTES { Ok(()) } else { self.drain() }
    }

    fn drain(&mut self) -> Result<(), StreamError> {
        let written = self.inner.write_all(&self.buffer);
        self.buffer.clear();
        written.map_err(|source| StreamError::write(&self.name, source))
    }
}
