//! Drives many dialogues in a closed loop from one thread, replaces broken connections, and marks
//! the measuring window. It must not know what a dialogue says.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::connection::{self, Dialogue, Fault, SCRATCH_BYTES, Tally};
use super::kernel::{self, Poll};
use super::latency::Latency;
use super::{Edge, Plan};

/// A run with more broken connections than this measures nothing but its own reconnecting.
const ERRORS_MAX: u64 = 1_000;
/// How often an idle loop looks at the clock.
const TICK: Duration = Duration::from_millis(20);

pub struct Outcome {
    pub completed: u64,
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
    socket: TcpStream,
    dialogue: D,
    /// An event came in the measuring window: a connection without one is stuck.
    alive: bool,
}

/// Runs `plan`, with a dialogue from `make` on each connection, and calls `edge` at both ends of
/// the measuring window.
pub fn run<D: Dialogue>(
    plan: &Plan,
    make: impl Fn(usize) -> D,
    mut edge: impl FnMut(Edge) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let mut poll = Poll::new()?;
    let mut lines = Vec::with_capacity(plan.connections);
    for index in 0..plan.connections {
        let line = open(plan, &poll, index, make(index))
            .with_context(|| format!("connection {index} to {}", plan.target.address))?;
        lines.push(line);
    }

    let mut scratch = vec![0; SCRATCH_BYTES];
    let mut keys = Vec::new();
    let mut tally = Tally::default();
    let (mut errors, mut first_error) = (0, None);
    let opened = Instant::now();
    let mut began = opened;
    loop {
        poll.wait(TICK, &mut keys)?;
        let now = Instant::now();
        if kernel::interrupted() {
            bail!("interrupted");
        }
        if tally.measuring && now - began >= plan.measure {
            edge(Edge::End)?;
            let stuck = lines.iter().filter(|line| !line.alive).count() as u64;
            if stuck > 0 && first_error.is_none() {
                first_error = Some(format!("{stuck} connections were silent all the time"));
            }
            return Ok(Outcome {
                completed: tally.completed,
                errors: errors + stuck,
                first_error,
                window: now - began,
                latency: tally.latency,
            });
        }
        if !tally.measuring && now - opened >= plan.warm_up {
            edge(Edge::Begin)?;
            began = Instant::now();
            tally.measuring = true;
        }
        for key in &keys {
            let index = *key as usize;
            let Err(fault) = turn(&mut lines[index], &mut scratch, &mut tally) else { continue };
            errors += 1;
            first_error.get_or_insert_with(|| fault.to_string());
            if errors > ERRORS_MAX {
                bail!(
                    "{errors} connections broke; the first one: {}",
                    first_error.unwrap_or_default()
                );
            }
            lines[index] = open(plan, &poll, index, make(index))
                .with_context(|| format!("again after: {fault}"))?;
        }
    }
}

fn open<D: Dialogue>(
    plan: &Plan,
    poll: &Poll,
    index: usize,
    mut dialogue: D,
) -> anyhow::Result<Line<D>> {
    let socket = connection::connect(plan.target.address)?;
    socket.set_nonblocking(true)?;
    poll.add(&socket, index as u64)?;
    dialogue.begin(&socket)?;
    Ok(Line { socket, dialogue, alive: false })
}

fn turn<D: Dialogue>(
    line: &mut Line<D>,
    scratch: &mut [u8],
    tally: &mut Tally,
) -> Result<(), Fault> {
    line.alive |= tally.measuring;
    line.dialogue.writable(&line.socket)?;
    // A short read is an empty socket: what arrives later makes a new event.
    while let Some(count) = connection::receive_some(&line.socket, scratch)? {
        line.dialogue.received(&line.socket, &scratch[..count], tally)?;
        if count < scratch.len() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::backend;
    use crate::load::{Target, echo, get};

    fn plan(listener: &TcpListener) -> Plan {
        let address = listener.local_addr().unwrap();
        Plan {
            target: Target { address, host: "session".into() },
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

    #[test]
    fn every_kind_of_load_runs_clean_against_the_backend_and_marks_its_window() {
        let plan = backend_plan();
        let mut edges = Vec::new();
        let mut note = |edge| {
            edges.push(edge);
            Ok(())
        };
        let outcomes = [
            get::run(&plan, &mut note).unwrap(),
            echo::run(&plan, 64, &mut note).unwrap(),
            echo::run(&plan, 300_000, &mut note).unwrap(),
        ];
        for outcome in outcomes {
            assert_eq!(outcome.first_error, None);
            assert!(outcome.completed >= 8, "{}", outcome.completed);
            assert!(outcome.window >= plan.measure);
        }
        assert_eq!(edges, [Edge::Begin, Edge::End].repeat(3));
    }

    #[test]
    fn a_server_that_says_nothing_is_an_error_on_every_connection() {
        // Connections wait in the backlog for ever.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let outcome = get::run(&plan(&listener), |_| Ok(())).unwrap();
        assert_eq!((outcome.completed, outcome.errors), (0, 8));
    }

    #[test]
    fn a_server_that_closes_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // Time for as many connections on a busy machine; it gives up long before.
        let plan = Plan { measure: Duration::from_secs(60), ..plan(&listener) };
        std::thread::spawn(move || listener.incoming().for_each(drop));
        assert!(get::run(&plan, |_| Ok(())).is_err());
    }
}
