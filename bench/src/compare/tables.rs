//! A comparison as tables, one for each case, for a terminal and for `RESULTS.md`.

use std::fmt::Write;
use std::time::Duration;

use super::case::Case;
use super::findings::Gap;
use super::kind::Kind;
use super::summary::Row;

/// Every case with its title.
pub fn all(cases: &[Case], rows: &[Row], gaps: &[Gap]) -> String {
    let mut text = String::new();
    for case in cases {
        let table = of_case(*case, rows, gaps);
        let _ = writeln!(text, "{} ({})\n\n{table}", case.title(), case.name());
    }
    text
}

pub fn of_case(case: Case, rows: &[Row], gaps: &[Gap]) -> String {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.case == case).collect();
    let mut text = if case.unit().is_memory() {
        weights(case, &rows)
    } else if case == Case::Paced {
        latencies(case, &rows)
    } else {
        loads(case, &rows)
    };
    for gap in gaps.iter().filter(|gap| gap.case == case) {
        let why = gap.why.replace('\n', " ");
        let _ = writeln!(text, "\nWithout {}: {why}.", gap.kind.name());
    }
    text
}

fn heading(columns: &[&str]) -> String {
    let rule = vec!["---"; columns.len()];
    format!("| {} |\n| {} |\n", columns.join(" | "), rule.join(" | "))
}

fn loads(case: Case, rows: &[&Row]) -> String {
    let (figure, per_second) = (case.unit().figure(), format!("{}s/s", case.unit().name()));
    let against = if case.routes().is_some() { "ratio to one route" } else { "ratio to the best" };
    let main = format!("{figure} (min–max)");
    let columns = ["proxy", &main, against, &per_second, "core used", "p50 µs", "p99 µs", "errors"];
    let mut text = heading(&columns);
    for row in rows {
        let Some(load) = &row.load else { continue };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.0} | {:.0} % | {} | {} | {} |",
            row.kind.name(),
            spread(row),
            ratio(row),
            load.per_second.median,
            load.core_share * 100.0,
            micros(load.p50),
            micros(load.p99),
            row.errors,
        );
    }
    text
}

/// Nothing where nothing was completed within the window.
fn micros(time: Duration) -> String {
    if time.is_zero() { "–".to_owned() } else { time.as_micros().to_string() }
}

fn latencies(case: Case, rows: &[&Row]) -> String {
    let main = format!("{} (min–max)", case.unit().figure());
    let columns = [
        "proxy",
        "p50 µs",
        "p99 µs",
        "added p50 µs",
        "added p99 µs",
        "answers/s",
        &main,
        "ratio to the best",
        "errors",
    ];
    let mut text = heading(&columns);
    for row in rows {
        let Some(load) = &row.load else { continue };
        let added = load.added.map_or(("–".to_owned(), "–".to_owned()), |added| {
            (added.p50.as_micros().to_string(), added.p99.as_micros().to_string())
        });
        let main = if row.kind == Kind::Direct { "–".to_owned() } else { spread(row) };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {:.0} | {main} | {} | {} |",
            row.kind.name(),
            load.p50.as_micros(),
            load.p99.as_micros(),
            added.0,
            added.1,
            load.per_second.median,
            ratio(row),
            row.errors,
        );
    }
    text
}

fn weights(case: Case, rows: &[&Row]) -> String {
    let main = format!("{} (min–max)", case.unit().figure());
    let afterwards =
        if case == Case::Stalled { "after they left" } else { "after an echo on each" };
    let mut text = heading(&["proxy", &main, "ratio to the best", afterwards]);
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            row.kind.name(),
            spread(row),
            ratio(row),
            row.afterwards.map_or("–".to_owned(), |left| format!("{left:.1}")),
        );
    }
    text
}

fn spread(row: &Row) -> String {
    format!("{:.1} ({:.1}–{:.1})", row.main.median, row.main.lowest, row.main.highest)
}

fn ratio(row: &Row) -> String {
    row.ratio.map_or("–".to_owned(), |ratio| format!("**{ratio:.2}**"))
}

#[cfg(test)]
mod tests {
    use super::super::summary::{rows, tests::sample};
    use super::*;

    #[test]
    fn a_case_has_its_rows_and_says_who_is_left_out() {
        let samples = [
            sample(Kind::PorticoUring, Case::Paced, 150.0),
            sample(Kind::Nginx, Case::Paced, 300.0),
            sample(Kind::Direct, Case::Paced, 100.0),
        ];
        let why = "it ended\nby itself".to_owned();
        let gaps = [Gap { kind: Kind::Chp, case: Case::Paced, why }];
        let table = of_case(Case::Paced, &rows(&[Case::Paced], &samples), &gaps);
        assert!(table.contains("| portico-uring | 100 | 150 | 0 | 50 | 1 | 150.0"), "{table}");
        assert!(table.contains("| no proxy | 100 | 100 | – | – | 1 | – | – | 0 |"), "{table}");
        assert!(table.ends_with("\nWithout chp: it ended by itself.\n"), "{table}");
        let columns: Vec<_> = table.lines().take(5).map(|line| line.matches('|').count()).collect();
        assert!(columns.iter().all(|count| *count == columns[0]), "{table}");
    }
}
