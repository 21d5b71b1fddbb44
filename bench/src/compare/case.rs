//! What all proxies are asked to do, case by case: its name, what a unit of it is, and the load
//! that makes it. It must not know which proxy answers.

use clap::builder::PossibleValue;
use rustls::HandshakeKind;

use super::recording::Recording;
use crate::load::engine::Outcome;
use crate::load::fetch::{self, Connections, Step};
use crate::load::tls::Handshake;
use crate::load::{Edge, Plan, echo, paced, upload};

/// Requests per second of `Paced`.
pub const RATE: u32 = 5_000;
const MEBIBYTE: u64 = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    Get64,
    Get512,
    Get4000,
    Connect,
    TlsGet,
    TlsFull,
    TlsResumed,
    Down1m,
    Down100m,
    Up100m,
    EchoSmall1,
    EchoSmall,
    EchoSmall1000,
    EchoLarge1,
    EchoLarge,
    EchoLarge1000,
    Paced,
    Page,
    Notebook,
    Idle,
    IdleTls,
    Stalled,
    Routes1,
    Routes100k,
    Routes1m,
}

/// What is counted in a case, and so what its main figure is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Request,
    Connection,
    Mebibyte,
    Message,
    Page,
    /// Memory, of an idle connection.
    Held,
    /// Memory, of a client that does not read.
    Reader,
}

impl Unit {
    pub fn name(self) -> &'static str {
        match self {
            Unit::Request => "request",
            Unit::Connection => "connection",
            Unit::Mebibyte => "MiB",
            Unit::Message => "message",
            Unit::Page => "page",
            Unit::Held => "connection",
            Unit::Reader => "reader",
        }
    }

    /// What the main figure is.
    pub fn figure(self) -> String {
        match self {
            Unit::Held | Unit::Reader => format!("kB of memory per {}", self.name()),
            _ => format!("CPU µs per {}", self.name()),
        }
    }

    pub fn is_memory(self) -> bool {
        matches!(self, Unit::Held | Unit::Reader)
    }
}

impl Case {
    pub const ALL: [Case; 25] = [
        Case::Get64,
        Case::Get512,
        Case::Get4000,
        Case::Connect,
        Case::TlsGet,
        Case::TlsFull,
        Case::TlsResumed,
        Case::Down1m,
        Case::Down100m,
        Case::Up100m,
        Case::EchoSmall1,
        Case::EchoSmall,
        Case::EchoSmall1000,
        Case::EchoLarge1,
        Case::EchoLarge,
        Case::EchoLarge1000,
        Case::Paced,
        Case::Page,
        Case::Notebook,
        Case::Idle,
        Case::IdleTls,
        Case::Stalled,
        Case::Routes1,
        Case::Routes100k,
        Case::Routes1m,
    ];

    /// How often it is repeated where others are once: a pause of the machine moves a percentile
    /// near the end, and a bound of 2 % asks for more than the usual spread leaves.
    pub fn repetitions(self) -> usize {
        match self {
            Case::Paced | Case::Routes1 | Case::Routes100k | Case::Routes1m => 3,
            _ => 1,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Case::Get64 => "get-64",
            Case::Get512 => "get-512",
            Case::Get4000 => "get-4000",
            Case::Connect => "connect",
            Case::TlsGet => "tls-get-64",
            Case::TlsFull => "tls-full",
            Case::TlsResumed => "tls-resumed",
            Case::Down1m => "down-1m",
            Case::Down100m => "down-100m",
            Case::Up100m => "up-100m",
            Case::EchoSmall1 => "echo-64-1",
            Case::EchoSmall => "echo-64",
            Case::EchoSmall1000 => "echo-64-1000",
            Case::EchoLarge1 => "echo-16k-1",
            Case::EchoLarge => "echo-16k",
            Case::EchoLarge1000 => "echo-16k-1000",
            Case::Paced => "paced",
            Case::Page => "page",
            Case::Notebook => "notebook",
            Case::Idle => "idle",
            Case::IdleTls => "idle-tls",
            Case::Stalled => "stalled",
            Case::Routes1 => "routes-1",
            Case::Routes100k => "routes-100k",
            Case::Routes1m => "routes-1m",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Case::Get64 => "keep-alive GET of 64 B, 64 connections",
            Case::Get512 => "keep-alive GET of 64 B, 512 connections",
            Case::Get4000 => "keep-alive GET of 64 B, 4,000 connections",
            Case::Connect => "GET of 64 B on a new connection each, 64 at once",
            Case::TlsGet => "keep-alive GET of 64 B over TLS, 64 connections",
            Case::TlsFull => "full TLS handshake and a GET of 64 B, 64 at once",
            Case::TlsResumed => "resumed TLS handshake and a GET of 64 B, 64 at once",
            Case::Down1m => "downloads of 1 MiB, 16 connections",
            Case::Down100m => "downloads of 100 MiB, 4 connections",
            Case::Up100m => "uploads of 100 MiB, 4 connections",
            Case::EchoSmall1 => "echo of 64 B, 1 upgraded connection",
            Case::EchoSmall => "echo of 64 B, 64 upgraded connections",
            Case::EchoSmall1000 => "echo of 64 B, 1,000 upgraded connections",
            Case::EchoLarge1 => "echo of 16 KiB, 1 upgraded connection",
            Case::EchoLarge => "echo of 16 KiB, 64 upgraded connections",
            Case::EchoLarge1000 => "echo of 16 KiB, 1,000 upgraded connections",
            Case::Paced => "GETs of 64 B, 5,000 a second, whether answered or not",
            Case::Page => "a page load of JupyterLab, replayed, 16 browsers",
            Case::Notebook => "the messages of a notebook, replayed, 64 upgraded connections",
            Case::Idle => "idle upgraded connections",
            Case::IdleTls => "idle upgraded connections over TLS",
            Case::Stalled => "clients that stop reading a download of 1 GiB",
            Case::Routes1 => "keep-alive GET of 64 B with 1 route, 64 connections",
            Case::Routes100k => "keep-alive GET of 64 B with 100,000 routes, 64 connections",
            Case::Routes1m => "keep-alive GET of 64 B with 1,000,000 routes, 64 connections",
        }
    }

    pub fn unit(self) -> Unit {
        match self {
            Case::Connect | Case::TlsFull | Case::TlsResumed => Unit::Connection,
            Case::Down1m | Case::Down100m | Case::Up100m => Unit::Mebibyte,
            Case::EchoSmall1
            | Case::EchoSmall
            | Case::EchoSmall1000
            | Case::EchoLarge1
            | Case::EchoLarge
            | Case::EchoLarge1000
            | Case::Notebook => Unit::Message,
            Case::Page => Unit::Page,
            Case::Idle | Case::IdleTls => Unit::Held,
            Case::Stalled => Unit::Reader,
            _ => Unit::Request,
        }
    }

    /// How the load speaks TLS, where it does.
    pub fn handshake(self) -> Option<Handshake> {
        match self {
            Case::TlsGet | Case::TlsFull | Case::IdleTls => Some(Handshake::Full),
            Case::TlsResumed => Some(Handshake::Resumed),
            _ => None,
        }
    }

    /// How many routes Portico has, in the cases that are about them.
    pub fn routes(self) -> Option<usize> {
        match self {
            Case::Routes1 => Some(1),
            Case::Routes100k => Some(100_000),
            Case::Routes1m => Some(1_000_000),
            _ => None,
        }
    }

    pub fn connections(self) -> usize {
        match self {
            Case::EchoSmall1 | Case::EchoLarge1 => 1,
            Case::Down100m | Case::Up100m => 4,
            Case::Down1m | Case::Page => 16,
            Case::Stalled => 32,
            Case::Get512 => 512,
            Case::EchoSmall1000 | Case::EchoLarge1000 => 1_000,
            Case::Get4000 => 4_000,
            Case::Idle => 5_000,
            Case::IdleTls => 2_000,
            _ => 64,
        }
    }

    /// Makes the load of a case that is one.
    pub fn load(
        self,
        plan: &Plan,
        edge: impl FnMut(Edge) -> anyhow::Result<()>,
    ) -> anyhow::Result<Outcome> {
        let target = &plan.target;
        let small = vec![Step::small(target)];
        match self {
            Case::Connect => fetch::run(plan, small, Connections::Renewed, edge),
            Case::TlsFull => {
                fetch::run(plan, small, Connections::Shaken(HandshakeKind::Full), edge)
            }
            Case::TlsResumed => {
                fetch::run(plan, small, Connections::Shaken(HandshakeKind::Resumed), edge)
            }
            Case::Down1m => {
                let steps = vec![Step::filler(target, MEBIBYTE)];
                fetch::run(plan, steps, Connections::Kept, edge)
            }
            Case::Down100m => {
                let steps = vec![Step::filler(target, 100 * MEBIBYTE)];
                fetch::run(plan, steps, Connections::Kept, edge)
            }
            Case::Up100m => upload::run(plan, 100 * MEBIBYTE, edge),
            Case::EchoSmall1 | Case::EchoSmall | Case::EchoSmall1000 => {
                echo::run(plan, &[64], edge)
            }
            Case::EchoLarge1 | Case::EchoLarge | Case::EchoLarge1000 => {
                echo::run(plan, &[16 * 1024], edge)
            }
            Case::Paced => paced::run(plan, RATE, edge),
            Case::Page => {
                fetch::run(plan, Recording::jupyterlab().page(target), Connections::Kept, edge)
            }
            Case::Notebook => echo::run(plan, &Recording::jupyterlab().messages(), edge),
            _ => fetch::run(plan, small, Connections::Kept, edge),
        }
    }

    /// How many units an outcome has.
    pub fn units(self, outcome: &Outcome) -> f64 {
        match self.unit() {
            Unit::Mebibyte => outcome.bytes as f64 / MEBIBYTE as f64,
            // Also of pages that are half there when the window ends.
            Unit::Page => outcome.bytes as f64 / Recording::jupyterlab().page_bytes() as f64,
            _ => outcome.completed as f64,
        }
    }
}

/// By hand, so that `--help` tells what a case is.
impl clap::ValueEnum for Case {
    fn value_variants<'a>() -> &'a [Case] {
        &Case::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()).help(self.title()))
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_case_is_found_by_the_name_that_the_tables_have() {
        let mut names: Vec<_> = Case::ALL.iter().map(|case| case.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Case::ALL.len());
        for case in Case::ALL {
            assert_eq!(Case::from_str(case.name(), false), Ok(case));
        }
    }
}
