//! Side-by-side runs: every proxy does the same job on the same core, in turn, several times, and
//! the CPU time per unit of work is compared. It must not know how a proxy is configured.

pub mod case;
pub mod recording;
pub mod kind;
pub mod site;
mod haproxy;
mod nginx;
mod envoy;
mod chp;
mod h2o;
mod traefik;
mod sozu;
mod pingora;
pub mod portico;
pub mod lab;
pub mod measure;
pub mod findings;
mod routes;
pub mod summary;
pub mod goals;
pub mod machine;
pub mod results;
mod tables;
mod json;
mod plot;

use std::time::Instant;

use anyhow::bail;

use crate::load::kernel;
use case::Case;
use findings::{Findings, Options};
use lab::Lab;
use measure::measure;

pub fn run(options: &Options) -> anyhow::Result<()> {
    options.lab.programs.check(&options.lab.kinds)?;
    let begun = Instant::now();
    let mut findings = Findings::default();
    // Who does not start is found out now, not in half an hour.
    findings.note_versions(&Lab::open(&options.lab, &options.lab.kinds)?);
    for (index, case) in options.cases.iter().enumerate() {
        let (number, count) = (index + 1, options.cases.len());
        let minutes = begun.elapsed().as_secs() / 60;
        println!("\n[{number}/{count}, minute {minutes}] {}: {}", case.name(), case.title());
        let ran = if case.routes().is_none() {
            run_case(options, *case, &mut findings)
        } else if options.cases.iter().position(|case| case.routes().is_some()) == Some(index) {
            // All of them together, when the first one's turn comes.
            routes::run(options, &mut findings)
        } else {
            Ok(())
        };
        if let Err(error) = ran {
            if kernel::interrupted() {
                return Err(error);
            }
            // Half an hour of figures is not thrown away for one case.
            println!("{} failed: {error:#}", case.name());
            findings.failures.push(format!("{}: {error:#}", case.name()));
        }
    }
    findings.took = begun.elapsed();
    let rows = summary::rows(&options.cases, &findings.samples);
    println!("\n{}", tables::all(&options.cases, &rows, &findings.gaps));
    println!("{}", goals::table(&rows));
    if let Some(directory) = &options.output {
        let facts = machine::facts(&findings.versions)?;
        results::write(directory, options, &facts, &rows, &findings)?;
    }
    if !findings.failures.is_empty() {
        bail!("some cases failed:\n  {}", findings.failures.join("\n  "));
    }
    Ok(())
}

/// With proxies that were started for it: what an earlier case left in one's memory or pool is in
/// no figure.
fn run_case(options: &Options, case: Case, findings: &mut Findings) -> anyhow::Result<()> {
    let mut lab = Lab::open(&options.lab, &options.lab.kinds)?;
    for repetition in 0..options.repetitions * case.repetitions() {
        if case.unit().is_memory() && repetition > 0 {
            // Memory that was used once is rarely given back.
            drop(lab);
            lab = Lab::open(&options.lab, &options.lab.kinds)?;
        }
        // Every proxy is first in some repetition: what drifts on the machine hits all alike.
        let count = lab.subjects.len();
        for turn in 0..count {
            let index = (turn + repetition) % count;
            take_turn(options, case, repetition, &mut lab, index, findings)?;
        }
        if case == Case::Paced {
            let aim = lab.direct();
            let sample = measure(case, repetition, &aim, options.timing)?;
            findings.keep(sample);
        }
    }
    Ok(())
}

/// One measurement. Who fails leaves a gap, and one of ours fails the run, at its end.
fn take_turn(
    options: &Options,
    case: Case,
    repetition: usize,
    lab: &mut Lab,
    index: usize,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let kind = lab.subjects[index].kind;
    if findings.gaps.iter().any(|gap| (gap.kind, gap.case) == (kind, case)) {
        return Ok(());
    }
    let aim = lab.aim(&lab.subjects[index], case.handshake());
    let measured = measure(case, repetition, &aim, options.timing);
    let is_alive = lab.subjects[index].is_alive();
    if kernel::interrupted() {
        bail!("interrupted");
    }
    match measured {
        Ok(sample) if is_alive => findings.keep(sample),
        Ok(_) => findings.gap(kind, case, "it ended by itself".to_owned()),
        Err(error) => findings.gap(kind, case, format!("{error:#}")),
    }
    Ok(())
}
