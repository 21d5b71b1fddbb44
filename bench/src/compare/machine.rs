//! The facts about this machine and checkout without which a figure means nothing.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::SystemTime;

use super::kind::Kind;

pub struct Facts {
    pub date: String,
    pub kernel: String,
    pub processor: String,
    pub cores: usize,
    /// Short hash, and whether the tree differs from it.
    pub commit: String,
    /// How Portico was built.
    pub flags: String,
    /// Name and what the program says of its version.
    pub versions: Vec<(&'static str, String)>,
}

/// For a report that is no comparison.
pub fn line(command: &str) -> anyhow::Result<String> {
    let today = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let (date, commit, kernel) = (&today[..10], commit(), kernel()?);
    Ok(format!("{date}, commit {commit}, Linux {kernel}, `{command}`."))
}

fn kernel() -> anyhow::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned())
}

pub fn facts(versions: &BTreeMap<Kind, String>) -> anyhow::Result<Facts> {
    let kernel = kernel()?;
    let described = fs::read_to_string("/proc/cpuinfo")?;
    let processor = described
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned());
    let today = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    Ok(Facts {
        date: today[..10].to_owned(),
        kernel,
        processor,
        cores: described.lines().filter(|line| line.starts_with("processor")).count(),
        commit: commit(),
        flags: flags(),
        versions: versions.iter().map(|(kind, said)| (kind.name(), said.clone())).collect(),
    })
}

/// The profile of the workspace's Cargo.toml, and what the environment adds.
fn flags() -> String {
    let said = |program: &str| {
        let output = Command::new(program).arg("--version").output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let compiler = said("rustc").unwrap_or_else(|| "an unknown rustc".into());
    let more = std::env::var("RUSTFLAGS").unwrap_or_default();
    let more = if more.is_empty() { "no RUSTFLAGS".into() } else { format!("RUSTFLAGS `{more}`") };
    format!("{compiler}; release profile: fat LTO, one codegen unit; {more}")
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(hash) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".into() };
    match git(&["status", "--porcelain"]) {
        Some(changes) if changes.is_empty() => hash,
        _ => format!("{hash}, with uncommitted changes"),
    }
}
