//! Any bytes as a request head and as a response head: the verdict does not depend on how they
//! came, and what is accepted goes out as one head with the same meaning and no field that ends
//! here.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use portico_core::domain::Scheme;
use portico_core::http::client::Client;
use portico_core::http::decide::By;
use portico_core::http::field::{self, Field};
use portico_core::http::forward::{Identity, write_request_head};
use portico_core::http::head::field_space;
use portico_core::http::request::{BodyLength, Request, Version};
use portico_core::http::response::{Delivery, Response, Rules};
use portico_core::label::{Label, SessionId};
use portico_core::limits;
use portico_core::path::{PathSite, path_site};
use portico_core::route::Route;
use portico_core::access::Access;
use portico_core::session::{HostHeader, Prefix, Routing, State, Timestamp};
use portico_core::upstream::{Host, Upstream};
use portico_core::workspace::Workspace;

/// Left for what the edge adds: above, a head that was within the limits may leave them.
const FIELDS_MAX: usize = limits::HEAD_FIELDS_MAX - 16;
const BYTES_MAX: usize = limits::HEAD_BYTES_MAX / 2;

fuzz_target!(|data: &[u8]| {
    for cut in cuts(data) {
        same_in_pieces(data, cut, request_summary);
        same_in_pieces(data, cut, response_summary);
    }
    let mut space = field_space();
    if let Ok(Some(request)) = Request::parse(data, 0, &mut space) {
        forward(&request);
    }
    let mut space = field_space();
    if let Ok(Some(response)) = Response::parse(data, 0, &mut space) {
        deliver(&response, data);
    }
});

/// Every place in a short input, and some of a long one that depend on what is in it.
fn cuts(data: &[u8]) -> Vec<usize> {
    if data.len() <= 32 {
        return (0..data.len()).collect();
    }
    let hash = |sum: usize, byte: &u8| sum.wrapping_mul(31).wrapping_add(usize::from(*byte));
    let hash = data.iter().fold(7, hash);
    (1..9).map(|i| hash.wrapping_mul(i * i + 1) % data.len()).collect()
}

type Summary = Result<Option<String>, ()>;

fn request_summary(data: &[u8], scanned: usize) -> Summary {
    let mut space = field_space();
    let request = Request::parse(data, scanned, &mut space).map_err(|_| ())?;
    Ok(request.map(|request| format!("{request:?}")))
}

fn response_summary(data: &[u8], scanned: usize) -> Summary {
    let mut space = field_space();
    let response = Response::parse(data, scanned, &mut space).map_err(|_| ())?;
    Ok(response.map(|response| format!("{response:?}")))
}

fn same_in_pieces(data: &[u8], cut: usize, parse: fn(&[u8], usize) -> Summary) {
    let whole = parse(data, 0);
    match parse(&data[..cut], 0) {
        Ok(None) => assert_eq!(parse(data, cut), whole),
        early => assert_eq!(early, whole),
    }
}

fn forward(request: &Request<'_, '_>) {
    assert!(request.bytes <= limits::HEAD_BYTES_MAX);
    let prefix = match path_site(request.path()) {
        PathSite::Inside { prefix, .. } => Some(prefix),
        _ => None,
    };
    // Without a host there is no session to forward to.
    if request.host.is_empty() || request.fields.len() > FIELDS_MAX || request.bytes > BYTES_MAX {
        return;
    }
    let trusted = ["10.0.0.0/8".parse().expect("a network")];
    for address in ["203.0.113.7:1", "10.0.0.7:1", "[2001:db8::7]:1"] {
        let client = Client::new(address.parse().expect("an address"), Scheme::Https, &trusted);
        forwarded(request, &route(HostHeader::Preserve, Prefix::Keep), By::Subdomain, &client);
        if let Some(prefix) = prefix {
            let by = By::Path { prefix };
            forwarded(request, &route(HostHeader::Upstream, Prefix::Strip), by, &client);
        }
    }
}

fn forwarded(request: &Request<'_, '_>, route: &Route, by: By, client: &Client) {
    let mut out = Vec::new();
    write_request_head(&mut out, request, route, by, client, Identity::default());
    let mut space = field_space();
    let again = Request::parse(&out, 0, &mut space).expect("valid").expect("whole");
    assert_eq!(again.bytes, out.len());
    assert_eq!((again.method, again.body), (request.method, request.body));
    assert_eq!(again.upgrade, request.upgrade);
    assert_eq!(again.expects_continue, request.expects_continue);
    assert!(again.persistent && again.version == Version::Http11);
    let stripped = match (by, route.prefix) {
        (By::Path { prefix }, Prefix::Strip) => &request.target[prefix..],
        (By::Path { .. }, Prefix::Keep) | (By::Subdomain, _) => request.target,
    };
    assert_eq!(again.target, stripped);
    let count = |kind| again.classified().filter(|(given, _)| *given == kind).count();
    for once in [
        Field::Host,
        Field::XForwardedFor,
        Field::XForwardedProto,
        Field::XForwardedHost,
        Field::Forwarded,
    ] {
        assert_eq!(count(once), 1, "{once:?}");
    }
    for never in [Field::HopByHop, Field::Proxy, Field::Ours, Field::Lookalike] {
        assert_eq!(count(never), 0, "{never:?}");
    }
    let by_path = usize::from(matches!(by, By::Path { .. }));
    assert_eq!(count(Field::RstudioRootPath), by_path);
    assert_eq!(count(Field::Connection), usize::from(request.upgrade.is_some()));
    assert_eq!(count(Field::Upgrade), usize::from(request.upgrade.is_some()));
    let cookies = again.classified().filter(|(kind, _)| *kind == Field::Cookie);
    for (_, header) in cookies {
        let mut pairs = header.value.split(|b| *b == b';').map(|pair| pair.trim_ascii());
        assert!(!pairs.any(|pair| starts_with(pair, b"__Host-portico")));
    }
}

fn deliver(response: &Response<'_, '_>, data: &[u8]) {
    let fields = data[..response.bytes].split(|b| *b == b'\n').count();
    if fields > FIELDS_MAX || response.bytes > BYTES_MAX {
        return;
    }
    for (client, persistent, bare, prefix) in [
        (Version::Http11, true, false, None),
        (Version::Http11, false, false, Some("/_studio/a1")),
        (Version::Http10, false, true, Some("/_studio/a1")),
    ] {
        let rules = Rules {
            authority: "a1.example",
            host: "a1.example",
            upstream: &UPSTREAM,
            prefix,
            stripped: bare,
            guard: None,
        };
        let upgrade = response.status == 101;
        let delivery = Delivery { client, persistent, bare, upgrade };
        delivered(response, &rules, delivery);
    }
}

static UPSTREAM: Upstream =
    Upstream { host: Host::Address(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))), port: 8888 };

fn delivered(response: &Response<'_, '_>, rules: &Rules<'_>, delivery: Delivery) {
    let mut out = Vec::new();
    response.write(&mut out, rules, delivery);
    let mut space = field_space();
    let again = Response::parse(&out, 0, &mut space).expect("valid").expect("whole");
    assert_eq!((again.bytes, again.status), (out.len(), response.status));
    let bare = delivery.bare && response.body == BodyLength::Chunked;
    assert_eq!(again.body, if bare { BodyLength::UntilClose } else { response.body });
    if response.status >= 200 {
        assert_eq!(again.persistent, delivery.persistent);
    }
    for line in out[..out.len() - 4].split(|b| *b == b'\n').skip(1) {
        let colon = line.iter().position(|b| *b == b':').expect("a field");
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        match field::classify(name) {
            Field::HopByHop | Field::Proxy | Field::Ours | Field::Lookalike => {
                panic!("{} was delivered", name.escape_ascii())
            }
            Field::SetCookie => assert!(!starts_with(value, b"__Host-portico")),
            Field::ContentLength => assert!(response.status >= 200 && response.status != 204),
            _ => {}
        }
    }
}

fn starts_with(text: &[u8], start: &[u8]) -> bool {
    text.len() >= start.len() && text[..start.len()].eq_ignore_ascii_case(start)
}

fn route(host_header: HostHeader, prefix: Prefix) -> Route {
    Route {
        label: Label::parse("a1").expect("a label"),
        id: Some(SessionId::parse("a1").expect("an id")),
        workspace: Arc::new(Workspace::unlimited("w".parse().expect("a name"))),
        tool: "jupyter".parse().expect("a name"),
        kind: Default::default(),
        is_watched: false,
        state: State::Running,
        reason: None,
        upstream: "http://10.0.0.1:8888".parse().expect("an upstream"),
        routing: Routing::Both,
        host_header,
        prefix,
        owner: "ada".parse().expect("a name"),
        access: Access::default(),
        created_at: Timestamp(0),
    }
}
