//! The default limit of the memory that clients may make the edge hold: a share of what the process may use.
//!
//! What the process may use is the smallest limit of its control groups (cgroups(7)) and of its resource limits
//! (getrlimit(2)), or else the memory of the machine. The rest of a container's memory is for what the edge cannot
//! count: the program itself, the buffers of sockets, and what the allocator keeps.

use std::{fs, path::Path};

use super::value::MIN_MEMORY;

/// The share of a limit of this process, in percent.
const OF_LIMIT: u64 = 60;
/// The share of the machine's memory, in percent: other processes use it as well.
const OF_MACHINE: u64 = 25;

/// Returns the default in bytes, a whole number of MiB.
#[must_use]
pub fn default_limit() -> u64 {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let groups = read("/proc/self/cgroup");
    let mut limits: Vec<_> = group_files(&groups).iter().filter_map(|path| number(&read(path))).collect();
    limits.extend(resource_limits(&read("/proc/self/limits")));
    share(&limits, machine())
}

/// Returns the default for a process with these limits on a machine with this memory.
fn share(limits: &[u64], machine: Option<u64>) -> u64 {
    // Without a limit, version 1 of control groups has a huge number.
    let limit = limits.iter().copied().min().filter(|limit| machine.is_none_or(|machine| *limit < machine));
    let bytes = match (limit, machine) {
        (Some(limit), _) => percent(limit, OF_LIMIT),
        (None, Some(machine)) => percent(machine, OF_MACHINE),
        (None, None) => percent(1 << 30, OF_MACHINE),
    };
    (bytes >> 20 << 20).max(MIN_MEMORY)
}

fn percent(bytes: u64, percent: u64) -> u64 {
    (bytes / 100).saturating_mul(percent)
}

/// Returns the files with the limits of the control groups that `/proc/self/cgroup` names, and of the groups above
/// them. In a container the names may be those of the host, which do not exist there; its own limit is at the root.
fn group_files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_number), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // A group outside the container's own root has a path such as `/../name`.
        let path = Path::new(path.trim_start_matches("/.."));
        for group in path.ancestors() {
            let group = group.to_string_lossy();
            files.push(format!("{root}{}/{file}", group.trim_end_matches('/')));
        }
    }
    files
}

/// Returns the limits of the data and the address space in `/proc/self/limits`.
fn resource_limits(limits: &str) -> impl Iterator<Item = u64> {
    let of = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
        number(line.split_whitespace().next()?)
    };
    [of("Max data size"), of("Max address space")].into_iter().flatten()
}

/// Returns the memory of the machine. `/proc/meminfo` has it as well, but services with `ProcSubset=pid` cannot see that
/// file.
fn machine() -> Option<u64> {
    let info = rustix::system::sysinfo();
    u64::try_from(u128::from(info.totalram) * u128::from(info.mem_unit)).ok()
}

/// Parses a number; `None` for words such as `max` and `unlimited`.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_default_is_a_share_of_the_smallest_limit_or_of_the_machine() {
        for (limits, machine, expected) in [
            (&[256 * MIB][..], Some(8192 * MIB), 153 * MIB),
            (&[1024 * MIB, 512 * MIB, 2048 * MIB], Some(8192 * MIB), 307 * MIB),
            (&[256 * MIB], None, 153 * MIB),
            // No limit, or one that the machine does not have.
            (&[], Some(8192 * MIB), 2048 * MIB - MIB),
            (&[u64::MAX, 9_223_372_036_854_771_712], Some(8192 * MIB), 2048 * MIB - MIB),
            (&[], None, 255 * MIB),
            // Never less than a limit may be.
            (&[1000], Some(8192 * MIB), MIN_MEMORY),
        ] {
            assert_eq!(share(limits, machine) / MIB, expected / MIB, "{limits:?} on {machine:?}");
            assert_eq!(share(limits, machine) % MIB, 0);
        }
    }

    #[test]
    fn the_files_of_all_groups_above_the_process_are_read() {
        for (groups, expected) in [
            ("0::/\n", &["/sys/fs/cgroup/memory.max"][..]),
            (
                "0::/system.slice/edge.service\n",
                &[
                    "/sys/fs/cgroup/system.slice/edge.service/memory.max",
                    "/sys/fs/cgroup/system.slice/memory.max",
                    "/sys/fs/cgroup/memory.max",
                ],
            ),
            ("0::/../other\n", &["/sys/fs/cgroup/other/memory.max", "/sys/fs/cgroup/memory.max"]),
            (
                "12:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n1:name=systemd:/docker/1\n",
                &[
                    "/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes",
                    "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
                    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                ],
            ),
            ("", &[]),
            ("not a line\n7:memory\n", &[]),
        ] {
            assert_eq!(group_files(groups), expected, "{groups:?}");
        }
    }

    #[test]
    fn limits_of_resources_are_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
            Max cpu time              unlimited            unlimited            seconds   \n\
            Max data size             104857600            unlimited            bytes     \n\
            Max address space         unlimited            unlimited            bytes     \n";
        assert_eq!(resource_limits(limits).collect::<Vec<_>>(), [100 * MIB]);
        assert_eq!(resource_limits("").count(), 0);
        assert_eq!([number("max\n"), number("268435456\n")], [None, Some(256 * MIB)]);
    }

    #[test]
    fn the_memory_of_the_machine_is_read() {
        let info = fs::read_to_string("/proc/meminfo").unwrap();
        let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")).unwrap();
        // In some containers, the file has the memory of the container instead.
        assert!(machine().unwrap() >= number(total).unwrap() * 1024);
    }

    #[test]
    fn this_process_has_a_default() {
        assert!(default_limit() >= MIN_MEMORY);
    }
}
