//! The steps of the hot path, one by one.

use criterion::{Criterion, criterion_group, criterion_main};
use portico_micro::steps::{GUARDED, OTHERS};

fn all(criterion: &mut Criterion) {
    for step in GUARDED.iter().chain(&OTHERS) {
        let mut run = (step.prepare)();
        criterion.bench_function(step.name, |bencher| bencher.iter(&mut run));
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
