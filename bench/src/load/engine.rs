//! Drives many dialogues in a closed loop from one thread, replaces broken connections, and marks
//! the measuring window. It must not know what a dialogue says.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::connection::{Dialogue, Next, SCRATCH_BYTES, Tally};
use super::kernel::{self, Poll};
use super::latency::Latency;
use super::stream::{Fault, Stream};
use super::{Edge, Plan};

/// A run with more broken connections than this measures nothing but its own reconnecting.
const ERRORS_MAX: u64 = 1_000;
/// How long after the window a connection that said nothing in it may still do so: with thousands
/// of them behind a slow proxy, a turn can take longer than the window.
const GRACE: Duration = Duration::from_secs(3);
/// How long a proxy has to accept a connection of the first ones.
const ACCEPTED: Duration = Duration::from_micros(100);
/// How often an idle loop looks at the clock.
const TICK: Duration = Duration::from_millis(20);

pub struct Outcome {
    pub completed: u64,
    /// Of bodies.
    pub bytes: u64,
    /// Connections that broke or got a wrong answer, over the whole run.
    pub errors: u64,
    pub first_error: Option<String>,
    pub window: Duration,
    pub latency: Latency,
}

impl Outcome {
    pub fn per_second(&self) -> f64 {
        self.completed as f64 / self.window.as_secs_f64()
    }
}

struct Line<D> {
    stream: Stream,
    dialogue: D,
    /// Not there yet, so nothing was said.
    connecting: bool,
    /// An event came since the measuring began: a connection without one is stuck.
    alive: bool,
}

#[derive(Clone, Copy)]
enum Phase {
    WarmUp,
    Window,
    /// For connections that were silent.
    Grace {
        measured: Duration,
    },
}

/// What is known of broken connections.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) count: u64,
    pub(super) first: Option<String>,
}

impl Faults {
    pub(super) fn note(&mut self, fault: &Fault) -> anyhow::Result<()> {
        self.count += 1;
        let first = self.first.get_or_insert_with(|| fault.to_string());
        ensure!(
            self.count <= ERRORS_MAX,
            "{} connections broke; the first one: {first}",
            self.count
        );
        Ok(())
    }
}

/// Runs `plan`, with a dialogue from `make` on each connection, and calls `edge` at both ends of
/// the measuring window.
pub fn run<D: Dialogue>(
    plan: &Plan,
    make: impl Fn(usize) -> D,
    mut edge: impl FnMut(Edge) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let mut poll = Poll::new()?;
    let mut lines = open_all(plan, &poll, &make)?;
    let mut scratch = vec![0; SCRATCH_BYTES];
    let mut keys = Vec::new();
    let mut tally = Tally::default();
    let mut faults = Faults::default();
    // How many connections there were: those that are renewed have numbers of their own.
    let mut opened = plan.connections;
    let begun = Instant::now();
    let mut window = begun;
    let mut phase = Phase::WarmUp;
    loop {
        poll.wait(TICK, &mut keys)?;
        let now = Instant::now();
        ensure!(!kernel::interrupted(), "interrupted");
        match phase {
            Phase::WarmUp if now - begun >= plan.warm_up => {
                edge(Edge::Begin)?;
                window = Instant::now();
                tally.measuring = true;
                phase = Phase::Window;
            }
            Phase::Window if now - window >= plan.measure => {
                edge(Edge::End)?;
                tally.measuring = false;
                phase = Phase::Grace { measured: now - window };
            }
            Phase::WarmUp | Phase::Window | Phase::Grace { .. } => {}
        }
        if let Phase::Grace { measured } = phase {
            let stuck = lines.iter().filter(|line| !line.alive).count() as u64;
            if stuck == 0 || now - window >= measured + GRACE {
                return Ok(outcome(tally, faults, stuck, measured));
            }
        }
        for key in &keys {
            let index = *key as usize;
            lines[index].alive |= !matches!(phase, Phase::WarmUp);
            match turn(&mut lines[index], &mut scratch, &mut tally) {
                Ok(Next::Stay) => {}
                Ok(Next::Renew) => {
                    opened += 1;
                    let line = renewed(plan, &poll, index, make(opened), opened)?;
                    std::mem::replace(&mut lines[index], line).stream.close();
                }
                Err(fault) => {
                    faults.note(&fault)?;
                    let mut line = open(plan, &poll, index, make(index))
                        .with_context(|| format!("again after: {fault}"))?;
                    line.dialogue.begin(&mut line.stream)?;
                    lines[index] = line;
                }
            }
        }
    }
}

/// The first connections, each with the first thing said.
fn open_all<D: Dialogue>(
    plan: &Plan,
    poll: &Poll,
    make: &impl Fn(usize) -> D,
) -> anyhow::Result<Vec<Line<D>>> {
    let mut lines = Vec::with_capacity(plan.connections);
    for index in 0..plan.connections {
        let line = open(plan, poll, index, make(index))
            .with_context(|| format!("connection {index} to {}", plan.target.address))?;
        lines.push(line);
    }
    // A proxy that is busy with some of them accepts the others one by one, between the rest of
    // its work: all are to be accepted before the first is used.
    ensure!(kernel::pause(ACCEPTED * plan.connections as u32), "interrupted");
    for line in &mut lines {
        line.dialogue.begin(&mut line.stream)?;
    }
    Ok(lines)
}

fn outcome(tally: Tally, mut faults: Faults, stuck: u64, window: Duration) -> Outcome {
    if stuck > 0 {
        faults.first.get_or_insert(format!("{stuck} connections were silent all the time"));
    }
    Outcome {
        completed: tally.completed,
        bytes: tally.bytes,
        errors: faults.count + stuck,
        first_error: faults.first,
        window,
        latency: tally.latency,
    }
}

fn open<D>(plan: &Plan, poll: &Poll, index: usize, dialogue: D) -> anyhow::Result<Line<D>> {
    let stream = Stream::open(&plan.target)?;
    poll.add(stream.socket(), index as u64)?;
    Ok(Line { stream, dialogue, connecting: false, alive: false })
}

/// Without waiting for the connection, because others are being served.
fn renewed<D: Dialogue>(
    plan: &Plan,
    poll: &Poll,
    index: usize,
    dialogue: D,
    number: usize,
) -> anyhow::Result<Line<D>> {
    let stream = Stream::begin(&plan.target, number).context("a new connection")?;
    poll.add(stream.socket(), index as u64)?;
    // The one before was alive, or there would be no new one.
    Ok(Line { stream, dialogue, connecting: true, alive: true })
}

fn turn<D: Dialogue>(
    line: &mut Line<D>,
    scratch: &mut [u8],
    tally: &mut Tally,
) -> Result<Next, Fault> {
    if line.connecting {
        if let Some(error) = line.stream.socket().take_error()? {
            return Err(error.into());
        }
        line.connecting = false;
        line.dialogue.begin(&mut line.stream)?;
    }
    line.stream.flush()?;
    line.dialogue.writable(&mut line.stream, tally)?;
    while let Some(count) = line.stream.receive_some(scratch)? {
        let next = line.dialogue.received(&mut line.stream, &scratch[..count], tally)?;
        if next == Next::Renew {
            return Ok(Next::Renew);
        }
        if line.stream.is_drained(count, scratch) {
            break;
        }
    }
    Ok(Next::Stay)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::backend;
    use crate::load::fetch::{self, Connections, Step};
    use crate::load::{Target, echo, upload};

    fn plan(listener: &TcpListener) -> Plan {
        let address = listener.local_addr().unwrap();
        Plan {
            target: Target { address, host: "session".into(), cookie: "a=1".into(), tls: None },
            connections: 8,
            warm_up: Duration::from_millis(20),
            measure: Duration::from_millis(100),
        }
    }

    fn backend_plan() -> Plan {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let plan = plan(&listener);
        // It ends with the test process.
        std::thread::spawn(move || backend::serve(&listener).unwrap());
        plan
    }

    fn get(plan: &Plan, edge: impl FnMut(Edge) -> anyhow::Result<()>) -> anyhow::Result<Outcome> {
        fetch::run(plan, vec![Step::small(&plan.target)], Connections::Kept, edge)
    }

    #[test]
    fn every_kind_of_load_runs_clean_against_the_backend_and_marks_its_window() {
        let plan = backend_plan();
        let mut edges = Vec::new();
        let mut note = |edge| {
            edges.push(edge);
            Ok(())
        };
        let several = vec![Step::filler(&plan.target, 300_000), Step::small(&plan.target)];
        let outcomes = [
            get(&plan, &mut note).unwrap(),
            fetch::run(&plan, several.clone(), Connections::Kept, &mut note).unwrap(),
            fetch::run(&plan, several, Connections::Renewed, &mut note).unwrap(),
            upload::run(&plan, 300_000, &mut note).unwrap(),
            echo::run(&plan, &[64], &mut note).unwrap(),
            echo::run(&plan, &[300_000, 1, 70_000], &mut note).unwrap(),
        ];
        for outcome in outcomes {
            assert_eq!(outcome.first_error, None);
            assert!(outcome.completed >= 8, "{}", outcome.completed);
            assert!(outcome.window >= plan.measure);
        }
        assert_eq!(edges, [Edge::Begin, Edge::End].repeat(6));
    }

    #[test]
    fn a_server_that_says_nothing_is_an_error_on_every_connection() {
        // Connections wait in the backlog for ever.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let outcome = get(&plan(&listener), |_| Ok(())).unwrap();
        assert_eq!((outcome.completed, outcome.errors), (0, 8));
    }

    #[test]
    fn a_server_that_closes_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // Time for as many connections on a busy machine; it gives up long before.
        let plan = Plan { measure: Duration::from_secs(60), ..plan(&listener) };
        std::thread::spawn(move || listener.incoming().for_each(drop));
        assert!(get(&plan, |_| Ok(())).is_err());
    }
}
