//! The listener and its connections: bounded in number, and each in time, whatever the other side does.
//!
//! HTTP/1.1 for the API, HTTP/2 for gRPC. A head that does not come in time, an answer that nobody takes, a handshake that does not end: the connection is
//! closed. More connections than there is room for wait in the system's queue.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::tls::Tls;

/// The longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// The most headers of a request.
const HEADERS_MAX: usize = 64;
/// Calls at once over one connection of HTTP/2.
const STREAMS_MAX: u32 = 256;
/// Bytes that a call, and a connection of HTTP/2, may have on the way before they are read.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// How long is waited before the next try, once the system cannot accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How connections are bounded.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionOptions {
    /// How many there are at most.
    pub connections_max: usize,
    /// How long the head of a request, or a handshake, may take; also how long an idle connection stays open.
    pub head_timeout: Duration,
    /// How long the other side may take none of an answer.
    pub write_timeout: Duration,
    /// How long answers on their way get once the end has begun.
    pub drain: Duration,
}

/// Which version of HTTP a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, known beforehand or by ALPN.
    Http2,
}

/// The address that a call comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Serves until `stop` says so, and then what is under way.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    router: Router,
    speaks: Speaks,
    options: ConnectionOptions,
    mut stop: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(options.connections_max));
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&room).acquire_owned() => permit.expect("the semaphore is never closed"),
            () = told(&mut stop) => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = told(&mut stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (tls, router, stop) = (tls.clone(), router.clone(), stop.clone());
                let connection = Connection { peer, tls, router, speaks, options, stop };
                tokio::spawn(async move {
                    connection.serve(stream).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let all = u32::try_from(options.connections_max).unwrap_or(u32::MAX);
    drop(tokio::time::timeout(options.drain, room.acquire_many(all)).await);
}

/// Waits for the word to stop, or the loss of whoever could say it.
async fn told(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

struct Connection {
    peer: SocketAddr,
    tls: Option<Arc<Tls>>,
    router: Router,
    speaks: Speaks,
    options: ConnectionOptions,
    stop: watch::Receiver<bool>,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        // An answer is small, and whoever waits for it shall not wait for more.
        drop(stream.set_nodelay(true));
        let Some(tls) = &self.tls else { return self.serve_over(stream).await };
        let handshake = TlsAcceptor::from(tls.current()).accept(stream);
        match tokio::time::timeout(self.options.head_timeout, handshake).await {
            Ok(Ok(stream)) => self.serve_over(stream).await,
            Ok(Err(error)) => tracing::debug!(peer = %self.peer, %error, "a handshake failed"),
            Err(_) => tracing::debug!(peer = %self.peer, "a handshake took too long"),
        }
    }

    async fn serve_over(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Connection { peer, router, options, mut stop, .. } = self;
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            let mut request: Request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(Peer(peer));
            router.clone().oneshot(request)
        });
        let ended = match self.speaks {
            Speaks::Http1 => {
                let stream = Timed { stream, writes: Patience::new(options.write_timeout), reads: None };
                let connection = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(options.head_timeout)
                    .max_buf_size(HEAD_BYTES_MAX)
                    .max_headers(HEADERS_MAX)
                    .serve_connection(TokioIo::new(stream), service);
                until_told(connection, &mut stop, |connection| connection.graceful_shutdown()).await
            }
            Speaks::Http2 => {
                // A connection may be quiet for as long as the other side answers pings; so one that says nothing for longer
                // than a ping and its answer take is gone, or never began.
                let reads = Some(Patience::new(options.head_timeout * 3));
                let stream = Timed { stream, writes: Patience::new(options.write_timeout), reads };
                let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .keep_alive_interval(options.head_timeout)
                    .keep_alive_timeout(options.head_timeout)
                    .max_header_list_size(HEAD_BYTES_MAX as u32)
                    .max_concurrent_streams(STREAMS_MAX)
                    .initial_stream_window_size(STREAM_WINDOW)
                    .initial_connection_window_size(CONNECTION_WINDOW)
                    .serve_connection(TokioIo::new(stream), service);
                until_told(connection, &mut stop, |connection| connection.graceful_shutdown()).await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "a connection ended");
        }
    }
}

/// Serves a connection to its end. Once the server is to stop, what is under way is answered, and nothing more is taken.
async fn until_told<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    stop: &mut watch::Receiver<bool>,
    wind_down: impl FnOnce(Pin<&mut C>),
) -> hyper::Result<()> {
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = told(stop) => {
            wind_down(connection.as_mut());
            connection.await
        }
    }
}

/// How long something may be waited for, and until when it is.
struct Patience {
    span: Duration,
    /// `None`: nothing is waited for.
    until: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    fn new(span: Duration) -> Patience {
        Patience { span, until: None }
    }

    /// The same, or that it took too long.
    fn bound<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.until = None;
            return polled;
        }
        let until = self.until.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.span)));
        match until.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// A connection whose other side must take what is written, if not all at once, then some of it in time; and, where it is asked to, say
/// something in time.
struct Timed<S> {
    stream: S,
    writes: Patience,
    /// `None`: what is read is bounded elsewhere.
    reads: Option<Patience>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        match &mut self.reads {
            Some(reads) => reads.bound(polled, context),
            None => polled,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.writes.bound(polled, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.writes.bound(polled, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(context);
        self.writes.bound(polled, context)
    }
}
