//! What accounting costs: the same Portico with and without it, on the same core, in turns, and the
//! ratio of each pair. Pairs, because what drifts on a machine drifts in both halves of one.

use std::fmt::Write;
use std::path::Path;

use anyhow::ensure;

use crate::compare::case::Case;
use crate::compare::kind::Kind;
use crate::compare::lab::{Lab, LabOptions, Start};
use crate::compare::measure::{Timing, measure as measure_once};
use crate::compare::portico;
use crate::compare::summary::Spread;
use crate::section;

pub struct Options {
    pub lab: LabOptions,
    pub pairs: usize,
    pub timing: Timing,
}

/// What is compared with `off`.
const SOURCES: [&str; 2] = ["ebpf", "tcp_info"];
const CASES: [Case; 2] = [Case::Get64, Case::EchoSmall];

/// The table of ratios.
pub fn run(options: &Options) -> anyhow::Result<String> {
    let mut table = String::from(
        "| case | io | source | CPU µs per request, off | ratio on/off, median | lowest–highest | \
         pairs |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for kind in [Kind::PorticoUring, Kind::PorticoEpoll] {
        let with = |source: &'static str| Start {
            name: format!("{}-{source}", kind.name()),
            run: Box::new(move |site| {
                let more = [("PORTICO_ACCOUNTING__SOURCE", source)];
                portico::start(&options.lab.programs.portico, kind, &more, site)
            }),
        };
        let starts: Vec<_> = ["off"].into_iter().chain(SOURCES).map(with).collect();
        let mut lab = Lab::with(&options.lab, &starts)?;
        for case in CASES {
            let figures = measure(options, &mut lab, case)?;
            rows(&mut table, kind, case, &figures);
        }
    }
    println!("\n{table}");
    Ok(table)
}

/// Of each repetition what a request costs: off, and by each source.
fn measure(
    options: &Options,
    lab: &mut Lab,
    case: Case,
) -> anyhow::Result<Vec<[f64; 1 + SOURCES.len()]>> {
    (0..options.pairs)
        .map(|repetition| {
            let mut figures = [0.0; 1 + SOURCES.len()];
            for turn in 0..figures.len() {
                lab.check()?;
                // Each is first as often as the others.
                let which = (turn + repetition) % figures.len();
                let subject = &lab.subjects[which];
                let aim = lab.aim(subject, None);
                let sample = measure_once(case, repetition, &aim, options.timing)?;
                ensure!(sample.errors == 0, "{} errors: {:?}", sample.errors, sample.first_error);
                figures[which] = sample.main;
            }
            println!("{:<8} #{:<2} {figures:.2?}", case.name(), repetition + 1);
            Ok(figures)
        })
        .collect()
}

fn rows(table: &mut String, kind: Kind, case: Case, figures: &[[f64; 1 + SOURCES.len()]]) {
    let off = Spread::of(figures.iter().map(|figures| figures[0]).collect());
    for (index, source) in SOURCES.iter().enumerate() {
        let ratios = figures.iter().map(|figures| figures[1 + index] / figures[0]).collect();
        let Spread { median, lowest, highest } = Spread::of(ratios);
        let _ = writeln!(
            table,
            "| {} | {} | {source} | {:.1} | **{median:.3}** | {lowest:.3}–{highest:.3} | {} |",
            case.title(),
            kind.name(),
            off.median,
            figures.len(),
        );
    }
}

/// Puts the table into `RESULTS.md`.
pub fn write(directory: &Path, table: &str, facts: &str) -> anyhow::Result<()> {
    let report = format!(
        "The same binary with `accounting.source` off and on, on one core in turns; a ratio of \
         each pair.\n\n{table}\n{facts}\n"
    );
    section::replace(directory, "What accounting costs", &report)
}
