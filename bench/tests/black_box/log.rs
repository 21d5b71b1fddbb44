//! The log's reader may stall or leave: Portico goes on, counts what is lost, and writes the last
//! lines before it ends.

use std::fs::OpenOptions;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use portico_bench::world::World;
use portico_bench::world::process::Signal;
use portico_bench::world::upstream::Upstream;
use tempfile::TempDir;

use crate::{Io, options, world};

on_both_io!(
    a_log_that_nobody_reads_stops_no_worker,
    a_log_whose_reader_has_left_stops_nothing,
    the_last_lines_are_written_before_the_end,
);

/// A world whose standard error is a pipe.
fn world_with_pipe(io: Io, pipe: &Path) -> World {
    let made = Command::new("mkfifo").arg(pipe).status().expect("mkfifo can be run");
    assert!(made.success());
    let redirect = format!("exec \"$@\" 2<>'{}'", pipe.display());
    World::start(options(io).launched_by(&["sh", "-c", &redirect, "sh"]))
}

/// Requests that are refused: each is a line of the log.
#[track_caller]
fn refuse(world: &World, count: usize) {
    let began = Instant::now();
    for _ in 0..count {
        let mut client = world.client();
        assert_eq!(client.exchange("GET / HTTP/1.1\r\n\r\n").status, 400);
    }
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

fn a_log_that_nobody_reads_stops_no_worker(io: Io) {
    let directory = TempDir::new().expect("a temporary directory");
    let pipe = directory.path().join("log");
    let mut world = world_with_pipe(io, &pipe);
    // The pipe takes 64 KiB, the queue some 2,000 lines; what comes then is lost.
    refuse(&world, 4_000);
    assert!(world.metric("portico_log_lines_dropped_total", "") > 0.0, "{}", world.metrics());
    let upstream = Upstream::echo();
    assert_eq!(world.client().get(&world.session(&upstream).host, "/").status, 200);
    world.signal(Signal::SIGTERM);
    assert_eq!(world.process.ended().code(), Some(0));
}

fn a_log_whose_reader_has_left_stops_nothing(io: Io) {
    let directory = TempDir::new().expect("a temporary directory");
    let pipe = directory.path().join("log");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo can be run");
    assert!(made.success());
    // Opened both ways, so that opening it for writing does not wait for a reader.
    let mut reader = OpenOptions::new().read(true).write(true).open(&pipe).expect("a pipe");
    let redirect = format!("exec \"$@\" 2>'{}'", pipe.display());
    let world = World::start(options(io).launched_by(&["sh", "-c", &redirect, "sh"]));
    let mut first = [0; 16];
    reader.read_exact(&mut first).expect("the log has begun");
    drop(reader);
    refuse(&world, 10);
    let upstream = Upstream::echo();
    assert_eq!(world.client().get(&world.session(&upstream).host, "/").status, 200);
}

fn the_last_lines_are_written_before_the_end(io: Io) {
    let mut world = world(io);
    refuse(&world, 500);
    world.signal(Signal::SIGTERM);
    assert_eq!(world.process.ended().code(), Some(0));
    let log = world.process.stderr();
    assert!(log.lines().last().is_some_and(|line| line.contains("portico has ended")), "{log}");
    assert_eq!(log.lines().filter(|line| line.contains("request refused")).count(), 500);
}
