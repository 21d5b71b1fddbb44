//! What is taken back while much is under way: large frames, uploads, clients that only send, and
//! clients that do not read. Nobody is left in, and nobody takes a part for the whole.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use portico_bench::world::client::Client;
use portico_bench::world::eventually;
use portico_bench::world::upstream::{Connection, Upstream};
use serde_json::json;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};

use crate::house::{House, host, url};
use crate::revocation::{BOUND, grant};

const FRAME_BYTES: usize = 8 * 1024 * 1024;
/// A client has read everything, or has nothing more to read, by then.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// A tool that answers the upgrade of its WebSockets and goes on as the script says.
fn websocket(script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Upstream {
    Upstream::scripted(move |connection| {
        while let Some(request) = connection.request() {
            let Some(key) = request.field("sec-websocket-key") else {
                connection.answer("text/html", "<title>tool</title>this is the tool");
                continue;
            };
            let accept = derive_accept_key(key.as_bytes());
            connection.send(format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            ));
            return script(connection);
        }
    })
}

fn shared(house: &House, id: &str, upstream: &Upstream) {
    house.session(id, &upstream.url(), json!({ "access": "users", "allowed_users": ["bob"] }));
}

fn shut_out(house: &House, id: &str) -> Instant {
    let begun = Instant::now();
    house.change(id, &json!({ "allowed_users": [] }));
    begun
}

/// Bob's WebSocket to session `one` at a replica.
fn connect(house: &House, replica: usize, grant: &str) -> WebSocket<Client> {
    let fields = [("X-Portico-Grant", grant)];
    house.client_at(replica, &host("one")).websocket(&host("one"), "/ws", &fields)
}

#[test]
fn a_large_frame_under_way_comes_whole_before_the_close_or_ends_cleanly() {
    let house = House::start();
    // Slow enough to be under way for more than a second, fast enough to fill what is between.
    let slow = websocket(|connection| {
        let mut head = vec![0x82, 127];
        head.extend((FRAME_BYTES as u64).to_be_bytes());
        connection.send(head);
        for _ in 0..FRAME_BYTES / 65_536 {
            if !connection.try_send([7; 65_536]) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        connection.read_to_close();
    });
    shared(&house, "one", &slow);
    let grant = grant(&house, "one", "bob");
    let mut clients: Vec<_> = (0..2)
        .map(|replica| {
            let mut client = house.client_at(replica, &host("one"));
            let head = client.exchange(format!(
                "GET /ws HTTP/1.1\r\nHost: {}\r\nX-Portico-Grant: {grant}\r\n\
                 Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                host("one")
            ));
            assert_eq!(head.status, 101);
            assert_eq!(client.read_exactly(10)[..2], [0x82, 127]);
            client
        })
        .collect();
    let begun = shut_out(&house, "one");
    for (replica, client) in clients.iter_mut().enumerate() {
        let (mut got, mut piece) = (Vec::new(), vec![0; 65_536]);
        let end = loop {
            match client.read(&mut piece) {
                Ok(0) => break Ok(()),
                Ok(count) => got.extend_from_slice(&piece[..count]),
                Err(error) => break Err(error.kind()),
            }
        };
        let took = begun.elapsed();
        println!(
            "a frame under way at replica {replica}: {} of {FRAME_BYTES} bytes, then {end:?}, \
             {} ms after it was asked for",
            got.len(),
            took.as_millis()
        );
        assert!(took <= BOUND, "{took:?}");
        assert_eq!(end, Ok(()), "a clean end: close_notify, then FIN");
        if got.len() > FRAME_BYTES {
            assert_eq!(&got[FRAME_BYTES..], [0x88, 2, 0x11, 0x33]);
        }
        let payload = &got[..got.len().min(FRAME_BYTES)];
        assert!(payload.iter().all(|byte| *byte == 7), "no close frame inside of a frame");
    }
}

#[test]
fn between_many_frames_the_close_stands_where_a_frame_can() {
    let house = House::start();
    let busy = websocket(|connection| {
        let mut frame = vec![0x82, 126, 0x03, 0xe8];
        frame.extend([7; 1_000]);
        while connection.try_send(&frame) {}
    });
    shared(&house, "one", &busy);
    let grant = grant(&house, "one", "bob");
    let mut sockets: Vec<_> = (0..4).map(|n| connect(&house, n % 2, &grant)).collect();
    let begun = shut_out(&house, "one");
    let (mut frames, mut told) = (0_u64, 0);
    std::thread::scope(|scope| {
        let readers: Vec<_> = sockets
            .iter_mut()
            .map(|socket| {
                scope.spawn(move || {
                    let mut frames = 0;
                    loop {
                        match socket.read() {
                            Ok(Message::Binary(bytes)) => {
                                assert!(bytes.len() == 1_000 && bytes.iter().all(|b| *b == 7));
                                frames += 1;
                            }
                            Ok(Message::Close(Some(CloseFrame { code, .. }))) => {
                                assert_eq!(u16::from(code), 4403);
                                return (frames, 1, begun.elapsed());
                            }
                            Ok(other) => panic!("{other:?}"),
                            Err(tungstenite::Error::Protocol(
                                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
                            )) => return (frames, 0, begun.elapsed()),
                            Err(error) => panic!("neither a close nor a clean end: {error:?}"),
                        }
                    }
                })
            })
            .collect();
        for reader in readers {
            let (more, close, took) = reader.join().expect("a reader's assertions hold");
            assert!(took <= BOUND, "{took:?}");
            (frames, told) = (frames + more, told + close);
        }
    });
    println!("{frames} whole frames came, and {told} of 4 sockets were told why");
    assert!(frames > 0);
    assert_eq!(told, 4, "frames are short: each ends in time for a close behind it");
}

/// It is always out in time, by the edge's own count: among other tests a browser that sends all
/// the time may get no processor to hear of it. And it is told why if it reads in half a second:
/// one of three is.
#[test]
fn a_page_that_only_sends_is_told_why_it_is_cut() {
    let told = (0..3).any(|_| code_for_a_page_that_only_sends() == 4403);
    assert!(told, "closed without a word, three times");
}

/// As a notebook that uploads, or a script in a loop.
fn code_for_a_page_that_only_sends() -> u64 {
    let house = House::start();
    let sink = websocket(|connection| {
        connection.read_to_close();
    });
    shared(&house, "one", &sink);
    let browser = house.browser();
    let bob = house.signed_in(&browser, "bob", &url("one"));
    bob.wait_for_text("this is the tool");
    bob.eval(
        "new Promise((resolve) => {
            const socket = new WebSocket(`wss://${location.host}/ws`);
            const send = () => {
                if (socket.readyState !== 1) return;
                while (socket.bufferedAmount < 4194304) socket.send(new Uint8Array(65536));
                setTimeout(send, 1);
            };
            socket.onopen = () => { send(); setTimeout(() => resolve(1), 300); };
        })",
    );
    let open = || house.metric("portico_relays_open", "");
    assert_eq!(open(), 1.0);
    let begun = shut_out(&house, "one");
    eventually("the relay is gone", || (open() == 0.0).then_some(()));
    let took = begun.elapsed();
    let (_, closed) = bob.closed_socket("/ws");
    println!("a page that only sends: out with {} after {} ms", closed.code, took.as_millis());
    assert!(took <= BOUND, "{took:?}");
    closed.code
}

#[test]
fn a_client_that_does_not_read_is_out_as_fast() {
    let house = House::start();
    let busy = websocket(|connection| {
        let mut frame = vec![0x82, 126, 0x03, 0xe8];
        frame.extend([7; 1_000]);
        while connection.try_send(&frame) {}
    });
    shared(&house, "one", &busy);
    let grant = grant(&house, "one", "bob");
    let sockets: Vec<_> = (0..2).map(|replica| connect(&house, replica, &grant)).collect();
    let open = || house.metric("portico_relays_open", "");
    // Whatever is between them is full then.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(open(), 2.0);
    let begun = shut_out(&house, "one");
    eventually("the relays are gone", || (open() == 0.0).then_some(()));
    let took = begun.elapsed();
    println!("clients that do not read: out after {} ms", took.as_millis());
    assert!(took <= BOUND, "{took:?}");
    drop(sockets);
}

#[test]
fn transfers_of_known_length_are_reset_on_both_replicas_and_others_go_on() {
    let house = House::start();
    let slow = Upstream::scripted(|connection| {
        let Some(request) = connection.head() else { return };
        if request.method == "POST" {
            connection.read_to_close();
            return;
        }
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        while connection.try_send("0123456789") {
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let named = json!({ "access": "users", "allowed_users": ["bob", "eve"] });
    house.session("one", &slow.url(), named);
    let start = |user: &str, replica: usize, method: &str, more: &str| {
        let grant = grant(&house, "one", user);
        let mut client = house.client_at(replica, &host("one"));
        client.send(format!(
            "{method} /file HTTP/1.1\r\nHost: {}\r\nX-Portico-Grant: {grant}\r\n{more}\r\n",
            host("one")
        ));
        client
    };
    let mut downloads: Vec<_> = (0..2).map(|replica| start("bob", replica, "GET", "")).collect();
    let length = "Content-Length: 1000000\r\n";
    let mut uploads: Vec<_> = (0..2).map(|replica| start("bob", replica, "POST", length)).collect();
    let mut stays = start("eve", 0, "GET", "");
    for client in downloads.iter_mut().chain([&mut stays]) {
        assert_eq!(client.head().status, 200);
        client.read_exactly(20);
    }
    uploads.iter_mut().for_each(|client| client.send("some of it"));
    eventually("all are under way", || (slow.accepted() >= 5).then_some(()));
    let begun = Instant::now();
    house.change("one", &json!({ "allowed_users": ["eve"] }));
    for (what, client) in downloads
        .iter_mut()
        .map(|c| ("download", c))
        .chain(uploads.iter_mut().map(|c| ("upload", c)))
    {
        let end = end_of(client);
        let took = begun.elapsed();
        println!("{what}: ended with {end:?} within {} ms", took.as_millis());
        assert!(took <= BOUND, "{what}: {took:?}");
        assert!(end.is_err(), "{what}: a clean end could be taken for the whole");
    }
    stays.read_exactly(200);
    let ended = house.metric("portico_connections_ended_total", "cause=\"policy_changed\"");
    assert_eq!(ended, 4.0);
}

/// How reading ends: cleanly, or by which error.
fn end_of(client: &mut Client) -> Result<(), io::ErrorKind> {
    let (begun, mut piece) = (Instant::now(), vec![0; 65_536]);
    while begun.elapsed() < PATIENCE {
        match client.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.kind()),
        }
    }
    panic!("it goes on");
}
