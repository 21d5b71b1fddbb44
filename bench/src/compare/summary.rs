//! From samples to rows: medians, spread, the ratio to the best opponent, and what a hop adds to
//! the latency.

use std::time::Duration;

use super::case::Case;
use super::kind::Kind;
use super::measure::{Load, Sample};

/// One proxy on one case.
#[derive(Clone, Debug)]
pub struct Row {
    pub case: Case,
    pub kind: Kind,
    /// CPU µs or kB of memory for each unit.
    pub main: Spread,
    pub afterwards: Option<f64>,
    pub load: Option<LoadRow>,
    pub errors: u64,
    /// Our median over the best opponent's, below 1 is cheaper; in the cases of routes over that
    /// with one route. Only ours have one.
    pub ratio: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
pub struct LoadRow {
    pub per_second: Spread,
    pub core_share: f64,
    pub p50: Duration,
    pub p99: Duration,
    /// Over those of the backend itself, where they were measured.
    pub added: Option<Added>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Added {
    pub p50: Duration,
    pub p99: Duration,
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
        let mut kinds: Vec<Kind> =
            samples.iter().filter(|sample| sample.case == *case).map(|s| s.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            let group: Vec<&Sample> = samples
                .iter()
                .filter(|sample| sample.case == *case && sample.kind == kind)
                .collect();
            rows.push(row(*case, kind, &group));
        }
        add_latency(&mut rows[begin..]);
        let best = best(&rows[begin..], Kind::is_opponent, |row| Some(row.main.median));
        for row in rows[begin..].iter_mut().filter(|row| row.kind.is_ours()) {
            row.ratio = best.map(|(_, best)| row.main.median / best);
        }
    }
    compare_routes(&mut rows);
    rows
}

/// The lowest figure among rows of such kinds, and whose it is.
pub fn best(
    rows: &[Row],
    of: impl Fn(Kind) -> bool,
    figure: impl Fn(&Row) -> Option<f64>,
) -> Option<(Kind, f64)> {
    rows.iter()
        .filter(|row| of(row.kind))
        .filter_map(|row| Some((row.kind, figure(row)?)))
        .min_by(|one, other| one.1.total_cmp(&other.1))
}

fn row(case: Case, kind: Kind, group: &[&Sample]) -> Row {
    let spread = |figure: fn(&Sample) -> f64| {
        Spread::of(group.iter().map(|sample| figure(sample)).collect())
    };
    let loads: Vec<Load> = group.iter().filter_map(|sample| sample.load).collect();
    let of_load = |figure: fn(&Load) -> f64| Spread::of(loads.iter().map(figure).collect());
    let duration = |figure: fn(&Load) -> f64| Duration::from_secs_f64(of_load(figure).median);
    let afterwards: Vec<f64> = group.iter().filter_map(|sample| sample.afterwards).collect();
    Row {
        case,
        kind,
        main: spread(|sample| sample.main),
        afterwards: (!afterwards.is_empty()).then(|| Spread::of(afterwards).median),
        load: (!loads.is_empty()).then(|| LoadRow {
            per_second: of_load(|load| load.per_second),
            core_share: of_load(|load| load.core_share).median,
            p50: duration(|load| load.p50.as_secs_f64()),
            p99: duration(|load| load.p99.as_secs_f64()),
            added: None,
        }),
        errors: group.iter().map(|sample| sample.errors).sum(),
        ratio: None,
    }
}

/// Within one case, where the backend itself was measured.
fn add_latency(rows: &mut [Row]) {
    let direct = rows.iter().find(|row| row.kind == Kind::Direct).and_then(|row| row.load);
    let Some(direct) = direct else { return };
    let proxies = rows.iter_mut().filter(|row| row.kind != Kind::Direct);
    for load in proxies.filter_map(|row| row.load.as_mut()) {
        load.added = Some(Added {
            p50: load.p50.saturating_sub(direct.p50),
            p99: load.p99.saturating_sub(direct.p99),
        });
    }
}

fn compare_routes(rows: &mut [Row]) {
    let one: Vec<(Kind, f64)> = rows
        .iter()
        .filter(|row| row.case == Case::Routes1)
        .map(|row| (row.kind, row.main.median))
        .collect();
    for row in rows.iter_mut().filter(|row| row.case.routes().is_some_and(|count| count > 1)) {
        let base = one.iter().find(|(kind, _)| *kind == row.kind);
        row.ratio = base.map(|(_, base)| row.main.median / base);
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn sample(kind: Kind, case: Case, main: f64) -> Sample {
        Sample {
            kind,
            case,
            repetition: 0,
            main,
            afterwards: None,
            load: Some(Load {
                units: 1.0,
                per_second: 1.0,
                core_share: 0.5,
                foreign_cores: 0.0,
                p50: Duration::from_micros(100),
                p99: Duration::from_micros(main as u64),
            }),
            errors: 0,
            first_error: None,
        }
    }

    #[test]
    fn the_ratio_is_to_the_best_opponent_of_the_case() {
        let samples = [
            sample(Kind::PorticoUring, Case::Get64, 12.0),
            sample(Kind::PorticoUring, Case::Get64, 10.0),
            sample(Kind::PorticoUring, Case::Get64, 30.0),
            sample(Kind::Haproxy, Case::Get64, 24.0),
            sample(Kind::Nginx, Case::Get64, 16.0),
            sample(Kind::Nginx, Case::Get64, 24.0),
            sample(Kind::Nginx, Case::Get512, 1.0),
        ];
        let rows = rows(&[Case::Get64], &samples);
        let ours = &rows[0];
        let expected = Spread { median: 12.0, lowest: 10.0, highest: 30.0 };
        assert_eq!(ours.main, expected);
        assert_eq!(ours.ratio, Some(0.6));
        assert!(rows[1..].iter().all(|row| row.ratio.is_none()));
        assert_eq!(rows[2].main.median, 20.0);
    }

    #[test]
    fn what_a_hop_adds_is_told_from_the_backend_itself() {
        let samples = [
            sample(Kind::PorticoUring, Case::Paced, 300.0),
            sample(Kind::Nginx, Case::Paced, 80.0),
            sample(Kind::Direct, Case::Paced, 100.0),
        ];
        let rows = rows(&[Case::Paced], &samples);
        let added = |index: usize| rows[index].load.unwrap().added;
        let ours = Added { p50: Duration::ZERO, p99: Duration::from_micros(200) };
        assert_eq!(added(0), Some(ours));
        // A lucky run is no negative time.
        assert_eq!(added(1).unwrap().p99, Duration::ZERO);
        assert_eq!(added(2), None);
        assert_eq!(rows[0].ratio, Some(3.75), "the backend is no opponent");
    }

    #[test]
    fn many_routes_are_compared_with_one() {
        let samples = [
            sample(Kind::PorticoUring, Case::Routes1, 10.0),
            sample(Kind::PorticoUring, Case::Routes1m, 11.0),
        ];
        let rows = rows(&[Case::Routes1, Case::Routes1m], &samples);
        assert_eq!((rows[0].ratio, rows[1].ratio), (None, Some(1.1)));
    }
}
