//! `portico-micro [ROUTES]`: what a route table of a million sessions weighs, and how long it takes
//! to make, to look up and to change.

use std::time::Instant;

use portico_core::route::Change;
use portico_micro::{sessions, table};

fn main() {
    let count: u32 =
        std::env::args().nth(1).map_or(1_000_000, |text| text.parse().expect("a number"));
    let before = resident();
    let begun = Instant::now();
    let routes = table(count);
    let took = begun.elapsed();
    let bytes = resident() - before;
    println!(
        "routes {}, {:.0} bytes each, made in {took:?}",
        routes.len(),
        bytes as f64 / f64::from(count)
    );

    let labels: Vec<String> =
        sessions(count.min(100_000)).map(|session| session.label.to_string()).collect();
    let begun = Instant::now();
    let found = labels.iter().filter(|label| routes.lookup(label).is_some()).count();
    println!("lookup {:?} each, {found} found", begun.elapsed() / labels.len() as u32);

    let one = sessions(1).next().expect("one session");
    let begun = Instant::now();
    const CHANGES: u32 = 1_000;
    let mut next = routes.clone();
    for _ in 0..CHANGES {
        next = next.with([Change::Set(Box::new(one.clone()))]);
    }
    println!("one change published {:?}, {} routes", begun.elapsed() / CHANGES, next.len());
}

/// Bytes of memory that this process holds.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has /proc");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("the second number") * 4096
}
