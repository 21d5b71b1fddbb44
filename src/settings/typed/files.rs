//! Files that settings name, read when the settings are checked, so that a broken one is told with
//! all other mistakes and not after half of a start. The API's token is kept from here on; the
//! certificates are read again by the proxy, which also reads changed ones.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use portico_control::token::Token;
use portico_core::limits;
use portico_proxy::CertificateFiles;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::settings::mistake::Wrong;
use crate::settings::value::Value;

/// Room for blanks around the longest token.
const TOKEN_FILE_BYTES_MAX: usize = 2 * limits::TOKEN_BYTES_MAX;

/// What is wrong with its content must not be said with the content.
pub fn token(value: &Value) -> Result<Token, Wrong> {
    let path = value.text();
    let read = || -> Result<Token, String> {
        let mut text = String::new();
        let file = File::open(path).map_err(|error| error.to_string())?;
        let mut file = file.take(TOKEN_FILE_BYTES_MAX as u64 + 1);
        file.read_to_string(&mut text).map_err(|error| error.to_string())?;
        Token::parse(&text).map_err(|error| error.to_string())
    };
    read().map_err(|wrong| {
        Wrong::new(
            format!("no token in `{path}`: {wrong}"),
            "correct the path, the file or its rights, or remove the setting to have a token made",
        )
    })
}

/// All of their mistakes at once.
pub fn certificates(value: &Value) -> Result<Vec<CertificateFiles>, Wrong> {
    let pairs = value.certificates().iter();
    let files: Vec<_> =
        pairs.map(|(cert, key)| CertificateFiles { cert: cert.into(), key: key.into() }).collect();
    let broken: Vec<_> = files.iter().flat_map(mistakes).collect();
    match broken.is_empty() {
        true => Ok(files),
        false => {
            Err(Wrong::new(broken.join("; "), "correct the paths, the files or the files' rights"))
        }
    }
}

fn mistakes(files: &CertificateFiles) -> Vec<String> {
    let (chain, key) = match (chain(&files.cert), key(&files.key)) {
        (Ok(chain), Ok(key)) => (chain, key),
        (chain, key) => return chain.err().into_iter().chain(key.err()).collect(),
    };
    let fits = CertifiedKey::from_der(chain, key, &default_provider());
    let (cert, key) = (files.cert.display(), files.key.display());
    fits.err().map(|error| format!("{cert} and {key} are no pair: {error}")).into_iter().collect()
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match chain {
        Ok(chain) if chain.is_empty() => {
            Err(format!("{} holds no certificate (`BEGIN CERTIFICATE`)", path.display()))
        }
        chain => chain.map_err(|error| format!("{} is damaged PEM: {error}", path.display())),
    }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => format!(
            "{} holds no private key that can be read (PKCS #8, PKCS #1 or SEC1, not encrypted)",
            path.display()
        ),
        error => format!("{} is damaged PEM: {error}", path.display()),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}
