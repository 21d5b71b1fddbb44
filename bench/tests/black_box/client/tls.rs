//! The client over https: whom it trusts, and the certificate that it shows.

use std::sync::Arc;

use portico_bench::world::certificates::{Authority, CertificatePaths};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;

use super::Cli;
use super::canned::{Canned, answer};

fn server(authority: &Authority, own: &CertificatePaths) -> ServerConfig {
    let read = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(read(&authority.pem())).expect("the authority's certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .expect("roots are there");
    let chain = vec![CertificateDer::from_pem_file(&own.cert).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(&own.key).expect("a key");
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions that the provider has")
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .expect("the key is that of the certificate")
}

#[test]
fn an_https_api_is_trusted_by_its_authority_and_asks_for_a_certificate() {
    let files = TempDir::new().expect("a temporary directory");
    let authority = Authority::generate();
    let own = authority.certificate(files.path(), "api", &["localhost"]);
    let mine = authority.certificate(files.path(), "operator", &["operator"]);
    std::fs::write(files.path().join("ca.pem"), authority.pem()).expect("a file can be written");
    let list = answer("200 OK", "", "{\"items\":[],\"next_cursor\":null}");
    let api = Canned::start_tls(&[&list], server(&authority, &own));
    let cli = Cli::at(&format!("https://localhost:{}", api.address.port()), files.path());

    let (cert, key) = (mine.cert.display(), mine.key.display());
    let shown = format!("--cert {cert} --key {key}");
    let list = cli.done(&format!("session list --json --ca-file ca.pem {shown}"));
    assert_eq!(list, "[]\n");
    cli.refused("session list --ca-file ca.pem", 69);
    let code = cli.run(&format!("session list {shown}")).code;
    assert!(matches!(code, Some(64 | 69)), "nobody vouches for it here: {code:?}");
    let problem = cli.refused(&format!("session list --ca-file ca.pem --cert {cert}"), 64);
    assert!(problem.contains("together"), "{problem}");
    let elsewhere = format!("https://127.0.0.1:{}", api.address.port());
    let problem =
        cli.refused(&format!("session list --ca-file ca.pem {shown} --api {elsewhere}"), 69);
    assert!(problem.contains("TLS"), "{problem}");
    assert_eq!(api.heads().len(), 1, "the token goes to nobody else");
}
