//! Files that settings name, read when the settings are checked, so that a broken one is told with
//! all other mistakes and not after half of a start. The API's token is kept from here on; the
//! certificates are read again by the proxy, which also reads changed ones.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use portico_control::token::Token;
use portico_core::limits;
use portico_proxy::CertificateFiles;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::parse;
use crate::settings::collect::Collected;
use crate::settings::mistake::Wrong;
use crate::settings::value::Value;

/// Room for blanks around the longest token; and for any password.
const SECRET_FILE_BYTES_MAX: usize = 2 * limits::TOKEN_BYTES_MAX;

const PEM_FIX: &str = "correct the path, the file or its rights";

/// What is wrong with its content must not be said with the content.
pub fn token(value: &Value) -> Result<Token, Wrong> {
    let path = value.text();
    let parse = |text: String| Token::parse(&text).map_err(|error| error.to_string());
    secret(path).and_then(parse).map_err(|wrong| {
        Wrong::new(
            format!("no token in `{path}`: {wrong}"),
            "correct the path, the file or its rights, or remove the setting to have a token made",
        )
    })
}

/// Its first line, because editors put a line's end behind it. Blanks may be part of it.
pub fn password(value: &Value) -> Result<String, Wrong> {
    let path = value.text();
    let first_line = |text: String| match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err("its first line is empty".to_owned()),
    };
    secret(path)
        .and_then(first_line)
        .map_err(|wrong| Wrong::new(format!("no password in `{path}`: {wrong}"), PEM_FIX))
}

fn secret(path: &str) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut file = file.take(SECRET_FILE_BYTES_MAX as u64 + 1);
    file.read_to_string(&mut text).map_err(|error| error.to_string())?;
    match text.len() > SECRET_FILE_BYTES_MAX {
        true => Err(format!("it has more than {SECRET_FILE_BYTES_MAX} bytes")),
        false => Ok(text),
    }
}

/// Certificates of whom to trust.
pub fn authorities(value: &Value) -> Result<PathBuf, Wrong> {
    let path = parse::file(value)?;
    let trusted = chain(&path).and_then(|chain| {
        let trust = |certificate| RootCertStore::empty().add(certificate);
        chain
            .into_iter()
            .try_for_each(trust)
            .map_err(|error| format!("{}: {error}", path.display()))
    });
    trusted.map(|()| path).map_err(|wrong| Wrong::new(wrong, PEM_FIX))
}

/// A certificate and its key that two keys of the settings name: both or neither.
pub fn pair(
    c: &mut Collected,
    [cert_name, key_name]: [&'static str; 2],
) -> Option<Option<CertificateFiles>> {
    let path_of = |value: &Value, check: fn(&Path) -> Result<(), String>| {
        let path = parse::file(value)?;
        check(&path).map(|()| path).map_err(|wrong| Wrong::new(wrong, PEM_FIX))
    };
    let cert = c.read(cert_name, |value| path_of(value, |path| chain(path).map(drop)));
    let key = c.read(key_name, |value| path_of(value, |path| key_in(path).map(drop)));
    let (given, missing) = match (cert?, key?) {
        (None, None) => return Some(None),
        (Some(cert), Some(key)) => {
            let files = CertificateFiles { cert, key };
            let broken = mistakes(&files);
            if broken.is_empty() {
                return Some(Some(files));
            }
            let wrong = Wrong::new(broken.join("; "), "give the key that belongs to it");
            c.mistake(cert_name, c.origin(cert_name), wrong);
            return None;
        }
        (Some(_), None) => (cert_name, key_name),
        (None, Some(_)) => (key_name, cert_name),
    };
    // The other one may stand in a file that could not be read.
    if c.is_whole {
        let wrong = Wrong::new(format!("is set without {missing}"), "set both or neither");
        c.mistake(given, c.origin(given), wrong);
    }
    None
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
    let (chain, key) = match (chain(&files.cert), key_in(&files.key)) {
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

fn key_in(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
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
