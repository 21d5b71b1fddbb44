//! The control group that the kernel programs are attached to: this process's own, or a child of
//! it made for the purpose where it would be the whole host. It must not know what is attached.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

const MEMBERS: &str = "cgroup.procs";
const CHILD_PREFIX: &str = "portico-";

/// A group that holds this process. Sockets belong to the group in which their creator was when it
/// made them, so it is entered before the first listener is bound.
#[derive(Debug)]
pub(super) struct Cgroup {
    path: PathBuf,
    entered: Option<Entered>,
}

/// What is undone at the end.
#[derive(Debug)]
struct Entered {
    parent: PathBuf,
    process: u32,
}

#[derive(Debug, Error)]
pub(super) enum CgroupError {
    #[error("no cgroup v2 is mounted that this process is in")]
    NoVersion2,
    #[error("{} cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("this process is in the root group, and {} cannot be entered", path.display())]
    Enter { path: PathBuf, source: io::Error },
}

impl Cgroup {
    /// The group of this process, or a new child if it is the root of the hierarchy.
    pub(super) fn ours() -> Result<Self, CgroupError> {
        let path = Self::located()?;
        if !is_root(&path) {
            return Ok(Self { path, entered: None });
        }
        remove_leftovers(&path);
        Self::enter(&path, std::process::id())
    }

    /// The path of the group of this process.
    pub(super) fn located() -> Result<PathBuf, CgroupError> {
        let text = |path: &str| {
            fs::read_to_string(path)
                .map_err(|source| CgroupError::Read { path: path.into(), source })
        };
        locate(&text("/proc/self/mountinfo")?, &text("/proc/self/cgroup")?)
            .ok_or(CgroupError::NoVersion2)
    }

    /// Makes a child of `parent` and moves a process there.
    fn enter(parent: &Path, process: u32) -> Result<Self, CgroupError> {
        let path = parent.join(format!("{CHILD_PREFIX}{process}"));
        let failed = |source| CgroupError::Enter { path: path.clone(), source };
        match fs::create_dir(&path) {
            // Of a process with the same number that was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(failed)?,
        }
        if let Err(error) = fs::write(path.join(MEMBERS), process.to_string()) {
            let _ = fs::remove_dir(&path);
            return Err(failed(error));
        }
        let entered = Some(Entered { parent: parent.to_owned(), process });
        Ok(Self { path, entered })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A group that somebody else keeps.
    #[cfg(test)]
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path, entered: None }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let Some(Entered { parent, process }) = &self.entered else { return };
        // Whatever stays behind is empty or ends with its processes; the next start removes it.
        let _ = fs::write(parent.join(MEMBERS), process.to_string());
        let _ = fs::remove_dir(&self.path);
    }
}

/// Only the true root lacks this file; that of a cgroup namespace, a container's, has it.
fn is_root(path: &Path) -> bool {
    !path.join("cgroup.events").exists()
}

/// Groups of processes that were killed. The kernel refuses to remove one that is not empty.
fn remove_leftovers(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(CHILD_PREFIX));
        let Some(process) = process.and_then(|process| process.parse::<u32>().ok()) else {
            continue;
        };
        if !Path::new("/proc").join(process.to_string()).exists() {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Where the version 2 group of this process lies, by `/proc/self/mountinfo` and
/// `/proc/self/cgroup`. Hosts with both versions mount it below a folder of its own.
fn locate(mounts: &str, membership: &str) -> Option<PathBuf> {
    let group = membership.lines().find_map(|line| line.strip_prefix("0::"))?;
    // What is mounted may be a part of the hierarchy; the group must lie in it.
    mounts.lines().filter_map(version_2_mount).find_map(|(root, place)| {
        let below = Path::new(group).strip_prefix(root).ok()?;
        let path = Path::new(&place).join(below);
        path.starts_with(&place).then_some(path)
    })
}

/// The part of the hierarchy and the place of a line about a cgroup v2 mount (proc(5)).
fn version_2_mount(line: &str) -> Option<(String, String)> {
    let (mount, filesystem) = line.split_once(" - ")?;
    if filesystem.split(' ').next() != Some("cgroup2") {
        return None;
    }
    let mut fields = mount.split(' ').skip(3);
    Some((unescaped(fields.next()?), unescaped(fields.next()?)))
}

/// The characters that would break a line's form are written in octal.
fn unescaped(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
";

    #[test]
    fn our_group_is_found_where_both_versions_are_mounted() {
        let membership = "9:name=systemd:/init\n0::/system.slice/portico.service\n";
        let expected = "/sys/fs/cgroup/unified/system.slice/portico.service";
        assert_eq!(locate(HYBRID, membership), Some(expected.into()));
        assert_eq!(locate(HYBRID, "0::/\n"), Some("/sys/fs/cgroup/unified".into()));
    }

    #[test]
    fn our_group_is_found_where_only_a_part_is_mounted() {
        let mounts = "41 31 0:38 /pods/a\\040b /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n";
        assert_eq!(locate(mounts, "0::/pods/a b/c\n"), Some("/sys/fs/cgroup/c".into()));
        assert_eq!(locate(mounts, "0::/elsewhere\n"), None);
    }

    #[test]
    fn version_1_alone_is_no_group() {
        let mounts = "36 31 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n";
        assert_eq!(locate(mounts, "0::/\n"), None);
        assert_eq!(locate(HYBRID, "4:devices:/\n"), None);
    }

    /// On the real hierarchy, with a process that stands for Portico.
    #[test]
    fn a_group_is_entered_left_and_removed() {
        let root = Cgroup::located().expect("cgroup v2 is mounted");
        let mut other = Command::new("sleep").arg("60").spawn().expect("a process");
        let group = Cgroup::enter(&root, other.id()).expect("needs root and cgroup v2");
        let path = group.path().to_owned();
        let members = fs::read_to_string(path.join(MEMBERS)).expect("members");
        assert_eq!(members.trim(), other.id().to_string());
        assert!(!is_root(&path), "a child is no root");
        drop(group);
        assert!(!path.exists(), "{} is still there", path.display());
        other.kill().expect("it still runs");
        other.wait().expect("it ends");
    }

    #[test]
    fn the_group_of_a_dead_process_is_removed_at_the_next_start() {
        let root = Cgroup::located().expect("cgroup v2 is mounted");
        let mut other = Command::new("true").spawn().expect("a process");
        other.wait().expect("it ends");
        let dead = root.join(format!("{CHILD_PREFIX}{}", other.id()));
        let live = root.join(format!("{CHILD_PREFIX}{}", std::process::id()));
        fs::create_dir(&dead).expect("needs root and cgroup v2");
        fs::create_dir(&live).expect("needs root and cgroup v2");
        remove_leftovers(&root);
        assert_eq!((dead.exists(), live.exists()), (false, true));
        fs::remove_dir(&live).expect("it is empty");
    }
}
