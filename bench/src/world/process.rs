//! A process that a test started: its output is kept in a file, shown when the test fails, and it
//! ends with the test, also when the test is killed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::kill;
use nix::unistd::Pid;

pub use nix::sys::signal::Signal;

#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    end: End,
}

/// How to end a process that is still there when its owner goes.
#[derive(Debug, Clone, Copy)]
enum End {
    Kill,
    /// Asked first, because it has children of its own to end.
    Ask,
}

impl Process {
    /// `settings` are environment variables, besides the few that are taken over from the test's
    /// own environment: a setting there must not change what a test sees.
    pub fn start(
        name: &str,
        program: &Path,
        arguments: &[String],
        settings: &[(String, String)],
        directory: &Path,
    ) -> Self {
        let stdio = [Stdio::null(), created(&output(name, directory)).into()];
        Self::launch(name, program, arguments, settings, directory, stdio)
    }

    /// The same for a program that a test talks to: its stdout is the test's to read.
    pub fn start_talking(
        name: &str,
        program: &Path,
        arguments: &[String],
        settings: &[(String, String)],
        directory: &Path,
    ) -> (Self, ChildStdin, ChildStdout) {
        let stdio = [Stdio::piped(), Stdio::piped()];
        let mut process = Self::launch(name, program, arguments, settings, directory, stdio);
        let stdin = process.child.stdin.take().expect("a pipe was asked for");
        let stdout = process.child.stdout.take().expect("a pipe was asked for");
        (process, stdin, stdout)
    }

    fn launch(
        name: &str,
        program: &Path,
        arguments: &[String],
        settings: &[(String, String)],
        directory: &Path,
        [stdin, stdout]: [Stdio; 2],
    ) -> Self {
        let stderr = directory.join(format!("{name}.err"));
        // The kernel ends it when the thread that started it ends: the test, however that goes.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(arguments);
        command.env_clear();
        for name in ["PATH", "HOME", "LANG", "RUST_BACKTRACE", "LD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(settings.iter().map(|(name, value)| (name, value)));
        command.current_dir(directory).stdin(stdin).stdout(stdout).stderr(created(&stderr));
        let child = command.spawn().unwrap_or_else(|e| panic!("{}: {e}", program.display()));
        let stdout = output(name, directory);
        Self { name: name.to_owned(), child, stdout, stderr, end: End::Kill }
    }

    /// It is sent SIGTERM first when dropped, for a program with processes of its own.
    #[must_use]
    pub fn asked_to_end(mut self) -> Self {
        self.end = End::Ask;
        self
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id is an i32"))
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("a child can be signalled");
    }

    pub fn kill(&mut self) {
        if self.exited().is_some() {
            return;
        }
        self.signal(Signal::SIGKILL);
        self.ended();
    }

    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits for its end, and fails when that takes too long.
    pub fn ended(&mut self) -> ExitStatus {
        super::eventually("the process ends", || self.exited())
    }

    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.stdout).unwrap_or_default()).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.stderr).unwrap_or_default()).into_owned()
    }

    /// Resident memory in bytes (`VmRSS`).
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))
            .expect("a running process has a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
        kibibytes.map_or(0, |k: u64| k * 1024)
    }
}

fn output(name: &str, directory: &Path) -> PathBuf {
    directory.join(format!("{name}.out"))
}

fn created(path: &Path) -> File {
    File::create(path).expect("the output file can be created")
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut running = matches!(self.child.try_wait(), Ok(None));
        if let (true, End::Ask) = (running, self.end) {
            let _ = kill(self.pid(), Signal::SIGTERM);
            let deadline = Instant::now() + Duration::from_secs(5);
            while running && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
                running = matches!(self.child.try_wait(), Ok(None));
            }
        }
        if running {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            let lines = self.stderr();
            let tail: Vec<_> = lines.lines().rev().take(60).collect();
            eprintln!("--- the last lines of {} ---", self.name);
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}
