//! Machines that refuse: io_uring by seccomp, programs by a missing capability, files and ports.

use std::collections::BTreeMap;
use std::net::TcpListener;

use nix::libc::{ENOMEM, ENOSYS, EPERM, SYS_bpf, SYS_io_uring_setup};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use super::good;

/// Runs `test` on a thread whose children get `errno` for a system call.
fn refusing(call: i64, errno: i32, test: impl FnOnce() + Send) {
    let filter = SeccompFilter::new(
        BTreeMap::from([(call, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(errno.unsigned_abs()),
        std::env::consts::ARCH.try_into().expect("a known processor"),
    );
    let program = BpfProgram::try_from(filter.expect("a filter")).expect("a short program");
    let filtered = move || {
        seccompiler::apply_filter(&program).expect("a thread may restrict itself");
        test();
    };
    let ended = std::thread::scope(|scope| scope.spawn(filtered).join());
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn who_refuses_io_uring_is_told() {
    for (errno, cause, fix) in [
        (EPERM, "a seccomp filter refuses it", "io_uring_setup, io_uring_enter"),
        (ENOSYS, "a seccomp filter, or an old kernel", "io_uring_setup"),
        (ENOMEM, "the limit of locked memory", "ulimit -l"),
    ] {
        refusing(SYS_io_uring_setup, errno, || {
            let found = good().expect("io_uring", "warning", cause, fix);
            assert_eq!(found.code, Some(0), "epoll serves the same");
        });
    }
    refusing(SYS_io_uring_setup, EPERM, || {
        let asked = good().set("PORTICO_PROXY__IO", "uring");
        let found = asked.expect("io_uring", "failed", "seccomp", "proxy.io = \"auto\"");
        assert_eq!(found.code, Some(69));
        good().set("PORTICO_PROXY__IO", "epoll").check().ok("io_uring");
    });
}

#[test]
fn who_refuses_programs_in_the_kernel_is_told() {
    const WITHOUT: &str = "setpriv --bounding-set=-bpf,-sys_admin --inh-caps=-bpf,-sys_admin --";
    let without = || good().launched_by(&words(WITHOUT));
    let found = without().expect("ebpf", "warning", "CAP_BPF is missing", "AmbientCapabilities");
    assert_eq!(found.code, Some(0), "TCP_INFO serves the same");
    let asked = without().set("PORTICO_ACCOUNTING__SOURCE", "ebpf");
    let found = asked.expect("ebpf", "failed", "CAP_BPF", "accounting.source = \"auto\"");
    assert_eq!(found.code, Some(69));
    const WITHOUT_NET: &str =
        "setpriv --bounding-set=-net_admin,-sys_admin --inh-caps=-net_admin,-sys_admin --";
    let without = good().launched_by(&words(WITHOUT_NET));
    without.expect("ebpf", "warning", "CAP_NET_ADMIN is missing", "CAP_NET_ADMIN");
    refusing(SYS_bpf, EPERM, || {
        good().expect("ebpf", "warning", "a seccomp filter refuses bpf()", "allow bpf");
    });
    good().set("PORTICO_ACCOUNTING__SOURCE", "tcp_info").check().ok("ebpf");
}

#[test]
fn few_files_are_told() {
    let limited = |files: &str| {
        let few = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
        good().launched_by(&["/bin/sh".to_owned(), "-c".to_owned(), few])
    };
    let found = limited("200").expect("files", "failed", "leaves no room", "LimitNOFILE=");
    assert_eq!(found.code, Some(69));
    limited("2048").expect("files", "warning", "there is room for", "LimitNOFILE=");
}

#[test]
fn ports_that_cannot_be_had_are_told() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().map(|address| (taken, address)).expect("an address");
    let found = good().set("PORTICO_PROXY__HTTP", taken.1.to_string()).check();
    found.expect("ports", "failed", "proxy.http", "ss -ltnp");
    assert_eq!(found.code, Some(64));
    // No machine has an address of TEST-NET-1 (RFC 5737).
    let foreign = good().set("PORTICO_CONTROL__LISTEN", "192.0.2.1:7080");
    foreign.expect("ports", "failed", "control.listen", "ip address");
    let twice = good()
        .set("PORTICO_MANAGEMENT__LISTEN", "127.0.0.1:7444")
        .set("PORTICO_CONTROL__LISTEN", "127.0.0.1:7444");
    twice.expect("ports", "failed", "is taken by", "another port");
    let low = good().set("PORTICO_PROXY__HTTP", "127.0.0.1:81").launched_by(&words(
        "setpriv --bounding-set=-net_bind_service \
            --inh-caps=-net_bind_service --",
    ));
    low.expect("ports", "failed", "proxy.http", "CAP_NET_BIND_SERVICE");
}
