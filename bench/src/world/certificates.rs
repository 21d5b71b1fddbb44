//! An authority of a test's own, the certificates that it signs, and clients that trust it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use rcgen::date_time_ymd;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

pub use rustls::version::{TLS12, TLS13};

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A PEM chain and its key on disk.
#[derive(Debug, Clone)]
pub struct CertificatePaths {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn generate() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names to refuse");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "black-box authority");
        let key = KeyPair::generate().expect("a P-256 key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a self-signed authority");
        Self { issuer }
    }

    /// Writes `NAME.crt` and `NAME.key` for these DNS names into a directory; replaces older ones.
    pub fn certificate(
        &self,
        directory: &Path,
        name: &str,
        dns_names: &[&str],
    ) -> CertificatePaths {
        self.certificate_with(directory, name, dns_names, |_| {})
    }

    /// The same, with something changed before it is signed.
    pub fn certificate_with(
        &self,
        directory: &Path,
        name: &str,
        dns_names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> CertificatePaths {
        let names: Vec<String> = dns_names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("DNS names");
        change(&mut params);
        let key = KeyPair::generate().expect("a P-256 key");
        let certificate = params.signed_by(&key, &self.issuer).expect("the authority signs");
        let paths = CertificatePaths {
            cert: directory.join(format!("{name}.crt")),
            key: directory.join(format!("{name}.key")),
        };
        write(&paths.key, &key.serialize_pem());
        write(&paths.cert, &certificate.pem());
        paths
    }

    /// Its own certificate, for those who are to trust it.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A client that trusts this authority and speaks these versions of TLS.
    pub fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("the authority's certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions that the provider has")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}

/// Replaced by a rename, as certificate tools do, so that no reader sees half a file.
fn write(path: &Path, text: &str) {
    let next = path.with_extension("next");
    std::fs::write(&next, text).expect("the file can be written");
    std::fs::rename(&next, path).expect("the file can be replaced");
}
