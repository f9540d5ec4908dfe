//! What other work on the machine takes from a candidate: waiting for a CPU, and CPU time.
//!
//! The kernel counts both for the whole machine, and, in control groups of version 2, the waiting for each group
//! (Documentation/accounting/psi.rst, Documentation/filesystems/proc.rst for /proc/stat).

use std::fs;

use tokio::time::{Duration, Instant};

use crate::model::observation::Contention;

/// A candidate that uses less of a CPU than this is silent: timers and heartbeats take a few hundredths.
const QUIET: f64 = 0.1;

/// The machine's own counts at a moment.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Machine {
    /// Something waited for a CPU, in milliseconds.
    waited_ms: Option<f64>,
    /// CPU time of all CPUs, in use and in all, in ticks.
    ticks: Option<(u64, u64)>,
}

impl Machine {
    /// What is counted now.
    pub(crate) fn now() -> Self {
        let read = |path: &str| fs::read_to_string(path).ok();
        Self {
            waited_ms: read("/proc/pressure/cpu").as_deref().and_then(waited_ms),
            ticks: read("/proc/stat").as_deref().and_then(ticks),
        }
    }

    /// What was counted since `before`; `own`: what the candidate's own group counts of waiting, `cpu_ms`: its CPU time,
    /// `throttled_ms`: what its own limit held it back, which is no other's work. Nothing where the kernel counts none of
    /// it.
    pub(crate) fn since(
        &self,
        before: &Self,
        own: Option<f64>,
        (cpu_ms, throttled_ms): (f64, f64),
    ) -> Option<Contention> {
        let waited = own.or_else(|| Some(self.waited_ms? - before.waited_ms?))? - throttled_ms;
        let ((used, all), (used_before, all_before)) = (self.ticks?, before.ticks?);
        // A machine's tick is a hundredth of a second, on every architecture that there is (USER_HZ).
        let all_ms = all.saturating_sub(all_before) as f64 * 10.0;
        let used_ms = used.saturating_sub(used_before) as f64 * 10.0;
        let others = if all_ms > 0.0 { ((used_ms - cpu_ms) / all_ms).clamp(0.0, 1.0) } else { 0.0 };
        Some(Contention { waited_ms: waited.max(0.0), quiet_ms: 0.0, others })
    }
}

/// The time in which something waited for a CPU, in milliseconds, of a file of pressure stall information.
pub(crate) fn waited_ms(text: &str) -> Option<f64> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    let micros: f64 = some.split_whitespace().find_map(|word| word.strip_prefix("total="))?.parse().ok()?;
    Some(micros / 1000.0)
}

/// CPU time in use and in all, in ticks. What a hypervisor took counts as in use.
fn ticks(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let counts: Vec<u64> = line.split_whitespace().take(8).filter_map(|n| n.parse().ok()).collect();
    let idle: u64 = counts.iter().skip(3).take(2).sum();
    let all: u64 = counts.iter().sum();
    Some((all.checked_sub(idle)?, all))
}

/// Since when a candidate has been silent.
#[derive(Default)]
pub(crate) struct Quiet {
    since: Option<Instant>,
    /// When it was last looked at, and how long something had waited for a CPU by then, in milliseconds.
    last: Option<(Instant, f64)>,
}

/// Who uses no CPU while something waits for one for this part of the time may be the one that waits.
const WAITING: f64 = 0.5;

impl Quiet {
    /// It is looked at: so many CPUs were busy in the last second, and something has waited for so long. Gives for how long
    /// it has been silent.
    pub(crate) fn look(&mut self, now: Instant, busy: f64, waited_ms: f64) -> Duration {
        let waits = self.last.replace((now, waited_ms)).is_some_and(|(then, before)| {
            let length = (now - then).as_secs_f64() * 1000.0;
            length > 0.0 && (waited_ms - before) / length >= WAITING
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
    fn the_kernels_counts_are_read() {
        assert_eq!(ticks(STAT), Some((170, 1020)));
        assert_eq!(ticks("nothing"), None);
        let text = "some avg10=1.00 avg60=0.50 avg300=0.10 total=2500000\nfull avg10=0.00 total=1\n";
        assert_eq!(waited_ms(text), Some(2500.0));
        assert_eq!(waited_ms("full avg10=0.00 total=1"), None);
    }

    #[test]
    fn what_others_took_is_what_is_left_of_it() {
        let at = |waited, used, all| Machine { waited_ms: Some(waited), ticks: Some((used, all)) };
        let (before, after) = (at(100.0, 1000, 5000), at(600.0, 1150, 5200));
        // 2 s of CPU time passed, 1.5 s were used, half a second of these by the candidate.
        let found = after.since(&before, None, (500.0, 0.0)).expect("counted");
        assert_eq!((found.waited_ms, found.others), (500.0, 0.5));
        // Its own group knows better than the machine.
        assert_eq!(after.since(&before, Some(20.0), (500.0, 0.0)).expect("counted").waited_ms, 20.0);
        // What its own limit held it back is no other's doing.
        assert_eq!(after.since(&before, None, (500.0, 400.0)).expect("counted").waited_ms, 100.0);
        let silent = Machine { waited_ms: None, ..after };
        assert_eq!(silent.since(&before, None, (0.0, 0.0)), None);
    }

    #[test]
    fn silence_begins_when_it_computes_no_more() {
        let (mut quiet, begun) = (Quiet::default(), Instant::now());
        let mut look = |second, busy, waited| quiet.look(begun + Duration::from_secs(second), busy, waited).as_secs();
        let calm = [look(0, 0.0, 0.0), look(3, 0.9, 100.0), look(4, 0.05, 200.0), look(9, 0.0, 300.0)];
        assert_eq!(calm, [0, 0, 1, 6]);
        // It may be silent because it is kept from the CPUs.
        assert_eq!([look(10, 0.05, 1200.0), look(11, 0.05, 1250.0)], [0, 1]);
    }
}
