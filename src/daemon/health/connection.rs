//! Connections that cannot pile up: bounded in number, and each in time.
//!
//! Whoever watches asks a short question and gets a short answer, so a peer that holds a connection open, sends a byte a
//! minute or opens thousands is cut off without a look at what it says.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// How many connections there are at most; more wait in the system's queue.
const CONNECTIONS_MAX: usize = 64;
/// How long one lives: longer than the usual interval of scrapes, so that these keep theirs open.
const LIFETIME: Duration = Duration::from_secs(90);

/// A listener that accepts only as many connections as it has room for.
#[derive(Debug)]
pub(super) struct BoundedListener {
    listener: TcpListener,
    room: Arc<Semaphore>,
}

impl BoundedListener {
    /// Takes a listener that does not block. Must be called within a runtime.
    pub(super) fn new(listener: std::net::TcpListener) -> io::Result<BoundedListener> {
        let listener = TcpListener::from_std(listener)?;
        Ok(BoundedListener { listener, room: Arc::new(Semaphore::new(CONNECTIONS_MAX)) })
    }
}

impl Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        let room = Arc::clone(&self.room).acquire_owned().await.expect("the semaphore is never closed");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (BoundedStream { stream, ends: Box::pin(tokio::time::sleep(LIFETIME)), _room: room }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends after [`LIFETIME`].
#[derive(Debug)]
pub(super) struct BoundedStream {
    stream: TcpStream,
    ends: Pin<Box<Sleep>>,
    _room: OwnedSemaphorePermit,
}

impl BoundedStream {
    /// Whether its time is over; if not, the task is woken when it is.
    fn poll_end(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.ends.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_end(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_end(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_this_thread(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime starts").block_on(test);
    }

    async fn listener() -> (BoundedListener, SocketAddr) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a listener can");
        let address = listener.local_addr().expect("it is bound");
        (BoundedListener::new(listener).expect("within a runtime"), address)
    }

    #[test]
    fn a_connection_too_many_waits_until_another_ends() {
        on_this_thread(async {
            let (mut listener, address) = listener().await;
            let mut peers = Vec::new();
            let mut accepted = Vec::new();
            for _ in 0..CONNECTIONS_MAX {
                peers.push(TcpStream::connect(address).await.expect("it listens"));
                accepted.push(listener.accept().await.0);
            }
            peers.push(TcpStream::connect(address).await.expect("the system's queue has room"));
            assert_eq!(listener.room.available_permits(), 0);
            {
                let mut next = std::pin::pin!(listener.accept());
                tokio::select! {
                    biased;
                    _ = &mut next => panic!("it must wait"),
                    () = tokio::task::yield_now() => {}
                }
                accepted.pop();
                next.await;
            }
        });
    }

    #[test]
    fn a_connection_whose_time_is_over_fails_and_before_it_carries_bytes() {
        on_this_thread(async {
            let (mut listener, address) = listener().await;
            let peer = TcpStream::connect(address).await.expect("it listens");
            let (mut stream, _) = listener.accept().await;
            peer.writable().await.expect("it is open");
            assert_eq!(peer.try_write(b"GET").expect("it is open"), 3);
            assert_eq!(read(&mut stream).await.expect("its time has just begun"), b"GET");
            stream.ends = Box::pin(tokio::time::sleep(Duration::ZERO));
            assert_eq!(read(&mut stream).await.expect_err("its time is over").kind(), io::ErrorKind::TimedOut);
        });
    }

    async fn read(stream: &mut BoundedStream) -> io::Result<Vec<u8>> {
        let mut bytes = [0; 16];
        let mut buffer = ReadBuf::new(&mut bytes);
        std::future::poll_fn(|context| Pin::new(&mut *stream).poll_read(context, &mut buffer)).await?;
        Ok(buffer.filled().to_vec())
    }
}
