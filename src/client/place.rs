//! Where the API is and as whom it is asked: the flags that all nouns share, the token, and what
//! TLS trusts. It opens no connection.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail, ensure};
use clap::Args;
use hyper::Uri;
use hyper::header::HeaderValue;
use hyper::http::uri::Scheme;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::failure::{Failure, Outcome};
use super::output;

#[derive(Debug, Args)]
#[command(next_help_heading = "The API")]
#[group(skip)]
pub struct Flags {
    /// Where the API is [environment: PORTICO_API] [default: http://127.0.0.1:7080]
    #[arg(long, global = true, value_name = "URL")]
    api: Option<String>,
    /// The file with the token [environment: PORTICO_TOKEN_FILE, or the token in PORTICO_TOKEN]
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) that an https API is trusted by [default: those of this machine]
    #[arg(long, global = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The certificate chain (PEM) to show to an API that asks for one; needs --key
    #[arg(long = "cert", global = true, value_name = "FILE")]
    client_cert: Option<PathBuf>,
    /// The key (PEM) of --cert
    #[arg(long = "key", global = true, value_name = "FILE")]
    client_key: Option<PathBuf>,
    /// Print the API's JSON instead of tables
    #[arg(long, global = true)]
    pub json: bool,
}

pub struct Place {
    pub host: String,
    pub port: u16,
    /// `Host`.
    pub authority: String,
    /// Put before every path; without a slash at its end.
    pub prefix: String,
    pub authorization: HeaderValue,
    pub tls: Option<Tls>,
}

pub struct Tls {
    pub config: Arc<ClientConfig>,
    pub name: ServerName<'static>,
}

const DEFAULT_API: &str = "http://127.0.0.1:7080";
/// Where `portico serve` keeps its first token: as the README starts it, and by default.
const TOKEN_FILES: [&str; 2] = ["portico-data/token", "/var/lib/portico/token"];

impl Place {
    pub fn of(flags: &Flags) -> Outcome<Self> {
        Self::of_known(flags, DEFAULT_API, None)
    }

    /// For who knows a Portico: where its API is and its token, unless somebody says so otherwise.
    pub fn of_known(flags: &Flags, api: &str, token: Option<&str>) -> Outcome<Self> {
        let api = flags.api.clone().or_else(|| variable("PORTICO_API")).unwrap_or(api.to_owned());
        let token = self::token(flags.token_file.as_deref(), token)?;
        // What is before the `@` may be a password.
        let shown = api.rsplit_once('@').map_or(api.as_str(), |(_, place)| place);
        Self::at(&api, &token, flags)
            .with_context(|| format!("cannot use the API at {shown}"))
            .map_err(Failure::Usage)
    }

    fn at(api: &str, token: &str, flags: &Flags) -> anyhow::Result<Self> {
        let uri: Uri = api.parse()?;
        let authority = uri.authority().context("it is no http or https URL")?;
        let is_https = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => bail!("it is no http or https URL"),
        };
        ensure!(!authority.as_str().contains('@'), "a user in the URL is not used");
        ensure!(uri.query().is_none(), "a query in the URL is not used");
        let about_tls = [&flags.ca_file, &flags.client_cert, &flags.client_key];
        // Whoever gives them believes that nobody can listen.
        ensure!(
            is_https || about_tls.iter().all(|file| file.is_none()),
            "--ca-file, --cert and --key are of no use without https"
        );
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}"))
            .context("the token has a character that no token has")?;
        authorization.set_sensitive(true);
        Ok(Self {
            port: authority.port_u16().unwrap_or(if is_https { 443 } else { 80 }),
            authority: authority.to_string(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            authorization,
            tls: is_https.then(|| tls(&host, flags)).transpose()?,
            host,
        })
    }

    /// As it was given, for messages.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, self.prefix)
    }
}

/// An empty variable is none, as for `portico serve`.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn token(file: Option<&Path>, known: Option<&str>) -> Outcome<String> {
    if let Some(file) = file {
        return read_token(file);
    }
    if let Some(token) = variable("PORTICO_TOKEN") {
        return Ok(token.trim().to_owned());
    }
    if let Some(file) = variable("PORTICO_TOKEN_FILE") {
        return read_token(Path::new(&file));
    }
    if let Some(token) = known {
        return Ok(token.trim().to_owned());
    }
    let mut refused = String::new();
    for file in TOKEN_FILES {
        match fs::read_to_string(file) {
            Ok(token) => return Ok(token.trim().to_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => refused += &format!("\n  {file}: {error}"),
        }
    }
    let [here, installed] = TOKEN_FILES;
    Err(Failure::Usage(anyhow!(
        "there is no token: name its file with --token-file or PORTICO_TOKEN_FILE, or put it\n  \
         into PORTICO_TOKEN; ./{here} and {installed} cannot be read here{refused}"
    )))
}

fn read_token(file: &Path) -> Outcome<String> {
    let token = fs::read_to_string(file)
        .with_context(|| format!("cannot read the token in {}", file.display()))
        .map_err(Failure::Usage)?;
    match token.trim() {
        "" => Err(Failure::Usage(anyhow!("there is no token in {}", file.display()))),
        token => Ok(token.to_owned()),
    }
}

fn tls(host: &str, flags: &Flags) -> anyhow::Result<Tls> {
    let name = ServerName::try_from(host.to_owned())?;
    let mut roots = RootCertStore::empty();
    match &flags.ca_file {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).with_context(|| about(file))?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                found.errors.iter().for_each(|error| output::note(&error.to_string()));
                bail!("this machine trusts no certificate: name one with --ca-file");
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match (&flags.client_cert, &flags.client_key) {
        (Some(cert), Some(key)) => {
            let own = PrivateKeyDer::from_pem_file(key).with_context(|| about(key))?;
            config.with_client_auth_cert(certificates(cert)?, own).with_context(|| about(cert))?
        }
        (None, None) => config.with_no_client_auth(),
        _ => bail!("--cert and --key are given together or not at all"),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Tls { config: Arc::new(config), name })
}

fn certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.with_context(|| about(file))?;
    ensure!(!certificates.is_empty(), "there is no certificate in {}", file.display());
    Ok(certificates)
}

fn about(file: &Path) -> String {
    format!("cannot use {}", file.display())
}
