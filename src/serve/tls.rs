//! TLS of the API, by rustls, mutual where a CA of clients is configured; files that change are read again.
//!
//! Who connects gets the certificates of that moment; connections that are open keep theirs. Files that are broken, or half
//! written, leave in force what is, loudly.

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// Where the certificates are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain of the server, its own certificate first, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// Certificates of the authorities that a client must be known to; `None`: clients need no certificate.
    pub client_ca: Option<PathBuf>,
    /// The setting that names these, for whoever reads what is wrong with them.
    pub setting: &'static str,
    /// The protocol that is spoken over it, as ALPN names it.
    pub protocol: &'static [u8],
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {path}: {why}")]
pub struct TlsError {
    /// The setting.
    setting: &'static str,
    /// The file.
    path: PathBuf,
    /// What is wrong with it.
    why: String,
}

/// TLS as it is in force.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    /// The configuration, and what the files were when it was made.
    current: RwLock<(Arc<ServerConfig>, Stamp)>,
}

/// When each file was changed last.
type Stamp = Vec<Option<SystemTime>>;

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`TlsError`].
    pub fn open(files: TlsFiles) -> Result<Tls, TlsError> {
        let stamp = files.stamp();
        let config = files.read()?;
        Ok(Tls { files, current: RwLock::new((config, stamp)) })
    }

    /// What a connection that begins now is given.
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().expect(UNBROKEN).0)
    }

    /// Reads the files again if one has changed. Answers whether others are in force.
    ///
    /// # Errors
    ///
    /// [`TlsError`]: those in force stay. It is told once for each change.
    pub fn look(&self) -> Result<bool, TlsError> {
        let stamp = self.files.stamp();
        if stamp == self.current.read().expect(UNBROKEN).1 {
            return Ok(false);
        }
        let read = self.files.read();
        let mut current = self.current.write().expect(UNBROKEN);
        current.1 = stamp;
        current.0 = read?;
        Ok(true)
    }
}

const UNBROKEN: &str = "no thread panics while it holds the certificates";

impl TlsFiles {
    fn stamp(&self) -> Stamp {
        let files = [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()];
        let changed = |path: &PathBuf| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        files.into_iter().flatten().map(changed).collect()
    }

    fn read(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let setting = self.setting;
        let wrong = |path: &Path, why: String| TlsError { setting, path: path.to_owned(), why };
        let chain = certificates(&self.certificate, setting)?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| wrong(&self.key, error.to_string()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&self.certificate, error.to_string()))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for root in certificates(path, setting)? {
                    roots.add(root).map_err(|error| wrong(path, error.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().map_err(|error| wrong(path, error.to_string()))?)
            }
        };
        let config = builder.with_single_cert(chain, key);
        let mut config = config.map_err(|error| wrong(&self.key, error.to_string()))?;
        config.alpn_protocols = vec![self.protocol.to_vec()];
        Ok(Arc::new(config))
    }
}

fn certificates(path: &Path, setting: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |why: String| TlsError { setting, path: path.to_owned(), why };
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates = read.map_err(|error| wrong(error.to_string()))?;
    if certificates.is_empty() { Err(wrong("there is no certificate in it".to_owned())) } else { Ok(certificates) }
}
