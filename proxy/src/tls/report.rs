//! What a certificate's files say, for an operator who has not started yet: names, times and the
//! order of its chain. Whether a name is the right one is not known here.

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::file::load;
use super::{CertificateFiles, TlsError};

#[derive(Debug)]
pub struct CertificateReport {
    /// DNS names in lower case, wildcards as `*.example.com`.
    pub names: Vec<String>,
    /// Of the whole chain: from the last begin to the first end, in seconds since 1970.
    pub valid: (i64, i64),
    pub chain: Vec<CertificateDer<'static>>,
    /// The first certificate that did not sign the one before it, by its subject.
    pub out_of_order: Option<String>,
    /// It is its own issuer, so nobody vouches for it.
    pub is_self_signed: bool,
}

impl CertificateReport {
    /// All mistakes that keep the files from being served are errors.
    pub fn of(files: &CertificateFiles) -> Result<Self, TlsError> {
        let loaded = load(files, &default_provider())?;
        let chain = loaded.key.cert.clone();
        let wrong = |reason: String| TlsError::Certificate { path: files.cert.clone(), reason };
        let mut valid = (i64::MIN, loaded.expires);
        let (mut out_of_order, mut is_self_signed) = (None, false);
        let mut issuer: Option<Vec<u8>> = None;
        for der in &chain {
            let (_, certificate) =
                X509Certificate::from_der(der).map_err(|error| wrong(error.to_string()))?;
            let times = certificate.validity();
            valid.0 = valid.0.max(times.not_before.timestamp());
            valid.1 = valid.1.min(times.not_after.timestamp());
            let (subject, signer) = (certificate.subject(), certificate.issuer());
            match &issuer {
                None => is_self_signed = subject.as_raw() == signer.as_raw(),
                Some(issuer) if issuer != subject.as_raw() && out_of_order.is_none() => {
                    out_of_order = Some(subject.to_string());
                }
                Some(_) => {}
            }
            issuer = Some(signer.as_raw().to_vec());
        }
        Ok(Self { names: loaded.names, valid, chain, out_of_order, is_self_signed })
    }

    /// As the listener chooses: a wildcard is for one label (RFC 9525 §6.3).
    pub fn covers(&self, host: &str) -> bool {
        let wildcard = host.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        self.names.iter().any(|name| name == host || Some(name) == wildcard.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_one_label() {
        let names = vec!["*.connect.example.com".to_owned(), "one.example.com".to_owned()];
        let report = CertificateReport {
            names,
            valid: (0, 0),
            chain: Vec::new(),
            out_of_order: None,
            is_self_signed: false,
        };
        for (host, covered) in [
            ("a1.connect.example.com", true),
            ("connect.example.com", false),
            ("a.b.connect.example.com", false),
            ("one.example.com", true),
        ] {
            assert_eq!(report.covers(host), covered, "{host}");
        }
    }
}
