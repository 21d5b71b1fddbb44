//! TLS towards clients: which certificates there are, which one a client gets, and a stream that
//! encrypts over a socket of `io`. Knows nothing of HTTP but the name in ALPN.

mod certificates;
mod file;
mod report;
pub(crate) mod stream;

use std::path::PathBuf;
use std::sync::Arc;

use portico_core::limits::{TLS_SEND_BYTES, TLS_SESSIONS_MAX};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::ServerSessionMemoryCache;
use rustls::version::{TLS12, TLS13};

pub(crate) use certificates::Certificates;
pub use report::CertificateReport;
pub(crate) use stream::TlsStream;

/// A certificate with its chain, and its key, both in PEM form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The host's own certificate first, then the intermediate ones.
    pub cert: PathBuf,
    /// PKCS #8, PKCS #1 or SEC1, not encrypted.
    pub key: PathBuf,
}

/// Why there is no TLS. All but the last are the operator's to mend; the text says how.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("a listener wants TLS, but no certificate is set: add one to `tls.certificates`")]
    NoCertificateSet,
    #[error("cannot read {path}, set in `tls.certificates`: check that it is there and readable")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} is damaged PEM: write it again from the issuer's file")]
    Pem { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("{path} holds no certificate (`BEGIN CERTIFICATE`): are `cert` and `key` swapped?")]
    NoCertificateIn { path: PathBuf },
    #[error(
        "{path} holds no private key that can be read: it must be PKCS #8, PKCS #1 or SEC1 in PEM \
         form, and not encrypted (`openssl pkey -in FILE -out NEW` decrypts one)"
    )]
    NoKeyIn { path: PathBuf },
    #[error("the first certificate in {path} is no valid X.509: write it again")]
    Certificate { path: PathBuf, reason: String },
    #[error("the key in {path} is of a kind that is not supported: use ECDSA P-256 or RSA 2048")]
    Key { path: PathBuf, source: rustls::Error },
    #[error(
        "the key in {key} does not belong to the first certificate in {cert}: name the two that \
         were made together, and put the host's own certificate before the intermediate ones"
    )]
    Mismatch { cert: PathBuf, key: PathBuf },
    #[error("the TLS library cannot be set up")]
    Library(#[source] rustls::Error),
}

/// What all connections share. Which certificate one gets is asked of `certificates` anew for each
/// handshake, so a reload needs no new configuration and old tickets stay good.
pub(crate) fn server_config(
    certificates: Arc<Certificates>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsError::Library)?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = Ticketer::new().map_err(TlsError::Library)?;
    config.session_storage = ServerSessionMemoryCache::new(TLS_SESSIONS_MAX);
    // Each ticket costs an encryption and a write. Browsers use one at a time.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

const _: () = assert!(TLS_SEND_BYTES.is_multiple_of(16 * 1024), "whole records");
