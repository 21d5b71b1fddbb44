//! Side-by-side runs: every proxy does the same job on the same core, in turn, several times, and
//! the CPU time per request is compared. It must not know how a proxy is configured.

mod haproxy;
pub mod lab;
pub mod machine;
mod nginx;
pub mod portico;
pub mod results;
pub mod summary;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::load::{Edge, Plan, Target, echo, engine::Outcome, get};
use crate::process;
use lab::{Kind, Lab, LabOptions, Subject};

pub struct Options {
    pub lab: LabOptions,
    pub cases: Vec<Case>,
    pub repetitions: usize,
    pub warm_up: Duration,
    pub measure: Duration,
    /// Where `RESULTS.md` and `results.json` go; nothing is written without it.
    pub output: Option<PathBuf>,
    /// As the user typed it, for the results.
    pub command: String,
}

/// What all proxies are asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Case {
    #[value(name = "get-64")]
    Get64,
    #[value(name = "get-512")]
    Get512,
    #[value(name = "echo-64")]
    EchoSmall,
    #[value(name = "echo-16k")]
    EchoLarge,
}

impl Case {
    pub const ALL: [Case; 4] = [Case::Get64, Case::Get512, Case::EchoSmall, Case::EchoLarge];

    pub fn name(self) -> &'static str {
        match self {
            Case::Get64 => "get-64",
            Case::Get512 => "get-512",
            Case::EchoSmall => "echo-64",
            Case::EchoLarge => "echo-16k",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Case::Get64 => "keep-alive GET of 64 B, 64 connections",
            Case::Get512 => "keep-alive GET of 64 B, 512 connections",
            Case::EchoSmall => "echo of 64 B, 64 upgraded connections",
            Case::EchoLarge => "echo of 16 KiB, 64 upgraded connections",
        }
    }

    fn connections(self) -> usize {
        match self {
            Case::Get64 | Case::EchoSmall | Case::EchoLarge => 64,
            Case::Get512 => 512,
        }
    }

    fn load(
        self,
        plan: &Plan,
        edge: impl FnMut(Edge) -> anyhow::Result<()>,
    ) -> anyhow::Result<Outcome> {
        match self {
            Case::Get64 | Case::Get512 => get::run(plan, edge),
            Case::EchoSmall => echo::run(plan, 64, edge),
            Case::EchoLarge => echo::run(plan, 16 * 1024, edge),
        }
    }
}

/// One proxy, one case, one repetition.
#[derive(Clone, Debug)]
pub struct Sample {
    pub kind: Kind,
    pub case: Case,
    pub repetition: usize,
    pub requests: u64,
    pub errors: u64,
    pub first_error: Option<String>,
    pub cpu_microseconds_per_request: f64,
    /// Share of its core that the proxy used: near 1 it was the bottleneck.
    pub core_share: f64,
    /// Cores that programs other than this run's kept busy: above a few hundredths the sample is
    /// disturbed.
    pub foreign_cores: f64,
    pub requests_per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut lab = Lab::open(&options.lab)?;
    let mut samples = Vec::new();
    for case in &options.cases {
        for repetition in 0..options.repetitions {
            // Every proxy is first in some repetition: what drifts on the machine hits all alike.
            let count = lab.subjects.len();
            for turn in 0..count {
                lab.check()?;
                let subject = &lab.subjects[(turn + repetition) % count];
                let sample = measure(options, *case, repetition, subject)
                    .with_context(|| format!("{} on {}", case.name(), subject.kind.name()))?;
                announce(&sample);
                samples.push(sample);
            }
        }
    }
    let rows = summary::rows(&options.cases, &samples);
    println!("\n{}", results::table(&rows));
    if let Some(directory) = &options.output {
        let facts = machine::facts(&lab)?;
        results::write(directory, options, &facts, &rows, &samples)?;
    }
    let errors: u64 = samples.iter().map(|sample| sample.errors).sum();
    if errors > 0 {
        bail!("{errors} errors: the figures above are not to be trusted");
    }
    Ok(())
}

fn measure(
    options: &Options,
    case: Case,
    repetition: usize,
    subject: &Subject,
) -> anyhow::Result<Sample> {
    measure_for(case, repetition, subject, options.warm_up, options.measure)
}

pub fn measure_for(
    case: Case,
    repetition: usize,
    subject: &Subject,
    warm_up: Duration,
    measure: Duration,
) -> anyhow::Result<Sample> {
    let target = Target { address: subject.address, host: subject.host.clone() };
    let plan = Plan { target, connections: case.connections(), warm_up, measure };
    let (mut proxy, mut foreign) = (Meter::default(), Meter::default());
    let outcome = case.load(&plan, |edge| {
        proxy.note(edge, process::cpu_time(subject.running.pid())?);
        // Every process of this run is this one or a descendant.
        let ours = process::cpu_time(std::process::id())?;
        foreign.note(edge, process::machine_cpu_time()?.saturating_sub(ours));
        Ok(())
    })?;
    let used = proxy.used();
    Ok(Sample {
        kind: subject.kind,
        case,
        repetition,
        requests: outcome.completed,
        errors: outcome.errors,
        cpu_microseconds_per_request: used.as_secs_f64() * 1e6 / outcome.completed.max(1) as f64,
        core_share: used.as_secs_f64() / outcome.window.as_secs_f64(),
        foreign_cores: foreign.used().as_secs_f64() / outcome.window.as_secs_f64(),
        requests_per_second: outcome.per_second(),
        p50: outcome.latency.quantile(0.5),
        p99: outcome.latency.quantile(0.99),
        first_error: outcome.first_error,
    })
}

/// A growing time, read at both edges of the window.
#[derive(Default)]
struct Meter {
    began: Duration,
    ended: Duration,
}

impl Meter {
    fn note(&mut self, edge: Edge, time: Duration) {
        match edge {
            Edge::Begin => self.began = time,
            Edge::End => self.ended = time,
        }
    }

    fn used(&self) -> Duration {
        self.ended.saturating_sub(self.began)
    }
}

fn announce(sample: &Sample) {
    println!(
        "{:<9} {:<14} #{} {:7.2} µs/request  {:8.0}/s  core {:3.0} %  others {:3.0} %  \
         p50 {} µs  p99 {} µs  errors {}{}",
        sample.case.name(),
        sample.kind.name(),
        sample.repetition + 1,
        sample.cpu_microseconds_per_request,
        sample.requests_per_second,
        sample.core_share * 100.0,
        sample.foreign_cores * 100.0,
        sample.p50.as_micros(),
        sample.p99.as_micros(),
        sample.errors,
        sample.first_error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default(),
    );
}
