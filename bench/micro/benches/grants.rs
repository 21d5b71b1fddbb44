//! What it costs a worker to decide whether a request may go to its session: with the gate open,
//! with a good grant, with one that is renewed, and with many bad ones before a good one.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use portico_core::access::{Gate, Grant, Key, KeyId, Proven};
use portico_core::domain::{Domains, Scheme};
use portico_core::http::client::Client;
use portico_core::http::decide::{Decision, Install, decide};
use portico_core::http::head::field_space;
use portico_core::http::request::Request;
use portico_core::route::Change;
use portico_core::session::Timestamp;
use portico_micro::{NOW, grant, sessions, table};

fn decisions(criterion: &mut Criterion) {
    let key = Key::new(KeyId(1), [7; 32], Timestamp(0));
    let table = table(100_000).with([Change::Key(Box::new(key.clone()))]);
    let session = sessions(1).next().expect("one session");
    let cookie = |grant: &Grant, key: &Key| format!("__Host-portico-grant={}", grant.token(key));
    let other = Key::new(KeyId(1), [8; 32], Timestamp(0));
    let bad = vec![cookie(&grant(&session, 1), &other); 50].join("; ");
    let good = cookie(&grant(&session, 1), &key);
    let older = cookie(&grant(&session, 10), &key);
    for (name, gate, places, cookies) in [
        ("the gate is open", Gate::open(), 0, good.clone()),
        ("a grant", Gate::default(), 0, good.clone()),
        ("a grant that was proven before", Gate::default(), 16, good.clone()),
        ("a grant that is renewed", Gate::default(), 0, older),
        ("fifty bad grants before a good one", Gate::default(), 0, format!("{bad}; {good}")),
    ] {
        let proven = Proven::new(places);
        let domains = Domains::new("https://connect.example.com", None, None).expect("domains");
        let client = Client::new(([192, 0, 2, 1], 1).into(), Scheme::Https, &[]);
        let head = format!(
            "GET /lab/api HTTP/1.1\r\nHost: {}.connect.example.com\r\nAccept: */*\r\n\
             User-Agent: Mozilla/5.0\r\nCookie: _xsrf=2|abc; {cookies}\r\n\r\n",
            session.label
        );
        criterion.bench_function(&format!("decide: {name}"), |bencher| {
            bencher.iter(|| {
                let mut space = field_space();
                let request = Request::parse(head.as_bytes(), 0, &mut space);
                let request = request.expect("a head").expect("a whole head");
                let install = Install { domains: &domains, gate: &gate };
                let decision = decide(&request, &client, install, &table, &proven, NOW);
                assert!(matches!(black_box(decision), Ok(Decision::Forward(..))));
            });
        });
    }
}

criterion_group!(benches, decisions);
criterion_main!(benches);
