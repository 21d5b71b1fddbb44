//! What /proc says about a process and its children, and a guard that ends a process tree.
//! It must not know what the processes are for.

use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::load::kernel::{self, Ending};

/// `USER_HZ`: the unit of times in /proc is a hundredth of a second on every architecture that
/// Portico runs on, whatever the kernel's own tick.
const TICK: Duration = Duration::from_millis(10);

/// A program that was asked to end has this long before it is ended by force.
const ENDING_PATIENCE: Duration = Duration::from_secs(3);

/// CPU time of `pid` and of all its living descendants, user and system.
pub fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let mut total = Duration::ZERO;
    for member in tree(pid)? {
        let stat = match fs::read_to_string(format!("/proc/{member}/stat")) {
            Ok(stat) => stat,
            // It has ended since it was listed, and is no living descendant any more.
            Err(_) if member != pid => continue,
            Err(error) => return Err(error).context(format!("process {pid} is gone")),
        };
        let fields = fields_after_name(&stat);
        // proc_pid_stat(5): utime and stime are fields 14 and 15; the state is field 3.
        let tick = |field: usize| fields.get(field - 3).and_then(|ticks| ticks.parse::<u32>().ok());
        let (user, system) = tick(14).zip(tick(15)).context("no times in /proc/PID/stat")?;
        total += TICK * user + TICK * system;
    }
    Ok(total)
}

/// CPU time that the whole machine has used, all programs and interrupts, and what a hypervisor
/// withheld: from the first line of /proc/stat.
pub fn machine_cpu_time() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    // proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal; guests are in user.
    let ticks: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|ticks| ticks.parse().ok())
        .collect();
    ensure!(ticks.len() == 8, "no times in /proc/stat");
    let idle = ticks[3] + ticks[4];
    let busy = ticks.iter().sum::<u64>() - idle;
    Ok(Duration::from_millis(busy * TICK.as_millis() as u64))
}

/// Resident memory of `pid` and of all its living descendants.
pub fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let mut total = 0;
    for member in tree(pid)? {
        let status = fs::read_to_string(format!("/proc/{member}/status")).unwrap_or_default();
        let kibibytes: Option<u64> = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok());
        match kibibytes {
            Some(kibibytes) => total += kibibytes * 1024,
            // As above; a process that was not waited for yet has no memory either.
            None if member != pid => {}
            None => bail!("process {pid} is gone or has no memory"),
        }
    }
    Ok(total)
}

/// `pid` first, then every descendant.
fn tree(pid: u32) -> anyhow::Result<Vec<u32>> {
    ensure!(fs::exists(format!("/proc/{pid}"))?, "process {pid} is gone");
    let mut found = vec![pid];
    let mut next = 0;
    while next < found.len() {
        // CONFIG_PROC_CHILDREN is on in every distribution's kernel; each thread lists its own.
        let threads = fs::read_dir(format!("/proc/{}/task", found[next]));
        for thread in threads.into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
        next += 1;
    }
    Ok(found)
}

/// The name is in parentheses and may hold spaces and parentheses itself.
fn fields_after_name(stat: &str) -> Vec<&str> {
    stat.rsplit_once(')').map_or(stat, |(_, rest)| rest).split_whitespace().collect()
}

/// A started program that does not outlive its guard, nor do its children.
pub struct Running {
    child: Child,
}

impl Running {
    pub fn new(child: Child) -> Running {
        Running { child }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `Some` with the exit status once the program has ended by itself.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Running {
    /// Asked first, because nginx then ends and reaps its worker itself; what is left of the tree
    /// is ended by force.
    fn drop(&mut self) {
        if self.ended().is_some() {
            return;
        }
        // Not yet waited for, so the number still names our child and no other process.
        let members: Vec<_> = tree(self.pid())
            .unwrap_or_default()
            .into_iter()
            .filter_map(|pid| Some((pid, start_time(pid)?)))
            .collect();
        kernel::end(self.pid(), Ending::Asked);
        let deadline = Instant::now() + ENDING_PATIENCE;
        while self.ended().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        for (pid, started) in members {
            // A number that was given to another process since then has another start time.
            if start_time(pid) == Some(started) {
                kernel::end(pid, Ending::Forced);
            }
        }
        let _ = self.child.wait();
    }
}

/// In ticks since boot: with the number, it names a process for ever (field 22).
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    fields_after_name(&stat).get(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn our_own_times_and_memory_are_read() {
        let pid = std::process::id();
        let deadline = Instant::now() + Duration::from_secs(10);
        while cpu_time(pid).unwrap() < TICK * 3 {
            assert!(Instant::now() < deadline, "a busy loop used no CPU");
        }
        assert!(resident_bytes(pid).unwrap() > 100_000);
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        assert_eq!(fields_after_name("7 (a) b) c) S 1 2"), ["S", "1", "2"]);
    }

    #[test]
    fn a_guard_ends_the_whole_tree() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 600 & wait"]).stdout(Stdio::null());
        let running = Running::new(shell.spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut pids = Vec::new();
        while pids.len() < 2 {
            assert!(Instant::now() < deadline, "the shell started nothing");
            pids = tree(running.pid()).unwrap();
        }
        drop(running);
        for pid in pids {
            while fs::exists(format!("/proc/{pid}")).unwrap() && !is_zombie(pid) {
                assert!(Instant::now() < deadline, "process {pid} still runs");
            }
        }
    }

    fn is_zombie(pid: u32) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        fields_after_name(&stat).first().is_none_or(|state| *state == "Z")
    }
}
