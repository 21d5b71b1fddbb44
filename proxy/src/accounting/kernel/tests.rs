//! On the real kernel: needs root, CAP_BPF and cgroup v2, and fails without. Each test has a group
//! of its own, which its thread enters, so that it counts its own sockets alone.

mod closing;
mod keys;
mod rights;
mod world;
