//! A Platform that is away, is another one, or cannot be signed in at.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use portico_bench::world::certificates::Authority;
use portico_bench::world::oidc::{OidcProvider, PLATFORM_HOST, Platform, REGISTRATION_TOKEN};
use serde_json::{Value, json};

use super::{Broken, good};

/// It answers every request with this document of itself.
fn scripted(date: &str, document: impl FnOnce(&str) -> Value) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    let body = document(&format!("http://localhost:{}", address.port())).to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or_default();
            let is_head = request[..length].starts_with(b"HEAD");
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(if is_head { b"" } else { body.as_bytes() });
        }
    });
    address
}

fn document(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
    })
}

fn signing_in(platform: &str) -> Broken {
    good()
        .set("PORTICO_PLATFORM_URL", platform)
        .set("PORTICO_ACCESS__REGISTRATION_TOKEN", REGISTRATION_TOKEN)
}

fn at(address: SocketAddr) -> Broken {
    signing_in(&format!("http://localhost:{}", address.port()))
}

const LONG_AGO: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

#[test]
fn a_platform_that_is_away_is_told() {
    let found = signing_in("http://localhost:1").check();
    found.expect("platform", "failed", "cannot be connected to", "platform_url");
    found.expect("platform.sign_in", "failed", "gave no answer", "firewall");
    assert_eq!(found.code, Some(69));
}

#[test]
fn another_issuer_is_told_with_its_name() {
    let address = scripted(LONG_AGO, |_| document("https://id.example.com"));
    let fix = "access.issuer = \"https://id.example.com\"";
    at(address).expect("platform.sign_in", "failed", "of the issuer https://id.example.com", fix);
}

#[test]
fn a_platform_that_registers_nobody_is_told() {
    let address = scripted(LONG_AGO, document);
    let found = at(address).check();
    let fix = "access.client_id";
    found.expect("platform.sign_in", "failed", "has no registration_endpoint", fix);
}

#[test]
fn a_page_in_place_of_a_document_is_told() {
    let address = scripted(LONG_AGO, |_| json!("welcome"));
    at(address).expect("platform.sign_in", "failed", "is not the JSON", "access.issuer");
}

#[test]
fn clocks_that_are_apart_are_told() {
    let address = scripted(LONG_AGO, document);
    at(address).expect("clock.platform", "warning", "behind this machine's", "NTP");
}

/// With a real provider below `/api`, whose certificate somebody of its own has signed.
#[test]
fn a_platform_is_trusted_or_told() {
    let authority = Authority::generate();
    let provider = OidcProvider::start(&Platform {
        mount: "/api",
        workspaces: Value::Null,
        tls: Some(&authority),
    });
    let with_names = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/tools/with-names.sh");
    let launcher = [with_names.to_owned(), format!("{PLATFORM_HOST} connect.example.com")];
    let check = || {
        signing_in(&provider.origin())
            .set("PORTICO_CONNECT_URL", "https://connect.example.com")
            .set("PORTICO_ROUTING", "path")
            .launched_by(&launcher)
    };
    let ca = provider.ca_file().display().to_string();
    let found = check().set("PORTICO_ACCESS__CA_FILE", ca).check();
    for id in ["domains", "dns.connect", "platform", "clock.platform", "access"] {
        found.ok(id);
    }
    found.expect("platform.sign_in", "ok", "/api", "");
    check().expect("platform", "failed", "certificate", "access.ca_file");
}
