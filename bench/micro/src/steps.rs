//! The steps of the hot path, each as one call: what criterion times and what the guard counts the
//! instructions of. Inputs are those of a notebook in a browser.

use std::hint::black_box;

use portico_core::access::{Gate, Key, KeyId, Proven};
use portico_core::domain::{Domains, Scheme};
use portico_core::http::body::BodyReader;
use portico_core::http::client::Client;
use portico_core::http::decide::{By, Decision, Install, decide};
use portico_core::http::exchange::Exchange;
use portico_core::http::forward::{Identity, write_request_head};
use portico_core::http::head::field_space;
use portico_core::http::request::{BodyLength, Request};
use portico_core::http::response::Rules;
use portico_core::http::websocket::Frames;
use portico_core::route::{Change, Route, RouteTable};
use portico_core::session::{Session, Timestamp};

use crate::{NOW, grant, sessions, table};

/// A step by its name, and how to prepare it, which takes longer than any of them.
pub struct Step {
    pub name: &'static str,
    pub prepare: fn() -> Box<dyn FnMut()>,
}

/// Enough that a lookup goes through several nodes.
const ROUTES: u32 = 10_000;

const ANSWER: &str = "HTTP/1.1 200 OK\r\n\
    Server: TornadoServer/6.5\r\n\
    Content-Type: application/json\r\n\
    Date: Mon, 30 Nov 2026 20:00:00 GMT\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Content-Security-Policy: frame-ancestors 'self'; report-uri /api/security/csp-report\r\n\
    Access-Control-Allow-Headers: accept, content-type, authorization\r\n\
    Etag: \"4c2e0e4a0ab1f6c1f7d6d26f7b40d1b0\"\r\n\
    Vary: Accept-Encoding\r\n\
    Set-Cookie: _xsrf=2|4f1e7b2c|0a1b2c3d4e5f60718293a4b5c6d7e8f9|1795000000; Path=/\r\n\
    Content-Length: 64\r\n\r\n";

/// The heads that a browser and a notebook exchange.
fn request_head(session: &Session, cookie: &str) -> String {
    format!(
        "GET /api/contents/notebooks/analysis.ipynb?content=0&hash=1 HTTP/1.1\r\n\
         Host: {}.connect.example.com\r\n\
         Connection: keep-alive\r\n\
         sec-ch-ua-platform: \"Linux\"\r\n\
         X-XSRFToken: 2|4f1e7b2c|0a1b2c3d4e5f60718293a4b5c6d7e8f9|1795000000\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n\
         Content-Type: application/json\r\n\
         Accept: */*\r\n\
         Sec-Fetch-Site: same-origin\r\n\
         Sec-Fetch-Mode: cors\r\n\
         Sec-Fetch-Dest: empty\r\n\
         Referer: https://connect.example.com/lab/tree/notebooks\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\n\
         Accept-Language: en-US,en;q=0.9\r\n\
         Cookie: _xsrf=2|4f1e7b2c|0a1b2c3d4e5f6071; {cookie}\r\n\r\n",
        session.label
    )
}

/// An install with many sessions, and what a user of one of them sends.
struct Scene {
    table: RouteTable,
    domains: Domains,
    client: Client,
    proven: Proven,
    session: Session,
    head: String,
}

impl Scene {
    fn new() -> Self {
        let key = Key::new(KeyId(1), [7; 32], Timestamp(0));
        let table = table(ROUTES).with([Change::Key(Box::new(key.clone()))]);
        let session = sessions(1).next().expect("one session");
        let cookie = format!("__Host-portico-grant={}", grant(&session, 1).token(&key));
        let head = request_head(&session, &cookie);
        Self {
            table,
            domains: Domains::new("https://connect.example.com", None, None).expect("domains"),
            client: Client::new(([192, 0, 2, 1], 1).into(), Scheme::Https, &[]),
            proven: Proven::new(16),
            session,
            head,
        }
    }

    fn route(&self) -> std::sync::Arc<Route> {
        let gate = Gate::open();
        let mut space = field_space();
        let request = Request::parse(self.head.as_bytes(), 0, &mut space);
        let request = request.expect("a head").expect("a whole head");
        let install = Install { domains: &self.domains, gate: &gate };
        match decide(&request, &self.client, install, &self.table, &Proven::default(), NOW) {
            Ok(Decision::Forward(route, ..)) => route,
            _ => panic!("the session has a route"),
        }
    }
}

/// Those whose instructions are counted and compared.
pub const GUARDED: [Step; 5] = [
    step("parse a request head", parse),
    step("look a route up", lookup),
    step("parse, and decide by a grant", decision),
    step("parse, and write the request head", rewrite),
    step("frame 16 KiB in four chunks", chunks),
];

pub const OTHERS: [Step; 3] = [
    step("parse and write an answer's head", answer_head),
    step("see sixteen WebSocket frames go by", frames),
    step("change one route of 10,000", swap),
];

const fn step(name: &'static str, prepare: fn() -> Box<dyn FnMut()>) -> Step {
    Step { name, prepare }
}

fn parse() -> Box<dyn FnMut()> {
    let scene = Scene::new();
    Box::new(move || {
        let mut space = field_space();
        let request = Request::parse(black_box(scene.head.as_bytes()), 0, &mut space);
        black_box(request.expect("a head").expect("a whole head"));
    })
}

fn lookup() -> Box<dyn FnMut()> {
    let routes = table(ROUTES);
    let labels: Vec<String> = sessions(1_000).map(|session| session.label.to_string()).collect();
    let mut turn = 0;
    Box::new(move || {
        turn = (turn + 1) % labels.len();
        assert!(black_box(routes.lookup(&labels[turn])).is_some());
    })
}

fn decision() -> Box<dyn FnMut()> {
    let scene = Scene::new();
    let gate = Gate::default();
    Box::new(move || {
        let mut space = field_space();
        let request = Request::parse(scene.head.as_bytes(), 0, &mut space);
        let request = request.expect("a head").expect("a whole head");
        let install = Install { domains: &scene.domains, gate: &gate };
        let decision = decide(&request, &scene.client, install, &scene.table, &scene.proven, NOW);
        assert!(matches!(black_box(decision), Ok(Decision::Forward(..))));
    })
}

fn rewrite() -> Box<dyn FnMut()> {
    let scene = Scene::new();
    let route = scene.route();
    let mut out = Vec::with_capacity(4096);
    Box::new(move || {
        let mut space = field_space();
        let request = Request::parse(scene.head.as_bytes(), 0, &mut space);
        let request = request.expect("a head").expect("a whole head");
        out.clear();
        let identity = Identity { user: Some(&scene.session.owner), fields: &[] };
        write_request_head(&mut out, &request, &route, By::Subdomain, &scene.client, identity);
        black_box(&out);
    })
}

fn chunks() -> Box<dyn FnMut()> {
    let chunk = [&b"1000\r\n"[..], &[b'x'; 4096], b"\r\n"].concat();
    let body = [chunk.repeat(4).as_slice(), b"0\r\n\r\n"].concat();
    Box::new(move || {
        let mut reader = BodyReader::new(BodyLength::Chunked);
        let taken = reader.pass(black_box(&body)).expect("chunks");
        assert!(taken == body.len() && reader.is_done());
    })
}

fn answer_head() -> Box<dyn FnMut()> {
    let scene = Scene::new();
    let route = scene.route();
    let mut out = Vec::with_capacity(4096);
    Box::new(move || {
        let mut space = field_space();
        let request = Request::parse(scene.head.as_bytes(), 0, &mut space);
        let mut exchange = Exchange::new(&request.expect("a head").expect("a whole head"));
        let host = "a00000000.connect.example.com";
        let rules = Rules {
            authority: host,
            host,
            upstream: &route.upstream,
            prefix: None,
            stripped: false,
            guard: None,
        };
        out.clear();
        let step = exchange.response_head(black_box(ANSWER.as_bytes()), 0, &rules, false, &mut out);
        assert!(matches!(step, Ok(Some(_))));
    })
}

fn frames() -> Box<dyn FnMut()> {
    // Sixteen messages of 64 bytes from a browser, as they come in one piece.
    let message = [&[0x82, 0x80 | 64, 1, 2, 3, 4][..], &[b'x'; 64]].concat();
    let piece = message.repeat(16);
    Box::new(move || {
        let mut frames = Frames::default();
        black_box(frames.pass(black_box(&piece)));
        assert!(frames.may_insert());
    })
}

fn swap() -> Box<dyn FnMut()> {
    let routes = table(ROUTES);
    let one = sessions(1).next().expect("one session");
    Box::new(move || {
        black_box(routes.with([Change::Set(Box::new(one.clone()))]));
    })
}
