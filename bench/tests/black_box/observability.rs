//! What an operator sees: metrics, health, readiness, the access log.

use portico_bench::world::World;
use portico_bench::world::client::Client;
use portico_bench::world::eventually;
use portico_bench::world::upstream::Upstream;
use serde_json::Value;

use crate::{Io, options, world};

on_both_io!(
    the_io_back_end_is_told,
    requests_and_connections_are_counted,
    health_and_readiness_are_answered,
    the_access_log_has_a_line_for_each_request,
    a_drain_can_be_asked_for,
    readiness_and_a_drain_are_in_the_metrics,
    the_process_is_in_the_metrics_by_the_names_that_all_use,
);

fn the_io_back_end_is_told(io: Io) {
    let world = world(io);
    let backend = format!("backend=\"{}\"", io.as_str());
    world.expect_metric("portico_io_backend", &backend, 1.0);
    world.expect_metric("portico_io_backend", "", 1.0);
    assert!(world.process.stderr().contains(io.as_str()), "the log says so too");
}

fn requests_and_connections_are_counted(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let session = world.session(&upstream);
    let before = world.metric("portico_requests_total", "code=\"2xx\"");
    let mut client = world.client();
    for _ in 0..3 {
        assert_eq!(client.get(&session.host, "/").status, 200);
    }
    world.expect_metric("portico_requests_total", "code=\"2xx\"", before + 3.0);
    world.expect_metric("portico_upstream_connections_opened_total", "", 1.0);
    world.expect_metric("portico_upstream_connections_reused_total", "", 2.0);
    world.expect_metric("portico_routes", "", 1.0);
    world.expect_metric("portico_connections_open", "", 1.0);
    drop(client);
    world.expect_metric("portico_connections_open", "", 0.0);
    let text = world.metrics();
    for name in [
        "portico_build_info",
        "portico_bytes_total",
        "portico_connections_accepted_total",
        "portico_limit_reached_total",
        "portico_requests_refused_total",
        "portico_relays_open",
        "portico_upgrades_total",
        "portico_upstream_connect_errors_total",
    ] {
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help in {text}");
    }
}

fn health_and_readiness_are_answered(io: Io) {
    let world = world(io);
    assert_eq!(Client::connect(world.management).get("m", "/healthz").status, 200);
    let ready = Client::connect(world.management).get("m", "/readyz");
    assert_eq!((ready.status, &ready.json()["ready"]), (200, &Value::Bool(true)));
}

fn the_access_log_has_a_line_for_each_request(io: Io) {
    let world = World::start(options(io).set("PORTICO_PROXY__ACCESS_LOG", "json"));
    let upstream = Upstream::echo();
    let session = world.session(&upstream);
    let request = format!(
        "POST /a?b=c&token=hidden HTTP/1.1\r\nHost: {}\r\nUser-Agent: a \"quoted\" one\r\n\
         Content-Length: 2\r\n\r\nhi",
        session.host
    );
    assert_eq!(world.client().exchange(request).status, 200);
    let line = eventually("the line is written", || {
        let lines = world.process.stdout();
        lines.lines().find(|line| line.contains("quoted")).map(str::to_owned)
    });
    assert!(!line.contains("hidden"), "{line}");
    let line: Value = serde_json::from_str(&line).expect("a line of JSON");
    assert_eq!(line["session"], session.label);
    assert_eq!(line["method"], "POST");
    assert_eq!(line["status"], 200);
    assert_eq!(line["client"].as_str().map(|c| c.starts_with("127.0.0.1")), Some(true), "{line}");
    assert!(line["target"].as_str().is_some_and(|t| t.starts_with("/a?b=c&token=")), "{line}");
}

fn a_drain_can_be_asked_for(io: Io) {
    let mut world = world(io);
    let mut client = Client::connect(world.management);
    let response = client.exchange("POST /drain HTTP/1.1\r\nHost: m\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(response.status, 202);
    assert_eq!(world.process.ended().code(), Some(0));
}

fn readiness_and_a_drain_are_in_the_metrics(io: Io) {
    let world = World::start(options(io).set("PORTICO_PROXY__DRAIN_TIMEOUT", "1h"));
    world.expect_metric("portico_ready", "", 1.0);
    world.expect_metric("portico_draining", "", 0.0);
    world.expect_metric("portico_drain_deadline_timestamp_seconds", "", 0.0);
    let workers = world.metric("portico_workers", "");
    world.expect_metric("portico_workers_running", "", workers);
    assert!(world.metric("portico_connections_max", "") >= workers);
    let started = world.metric("portico_start_timestamp_seconds", "");
    let upstream = Upstream::websocket_echo();
    let host = world.session(&upstream).host;
    let _socket = world.client().websocket(&host, "/", &[]);
    for _ in 0..2 {
        let mut client = Client::connect(world.management);
        let asked = "POST /drain HTTP/1.1\r\nHost: m\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(client.exchange(asked).status, 202);
        world.expect_metric("portico_draining", "", 1.0);
    }
    world.expect_metric("portico_ready", "", 0.0);
    let in_an_hour = world.metric("portico_drain_deadline_timestamp_seconds", "") - started;
    assert!((3_600.0..3_660.0).contains(&in_an_hour), "{in_an_hour}");
}

fn the_process_is_in_the_metrics_by_the_names_that_all_use(io: Io) {
    let world = world(io);
    let metric = |name| world.metric(name, "");
    let started = metric("portico_start_timestamp_seconds");
    assert!((metric("process_start_time_seconds") - started).abs() < 60.0, "{started}");
    assert!(metric("process_resident_memory_bytes") > 1e6);
    assert!(metric("process_virtual_memory_bytes") > metric("process_resident_memory_bytes"));
    assert!(metric("process_threads") > metric("portico_workers"));
    assert!(metric("process_max_fds") >= metric("portico_connections_max"));
    let open = metric("process_open_fds");
    let clients: Vec<Client> = (0..64).map(|_| world.client()).collect();
    world.expect_metric("portico_connections_open", "", 64.0);
    // Others of the process come and go meanwhile, such as those of a start or of these questions.
    assert!(metric("process_open_fds") >= open + 48.0, "{open} before {}", clients.len());
    let busy = |spent: f64| (spent > 0.0).then_some(());
    eventually("time on processors is told", || busy(metric("process_cpu_seconds_total")));
}
