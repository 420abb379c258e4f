//! Reads lines in a thread that may block for ever, so that whoever wants the lines never does.
//!
//! A pipe or terminal that says nothing holds up a read until it speaks, and no flag ends that. So the reading thread is
//! not one of the pipeline's: it is left behind where it waits when the pipeline ends, and ends with the process.

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

/// The other end of the reading thread.
pub(super) struct LineThread {
    chunks: Receiver<Result<LineChunk, StreamError>>,
    used: Sender<LineChunk>,
}

impl LineThread {
    /// Starts to read.
    ///
    /// # Errors
    ///
    /// [`StreamError::Read`] if the system gives no thread.
    pub(super) fn start(source: LineSource) -> Result<LineThread, StreamError> {
        let name = source.name().to_owned();
        let (to_reader, chunks) = bounded(1);
        let (used, from_reader) = bounded(CHUNKS);
        let thread = std::thread::Builder::new().name("lines".to_owned());
        let started = thread.spawn(move || read(source, &from_reader, &to_reader));
        started.map_err(|source| StreamError::Read { name, source })?;
        Ok(LineThread { chunks, used })
    }

    /// Waits so long for lines.
    ///
    /// # Errors
    ///
    /// As [`LineSource::fill`].
    pub(super) fn next(&self, wait: Duration) -> Result<Lines, StreamError> {
        match self.chunks.recv_timeout(wait) {
            Ok(chunk) => chunk.map(Lines::Chunk),
            Err(RecvTimeoutError::Timeout) => Ok(Lines::None),
            Err(RecvTimeoutError::Disconnected) => Ok(Lines::End),
        }
    }

    /// Gives a chunk back, so that its memory is used again.
    pub(super) fn recycle(&self, chunk: LineChunk) {
        // The thread may have ended: then nobody needs it.
        drop(self.used.try_send(chunk));
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
