//! GETs at a fixed rate, whether the answers come or not. A request that had to wait for a free
//! connection, or for this loop, counts from the moment at which it should have been sent, so that
//! a proxy that stalls cannot hide it by holding up the load (coordinated omission).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::answer::Answer;
use super::connection::{SCRATCH_BYTES, Tally};
use super::engine::{Faults, Outcome};
use super::fetch::Step;
use super::kernel::{self, Poll, Punctual};
use super::stream::{Fault, Stream};
use super::{Edge, Plan};

/// The loop looks up at least so often.
const TICK: Duration = Duration::from_millis(20);

/// When each request is due, as time since the start.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    per_second: u32,
}

impl Schedule {
    /// Of the request with this number, from 0. Without an error that adds up.
    fn due(self, number: u64) -> Duration {
        let nanoseconds = u128::from(number) * 1_000_000_000 / u128::from(self.per_second);
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

struct Line {
    stream: Stream,
    answer: Answer,
    /// When the request under way was due.
    asked: Option<Duration>,
}

/// Sends `per_second` requests a second over the plan's connections.
pub fn run(
    plan: &Plan,
    per_second: u32,
    mut edge: impl FnMut(Edge) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    ensure!(per_second > 0 && plan.connections > 0, "no rate or no connection");
    let _punctual = Punctual::begin()?;
    let mut pace = Pace::open(plan, per_second)?;
    let mut keys = Vec::new();
    let mut window = Duration::ZERO;
    loop {
        pace.poll.wait_briefly(pace.patience(), &mut keys)?;
        ensure!(!kernel::interrupted(), "interrupted");
        for key in &keys {
            pace.turn(*key as usize)?;
        }
        pace.send_what_is_due()?;
        let now = pace.now();
        if pace.tally.measuring && now - window >= plan.measure {
            edge(Edge::End)?;
            pace.count_the_unanswered(now);
            return Ok(Outcome {
                completed: pace.tally.completed,
                bytes: pace.tally.bytes,
                errors: pace.faults.count,
                first_error: pace.faults.first,
                window: now - window,
                latency: pace.tally.latency,
            });
        }
        if !pace.tally.measuring && now >= plan.warm_up {
            edge(Edge::Begin)?;
            window = pace.now();
            pace.tally.measuring = true;
        }
    }
}

struct Pace<'a> {
    plan: &'a Plan,
    step: Step,
    schedule: Schedule,
    poll: Poll,
    lines: Vec<Line>,
    /// In the order in which they became free, so that all are used.
    free: VecDeque<usize>,
    /// The number of the next request.
    next: u64,
    began: Instant,
    scratch: Vec<u8>,
    tally: Tally,
    faults: Faults,
}

impl<'a> Pace<'a> {
    fn open(plan: &'a Plan, per_second: u32) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let lines: Vec<Line> = (0..plan.connections)
            .map(|index| line(plan, &poll, index))
            .collect::<anyhow::Result<_>>()?;
        Ok(Pace {
            plan,
            step: Step::small(&plan.target),
            schedule: Schedule { per_second },
            poll,
            free: (0..lines.len()).collect(),
            lines,
            next: 0,
            began: Instant::now(),
            scratch: vec![0; SCRATCH_BYTES],
            tally: Tally::default(),
            faults: Faults::default(),
        })
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Until the next request is due, if there is a connection for it.
    fn patience(&self) -> Duration {
        if self.free.is_empty() {
            return TICK;
        }
        self.schedule.due(self.next).saturating_sub(self.now()).min(TICK)
    }

    fn send_what_is_due(&mut self) -> anyhow::Result<()> {
        loop {
            let due = self.schedule.due(self.next);
            if due > self.now() {
                return Ok(());
            }
            let Some(index) = self.free.pop_front() else { return Ok(()) };
            self.next += 1;
            let line = &mut self.lines[index];
            line.asked = Some(due);
            if let Err(fault) = line.stream.send_all(&self.step.request) {
                self.replace(index, &fault)?;
            }
        }
    }

    fn turn(&mut self, index: usize) -> anyhow::Result<()> {
        match self.answered(index) {
            Ok(true) => self.free.push_back(index),
            Ok(false) => {}
            Err(fault) => self.replace(index, &fault)?,
        }
        Ok(())
    }

    /// Whether the request under way has its whole answer.
    fn answered(&mut self, index: usize) -> Result<bool, Fault> {
        let line = &mut self.lines[index];
        line.stream.flush()?;
        while let Some(count) = line.stream.receive_some(&mut self.scratch)? {
            let Some(due) = line.asked else {
                return Err(Fault::Answer("an answer without a request".into()));
            };
            if line.answer.take(&self.scratch[..count], self.step.expected)?.complete {
                line.asked = None;
                self.tally.round_trip(self.began + due);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn replace(&mut self, index: usize, fault: &Fault) -> anyhow::Result<()> {
        self.faults.note(fault)?;
        let was_free = self.lines[index].asked.is_none();
        self.lines[index] =
            line(self.plan, &self.poll, index).with_context(|| format!("again after: {fault}"))?;
        if !was_free {
            self.free.push_back(index);
        }
        Ok(())
    }

    /// What was due and has no answer took at least until now: left out, the slowest would be.
    fn count_the_unanswered(&mut self, now: Duration) {
        for due in self.lines.iter().filter_map(|line| line.asked) {
            self.tally.latency.record(now.saturating_sub(due));
        }
        for number in self.next.. {
            let due = self.schedule.due(number);
            if due >= now {
                return;
            }
            self.tally.latency.record(now - due);
        }
    }
}

fn line(plan: &Plan, poll: &Poll, index: usize) -> anyhow::Result<Line> {
    let stream = Stream::open(&plan.target)
        .with_context(|| format!("connection {index} to {}", plan.target.address))?;
    poll.add(stream.socket(), index as u64)?;
    Ok(Line { stream, answer: Answer::default(), asked: None })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{SocketAddr, TcpListener};

    use super::*;
    use crate::backend;
    use crate::load::Target;

    fn plan(address: SocketAddr, connections: usize) -> Plan {
        Plan {
            target: Target { address, host: "a".into(), cookie: String::new(), tls: None },
            connections,
            warm_up: Duration::from_millis(50),
            measure: Duration::from_millis(400),
        }
    }

    #[test]
    fn the_schedule_has_no_error_that_adds_up() {
        let schedule = Schedule { per_second: 3_000 };
        assert_eq!(schedule.due(0), Duration::ZERO);
        assert_eq!(schedule.due(1), Duration::from_nanos(333_333));
        assert_eq!(schedule.due(3_000_000), Duration::from_secs(1_000));
    }

    #[test]
    fn the_rate_is_kept_against_the_backend() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || backend::serve(&listener).unwrap());
        let outcome = run(&plan(address, 4), 500, |_| Ok(())).unwrap();
        assert_eq!(outcome.first_error, None);
        let rate = outcome.per_second();
        assert!((400.0..=600.0).contains(&rate), "{rate}");
    }

    #[test]
    fn what_waits_behind_a_slow_answer_counts_from_when_it_was_due() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // One answer every 100 ms, and a request is due every 10 ms.
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut request = vec![0; 4096];
            while std::io::Read::read(&mut socket, &mut request).is_ok_and(|count| count > 0) {
                std::thread::sleep(Duration::from_millis(100));
                let head = "HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n";
                let answer = [head.as_bytes(), backend::BODY].concat();
                if socket.write_all(&answer).is_err() {
                    return;
                }
            }
        });
        let outcome = run(&plan(address, 1), 100, |_| Ok(())).unwrap();
        assert!(outcome.completed <= 5, "{}", outcome.completed);
        // Forty were due; half of them waited for a quarter of a second and more.
        let p50 = outcome.latency.quantile(0.5);
        assert!(p50 >= Duration::from_millis(150), "{p50:?}");
        assert!(outcome.latency.quantile(0.9) >= Duration::from_millis(300));
    }
}
