//! The certificates in force: chosen by the name that a client asks for (SNI), and replaced as a
//! whole when the files change, so that a handshake never sees half of a change. Who calls
//! `reload`, on a signal or by the clock, is not known here.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::file::{Loaded, Stamp, load, now_seconds, stamp};
use super::{CertificateFiles, TlsError};
use crate::metrics::labels::{LabelValue, ReloadResult};

#[derive(Debug)]
pub(crate) struct Certificates {
    files: Vec<CertificateFiles>,
    provider: CryptoProvider,
    current: ArcSwap<InForce>,
    /// Of the files as they were when last read, well or not; held while they are read.
    stamps: Mutex<Vec<Option<Stamp>>>,
    reloads: [AtomicU64; ReloadResult::ALL.len()],
}

/// Keys by name, each in the order of the settings: one name may have an ECDSA and an RSA key.
#[derive(Debug)]
struct InForce {
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// By what is behind `*.`.
    wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// For clients that ask for no name, or for one that no certificate has: the first listed.
    default: Arc<CertifiedKey>,
    expiries: BTreeMap<String, i64>,
}

impl Certificates {
    pub fn load(files: Vec<CertificateFiles>) -> Result<Self, TlsError> {
        let provider = default_provider();
        let stamps = stamps(&files);
        let current = ArcSwap::from_pointee(InForce::load(&files, &provider)?);
        let stamps = Mutex::new(stamps);
        Ok(Self { files, provider, current, stamps, reloads: Default::default() })
    }

    /// Reads all files again. If any of them is wrong, all that was in force stays in force.
    pub fn reload(&self) -> Result<(), TlsError> {
        let mut read = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        *read = stamps(&self.files);
        self.replace()
    }

    /// Reloads when a file is not what it was when it was last read; says whether it did. A failure
    /// is returned once, and again only after the next change: half of a pair may be written first.
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        let mut read = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        let found = stamps(&self.files);
        if *read == found {
            return Ok(false);
        }
        *read = found;
        self.replace().map(|()| true)
    }

    fn replace(&self) -> Result<(), TlsError> {
        let loaded = InForce::load(&self.files, &self.provider);
        let result = if loaded.is_ok() { ReloadResult::Ok } else { ReloadResult::Failed };
        self.reloads[result.index()].fetch_add(1, Ordering::Relaxed);
        self.current.store(Arc::new(loaded?));
        Ok(())
    }

    pub fn reloads(&self, result: ReloadResult) -> u64 {
        self.reloads[result.index()].load(Ordering::Relaxed)
    }

    /// First name and expiry in seconds since 1970. Of certificates with the same first name, the
    /// one that expires first.
    pub fn expiries(&self) -> BTreeMap<String, i64> {
        self.current.load().expiries.clone()
    }
}

fn stamps(files: &[CertificateFiles]) -> Vec<Option<Stamp>> {
    files.iter().flat_map(|files| [stamp(&files.cert), stamp(&files.key)]).collect()
}

impl InForce {
    fn load(files: &[CertificateFiles], provider: &CryptoProvider) -> Result<Self, TlsError> {
        let loaded = files
            .iter()
            .map(|files| Ok((files, load(files, provider)?)))
            .collect::<Result<Vec<(&CertificateFiles, Loaded)>, TlsError>>()?;
        let (_, first) = loaded.first().ok_or(TlsError::NoCertificateSet)?;
        let mut in_force = Self {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            default: first.key.clone(),
            expiries: BTreeMap::new(),
        };
        for (files, loaded) in loaded {
            in_force.add(&files.cert, loaded);
        }
        Ok(in_force)
    }

    fn add(&mut self, path: &Path, loaded: Loaded) {
        if loaded.expires <= now_seconds() {
            tracing::warn!(cert = ?path, names = ?loaded.names, "the certificate has expired");
        }
        let first = loaded.names.first().cloned();
        let first = first.unwrap_or_else(|| path.display().to_string());
        self.expiries
            .entry(first)
            .and_modify(|expires| *expires = loaded.expires.min(*expires))
            .or_insert(loaded.expires);
        for name in loaded.names {
            let keys = match name.strip_prefix("*.") {
                Some(parent) => self.wildcard.entry(parent.to_owned()),
                None => self.exact.entry(name),
            };
            keys.or_default().push(loaded.key.clone());
        }
    }

    /// The exact name, then a wildcard for the first label (RFC 9525 §6.3: one label, not more),
    /// then the default. Among the keys of a name, the first that the client can verify.
    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Arc<CertifiedKey> {
        let keys = name.and_then(|name| {
            self.exact.get(name).or_else(|| self.wildcard.get(name.split_once('.')?.1))
        });
        let Some(keys) = keys else {
            return self.default.clone();
        };
        keys.iter().find(|key| key.key.choose_scheme(schemes).is_some()).unwrap_or(&keys[0]).clone()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = client_hello.server_name();
        Some(self.current.load().choose(name, client_hello.signature_schemes()))
    }
}

#[cfg(test)]
mod tests;
