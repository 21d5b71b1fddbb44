//! Which io back end is used where io_uring is refused, as container runtimes do by a seccomp
//! filter: the same filter is put on the test's thread here, and Portico inherits it.

use std::collections::BTreeMap;
use std::path::Path;

use nix::libc::{EINVAL, EMFILE, ENOMEM, ENOSYS, EPERM, SYS_io_uring_setup};
use portico_bench::world::process::Process;
use portico_bench::world::upstream::Upstream;
use portico_bench::world::{CONNECT_HOST, World, eventually};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use tempfile::TempDir;

use crate::{Io, options, world};

on_both_io!(each_worker_has_a_core);

/// Rings of more entries than this are refused: small ones, or none at all.
#[derive(Clone, Copy)]
struct Allowed(u64);

const NONE: Allowed = Allowed(0);
/// What a probe might ask for, and less than a worker does.
const SMALL: Allowed = Allowed(64);

/// Runs `test` on a thread whose children get `errno` for every larger ring.
fn refusing(errno: i32, allowed: Allowed, test: impl FnOnce() + Send) {
    let larger = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Gt, allowed.0);
    let rule = SeccompRule::new(vec![larger.expect("a condition")]).expect("a rule");
    let filter = SeccompFilter::new(
        BTreeMap::from([(SYS_io_uring_setup, vec![rule])]),
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

#[track_caller]
fn expect_epoll(reason: &str) {
    let world = World::start(options(Io::Epoll).set("PORTICO_PROXY__IO", "auto"));
    let labels = format!("backend=\"epoll\",reason=\"{reason}\"");
    assert_eq!(world.metric("portico_io_backend", &labels), 1.0, "{}", world.metrics());
    assert_eq!(world.metric("portico_io_backend", ""), 1.0, "{}", world.metrics());
    // The log has a thread of its own, which may be a little late.
    let log = eventually("the log says so", || {
        let log = world.process.stderr();
        log.contains("portico listens").then_some(log)
    });
    let lines: Vec<_> = log.lines().filter(|line| line.contains("falling back")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("WARN") && lines[0].contains(reason), "{}", lines[0]);
    let upstream = Upstream::echo();
    assert_eq!(world.client().get(&world.session(&upstream).host, "/").status, 200);
}

#[test]
fn auto_falls_back_where_rings_are_forbidden() {
    refusing(EPERM, NONE, || expect_epoll("eperm"));
}

#[test]
fn auto_falls_back_where_there_are_no_rings() {
    refusing(ENOSYS, NONE, || expect_epoll("enosys"));
}

#[test]
fn auto_falls_back_where_only_small_rings_get_memory() {
    refusing(ENOMEM, SMALL, || expect_epoll("enomem"));
}

#[test]
fn auto_falls_back_for_a_reason_that_nobody_thought_of() {
    refusing(EMFILE, SMALL, || expect_epoll("other"));
}

#[test]
fn auto_falls_back_where_the_kernel_is_too_old() {
    refusing(EINVAL, NONE, || expect_epoll("einval"));
}

#[test]
fn what_was_asked_for_is_had_or_not_started() {
    for (errno, allowed) in [(EPERM, NONE), (ENOMEM, SMALL)] {
        refusing(errno, allowed, || {
            let directory = TempDir::new().expect("a temporary directory");
            let store = format!("embedded:{}", directory.path().display());
            let settings = [
                ("PORTICO_CONNECT_URL", format!("https://{CONNECT_HOST}")),
                ("PORTICO_PROXY__HTTP", "127.0.0.1:0".to_owned()),
                ("PORTICO_PROXY__IO", "uring".to_owned()),
                ("PORTICO_CONTROL__LISTEN", "127.0.0.1:0".to_owned()),
                ("PORTICO_MANAGEMENT__LISTEN", "127.0.0.1:0".to_owned()),
                ("PORTICO_STORE__URL", store),
            ];
            let settings = settings.map(|(name, value)| (name.to_owned(), value));
            let binary = Path::new(env!("CARGO_BIN_EXE_portico"));
            let arguments = ["serve".to_owned()];
            let mut process =
                Process::start("portico", binary, &arguments, &settings, directory.path());
            assert_eq!(process.ended().code(), Some(69), "{}", process.stderr());
            let log = process.stderr();
            assert!(log.contains("io_uring was asked for"), "{log}");
        });
    }
}

fn each_worker_has_a_core(io: Io) {
    let world = world(io);
    let tasks = format!("/proc/{}/task", world.process.id());
    let mut cores = Vec::new();
    for task in std::fs::read_dir(tasks).expect("a running process has tasks") {
        let status = task.expect("a task").path().join("status");
        // A thread may end meanwhile.
        let Ok(status) = std::fs::read_to_string(status) else { continue };
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.map(|line| line.trim().to_owned()).unwrap_or_default()
        };
        if value("Name:").starts_with("worker-") {
            cores.push(value("Cpus_allowed_list:"));
        }
    }
    assert_eq!(cores.len(), 2, "{cores:?}");
    assert!(cores.iter().all(|list| list.parse::<usize>().is_ok()), "more than one: {cores:?}");
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) {
        assert_ne!(cores[0], cores[1], "both on one");
    }
}
