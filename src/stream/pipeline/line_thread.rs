//! Where a reader's lines come from: a plain file it reads itself, anything else in a thread that may block for ever.
//!
//! A file's bytes are parsed best where they were read, while they are in the core's cache, and a read of it ends by
//! itself. To decompress is work enough for a thread of its own. A pipe or terminal that says nothing holds up a read
//! until it speaks, and no flag ends that. So the reading thread is not one of the pipeline's: it is left behind where it
//! waits when the pipeline ends, and ends with the process.

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::time::Duration;

use crate::stream::StreamError;
use crate::stream::file::{LineChunk, LineSource};

/// How many chunks go round: one being read, one that waits, one being parsed.
const CHUNKS: usize = 3;

/// What a wait for lines has brought.
pub(super) enum Lines {
    /// Some lines.
    Chunk(LineChunk),
    /// Nothing yet.
    None,
    /// The end of the source.
    End,
}

/// The source of a reader's lines.
pub(super) enum LineInput {
    /// The other end of the thread that reads them.
    Thread { chunks: Receiver<Result<LineChunk, StreamError>>, used: Sender<LineChunk> },
    /// A plain file, and a chunk that is used again.
    File { source: Box<LineSource>, spare: LineChunk },
}

impl LineInput {
    /// Opens the way: a thread starts to read, unless it is a plain file.
    ///
    /// # Errors
    ///
    /// [`StreamError::Read`] if the system gives no thread.
    pub(super) fn start(source: LineSource) -> Result<LineInput, StreamError> {
        if source.is_plain_file() {
            return Ok(LineInput::File { source: Box::new(source), spare: LineChunk::default() });
        }
        let name = source.name().to_owned();
        let (to_reader, chunks) = bounded(1);
        let (used, from_reader) = bounded(CHUNKS);
        let thread = std::thread::Builder::new().name("lines".to_owned());
        let started = thread.spawn(move || read(source, &from_reader, &to_reader));
        started.map_err(|source| StreamError::Read { name, source })?;
        Ok(LineInput::Thread { chunks, used })
    }

    /// Waits so long for lines; for those of a plain file, until they are read.
    ///
    /// # Errors
    ///
    /// As [`LineSource::fill`].
    pub(super) fn next(&mut self, wait: Duration) -> Result<Lines, StreamError> {
        let chunks = match self {
            LineInput::Thread { chunks, .. } => chunks,
            LineInput::File { source, spare } => {
                let mut chunk = std::mem::take(spare);
                return Ok(if source.fill(&mut chunk)? { Lines::Chunk(chunk) } else { Lines::End });
            }
        };
        match chunks.recv_timeout(wait) {
            Ok(chunk) => chunk.map(Lines::Chunk),
            Err(RecvTimeoutError::Timeout) => Ok(Lines::None),
            Err(RecvTimeoutError::Disconnected) => Ok(Lines::End),
        }
    }

    /// Gives a chunk back, so that its memory is used again.
    pub(super) fn recycle(&mut self, chunk: LineChunk) {
        match self {
            // The thread may have ended: then nobody needs it.
            LineInput::Thread { used, .. } => drop(used.try_send(chunk)),
            LineInput::File { spare, .. } => *spare = chunk,
        }
    }
}

/// Reads until the end, a fault, or until nobody wants more.
fn read(mut source: LineSource, used: &Receiver<LineChunk>, out: &Sender<Result<LineChunk, StreamError>>) {
    loop {
        let mut chunk = used.try_recv().unwrap_or_default();
        let (read, last) = match source.fill(&mut chunk) {
            Ok(true) => (Ok(chunk), false),
            Ok(false) => return,
            Err(error) => (Err(error), true),
        };
        if out.send(read).is_err() || last {
            return;
        }
    }
}
