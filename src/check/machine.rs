//! What this machine allows: open files, io_uring, and programs in the kernel. Whether they can be
//! used is asked as at a start; who refuses them is read from where the kernel tells it.

use std::fs;
use std::sync::Arc;

use portico_proxy::prerequisites::{self, Missing};
use portico_proxy::{AccountingChoice, IoChoice};

use super::line::Line;
use super::{Plan, blocking};

const FILES: &str = "files";
const IO_URING: &str = "io_uring";
const EBPF: &str = "ebpf";

/// Fewer are a limit that somebody forgot to raise.
const CONNECTIONS_MIN: usize = 4_000;

pub async fn files(plan: Arc<Plan>) -> Vec<Line> {
    let fix = "raise it to 1048576: LimitNOFILE= in systemd, `ulimit -n` elsewhere";
    vec![match prerequisites::connections_max(plan.settings.proxy.workers) {
        Ok(max) if max < CONNECTIONS_MIN => {
            let detail = format!("there is room for {max} connections of clients");
            Line::warning(FILES, "open files", detail, fix)
        }
        Ok(max) => {
            Line::ok(FILES, "open files", format!("there is room for {max} connections of clients"))
        }
        Err(error) => Line::machine(FILES, "open files", error.to_string(), fix),
    }]
}

pub async fn io_uring(plan: Arc<Plan>) -> Vec<Line> {
    let choice = plan.settings.proxy.io;
    if choice == IoChoice::Epoll {
        return vec![Line::ok(IO_URING, "proxy.io", "not asked for: it is epoll")];
    }
    let what = kernel();
    let Some(probed) = blocking(prerequisites::io_uring).await else { return Vec::new() };
    let Err(Missing { reason, detail }) = probed else {
        return vec![Line::ok(IO_URING, what, "a worker's ring can be set up and used")];
    };
    let (who, fix) = who_refuses_rings(reason);
    let detail = if who.is_empty() { detail } else { format!("{who} refuses it ({detail})") };
    vec![match choice {
        IoChoice::Uring => {
            Line::machine(IO_URING, what, detail, format!("{fix}, or set proxy.io = \"auto\""))
        }
        IoChoice::Auto | IoChoice::Epoll => {
            Line::warning(IO_URING, what, format!("{detail}; epoll is used instead"), fix)
        }
    }]
}

/// Who it is as far as that can be told, and what to do.
fn who_refuses_rings(reason: &str) -> (&'static str, &'static str) {
    let disabled = read("/proc/sys/kernel/io_uring_disabled");
    let disabled = disabled.as_deref().map(str::trim).filter(|value| *value != "0");
    match reason {
        "eperm" if disabled.is_some() => (
            "the sysctl kernel.io_uring_disabled",
            "set it to 0 (`sysctl -w kernel.io_uring_disabled=0`, and in /etc/sysctl.d)",
        ),
        "eperm" if is_filtered() => (
            "a seccomp filter",
            "allow io_uring_setup, io_uring_enter and io_uring_register in the profile",
        ),
        "eperm" => ("a security module", "let its policy allow io_uring"),
        "enosys" if is_filtered() => (
            "a seccomp filter, or an old kernel,",
            "allow io_uring_setup, io_uring_enter and io_uring_register in the profile, or have \
             Linux 5.19",
        ),
        "enosys" | "einval" => ("this kernel", "have Linux 5.19 or newer; epoll serves the same"),
        "enomem" => (
            "the limit of locked memory, or the container's,",
            "raise `ulimit -l`, LimitMEMLOCK=, or the container's memory",
        ),
        _ => ("", "look at the kernel's log; epoll serves the same"),
    }
}

pub async fn ebpf(plan: Arc<Plan>) -> Vec<Line> {
    let choice = plan.settings.accounting.source;
    if matches!(choice, AccountingChoice::Off | AccountingChoice::TcpInfo) {
        let detail = format!("not asked for: it is {}", choice.as_str());
        return vec![Line::ok(EBPF, "accounting.source", detail)];
    }
    let what = kernel();
    let Some(probed) = blocking(prerequisites::ebpf).await else { return Vec::new() };
    let Err(Missing { reason, detail }) = probed else {
        return vec![Line::ok(EBPF, what, "the kernel lets Portico's programs count")];
    };
    let (who, fix) = who_refuses_programs(reason);
    let detail = format!("{who} ({detail})");
    vec![match choice {
        AccountingChoice::Ebpf => {
            let fix = format!("{fix}, or set accounting.source = \"auto\"");
            Line::machine(EBPF, what, detail, fix)
        }
        _ => Line::warning(EBPF, what, format!("{detail}; TCP_INFO is used instead"), fix),
    }]
}

fn who_refuses_programs(reason: &str) -> (&'static str, &'static str) {
    const CAPABILITIES: &str = "give it CAP_BPF and CAP_NET_ADMIN (AmbientCapabilities= in \
                                systemd, `--cap-add BPF --cap-add NET_ADMIN`)";
    match reason {
        "no_cap_bpf" if !has(CAP_BPF) && !has(CAP_SYS_ADMIN) => {
            ("the capability CAP_BPF is missing", CAPABILITIES)
        }
        "no_cap_bpf" if !has(CAP_NET_ADMIN) && !has(CAP_SYS_ADMIN) => {
            ("the capability CAP_NET_ADMIN is missing", CAPABILITIES)
        }
        "no_cap_bpf" if is_filtered() => {
            ("a seccomp filter refuses bpf()", "allow bpf in the seccomp profile")
        }
        "no_cap_bpf" => ("the kernel refuses it", CAPABILITIES),
        "no_cgroup_v2" => {
            ("no cgroup v2 is mounted", "mount it (mount -t cgroup2 none /sys/fs/cgroup/unified)")
        }
        "cgroup_not_writable" => (
            "this process is in the root cgroup and may make no other",
            "start it in one of its own: a systemd unit or a container has one",
        ),
        "kernel_too_old" => ("this kernel is too old", "have Linux 5.11 or newer"),
        _ => (
            "this kernel refuses it",
            "have a kernel with CONFIG_CGROUP_BPF, or leave it: the figures are the same",
        ),
    }
}

/// Their numbers in linux/capability.h.
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_BPF: u32 = 39;

/// Whether this process has a capability in effect (`CapEff`, proc(5)).
fn has(capability: u32) -> bool {
    let effective = status("CapEff:").and_then(|hex| u64::from_str_radix(&hex, 16).ok());
    effective.is_some_and(|set| set & (1 << capability) != 0)
}

/// By a seccomp filter, as container runtimes do.
fn is_filtered() -> bool {
    status("Seccomp:").is_some_and(|mode| mode == "2")
}

/// A field of this process's status.
fn status(name: &str) -> Option<String> {
    let status = read("/proc/self/status")?;
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().to_owned())
}

fn kernel() -> String {
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}", release.trim())
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}
