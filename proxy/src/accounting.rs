//! What sessions use, counted: in the kernel where it lets us (`kernel`, attached to a `cgroup`).
//! It must not decide traffic: whatever cannot be counted is said and passes.

mod kernel;
mod cgroup;
