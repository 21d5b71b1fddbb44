//! A real Redis 7 on a port and in a directory of its own, which can be killed, started again with
//! what it kept, or started empty.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::eventually;
use super::process::Process;
use crate::port::free_address;

#[derive(Debug)]
pub struct Redis {
    pub address: SocketAddr,
    process: Option<Process>,
    directory: TempDir,
    more: Vec<String>,
}

impl Redis {
    /// It keeps what it is told on disk, at once, so that a kill loses nothing.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With more arguments, which go before those that it always has.
    pub fn start_with(more: &[&str]) -> Self {
        loop {
            let address = free_address();
            let directory = TempDir::new().expect("a temporary directory");
            let more = more.iter().map(|&word| word.to_owned()).collect();
            let mut redis = Self { address, process: None, directory, more };
            redis.restart();
            if redis.is_alone() {
                return redis;
            }
        }
    }

    /// Somebody else may have taken the port in between, perhaps the Redis of another test: ours
    /// has ended by itself then, and it is the other that answers.
    fn is_alone(&mut self) -> bool {
        std::thread::sleep(Duration::from_millis(50));
        self.process.as_mut().is_some_and(|process| process.exited().is_none())
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// With what it kept.
    pub fn restart(&mut self) {
        self.kill();
        let directory = self.directory.path();
        let arguments = [
            "--port",
            &self.address.port().to_string(),
            "--bind",
            "127.0.0.1",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--save",
            "",
        ]
        .map(str::to_owned);
        let arguments: Vec<_> = arguments.into_iter().chain(self.more.clone()).collect();
        let process = Process::start("redis", &program(), &arguments, &[], directory);
        self.process = Some(process);
        eventually("redis answers", || TcpStream::connect(self.address).ok());
    }

    /// As if its disk had been exchanged.
    pub fn restart_empty(&mut self) {
        self.kill();
        let kept = self.directory.path().join("appendonlydir");
        std::fs::remove_dir_all(kept).expect("redis keeps its data in this directory");
        self.restart();
    }
}

fn program() -> PathBuf {
    let path = Path::new("/usr/bin/redis-server");
    assert!(path.exists(), "redis-server is missing: run `make tools`");
    path.to_owned()
}
