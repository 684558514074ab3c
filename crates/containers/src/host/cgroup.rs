//! Memory quotas by control groups, version 2 or 1, where this process may make them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Groups of ours are named `umpire-PID-START-N`: the gateway's process id, when that process
/// started (ids are used again), and a number.
const PREFIX: &str = "umpire-";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// The place where this process makes its control groups.
#[derive(Debug)]
pub(super) struct CgroupRoot {
    version: Version,
    folder: PathBuf,
    owner: String,
    next: AtomicU64,
}

/// One container's control group; dropping it removes it, once its processes have ended.
#[derive(Debug)]
pub(super) struct Cgroup {
    version: Version,
    folder: PathBuf,
}

impl CgroupRoot {
    /// Finds where groups with a memory limit can be made, removes what dead gateways left there,
    /// and tries one. `Err` says why there is no such place.
    pub(super) fn probe() -> Result<CgroupRoot, String> {
        let text = |path: &str| fs::read_to_string(path).map_err(|e| format!("{path}: {e}"));
        let (groups, mounts) = (text("/proc/self/cgroup")?, text("/proc/self/mountinfo")?);
        let owner = match start_time(std::process::id()) {
            Some(start) => format!("{PREFIX}{}-{start}-", std::process::id()),
            None => return Err("/proc/self/stat cannot be read".to_owned()),
        };
        let mut reasons = Vec::new();
        for version in [Version::V2, Version::V1] {
            let Some(folder) = find_folder(version, &groups, &mounts) else {
                reasons.push(format!("{version:?}: not mounted"));
                continue;
            };
            let root = CgroupRoot {
                version,
                folder,
                owner: owner.clone(),
                next: AtomicU64::new(0),
            };
            match root.prepare() {
                Ok(()) => return Ok(root),
                Err(error) => reasons.push(format!("{version:?}: {error}")),
            }
        }
        Err(reasons.join("; "))
    }

    fn prepare(&self) -> io::Result<()> {
        if self.version == Version::V2 {
            self.delegate_memory()?;
        }
        self.sweep();
        // A group that can be made, limited and removed shows that the next can.
        self.create(super::options::MIN_QUOTA_MB << 20)?.remove()
    }

    /// Version 2 gives the memory controller only to groups whose parent hands it on, and a
    /// parent with processes of its own cannot. Where this process is alone in its group (a
    /// systemd unit with `Delegate=yes`, a container's root) it moves into a leaf first.
    fn delegate_memory(&self) -> io::Result<()> {
        let control = self.folder.join("cgroup.subtree_control");
        let has_memory = |text: String| text.split_whitespace().any(|word| word == "memory");
        if has_memory(fs::read_to_string(&control)?) {
            return Ok(());
        }
        if !has_memory(fs::read_to_string(self.folder.join("cgroup.controllers"))?) {
            return Err(io::Error::other("there is no memory controller"));
        }
        if fs::write(&control, "+memory").is_ok() {
            return Ok(());
        }
        let own = std::process::id().to_string();
        let members = fs::read_to_string(self.folder.join("cgroup.procs"))?;
        if members.split_whitespace().any(|pid| pid != own) {
            return Err(io::Error::other("the group has other processes"));
        }
        let leaf = self.folder.join("umpire-gateway");
        match fs::create_dir(&leaf) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        fs::write(leaf.join("cgroup.procs"), own)?;
        fs::write(&control, "+memory")
    }

    /// Removes the groups of gateways that are no more, with whatever still runs in them.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some((pid, start)) = owner_of(&name) else {
                continue;
            };
            if start_time(pid) == Some(start) {
                continue;
            }
            let group = Cgroup {
                version: self.version,
                folder: entry.path(),
            };
            group.kill_all();
            // Dropping the group tries again, in vain but harmlessly.
            if let Err(error) = group.remove() {
                tracing::warn!(group = %name, %error, "a stale control group stays");
            }
        }
    }

    /// A new group whose processes get `bytes` of memory together, without swap.
    pub(super) fn create(&self, bytes: u64) -> io::Result<Cgroup> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.join(format!("{}{number}", self.owner));
        fs::create_dir(&folder)?;
        let group = Cgroup {
            version: self.version,
            folder,
        };
        let limit = bytes.to_string();
        let set = match self.version {
            Version::V2 => group.write("memory.max", &limit),
            Version::V1 => group.write("memory.limit_in_bytes", &limit),
        };
        // Without swap accounting these files do not exist; then there is no swap to limit.
        let _ = match self.version {
            Version::V2 => group.write("memory.swap.max", "0"),
            Version::V1 => group.write("memory.memsw.limit_in_bytes", &limit),
        };
        set.map(|()| group)
    }
}

impl Cgroup {
    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        fs::write(self.folder.join(file), text)
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(file)).ok()
    }

    /// Lets the group's processes run behind others, where groups share the processor.
    pub(super) fn step_back(&self) {
        // Without the processor's controller there is no such file; then niceness counts.
        let _ = match self.version {
            Version::V2 => self.write("cpu.weight.nice", "10"),
            Version::V1 => Ok(()),
        };
    }

    /// The file through which a process joins, open for writing.
    pub(super) fn procs(&self) -> io::Result<File> {
        OpenOptions::new()
            .write(true)
            .open(self.folder.join("cgroup.procs"))
    }

    /// Processes of the group that the kernel killed because the limit was reached.
    pub(super) fn oom_kills(&self) -> u64 {
        let file = match self.version {
            Version::V2 => "memory.events",
            Version::V1 => "memory.oom_control",
        };
        let text = self.read(file).unwrap_or_default();
        text.lines()
            .find_map(|line| line.strip_prefix("oom_kill "))
            .and_then(|count| count.trim().parse().ok())
            .unwrap_or(0)
    }

    /// Ends every process of the group.
    fn kill_all(&self) {
        for pid in self.read("cgroup.procs").unwrap_or_default().lines() {
            if let Ok(pid) = pid.parse::<i32>()
                && pid > 0
            {
                // SAFETY: no pointers; the process is in a group of ours.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        }
    }

    /// Removes the group. A process that has just ended may still be counted for an instant, so
    /// this may wait.
    fn remove(&self) -> io::Result<()> {
        let mut tries = 0;
        loop {
            match fs::remove_dir(&self.folder) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) && tries < 50 => {
                    tries += 1;
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                result => return result,
            }
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A removed one is not found; one that cannot be removed is swept by the next gateway.
        let _ = self.remove();
    }
}

/// The process id and start time in a group's name.
fn owner_of(name: &str) -> Option<(u32, u64)> {
    let mut parts = name.strip_prefix(PREFIX)?.split('-');
    let owner = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next()?.parse::<u64>().ok()?;
    parts.next().is_none().then_some(owner)
}

/// When a process started, in clock ticks since boot (field 22 of `/proc/PID/stat`).
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may have blanks and parentheses itself.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(19)?.parse().ok()
}

/// The folder of this process's own group in the memory hierarchy of that version.
fn find_folder(version: Version, groups: &str, mounts: &str) -> Option<PathBuf> {
    let own = groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let fits = match version {
            Version::V2 => controllers.is_empty(),
            Version::V1 => controllers.split(',').any(|c| c == "memory"),
        };
        fits.then_some(path)
    })?;
    mounts.lines().find_map(|line| {
        // ... root mount-point options [tags] - type source super-options
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, point) = (before.next()?, before.next()?);
        let mut after = after.split(' ');
        let (kind, options) = (after.next()?, after.nth(1)?);
        let fits = match version {
            Version::V2 => kind == "cgroup2",
            Version::V1 => kind == "cgroup" && options.split(',').any(|o| o == "memory"),
        };
        // Only the part of the hierarchy below the mount's root is to be seen here.
        let below = match (fits, root) {
            (false, _) => return None,
            (_, "/") => own,
            _ => own.strip_prefix(root)?,
        };
        Some(Path::new(point).join(below.trim_start_matches('/')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_found_in_both_versions() {
        let groups = "9:name=systemd:/\n4:cpu,memory:/box/a\n0::/user.slice\n";
        let mounts = "\
            30 23 0:26 / /sys/fs/cgroup/cpu,memory rw,relatime - cgroup cgroup rw,cpu,memory\n\
            31 23 0:27 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(
            find_folder(Version::V1, groups, mounts),
            Some("/sys/fs/cgroup/cpu,memory/box/a".into())
        );
        assert_eq!(
            find_folder(Version::V2, groups, mounts),
            Some("/sys/fs/cgroup/unified/user.slice".into())
        );
        // Inside a container the mount shows a part of the hierarchy.
        let inside = "30 23 0:26 /box /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        assert_eq!(
            find_folder(Version::V1, groups, inside),
            Some("/sys/fs/cgroup/memory/a".into())
        );
        assert_eq!(find_folder(Version::V2, groups, inside), None);
        assert_eq!(find_folder(Version::V1, "0::/\n", mounts), None);
    }

    #[test]
    fn names_tell_the_owner() {
        assert_eq!(owner_of("umpire-12-34567-0"), Some((12, 34567)));
        assert_eq!(owner_of("umpire-gateway"), None);
        assert_eq!(owner_of("umpire-12-34567-0-1"), None);
        assert_eq!(owner_of("docker-12-3-4"), None);
        let own = start_time(std::process::id());
        assert!(own.is_some());
        assert_eq!(own, start_time(std::process::id()));
        assert_eq!(start_time(u32::MAX), None);
    }
}
