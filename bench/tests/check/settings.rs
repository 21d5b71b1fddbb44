//! Mistakes in the settings, and what they decide.

use portico_bench::world::{Io, Options, World};
use tempfile::TempDir;

use super::good;

#[test]
fn all_mistakes_are_told_and_hide_nothing_else() {
    let found = good()
        .unset("PORTICO_CONNECT_URL")
        .set("PORTICO_PROXY__HTP", "127.0.0.1:80")
        .set("PORTICO_PROXY__WORKERS", "many")
        .check();
    assert_eq!(found.code, Some(64));
    found.expect("domains", "failed", "is missing", "connect_url = ");
    found.expect("settings", "failed", "PORTICO_PROXY__HTP", "did you mean");
    found.expect("settings", "failed", "proxy.workers", "");
    for id in ["store", "files", "io_uring", "ebpf", "ports"] {
        found.ok(id);
    }
}

#[test]
fn a_file_that_is_not_toml_is_told() {
    let directory = TempDir::new().expect("a temporary directory");
    let file = directory.path().join("portico.toml");
    std::fs::write(&file, "connect_url = ").expect("the file can be written");
    let check = good().argument("--config").argument(&file.display().to_string());
    let found = check.expect("settings", "failed", "is not TOML", "correct the line");
    found.ok("files");
}

#[test]
fn path_routing_leaves_xpra_out() {
    let found = good().set("PORTICO_ROUTING", "path").expect(
        "routing",
        "warning",
        "`xpra` cannot have routing",
        "routing = [\"subdomain\"]",
    );
    assert_eq!(found.code, Some(0));
    let both = good().set("PORTICO_ROUTING", "subdomain,path");
    both.expect("routing", "ok", "xpra by subdomain only", "");
    good().set("PORTICO_ROUTING", "subdomain").check().ok("routing");
}

#[test]
fn a_policy_that_is_none_is_told() {
    let directory = TempDir::new().expect("a temporary directory");
    let file = directory.path().join("policy.yaml");
    std::fs::write(&file, "{}{").expect("the file can be written");
    let check = good().set("PORTICO_QUOTAS__POLICY", file.display().to_string());
    check.expect("quotas", "failed", "is no policy", "");
}

#[test]
fn a_gate_that_nobody_passes_and_one_that_is_open() {
    good().expect("access", "warning", "nobody can sign in", "access.registration_token_file");
    let open = good().set("PORTICO_ACCESS__MODE", "open");
    open.expect("settings", "warning", "access.mode is open", "");
    let plain = good().set("PORTICO_CONNECT_URL", "http://connect.example.com");
    let plain = plain.set("PORTICO_ROUTING", "path");
    plain.expect("domains", "failed", "without TLS", "write https");
}

#[test]
fn a_directory_that_cannot_be_used_is_told() {
    let store = |url: &str| good().set("PORTICO_STORE__URL", url);
    store("embedded:/dev/null/portico").expect("store", "failed", "/dev/null", "store.url");
    store("embedded:/proc/portico").expect("store", "failed", "cannot be written", "store.url");
    let redis = store("redis://127.0.0.1:1").set("PORTICO_STORE__CACHE", "/proc/routes");
    redis.expect("store.cache", "failed", "cannot be written", "store.cache");
}

#[test]
fn a_store_of_another_process_is_told() {
    let world = World::start(Options::new(env!("CARGO_BIN_EXE_portico"), Io::Epoll));
    let store = format!("embedded:{}", world.directory().join("store").display());
    let check = good().set("PORTICO_STORE__URL", &store);
    check.expect("store", "failed", "in use by another process", "stop the other process");
    let same = good()
        .set("PORTICO_STORE__URL", store)
        .set("PORTICO_MANAGEMENT__LISTEN", world.management.to_string())
        .set("PORTICO_PROXY__HTTP", world.http.to_string());
    let found = same.check();
    found.expect("store", "ok", "by the Portico that runs here", "");
    found.expect("ports", "ok", "proxy.http", "");
    found.expect("ports", "ok", "management.listen", "");
}
