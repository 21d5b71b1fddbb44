//! The steps of the hot path, one by one.

use criterion::{Criterion, criterion_group, criterion_main};
use portico_micro::steps::steps;

fn all(criterion: &mut Criterion) {
    for mut step in steps() {
        criterion.bench_function(step.name, |bencher| bencher.iter(|| (step.run)()));
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
