//! A label's way to its route, in small and large tables, and the price of one change.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use portico_core::route::Change;
use portico_micro::{sessions, table};

fn lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for count in [1_000, 100_000, 1_000_000] {
        let routes = table(count);
        let labels: Vec<String> =
            sessions(count.min(10_000)).map(|session| session.label.to_string()).collect();
        let mut turn = labels.iter().cycle();
        group.bench_function(format!("lookup in {count}"), |bencher| {
            bencher.iter(|| {
                black_box(routes.lookup(turn.next().expect("a cycle never ends"))).is_some()
            });
        });
        let one = sessions(1).next().expect("one session");
        group.bench_function(format!("change one of {count}"), |bencher| {
            bencher.iter_batched(
                || Change::Set(Box::new(one.clone())),
                |change| routes.with([change]),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, lookup);
criterion_main!(benches);
