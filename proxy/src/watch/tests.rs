//! The clock is turned by hand: a test is as long in ticks as it likes, and takes no time.

use std::net::{TcpListener, TcpStream};

use super::*;
use crate::io::Driver;

/// A connection of which Portico's end is watched, with the clock and the client's end.
struct World {
    watches: Rc<Watches>,
    watched: Watched,
    _client: TcpStream,
    _tool: TcpStream,
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

/// Runs `test` in a world of its own on each driver.
fn on_both_drivers(test: impl Fn(World) + Copy) {
    let main = async |driver: Driver| {
        let (socket, client) = pair(&driver).await;
        let (upstream, tool) = pair(&driver).await;
        let watches = Watches::new();
        let watched = watches.add(socket);
        watched.watch.set_upstream(Some(upstream));
        test(World {
            watches,
            watched,
            _client: client,
            _tool: tool,
            counters: WorkerCounters::default(),
        });
    };
    Driver::run_epoll(main).expect("a driver");
    Driver::run_uring(main).expect("this machine allows io_uring");
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
