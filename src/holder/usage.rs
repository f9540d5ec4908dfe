//! Measures a candidate's resource use from the kernel's control groups, which are next to the holder's own, and its
//! end from the machine's counters.
//!
//! The tree is mounted into the holder read-only; the candidate does not take part. Supports v1 and v2
//! (Documentation/admin-guide/cgroup-v1/memory.rst, cgroup-v2.rst).

use std::fs;
use std::path::{Path, PathBuf};

use tokio::time::{Duration, Instant};

use super::contention::{self, Machine, Quiet};
use crate::model::observation::{Contention, Usage};

/// The deepest nesting of container groups.
const DEEPEST: usize = 6;
/// Interval over which the peak of CPU use is measured.
const WINDOW: Duration = Duration::from_millis(100);
/// The interval called "recent".
const RECENT: Duration = Duration::from_secs(1);
/// A limit above this means none: v1 reports its largest number.
const NO_LIMIT: u64 = 1 << 62;
/// Since Linux 4.13, counts the processes killed for lack of memory (`oom_kill`), as control groups do.
const VMSTAT: &str = "/proc/vmstat";

/// Where the control groups of this engine's containers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Groups {
    memory: Place,
    cpu: Place,
    /// v1 keeps CPU time in a separate tree, on many machines the same.
    time: Place,
    version: u8,
}

/// Ends the prefix of the group of a monitor (`libpod-conmon-ID.scope`,
/// <https://github.com/containers/podman/blob/main/libpod/oci_conmon_linux.go>).
const MONITOR: &str = "conmon-";

/// A directory of groups, and the prefix and suffix around a container's id in their names.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    folder: PathBuf,
    before: String,
    after: String,
}

impl Place {
    fn find(root: &Path, own: &str, depth: usize) -> Option<Self> {
        let entries = fs::read_dir(root).ok()?;
        let folders: Vec<_> = entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).collect();
        for entry in &folders {
            let name = entry.file_name().to_string_lossy().into_owned();
            // systemd also has units for a container's mounts, which contain no process, and Podman a group for the monitor
            // of each container.
            let group =
                |at: &usize| ["", ".scope"].contains(&&name[at + own.len()..]) && !name[..*at].ends_with(MONITOR);
            if let Some(at) = name.find(own).filter(group) {
                let (before, after) = (name[..at].to_owned(), name[at + own.len()..].to_owned());
                return Some(Self { folder: root.to_owned(), before, after });
            }
        }
        if depth == 0 {
            return None;
        }
        folders.iter().find_map(|entry| Self::find(&entry.path(), own, depth - 1))
    }

    fn of(&self, container: &str) -> PathBuf {
        self.folder.join(format!("{}{container}{}", self.before, self.after))
    }
}

impl Groups {
    /// Finds the holder's own group, next to which the candidates' are; `None` if the tree cannot be read.
    pub(crate) fn find(tree: &Path, own: &str) -> Option<Self> {
        if own.is_empty() {
            return None;
        }
        if tree.join("cgroup.controllers").exists() {
            let place = Place::find(tree, own, DEEPEST)?;
            return Some(Self { memory: place.clone(), cpu: place.clone(), time: place, version: 2 });
        }
        let place = |names: &[&str]| names.iter().find_map(|name| Place::find(&tree.join(name), own, DEEPEST));
        Some(Self {
            memory: place(&["memory"])?,
            cpu: place(&["cpu", "cpu,cpuacct"])?,
            time: place(&["cpuacct", "cpu,cpuacct"])?,
            version: 1,
        })
    }

    /// A meter of one container.
    pub(crate) fn meter(&self, container: &str) -> Meter {
        Meter {
            memory: self.memory.of(container),
            cpu: self.cpu.of(container),
            time: self.time.of(container),
            version: self.version,
            marks: Vec::new(),
            usage: None,
            machine: Machine::now(),
            quiet: Quiet::default(),
            vmstat: VMSTAT.into(),
            killed: None,
        }
    }
}

/// Reads one container's groups repeatedly.
pub(crate) struct Meter {
    memory: PathBuf,
    cpu: PathBuf,
    time: PathBuf,
    version: u8,
    /// CPU time at moments of the last second.
    marks: Vec<(Instant, f64)>,
    usage: Option<Usage>,
    /// The machine's counters when the meter was created.
    machine: Machine,
    quiet: Quiet,
    /// The kernel's counter of killed processes.
    vmstat: PathBuf,
    /// Number of processes killed for lack of memory when the group was last read.
    killed: Option<u64>,
}

fn number(path: PathBuf) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The number after a word at the start of a line.
fn after(text: &str, word: &str) -> u64 {
    let line = text.lines().find_map(|l| l.strip_prefix(word)?.strip_prefix(' '));
    line.and_then(|n| n.trim().parse().ok()).unwrap_or_default()
}

impl Meter {
    /// Takes one measurement. Before the group exists, nothing changes; after it is gone, only the kernel's kill
    /// counter does.
    pub(crate) fn look(&mut self, now: Instant) {
        // In this order: a kill between the two is in the group's own count.
        let killed = self.killed();
        let Some(read) = self.read(killed.is_some()) else { return self.gone(killed) };
        self.killed = killed;
        let before = self.usage.unwrap_or_default();
        self.marks.retain(|(at, _)| now - *at <= RECENT);
        self.marks.push((now, read.cpu_ms));
        let rate = |from: &(Instant, f64)| {
            let length = (now - from.0).as_secs_f64() * 1000.0;
            if length > 0.0 { (read.cpu_ms - from.1) / length } else { 0.0 }
        };
        let window = self.marks.iter().rev().find(|(at, _)| now - *at >= WINDOW);
        let now_of_all = Machine::now();
        let machine = now_of_all.since(&self.machine, self.pressure(), (read.cpu_ms, read.throttled_ms));
        let waited_ms = machine.map_or(0.0, |found| found.waited_ms);
        let quiet = self.quiet.look(now, self.marks.first().map_or(0.0, rate), waited_ms, now_of_all.share);
        self.usage = Some(Usage {
            contention: machine.map(|found| Contention { quiet_ms: quiet.as_secs_f64() * 1000.0, ..found }),
            memory_peak: read.memory_peak.max(before.memory_peak),
            cpu_peak: window.map_or(0.0, rate).max(before.cpu_peak),
            recent_cpu: self.marks.first().map_or(0.0, rate),
            ..read
        });
    }

    /// The group has disappeared. It is removed within milliseconds of its last process's end, often before that end
    /// was measured. Engines miss it the same way and then do not know about the lack of memory
    /// (github.com/containerd/containerd/issues/8180): the machine's counter shows kills since the last measurement.
    fn gone(&mut self, killed: Option<u64>) {
        if let (Some(usage), Some(before), Some(now)) = (&mut self.usage, self.killed.take(), killed) {
            usage.oom_kills_at_end = now.saturating_sub(before);
        }
    }

    /// Number of processes killed so far; not read if no limit can be the reason, because it takes as long as
    /// everything else.
    fn killed(&self) -> Option<u64> {
        let limit = if self.version == 2 { "memory.max" } else { "memory.limit_in_bytes" };
        let limited = || number(self.memory.join(limit)).is_some_and(|limit| limit < NO_LIMIT);
        if self.killed.is_none() && !limited() {
            return None;
        }
        fs::read_to_string(&self.vmstat).ok().map(|text| after(&text, "oom_kill"))
    }

    fn read(&self, limited: bool) -> Option<Usage> {
        let millis = |n: u64, unit: f64| n as f64 / unit;
        let stat = fs::read_to_string(self.cpu.join("cpu.stat")).ok()?;
        if self.version == 2 {
            let events = fs::read_to_string(self.memory.join("memory.events")).unwrap_or_default();
            // `memory.peak` exists since Linux 5.19.
            let peak = number(self.memory.join("memory.peak")).or_else(|| number(self.memory.join("memory.current")));
            return Some(Usage {
                memory_peak: peak?,
                memory_limit_hits: after(&events, "max"),
                oom_kills: after(&events, "oom_kill"),
                cpu_ms: millis(after(&stat, "usage_usec"), 1e3),
                throttled_ms: millis(after(&stat, "throttled_usec"), 1e3),
                ..Usage::default()
            });
        }
        let control = || fs::read_to_string(self.memory.join("memory.oom_control")).unwrap_or_default();
        Some(Usage {
            memory_peak: number(self.memory.join("memory.max_usage_in_bytes"))?,
            oom_kills: if limited { after(&control(), "oom_kill") } else { 0 },
            memory_limit_hits: number(self.memory.join("memory.failcnt")).unwrap_or_default(),
            cpu_ms: millis(number(self.time.join("cpuacct.usage"))?, 1e6),
            throttled_ms: millis(after(&stat, "throttled_time"), 1e6),
            ..Usage::default()
        })
    }

    /// The group's own waiting time for a CPU (v2).
    fn pressure(&self) -> Option<f64> {
        let text = (self.version == 2).then(|| fs::read_to_string(self.cpu.join("cpu.pressure")).ok()).flatten()?;
        contention::waited_ms(&text)
    }

    /// The usage measured so far.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    #[test]
    fn version_1() {
        let tree = tempfile::tempdir().expect("a folder");
        let at = |rest: &str| tree.path().join(rest);
        write(&at("memory/outer/docker/aaa/x"), "");
        write(&at("cpu,cpuacct/outer/docker/aaa/x"), "");
        let groups = Groups::find(tree.path(), "aaa").expect("found");
        let mut meter = groups.meter("bbb");
        let begun = Instant::now();
        meter.look(begun);
        assert_eq!(meter.usage(), None);
        write(&at("memory/outer/docker/bbb/memory.max_usage_in_bytes"), "1000\n");
        write(&at("memory/outer/docker/bbb/memory.failcnt"), "3\n");
        write(&at("memory/outer/docker/bbb/memory.limit_in_bytes"), "1000\n");
        write(&at("memory/outer/docker/bbb/memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
        write(&at("cpu,cpuacct/outer/docker/bbb/cpuacct.usage"), "0\n");
        write(&at("cpu,cpuacct/outer/docker/bbb/cpu.stat"), "nr_periods 1\nnr_throttled 1\nthrottled_time 5000000\n");
        meter.look(begun);
        write(&at("cpu,cpuacct/outer/docker/bbb/cpuacct.usage"), "50000000\n");
        meter.look(begun + Duration::from_millis(100));
        let usage = meter.usage().expect("seen");
        assert_eq!((usage.memory_peak, usage.memory_limit_hits, usage.oom_kills), (1000, 3, 2));
        assert!((usage.cpu_ms - 50.0).abs() < 0.01 && (usage.throttled_ms - 5.0).abs() < 0.01);
        assert!((usage.cpu_peak - 0.5).abs() < 0.01 && (usage.recent_cpu - 0.5).abs() < 0.01);
    }

    #[test]
    fn version_2() {
        let tree = tempfile::tempdir().expect("a folder");
        let at = |rest: &str| tree.path().join(rest);
        write(&at("cgroup.controllers"), "cpu memory\n");
        write(&at("system.slice/docker-conmon-aaa.scope/x"), "");
        write(&at("system.slice/docker-aaa.scope/x"), "");
        let scope = "system.slice/docker-bbb.scope";
        write(&at(&format!("{scope}/memory.current")), "7\n");
        write(&at(&format!("{scope}/memory.events")), "low 0\nhigh 0\nmax 2\noom 4\noom_kill 1\n");
        write(&at(&format!("{scope}/cpu.stat")), "usage_usec 2000\nthrottled_usec 1000\n");
        let mut meter = Groups::find(tree.path(), "aaa").expect("found").meter("bbb");
        meter.look(Instant::now());
        let usage = meter.usage().expect("seen");
        assert_eq!((usage.memory_peak, usage.memory_limit_hits, usage.oom_kills), (7, 2, 1));
        assert!((usage.cpu_ms - 2.0).abs() < 0.01 && (usage.throttled_ms - 1.0).abs() < 0.01);
        assert_eq!(Groups::find(tree.path(), "zzz"), None);
    }

    #[test]
    fn oom_kill_between_samples_is_detected_from_vmstat() {
        let tree = tempfile::tempdir().expect("a folder");
        let at = |rest: &str| tree.path().join(rest);
        write(&at("cgroup.controllers"), "memory\n");
        write(&at("aaa/x"), "");
        for (limit, at_end) in [("1000000\n", 2), ("max\n", 0)] {
            let mut meter = Groups::find(tree.path(), "aaa").expect("found").meter("bbb");
            meter.vmstat = at("vmstat");
            let mut look = |killed: u64| {
                write(&at("vmstat"), &format!("nr_free_pages 1\noom_kill {killed}\n"));
                meter.look(Instant::now());
                meter.usage().map(|usage| (usage.oom_kills, usage.oom_kills_at_end))
            };
            assert_eq!((look(1), look(2)), (None, None), "its group is not there yet");
            write(&at("bbb/memory.max"), limit);
            write(&at("bbb/memory.current"), "7\n");
            write(&at("bbb/cpu.stat"), "usage_usec 2000\n");
            assert_eq!((look(3), look(4)), (Some((0, 0)), Some((0, 0))), "others were killed");
            fs::remove_dir_all(at("bbb")).expect("removed");
            let found = Some((0, at_end));
            assert_eq!((look(6), look(9)), (found, found), "whom the kernel kills later is another: {limit}");
        }
    }
}
