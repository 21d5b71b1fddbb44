//! TLS of the API listener, with client certificates where the settings ask for them. Files that
//! change are read again; those that cannot be used leave the old ones in force.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::failure::{Failure, Outcome};
use crate::settings::ControlTls;

#[derive(Clone)]
pub struct ControlAcceptor {
    files: ControlTls,
    config: Arc<ArcSwap<Loaded>>,
}

struct Loaded {
    bytes: Vec<u8>,
    config: Arc<ServerConfig>,
}

impl ControlAcceptor {
    pub fn new(files: ControlTls) -> Outcome<Self> {
        let loaded = load(&files).map_err(Failure::settings)?;
        Ok(Self { files, config: Arc::new(ArcSwap::from_pointee(loaded)) })
    }

    pub fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        self.config.load().config.clone().into()
    }

    /// Whether there was anything new.
    pub fn reload(&self) -> Outcome<bool> {
        let bytes = bytes(&self.files).map_err(Failure::settings)?;
        if bytes == self.config.load().bytes {
            return Ok(false);
        }
        self.config.store(Arc::new(load(&self.files).map_err(Failure::settings)?));
        Ok(true)
    }
}

/// Of all files, to see when one of them changes.
fn bytes(files: &ControlTls) -> anyhow::Result<Vec<u8>> {
    let mut all = Vec::new();
    let named = [Some(&files.certificate.cert), Some(&files.certificate.key)];
    for path in named.into_iter().chain([files.client_ca.as_ref()]).flatten() {
        all.extend(read(path)?);
    }
    Ok(all)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn load(files: &ControlTls) -> anyhow::Result<Loaded> {
    let (cert, key) = (&files.certificate.cert, &files.certificate.key);
    let chain = certificates(cert)?;
    let private = PrivateKeyDer::from_pem_slice(&read(key)?)
        .with_context(|| format!("{} holds no private key", key.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .context("the TLS library does not start")?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).with_context(|| format!("{}", path.display()))?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.context("control.client_ca is of no use")?)
        }
    };
    let mut config = builder
        .with_single_cert(chain, private)
        .with_context(|| format!("{} and {} do not fit", cert.display(), key.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Loaded { bytes: bytes(files)?, config: Arc::new(config) })
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let bytes = read(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain = chain.with_context(|| format!("{} is no PEM file", path.display()))?;
    anyhow::ensure!(!chain.is_empty(), "{} holds no certificate", path.display());
    Ok(chain)
}
