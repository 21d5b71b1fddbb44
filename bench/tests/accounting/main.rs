//! What Portico counts of its connections, against what both ends of them know: to the byte, by the
//! kernel's program and by asking sockets, on both io back ends; and when it takes a user for away.
//! As root, with a kernel that lets programs count, and after `make tools`; where that is not so
//! these tests fail.

mod ends;
mod exact;
mod durable;
mod quotas;
mod without;
mod idle;

use portico_bench::world::{Io, Options};

/// A Portico that counts by `source` and tells every second.
fn options(io: Io, source: &str) -> Options {
    Options::new(env!("CARGO_BIN_EXE_portico"), io)
        .set("PORTICO_ACCOUNTING__SOURCE", source)
        .set("PORTICO_ACCOUNTING__INTERVAL", "1s")
}

const IN: [Io; 2] = [Io::Uring, Io::Epoll];
const SOURCES: [&str; 2] = ["ebpf", "tcp_info"];
