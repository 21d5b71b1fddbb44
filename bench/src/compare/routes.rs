//! Portico beside itself: with one route and with very many, each filled by the bulk API, on the
//! same core in turns.

use anyhow::bail;

use super::case::Case;
use super::findings::{Findings, Options};
use super::kind::Kind;
use super::lab::{Lab, Start};
use super::measure::measure;
use super::portico;
use crate::load::kernel;

/// All cases of `options` that are about routes. One back end does: a lookup knows nothing of io.
pub fn run(options: &Options, findings: &mut Findings) -> anyhow::Result<()> {
    let Some(kind) = options.lab.kinds.iter().copied().find(|kind| kind.is_ours()) else {
        println!("no Portico among the proxies: left out");
        return Ok(());
    };
    let cases: Vec<(Case, usize)> =
        options.cases.iter().filter_map(|case| Some((*case, case.routes()?))).collect();
    let program = options.lab.programs.of(kind);
    let starts: Vec<Start<'_>> =
        cases.iter().map(|(case, routes)| start(&program, kind, *case, *routes)).collect();
    let mut lab = Lab::with(&options.lab, &starts)?;
    for repetition in 0..options.repetitions * Case::Routes1.repetitions() {
        for turn in 0..cases.len() {
            lab.check()?;
            let index = (turn + repetition) % cases.len();
            let aim = lab.aim(&lab.subjects[index], None);
            let sample = measure(cases[index].0, repetition, &aim, options.timing)?;
            if kernel::interrupted() {
                bail!("interrupted");
            }
            findings.keep(sample);
        }
    }
    Ok(())
}

fn start(program: &std::path::Path, kind: Kind, case: Case, routes: usize) -> Start<'_> {
    Start {
        name: case.name().to_owned(),
        run: Box::new(move |site| {
            println!("{}: making {routes} sessions", case.name());
            portico::start_with_routes(program, kind, routes, &[], site)
        }),
    }
}
