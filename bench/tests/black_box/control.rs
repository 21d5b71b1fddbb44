//! The API's listener in the real binary: TLS with client certificates, guesses at tokens, and what
//! a session's lifespan does by itself.

use portico_bench::world::certificates::{Authority, TLS13};
use portico_bench::world::client::Client;
use portico_bench::world::upstream::Upstream;
use portico_bench::world::{Io, TOKEN, World, eventually};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tempfile::TempDir;

use crate::{options, world};

#[test]
fn the_api_asks_clients_for_certificates_where_it_is_told_to() {
    let files = TempDir::new().expect("a temporary directory");
    let authority = Authority::generate();
    let own = authority.certificate(files.path(), "api", &["localhost"]);
    let platform = authority.certificate(files.path(), "platform", &["platform"]);
    let ca = files.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).expect("a file can be written");
    let world = World::start(
        options(Io::Epoll)
            .set("PORTICO_CONTROL__TLS_CERT", own.cert.display().to_string())
            .set("PORTICO_CONTROL__TLS_KEY", own.key.display().to_string())
            .set("PORTICO_CONTROL__CLIENT_CA", ca.display().to_string()),
    );
    let request = format!(
        "GET /v1/sessions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    );
    let nobody = authority.client(&[&TLS13]);
    let client = Client::try_connect_tls(world.control, "localhost", nobody);
    let refused = client.and_then(|mut client| {
        client.try_send(&request)?;
        client.try_response()
    });
    assert!(refused.is_err(), "without a certificate: {refused:?}");

    let chain = CertificateDer::pem_file_iter(&platform.cert).expect("a file of PEM");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_file(&platform.key).expect("a key");
    let mut roots = rustls::RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("PEM");
    roots.add(authority).expect("an authority");
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the library's own versions")
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .expect("the certificate and its key fit");
    let mut client = Client::connect_tls(world.control, "localhost", config.into());
    assert_eq!(client.exchange(&request).status, 200);
}

#[test]
fn guesses_at_tokens_are_limited_by_address_and_the_audit_log_knows_addresses() {
    let world = world(Io::Epoll);
    let guess = "GET /v1/sessions HTTP/1.1\r\nHost: control\r\n\
                 Authorization: Bearer 0123456789abcdef-wrong\r\n\r\n";
    let mut statuses = Vec::new();
    let mut client = Client::connect(world.control);
    for _ in 0..25 {
        statuses.push(client.exchange(guess).status);
    }
    assert_eq!((statuses[0], statuses[19], statuses[24]), (401, 401, 429), "{statuses:?}");
    let barred = client.exchange(guess);
    assert!(barred.field("retry-after").is_some(), "{barred:?}");
    assert_eq!(barred.json()["type"], "/problems/too-many-failures");
}

#[test]
fn a_session_ends_by_itself_when_its_lifespan_is_over() {
    let (world, upstream) = (world(Io::Epoll), Upstream::echo());
    let session = world.session_with(json!({ "upstream": upstream.url(), "lifespan_seconds": 1 }));
    assert!(session.record["expires_at"].is_string());
    let target = format!("/v1/sessions/{}", session.id);
    let ended = eventually("it is stopped", || {
        let now = world.api("GET", &target, None).json();
        (now["state"] == "stopped").then_some(now)
    });
    assert_eq!(ended["reason"], "its lifespan of 1 second has ended");
    eventually("its page says so", || {
        let page = world.client().get(&session.host, "/");
        (page.status == 503 && page.text().contains("lifespan")).then_some(())
    });
    // A new run has all of it again.
    let started = world.api("PATCH", &target, Some(&json!({ "state": "starting" }))).json();
    assert_ne!(started["expires_at"], session.record["expires_at"]);
    let audit = world.api("GET", "/v1/audit?limit=1000", None).json();
    let by_itself = |item: &&serde_json::Value| item["actor"] == "portico";
    let items = audit["items"].as_array().cloned().unwrap_or_default();
    assert!(items.iter().filter(by_itself).any(|item| item["action"] == "session.changed"));
    let created = items.iter().find(|item| item["action"] == "session.created");
    assert_eq!(created.map(|item| &item["address"]), Some(&json!("127.0.0.1")));
}

#[test]
fn a_workspace_that_is_not_allowed_by_the_settings_has_no_sessions_until_the_api_says_so() {
    let world = World::start(options(Io::Epoll).set("PORTICO_ALLOWED_WORKSPACES", ""));
    let refused = world.create(&json!({}));
    assert_eq!(refused.status, 403, "{}", refused.text());
    let shown = world.api("GET", "/v1/workspaces", None).json();
    assert_eq!((&shown["allowed"], &shown["origin"]), (&json!([]), &json!("settings")));
    let all = json!({ "allowed": ["genomics"] });
    assert_eq!(world.api("PUT", "/v1/workspaces", Some(&all)).status, 200);
    eventually("it is allowed", || (world.create(&json!({})).status == 201).then_some(()));
}
