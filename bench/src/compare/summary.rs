//! From samples to rows: medians, spread, and the ratio to the better opponent.

use std::time::Duration;

use super::lab::Kind;
use super::{Case, Sample};

/// One proxy on one case.
#[derive(Clone, Debug)]
pub struct Row {
    pub case: Case,
    pub kind: Kind,
    pub cpu_microseconds: Spread,
    pub per_second: Spread,
    pub core_share: f64,
    pub p50: Duration,
    pub p99: Duration,
    pub errors: u64,
    /// Our median over the better opponent's: below 1 is cheaper. Only ours have one.
    pub ratio: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub lowest: f64,
    pub highest: f64,
}

impl Spread {
    /// Of at least one figure.
    pub fn of(mut figures: Vec<f64>) -> Spread {
        figures.sort_by(f64::total_cmp);
        let count = figures.len();
        let median = match count % 2 {
            1 => figures[count / 2],
            _ => (figures[count / 2 - 1] + figures[count / 2]) / 2.0,
        };
        Spread { median, lowest: figures[0], highest: figures[count - 1] }
    }
}

/// Rows in the order of cases, then of proxies.
pub fn rows(cases: &[Case], samples: &[Sample]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for case in cases {
        let begin = rows.len();
        for kind in Kind::ALL {
            let group: Vec<&Sample> = samples
                .iter()
                .filter(|sample| sample.case == *case && sample.kind == kind)
                .collect();
            if !group.is_empty() {
                rows.push(row(*case, kind, &group));
            }
        }
        let better = rows[begin..]
            .iter()
            .filter(|row| !row.kind.is_ours())
            .map(|row| row.cpu_microseconds.median)
            .min_by(f64::total_cmp);
        for row in rows[begin..].iter_mut().filter(|row| row.kind.is_ours()) {
            row.ratio = better.map(|better| row.cpu_microseconds.median / better);
        }
    }
    rows
}

fn row(case: Case, kind: Kind, group: &[&Sample]) -> Row {
    let spread = |figure: fn(&Sample) -> f64| {
        Spread::of(group.iter().map(|sample| figure(sample)).collect())
    };
    let duration = |figure: fn(&Sample) -> f64| Duration::from_secs_f64(spread(figure).median);
    Row {
        case,
        kind,
        cpu_microseconds: spread(|sample| sample.cpu_microseconds_per_request),
        per_second: spread(|sample| sample.requests_per_second),
        core_share: spread(|sample| sample.core_share).median,
        p50: duration(|sample| sample.p50.as_secs_f64()),
        p99: duration(|sample| sample.p99.as_secs_f64()),
        errors: group.iter().map(|sample| sample.errors).sum(),
        ratio: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(kind: Kind, cpu_microseconds_per_request: f64) -> Sample {
        Sample {
            kind,
            case: Case::Get64,
            repetition: 0,
            requests: 1,
            errors: 0,
            first_error: None,
            cpu_microseconds_per_request,
            core_share: 0.5,
            foreign_cores: 0.0,
            requests_per_second: 1.0,
            p50: Duration::from_micros(1),
            p99: Duration::from_micros(2),
        }
    }

    #[test]
    fn the_ratio_is_to_the_better_opponent() {
        let samples = [
            sample(Kind::PorticoUring, 12.0),
            sample(Kind::PorticoUring, 10.0),
            sample(Kind::PorticoUring, 30.0),
            sample(Kind::Haproxy, 24.0),
            sample(Kind::Nginx, 16.0),
            sample(Kind::Nginx, 24.0),
        ];
        let rows = rows(&[Case::Get64], &samples);
        let ours = &rows[0];
        let expected = Spread { median: 12.0, lowest: 10.0, highest: 30.0 };
        assert_eq!(ours.cpu_microseconds, expected);
        assert_eq!(ours.ratio, Some(0.6));
        assert!(rows[1..].iter().all(|row| row.ratio.is_none()));
        assert_eq!(rows[2].cpu_microseconds.median, 20.0);
    }
}
