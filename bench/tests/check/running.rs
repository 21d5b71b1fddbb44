//! A session through a Portico that runs, and through one that does not.

use portico_bench::port::free_address;
use portico_bench::world::certificates::Authority;
use portico_bench::world::{Io, Options, World};
use serde_json::json;
use tempfile::TempDir;

use super::{Broken, good};

/// With the settings of a world that runs, whose ports were chosen by the kernel.
fn beside(world: &World) -> Broken {
    good()
        .set("PORTICO_CONTROL__LISTEN", world.control.to_string())
        .set("PORTICO_MANAGEMENT__LISTEN", world.management.to_string())
        .set("PORTICO_CONTROL__TOKEN", portico_bench::world::TOKEN)
        .set("PORTICO_PROXY__HTTP", world.http.to_string())
        .argument("--running")
}

const WAYS: [&str; 4] =
    ["request.subdomain", "request.path", "websocket.subdomain", "websocket.path"];

fn options() -> Options {
    Options::new(env!("CARGO_BIN_EXE_portico"), Io::Epoll)
        .set("PORTICO_CONNECT_URL", "http://connect.localhost:8080")
        .set("PORTICO_ROUTING", "subdomain,path")
}

#[test]
fn a_session_is_opened_both_ways_and_is_gone_afterwards() {
    let world = World::start(options());
    let both = || beside(&world).set("PORTICO_ROUTING", "subdomain,path");
    let found = both().set("PORTICO_ACCESS__MODE", "open").check();
    WAYS.iter().for_each(|id| found.ok(id));
    let left = world.api("GET", "/v1/sessions", None).json();
    assert_eq!(left["items"], json!([]), "the session is deleted");
}

#[test]
fn a_closed_gate_with_tls_is_passed_by_a_ticket() {
    let (authority, files) = (Authority::generate(), TempDir::new().expect("a directory"));
    let names = ["connect.localhost", "*.connect.localhost"];
    let certificate = authority.certificate(files.path(), "both", &names);
    let ca = files.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).expect("the file can be written");
    let pair = format!("{}:{}", certificate.cert.display(), certificate.key.display());
    let url = "https://connect.localhost:8443";
    let closed = options()
        .tls(&[certificate])
        .set("PORTICO_CONNECT_URL", url)
        .set("PORTICO_ACCESS__MODE", "closed");
    let world = World::start(closed);
    let https = world.https.expect("a listener with TLS");
    let check = || {
        beside(&world)
            .set("PORTICO_CONNECT_URL", url)
            .set("PORTICO_ROUTING", "subdomain,path")
            .set("PORTICO_PROXY__HTTPS", https.to_string())
            .set("PORTICO_TLS__CERTIFICATES", pair.clone())
    };
    let found = check().set("PORTICO_ACCESS__CA_FILE", ca.display().to_string()).check();
    WAYS.iter().for_each(|id| found.ok(id));
    // Somebody who does not know the authority.
    check().expect("request.path", "failed", "TLS", "access.ca_file");
}

#[test]
fn one_that_does_not_run_is_told() {
    let nobody = good().set("PORTICO_CONTROL__TOKEN", "a-token-that-nobody-knows");
    let found = nobody
        .set("PORTICO_CONTROL__LISTEN", "127.0.0.1:1")
        .set("PORTICO_PROXY__HTTP", "127.0.0.1:2")
        .argument("--running")
        .expect("running", "failed", "cannot reach the API", "start it");
    assert_eq!(found.code, Some(69));
}

#[test]
fn an_address_that_is_no_portico_is_told() {
    let world = World::start(options());
    let address = free_address();
    let mut check = beside(&world).set("PORTICO_ACCESS__MODE", "open");
    check.arguments = vec!["--against".to_owned(), format!("http://{address}")];
    let fix = "let clients reach Portico there";
    check.expect("request.subdomain", "failed", "cannot connect", fix);
}

#[test]
fn a_workspace_that_the_check_may_not_use_is_told() {
    let world = World::start(options());
    let mut check = beside(&world).set("PORTICO_CONTROL__TOKEN", "another-token-0123456789");
    check = check.set("PORTICO_ACCESS__MODE", "open");
    check.expect("running", "failed", "the API did not make a session", "PORTICO_TOKEN_FILE");
}
