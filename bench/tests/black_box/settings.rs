//! Settings: every mistake at once, the exit code that says whose turn it is, and no secret shown.

use std::path::Path;

use portico_bench::world::Io;
use portico_bench::world::process::Process;
use tempfile::TempDir;

use crate::{options, world};

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs `portico` with these arguments and settings until it ends by itself.
fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Ended {
    run_program(env!("CARGO_BIN_EXE_portico"), arguments, settings)
}

fn run_program(program: &str, arguments: &[&str], settings: &[(&str, &str)]) -> Ended {
    let directory = TempDir::new().expect("a temporary directory");
    let arguments: Vec<_> = arguments.iter().map(|a| (*a).to_owned()).collect();
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let settings: Vec<_> = settings.iter().map(owned).collect();
    let program = Path::new(program);
    let mut process = Process::start("portico", program, &arguments, &settings, directory.path());
    let status = process.ended();
    Ended { code: status.code(), stdout: process.stdout(), stderr: process.stderr() }
}

#[test]
fn every_mistake_is_told_at_once() {
    let ended = run(
        &["serve"],
        &[
            ("PORTICO_CONNECT_URL", "connect.example.com"),
            ("PORTICO_PROXY__HTTP", "everywhere"),
            ("PORTICO_PROXY__WORKERS", "many"),
            ("PORTICO_PROXY__DRAIN_TIMEOUT", "a while"),
            ("PORTICO_PROXY__TRUSTED_NETWORKS", "10.0.0.0/99"),
            ("PORTICO_PROXY__IO", "magic"),
            ("PORTICO_STORE__URL", "paper:drawer"),
            ("PORTICO_PROXY__HTP", "127.0.0.1:80"),
        ],
    );
    assert_eq!(ended.code, Some(64), "{}", ended.stderr);
    for word in [
        "connect_url",
        "proxy.http",
        "proxy.workers",
        "proxy.drain_timeout",
        "proxy.trusted_networks",
        "proxy.io",
        "store.url",
        "PORTICO_PROXY__HTP",
    ] {
        assert!(ended.stderr.contains(word), "{word} is not told of: {}", ended.stderr);
    }
}

#[test]
fn a_platform_on_another_domain_is_refused_by_both_names() {
    let ended = run(
        &["serve"],
        &[
            ("PORTICO_CONNECT_URL", "https://connect.example.com"),
            ("PORTICO_PLATFORM_URL", "https://platform.example.org"),
        ],
    );
    assert_eq!(ended.code, Some(64), "{}", ended.stderr);
    for domain in ["connect.example.com", "platform.example.org"] {
        assert!(ended.stderr.contains(domain), "{}", ended.stderr);
    }
}

#[test]
fn what_is_in_force_is_shown_with_its_origin_and_without_secrets() {
    let ended = run(
        &["serve", "--print-config", "--io", "epoll"],
        &[
            ("PORTICO_CONNECT_URL", "https://connect.example.com"),
            ("PORTICO_CONTROL__TOKEN", "a-very-secret-token-0123456789"),
            ("CONNECT_HTTP_PORT", "8081"),
        ],
    );
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for shown in
        ["https://connect.example.com", "PORTICO_CONNECT_URL", "--proxy-io", "CONNECT_HTTP_PORT"]
    {
        assert!(ended.stdout.contains(shown), "{shown}: {}", ended.stdout);
    }
    let all = ended.stdout + &ended.stderr;
    assert!(!all.contains("a-very-secret-token"), "{all}");
}

#[test]
fn the_token_is_never_logged() {
    let world = world(Io::Epoll);
    world.create(&serde_json::json!({}));
    let log = world.process.stderr() + &world.process.stdout();
    assert!(!log.contains("black-box-token"), "{log}");
}

#[test]
fn everything_that_cannot_be_used_is_told_at_once_with_its_key() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("a bound listener has an address").to_string();
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let other = other.local_addr().expect("a bound listener has an address").to_string();
    let ended = run(
        &["serve"],
        &[
            ("PORTICO_CONNECT_URL", "https://connect.example.com"),
            ("PORTICO_PROXY__HTTP", &format!("127.0.0.1:0,{address}")),
            // No machine has an address of TEST-NET-1 (RFC 5737).
            ("PORTICO_CONTROL__LISTEN", "192.0.2.1:7080"),
            ("PORTICO_MANAGEMENT__LISTEN", &other),
            ("PORTICO_STORE__URL", "embedded:/dev/null/portico"),
        ],
    );
    assert_eq!(ended.code, Some(64), "{}", ended.stderr);
    for expected in [
        &format!("proxy.http: cannot listen on {address}"),
        "control.listen: cannot listen on 192.0.2.1:7080",
        "store.url: cannot use the store's directory /dev/null/portico",
        "--store-url embedded:./portico-data",
    ] {
        assert!(ended.stderr.contains(expected), "{expected}: {}", ended.stderr);
    }
}

#[test]
fn a_missing_certificate_is_told_with_its_name() {
    let ended = run(
        &["serve"],
        &[
            ("PORTICO_CONNECT_URL", "https://connect.example.com"),
            ("PORTICO_PROXY__HTTPS", "127.0.0.1:0"),
            ("PORTICO_PROXY__HTTP", "127.0.0.1:0"),
            ("PORTICO_CONTROL__LISTEN", "127.0.0.1:0"),
            ("PORTICO_MANAGEMENT__LISTEN", "127.0.0.1:0"),
            ("PORTICO_STORE__URL", "embedded:store"),
            ("PORTICO_TLS__CERTIFICATES", "nowhere.crt:nowhere.key"),
        ],
    );
    assert_eq!(ended.code, Some(64), "{}", ended.stderr);
    assert!(ended.stderr.contains("nowhere."), "{}", ended.stderr);
}

#[test]
fn a_store_is_used_by_one_process() {
    let first = world(Io::Epoll);
    let store = format!("embedded:{}", first.directory().join("store").display());
    let ended = run(
        &["serve"],
        &[
            ("PORTICO_CONNECT_URL", "https://connect.example.com"),
            ("PORTICO_PROXY__HTTP", "127.0.0.1:0"),
            ("PORTICO_CONTROL__LISTEN", "127.0.0.1:0"),
            ("PORTICO_MANAGEMENT__LISTEN", "127.0.0.1:0"),
            ("PORTICO_STORE__URL", &store),
        ],
    );
    assert_eq!(ended.code, Some(64), "{}", ended.stderr);
    assert!(ended.stderr.contains("store.url: "), "{}", ended.stderr);
    assert_eq!(first.create(&serde_json::json!({})).status, 201, "the first goes on");
}

#[test]
fn what_the_machine_lacks_is_not_a_matter_of_settings() {
    let settings = [
        ("PORTICO_CONNECT_URL", "https://connect.example.com"),
        ("PORTICO_PROXY__HTTP", "127.0.0.1:0"),
        ("PORTICO_CONTROL__LISTEN", "127.0.0.1:0"),
        ("PORTICO_MANAGEMENT__LISTEN", "127.0.0.1:0"),
        ("PORTICO_STORE__URL", "embedded:store"),
    ];
    let few_files = format!("ulimit -n 200; exec {} serve", env!("CARGO_BIN_EXE_portico"));
    let ended = run_program("/bin/sh", &["-c", &few_files], &settings);
    assert_eq!(ended.code, Some(69), "{}", ended.stderr);
    assert!(ended.stderr.contains("raise `ulimit -n`"), "{}", ended.stderr);
}

#[test]
fn the_exit_code_is_the_same_when_nobody_can_be_told() {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let mut serve = std::process::Command::new(env!("CARGO_BIN_EXE_portico"));
    let status = serve.arg("serve").env_clear().stderr(full).status().expect("it can be run");
    assert_eq!(status.code(), Some(64));
}

/// `auto` takes what the machine offers and says which.
#[test]
fn io_is_chosen_by_itself() {
    let world =
        portico_bench::world::World::start(options(Io::Epoll).set("PORTICO_PROXY__IO", "auto"));
    let uring = world.metric("portico_io_backend", "backend=\"uring\"");
    let epoll = world.metric("portico_io_backend", "backend=\"epoll\"");
    assert_eq!(uring + epoll, 1.0);
}
