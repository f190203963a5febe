//! A ceiling for the process's memory. Above it nothing new is taken, so that what is there goes on and the process is not killed.

use std::{
    fs,
    path::{Component, Path},
    sync::atomic::{AtomicBool, Ordering},
};

use prometheus_client::metrics::gauge::Gauge;

/// What the kernel says of this process, in pages: its size, what is resident, and how much of that is shared with files.
const USED: &str = "/proc/self/statm";

/// The control groups that this process is in, a line for each hierarchy: number, controllers and path, with colons between them (cgroups(7)).
const GROUPS: &str = "/proc/self/cgroup";

/// Where they are.
const MOUNTED: &str = "/sys/fs/cgroup";

/// What a group of version 1 says that has no limit: the greatest number, rounded down to a page.
const NO_LIMIT: usize = usize::MAX >> 2;

/// How much of what is allowed is used before nothing new is taken, in hundredths.
const SHARE: usize = 90;

/// Once nothing new is taken, that stays so until this much of the ceiling is used, in hundredths; else it would change with each tick.
const AGAIN: usize = 95;

/// Whether memory is short.
#[derive(Debug)]
pub(crate) struct Memory {
    ceiling: Option<usize>,
    page_bytes: usize,
    is_over: AtomicBool,
    used: Gauge,
}

impl Memory {
    /// Short above `ceiling` bytes; with 0, above what the process's control groups allow, if they say so.
    pub(crate) fn new(ceiling: usize, used: Gauge) -> Self {
        let groups = || fs::read_to_string(GROUPS).unwrap_or_default();
        let ceiling = if ceiling == 0 { allowed(&groups(), Path::new(MOUNTED)) } else { Some(ceiling) };
        Self { ceiling, page_bytes: rustix::param::page_size(), is_over: AtomicBool::new(false), used }
    }

    /// Whether nothing new is to be taken.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Looks how much is used.
    pub(super) fn look(&self) {
        let Some(used) = used(self.page_bytes) else { return };
        self.used.set(i64::try_from(used).unwrap_or(i64::MAX));
        let Some(ceiling) = self.ceiling else { return };
        let was_over = self.is_over();
        let is_over = is_over(was_over, used, ceiling);
        if was_over != is_over {
            self.is_over.store(is_over, Ordering::Relaxed);
            if is_over {
                tracing::warn!(used, ceiling, "memory is short: nothing new is taken until some is free");
            } else {
                tracing::info!(used, ceiling, "there is memory again");
            }
        }
    }
}

fn is_over(was_over: bool, used: usize, ceiling: usize) -> bool {
    let limit = if was_over { ceiling / 100 * AGAIN } else { ceiling };
    limit < used
}

/// What belongs to this process alone: pages of files can be dropped by the kernel.
fn used(page_bytes: usize) -> Option<usize> {
    let text = fs::read_to_string(USED).ok()?;
    let mut numbers = text.split_whitespace().skip(1).map(str::parse::<usize>);
    let (resident, shared) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(resident.saturating_sub(shared) * page_bytes)
}

/// The share of what the process's own groups, and those around them, allow at most. A container may see its own group at the root, whatever its path is.
fn allowed(groups: &str, mounted: &Path) -> Option<usize> {
    let limits = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, Path::new(parts.next()?));
        let (root, name) = match controllers {
            "" => (mounted.to_owned(), "memory.max"),
            some if some.split(',').any(|controller| controller == "memory") => (mounted.join("memory"), "memory.limit_in_bytes"),
            _ => return None,
        };
        // A path that leads out of what can be seen begins with dots.
        let own = path.components().filter(|part| matches!(part, Component::Normal(_))).collect::<std::path::PathBuf>();
        let read = |group: &Path| fs::read_to_string(root.join(group).join(name)).ok()?.trim().parse::<usize>().ok();
        own.ancestors().filter_map(read).filter(|bytes| *bytes < NO_LIMIT).min()
    });
    limits.min().map(|bytes| bytes / 100 * SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_until_there_is_some_room_again() {
        for (was_over, used, expected) in
            [(false, 1_000, false), (false, 1_001, true), (true, 1_000, true), (true, 951, true), (true, 950, false)]
        {
            assert_eq!(is_over(was_over, used, 1_000), expected, "{was_over} {used}");
        }
    }

    #[test]
    fn the_least_that_the_own_group_or_one_around_it_says_is_allowed() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
            fs::write(path, text).expect("it is written");
        };
        write("memory.max", "max\n");
        write("system.slice/memory.max", "4000\n");
        write("system.slice/tasklight.service/memory.max", "1000\n");
        write("wide.slice/tasklight.service/memory.max", "9000\n");
        write("wide.slice/memory.max", "2000\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/docker/abc/memory.limit_in_bytes", "3000\n");
        for (groups, expected) in [
            ("0::/system.slice/tasklight.service\n", Some(900)),
            ("0::/wide.slice/tasklight.service\n", Some(1_800)),
            ("0::/system.slice/other.service\n", Some(3_600)),
            ("0::/../../system.slice\n", Some(3_600)),
            ("0::/\n", None),
            ("12:cpu,cpuacct:/docker/abc\n5:memory:/docker/abc\n1:name=systemd:/docker/abc\n", Some(2_700)),
            ("5:memory:/\n", None),
            ("nonsense\n", None),
            ("", None),
        ] {
            assert_eq!(allowed(groups, folder.path()), expected, "{groups:?}");
        }
        write("memory.max", "500\n");
        assert_eq!(allowed("0::/of/another/namespace\n", folder.path()), Some(450), "a container sees its own at the root");
    }

    #[test]
    fn what_is_used_is_seen_by_the_kernel() {
        let before = used(rustix::param::page_size()).expect("this is Linux");
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = used(rustix::param::page_size()).expect("this is Linux");
        assert!(before + (32 << 20) < after, "{before} {after}");
        drop(block);
    }
}
