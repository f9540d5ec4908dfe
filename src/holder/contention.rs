//! Measures what other work on the machine takes from a candidate: time waiting for a CPU, and CPU time.
//!
//! The kernel counts both for the whole machine and, with cgroup v2, the waiting time of each group
//! (Documentation/accounting/psi.rst, Documentation/filesystems/proc.rst for /proc/stat).

use std::fs;

use tokio::time::{Duration, Instant};

use crate::model::observation::Contention;

/// A candidate below this CPU use counts as quiet: timers and heartbeats use a few hundredths.
const QUIET: f64 = 0.1;

/// A snapshot of the machine's counters.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Machine {
    /// Total time in which something waited for a CPU, in milliseconds.
    waited_ms: Option<f64>,
    /// CPU time of all CPUs in ticks: busy, and total.
    ticks: Option<(u64, u64)>,
    /// The share of a CPU that a task which is ready to run gets at least.
    pub(crate) share: f64,
}

impl Machine {
    /// Reads the counters.
    pub(crate) fn now() -> Self {
        let read = |path: &str| fs::read_to_string(path).ok();
        Self {
            waited_ms: read("/proc/pressure/cpu").as_deref().and_then(waited_ms),
            ticks: read("/proc/stat").as_deref().and_then(ticks),
            share: read("/proc/loadavg").as_deref().and_then(ready).map_or(0.0, |ready| least_share(ready, cpus())),
        }
    }

    /// The difference to `before`. `own`: the waiting time of the candidate's own group; `cpu_ms`: its CPU time;
    /// `throttled_ms`: how long its own CPU limit throttled it, which is not caused by others. `None` if the kernel has
    /// no such counters.
    pub(crate) fn since(
        &self,
        before: &Self,
        own: Option<f64>,
        (cpu_ms, throttled_ms): (f64, f64),
    ) -> Option<Contention> {
        let waited = own.or_else(|| Some(self.waited_ms? - before.waited_ms?))? - throttled_ms;
        let ((used, all), (used_before, all_before)) = (self.ticks?, before.ticks?);
        // A tick is a hundredth of a second on every architecture (USER_HZ).
        let all_ms = all.saturating_sub(all_before) as f64 * 10.0;
        let used_ms = used.saturating_sub(used_before) as f64 * 10.0;
        let others = if all_ms > 0.0 { ((used_ms - cpu_ms) / all_ms).clamp(0.0, 1.0) } else { 0.0 };
        Some(Contention { waited_ms: waited.max(0.0), quiet_ms: 0.0, others })
    }
}

/// The time in which something waited for a CPU, in milliseconds, from a pressure stall information file.
pub(crate) fn waited_ms(text: &str) -> Option<f64> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    let micros: f64 = some.split_whitespace().find_map(|word| word.strip_prefix("total="))?.parse().ok()?;
    Some(micros / 1000.0)
}

/// CPU time in ticks: busy, and total. Time stolen by a hypervisor counts as busy.
fn ticks(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let counts: Vec<u64> = line.split_whitespace().take(8).filter_map(|n| n.parse().ok()).collect();
    let idle: u64 = counts.iter().skip(3).take(2).sum();
    let all: u64 = counts.iter().sum();
    Some((all.checked_sub(idle)?, all))
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Number of tasks of the whole machine that run or are ready to (Documentation/filesystems/proc.rst).
fn ready(text: &str) -> Option<u32> {
    text.split_whitespace().nth(3)?.split('/').next()?.parse().ok()
}

/// The share of a CPU that one of these tasks gets at least. The scheduler is fair among groups, and within each: it is
/// worst for one in a group that has half of the tasks, beside as many tasks without a group.
fn least_share(ready: u32, cpus: usize) -> f64 {
    let half = f64::from(ready + 1) / 2.0;
    (cpus as f64 / (half * half)).min(1.0)
}

/// How long a candidate has been quiet.
#[derive(Default)]
pub(crate) struct Quiet {
    since: Option<Instant>,
    /// When it was last checked, and the total waiting time by then, in milliseconds.
    last: Option<(Instant, f64)>,
}

/// If a quiet candidate coincides with waiting for this share of the time, it may be the one that waits, unless it used
/// less than this part of what it would have got.
const WAITING: f64 = 0.5;
const PART: f64 = 0.5;

impl Quiet {
    /// Updates it: `busy` CPUs in the last second, the total waiting time, and the `share` of a CPU that it would get at
    /// least. Returns for how long the candidate has been quiet.
    pub(crate) fn look(&mut self, now: Instant, busy: f64, waited_ms: f64, share: f64) -> Duration {
        let waits = self.last.replace((now, waited_ms)).is_some_and(|(then, before)| {
            let length = (now - then).as_secs_f64() * 1000.0;
            length > 0.0 && (waited_ms - before) / length >= WAITING && busy >= share * PART
        });
        if busy >= QUIET || waits {
            self.since = Some(now);
        }
        now - *self.since.get_or_insert(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str =
        "cpu  100 0 50 800 50 0 0 20 0 0\ncpu0 50 0 25 400 25 0 0 10 0 0\ncpu1 50 0 25 400 25 0 0 10 0 0\nintr 5\n";

    #[test]
    fn reads_the_kernel_counters() {
        assert_eq!(ticks(STAT), Some((170, 1020)));
        assert_eq!(ticks("nothing"), None);
        let text = "some avg10=1.00 avg60=0.50 avg300=0.10 total=2500000\nfull avg10=0.00 total=1\n";
        assert_eq!(waited_ms(text), Some(2500.0));
        assert_eq!(waited_ms("full avg10=0.00 total=1"), None);
    }

    #[test]
    fn contention_excludes_the_candidates_own_use() {
        let at = |waited, used, all| Machine { waited_ms: Some(waited), ticks: Some((used, all)), share: 0.0 };
        let (before, after) = (at(100.0, 1000, 5000), at(600.0, 1150, 5200));
        // 2 s of CPU time passed, 1.5 s were used, half a second of that by the candidate.
        let found = after.since(&before, None, (500.0, 0.0)).expect("counted");
        assert_eq!((found.waited_ms, found.others), (500.0, 0.5));
        // Its own group's counter is more precise than the machine's.
        assert_eq!(after.since(&before, Some(20.0), (500.0, 0.0)).expect("counted").waited_ms, 20.0);
        // Throttling by its own limit is not caused by others.
        assert_eq!(after.since(&before, None, (500.0, 400.0)).expect("counted").waited_ms, 100.0);
        let silent = Machine { waited_ms: None, ..after };
        assert_eq!(silent.since(&before, None, (0.0, 0.0)), None);
    }

    #[test]
    fn quiet_starts_when_it_stops_computing() {
        let (mut quiet, begun) = (Quiet::default(), Instant::now());
        let mut look = |second, busy, waited, share| {
            quiet.look(begun + Duration::from_secs(second), busy, waited, share).as_secs()
        };
        let calm = [(0, 0.0, 0.0), (3, 0.9, 100.0), (4, 0.05, 200.0), (9, 0.0, 300.0)]
            .map(|(second, busy, waited)| look(second, busy, waited, 0.1));
        assert_eq!(calm, [0, 0, 1, 6]);
        // It may be quiet because others keep it from the CPUs.
        assert_eq!([look(10, 0.05, 1200.0, 0.1), look(11, 0.05, 1250.0, 0.1)], [0, 1]);
        // It would have got more than that if it had anything to do.
        assert_eq!(look(12, 0.05, 2250.0, 0.5), 2);
    }

    #[test]
    fn few_tasks_leave_a_share_for_each() {
        assert_eq!(ready("5.63 6.84 7.75 3/160 22923\n"), Some(3));
        assert_eq!(ready("5.63"), None);
        assert_eq!([least_share(1, 2), least_share(3, 2), least_share(7, 2)], [1.0, 0.5, 0.125]);
    }
}
