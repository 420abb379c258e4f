//! A port that is listened on, and the certificates that it shows.
//!
//! It is taken before anything is served, so that a port that is taken by another is told at once. May import certificates.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::ServeError;
use super::tls::{Tls, TlsFiles};

/// A port.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) listener: TcpListener,
    /// With the real port, where 0 was configured.
    pub(super) address: SocketAddr,
    pub(super) tls: Option<Arc<Tls>>,
}

impl Port {
    /// Takes the port that a setting names. Connections wait until it is served.
    pub(super) fn open(
        listen: &str,
        setting: &'static str,
        tls: Option<TlsFiles>,
        runtime: &Runtime,
    ) -> Result<Port, ServeError> {
        let tls = tls.map(Tls::open).transpose()?.map(Arc::new);
        let _context = runtime.enter();
        let bind = || {
            let listener = std::net::TcpListener::bind(listen)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((TcpListener::from_std(listener)?, address))
        };
        let (listener, address) =
            bind().map_err(|source| ServeError::Listen { listen: listen.to_owned(), setting, source })?;
        Ok(Port { listener, address, tls })
    }
}
