//! TLS: certificates by server name, both versions, and an exchange of certificates that nobody
//! notices.

use portico_bench::world::certificates::{Authority, CertificatePaths, TLS12, TLS13};
use portico_bench::world::client::Client;
use portico_bench::world::process::Signal;
use portico_bench::world::upstream::Upstream;
use portico_bench::world::websocket::round_trip;
use portico_bench::world::{CONNECT_HOST, World, eventually};
use rustls::ProtocolVersion;
use tempfile::TempDir;

use crate::{Io, options};

on_both_io!(
    certificates_are_chosen_by_server_name,
    both_versions_are_spoken,
    the_tool_learns_that_it_was_https,
    websockets_and_large_bodies_cross,
    either_side_of_a_relay_may_end_first,
    certificates_are_exchanged_without_dropping_anybody,
    wrong_certificates_leave_the_old_ones_in_force,
    plain_http_on_a_tls_port_harms_nobody,
    a_cut_upload_is_no_complete_upload,
);

const WILDCARD: [&str; 2] = [CONNECT_HOST, "*.connect.example.com"];

pub(crate) struct Secure {
    pub(crate) world: World,
    authority: Authority,
    first: CertificatePaths,
    files: TempDir,
}

impl Secure {
    pub(crate) fn start(io: Io) -> Self {
        let files = TempDir::new().expect("a temporary directory");
        let authority = Authority::generate();
        let first = authority.certificate(files.path(), "first", &WILDCARD);
        let second = authority.certificate(files.path(), "second", &["exact.connect.example.com"]);
        let world = World::start(options(io).tls(&[first.clone(), second]));
        Self { world, authority, first, files }
    }

    pub(crate) fn client(&self, name: &str) -> Client {
        let address = self.world.https.expect("a listener with TLS");
        Client::connect_tls(address, name, self.authority.client(&[&TLS13]))
    }

    /// What the server shows for this name.
    fn shown(&self, name: &str) -> Vec<u8> {
        let client = self.client(name);
        client.tls().peer_certificates().expect("a certificate")[0].to_vec()
    }
}

fn certificates_are_chosen_by_server_name(io: Io) {
    let secure = Secure::start(io);
    let wildcard = secure.shown("a1.connect.example.com");
    assert_eq!(wildcard, secure.shown(CONNECT_HOST));
    assert_ne!(wildcard, secure.shown("exact.connect.example.com"));
    // A wildcard stands for one label; other names get the first certificate, which is not theirs.
    let address = secure.world.https.expect("a listener with TLS");
    for name in ["a.b.connect.example.com", "elsewhere.example.org"] {
        let config = secure.authority.client(&[&TLS12, &TLS13]);
        let error = Client::try_connect_tls(address, name, config).expect_err(name).to_string();
        assert!(error.contains("not valid for name"), "{name}: {error}");
    }
    let expiry = secure.world.metric(
        "portico_tls_certificate_expiry_timestamp_seconds",
        &format!("name=\"{CONNECT_HOST}\""),
    );
    assert!(expiry > 1_700_000_000.0, "{expiry}");
}

fn both_versions_are_spoken(io: Io) {
    let secure = Secure::start(io);
    let upstream = Upstream::echo();
    let host = secure.world.session(&upstream).host;
    let address = secure.world.https.expect("a listener with TLS");
    for (version, spoken) in
        [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)]
    {
        let config = secure.authority.client(&[version]);
        // The second connection may resume the first one's session.
        for _ in 0..2 {
            let mut client = Client::connect_tls(address, &host, config.clone());
            assert_eq!(client.tls().protocol_version(), Some(spoken));
            assert_eq!(client.get(&host, "/1").status, 200);
            assert_eq!(client.get(&host, "/2").json()["target"], "/2");
            client.close_write();
            client.expect_close();
        }
    }
}

fn the_tool_learns_that_it_was_https(io: Io) {
    let secure = Secure::start(io);
    let upstream = Upstream::echo();
    let session = secure.world.session(&upstream);
    assert_eq!(session.record["urls"]["subdomain"], format!("https://{}/", session.host));
    secure.client(&session.host).get(&session.host, "/");
    secure.world.client().get(&session.host, "/");
    let protocols: Vec<_> =
        upstream.requests().iter().filter_map(|r| r.field("x-forwarded-proto")).collect();
    assert_eq!(protocols, ["https", "http"], "with TLS, and on the plain listener beside it");
}

fn websockets_and_large_bodies_cross(io: Io) {
    let secure = Secure::start(io);
    let upstream = Upstream::websocket_echo();
    let host = secure.world.session(&upstream).host;
    let mut socket = secure.client(&host).websocket(&host, "/", &[]);
    for size in [1, 16_384, 16_385, 1_000_000] {
        round_trip(&mut socket, &"x".repeat(size));
    }
    let body: Vec<u8> = (0..3_000_000_u32).map(|i| (i.wrapping_mul(40_503) >> 7) as u8).collect();
    let upstream = Upstream::scripted(|connection| {
        while let Some(request) = connection.request() {
            connection.send("HTTP/1.1 200 OK\r\n\r\n");
            connection.send(&request.body);
            connection.close_write();
        }
    });
    let host = secure.world.session(&upstream).host;
    let mut client = secure.client(&host);
    let length = body.len();
    client.send(format!("PUT / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n"));
    client.send(&body);
    assert!(client.response().body == body);
}

fn either_side_of_a_relay_may_end_first(io: Io) {
    let secure = Secure::start(io);
    let upstream = Upstream::scripted(|connection| {
        let Some(request) = connection.head() else { return };
        connection.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
        );
        if request.target == "/upstream-first" {
            connection.send("all");
            connection.close_write();
        }
        let received = connection.read_to_close();
        assert_eq!(received.as_deref(), Some(&b"question"[..]), "{}", request.target);
        connection.send(vec![b'a'; 1_000_000]);
    });
    let host = secure.world.session(&upstream).host;
    for (target, answer) in [("/client-first", 1_000_000), ("/upstream-first", 3)] {
        let mut client = secure.client(&host);
        client.send(format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
        ));
        assert_eq!(client.head().status, 101);
        if target == "/upstream-first" {
            assert_eq!(client.read_to_close().len(), answer);
            client.send("question");
            client.close_write();
        } else {
            client.send("question");
            client.close_write();
            assert_eq!(client.read_to_close().len(), answer);
        }
    }
}

fn certificates_are_exchanged_without_dropping_anybody(io: Io) {
    let secure = Secure::start(io);
    let upstream = Upstream::websocket_echo();
    let host = secure.world.session(&upstream).host;
    let mut socket = secure.client(&host).websocket(&host, "/", &[]);
    let mut shown = secure.shown(&host);
    for on_signal in [true, false] {
        secure.authority.certificate(secure.files.path(), "first", &WILDCARD);
        if on_signal {
            secure.world.signal(Signal::SIGHUP);
        }
        // Without the signal Portico sees by itself that the files have changed.
        shown = eventually("the new certificate is shown", || {
            let now = secure.shown(&host);
            (now != shown).then_some(now)
        });
        round_trip(&mut socket, "still there");
    }
    assert!(secure.world.metric("portico_tls_certificate_reloads_total", "result=\"ok\"") >= 2.0);
}

fn wrong_certificates_leave_the_old_ones_in_force(io: Io) {
    let secure = Secure::start(io);
    let shown = secure.shown(CONNECT_HOST);
    std::fs::write(&secure.first.cert, "not a certificate").expect("the file can be written");
    secure.world.signal(Signal::SIGHUP);
    eventually("the reload has failed", || {
        let failed = secure.world.metric("portico_tls_certificate_reloads_total", "failed");
        (failed >= 1.0).then_some(())
    });
    assert_eq!(secure.shown(CONNECT_HOST), shown);
    // The log is written by a thread of its own, in its own time.
    eventually("the log names the file", || {
        secure.world.process.stderr().contains("first.crt").then_some(())
    });
}

fn plain_http_on_a_tls_port_harms_nobody(io: Io) {
    let secure = Secure::start(io);
    let address = secure.world.https.expect("a listener with TLS");
    let mut client = Client::connect(address);
    client.send(format!("GET / HTTP/1.1\r\nHost: {CONNECT_HOST}\r\n\r\n"));
    let answer = String::from_utf8_lossy(&client.read_to_close()).into_owned();
    assert!(!answer.contains("200"), "{answer}");
    assert_eq!(secure.client(CONNECT_HOST).get(CONNECT_HOST, "/healthz").status, 200);
}

/// The end of the TCP stream without TLS's own end may be an attacker's doing.
fn a_cut_upload_is_no_complete_upload(io: Io) {
    let secure = Secure::start(io);
    let (tell, told) = std::sync::mpsc::channel();
    let upstream = Upstream::scripted(move |connection| {
        connection.head();
        connection.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
        );
        let _ = tell.send(connection.read_to_close());
    });
    let host = secure.world.session(&upstream).host;
    let mut client = secure.client(&host);
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
    ));
    assert_eq!(client.head().status, 101);
    client.send("half of");
    client.tcp().shutdown(std::net::Shutdown::Write).expect("the socket can be shut down");
    let received = told.recv().expect("the upstream's connection ends");
    assert_eq!(received, None, "a reset: an orderly end would make half of it the whole");
    client.read_to_close();
}
