//! What an operator says about a Redis, and its TLS files read. Which keys of the settings it comes
//! from is not known here.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redis::{ClientTlsConfig, TlsCertificates};

use super::address::{Address, shown};
use super::{Failure, Keys};

/// Of the keys' names.
const PREFIX: &str = "portico";

#[derive(Clone)]
pub struct RedisOptions {
    pub url: String,
    /// These two go before those in the URL.
    pub username: Option<String>,
    pub password: Option<String>,
    pub prefix: String,
    /// Certificates that the server's is checked against, instead of the system's; PEM.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate and its key; PEM, both or neither.
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    /// The server's certificate is not checked: whoever is in between can read and change all.
    pub tls_insecure: bool,
    /// Opening succeeds while Redis is away, for a process that has other work to do meanwhile.
    /// What is wrong with it is then said by the calls.
    pub patient: bool,
}

impl RedisOptions {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            username: None,
            password: None,
            prefix: PREFIX.to_owned(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            tls_insecure: false,
            patient: false,
        }
    }

    /// Whether a URL is that of a Redis, right or wrong.
    pub fn is_meant_by(url: &str) -> bool {
        Address::is_redis(url)
    }

    /// What would be found wrong when it is opened, as far as that can be known without its files
    /// and without the server.
    pub fn check(&self) -> Result<(), Failure> {
        self.address()?;
        Keys::new(&self.prefix).map(drop)
    }

    /// No for a URL that cannot be read, here and below.
    pub fn uses_tls(&self) -> bool {
        Address::parse(&self.url).is_ok_and(|address| address.tls)
    }

    /// Whether there is a login at all: a user without a password is not one.
    pub fn has_password(&self) -> bool {
        self.address().is_ok_and(|address| address.password.is_some())
    }

    pub(super) fn address(&self) -> Result<Address, Failure> {
        let mut address = Address::parse(&self.url)?;
        address.username = self.username.clone().or(address.username);
        address.password = self.password.clone().or(address.password);
        if !address.tls && (self.ca_file.is_some() || self.cert_file.is_some()) {
            return Err(self.wrong("certificates are of no use without TLS: write rediss"));
        }
        Ok(address)
    }

    pub(super) fn certificates(&self) -> Result<TlsCertificates, Failure> {
        let client_tls = match (&self.cert_file, &self.key_file) {
            (Some(certificate), Some(key)) => {
                let (client_cert, client_key) = (read(certificate)?, read(key)?);
                Some(ClientTlsConfig { client_cert, client_key })
            }
            (None, None) => None,
            _ => return Err(self.wrong("a client certificate and its key belong together")),
        };
        let root_cert = self.ca_file.as_deref().map(read).transpose()?;
        Ok(TlsCertificates { client_tls, root_cert })
    }

    fn wrong(&self, reason: &str) -> Failure {
        Failure::Address { url: shown(&self.url), reason: reason.to_owned() }
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("url", &shown(&self.url))
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file)
        .map_err(|source| Failure::File { file: file.to_owned(), source: Arc::new(source) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let mut options = RedisOptions::new("redis://ada:secret@r");
        options.password = Some("hidden".into());
        let text = format!("{options:?}");
        assert!(!text.contains("secret") && !text.contains("hidden"), "{text}");
        assert_eq!(options.address().unwrap().password.as_deref(), Some("hidden"));
        options.ca_file = Some("ca.pem".into());
        assert!(options.address().map(drop).unwrap_err().to_string().contains("rediss"));
        options.key_file = Some("key.pem".into());
        let error = options.certificates().map(drop).unwrap_err().to_string();
        assert!(error.contains("belong together") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_found_before_it_is_opened() {
        let options = RedisOptions::new("rediss://:secret@r:6380/1");
        assert!(options.check().is_ok() && options.uses_tls() && options.has_password());
        let options = RedisOptions::new("redis://ada@r");
        assert!(options.check().is_ok() && !options.uses_tls() && !options.has_password());
        assert!(RedisOptions::new("redis://r:port").check().is_err());
        let options = RedisOptions { prefix: "a{b}".into(), ..options };
        assert!(matches!(options.check(), Err(Failure::Prefix(_))));
    }
}
