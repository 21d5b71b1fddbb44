//! The clock is turned by hand: a test is as long in ticks as it likes, and takes no time.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::io::{Driver, EventLoop};

/// A connection of which Portico's end is watched, with the clock and the client's end.
struct World {
    watches: Rc<Watches>,
    watched: Watched,
    client: TcpStream,
    /// The session's end of the upstream's connection.
    tool: TcpStream,
    counters: WorkerCounters,
}

impl World {
    fn pass(&self, time: Duration) {
        for _ in 0..ticks(time) {
            self.watches.sweep(None, &self.counters);
        }
    }

    fn watch(&self) -> &Watch {
        &self.watched.watch
    }
}

fn read(mut stream: &TcpStream) -> Result<usize, ErrorKind> {
    stream.read(&mut [0]).map_err(|error| error.kind())
}

/// Runs `test` in a world of its own on each driver.
fn on_both_drivers(test: impl Fn(World) + Copy) {
    let main = async |driver: Driver| {
        let (socket, client) = pair(&driver).await;
        let (upstream, tool) = pair(&driver).await;
        let watches = Watches::new();
        let watched = watches.add(socket);
        watched.watch.set_upstream(Some(upstream));
        test(World { watches, watched, client, tool, counters: WorkerCounters::default() });
    };
    EventLoop::epoll().expect("an event loop").run(main);
    EventLoop::uring().expect("this machine allows io_uring").run(main);
}

async fn pair(driver: &Driver) -> (Socket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    let socket = Socket::connect(driver, address).expect("a socket");
    socket.connected().await.expect("the listener accepts");
    let (other, _) = listener.accept().expect("a connection");
    other.set_nonblocking(true).expect("a mode can be set");
    (socket, other)
}

#[test]
fn a_deadline_belongs_to_its_phase() {
    on_both_drivers(|world| {
        let watch = world.watch();
        watch.enter(Phase::Connecting, limits::CONNECT_TIMEOUT);
        world.pass(limits::CONNECT_TIMEOUT);
        assert!(watch.expired());
        // The answer is a 502, and the next exchange on this connection is another matter.
        watch.begin(Phase::Answering);
        assert!(!watch.expired());
        watch.enter(Phase::Idle, limits::KEEP_ALIVE_TIMEOUT);
        assert!(!watch.expired());
        world.pass(limits::KEEP_ALIVE_TIMEOUT);
        assert!(watch.expired());
    });
}

#[test]
fn a_client_that_waits_is_left_alone() {
    on_both_drivers(|mut world| {
        // Pipelined bytes are no reason to end.
        world.client.write_all(b"GET").expect("the bytes are taken");
        world.watch().begin(Phase::Answering);
        world.pass(Duration::from_secs(3_600));
        assert!(!world.watch().ended());
        assert_eq!(read(&world.client), Err(ErrorKind::WouldBlock));
    });
}

/// With a FIN alone nobody can tell whether it left.
#[test]
fn a_client_that_has_said_everything_gets_time_for_its_answer() {
    for before in [&b""[..], b"pipelined, or a close_notify"] {
        on_both_drivers(|mut world| {
            world.client.write_all(before).expect("the bytes are taken");
            world.client.shutdown(Shutdown::Write).expect("a direction can be ended");
            world.watch().begin(Phase::Answering);
            // As long as the answer moves.
            for _ in 0..10 {
                world.pass(limits::HALF_CLOSED_ANSWER_TIMEOUT - limits::CLIENT_CHECK_INTERVAL);
                assert!(!world.watch().ended());
                world.watch().answer_moved();
            }
            world.pass(limits::HALF_CLOSED_ANSWER_TIMEOUT + limits::CLIENT_CHECK_INTERVAL);
            assert!(world.watch().ended());
            assert_eq!(read(&world.client), Err(ErrorKind::ConnectionReset));
            assert_eq!(read(&world.tool), Err(ErrorKind::ConnectionReset));
            let limit = world.counters.limit_reached.at(Limit::HalfClosedAnswerTimeout);
            assert_eq!(limit.value(), 1);
        });
    }
}

#[test]
fn a_client_that_broke_its_connection_is_soon_seen_to_be_gone() {
    on_both_drivers(|world| {
        let World { watches, watched, mut client, tool, counters } = world;
        let watch = watched.watch.clone();
        client.write_all(b"GET").expect("the bytes are taken");
        watch.begin(Phase::Answering);
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("an option");
        drop(client);
        for _ in 0..ticks(limits::CLIENT_CHECK_INTERVAL) {
            assert!(!watch.ended());
            watches.sweep(None, &counters);
        }
        assert!(watch.ended());
        assert_eq!(read(&tool), Err(ErrorKind::ConnectionReset));
    });
}
