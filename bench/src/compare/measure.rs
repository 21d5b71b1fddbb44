//! One proxy, one case, once: the load and the meters around it. It must not know which proxy it
//! is, but for the name on the sample.

use std::time::Duration;

use super::case::{Case, Unit};
use super::kind::Kind;
use super::lab::Aim;
use crate::load::{Edge, Plan, idle, stalled};
use crate::process;

/// How long connections idle before they are weighed, and readers do not read.
const HOLD: Duration = Duration::from_secs(1);
const STALL: Duration = Duration::from_secs(2);

/// One proxy, one case, one repetition.
#[derive(Clone, Debug)]
pub struct Sample {
    pub kind: Kind,
    pub case: Case,
    pub repetition: usize,
    /// CPU µs or kB of memory for each unit.
    pub main: f64,
    /// Of memory: what is left after the connections were used, or the readers gone.
    pub afterwards: Option<f64>,
    /// Of a case that is a load.
    pub load: Option<Load>,
    pub errors: u64,
    pub first_error: Option<String>,
}

#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub units: f64,
    pub per_second: f64,
    /// Share of its core that the proxy used: near 1 it was the bottleneck.
    pub core_share: f64,
    /// Cores that programs other than this run's kept busy: above a few hundredths the sample is
    /// disturbed.
    pub foreign_cores: f64,
    pub p50: Duration,
    pub p99: Duration,
}

#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub warm_up: Duration,
    pub measure: Duration,
    /// Of the connections that memory is weighed with.
    pub connections_max: usize,
}

pub fn measure(case: Case, repetition: usize, aim: &Aim, timing: Timing) -> anyhow::Result<Sample> {
    match case.unit() {
        Unit::Held | Unit::Reader => weigh(case, repetition, aim, timing),
        _ => time(case, repetition, aim, timing),
    }
}

fn time(case: Case, repetition: usize, aim: &Aim, timing: Timing) -> anyhow::Result<Sample> {
    let plan = Plan {
        target: aim.target.clone(),
        connections: case.connections(),
        // Thousands of connections that all begin at once take their time to fall into step.
        warm_up: timing.warm_up + Duration::from_micros(500) * case.connections() as u32,
        measure: timing.measure,
    };
    let (mut proxy, mut foreign) = (Meter::default(), Meter::default());
    let outcome = case.load(&plan, |edge| {
        proxy.note(edge, process::cpu_time(aim.pid)?);
        // Every process of this run is this one or a descendant.
        let ours = process::cpu_time(std::process::id())?;
        foreign.note(edge, process::machine_cpu_time()?.saturating_sub(ours));
        Ok(())
    })?;
    let units = case.units(&outcome);
    let (used, window) = (proxy.used().as_secs_f64(), outcome.window.as_secs_f64());
    if units == 0.0 {
        anyhow::bail!(outcome.first_error.unwrap_or("nothing was answered".into()));
    }
    Ok(Sample {
        kind: aim.kind,
        case,
        repetition,
        main: used * 1e6 / units,
        afterwards: None,
        load: Some(Load {
            units,
            per_second: units / window,
            core_share: used / window,
            foreign_cores: foreign.used().as_secs_f64() / window,
            p50: outcome.latency.quantile(0.5),
            p99: outcome.latency.quantile(0.99),
        }),
        errors: outcome.errors,
        first_error: outcome.first_error,
    })
}

fn weigh(case: Case, repetition: usize, aim: &Aim, timing: Timing) -> anyhow::Result<Sample> {
    let count = case.connections().min(timing.connections_max);
    let (main, afterwards) = if case == Case::Stalled {
        let stalled = stalled::run(&aim.target, count, STALL, aim.pid)?;
        let kept = stalled.after_bytes.saturating_sub(stalled.before_bytes) as f64;
        (stalled.bytes_per_reader(), kept / count.max(1) as f64)
    } else {
        let memory = idle::run(&aim.target, count, HOLD, aim.pid)?;
        (memory.bytes_per_connection() as f64, memory.bytes_per_used_connection() as f64)
    };
    Ok(Sample {
        kind: aim.kind,
        case,
        repetition,
        main: main / 1e3,
        afterwards: Some(afterwards / 1e3),
        load: None,
        errors: 0,
        first_error: None,
    })
}

impl Sample {
    /// Progress, a line for each.
    pub fn announce(&self) {
        let head = format!(
            "{:<13} {:<14} #{} {:9.2} {}",
            self.case.name(),
            self.kind.name(),
            self.repetition + 1,
            self.main,
            self.case.unit().figure(),
        );
        let Some(load) = &self.load else {
            println!("{head}, {:.2} afterwards", self.afterwards.unwrap_or(0.0));
            return;
        };
        println!(
            "{head}  {:8.0}/s  core {:3.0} %  others {:3.0} %  p50 {} µs  p99 {} µs  errors {}{}",
            load.per_second,
            load.core_share * 100.0,
            load.foreign_cores * 100.0,
            load.p50.as_micros(),
            load.p99.as_micros(),
            self.errors,
            self.first_error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default(),
        );
    }
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
