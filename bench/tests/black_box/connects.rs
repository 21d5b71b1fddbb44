//! Upstreams that cannot be reached cost those who ask for them, and nobody else: addresses that
//! never answer, names that do not resolve, and more of them than there are files for.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::socket::{Backlog, listen};
use portico_bench::world::World;
use portico_bench::world::upstream::Upstream;
use serde_json::json;

use crate::{Io, options, world};

on_both_io!(
    an_address_that_never_answers_is_left_alone_for_a_moment,
    a_name_that_does_not_resolve_hurts_no_other_session,
    idle_connections_never_use_up_the_files,
);

/// A listener whose queue is full: the kernel drops every further SYN.
struct Silent {
    address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Silent {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        listen(&listener, Backlog::new(0).expect("a valid length")).expect("a shorter queue");
        let queued = TcpStream::connect(address).expect("the queue has room for one");
        Self { address, _listener: listener, _queued: vec![queued] }
    }
}

fn an_address_that_never_answers_is_left_alone_for_a_moment(io: Io) {
    let (world, silent) = (world(io), Silent::new());
    let session = world.session_with(json!({ "upstream": format!("http://{}", silent.address) }));
    // One connection, so that one worker sees both requests.
    let mut client = world.client();
    let began = Instant::now();
    assert_eq!(client.get(&session.host, "/").status, 502);
    let first = began.elapsed();
    assert!(first > Duration::from_secs(4), "given up after {first:?}");
    assert_eq!(client.get(&session.host, "/").status, 502);
    let second = began.elapsed() - first;
    assert!(second < Duration::from_secs(2), "tried again for {second:?}");
    world.expect_metric("portico_upstream_connect_errors_total", "reason=\"timeout\"", 1.0);
    world.expect_metric("portico_upstream_connect_errors_total", "reason=\"backoff\"", 1.0);
}

fn a_name_that_does_not_resolve_hurts_no_other_session(io: Io) {
    // For resolvers that never answer; most say no at once.
    let world = World::start(options(io).set("RES_OPTIONS", "timeout:1 attempts:1"));
    let dead = world.session_with(json!({ "upstream": "http://no-such-session.invalid:8888" }));
    let upstream = Upstream::echo();
    let by_name = format!("http://localhost:{}", upstream.address.port());
    let alive = world.session_with(json!({ "upstream": by_name }));
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let began = Instant::now();
                let mut client = world.client();
                for _ in 0..4 {
                    assert_eq!(client.get(&dead.host, "/").status, 502);
                }
                assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
            });
        }
        let mut client = world.client();
        for _ in 0..100 {
            assert_eq!(client.get(&alive.host, "/").status, 200);
        }
    });
    let resolve = "reason=\"resolve\"";
    world.expect_metric("portico_upstream_connect_errors_total", resolve, 256.0);
}

/// One client walks over many sessions, and leaves an idle connection behind for each.
fn idle_connections_never_use_up_the_files(io: Io) {
    const FILES: &str = "512";
    let limit = format!("--nofile={FILES}:{FILES}");
    let options = options(io).set("PORTICO_PROXY__WORKERS", "1");
    let world = World::start(options.launched_by(&["prlimit", &limit]));
    let upstreams: Vec<_> = (0..80).map(|_| Upstream::echo()).collect();
    let hosts: Vec<_> = upstreams.iter().map(|upstream| world.session(upstream).host).collect();
    let mut client = world.client();
    for host in &hosts {
        assert_eq!(client.get(host, "/").status, 200);
        let open = world.metric("portico_upstream_connections_open", "");
        // An eighth of what the 256 reserved files leave of 512, and the one in use.
        assert!(open <= 33.0, "{open} are open");
    }
    let limit = "limit=\"upstream_idle_per_worker\"";
    assert!(world.metric("portico_limit_reached_total", limit) >= 1.0);
    // The last ones are those that were kept.
    let reused = world.metric("portico_upstream_connections_reused_total", "");
    assert_eq!(client.get(&hosts[79], "/").status, 200);
    world.expect_metric("portico_upstream_connections_reused_total", "", reused + 1.0);
}
