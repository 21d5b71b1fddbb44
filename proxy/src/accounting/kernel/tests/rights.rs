//! What the process may do, and what is said when that is too little: in processes of their own,
//! because capabilities and groups are those of a process.

use std::fs;
use std::os::fd::AsFd;
use std::process::{Command, Output};

use super::super::{Kernel, Reason, Unavailable};
use super::world::{HERE, Pair, until};
use crate::accounting::cgroup::Cgroup;
use crate::io;

/// Runs one of these tests with these capabilities and no others.
fn run(test: &str, capabilities: &str) -> Output {
    let binary = std::env::current_exe().expect("this binary");
    Command::new("setpriv")
        .arg("--inh-caps=-all")
        // The first is for the group of the test, which it would not make in a container.
        .arg(format!("--bounding-set=-all,+dac_override,{capabilities}"))
        .arg(binary)
        .args(["--exact", "--include-ignored", &format!("accounting::kernel::tests::{test}")])
        .output()
        .expect("setpriv, of util-linux")
}

#[track_caller]
fn assert_passed(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn two_capabilities_are_enough() {
    let test = "keys::the_first_tag_is_given_all_since_the_connection_began";
    assert_passed(&run(test, "+bpf,+net_admin"));
}

#[test]
fn a_missing_capability_is_named() {
    for capability in ["+bpf", "+net_admin"] {
        assert_passed(&run("rights::it_cannot_load", capability));
    }
}

#[test]
fn the_process_enters_a_group_of_its_own_and_leaves_it() {
    assert_passed(&run("rights::it_loads", "+bpf,+net_admin"));
}

#[test]
#[ignore = "started by another test, without a capability"]
fn it_cannot_load() {
    let Err(error) = Kernel::load(16) else { panic!("it may load") };
    assert_eq!(error.reason, Reason::NoCapBpf, "{error}");
    assert!(error.to_string().contains("CAP_BPF") && error.detail.len() < 200, "{error}");
}

#[test]
#[ignore = "started by another test, in a process of its own"]
fn it_loads() {
    let before = Cgroup::located().expect("cgroup v2 is mounted");
    let kernel = Kernel::load(16).expect("two capabilities are enough");
    let during = Cgroup::located().expect("cgroup v2 is mounted");
    let is_root = !before.join("cgroup.events").exists();
    assert_eq!(during != before, is_root, "{}", during.display());
    kernel.add(HERE).expect("room");
    let mut pair = Pair::new();
    io::tag(pair.here.as_fd(), &kernel.tag(HERE, 0, 0)).expect("it is counted");
    pair.exchange(1, 2);
    drop(pair);
    until(|| kernel.read(HERE).expect("added"), |tally| (tally.bytes_in, tally.closed) == (1, 1));
    drop(kernel);
    assert_eq!(Cgroup::located().expect("cgroup v2 is mounted"), before);
    assert!(!is_root || fs::metadata(&during).is_err(), "{} is left", during.display());
}

#[test]
fn a_failure_says_its_fix() {
    let error = Unavailable { reason: Reason::NoCapBpf, detail: "EPERM".into() };
    assert!(error.to_string().contains("CAP_BPF"), "{error}");
    assert_eq!(error.reason.as_str(), "no_cap_bpf");
}
