//! Without the right to load programs Portico serves and counts all the same, and says why.

use std::process::{Command, Stdio};

use portico_bench::world::{Io, World};
use serde_json::json;

use super::ends::{Plain, Tool};
use super::options;

/// Root as it is in a container that was given no more than it needs.
const WITHOUT: [&str; 4] =
    ["setpriv", "--bounding-set=-bpf,-sys_admin", "--inh-caps=-bpf,-sys_admin", "--"];

#[test]
fn without_the_capability_it_serves_counts_and_says_why() {
    let world = World::start(options(Io::Uring, "auto").launched_by(&WITHOUT));
    let source = "source=\"tcp_info\",reason=\"no_cap_bpf\"";
    let source = world.metric("portico_accounting_source", source)
        + world.metric("portico_accounting_source", "reason=\"no_cap_bpf\",source=\"tcp_info\"");
    assert_eq!(source, 1.0, "{}", world.metrics());
    let said = world.process.stderr();
    let line = said.lines().find(|line| line.contains("counted by TCP_INFO")).expect("a line");
    assert!(line.contains("CAP_BPF") && line.contains("CAP_NET_ADMIN"), "{line}");

    let tool = Tool::start();
    let session = world.session_with(json!({ "id": "one", "upstream": tool.url() }));
    let mut browser = Plain::connect(world.http);
    browser.exchange(&session.host, "/1000", 500);
    let (received, sent) = browser.bytes.now();
    portico_bench::world::eventually("it is counted", || {
        let answer = world.api("GET", "/v1/usage?by=session&session=one", None).json();
        let item = answer["items"].get(0)?.clone();
        (item["bytes_in"] == sent && item["bytes_out"] == received).then_some(())
    });
}

#[test]
fn who_insists_on_the_kernel_is_told_what_it_lacks() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let binary = env!("CARGO_BIN_EXE_portico");
    let mut command = Command::new(WITHOUT[0]);
    command
        .args(&WITHOUT[1..])
        .args([binary, "serve", "--accounting", "ebpf"])
        .args(["--connect-url", "http://connect.example.com", "--access-mode", "open"])
        .args(["--proxy-http", "127.0.0.1:0"])
        .args(["--control-listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0"])
        .arg("--store-url")
        .arg(format!("embedded:{}", directory.path().join("store").display()))
        .current_dir(directory.path())
        .stdin(Stdio::null());
    let output = command.output().expect("it starts");
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("CAP_BPF") && said.contains("--accounting auto"), "{said}");
}
