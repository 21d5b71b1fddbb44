//! PROXY protocol before Portico: the tool is told of the client that the balancer names.

use std::io::Write;

use portico_bench::world::certificates::{Authority, TLS13};
use portico_bench::world::client::{Client, connected};
use portico_bench::world::upstream::Upstream;
use portico_bench::world::{CONNECT_HOST, World};
use tempfile::TempDir;

use crate::{Io, options};

on_both_io!(
    the_named_client_is_passed_on,
    headers_may_arrive_byte_by_byte,
    connections_without_the_header_are_closed,
    the_header_comes_before_tls,
    nobody_outside_of_the_trusted_networks_is_believed,
    who_is_trusted_is_believed_of_the_client_and_no_further,
);

fn balanced(io: Io) -> World {
    World::start(options(io).set("PORTICO_PROXY__PROXY_PROTOCOL", "http"))
}

/// Version 2: `command` 1 is PROXY, 0 is LOCAL.
fn version_2(command: u8, source: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, 0x11, 0, 12 + 3]);
    header.extend(source);
    header.extend([10, 0, 0, 1, 0x13, 0x88, 0, 80]);
    // One TLV (PP2_TYPE_NOOP), which is skipped.
    header.extend([4, 0, 0]);
    header
}

/// What the tool was told, for a connection that begins with these bytes.
fn told(world: &World, header: &[u8]) -> String {
    let upstream = Upstream::echo();
    routed(world, &upstream, header);
    upstream.requests()[0].field("x-forwarded-for").unwrap_or_default()
}

/// The host of a new session. The world has no other way in than through the header, so it is
/// waited for here.
fn routed(world: &World, upstream: &Upstream, header: &[u8]) -> String {
    let fields = serde_json::json!({ "upstream": upstream.url(), "routing": ["subdomain"] });
    let response = world.create(&fields);
    assert_eq!(response.status, 201, "{}", response.text());
    let label = response.json()["label"].as_str().expect("a label").to_owned();
    let host = format!("{label}.{CONNECT_HOST}");
    portico_bench::world::eventually("the session is routable", || {
        let mut client = world.client();
        client
            .send([header, format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()].concat());
        let response = client.response();
        (response.status == 200).then_some(())
    });
    host
}

fn the_named_client_is_passed_on(io: Io) {
    let world = balanced(io);
    for (header, client) in [
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 5000 80\r\n".to_vec(), "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 fd00::1 5000 80\r\n".to_vec(), "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (version_2(1, [192, 0, 2, 8]), "192.0.2.8"),
        (version_2(0, [192, 0, 2, 8]), "127.0.0.1"),
    ] {
        assert_eq!(told(&world, &header), client, "{:?}", String::from_utf8_lossy(&header));
    }
}

fn headers_may_arrive_byte_by_byte(io: Io) {
    let world = balanced(io);
    for header in
        [b"PROXY TCP4 192.0.2.7 10.0.0.1 5000 80\r\n".to_vec(), version_2(1, [1, 2, 3, 4])]
    {
        let mut client = world.client();
        for byte in header {
            client.send([byte]);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert_eq!(client.get(CONNECT_HOST, "/healthz").status, 200);
    }
}

fn connections_without_the_header_are_closed(io: Io) {
    let world = balanced(io);
    for start in
        ["GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "PROXY TCP4 nonsense\r\n", "PROXY\r\n"]
    {
        let mut client = world.client();
        client.send(start);
        client.expect_close();
    }
}

fn the_header_comes_before_tls(io: Io) {
    let files = TempDir::new().expect("a temporary directory");
    let authority = Authority::generate();
    let certificate = authority.certificate(files.path(), "one", &["*.connect.example.com"]);
    let options = options(io).tls(&[certificate]).set("PORTICO_PROXY__PROXY_PROTOCOL", "https");
    let world = World::start(options);
    let upstream = Upstream::echo();
    let host = world.session(&upstream).host;
    let mut tcp = connected(world.https.expect("a listener with TLS"));
    tcp.write_all(&version_2(1, [192, 0, 2, 9])).expect("the header can be sent");
    let mut client =
        Client::tls_over(tcp, &host, authority.client(&[&TLS13])).expect("a TLS handshake");
    assert_eq!(client.get(&host, "/").status, 200);
    assert_eq!(upstream.requests()[0].field("x-forwarded-for").as_deref(), Some("192.0.2.9"));
}

fn trusting(io: Io, networks: &str) -> World {
    let options = options(io).set("PORTICO_PROXY__PROXY_PROTOCOL", "http");
    World::start(options.set("PORTICO_PROXY__TRUSTED_NETWORKS", networks))
}

/// This test's own address is not trusted, whatever it claims to be.
fn nobody_outside_of_the_trusted_networks_is_believed(io: Io) {
    let world = trusting(io, "10.0.0.0/8");
    let line = b"PROXY TCP4 10.1.2.3 10.0.0.1 5000 80\r\n".to_vec();
    for header in [line, version_2(1, [10, 1, 2, 3]), version_2(0, [0; 4])] {
        let mut client = world.client();
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {CONNECT_HOST}\r\n\r\n");
        // It may be closed before it was read.
        let _ = client.try_send([&header, request.as_bytes()].concat());
        client.expect_close();
    }
    world.expect_metric("portico_limit_reached_total", "limit=\"proxy_peer\"", 3.0);
}

fn who_is_trusted_is_believed_of_the_client_and_no_further(io: Io) {
    // Behind the balancer stand the world, and a proxy of ours.
    let world = trusting(io, "127.0.0.0/8, 10.0.0.0/8");
    let upstream = Upstream::echo();
    let host = routed(&world, &upstream, b"PROXY UNKNOWN\r\n");
    for (source, forwarded) in [("192.0.2.7", "192.0.2.7"), ("10.1.2.3", "203.0.113.9, 10.1.2.3")] {
        let mut client = world.client();
        client.send(format!("PROXY TCP4 {source} 10.0.0.1 5000 80\r\n"));
        let more = "X-Forwarded-For: 203.0.113.9\r\n";
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{more}\r\n");
        assert_eq!(client.exchange(request).status, 200);
        let told = upstream.requests().pop().and_then(|r| r.field("x-forwarded-for"));
        assert_eq!(told.as_deref(), Some(forwarded));
    }
}
