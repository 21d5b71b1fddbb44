//! Reads one certificate with its key from files, and judges whether they can serve.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{CertificateFiles, TlsError};

/// A certificate that can be served, and what it says of itself.
#[derive(Debug)]
pub(super) struct Loaded {
    pub key: Arc<CertifiedKey>,
    /// DNS names in lower case, wildcards as `*.example.com`.
    pub names: Vec<String>,
    /// Seconds since 1970.
    pub expires: i64,
}

/// What changes when a file is written again or replaced. Through symbolic links, because
/// Kubernetes changes a mounted secret by turning a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// `None` for a file that cannot be looked at; that it appears again is a change, too.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        bytes: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

pub(super) fn load(
    files: &CertificateFiles,
    provider: &CryptoProvider,
) -> Result<Loaded, TlsError> {
    let chain = read_chain(&files.cert)?;
    let (names, expires) = read_names(&files.cert, &chain[0])?;
    let signer = provider
        .key_provider
        .load_private_key(read_key(&files.key)?)
        .map_err(|source| TlsError::Key { path: files.key.clone(), source })?;
    let key = CertifiedKey::new(chain, signer);
    match key.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(Error::InconsistentKeys(_)) => {
            return Err(TlsError::Mismatch { cert: files.cert.clone(), key: files.key.clone() });
        }
        Err(other) => {
            let reason = other.to_string();
            return Err(TlsError::Certificate { path: files.cert.clone(), reason });
        }
    }
    Ok(Loaded { key: Arc::new(key), names, expires })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::Pem { path: path.to_owned(), source })?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificateIn { path: path.to_owned() });
    }
    Ok(chain)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKeyIn { path: path.to_owned() },
        source => TlsError::Pem { path: path.to_owned(), source },
    })
}

/// The names that clients may ask for, which are subject alternative names only (RFC 9525 §2: the
/// common name is not looked at), and the end of validity.
fn read_names(path: &Path, der: &CertificateDer<'_>) -> Result<(Vec<String>, i64), TlsError> {
    let invalid = |reason: String| TlsError::Certificate { path: path.to_owned(), reason };
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|error| invalid(error.to_string()))?;
    let names = certificate
        .subject_alternative_name()
        .map_err(|error| invalid(error.to_string()))?
        .map(|extension| extension.value.general_names.as_slice())
        .unwrap_or_default()
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.trim_end_matches('.').to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    Ok((names, certificate.validity().not_after.timestamp()))
}

/// Seconds since 1970, for a warning; a clock before that is as good as none.
pub(super) fn now_seconds() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
