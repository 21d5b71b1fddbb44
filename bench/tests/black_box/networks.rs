//! Where Portico connects to is not up to whoever registers a session: not to itself, not to a
//! cloud's metadata, and not out of the networks that the operator allows.

use portico_bench::world::World;
use portico_bench::world::upstream::Upstream;
use serde_json::json;

use crate::{Io, options, world};

on_both_io!(
    forbidden_addresses_are_refused_at_registration,
    names_are_judged_by_what_they_resolve_to,
    only_the_allowed_networks_are_reached,
);

fn forbidden_addresses_are_refused_at_registration(io: Io) {
    let world = world(io);
    for upstream in [
        "http://169.254.169.254".to_owned(),
        "http://[::ffff:169.254.169.254]:80".to_owned(),
        "http://[fd00:ec2::254]".to_owned(),
        "http://0.0.0.0:80".to_owned(),
        format!("http://{}", world.control),
        format!("http://{}", world.management),
        format!("http://{}", world.http),
        format!("http://[::ffff:127.0.0.1]:{}", world.control.port()),
    ] {
        let response = world.create(&json!({ "upstream": upstream }));
        assert_eq!(response.status, 422, "{upstream}: {}", response.text());
        assert_eq!(response.json()["errors"][0]["field"], "upstream", "{}", response.text());
    }
    for upstream in [
        "http://0x7f.1",
        "http://0X7F000001:80",
        "https://10.0.0.1",
        "http://10.0.0.1/path",
        "10.0.0.1:80",
    ] {
        let status = world.create(&json!({ "upstream": upstream })).status;
        assert!(matches!(status, 400 | 422), "{upstream}: {status}");
    }
}

fn names_are_judged_by_what_they_resolve_to(io: Io) {
    let world = world(io);
    let itself = format!("http://localhost:{}", world.control.port());
    let session = world.session_with(json!({ "upstream": itself }));
    let response = world.client().get(&session.host, "/v1/sessions");
    assert_eq!(response.status, 502, "{response:?}");
    world.expect_metric("portico_upstream_connect_errors_total", "reason=\"forbidden\"", 1.0);
    let upstream = Upstream::echo();
    let by_name = format!("http://localhost:{}", upstream.address.port());
    let session = world.session_with(json!({ "upstream": by_name }));
    assert_eq!(world.client().get(&session.host, "/").status, 200);
}

fn only_the_allowed_networks_are_reached(io: Io) {
    let world = World::start(options(io).set("PORTICO_UPSTREAM_NETWORKS", "10.0.0.0/8"));
    let upstream = Upstream::echo();
    assert_eq!(world.create(&json!({ "upstream": upstream.url() })).status, 422);
    let by_name = format!("http://localhost:{}", upstream.address.port());
    let session = world.session_with(json!({ "upstream": by_name }));
    assert_eq!(world.client().get(&session.host, "/").status, 502);
    assert_eq!(upstream.accepted(), 0);
}
